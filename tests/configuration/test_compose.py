"""What docker-compose.yml, .env and the Dockerfile promise, read from the files."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from randsvc.credentials import PASSWORD
from randsvc.project import ROOT
from randsvc.rules.time_scale import SCALES, TimeScale
from randsvc.service.shutdown import EXIT
from randsvc.service.tokens import SECRET_BYTES
from randsvc.settings import Settings
from randsvc.times import parse_duration

ENV = dict(
    line.split("=", 1)
    for line in (ROOT / ".env").read_text().splitlines()
    if line and not line.startswith("#")
)
COMPOSE_TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(
    re.sub(r"\$\{(\w+)\}", lambda name: ENV.get(name[1], ""), COMPOSE_TEXT)
)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
RESEND = "--rules.alert.resend-delay="
# Its image has no program that could ask: another service does, under this name.
ASKED_BY_ANOTHER = {"otel-collector": "otel-collector-health"}

# What is run by hand, or before others, ends.
ENDING = {"scenario", "logs-volumes"}
LASTING = {name: service for name, service in SERVICES.items() if name not in ENDING}

every_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES.keys())
every_lasting_service = pytest.mark.parametrize("service", LASTING.values(), ids=LASTING.keys())


def stages() -> dict[str, list[str]]:
    """Give the instructions of each stage of the Dockerfile, continued lines joined."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("FROM "):
            instructions = found.setdefault(line.split()[-1], [])
        if line and not line.startswith("#"):
            instructions.append(line)
    return found


def instruction(service: dict[str, Any], name: str) -> str | None:
    """Give what an instruction says in the stage that a service is built from."""
    target = service.get("build", {}).get("target")
    lines = [line for line in stages().get(target, []) if line.startswith(f"{name} ")]
    return lines[-1].removeprefix(f"{name} ") if lines else None


def binds(service: dict[str, Any]) -> list[list[str]]:
    """Give source, target and mode of each mount of the host's files."""
    volumes: list[str] = service.get("volumes", [])
    return [volume.split(":") for volume in volumes if volume.startswith(".")]


def test_the_services_have_the_names_that_the_configurations_use() -> None:
    assert set(SERVICES) == {
        *("randsvc", "auth", "users", "otel-collector", "otel-collector-health"),
        *("prometheus", "blackbox-exporter", "alertmanager", "inbox", "grafana", "jaeger"),
        *("scenario", "victorialogs", "logs-volumes"),
    }


@every_service
def test_an_image_is_pinned_to_a_release_or_built_here(service: dict[str, Any]) -> None:
    tag = service["image"].partition(":")[2]
    assert tag == "local" if "build" in service else re.fullmatch(r"v?\d+\.\d+\.\d+", tag)


def test_the_base_image_is_pinned_to_a_release() -> None:
    sources = {instructions[0].split()[1] for instructions in stages().values()}
    (base,) = sources - set(stages())
    assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+", base)


@every_lasting_service
def test_its_health_is_checked(service: dict[str, Any], request: pytest.FixtureRequest) -> None:
    name = request.node.callspec.id
    if name in ASKED_BY_ANOTHER:
        service = SERVICES[ASKED_BY_ANOTHER[name]]
        assert f"http://{name}:" in service["healthcheck"]["test"][-1]
    assert "healthcheck" in service or instruction(service, "HEALTHCHECK")


@every_service
def test_it_waits_until_what_it_needs_is_healthy(service: dict[str, Any]) -> None:
    for needed, how in service.get("depends_on", {}).items():
        if needed in ENDING:
            expected = "service_completed_successfully"
        else:
            expected = "service_started" if needed in ASKED_BY_ANOTHER else "service_healthy"
        assert how["condition"] == expected


@every_service
def test_its_root_file_system_is_read_only(service: dict[str, Any]) -> None:
    assert service["read_only"] is True


@every_service
def test_it_has_no_capabilities_and_gains_none(service: dict[str, Any]) -> None:
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]


@every_service
def test_it_runs_as_a_numeric_user_other_than_root(service: dict[str, Any]) -> None:
    user = service.get("user") or instruction(service, "USER")
    assert user
    assert re.fullmatch(r"[1-9]\d*:\d+", user)


@pytest.mark.parametrize("name", ["randsvc", "auth"])
def test_it_is_not_killed_before_its_grace_is_over(name: str) -> None:
    period = re.fullmatch(r"(\d+)s", SERVICES[name]["stop_grace_period"])
    assert period
    assert int(period[1]) > Settings().grace + EXIT


def test_a_service_whose_ids_outlive_a_restart_remembers_their_feedback_too() -> None:
    environment = SERVICES["randsvc"]["environment"]
    assert environment["RANDSVC_FEEDBACK_SECRET"]
    folder = str(Path(environment["RANDSVC_FEEDBACK_STORE"]).parent)
    assert f"feedback-data:{folder}" in SERVICES["randsvc"]["volumes"]
    assert f"RUN install -d -o 10001 -g 10001 {folder}" in stages()["service"]


