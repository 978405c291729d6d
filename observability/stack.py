"""The chain without containers: service, Collector, Prometheus, Alertmanager, on loopback.

``python -m observability.stack`` runs it until Ctrl-C; tests run it by ``running``. It reads what
docker compose reads: the configurations, in which each address is replaced by one of this machine,
and the command lines.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from rich.console import Console
from rich.table import Table

from observability import native

ROOT = Path(__file__).parents[1]

# Everything that listens, as docker-compose.yml addresses it. The ports are the well-known ones.
ADDRESSES = {
    "randsvc:8080": "Service: /random",
    "randsvc:9464": "Service, management port: /metrics /livez /readyz",
    "otel-collector:4318": "Collector: OTLP over HTTP",
    "otel-collector:4317": "Collector: OTLP over gRPC",
    "otel-collector:8889": "Collector: /metrics that were pushed to it",
    "otel-collector:8888": "Collector: /metrics about itself",
    "otel-collector:13133": "Collector: health",
    "prometheus:9090": "Prometheus: HTTP API (no web page)",
    "alertmanager:9093": "Alertmanager: web page, HTTP API",
}
AddressBook = Mapping[str, str]
"""The address here of each address of the compose network."""

START_WITHIN = 30.0
STOP_WITHIN = 20.0
"""Seconds; the service finishes what is in flight, then flushes, which may take it 15."""

T = TypeVar("T")

# Environment variables of proxies are not for loopback.
_http = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class StackError(Exception):
    """A program can't be started, or has stopped; the first line says which and why."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """One process.

    ``listens`` holds addresses of the compose network; ``ready`` is one of them and a path that
    answers 2xx once the program can be used. ``env`` is all of its environment.
    """

    name: str
    command: Sequence[str]
    listens: Sequence[str]
    ready: tuple[str, str]
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


Service = Callable[[AddressBook], Program]
"""Makes a program of the address book: a service that pushes to the Collector or is pulled."""


def randsvc(book: AddressBook, *, env: Mapping[str, str] | None = None) -> Program:
    """Make the service; its ``RANDSVC_*`` and ``OTEL_*`` are those of ``env`` and no others.

    Where it listens is the address book's to say.
    """
    host, port = book["randsvc:8080"].split(":")
    management_host, management_port = book["randsvc:9464"].split(":")
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RANDSVC_", "OTEL_"))
    }
    defaults = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{book['otel-collector:4318']}",
        # In ms, as Prometheus scrapes.
        "OTEL_METRIC_EXPORT_INTERVAL": "5000",
    }
    places = {
        "RANDSVC_HOST": host,
        "RANDSVC_PORT": port,
        "RANDSVC_MANAGEMENT_HOST": management_host,
        "RANDSVC_MANAGEMENT_PORT": management_port,
    }
    return Program(
        name="randsvc",
        command=[sys.executable, "-m", "randsvc", "serve"],
        listens=["randsvc:8080", "randsvc:9464"],
        ready=("randsvc:9464", "/readyz"),
        env=inherited | defaults | dict(env or {}) | places,
    )


class Stack:
    """Programs that can be started, stopped, killed and asked, each by its name."""

    def __init__(self, programs: Sequence[Program], book: AddressBook, folder: Path) -> None:
        self.programs = {program.name: program for program in programs}
        self.book = book
        self.folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        """Start a program and wait until it is ready; it finds the data it left before."""
        program = self.programs[name]
        for address in program.listens:
            _refuse_taken(name, self.book[address])
        with self._log(name).open("ab") as log:
            # A session of its own, so that Ctrl-C in a terminal reaches this process alone, which
            # then stops all of them in order.
            process = subprocess.Popen(  # noqa: S603
                [*_dies_with_us(), *program.command],
                cwd=self.folder,
                env=program.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes[name] = process
        address, path = program.ready
        try:
            wait_until(lambda: self._answers(name, address, path), within=START_WITHIN)
        except TimeoutError:
            raise StackError(
                f"{name} is not ready after {START_WITHIN:g} s: {self.url(address, path)}\n"
                f"{self.log(name)}"
            ) from None

    def stop(self, name: str) -> None:
        """Ask a program to stop, and wait for it; kill what is left of it after 20 s."""
        self._end(name, signal.SIGTERM)

    def kill(self, name: str) -> None:
        """End a program without giving it time to save or send anything."""
        self._end(name, signal.SIGKILL)

    def check(self) -> None:
        """Raise ``StackError`` if a program has stopped that nobody asked to."""
        for name, process in self._processes.items():
            if process.poll() is not None:
                raise StackError(
                    f"{name} stopped by itself with exit code {process.returncode}\n"
                    f"{self.log(name)}"
                )

    def log(self, name: str, lines: int = 15) -> str:
        """Give the last lines that a program printed."""
        return "\n".join(self._log(name).read_text(errors="replace").splitlines()[-lines:])

    def url(self, address: str, path: str = "") -> str:
        """Give the URL here of an address of the compose network."""
        return f"http://{self.book[address]}{path}"

    def get(self, address: str, path: str, **parameters: str) -> bytes:
        """Fetch a page; raises ``OSError`` when there is no answer, or one that is not 2xx."""
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        with _http.open(self.url(address, path) + query, timeout=10) as response:
            body: bytes = response.read()
        return body

    def query(self, promql: str) -> list[dict[str, Any]]:
        """Ask Prometheus for the present: ``metric`` and ``value`` or ``histogram`` a series.

        https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries
        """
        answer = json.loads(self.get("prometheus:9090", "/api/v1/query", query=promql))
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def number(self, promql: str) -> float | None:
        """Ask Prometheus for one number; None where there is no series."""
        found = self.query(promql)
        if len(found) > 1:
            raise ValueError(f"{promql}: {len(found)} series, expected one at most")
        return float(found[0]["value"][1]) if found else None

    def _answers(self, name: str, address: str, path: str) -> bool:
        self.check()
        try:
            self.get(address, path)
        except OSError:
            return False
        return True

    def _end(self, name: str, how: signal.Signals) -> None:
        process = self._processes.pop(name, None)
        if process is None:
            return
        process.send_signal(how)
        try:
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_WITHIN)
        finally:
            # Its workers too, where it has any and could not see to them.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _end_all(self) -> None:
        for name in reversed(list(self._processes)):
            self.stop(name)

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


@contextmanager
def running(
    *,
    services: Sequence[Service] = (randsvc,),
    free_ports: bool = False,
    interval: str | None = None,
    pull: bool = False,
    folder: Path | None = None,
) -> Iterator[Stack]:
    """Run the chain inside; give it when everything is ready.

    ``interval`` replaces how often Prometheus scrapes and evaluates (a Prometheus duration).
    ``pull`` makes it keep what it reads from the service itself, as prometheus.yml describes.
    ``folder`` takes configurations, data and logs; without one they are gone at the end.
    Raises ``StackError`` or ``NativeError``. The thread that enters must live until the end: the
    kernel takes its death for ours.
    """
    with ExitStack() as cleanup:
        programs = native.build()
        folder = folder or Path(cleanup.enter_context(tempfile.TemporaryDirectory()))
        book = _free_addresses() if free_ports else _well_known_addresses()
        stack = Stack(
            [
                _alertmanager(programs, book, folder),
                _collector(programs, book),
                *(service(book) for service in services),
                # Last, so that it finds all that it scrapes, and stops first.
                _prometheus(programs, book, folder, interval, pull),
            ],
            book,
            folder,
        )
        # Before anything runs: one line for a taken port, and nothing to clean up.
        for program in stack.programs.values():
            for address in program.listens:
                _refuse_taken(program.name, book[address])
        cleanup.callback(stack._end_all)
        for name in stack.programs:
            stack.start(name)
        yield stack


def wait_until(holds: Callable[[], T], *, within: float, every: float = 0.1) -> T:
    """Give what ``holds`` returns once it is true; ``TimeoutError`` after ``within`` seconds."""
    deadline = time.monotonic() + within
    while not (found := holds()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {within:g} s")
        time.sleep(every)
    return found


def main() -> int:
    """Run the chain with the service until Ctrl-C, SIGTERM, or until one of its programs stops."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    chosen = {
        name: value for name, value in os.environ.items() if name.startswith(("RANDSVC_", "OTEL_"))
    }
    # Something to see.
    env = {"RANDSVC_USERS": "15"} | chosen
    try:
        with running(services=[lambda book: randsvc(book, env=env)]) as stack:
            console.print(_table(stack))
            console.print(f"Logs and data until then: {stack.folder}. Ctrl-C stops all.")
            while True:
                time.sleep(1)
                stack.check()
    except KeyboardInterrupt:
        return 0
    except (StackError, native.NativeError) as error:
        console.print(str(error), markup=False)
        return 1


