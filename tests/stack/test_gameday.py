"""A game day of one incident on the real programs, from the first report to the page at the end."""

import asyncio
import json
import re
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from randsvc.gameday.journal import Journal, Planned, Setup
from randsvc.gameday.report import make_report
from randsvc.gameday.run import run_game_day
from randsvc.gameday.sequence import Incident, read_pool
from randsvc.incidents.stack_api import Addresses
from randsvc.stack.addresses import find_unused_ports
from randsvc.stack.programs import make_auth, make_randsvc, make_users
from randsvc.stack.run import run_stack
from randsvc.stack.supervisor import Stack

pytestmark = pytest.mark.native

FAST = {"OTEL_METRIC_EXPORT_INTERVAL": "1000"}


@pytest.fixture
def stack(programs: Path) -> Iterator[Stack]:
    services = (partial(make_randsvc, env=FAST), partial(make_auth, env=FAST), make_users)
    with run_stack(services=services, free_ports=True, interval="1s") as stack:
        yield stack


def test_a_game_day_is_played_scored_and_solved(stack: Stack, tmp_path: Path) -> None:
    pool = read_pool()
    burst = next(each for each in pool if each.name == "error-burst")
    sequence = [Incident(scenario=burst, kind="single", start=1, end=24)]
    planned = tuple(
        Planned(scenario=each.scenario.name, kind=each.kind, start=each.start, end=each.end)
        for each in sequence
    )
    setup = Setup(seed=1, minutes=25 / 60, hints=0, teams={"team-1": "secret"}, sequence=planned)
    journal = Journal.open(tmp_path, setup)
    # As if it was interrupted: to wait until a new stack is quiet would take half a minute.
    journal.start(time.time())
    addresses = Addresses(
        prometheus=stack.url("prometheus:9090"),
        alertmanager=stack.url("alertmanager:9093"),
        inbox=stack.url("inbox:9095"),
        service=stack.url("randsvc:8080"),
        management=stack.url("randsvc:9464"),
        auth_management=stack.url("auth:9465"),
    )
    (port,) = find_unused_ports(1)

    def report_it() -> None:
        while not journal.begun:
            time.sleep(0.1)
        form = {"began": "12:00", "level": "critical", "cause": "error-burst", "what": ""}
        body = urllib.parse.urlencode(form).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/teams/secret", body) as response:
            assert b"Half of the requests fail" in response.read()

    team = threading.Thread(target=report_it)
    team.start()
    asyncio.run(
        run_game_day(
            journal,
            sequence,
            pool,
            addresses,
            programs=stack,
            host="127.0.0.1",
            port=port,
            report=lambda line: None,
            progress=lambda elapsed: stack.check(),
        )
    )
    team.join()
    assert json.loads(stack.get("randsvc:9464", "/faults"))["on"] == {}
    titles = {each.name: each.title for each in pool}
    page = make_report(journal, sequence, titles, addresses, time.time()).to_html()
    assert re.search(r"team-1: (9\d|100) of 100 points, 1 of 1 incidents noticed, 0 false", page)
    assert re.search(r"On this game day it fired \d+ s after the start", page)
    assert page.count("<svg") == 4
    # Nothing that a browser would load, and no link of a team.
    assert "secret" not in page
    assert not re.search(r"(src|href)=\"(?!#)", page)
