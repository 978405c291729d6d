"""Chaos on the highly available layout: its faults, its bounds, and that each promise can break."""

from contextlib import closing
from types import SimpleNamespace

import pytest

from benchmarks.chaos import trial
from benchmarks.chaos.alerts import AlertId, Episode, Notification, merge_episodes, read_times
from benchmarks.chaos.books import compare, send_load
from benchmarks.chaos.chain import EXPORT_INTERVAL
from benchmarks.chaos.faults import Fault
from benchmarks.chaos.report import write_markdown
from benchmarks.chaos.trial import SLACK, Event, Outcome, Trials, find_windows
from benchmarks.chaos_ha.chain import LINKS, LONG, PROGRAMS, SHORT
from benchmarks.chaos_ha.system import SYSTEM, draw, find_required_alerts
from randsvc.stack.highly_available import list_addresses
from tests.benchmarks.test_chaos import OK, books

LOST = AlertId("RandsvcTargetsLost", "major", "monitoring")


def event(kind: str, target: str, begin: float, end: float) -> Event:
    return Event(Fault(kind, target, 0, end - begin), begin, begin, end)


def test_faults_befall_every_part_that_has_an_address() -> None:
    parts = {address.split(":")[0] for address in list_addresses()}
    outside = {"inbox", "dead-mans-switch", "blackbox-exporter-0", "blackbox-exporter-1"}
    assert set(PROGRAMS) == parts - outside
    assert set(LINKS.values()) <= set(list_addresses())


def test_every_second_trial_has_two_faults() -> None:
    for number in range(60):
        assert len(draw(1, number, ())) == 1 + number % 2


def test_a_killed_replica_may_lose_its_last_export() -> None:
    (window,) = find_windows([event("kill", "randsvc-1", 100, 110)])
    assert window == ("randsvc", 100 - EXPORT_INTERVAL - SLACK, 100 + SLACK)


@pytest.mark.parametrize(
    "target", [name for name in PROGRAMS if not name.startswith(("randsvc", "auth"))]
)
def test_no_other_part_may_lose_anything(target: str) -> None:
    for kind in ("kill", "freeze", "restart"):
        assert find_windows([event(kind, target, 100, 110)]) == []


def test_a_replica_that_could_not_export_before_its_end_may_lose_that_time_too() -> None:
    events = [event("kill", "otel-collector-0", 90, 95), event("kill", "auth-0", 100, 110)]
    (window,) = find_windows(events)
    assert window.begin == 90 - 2 * EXPORT_INTERVAL - SLACK


def test_a_long_outage_of_one_part_must_raise_its_alert() -> None:
    lasts = LONG[0] + 1
    assert set(find_required_alerts([Fault("kill", "receive-1", 0, lasts)])) == {LOST}
    assert find_required_alerts([Fault("kill", "receive-1", 0, 5)]) == {}
    assert find_required_alerts([Fault("slow", "balancer to auth-0", 0, lasts)]) == {}


def test_an_alert_of_both_prometheus_is_one_episode() -> None:
    found = merge_episodes([Episode(LOST, 1, 9), Episode(LOST, 5, 12), Episode(LOST, 20, 30)])
    assert found == [Episode(LOST, 1, 12), Episode(LOST, 20, 30)]


# ------------------------------------------------------------------------------- promises can break


def judge(
    monkeypatch: pytest.MonkeyPatch,
    *,
    counted: dict[str, int],
    fired: float = 0.0,
    sent: int = 0,
    lasts: float = 5.0,
) -> Outcome:
    """Judge a trial of 100 responses, of which each source has counted so many, and in which an
    alert fired for so many seconds and was sent so often."""
    made = Trials.__new__(Trials)
    inbox = SimpleNamespace(notifications=[])
    monkeypatch.setattr(
        trial,
        "find_episodes",
        lambda *_: [Episode(LOST, 1000, 1000 + fired)] if fired else [],
    )
    monkeypatch.setattr(made, "_wait_for_quiet", lambda _: [])
    monkeypatch.setattr(made, "_list_hidden_ends", lambda *_: [])
    monkeypatch.setattr(
        made,
        "balance",
        lambda windows: {
            source: compare(books(ok=100), {OK: number}, windows)
            for source, number in counted.items()
        },
    )
    made.__dict__ |= {
        "_system": SYSTEM,
        "_before": None,
        "_stack": SimpleNamespace(check=lambda: None),
        "_inbox": inbox,
        "_load": SimpleNamespace(resume=lambda: None),
        "_report": lambda _: None,
        "_times": read_times(),
        "_clients": dict.fromkeys(SYSTEM.sources, SimpleNamespace(query=lambda _: [])),
        "_began": 0.0,
    }

    def act() -> list[Event]:
        inbox.notifications += [
            Notification(1020 + place, "ticket", ((LOST, "firing"),)) for place in range(sent)
        ]
        return [event("kill", "receive-0", 0, lasts)]

    return made.judge(0, ("kill: receive-0",), act)