@every_service
def test_its_memory_and_its_logs_are_limited(service: dict[str, Any]) -> None:
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert {"max-size", "max-file"} <= service["logging"]["options"].keys()


@every_lasting_service
def test_it_comes_back_after_a_crash(service: dict[str, Any]) -> None:
    assert service["restart"] == "unless-stopped"


@every_service
def test_its_ports_are_on_loopback(service: dict[str, Any]) -> None:
    for port in service.get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)


def test_no_two_services_publish_the_same_port() -> None:
    ports = [
        port.split(":")[1] for service in SERVICES.values() for port in service.get("ports", [])
    ]
    assert len(ports) == len(set(ports))


@every_service
def test_every_mounted_path_exists_and_cannot_be_written(service: dict[str, Any]) -> None:
    for source, _, mode in binds(service):
        assert (ROOT / source).exists(), source
        assert mode == "ro"


def test_only_what_is_run_by_hand_and_the_store_of_logs_have_a_profile() -> None:
    profiles = {name: service.get("profiles") for name, service in SERVICES.items()}
    assert {name: profile for name, profile in profiles.items() if profile} == {
        "scenario": ["scenario"],
        "victorialogs": ["logs"],
        "logs-volumes": ["logs"],
    }


def test_the_volumes_of_the_logs_get_the_user_of_those_who_write_them() -> None:
    written = {
        volume: SERVICES[name]["user"]
        for name in ("otel-collector", "victorialogs")
        for volume in SERVICES[name]["volumes"]
        if not volume.startswith(".")
    }
    assert set(SERVICES["logs-volumes"]["volumes"]) == set(written)
    assert set(written.values()) == {"10001:10001"}
    folders = " ".join(volume.split(":")[1] for volume in written)
    assert f"RUN install -d -o 10001 -g 10001 {folders}" in stages()["service"]


def test_the_password_of_the_probe_is_the_one_that_everybody_has() -> None:
    modules = yaml.safe_load((ROOT / "observability/blackbox/blackbox.yml").read_text())["modules"]
    assert json.loads(modules["login"]["http"]["body"])["password"] == PASSWORD


def test_every_probe_of_prometheus_is_one_of_the_exporter() -> None:
    modules = yaml.safe_load((ROOT / "observability/blackbox/blackbox.yml").read_text())["modules"]
    prometheus = yaml.safe_load((ROOT / "observability/prometheus/prometheus.yml").read_text())
    (job,) = (job for job in prometheus["scrape_configs"] if job["job_name"] == "blackbox")
    assert {item["labels"]["__param_module"] for item in job["static_configs"]} == set(modules)


def test_a_shared_secret_is_long_enough_to_sign_with() -> None:
    assert len(ENV["AUTH_SECRET"]) >= SECRET_BYTES


def test_files_that_the_dockerfile_copies_are_there_and_not_kept_out_of_the_build() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    let_in = [line.removeprefix("!") for line in lines if line.startswith("!")]
    for instruction in (line for lines in stages().values() for line in lines):
        if not instruction.startswith("COPY ") or "--from=" in instruction:
            continue
        for source in instruction.split()[1:-1]:
            assert list(ROOT.glob(source)), source
            assert any(source == path or source.startswith(path) for path in let_in), source


def test_every_named_volume_is_declared_and_mounted() -> None:
    mounted = {
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
        if not volume.startswith(".")
    }
    assert mounted == set(COMPOSE["volumes"])


def test_the_environment_file_holds_exactly_what_the_compose_file_asks_for() -> None:
    assert set(re.findall(r"\$\{(\w+)", COMPOSE_TEXT)) == set(ENV) - {"COMPOSE_PROFILES"}


@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
def test_an_alert_whose_first_message_was_lost_is_sent_again_while_it_is_on(
    scale: TimeScale,
) -> None:
    (delay,) = (
        parse_duration(flag.removeprefix(RESEND))
        for flag in SERVICES["prometheus"]["command"]
        if flag.startswith(RESEND)
    )
    assert delay < parse_duration(scale.hold)


def test_the_home_dashboard_is_among_the_mounted_ones() -> None:
    grafana = SERVICES["grafana"]
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    (source,) = (source for source, target, _ in binds(grafana) if target == str(home.parent))
    assert (ROOT / source / home.name).is_file()


def test_nothing_needs_an_engine_newer_than_docker_20_10() -> None:
    assert "start_interval" not in COMPOSE_TEXT.replace("No `start_interval`", "")
    dockerfile = "\n".join(line for lines in stages().values() for line in lines)
    assert not re.search(r"COPY .*--(link|parents|exclude)|<<|ADD .*--checksum", dockerfile)
