"""The services, users, and a Prometheus that pulls from them: the smallest system to look at."""

import json
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from randsvc.project import ROOT
from randsvc.stack.addresses import AddressBook, find_free_addresses
from randsvc.stack.build import build_programs
from randsvc.stack.programs import Program, Service
from randsvc.stack.supervisor import Stack, run_programs

__all__ = ("PULLED", "hold", "prometheus", "set_fault", "watched")

PULLED = {"OTEL_METRICS_EXPORTER": "prometheus"}
"""The environment of a service that is pulled from."""
RULES = f"{ROOT}/observability/prometheus/rules/*.yml"


@contextmanager
def watched(
    *services: Service, interval: str = "1s", book: AddressBook | None = None
) -> Iterator[Stack]:
    """Run services inside, on free ports unless there is a ``book``, and Prometheus to read them.

    It reads what is pulled, but for the faults that are on: whoever is to find one looks there.
    Our recording rules are there, our alerts are not.
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
        last = prometheus(config, book, Path(folder))
        with run_programs([*programs, last], book, Path(folder)) as stack:
            yield stack


def prometheus(config: object, book: AddressBook, folder: Path) -> Program:
    """Make a Prometheus; its configuration and data are in ``folder``."""
    target = folder / "prometheus.yml"
    target.write_text(yaml.safe_dump(config))
    return Program(
        name="prometheus",
        command=[
            f"{build_programs()}/prometheus",
            f"--config.file={target}",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address={book['prometheus:9090']}",
            # It looks for its targets 5 s after its start, so that many are found at once.
            "--scrape.discovery-reload-interval=100ms",
        ],
        listens=["prometheus:9090"],
        ready=("prometheus:9090", "/-/ready"),
    )


def hold(stack: Stack) -> None:
    """Keep it running until KeyboardInterrupt; raise ``StackError`` where a program has ended."""
    while True:
        time.sleep(1)
        stack.check()


def set_fault(stack: Stack, management: str, name: str, **parameters: float) -> None:
    """Set a fault of the service whose management port has this address in the compose network."""
    body = json.dumps({"duration": 3600, **parameters}).encode()
    request = urllib.request.Request(  # noqa: S310 - ours
        stack.url(management, f"/faults/{name}"), body, method="PUT"
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10):
        pass


def _job(name: str, address: str) -> dict[str, object]:
    return {
        "job_name": name,
        "static_configs": [{"targets": [address]}],
        # As prometheus.yml says for pulling.
        "convert_classic_histograms_to_nhcb": True,
        "always_scrape_classic_histograms": True,
        "metric_relabel_configs": [
            {"source_labels": ["__name__"], "regex": "randsvc_fault_active", "action": "drop"}
        ],
    }
