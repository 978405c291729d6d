"""The cluster for tests: what can be judged without starting it."""

import hashlib
import io
import json
import subprocess
import sys
import tarfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from deploy.cluster import __main__ as command
from deploy.cluster import network
from deploy.cluster.cluster import VALUES
from deploy.cluster.images import Image, list_files, write_image
from deploy.cluster.network import NODES, NetworkError, expect_free
from deploy.cluster.nodes import kill_programs
from tests.support.chart import check, render


def test_without_root_one_line_says_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert command.main() == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "needs root" in line
    assert "helm install" in line


@pytest.mark.parametrize("taken", ["10.212.1.0/24", "10.0.0.0/8", "10.211.0.10"])
def test_addresses_that_the_machine_uses_are_refused(
    monkeypatch: pytest.MonkeyPatch, taken: str
) -> None:
    routes = [{"dst": "default", "dev": "eth0"}, {"dst": taken, "dev": "vpn0"}]
    monkeypatch.setattr(network, "run", lambda *_: json.dumps(routes))
    with pytest.raises(NetworkError, match=r"needs the addresses .* \(device vpn0\)"):
        expect_free()


def test_addresses_that_the_machine_does_not_use_are_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    routes = [{"dst": "default", "dev": "eth0"}, {"dst": "172.17.0.0/16", "dev": "docker0"}]
    monkeypatch.setattr(network, "run", lambda *_: json.dumps(routes))
    expect_free()


def test_the_nodes_have_different_addresses() -> None:
    assert len({node.address for node in NODES} | {node.pods for node in NODES}) == 2 * len(NODES)


def test_what_an_earlier_run_left_is_killed_and_nothing_else(tmp_path: Path) -> None:
    waits = [sys.executable, "-c", "input()"]
    with ExitStack() as cleanup:
        theirs, other = (
            cleanup.enter_context(subprocess.Popen([*waits, file], stdin=subprocess.PIPE))
            for file in (f"--data-dir={tmp_path}/cluster/etcd", f"{tmp_path}/cluster.lock")
        )
        kill_programs(tmp_path / "cluster")
        assert theirs.poll() is not None
        assert other.poll() is None
        other.kill()


@pytest.mark.native
def test_an_image_has_its_programs_with_their_libraries(tmp_path: Path) -> None:
    package = tmp_path / "package"
    for name in ("module.py", "module.pyc", "test/test_module.py"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(name)
    python = Path(sys.executable).resolve()
    image = Image(
        name="localhost/test:1",
        entrypoint=["/bin/python"],
        files={"/bin/python": python, "/app": package},
    )
    files = dict(list_files(image))
    assert files["/bin/python"] == python
    assert [place for place in files if place.startswith("/app")] == ["/app/module.py"]
    assert any(place.startswith("/lib/libc.so") for place in files)


def test_an_image_is_what_docker_save_writes(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"hello")
    image = Image(name="localhost/test:1", entrypoint=["/program"], files={"/program": program})
    write_image(image, [("/program", program)], tmp_path / "image.tar")
    with tarfile.open(tmp_path / "image.tar") as archive:
        content = {entry.name: archive.extractfile(entry) for entry in archive}
        read = {name: file.read() for name, file in content.items() if file}
    (manifest,) = json.loads(read["manifest.json"])
    assert manifest["RepoTags"] == ["localhost/test:1"]
    layer = read[manifest["Layers"][0]]
    config = json.loads(read[manifest["Config"]])
    assert config["config"]["Entrypoint"] == ["/program"]
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        assert archive.getnames() == ["program"]


@pytest.mark.native
def test_the_chart_accepts_the_values_of_the_cluster() -> None:
    objects = render(f"--values={VALUES}")
    for item in objects:
        check(item)
    assert {"AlertmanagerConfig", "PrometheusRule", "HorizontalPodAutoscaler"} <= {
        item["kind"] for item in objects
    }