EXACT = dict.fromkeys(SYSTEM.sources, 100)


def test_exact_books_and_one_notification_keep_every_promise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert judge(monkeypatch, counted=EXACT, fired=60, sent=1).problems == ()


@pytest.mark.parametrize("source", SYSTEM.sources)
@pytest.mark.parametrize("counted", [99, 101])
def test_a_count_that_differs_in_one_source_breaks_the_promise(
    monkeypatch: pytest.MonkeyPatch, source: str, counted: int
) -> None:
    outcome = judge(monkeypatch, counted={**EXACT, source: counted})
    assert len(outcome.problems) == 1
    assert outcome.problems[0].startswith(f"{source}: randsvc: 1 ")


def test_a_page_that_is_lost_breaks_the_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = judge(monkeypatch, counted=EXACT, fired=60, sent=0)
    assert outcome.problems == (f"{LOST} fired, but nobody was notified",)


def test_the_alert_on_a_part_that_is_gone_is_sent_however_long_it_fires(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = judge(monkeypatch, counted=EXACT, fired=1, sent=1, lasts=LONG[0])
    assert kept.problems == ()
    lost = judge(monkeypatch, counted=EXACT, fired=1, sent=0, lasts=LONG[0])
    assert lost.problems == (f"{LOST} fired, but nobody was notified",)


def test_each_other_alertmanager_may_repeat_a_page_once(monkeypatch: pytest.MonkeyPatch) -> None:
    most = int(SYSTEM.doubled)
    outcome = judge(monkeypatch, counted=EXACT, fired=60, sent=1 + most)
    assert (outcome.doubled, outcome.problems) == (most, ())


def test_too_many_doubled_pages_break_the_promise_and_are_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    number = int(SYSTEM.doubled) + 2
    outcome = judge(monkeypatch, counted=EXACT, fired=60, sent=number)
    assert outcome.problems == ("3 notifications came again, at most 2 may",)
    fired, *sent = outcome.history[-1 - number :]
    assert fired.endswith(f"{LOST} fired in a Prometheus")
    assert all(line.endswith(f"ticket was sent: {LOST} is firing") for line in sent)


def test_the_results_name_the_seed_and_each_broken_promise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outcome = judge(monkeypatch, counted={**EXACT, "Query": 98})
    text = write_markdown(
        [outcome],
        [outcome],
        title="Results",
        command="make chaos-ha SEED=7",
        promises="A document",
        left_out=["clock ahead (needs libfaketime)"],
    )
    assert "Run it again: `make chaos-ha SEED=7`" in text
    assert "| kill: receive | 1 | 100 |" in text
    assert "- trial 0 (kill: receive-0): Query: randsvc: 2 of 100 responses" in text
    assert Outcome.from_json(outcome.to_json()) == outcome


# --------------------------------------------------------------------------------------- the layout

FAULTS = (
    # Long enough for an alert.
    Fault("kill", "receive-1", 0.5, LONG[0]),
    Fault("freeze", "otel-collector-0", 2, SHORT[1]),
)


@pytest.mark.usefixtures("programs")
def test_the_layout_keeps_its_promises_while_parts_of_it_break() -> None:
    with (
        SYSTEM.run() as chain,
        send_load(chain.users["randsvc"], chain.users["auth"], seed=1) as load,
        closing(Trials(SYSTEM, chain, load, report=print)) as trials,
    ):
        trials.settle()
        outcome = trials.run(0, FAULTS)
    assert outcome.problems == ()
    assert outcome.requests
    assert set(outcome.missing.values()) == {0}
    assert str(LOST) in outcome.sent
