import contextlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import urlopen

import pytest

from randsvc.faults.faults import AUTH_FAULTS, RANDOM_FAULTS
from tests.support.command_line import run_randsvc
from tests.support.prometheus_stub import answering
from tests.support.service import Service, running_service


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with running_service() as service:
        yield service


def fault(*arguments: str, **environ: str) -> tuple[str, str]:
    """What ``randsvc fault`` says, and what it complains of."""
    done = run_randsvc("fault", *arguments, environ=environ)
    assert done.returncode == bool(done.stderr)
    return done.stdout, done.stderr


def fault_at(service: Service, *arguments: str) -> tuple[str, str]:
    return fault(*arguments, "--management", service.management)


@pytest.mark.process
def test_every_fault_is_listed_with_its_parameters(service: Service) -> None:
    listed, _ = fault_at(service, "list")
    lines = dict(line.split(maxsplit=1) for line in listed.splitlines())
    assert lines.keys() == {fault.name for fault in RANDOM_FAULTS}
    for each in RANDOM_FAULTS:
        assert lines[each.name].startswith("off")
        for parameter in each.all_parameters:
            assert f"--{parameter}" in lines[each.name]


@pytest.mark.process
def test_a_fault_is_set_listed_and_cleared(service: Service) -> None:
    setting = ("latency", "--share", "0.5", "--seconds", "2", "--duration", "100")
    out, complaint = fault_at(service, "set", *setting)
    assert not complaint
    url = service.management
    assert re.fullmatch(
        rf"latency is on at {url} until \d\d:\d\d:\d\d UTC \(100 s\); to end it now: "
        rf"randsvc fault clear latency --management {url}\n",
        out,
    )
    assert not fault_at(service, "set", "value-shift", "--by", "-3")[1]
    (latency,) = (line for line in fault_at(service, "list")[0].splitlines() if "latency" in line)
    name, state, left, *parameters = latency.split()
    assert (name, state, parameters) == ("latency", "on,", ["s", "left", "share=0.5", "seconds=2"])
    assert 80 < float(left) <= 100
    assert fault_at(service, "clear", "latency") == ("", "")
    (on,) = (line for line in fault_at(service, "list")[0].splitlines() if " on," in line)
    assert on.startswith("value-shift")
    assert fault_at(service, "clear") == ("", "")
    assert " on," not in fault_at(service, "list")[0]


@pytest.mark.process
def test_a_fault_is_a_metric_while_it_is_on_and_after(service: Service) -> None:
    def active() -> dict[str, float]:
        with urlopen(f"{service.management}/metrics") as response:
            lines = response.read().decode().splitlines()
        samples = (line.split() for line in lines if line.startswith("randsvc_fault_active{"))
        return {series.split('"')[1]: float(value) for series, value in samples}

    fault_at(service, "set", "value-frozen")
    assert active()["value-frozen"] == 1
    fault_at(service, "clear")
    assert active()["value-frozen"] == 0
    assert "block" not in active()


@pytest.mark.process
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["set", "erors"], "fault 'erors' does not exist, expected one of errors"),
        (["set", "auth-down"], "fault 'auth-down' belongs to the other service, "),
        (["set", "errors"], "errors: share is missing, expected a number from 0 to 1"),
        (["set", "errors", "--share", "2"], "errors: share=2.0, expected a number from 0 to 1"),
        (["set", "errors", "--by", "2"], "errors: no parameter 'by', expected share, duration"),
        (["clear", "erors"], "fault 'erors' does not exist"),
    ],
)
def test_a_refusal_of_the_service_is_one_line(
    service: Service, arguments: list[str], said: str
) -> None:
    out, complaint = fault_at(service, *arguments)
    assert out == ""
    assert complaint.startswith(f"randsvc: {said}")
    assert complaint.count("\n") == 1


@pytest.mark.process
def test_a_fault_of_the_other_service_is_refused_with_the_option_to_add(service: Service) -> None:
    for command in ("set", "clear"):
        _, complaint = fault_at(service, command, "auth-down")
        assert complaint.endswith("; use --management http://127.0.0.1:9465\n")


@pytest.mark.parametrize(
    ("management", "said"),
    [
        ("http://127.0.0.1:1", "cannot reach --management http://127.0.0.1:1: "),
        ("localhost:9464", '--management="localhost:9464": expected a URL such as http://'),
    ],
)
def test_a_service_that_is_not_there_is_one_line(management: str, said: str) -> None:
    _, complaint = fault("list", "--management", management)
    assert complaint.startswith(f"randsvc: {said}")
    assert complaint.count("\n") == 1


@pytest.mark.process
def test_the_token_is_taken_from_its_variable() -> None:
    with running_service("--management-host", "0.0.0.0", "--management-token", "secret") as service:
        setting = ("set", "model-down", "--management", service.management)
        assert "expected the management token" in fault(*setting)[1]
        assert not fault(*setting, RANDSVC_MANAGEMENT_TOKEN="secret")[1]  # noqa: S106


def test_the_help_names_every_fault() -> None:
    told, _ = fault("set", "--help")
    for each in (*RANDOM_FAULTS, *AUTH_FAULTS):
        assert f"\n{each.name}" in told


@pytest.mark.process
def test_a_crash_is_answered_and_ends_the_process() -> None:
    with running_service() as service:
        assert fault_at(service, "set", "crash") == (f"crash: done at {service.management}\n", "")
        assert service.process.wait(60) == 1


@pytest.mark.process
def test_beyond_the_machine_a_token_is_needed() -> None:
    with running_service("--management-host", "0.0.0.0") as service:
        _, complaint = fault_at(service, "set", "model-down")
        assert "RANDSVC_MANAGEMENT_TOKEN" in complaint


@contextlib.contextmanager
def recorder(status: int = 200, **headers: str) -> Iterator[tuple[str, list[str]]]:
    """A server that answers each request so, and the request lines that it has got."""
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            requests.append(f"{self.requestline} {self.headers.get('Authorization')}")
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_PUT = do_DELETE = answer  # noqa: N815

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", requests
        server.shutdown()


SET = ("set", "model-down", "--token", "hunter2", "--management")


@pytest.mark.process
def test_the_token_is_sent_to_no_proxy(service: Service) -> None:
    with recorder() as (proxy, seen):
        variables = dict.fromkeys(("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"), proxy)
        said, complaint = fault(*SET, service.management, **variables)
        assert (said.startswith("model-down is on"), complaint) == (True, "")
    assert seen == []
    fault_at(service, "clear")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_the_token_follows_no_redirect(status: int) -> None:
    with (
        recorder() as (elsewhere, seen),
        recorder(status, Location=f"{elsewhere}/faults") as (management, _),
    ):
        for command in (SET, ("list", "--management"), ("clear", "--management")):
            assert f"responded with {status}" in fault(*command, management)[1]
    assert seen == []


def test_a_password_in_the_url_is_not_shown() -> None:
    for url in ("http://me:hunter2@127.0.0.1:1", "me:hunter2@127.0.0.1:1"):
        _, complaint = fault("list", "--management", url)
        assert "hunter2" not in complaint
        assert "***@127.0.0.1:1" in complaint


@pytest.mark.parametrize(
    "body", ["<html>", "[]", "{}", '{"known": {}, "on": {}}', '{"known": {"x": 1}}', "[" * 100_000]
)
def test_an_address_that_is_no_management_port_is_one_line(body: str) -> None:
    with answering(lambda _: (200, body)) as url:
        out, complaint = fault("list", "--management", url)
    assert out == ""
    assert complaint == (
        f"randsvc: --management {url} does not answer as a management port of randsvc: expected "
        "its URL\n"
    )
