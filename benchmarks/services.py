"""Both services on this machine, and what can be read of a service from outside.

The services push nothing and are read at /metrics, so that no program but Python is needed.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from randsvc.stack.addresses import find_free_addresses
from randsvc.stack.programs import make_auth, make_randsvc
from randsvc.stack.supervisor import Stack, run_programs

__all__ = (
    "PORTS",
    "Reading",
    "find_tracebacks",
    "measure_store",
    "read",
    "running_services",
    "sum_samples",
)

PORTS: Mapping[str, str] = {
    "randsvc": "randsvc:8080",
    "auth": "auth:8081",
    "randsvc management": "randsvc:9464",
    "auth management": "auth:9465",
}
"""The addresses of the ports in the compose network."""
STORE = "feedback.sqlite"


@dataclass(frozen=True)
class Reading:
    """One look at a service: bytes of memory, and numbers of descriptors, series and log lines."""

    memory: int
    descriptors: int
    series: int
    log_lines: int


@contextmanager
def running_services(env: Mapping[str, str]) -> Iterator[Stack]:
    """Run both services on free ports with these variables; the feedback store is in a file."""
    book = find_free_addresses()
    with tempfile.TemporaryDirectory() as folder:
        env = {
            "OTEL_METRICS_EXPORTER": "prometheus",
            "RANDSVC_FEEDBACK_STORE": f"{folder}/{STORE}",
            **env,
        }
        programs = [make_auth(book, env=env), make_randsvc(book, env=env)]
        with run_programs(programs, book, Path(folder)) as stack:
            yield stack


def read(stack: Stack, name: str) -> Reading:
    """Look at a service that runs."""
    process = stack.processes(name)[0]
    return Reading(
        memory=process.memory_info().rss,
        descriptors=process.num_fds(),
        series=sum(
            1 for line in _read_metrics(stack, name).splitlines() if not line.startswith("#")
        ),
        log_lines=len(_log(stack, name)),
    )


def measure_store(stack: Stack) -> int:
    """The bytes of the feedback store, its journal included."""
    return sum(path.stat().st_size for path in stack.folder.glob(f"{STORE}*"))


def sum_samples(stack: Stack, name: str, sample: str, **labels: str) -> float:
    """The sum of the samples of a service that have a name and these labels."""
    return sum(
        each.value
        for family in text_string_to_metric_families(_read_metrics(stack, name))
        for each in family.samples
        if each.name == sample and labels.items() <= each.labels.items()
    )


def find_tracebacks(stack: Stack, name: str) -> list[str]:
    """The lines of a log that are no event, or that hold an exception."""
    return [line for line in _log(stack, name) if not _is_sound(line)]


def _is_sound(line: str) -> bool:
    try:
        event = json.loads(line)
    except ValueError:
        return False
    return not any(name.startswith("exception") for name in event)


def _log(stack: Stack, name: str) -> list[str]:
    return (stack.folder / f"{name}.log").read_text(errors="replace").splitlines()


def _read_metrics(stack: Stack, name: str) -> str:
    return stack.get(PORTS[f"{name} management"], "/metrics").decode()
