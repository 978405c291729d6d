"""The client against a server that speaks TLS, and that demands a certificate."""

import http.server
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from randsvc.prometheus_api import Prometheus, PrometheusError, load_tls
from tests.support.command_line import run_randsvc

pytestmark = pytest.mark.native  # openssl makes the certificates

ANSWER = b'{"status":"success","data":{"resultType":"vector","result":[]}}'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate for 127.0.0.1 that is its own authority, and its key."""
    made = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
            *("-subj", "/CN=prometheus", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", made / "key.pem", "-out", made / "cert.pem"),
        ],
        check=True,
        capture_output=True,
    )
    return made


@pytest.fixture(params=[False, True], ids=["any client", "clients with a certificate"])
def server(request: pytest.FixtureRequest, folder: Path) -> Iterator[tuple[str, bool]]:
    """The URL of a Prometheus, and whether it demands a certificate."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(ANSWER)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Nothing."""

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=folder / "cert.pem")
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    if request.param:
        context.verify_mode = ssl.CERT_REQUIRED
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.socket = context.wrap_socket(running.socket, server_side=True)
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield f"https://127.0.0.1:{running.server_port}", request.param
        running.shutdown()


def test_a_server_is_trusted_by_its_authority(server: tuple[str, bool], folder: Path) -> None:
    url, demands = server
    with pytest.raises(PrometheusError, match="certificate verify failed"):
        Prometheus(url).check()
    without = Prometheus(url, tls=load_tls(folder / "cert.pem"))
    if demands:
        with pytest.raises(PrometheusError, match="cannot reach Prometheus"):
            without.check()
    else:
        without.check()
    files = (folder / "cert.pem", folder / "cert.pem", folder / "key.pem")
    Prometheus(url, tls=load_tls(*files)).check()


def test_a_command_reads_the_files_from_the_environment(
    server: tuple[str, bool], folder: Path
) -> None:
    done = run_randsvc(
        "recover",
        "value",
        environ={
            "PROMETHEUS_URL": server[0],
            "PROMETHEUS_CA_FILE": str(folder / "cert.pem"),
            "PROMETHEUS_CERT_FILE": str(folder / "cert.pem"),
            "PROMETHEUS_KEY_FILE": str(folder / "key.pem"),
        },
    )
    # It has an answer, which holds no series.
    assert "certificate" not in done.stderr
    assert "randsvc_value" in done.stderr


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (("missing.pem", None, None), "missing.pem: No such file or directory"),
        (("key.pem", None, None), "key.pem: expected PEM"),
        (("cert.pem", "cert.pem", None), "cert.pem: expected PEM"),
        ((None, None, "key.pem"), "key.pem: a key without a certificate"),
        (("cert.pem", "cert.pem", "missing.pem"), "missing.pem: No such file"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    folder: Path, files: tuple[str | None, ...], said: str
) -> None:
    paths = [folder / name if name else None for name in files]
    with pytest.raises(ValueError, match=said):
        load_tls(*paths)
    options = zip(("--ca-file", "--cert-file", "--key-file"), paths, strict=True)
    given = [str(part) for option in options if option[1] for part in option]
    done = run_randsvc("recover", "value", *given)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert said in done.stderr