def _alertmanager(programs: Path, book: AddressBook, folder: Path) -> Program:
    return Program(
        name="alertmanager",
        command=[
            f"{programs}/alertmanager",
            f"--config.file={ROOT}/observability/alertmanager/alertmanager.yml",
            f"--storage.path={folder}/alertmanager",
            f"--web.listen-address={book['alertmanager:9093']}",
            *_flags("alertmanager"),
        ],
        listens=["alertmanager:9093"],
        ready=("alertmanager:9093", "/-/ready"),
    )


def _collector(programs: Path, book: AddressBook) -> Program:
    host, port = book["otel-collector:8888"].split(":")
    return Program(
        name="otel-collector",
        command=[f"{programs}/otelcol", f"--config={ROOT}/otel/collector.yaml"],
        listens=[address for address in ADDRESSES if address.startswith("otel-collector:")],
        ready=("otel-collector:13133", "/"),
        # No Jaeger is started here; who has one sets COLLECTOR_TRACES and COLLECTOR_JAEGER.
        env={"COLLECTOR_TRACES": "nop"}
        | os.environ
        | {
            "COLLECTOR_OTLP_GRPC": book["otel-collector:4317"],
            "COLLECTOR_OTLP_HTTP": book["otel-collector:4318"],
            "COLLECTOR_PROMETHEUS": book["otel-collector:8889"],
            "COLLECTOR_HEALTH_CHECK": book["otel-collector:13133"],
            "COLLECTOR_TELEMETRY_HOST": host,
            "COLLECTOR_TELEMETRY_PORT": port,
        },
    )


