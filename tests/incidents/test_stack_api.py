"""Silences, as Alertmanager has them."""

import aiohttp
import pytest
from aiohttp import web

from randsvc.incidents.stack_api import Addresses, Silence, StackApi
from tests.support.serving import serving

ALERT = {"alertname": "RandsvcRandomFailing", "level": "critical"}


@pytest.mark.parametrize(
    ("matcher", "mutes"),
    [
        (("alertname", "RandsvcRandomFailing", False, False), True),
        (("alertname", "RandsvcRandom", False, False), False),
        (("alertname", "Randsvc.*", True, False), True),
        (("alertname", "Randsvc", True, False), False),
        (("level", "critical", False, True), False),
        (("level", "minor|major", True, True), True),
        # What is not known of the alert does not exclude it.
        (("cluster", "a", False, False), True),
    ],
)
def test_a_silence_mutes_what_all_of_its_matchers_match(
    matcher: tuple[str, str, bool, bool], mutes: bool
) -> None:
    assert Silence("ada", "", 0, 1, (matcher,)).may_mute(ALERT) == mutes


@pytest.mark.parametrize("answer", [{"error": "x"}, [{"createdBy": "ada"}], None])
async def test_an_answer_that_is_not_of_alertmanager_is_unknown(answer: object) -> None:
    assert await get_silences(answer) is None


async def test_silences_are_read_with_their_times_and_matchers() -> None:
    found = await get_silences(
        [
            {
                "createdBy": "ada",
                "comment": "we know",
                "startsAt": "1970-01-01T00:01:00.500Z",
                "endsAt": "1970-01-01T00:02:00Z",
                "matchers": [{"name": "level", "value": "minor", "isRegex": False}],
            }
        ]
    )
    assert found == [Silence("ada", "we know", 60.5, 120.0, (("level", "minor", False, False),))]


async def get_silences(answer: object) -> list[Silence] | None:
    async def respond(_: web.Request) -> web.Response:
        return web.json_response(answer)

    app = web.Application()
    app.router.add_get("/api/v2/silences", respond)
    async with serving(app) as url, aiohttp.ClientSession() as session:
        base = str(url).rstrip("/")
        addresses = Addresses(
            prometheus=base,
            alertmanager=base,
            inbox=base,
            service=base,
            management=base,
            auth_management=base,
        )
        return await StackApi(session, addresses, timeout=10).get_silences()
