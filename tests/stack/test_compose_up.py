"""`LOGS=1 docker compose up`, for real: all gets healthy, stays locked down, measures a request.

Runs where the images can be had: with Docker and a registry, or, as root, with local stand-ins
that the script named by STANDINS builds (`SCRIPT COMPOSE_FILE FOLDER_OF_NATIVE_PROGRAMS`;
its last line tells where Compose is). Its stand-in for Grafana does nothing, so Grafana stays out
then. Those for Jaeger and VictoriaLogs are built here.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from randsvc.project import ROOT
from randsvc.prometheus_api import Prometheus
from randsvc.stack.addresses import find_unused_ports

STANDINS = os.environ.get("STANDINS")
WITHOUT_STANDIN = ("grafana",)
OF_ONE_PROGRAM = {"jaeger": "jaeger", "victorialogs": "victoria-logs"}
"""The native program of each service whose stand-in is built here."""
ENDS = "logs-volumes"
BUILT_HERE = ("randsvc", "auth", "users", "inbox")
BY_HAND = ("scenario",)

pytestmark = pytest.mark.native

Compose = Callable[..., str]


def run(*command: str | Path, env: dict[str, str] | None = None) -> str:
    """Run a command; what it said is in the failure if there is one."""
    done = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, f"{command}: {(done.stdout + done.stderr)[-4000:]}"
    return done.stdout


def works(*command: str) -> bool:
    """Tell whether a command can be run and succeeds."""
    return shutil.which(command[0]) is not None and (
        subprocess.run(command, cwd=ROOT, capture_output=True, stdin=subprocess.DEVNULL).returncode
        == 0
    )


def compose_program() -> list[str]:
    """Find Compose, and see to it that the images can be had; skip the tests otherwise."""
    if STANDINS:
        if os.geteuid() != 0:
            pytest.skip("stand-ins for images are built as root only")
        programs = run(sys.executable, "-m", "randsvc.stack.build").splitlines()[-1]
        build = (STANDINS, ROOT / "docker-compose.yml", programs)
        run(*build)
        forget_older_stand_ins(Path(programs))
        program = run(*build).split()[-1]
        services = json.loads(run(program, "--profile=*", "config", "--format=json"))["services"]
        for service, name in OF_ONE_PROGRAM.items():
            build_stand_in(services[service]["image"], Path(programs) / name)
        return [program]
    if not works("docker", "info"):
        pytest.skip("no Docker daemon answers, and STANDINS is not set")
    if not works("docker", "compose", "version"):
        pytest.skip("Docker has no Compose here, and STANDINS is not set")
    if not works("docker", "compose", "pull", "--quiet", "--ignore-buildable"):
        pytest.skip("the images can't be pulled here, and STANDINS is not set")
    return ["docker", "compose"]


def forget_older_stand_ins(programs: Path) -> None:
    """Remove the images with other builds of our programs: their names are no different."""
    built = max(program.stat().st_mtime for program in programs.iterdir())
    for image in ("*/prometheus", "*/alertmanager", "*/opentelemetry-collector*"):
        listed = run("docker", "image", "ls", "--quiet", f"--filter=reference={image}")
        for number in set(listed.split()):
            created = run("docker", "image", "inspect", "--format={{.Created}}", number)
            if datetime.fromisoformat(created[:19] + "+00:00").timestamp() < built:
                run("docker", "image", "rm", "--force", number)


def build_stand_in(image: str, program: Path) -> None:
    """Build an image of one native program, with what the official one has around it."""
    linked = re.findall(r"(/\S+) \(", run("ldd", program)) if works("ldd", str(program)) else []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        for source, target in {
            str(program): "/program",
            # For the health check.
            "/bin/busybox": "/bin/wget",
            **{library: library for library in linked},
        }.items():
            copy = root / target[1:]
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, copy)
        (Path(folder) / "Dockerfile").write_text(
            "FROM scratch\nCOPY root/ /\nUSER 10001\n"
            'ENV JAEGER_LISTEN_HOST=0.0.0.0\nENTRYPOINT ["/program"]\n'
        )
        run("docker", "build", "--quiet", f"--tag={image}", folder)


def as_pip_is_set_up_here(folder: Path) -> Path:
    """Write a Compose file that hands this machine's pip configuration to the builds."""
    listed = run(sys.executable, "-m", "pip", "config", "list")
    # The environment is listed first, and wins.
    settings = dict(reversed(re.findall(r"^\S+\.([a-z-]+)='(.*)'$", listed, re.MULTILINE)))
    secrets = {}
    if authorities := settings.get("cert"):
        secrets["ca.pem"] = {"file": authorities}
        settings["cert"] = "/run/secrets/ca.pem"
    carried = {"cert", "index-url", "extra-index-url", "trusted-host", "timeout"}
    lines = [f"{name} = {value}" for name, value in settings.items() if name in carried]
    if lines:
        (folder / "pip.conf").write_text("\n".join(["[global]", *lines, ""]))
        secrets["pip.conf"] = {"file": str(folder / "pip.conf")}
    build = {"build": {"secrets": sorted(secrets)}}
    override = folder / "pip.json"
    services = dict.fromkeys(BUILT_HERE + BY_HAND, build)
    override.write_text(json.dumps({"services": services, "secrets": secrets}))
    return override


