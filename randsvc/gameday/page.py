"""The page of a team: what is known, the form for a report, and its reports so far.

It tells nothing of the sequence before the end but what the hints say.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from randsvc.gameday.journal import NO_INCIDENT, REPORT_LIMIT, Journal, Report
from randsvc.incidents.scenario import Scenario
from randsvc.incidents.stack_api import Addresses
from randsvc.levels import LEVELS
from randsvc.management.access import protect
from randsvc.review.page import make_environment

__all__ = ("HINTS", "make_app", "make_hints")

HINTS = 3
"""How many hints there are."""
BODY_LIMIT = 64 * 1024
"""Bytes of a report."""
TEXT_LIMIT = 2000
"""Characters of what a team writes."""
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)


def make_app(journal: Journal, causes: Sequence[Scenario], addresses: Addresses) -> web.Application:
    """Make the application; ``causes`` are what teams can choose from."""
    teams = {secret: name for name, secret in journal.setup.teams.items()}
    template = make_environment("randsvc.gameday").get_template("team.html.j2")
    hints = make_hints(journal, causes)[: journal.setup.hints]
    offered = _offer(journal, causes)

    def respond(team: str, typed: Mapping[str, str], problem: str, status: int) -> web.Response:
        now = time.time()
        reports = [each for each in journal.reports if each.team == team]
        text = template.render(
            team=team,
            state=_find_state(journal, now),
            begin=_clock(journal.started),
            end=_clock(journal.started and journal.started + journal.seconds),
            now=_clock(now),
            minutes=f"{journal.setup.minutes:g}",
            hints=hints,
            levels=LEVELS,
            no_incident=NO_INCIDENT,
            causes=offered,
            links={
                "Prometheus": addresses.prometheus,
                "Alertmanager": addresses.alertmanager,
                "Notifications": addresses.inbox,
                "Service": f"{addresses.service}/random",
            },
            reports=[_describe(each, offered) for each in reversed(reports)],
            typed={"began": "", "level": "", "cause": "", "what": "", **typed},
            problem=problem,
        )
        return web.Response(
            text=text,
            status=status,
            content_type="text/html",
            headers={
                "Content-Security-Policy": POLICY,
                # With no-referrer a browser would hide the origin of the form, which is checked.
                "Referrer-Policy": "same-origin",
            },
        )

    def find_team(request: web.Request) -> str:
        name = teams.get(request.match_info["secret"])
        if name is None:
            raise web.HTTPNotFound(text="no team has this link: ask your teacher for yours\n")
        return name

    async def show(request: web.Request) -> web.Response:
        return respond(find_team(request), {"began": _clock(time.time())}, "", 200)

    async def take(request: web.Request) -> web.Response:
        team = find_team(request)
        now = time.time()
        try:
            form = {name: str(value) for name, value in (await request.post()).items()}
        except (ValueError, LookupError):
            raise web.HTTPBadRequest(text="the body is not the form of this page\n") from None
        try:
            report = _read(form, team, now, offered)
            _expect_open(journal, team, now)
        except ValueError as error:
            # What was typed stays in the form.
            return respond(team, form, str(error), 422)
        journal.add(report)
        raise web.HTTPSeeOther(f"/teams/{request.match_info['secret']}")

    async def greet(request: web.Request) -> web.Response:
        return web.Response(text="A game day. Open the link of your team.\n")

    app = web.Application(client_max_size=BODY_LIMIT, middlewares=[protect(())])
    app.router.add_get("/", greet)
    app.router.add_get("/teams/{secret}", show)
    app.router.add_post("/teams/{secret}", take)
    return app


def make_hints(journal: Journal, causes: Sequence[Scenario]) -> list[str]:
    """Give all hints, the smallest first; none tells when something happens."""
    by_name = {each.name: each for each in causes}
    levels = Counter(by_name[each.scenario].level for each in journal.setup.sequence)
    herrings = levels.pop(None, 0)
    overlapping = sum(each.kind == "overlapping" for each in journal.setup.sequence)
    by_level = ", ".join(f"{levels[level]} {level}" for level in LEVELS if levels[level])
    return [
        f"Incidents: {levels.total()}, of which {overlapping} overlap with another one. Red "
        f"herrings: {herrings}.",
        f"The levels of the incidents: {by_level}.",
        "The list of causes below has only those that occur, and as many that do not.",
    ]


def _offer(journal: Journal, causes: Sequence[Scenario]) -> dict[str, str]:
    """The titles of the causes by their names, in alphabetical order."""
    titles = {each.name: each.title for each in causes}
    if journal.setup.hints >= HINTS:
        occur = {each.scenario for each in journal.setup.sequence}
        others = sorted(titles.keys() - occur)[: len(occur)]
        titles = {name: title for name, title in titles.items() if name in occur or name in others}
    return dict(sorted(titles.items(), key=lambda item: item[1].lower()))


def _find_state(journal: Journal, now: float) -> str:
    if journal.started is None:
        return "waiting"
    return "running" if now < journal.started + journal.seconds else "over"


def _expect_open(journal: Journal, team: str, now: float) -> None:
    match _find_state(journal, now):
        case "waiting":
            raise ValueError("The game day has not started yet.")
        case "over":
            raise ValueError("The game day is over.")
    if sum(each.team == team for each in journal.reports) >= REPORT_LIMIT:
        raise ValueError(f"Your team has sent {REPORT_LIMIT} reports, which is the limit.")


def _read(form: Mapping[str, str], team: str, now: float, offered: Mapping[str, str]) -> Report:
    """Read a report; raises ``ValueError`` with a sentence for the team."""
    level, cause = form.get("level", ""), form.get("cause", "")
    if level not in (*LEVELS, NO_INCIDENT):
        raise ValueError("Choose a level.")
    if cause not in offered:
        raise ValueError("Choose a cause.")
    what = "".join(c if c.isprintable() else " " for c in form.get("what", "")).strip()
    if len(what) > TEXT_LIMIT:
        raise ValueError(f"Your text has {len(what)} characters, expected {TEXT_LIMIT} or fewer.")
    return Report(
        team=team,
        at=now,
        began=_parse_clock(form.get("began", ""), now),
        level=level,
        cause=cause,
        what=what.encode(errors="replace").decode(),
    )


def _parse_clock(text: str, now: float) -> float:
    """The Unix time of a time of day in UTC, on the day on which it is nearest to now."""
    today = datetime.fromtimestamp(now, UTC)
    try:
        clock = datetime.strptime(text.strip(), "%H:%M:%S" if text.count(":") == 2 else "%H:%M")
    except ValueError:
        raise ValueError(
            f"The time is {text[:20]!r}: expected a time of day in UTC, such as 14:05 or 14:05:30."
        ) from None
    at = datetime.combine(today.date(), clock.time(), UTC)
    days = (at + timedelta(days=shift) for shift in (-1, 0, 1))
    return min((each.timestamp() for each in days), key=lambda each: abs(each - now))


def _describe(report: Report, offered: Mapping[str, str]) -> dict[str, Any]:
    level = "no incident" if report.level == NO_INCIDENT else report.level
    return {
        "at": _clock(report.at),
        "began": _clock(report.began),
        "level": level,
        "cause": offered.get(report.cause, report.cause),
        "what": report.what,
    }


def _clock(at: float | None) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S}" if at is not None else ""
