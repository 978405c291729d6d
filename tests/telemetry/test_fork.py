"""Telemetry that is made before a fork, as gunicorn's --preload and multiprocessing do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from randsvc.project import ROOT
from tests.support.otlp import otlp_receiver

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

MADE_AT_IMPORT = """
import asyncio, multiprocessing, os, sys, threading
from aiohttp import web
from randsvc.telemetry import Telemetry

telemetry = Telemetry("shop", environ=os.environ)
orders = telemetry.meter.create_counter("shop.orders", "{order}")
app = web.Application()
telemetry.install(app)
assert threading.active_count() == 1, threading.enumerate()


async def serve(number: int) -> None:
    runner = web.AppRunner(app)
    await runner.setup()
    orders.add(number, {"kind": "gift"})
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("OtelPeriodicExportingMetricReader") == 1, names
    await runner.cleanup()
"""

PREFORK = """
for number in (1, 2):
    if os.fork() == 0:
        asyncio.run(serve(number))
        os._exit(0)
for _ in range(2):
    _, status = os.wait()
    assert status == 0
assert threading.active_count() == 1
"""

MULTIPROCESSING = """
def work(number):
    asyncio.run(serve(number))

fork = multiprocessing.get_context("fork")
workers = [fork.Process(target=work, args=(number,)) for number in (1, 2)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
    assert worker.exitcode == 0
"""

WHILE_IT_RUNS = """
def work():
    names = [thread.name for thread in threading.enumerate()]
    assert names == ["MainThread"], names
    orders.add(7, {"kind": "gift"})  # which nobody exports
    telemetry.meter_provider.force_flush()
    asyncio.run(serve(2))

async def main():
    orders.add(10, {"kind": "gift"})
    async with telemetry.running():
        orders.add(1, {"kind": "gift"})
        worker = multiprocessing.get_context("fork").Process(target=work)
        worker.start()
        await asyncio.to_thread(worker.join)
        assert worker.exitcode == 0

asyncio.run(main())
"""


TRACED_BEFORE_A_FORK = """
import asyncio, os, threading
from aiohttp import web
from opentelemetry import trace
from randsvc.telemetry import Telemetry

telemetry = Telemetry("shop", environ=os.environ)
telemetry.set_global()
orders = telemetry.meter.create_counter("shop.orders", "{order}")
tracer = trace.get_tracer("shop")
app = web.Application()
telemetry.install(app)
assert threading.active_count() == 1, threading.enumerate()


async def serve(number: int) -> None:
    runner = web.AppRunner(app)
    await runner.setup()
    with tracer.start_as_current_span("order"):
        orders.add(number)
    await runner.cleanup()


for number in (1, 2):
    if os.fork() == 0:
        asyncio.run(serve(number))
        os._exit(0)
for _ in range(2):
    _, status = os.wait()
    assert status == 0
"""


def run(program: str, tmp_path: Path, **environ: str) -> dict[str, float]:
    """The orders that each instance exported last; of instances with spans, where there are any."""
    script = tmp_path / "shop.py"
    script.write_text(program)
    with otlp_receiver("up") as receiver:
        done = subprocess.run(
            [sys.executable, "-W", "error", script],
            env={
                **{name: text for name, text in os.environ.items() if "OTEL" not in name},
                "PYTHONPATH": str(ROOT),
                "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
                **environ,
            },
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        if "OTEL_TRACES_EXPORTER" in environ:
            assert receiver.traced == receiver.sums.keys()
        return {instance: sums["shop.orders"] for instance, sums in receiver.sums.items()}


@pytest.mark.parametrize("program", [PREFORK, MULTIPROCESSING], ids=["fork", "multiprocessing"])
def test_each_worker_exports_its_own_numbers_as_an_instance_of_its_own(
    program: str, tmp_path: Path
) -> None:
    orders = run(MADE_AT_IMPORT + program, tmp_path)
    assert sorted(orders.values()) == [1, 2]


def test_workers_that_were_given_one_identity_together_get_one_each(tmp_path: Path) -> None:
    orders = run(
        MADE_AT_IMPORT + PREFORK, tmp_path, OTEL_RESOURCE_ATTRIBUTES="service.instance.id=shop"
    )
    assert sorted(orders.values()) == [1, 2]
    assert all(instance.startswith("shop-") for instance in orders)


def test_measurements_of_the_parent_are_exported_by_the_parent_only(tmp_path: Path) -> None:
    orders = run(MADE_AT_IMPORT + WHILE_IT_RUNS, tmp_path)
    assert sorted(orders.values()) == [9, 11]


def test_spans_of_a_worker_come_from_the_instance_that_its_metrics_come_from(
    tmp_path: Path,
) -> None:
    orders = run(TRACED_BEFORE_A_FORK, tmp_path, OTEL_TRACES_EXPORTER="otlp")
    assert sorted(orders.values()) == [1, 2]
