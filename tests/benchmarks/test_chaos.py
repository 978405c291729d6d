"""Chaos: its faults, its books, what it asks of alerts, and that each promise can break."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler

from benchmarks.chaos import inject
from benchmarks.chaos.alerts import (
    AlertId,
    Episode,
    Inbox,
    Notification,
    find_unresolved,
    judge_alerts,
    read_times,
)
from benchmarks.chaos.books import (
    REQUESTS,
    Books,
    Kind,
    Window,
    compare,
    list_differences,
    send_load,
    settle,
)
from benchmarks.chaos.chain import EXPORT_INTERVAL, PROGRAMS, Chain, run_chain
from benchmarks.chaos.faults import KINDS, MACHINE, Fault, draw_faults, list_kinds
from benchmarks.chaos.footprint import Footprint, list_growth
from benchmarks.chaos.system import SYSTEM, find_required_alerts
from benchmarks.chaos.trial import SLACK, Event, Trials, find_windows
from randsvc.prometheus_api import Prometheus, Series
from randsvc.stack.supervisor import Stack
from tests.support.serving import serving

OK = Kind("randsvc", "200")
WRONG = Kind("randsvc", "404")
DOWN = AlertId("RandsvcServiceDown", "critical", "randsvc")
MUTED = AlertId("RandsvcRandomFailing", "critical", "randsvc")


def books(ok: int = 0, wrong: int = 0, unanswered: int = 0) -> Books:
    """Books with a response each second, from 1 on."""
    kinds = [OK] * ok + [WRONG] * wrong
    responses = [(float(at), kind) for at, kind in enumerate(kinds, start=1)]
    return Books(responses, Counter({"randsvc": unanswered}))


def event(kind: str, target: str, begin: float, end: float) -> Event:
    return Event(Fault(kind, target, 0, end - begin), begin, begin, end)


# ------------------------------------------------------------------------------------------ faults


def test_a_seed_and_a_trial_always_give_the_same_faults() -> None:
    assert draw_faults(1, 7, ["root"]) == draw_faults(1, 7, ["root"])
    assert [draw_faults(1, trial) for trial in range(9)] != [
        draw_faults(2, trial) for trial in range(9)
    ]


def test_every_kind_comes_once_before_one_comes_again() -> None:
    everything = ["root", "libfaketime"]
    for turn in range(3):
        trials = range(turn * len(KINDS), (turn + 1) * len(KINDS))
        first = [draw_faults(1, trial, everything)[0] for trial in trials]
        wanted = [kind.name for kind in KINDS]
        assert sorted(fault.kind for fault in first) == sorted(wanted)


def test_two_faults_befall_different_parts() -> None:
    for trial in range(300):
        targets = [fault.target for fault in draw_faults(3, trial, ["root", "libfaketime"])]
        assert len(set(targets)) == len(targets)
        assert len(targets) == 1 or MACHINE not in targets


def test_a_fault_that_the_machine_cannot_have_is_left_out() -> None:
    assert {kind.needs for kind in list_kinds([])} == {""}
    assert {kind.needs for kind in list_kinds(["root"])} == {"", "root"}


# ------------------------------------------------------------------------------------------- books


def test_books_that_agree_are_exact() -> None:
    balance = compare(books(ok=5, wrong=2), {OK: 5, WRONG: 2}, ())
    assert balance.is_exact
    assert (balance.requests, balance.counted) == (7, 7)


def test_a_response_that_was_not_counted_breaks_the_promise() -> None:
    balance = compare(books(ok=5), {OK: 4}, ())
    assert balance.problems == (
        "randsvc: 1 of 5 responses with status 200 were not counted, at most 0 may be missing",
    )


def test_a_response_that_was_counted_twice_breaks_the_promise() -> None:
    balance = compare(books(ok=5), {OK: 6}, ())
    assert balance.problems == (
        "randsvc: 1 requests were counted more than once, or with another status; 0 requests had "
        "no response",
    )


def test_a_response_that_was_counted_with_another_status_breaks_the_promise() -> None:
    assert len(compare(books(ok=5), {OK: 4, WRONG: 1}, ()).problems) == 2


def test_a_request_without_a_response_may_be_counted_or_not() -> None:
    for counted in ({OK: 5}, {OK: 6}, {OK: 5, Kind("randsvc", ""): 1}):
        assert compare(books(ok=5, unanswered=1), counted, ()).is_exact


def test_a_request_of_the_books_before_without_a_response_may_be_counted_late() -> None:
    assert compare(books(ok=5), {OK: 6}, (), earlier={"randsvc": 1}).is_exact
    assert compare(books(ok=5), {OK: 7}, (), earlier={"randsvc": 1}).problems
    assert compare(books(ok=5), {OK: 6}, (), earlier={"auth": 1}).problems


def test_as_many_may_be_missing_as_came_within_the_window() -> None:
    window = Window("randsvc", 4, 5)
    missing_two = compare(books(ok=5), {OK: 3}, [window])
    assert (missing_two.problems, missing_two.missing, missing_two.bound) == ((), 2, 2)
    assert compare(books(ok=5), {OK: 2}, [window]).problems
    assert compare(books(ok=5), {OK: 4}, [window._replace(job="auth")]).problems


def test_a_killed_process_may_lose_one_export_interval() -> None:
    (window,) = find_windows([event("kill", "randsvc", 100, 110)])
    assert window == Window("randsvc", 100 - EXPORT_INTERVAL - SLACK, 100 + SLACK)


@pytest.mark.parametrize("kind", ["freeze", "cut", "slow disk", "restart"])
def test_a_fault_that_kills_no_process_loses_nothing(kind: str) -> None:
    assert find_windows([event(kind, "randsvc", 100, 110)]) == []


def test_the_window_is_longer_while_nothing_could_be_handed_over() -> None:
    kill = event("kill", "randsvc", 100, 110)
    cut = event("cut", "randsvc to otel-collector", 90, 105)
    (window,) = find_windows([kill, cut])
    assert window.begin == 90 - 2 * EXPORT_INTERVAL - SLACK
    (window,) = find_windows([kill, event("cut", "randsvc to otel-collector", 60, 70)])
    assert window.begin == 100 - EXPORT_INTERVAL - SLACK


def test_when_everything_ends_what_was_not_scraped_may_be_missing() -> None:
    windows = find_windows([event("kill", MACHINE, 100, 110)])
    assert [window.job for window in windows] == ["randsvc", "auth"]
    assert {window.begin for window in windows} == {100 - 2 * EXPORT_INTERVAL - SLACK}


@pytest.mark.parametrize(
    ("failed", "expected"), [(3, ["stop", "start"]), (None, ["stop", "start"]), (0, [])]
)
def test_a_prometheus_whose_writes_failed_is_restarted_when_the_disk_has_space(
    monkeypatch: pytest.MonkeyPatch, failed: int | None, expected: list[str]
) -> None:
    done: list[str] = []

    @contextmanager
    def fill_disk(_: Path) -> Iterator[None]:
        yield
        done.append("space")

    monkeypatch.setattr(inject, "fill_disk", fill_disk)

    def get(*_: str) -> bytes:
        if failed is None:
            raise ConnectionRefusedError
        return f"prometheus_tsdb_wal_writes_failed_total {failed}".encode()

    stack = SimpleNamespace(
        get=get,
        stop=lambda _: done.append("stop"),
        start=lambda _: done.append("start"),
    )
    chain = Chain(cast("Stack", stack), {}, {}, Path())
    with inject.inject(chain, Fault("full disk", MACHINE, 0, 1), lambda: None):
        pass
    assert done == ["space", *expected]


def test_books_stay_open_while_a_request_without_a_response_may_be_counted() -> None:
    counts = iter([5, 5, 5])

    def count() -> dict[str, Counter[Kind]]:
        return {"prometheus": Counter({OK: next(counts, 6)})}

    seen, _ = settle(
        count,
        lambda _, counted: compare(books(ok=5, unanswered=1), counted, ()),
        within=5,
        stable_for=0.1,
        every=0.01,
    )
    assert seen["prometheus"][OK] == 6


async def keep_books(answer: Handler, *, requests: int) -> tuple[Books, int]:
    """Send at least so many requests, and return the books with the number that was served."""
    served = 0
    enough = asyncio.Event()

    async def serve(request: web.Request) -> web.StreamResponse:
        nonlocal served
        served += 1
        if served == requests:
            enough.set()
        return await answer(request)

    app = web.Application()
    app.router.add_route("*", "/{path}", serve)
    async with serving(app) as url:
        with send_load(str(url).rstrip("/"), str(url).rstrip("/"), seed=1) as load:
            await enough.wait()
            return await asyncio.to_thread(load.close_books), served


async def test_a_request_whose_connection_breaks_is_not_repeated() -> None:
    async def breaks(request: web.Request) -> web.Response:
        assert request.transport
        request.transport.abort()
        return web.Response()

    closed, served = await keep_books(breaks, requests=5)
    assert closed.unanswered.total() == served


def test_a_series_that_two_sources_count_differently_is_named() -> None:
    def source(**values: float) -> Prometheus:
        found = [Series({"instance": name}, [(0, value)]) for name, value in values.items()]
        return cast("Prometheus", SimpleNamespace(query=lambda _: found))

    sources = {"one": source(a=1, b=2, c=3), "two": source(a=1, b=3)}
    assert list_differences(sources, ["randsvc"], 60) == [
        f'{REQUESTS}{{instance="b"}}: 2 in one, 3 in two',
        f'{REQUESTS}{{instance="c"}}: 3 in one, None in two',
    ]


@pytest.mark.parametrize(
    ("answer", "counts"),
    [("text/html", False), ("application/problem+json", True)],
    ids=["of a balancer", "of a service"],
)
async def test_the_answer_of_a_balancer_is_no_response_of_a_service(
    answer: str, counts: bool
) -> None:
    async def fails(_: web.Request) -> web.Response:
        return web.Response(status=503, text="{}", content_type=answer)

    closed, _ = await keep_books(fails, requests=1)
    assert bool(closed.responses) == counts
    assert bool(closed.unanswered.total()) != counts


# ------------------------------------------------------------------------------------------ alerts


def notify(at: float, alert: AlertId, status: str = "firing") -> Notification:
    return Notification(at, "pager", ((alert, status),))


def judge(
    episodes: list[Episode],
    notifications: list[Notification],
    *,
    may_double: float = 0,
    may_forget: bool = False,
) -> tuple[str, ...]:
    return judge_alerts(
        episodes,
        notifications,
        required={DOWN: "kill: randsvc"},
        broken=(),
        times=read_times(),
        resend=60,
        may_double=may_double,
        may_forget=may_forget,
    ).problems


FIRED = [Episode(DOWN, 100, 130)]
SENT = [notify(105, DOWN), notify(135, DOWN, "resolved")]


def test_an_alert_that_fires_and_is_sent_once_keeps_the_promise() -> None:
    assert judge(FIRED, SENT) == ()


def test_an_alert_that_does_not_fire_is_missed() -> None:
    assert judge([], []) == (f"{DOWN} did not fire, but must (kill: randsvc)",)


def test_an_alert_that_nobody_is_notified_of_is_missed() -> None:
    assert judge(FIRED, []) == (f"{DOWN} fired, but nobody was notified",)


def test_an_alert_that_another_mutes_is_not_missed() -> None:
    assert judge([*FIRED, Episode(MUTED, 100, 130)], SENT) == ()


def test_a_notification_without_an_alert_breaks_the_promise() -> None:
    alone = AlertId("RandsvcServiceDown", "critical", "auth")
    assert judge(FIRED, [*SENT, notify(110, alone)]) == (
        f"{alone}: a notification came, but the alert did not fire",
    )
    assert judge(FIRED, [*SENT, notify(110, alone)], may_forget=True) == ()


@pytest.mark.parametrize(
    "sent",
    [
        [notify(105, DOWN), notify(115, DOWN)],
        [notify(105, DOWN), notify(110, DOWN, "resolved"), notify(115, DOWN)],
    ],
    ids=["repeated", "resolved between"],
)
def test_an_alert_that_is_sent_twice_breaks_the_promise(sent: list[Notification]) -> None:
    assert judge(FIRED, sent) == ("1 notifications came again, at most 0 may",)
    assert judge(FIRED, sent, may_double=1) == ()


def test_a_repetition_that_is_due_is_no_second_notification() -> None:
    assert judge([Episode(DOWN, 100, 180)], [notify(105, DOWN), notify(165, DOWN)]) == ()


def test_two_notifications_in_one_millisecond_are_two() -> None:
    def get(*_: str) -> str:
        return json.dumps(
            [
                {
                    "receiver": "pager",
                    "at": "2026-11-27T06:00:00.123+00:00",
                    "alerts": [{**DOWN._asdict(), "status": status}],
                }
                for status in ("resolved", "firing")
            ]
        )

    with closing(Inbox(cast("Stack", SimpleNamespace(get=get)))) as inbox:
        inbox.read()
        inbox.read()
        sent = [alerts for _, _, alerts in inbox.notifications]
    assert sent == [((DOWN, "firing"),), ((DOWN, "resolved"),)]


def test_an_alert_is_over_when_its_receiver_hears_so_of_it_or_of_its_whole_group() -> None:
    other = DOWN._replace(name="RandsvcTargetsLost")
    both = Notification(105, "pager", ((DOWN, "firing"), (other, "firing")))
    one_is_over = Notification(110, "pager", ((DOWN, "resolved"), (other, "firing")))
    assert find_unresolved([both]) == [DOWN, other]
    assert find_unresolved([both, one_is_over]) == [other]
    assert find_unresolved([both, notify(110, DOWN, "resolved")]) == []
    elsewhere = notify(110, DOWN._replace(service="elsewhere"), "resolved")
    assert find_unresolved([both, elsewhere]) == [DOWN, other]


def test_an_alert_that_fires_after_the_end_of_its_group_came_again() -> None:
    other = DOWN._replace(name="RandsvcTargetsLost")
    sent = [notify(105, DOWN), notify(110, other, "resolved"), notify(115, DOWN)]
    episodes = [*FIRED, Episode(other, 100, 105)]
    assert judge(episodes, sent) == ("1 notifications came again, at most 0 may",)


def test_a_long_outage_must_raise_its_alert_and_a_short_one_need_not() -> None:
    assert find_required_alerts([Fault("kill", "randsvc", 0, 16)]) == {DOWN: "kill: randsvc"}
    assert find_required_alerts([Fault("kill", "randsvc", 0, 5)]) == {}
    assert find_required_alerts([Fault("freeze", "otel-collector", 0, 16)]) == {}
    (alert,) = find_required_alerts([Fault("freeze", "otel-collector", 0, 24)])
    assert alert.name == "RandsvcCollectorDown"
    cut = Fault("cut", "prometheus to randsvc", 0, 16)
    assert find_required_alerts([cut]).keys() == {DOWN}
    assert find_required_alerts([cut, Fault("freeze", "prometheus", 0, 5)]) == {}


# --------------------------------------------------------------------------------------- footprint


def footprint(**changes: float) -> Footprint:
    of = {"memory": 100.0, "descriptors": 20, "processes": 1, "series": 1000}
    of |= changes
    return Footprint(
        memory=dict.fromkeys(PROGRAMS, of["memory"]),
        descriptors=dict.fromkeys(PROGRAMS, int(of["descriptors"])),
        processes=dict.fromkeys(PROGRAMS, int(of["processes"])),
        series=int(of["series"]),
    )


def test_a_footprint_that_returns_to_where_it_was_keeps_the_promise() -> None:
    assert list_growth(footprint(), footprint(memory=120, descriptors=25, series=1200)) == []


@pytest.mark.parametrize(
    ("grown", "said"),
    [
        ({"memory": 400.0}, "inbox takes 400 MB, and took 100 MB"),
        ({"descriptors": 90}, "inbox has 90 descriptors, and had 20"),
        ({"processes": 2}, "inbox has 2 processes, and had 1"),
        ({"series": 9000}, "the Collector serves 9000 series, and served 1000"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_footprint_that_stays_grown_breaks_the_promise(
    grown: dict[str, float], said: str
) -> None:
    assert list_growth(footprint(), footprint(**grown))[0] == said


# ---------------------------------------------------------------------------------------- the chain

FAULTS = (
    Fault("kill", "randsvc", 0.5, 18),
    # The alert fires meanwhile, and is sent again when Alertmanager can be reached.
    Fault("cut", "prometheus to alertmanager", 2, 9),
)


@pytest.mark.usefixtures("programs")
def test_the_chain_keeps_its_promises_while_parts_of_it_break() -> None:
    with (
        run_chain() as chain,
        send_load(chain.users["randsvc"], chain.users["auth"], seed=1) as load,
        closing(Trials(SYSTEM, chain, load, report=print)) as trials,
    ):
        trials.settle()
        outcome = trials.run(0, FAULTS)
    assert outcome.problems == ()
    assert outcome.requests
    assert str(DOWN) in outcome.sent
