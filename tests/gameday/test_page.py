"""The page of the teams: what it takes, what it keeps, and what it does not tell."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from randsvc.gameday.journal import REPORT_LIMIT, Journal, Planned, Setup
from randsvc.gameday.page import HINTS, make_app
from randsvc.gameday.sequence import read_pool
from randsvc.incidents.stack_api import Addresses
from tests.support.serving import serving

POOL = read_pool()
STACK = "http://127.0.0.1:1"
ADDRESSES = Addresses(
    prometheus=STACK,
    alertmanager=STACK,
    inbox=STACK,
    service=STACK,
    management=STACK,
    auth_management=STACK,
)
SETUP = Setup(
    seed=5,
    minutes=45,
    hints=0,
    teams={"team-1": "one", "team-2": "two"},
    sequence=(
        Planned(scenario="auth-down", kind="overlapping", start=611, end=777),
        Planned(scenario="no-drift", kind="red herring", start=1234, end=1456),
    ),
)
FORM = {"began": "12:00:30", "level": "major", "cause": "auth-down", "what": "<b>no login</b>"}


class Page:
    def __init__(self, journal: Journal, session: aiohttp.ClientSession, url: str) -> None:
        self.journal = journal
        self.session = session
        self.url = url

    async def get(self, path: str = "teams/one") -> tuple[int, str]:
        async with self.session.get(f"{self.url}{path}") as response:
            return response.status, await response.text()

    async def post(self, path: str = "teams/one", **form: str) -> tuple[int, str]:
        async with self.session.post(f"{self.url}{path}", data={**FORM, **form}) as response:
            return response.status, await response.text()


@pytest.fixture
def setup() -> Setup:
    return SETUP


@pytest.fixture
async def page(tmp_path: Path, setup: Setup) -> AsyncIterator[Page]:
    journal = Journal.open(tmp_path, setup)
    journal.start(time.time() - 60)
    async with (
        serving(make_app(journal, POOL, ADDRESSES)) as url,
        aiohttp.ClientSession() as session,
    ):
        yield Page(journal, session, str(url).rstrip("/") + "/")


async def test_a_report_is_on_disk_and_on_the_page_of_its_team_alone(page: Page) -> None:
    status, text = await page.post()
    assert status == 200
    assert "&lt;b&gt;no login&lt;/b&gt;" in text
    assert "no login" not in (await page.get("teams/two"))[1]
    (kept,) = Journal.open(page.journal.file.parent, SETUP).reports
    assert (kept.team, kept.level, kept.cause) == ("team-1", "major", "auth-down")
    assert abs(kept.at - time.time()) < 60
    assert f"{datetime.fromtimestamp(kept.began, UTC):%H:%M:%S}" == "12:00:30"
    assert abs(kept.began - kept.at) <= 12 * 3600


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"level": ""}, "Choose a level."),
        ({"level": "terrible"}, "Choose a level."),
        ({"cause": "x"}, "Choose a cause."),
        ({"began": "25:00"}, "expected a time of day in UTC, such as 14:05"),
        ({"began": "<i>"}, "The time is &#39;&lt;i&gt;&#39;: expected"),
        ({"what": "x" * 2001}, "Your text has 2001 characters, expected 2000 or fewer."),
    ],
)
async def test_a_wrong_report_is_explained_and_what_was_typed_stays(
    page: Page, form: dict[str, str], expected: str
) -> None:
    status, text = await page.post(**{"what": "we see it", **form})
    assert status == 422
    assert expected in text
    assert form.get("what", "we see it") in text
    assert page.journal.reports == []


async def test_reports_are_taken_from_the_start_to_the_end_only(page: Page) -> None:
    for started, expected in ((None, "has not started"), (time.time() - 46 * 60, "is over")):
        page.journal.started = started
        status, text = await page.post()
        assert status == 422
        assert expected in text


async def test_a_team_cannot_fill_the_disk(page: Page) -> None:
    await page.post()
    page.journal.reports *= REPORT_LIMIT
    status, text = await page.post()
    assert status == 422
    assert "which is the limit" in text
    assert (await page.post("teams/two"))[0] == 200
    assert (await page.post(what="x" * 100_000))[0] == 413


async def test_an_unknown_link_and_a_form_of_another_site_are_refused(page: Page) -> None:
    assert (await page.get("teams/three"))[0] == 404
    assert (await page.post("teams/three"))[0] == 404
    async with page.session.post(
        f"{page.url}teams/one", data=FORM, headers={"Origin": "http://elsewhere.test"}
    ) as response:
        assert response.status == 403
    async with page.session.post(
        f"{page.url}teams/one", data=b"\xff", headers={"Content-Type": "multipart/form-data"}
    ) as response:
        assert response.status == 400
    assert page.journal.reports == []


@pytest.mark.parametrize("setup", [replace(SETUP, hints=hints) for hints in range(HINTS + 1)])
async def test_no_hint_tells_when_something_happens(page: Page, setup: Setup) -> None:
    page.journal.begin(0, time.time())
    before = (await page.get())[1]
    shown = before + (await page.get("teams/two"))[1] + (await page.get(""))[1]
    for planned in setup.sequence:
        assert str(planned.start) not in shown
        assert str(planned.end) not in shown
    assert "two" not in before
    page.journal.end(0, time.time())
    # Nothing but the clock differs from what the page said while the incident was on.
    after = (await page.get())[1]
    assert [
        (one, other)
        for one, other in zip(before.splitlines(), after.splitlines(), strict=True)
        if one != other and "loaded at" not in one and 'name="began"' not in one
    ] == []


@pytest.mark.parametrize(
    ("setup", "number"),
    [(replace(SETUP, hints=2), len(POOL)), (replace(SETUP, hints=3), 2 * len(SETUP.sequence))],
)
async def test_the_last_hint_shortens_the_list_of_causes(
    page: Page, setup: Setup, number: int
) -> None:
    text = (await page.get())[1]
    assert text.count("<li>") == setup.hints
    causes = [each.name for each in POOL if f'<option value="{each.name}"' in text]
    assert len(causes) == number
    assert {"auth-down", "no-drift"} <= set(causes)
