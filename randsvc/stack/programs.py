"""The programs of the stack: command lines and configurations for one machine, no containers.

Configurations and flags are those of docker compose; each address of the compose network is
replaced by one of this machine.
"""

import os
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from randsvc.project import ROOT
from randsvc.rules.time_scale import TimeScale
from randsvc.stack.addresses import ADDRESSES, AddressBook

BLACKBOX_PACKAGE = "prometheus-blackbox-exporter"
"""The name of the program and of its Debian package: no Go module of the project builds it."""

PROMETHEUS_CONFIG = ROOT / "observability/prometheus/prometheus.yml"
ALERTMANAGER_CONFIG = ROOT / "observability/alertmanager/alertmanager.yml"

# The links on the console.
_PAGES = {
    "Console of the service": "randsvc:9464",
    "Console of the login": "auth:9465",
    "Prometheus": "prometheus:9090",
    "Alertmanager": "alertmanager:9093",
    "Inbox": "inbox:9095",
}

# Only the programs of this process know it; it is new each time.
_SECRET = secrets.token_urlsafe(32)


class StackError(Exception):
    """A program cannot be started, or has ended; the first line says which and why."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """One process.

    ``listens`` holds addresses in the compose network. ``ready`` is one of them and a path that
    answers 2xx once the program is ready; None if the program is ready as soon as it runs. ``env``
    is its whole environment.
    """

    name: str
    command: Sequence[str]
    listens: Sequence[str]
    ready: tuple[str, str] | None
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


Service = Callable[[AddressBook], Program]
"""Makes a program from an address book: a service, its users, or a probe."""


def make_randsvc(book: AddressBook, *, env: Mapping[str, str] | None = None) -> Program:
    """Make the service; it gets the ``RANDSVC_*`` and ``OTEL_*`` variables of ``env`` only.

    The address book decides where it listens.
    """
    return _make_service(
        "randsvc", "serve", "RANDSVC_", ("randsvc:8080", "randsvc:9464"), book, env
    )


def make_auth(book: AddressBook, *, env: Mapping[str, str] | None = None) -> Program:
    """Make the authorization service, like ``make_randsvc``, which accepts its tokens."""
    return _make_service("auth", "auth", "RANDSVC_AUTH_", ("auth:8081", "auth:9465"), book, env)


def make_users(book: AddressBook, *, number: int = 15) -> Program:
    """Make simulated users who log in; each sends about one request/s to the service."""
    return Program(
        name="users",
        command=[
            *(sys.executable, "-m", "randsvc", "users", f"--number={number}"),
            f"--service=http://{book['randsvc:8080']}",
            f"--auth=http://{book['auth:8081']}",
        ],
        listens=(),
        ready=None,
        env=drop_settings() | {"PYTHONPATH": str(ROOT)},
    )


def make_blackbox_exporter(book: AddressBook) -> Program:
    """Make the exporter that probes the services as a user would."""
    program = shutil.which(BLACKBOX_PACKAGE)
    if program is None:
        raise StackError(
            f"no program {BLACKBOX_PACKAGE} in PATH: install the Debian package of that name"
        )
    return Program(
        name="blackbox-exporter",
        command=[
            program,
            f"--config.file={ROOT}/observability/blackbox/blackbox.yml",
            f"--web.listen-address={book['blackbox-exporter:9115']}",
            *read_flags("blackbox-exporter"),
        ],
        listens=["blackbox-exporter:9115"],
        ready=("blackbox-exporter:9115", "/-/healthy"),
    )


def make_inbox(book: AddressBook) -> Program:
    """Make the receiver of notifications."""
    host, port = book["inbox:9095"].split(":")
    return Program(
        name="inbox",
        command=[sys.executable, "-m", "randsvc.stack.inbox", f"--host={host}", f"--port={port}"],
        listens=["inbox:9095"],
        ready=("inbox:9095", "/notifications"),
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def make_alertmanager(programs: Path, book: AddressBook, folder: Path) -> Program:
    """Make Alertmanager; its configuration and data are in ``folder``."""
    config = _translate(read_alertmanager_config(), book, ALERTMANAGER_CONFIG)
    target = folder / "alertmanager.yml"
    target.write_text(yaml.safe_dump(config, sort_keys=False))
    return Program(
        name="alertmanager",
        command=[
            f"{programs}/alertmanager",
            f"--config.file={target}",
            f"--storage.path={folder}/alertmanager",
            f"--web.listen-address={book['alertmanager:9093']}",
            f"--web.external-url=http://{book['alertmanager:9093']}",
            *read_flags("alertmanager"),
        ],
        listens=["alertmanager:9093"],
        ready=("alertmanager:9093", "/-/ready"),
    )


def read_alertmanager_config() -> dict[str, Any]:
    """Read the configuration of Alertmanager, with absolute paths to its templates."""
    config: dict[str, Any] = yaml.safe_load(ALERTMANAGER_CONFIG.read_text())
    if "templates" in config:
        folder = ALERTMANAGER_CONFIG.parent
        config["templates"] = [str(folder / pattern) for pattern in config["templates"]]
    return config


def make_victorialogs(programs: Path, book: AddressBook, folder: Path) -> Program:
    """Make the store of logs; its data is in ``folder``."""
    return Program(
        name="victorialogs",
        command=[
            f"{programs}/victoria-logs",
            f"-storageDataPath={folder}/victorialogs",
            f"-httpListenAddr={book['victorialogs:9428']}",
            *read_flags("victorialogs"),
        ],
        listens=["victorialogs:9428"],
        ready=("victorialogs:9428", "/health"),
    )


def make_jaeger(programs: Path, book: AddressBook) -> Program:
    """Make the store of traces, which keeps them in memory."""
    folder = ROOT / "observability/jaeger"
    return Program(
        name="jaeger",
        command=[f"{programs}/jaeger", f"--config={folder}/native.yaml"],
        listens=["jaeger:16686", "jaeger:4317"],
        ready=("jaeger:16686", "/"),
        env=os.environ
        | {
            "JAEGER_FOLDER": str(folder),
            "JAEGER_HTTP": book["jaeger:16686"],
            "JAEGER_OTLP_GRPC": book["jaeger:4317"],
            # It sends traces of itself to port 4317 of this machine, whoever listens there, and
            # waits for seconds at its end where nobody does.
            "OTEL_TRACES_SAMPLER": "always_off",
        },
    )


def make_collector(
    programs: Path, book: AddressBook, folder: Path, *, logs: bool, traces: bool = False
) -> Program:
    """Make the Collector, which forwards ``logs`` and ``traces``, or drops them.

    Its queue is in ``folder``.
    """
    host, port = book["otel-collector:8888"].split(":")
    forwarded: dict[str, str] = {}
    if logs:
        forwarded |= {
            "COLLECTOR_LOGS": "otlp_http/victorialogs",
            "COLLECTOR_EXTENSIONS": "[health_check, file_storage]",
            "COLLECTOR_STORAGE": f"{folder}/queue",
            "COLLECTOR_VICTORIALOGS": book["victorialogs:9428"],
        }
    if traces:
        forwarded |= {
            "COLLECTOR_TRACES": "otlp_grpc/jaeger",
            "COLLECTOR_JAEGER": book["jaeger:4317"],
        }
    return Program(
        name="otel-collector",
        command=[f"{programs}/otelcol", f"--config={ROOT}/otel/collector.yaml"],
        listens=[address for address in ADDRESSES if address.startswith("otel-collector:")],
        ready=("otel-collector:13133", "/"),
        # If the stack starts no Jaeger, COLLECTOR_TRACES and COLLECTOR_JAEGER name a running one.
        env={"COLLECTOR_TRACES": "nop"}
        | os.environ
        | forwarded
        | {
            "COLLECTOR_OTLP_GRPC": book["otel-collector:4317"],
            "COLLECTOR_OTLP_HTTP": book["otel-collector:4318"],
            "COLLECTOR_PROMETHEUS": book["otel-collector:8889"],
            "COLLECTOR_HEALTH_CHECK": book["otel-collector:13133"],
            "COLLECTOR_TELEMETRY_HOST": host,
            "COLLECTOR_TELEMETRY_PORT": port,
        },
    )


def make_prometheus(
    programs: Path,
    book: AddressBook,
    folder: Path,
    *,
    interval: str | None,
    pull: bool,
    scale: TimeScale,
    logs: bool = False,
    without: Sequence[str] = (),
) -> Program:
    """Make Prometheus; its configuration and data are in ``folder``.

    ``without`` names the jobs to leave out; the other parameters are those of ``run_stack``.
    """
    config = read_prometheus_config(scale)
    jobs = [job for job in config["scrape_configs"] if job["job_name"] not in without]
    config = _translate(config | {"scrape_configs": jobs}, book, PROMETHEUS_CONFIG)
    if interval is not None:
        keys = ("scrape_interval", "scrape_timeout", "evaluation_interval")
        config["global"] |= dict.fromkeys(keys, interval)
    if pull:
        (job,) = (
            job for job in config["scrape_configs"] if job["job_name"] == "randsvc-management"
        )
        job["job_name"] = "randsvc"
        del job["metric_relabel_configs"]
        # So that rules and panels query pulled distributions like pushed ones.
        job["convert_classic_histograms_to_nhcb"] = True
        job["always_scrape_classic_histograms"] = True
    external_url = f"--web.external-url=http://{book['prometheus:9090']}"
    program = make_prometheus_of(
        config, programs, book, folder, external_url, *read_flags("prometheus")
    )
    return replace(program, env=name_links(book, logs=logs))


def read_prometheus_config(scale: TimeScale) -> dict[str, Any]:
    """Read the configuration of Prometheus, with absolute paths to the rules of a time scale."""
    config: dict[str, Any] = yaml.safe_load(PROMETHEUS_CONFIG.read_text())
    config["rule_files"] = [
        # Only the folder of the time scale differs.
        str(PROMETHEUS_CONFIG.parent / pattern.replace("rules/demo/", f"rules/{scale.name}/"))
        for pattern in config["rule_files"]
    ]
    return config


def name_links(book: AddressBook, *, logs: bool = False) -> dict[str, str]:
    """Return the environment of Prometheus, which says where the links of alerts lead.

    No Grafana is started here: alerts link to dashboards only where GRAFANA_URL says where.
    """
    links = {"RUNBOOKS_URL": f"http://{book['inbox:9095']}/runbooks"}
    if logs:
        links["LOGS_URL"] = f"http://{book['victorialogs:9428']}"
        links["TRACES_URL"] = f"http://{book['jaeger:16686']}"
    return links | os.environ


FROM_START = "--enable-feature=created-timestamp-zero-ingestion"
"""The flag of Prometheus that makes each series count from 0 at its start."""


def make_prometheus_of(
    config: object, programs: Path, book: AddressBook, folder: Path, *flags: str
) -> Program:
    """Make a Prometheus of a configuration, with further flags; its data is in ``folder``/data."""
    target = folder / "prometheus.yml"
    target.write_text(yaml.safe_dump(config, sort_keys=False))
    return Program(
        name="prometheus",
        command=[
            f"{programs}/prometheus",
            f"--config.file={target}",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address={book['prometheus:9090']}",
            *flags,
        ],
        listens=["prometheus:9090"],
        ready=("prometheus:9090", "/-/ready"),
    )


def _make_service(
    name: str,
    command: str,
    prefix: str,
    listens: tuple[str, str],
    book: AddressBook,
    env: Mapping[str, str] | None,
) -> Program:
    host, port = book[listens[0]].split(":")
    management_host, management_port = book[listens[1]].split(":")
    defaults = {
        "RANDSVC_AUTH_SECRET": _SECRET,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{book['otel-collector:4318']}",
        # ms; the scrape interval of Prometheus.
        "OTEL_METRIC_EXPORT_INTERVAL": "2000",
        f"{prefix}PROMETHEUS_URL": f"http://{book['prometheus:9090']}",
        f"{prefix}LINKS": ",".join(f"{name}=http://{book[at]}" for name, at in _PAGES.items()),
    }
    places = {
        f"{prefix}HOST": host,
        f"{prefix}PORT": port,
        f"{prefix}MANAGEMENT_HOST": management_host,
        f"{prefix}MANAGEMENT_PORT": management_port,
    }
    return Program(
        name=name,
        command=[sys.executable, "-m", "randsvc", command],
        listens=listens,
        ready=(listens[1], "/readyz"),
        env=drop_settings() | defaults | dict(env or {}) | places,
    )


def drop_settings() -> dict[str, str]:
    """Return the environment of this process without the settings of a service."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RANDSVC_", "OTEL_"))
    }


def read_flags(service: str) -> list[str]:
    """Return the flags of a service in docker-compose.yml, except paths and addresses."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    places = ("--config.file=", "--storage.", "--web.", "-storageDataPath=")
    command: list[str] = compose["services"][service]["command"]
    return [flag for flag in command if not flag.startswith(places)]


_ADDRESS = re.compile(rf"\b({'|'.join(map(re.escape, ADDRESSES))})\b")


def _translate(node: Any, book: AddressBook, source: Path, key: str = "") -> Any:
    """Replace each address; raise ``StackError`` for a target without one on this machine."""
    if isinstance(node, dict):
        return {key: _translate(value, book, source, key) for key, value in node.items()}
    if isinstance(node, list):
        return [_translate(value, book, source, key) for value in node]
    if key == "targets" and not _ADDRESS.search(node):
        raise StackError(f"{source}: no program of the native stack listens at {node}")
    if isinstance(node, str):
        return _ADDRESS.sub(lambda found: book[found[0]], node)
    return node