def _prometheus(
    programs: Path, book: AddressBook, folder: Path, interval: str | None, pull: bool
) -> Program:
    source = ROOT / "observability/prometheus/prometheus.yml"
    config = _translated(yaml.safe_load(source.read_text()), book, source)
    config["rule_files"] = [str(source.parent / pattern) for pattern in config["rule_files"]]
    if interval is not None:
        keys = ("scrape_interval", "scrape_timeout", "evaluation_interval")
        config["global"] |= dict.fromkeys(keys, interval)
    if pull:
        (job,) = (
            job for job in config["scrape_configs"] if job["job_name"] == "randsvc-management"
        )
        job["job_name"] = "randsvc"
        del job["metric_relabel_configs"]
        # So that rules and panels read the distributions as they read pushed ones.
        job["convert_classic_histograms_to_nhcb"] = True
        job["always_scrape_classic_histograms"] = True
    target = folder / "prometheus.yml"
    target.write_text(yaml.safe_dump(config, sort_keys=False))
    return Program(
        name="prometheus",
        command=[
            f"{programs}/prometheus",
            f"--config.file={target}",
            f"--storage.tsdb.path={folder}/prometheus",
            f"--web.listen-address={book['prometheus:9090']}",
            f"--web.external-url=http://{book['prometheus:9090']}",
            *_flags("prometheus"),
        ],
        listens=["prometheus:9090"],
        ready=("prometheus:9090", "/-/ready"),
    )


def _flags(service: str) -> list[str]:
    """Give the flags of a service in docker-compose.yml, but for those that name a place."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    places = ("--config.file=", "--storage.path=", "--storage.tsdb.path=", "--web.")
    command: list[str] = compose["services"][service]["command"]
    return [flag for flag in command if not flag.startswith(places)]


def _translated(node: Any, book: AddressBook, source: Path, key: str = "") -> Any:
    """Replace each address among the targets; one that has none here is an error."""
    if isinstance(node, dict):
        return {key: _translated(value, book, source, key) for key, value in node.items()}
    if isinstance(node, list):
        return [_translated(value, book, source, key) for value in node]
    if key == "targets":
        if node not in book:
            raise StackError(f"{source}: no program of the native stack listens at {node}")
        return book[node]
    return node


def _well_known_addresses() -> AddressBook:
    return {address: f"127.0.0.1:{address.split(':')[1]}" for address in ADDRESSES}


def _free_addresses() -> AddressBook:
    with ExitStack() as held:
        # All at once, so that no two are the same.
        sockets = {address: held.enter_context(socket.socket()) for address in ADDRESSES}
        for free in sockets.values():
            free.bind(("127.0.0.1", 0))
        return {address: f"127.0.0.1:{free.getsockname()[1]}" for address, free in sockets.items()}


def _refuse_taken(name: str, address: str) -> None:
    host, port = address.split(":")
    with socket.socket() as probe:
        # As servers do: a connection of a server that has ended does not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError as error:
            raise StackError(
                f"{name} can't listen on {address}: {error.strerror}; stop what listens there"
            ) from None


def _dies_with_us() -> list[str]:
    """Have the kernel stop a program when this process is gone, even when it was killed.

    By setpriv of util-linux, as the other way, a function between fork and exec, is not safe in a
    process with threads. Where it is missing, only an orderly end stops the programs.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []


def _table(stack: Stack) -> Table:
    table = Table("What", "Where")
    for address, what in ADDRESSES.items():
        table.add_row(what, stack.url(address))
    return table


if __name__ == "__main__":
    sys.exit(main())
