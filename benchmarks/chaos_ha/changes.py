"""What no trial draws: the layout grows, or a part is gone that no other replaces.

Each runs on a layout of its own, under the same load and with the same books as a trial.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial

from benchmarks.chaos.alerts import AlertId
from benchmarks.chaos.books import send_load
from benchmarks.chaos.chain import Chain
from benchmarks.chaos.trial import Event, Outcome, Trials
from benchmarks.chaos_ha.chain import change_layout, run_chain, write_hashring
from benchmarks.chaos_ha.system import SYSTEM
from randsvc.stack.dead_mans_switch import NAME
from randsvc.stack.programs import StackError
from randsvc.stack.supervisor import wait_until

__all__ = ("CHANGES",)

LOAD = 30.0
"""Seconds of load before and after a change."""
GONE = 600.0
"""Seconds for which the object store is gone: nine blocks of each receiver wait for it."""
BLOCK = "1m"
"""Length of a block where the object store goes, so that a run of minutes uploads some."""
PAGED_WITHIN = 240.0
"""Seconds in which the dead man's switch must notify: its time, and the Watchdog before."""

Report = Callable[[str], None]


@dataclass(frozen=True)
class Change:
    """A change: ``act`` makes it, and raises ``StackError`` where a promise of its own breaks."""

    act: Callable[[Chain, Report], None]
    replicas: Mapping[str, int]
    flags: Mapping[str, list[str]]
    held_back: tuple[str, ...] = ()
    pages: tuple[AlertId, ...] = ()
    """What must be sent, besides what Prometheus says."""


def run_change(change: Change, name: str, number: int, seed: int, report: Report) -> Outcome:
    """Make a change on a layout of its own, and compare the books."""
    layout = change_layout(replicas=change.replicas, flags=change.flags)
    with (
        run_chain(layout, change.held_back) as chain,
        send_load(chain.users["randsvc"], chain.users["auth"], seed) as load,
        closing(Trials(SYSTEM, chain, load, report)) as trials,
    ):
        trials.settle()

        def act() -> list[Event]:
            time.sleep(LOAD)
            report(name)
            change.act(chain, report)
            time.sleep(LOAD)
            return []

        outcome = trials.judge(number, (name,), act, outside=change.pages)
        lost = [f"{page} was not sent" for page in change.pages if str(page) not in outcome.sent]
        return replace(outcome, problems=(*outcome.problems, *lost))


def _grow_hashring(chain: Chain, report: Report) -> None:
    """Start a fourth receiver under load, and let it take its part of the series."""
    chain.stack.start("receive-3")
    write_hashring(chain, 4)

    def holds_series() -> bool:
        return chain.read_metric("receive-3:10902", "prometheus_tsdb_head_series") > 0

    try:
        wait_until(holds_series, within=60)
    except TimeoutError:
        raise StackError("receive-3 holds no series 60 s after it joined the hashring") from None
    report("four receivers")


def _lose_object_store(chain: Chain, report: Report) -> None:
    """Take the object store away for a time, and expect every block in it afterwards."""
    # An upload begins with the question whether the block is there, which fails first.
    failures = "thanos_shipper_dir_sync_failures_total"
    with _without_objects(chain):
        report("no object store")
        time.sleep(GONE)
        failed = sum(chain.read_metric(f"receive-{i}:10902", failures) for i in range(3))
    if not failed:
        raise StackError("no upload failed while the object store was gone: nothing is proven")

    def has_blocks() -> bool:
        blocks = [path.parent for path in (chain.folder / "objects").glob("*/meta.json")]
        uploads = [
            chain.read_metric(f"receive-{i}:10902", "thanos_shipper_uploads_total")
            for i in range(3)
        ]
        return len(blocks) >= 3 and all(uploads)

    try:
        wait_until(has_blocks, within=120, every=1)
    except TimeoutError:
        raise StackError("not every receiver uploaded a block after the store was back") from None


@contextmanager
def _without_objects(chain: Chain) -> Iterator[None]:
    folder, away = chain.folder / "objects", chain.folder / "objects.away"
    folder.rename(away)
    folder.touch()  # a file: nothing can be written below it
    try:
        yield
    finally:
        folder.unlink()
        away.rename(folder)


def _stop_watchdog(chain: Chain, report: Report) -> None:
    """Kill both Prometheus: nothing inside says so, and the switch outside must."""
    stack = chain.stack
    for name in ("prometheus-0", "prometheus-1"):
        stack.kill(name)
    report("no Prometheus")

    def is_overdue() -> bool:
        return chain.read_metric("dead-mans-switch:9096", "dead_mans_switch_overdue") > 0

    try:
        wait_until(is_overdue, within=PAGED_WITHIN, every=1)
    except TimeoutError:
        raise StackError(
            f"the dead man's switch is quiet {PAGED_WITHIN:g} s after the last Prometheus ended"
        ) from None
    finally:
        for name in ("prometheus-0", "prometheus-1"):
            stack.start(name)


MONITORING_SILENT = AlertId(NAME, "critical", "monitoring")

_CHANGES: Mapping[str, Change] = {
    "hashring grows from 3 to 4": Change(
        _grow_hashring,
        {"receive": 4},
        # The fourth is not there at first, which Query must bear.
        {"query": ["--endpoint=receive-3:10901"]},
        held_back=("receive-3",),
    ),
    "object store is gone": Change(
        _lose_object_store,
        {},
        {
            "receive": [
                f"--tsdb.min-block-duration={BLOCK}",
                f"--tsdb.max-block-duration={BLOCK}",
                # With a limit it prunes every two minutes, and ends if it starts in such a minute:
                # see observability/ha/layout.yml.
                "--tsdb.retention=0d",
            ]
        },
    ),
    "both Prometheus are gone": Change(_stop_watchdog, {}, {}, pages=(MONITORING_SILENT,)),
}

CHANGES = {name: partial(run_change, change, name) for name, change in _CHANGES.items()}
"""By name."""