@pytest.fixture(scope="module")
def ports() -> dict[str, str]:
    """Take free ports for all that .env names one for."""
    names = re.findall(r"^(\w+_PORT)=", (ROOT / ".env").read_text(), re.MULTILINE)
    return dict(zip(names, map(str, find_unused_ports(len(names))), strict=True))


@pytest.fixture(scope="module")
def compose(ports: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """Bring everything up under a name of its own; take it all down, volumes included."""
    program = compose_program()
    files: list[str | Path] = [
        "docker-compose.yml",
        as_pip_is_set_up_here(tmp_path_factory.mktemp("compose")),
    ]
    # Two requests a second, which a share of them takes: a local bridge network may bear no more.
    # Each is traced.
    chosen = {"USERS_MEAN": "2", "USERS_AMPLITUDE": "0", "TRACED_SHARE": "1", "LOGS": "1"}
    env = os.environ | ports | chosen

    def compose(*arguments: str) -> str:
        chosen = [option for file in files for option in ("--file", file)]
        return run(
            *program, *chosen, "--project-name", f"randsvc-{os.getpid()}", *arguments, env=env
        )

    left_out = WITHOUT_STANDIN if STANDINS else ()
    scale = [f"--scale={service}=0" for service in left_out]
    try:
        compose("--profile=scenario", "--profile=logs", "build")
        services = set(compose("config", "--services").split()) - {ENDS}
        try:
            compose("up", "--wait", "--wait-timeout=240", *scale, *sorted(services))
        except AssertionError as error:
            raise AssertionError(f"{error}\n{compose('logs', '--tail=20')}") from None
        yield compose
    finally:
        compose("down", "--volumes", "--timeout=5")


def containers(compose: Compose) -> dict[str, dict[str, Any]]:
    """Give what Docker knows of each container, by service."""
    ids = compose("ps", "--all", "--quiet").split()
    inspected = json.loads(run("docker", "inspect", *ids))
    return {item["Config"]["Labels"]["com.docker.compose.service"]: item for item in inspected}


def get(url: str | urllib.request.Request) -> bytes:
    """Fetch a page."""
    with urllib.request.urlopen(url, timeout=10) as response:  # http://127.0.0.1
        body: bytes = response.read()
    return body


def ask_prometheus(ports: dict[str, str], query: str) -> float:
    """Give the value of a query with one result, 0 where there is none."""
    found = Prometheus(f"http://127.0.0.1:{ports['PROMETHEUS_PORT']}").query(query)
    return sum(series.values[-1][1] for series in found)


def wait_until(holds: Callable[[], bool], within: float) -> None:
    """Wait for something to become true; ``within`` is in seconds."""
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, f"not within {within:g} s"
        time.sleep(1)


def test_everything_that_can_be_asked_is_healthy(compose: Compose) -> None:
    states = {name: item["State"] for name, item in containers(compose).items()}
    ended = states.pop(ENDS)
    assert (ended["Status"], ended["ExitCode"]) == ("exited", 0)
    assert {name for name, state in states.items() if state["Status"] != "running"} == set()
    health = {name: state.get("Health", {}).get("Status") for name, state in states.items()}
    # otel-collector-health asks in its place.
    assert health.pop("otel-collector") is None
    assert set(health.values()) == {"healthy"}


def test_every_container_is_read_only_and_without_rights(compose: Compose) -> None:
    for item in containers(compose).values():
        assert item["HostConfig"]["ReadonlyRootfs"]
        assert item["HostConfig"]["CapDrop"] == ["ALL"]
        assert re.fullmatch(r"[1-9]\d*:\d+", item["Config"]["User"])


@pytest.mark.parametrize("service", BUILT_HERE)
def test_a_program_in_the_image_is_not_root_and_can_change_nothing(
    compose: Compose, service: str
) -> None:
    script = (
        "import errno, os\n"
        "assert os.getuid() == os.getgid() == 10001\n"
        "try: open('/app/new', 'w')\n"
        "except OSError as error: print(errno.errorcode[error.errno])"
    )
    assert compose("exec", "-T", service, "python", "-c", script).strip() == "EROFS"


def test_prometheus_reaches_everything_it_scrapes(compose: Compose, ports: dict[str, str]) -> None:
    wait_until(lambda: ask_prometheus(ports, "count(up)") >= 5, within=60)
    wait_until(lambda: ask_prometheus(ports, "count(up == 0)") == 0, within=60)


def test_a_scenario_run_inside_notifies_at_its_level(
    compose: Compose, ports: dict[str, str]
) -> None:
    said = compose("run", "--rm", "-T", "scenario", "run", "model-down")
    assert re.search(r"^Verdict +passed\b", said, re.MULTILINE), said
    told = json.loads(get(f"http://127.0.0.1:{ports['INBOX_PORT']}/notifications"))
    assert {
        (notification["receiver"], notification["level"])
        for notification in told
        for alert in notification["alerts"]
        if alert["name"] == "RandsvcModelReplaced"
    } == {("ticket", "major")}
    for alert in (alert for notification in told for alert in notification["alerts"]):
        assert alert["name"] in get(alert["runbook"]).decode()
        # Grafana may be a stand-in that serves nothing; tests/dashboards checks the rest.
        assert alert["dashboard"].startswith(f"http://localhost:{ports['GRAFANA_PORT']}/d/randsvc-")
    assert ">major</span>" in get(f"http://127.0.0.1:{ports['INBOX_PORT']}/").decode()


@pytest.mark.usefixtures("compose")
def test_a_failed_request_is_found_from_its_exemplar_to_its_trace_to_its_log(
    ports: dict[str, str],
) -> None:
    management = f"http://127.0.0.1:{ports['RANDSVC_MANAGEMENT_PORT']}/faults/errors"
    (token,) = re.findall(r"^MANAGEMENT_TOKEN=(.+)$", (ROOT / ".env").read_text(), re.MULTILINE)
    head = {"Authorization": f"Bearer {token}"}
    body = b'{"share": 1, "duration": 20}'
    get(urllib.request.Request(management, body, head, method="PUT"))
    with pytest.raises(urllib.error.HTTPError, match="500"):
        get(f"http://127.0.0.1:{ports['RANDSVC_PORT']}/random")
    get(urllib.request.Request(management, headers=head, method="DELETE"))
    found: list[Any] = []

    def has(address: str, **parameters: str) -> bool:
        """Ask until there is an answer, which is then in `found`."""
        try:
            answer = get(f"http://127.0.0.1:{address}?{urllib.parse.urlencode(parameters)}")
        except urllib.error.HTTPError:
            return False
        found[:] = [json.loads(line) for line in answer.splitlines()]
        return bool(found and found[0].get("data", True))

    series = 'http_server_request_duration_seconds_bucket{error_type="500"}'
    now = time.time()
    times = {"start": str(now - 60), "end": str(now + 60)}
    exemplars = f"{ports['PROMETHEUS_PORT']}/api/v1/query_exemplars"
    wait_until(lambda: has(exemplars, query=series, **times), within=60)
    trace_id = found[0]["data"][0]["exemplars"][-1]["labels"]["trace_id"]
    wait_until(lambda: has(f"{ports['JAEGER_PORT']}/api/traces/{trace_id}"), within=60)
    (span,) = found[0]["data"][0]["spans"]
    logs = f"{ports['VICTORIALOGS_PORT']}/select/logsql/query"
    wait_until(lambda: has(logs, query=f'trace_id:="{trace_id}"'), within=60)
    (record,) = found
    assert record["_msg"] == "GET /random was answered 500"
    assert record["span_id"] == span["spanID"]


def test_a_request_shows_up_in_prometheus(compose: Compose, ports: dict[str, str]) -> None:
    answered = 'sum(http_server_request_duration_seconds_count{http_route="/random"})'
    # All who ask for it.
    compose("stop", "users", "blackbox-exporter")
    seen: list[float] = []

    def settled() -> bool:
        seen.append(ask_prometheus(ports, answered))
        return len(seen) > 15 and seen[-1] == seen[-15] > 0

    wait_until(settled, within=90)
    for _ in range(3):
        assert "value" in json.loads(get(f"http://127.0.0.1:{ports['RANDSVC_PORT']}/random"))
    wait_until(lambda: ask_prometheus(ports, answered) == seen[-1] + 3, within=60)


def test_traced_requests_leave_exemplars(compose: Compose, ports: dict[str, str]) -> None:
    query = urllib.parse.urlencode(
        {
            "query": "http_server_request_duration_seconds_bucket",
            "start": time.time() - 600,
            "end": time.time(),
        }
    )
    url = f"http://127.0.0.1:{ports['PROMETHEUS_PORT']}/api/v1/query_exemplars?{query}"
    (first, *_) = (item for series in json.loads(get(url))["data"] for item in series["exemplars"])
    assert re.fullmatch(r"[0-9a-f]{32}", first["labels"]["trace_id"])


def test_the_service_stops_at_sigterm(compose: Compose) -> None:
    compose("stop", "randsvc")
    assert containers(compose)["randsvc"]["State"]["ExitCode"] == 0
