"""The smallest stack to monitor: services, and a Prometheus that scrapes them."""

import json
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from randsvc.project import ROOT
from randsvc.stack.addresses import AddressBook, find_free_addresses
from randsvc.stack.build import build_programs
from randsvc.stack.programs import FROM_START, Service, make_prometheus_of
from randsvc.stack.supervisor import Stack, run_programs

__all__ = ("PULLED", "QUICK_DISCOVERY", "run_small_stack", "set_fault", "wait_for_interrupt")

PULLED = {"OTEL_METRICS_EXPORTER": "prometheus"}
"""The environment of a service that Prometheus scrapes."""
QUICK_DISCOVERY = "--scrape.discovery-reload-interval=100ms"
"""A flag of Prometheus, which by default looks for targets 5 s after its start."""
RULES = f"{ROOT}/observability/prometheus/rules/*.yml"


@contextmanager
def run_small_stack(
    *services: Service, interval: str = "1s", book: AddressBook | None = None
) -> Iterator[Stack]:
    """Run services and a Prometheus in a ``with`` block, on free ports unless ``book`` is given.

    Prometheus scrapes every metric except the active faults, which the learner has to find. It has
    the recording rules of the project, and no alerts.
    """
    book = book or find_free_addresses()
    with tempfile.TemporaryDirectory() as folder:
        programs = [service(book) for service in services]
        times = ("scrape_interval", "scrape_timeout", "evaluation_interval")
        config = {
            "global": dict.fromkeys(times, interval),
            "rule_files": [RULES],
            "scrape_configs": [
                _job(program.name, book[program.listens[1]])
                for program in programs
                if len(program.listens) == 2
            ],
        }
        prometheus = make_prometheus_of(
            config, build_programs(), book, Path(folder), QUICK_DISCOVERY, FROM_START
        )
        with run_programs([*programs, prometheus], book, Path(folder)) as stack:
            yield stack


def wait_for_interrupt(stack: Stack) -> None:
    """Wait for KeyboardInterrupt; raise ``StackError`` if a program has ended by itself."""
    while True:
        time.sleep(1)
        stack.check()


def set_fault(stack: Stack, management: str, name: str, **parameters: float) -> None:
    """Set a fault at a management port, given by its address in the compose network."""
    body = json.dumps({"duration": 3600, **parameters}).encode()
    request = urllib.request.Request(  # noqa: S310 - loopback
        stack.url(management, f"/faults/{name}"), body, method="PUT"
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10):
        pass


def _job(name: str, address: str) -> dict[str, object]:
    return {
        "job_name": name,
        "static_configs": [{"targets": [address]}],
        # See the comment on pulling in prometheus.yml.
        "convert_classic_histograms_to_nhcb": True,
        "always_scrape_classic_histograms": True,
        "metric_relabel_configs": [
            {"source_labels": ["__name__"], "regex": "randsvc_fault_active", "action": "drop"}
        ],
    }
