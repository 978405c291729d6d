"""The post-mortem of one incident; tests/stack/test_review.py counts with the real Prometheus."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from randsvc.errors import ConfigurationError
from randsvc.histograms.windows import Labels
from randsvc.incidents.scenario import AlertId
from randsvc.incidents.stack_api import Notification, Silence
from randsvc.review.counts import Counts, Values
from randsvc.review.incidents import Incident
from randsvc.review.post_mortem import Findings, choose_incident, make_post_mortem
from randsvc.review.subject import load_subject
from randsvc.times import Span, cut

START = 1_780_000_800.0  # 2026-05-28 20:40
PERIOD = Span(START, START + 3600)


def at(minutes: float) -> float:
    return START + minutes * 60


def incident(alert: str, level: str, begin: float, end: float) -> Incident:
    span = Span(at(begin), at(end))
    return Incident(alert, level, "randsvc", span, at(begin - 1), "errors", True, at(begin - 0.5))


FAILING = incident("RandsvcRandomFailing", "critical", 20, 30)
DRIFTED = incident("RandsvcValueShifted", "minor", 25, 40)


def key(**labels: str) -> Labels:
    return frozenset(labels.items())


def findings() -> Findings:
    around = Span(at(10), at(40))
    windows = cut(around, 60, [at(19), at(30)])

    def requests(windows: tuple[Span, ...], status: str, each: float) -> dict[Labels, Values]:
        ones = np.ones(len(windows))
        labels = {"job": "randsvc", "http_route": "/random", "http_response_status_code": status}
        shares = {"0.5": 0.99, "+Inf": 1.0}
        return {key(**labels, le=le): each * share * ones for le, share in shares.items()}

    failed = np.array([40.0 if Span(at(19), at(30)).covers(each) else 0.0 for each in windows])
    by_window = {**requests(windows, "200", 100), **requests(windows, "500", 1)}
    return Findings(
        subject=load_subject(None, ()),
        period=PERIOD,
        incident=FAILING,
        trouble=Span(at(19), at(30)),
        around=around,
        alerts=[FAILING, DRIFTED],
        faults={("randsvc", "errors"): [Span(at(19), at(29))]},
        requests=Counts(
            windows,
            {
                name: each * failed if "500" in dict(name).values() else each
                for name, each in by_window.items()
            },
        ),
        budget=Counts(
            (PERIOD,), {**requests((PERIOD,), "200", 9560), **requests((PERIOD,), "500", 440)}
        ),
        predictions=Counts(
            (Span(at(19), at(30)),),
            {
                key(job="randsvc", randsvc_source="model"): np.array([1000.0]),
                key(job="randsvc", randsvc_source="fallback"): np.array([100.0]),
            },
        ),
        notifications=[
            Notification(
                "pager",
                AlertId("RandsvcRandomFailing", "critical"),
                status,
                datetime.fromtimestamp(at(minutes), UTC),
            )
            for status, minutes in (("firing", 20.25), ("resolved", 30.5))
        ],
        silences=[Silence("ada", "we know", at(22), at(26), ())],
    )


def test_the_impact_is_in_whole_requests_and_in_error_budget() -> None:
    text = make_post_mortem(findings(), "http://prometheus", at(60)).to_markdown()
    # 11 minutes with 100 good and 40 bad requests; 0.5% of 10,000 may be bad.
    assert "| /random without error | 1,540 | 440 | 28.6% | 50 | 880% |" in text
    assert "440 of 1,540 requests were bad (/random without error): 880% of the error" in text
    assert "The fallback made 100 of 1,100 predictions." in text


def test_the_time_line_has_fault_alerts_notifications_silences_and_the_end() -> None:
    text = make_post_mortem(findings(), "http://prometheus", at(60)).to_markdown()
    events = [line.strip("| ").split(" | ") for line in text.splitlines() if line[:3] == "| 2"]
    assert events == [
        ["20:59:00", "The fault errors of randsvc is set."],
        ["20:59:30", "The condition of RandsvcRandomFailing (critical) holds."],
        ["21:00:00", "RandsvcRandomFailing (critical) fires."],
        [
            "21:00:15",
            "The receiver pager is notified: RandsvcRandomFailing (critical) is firing.",
        ],
        ["21:02:00", "A silence by ada begins: we know"],
        ["21:04:30", "The condition of RandsvcValueShifted (minor) holds."],
        ["21:05:00", "RandsvcValueShifted (minor) fires."],
        ["21:06:00", "The silence by ada ends."],
        ["21:09:00", "The fault errors of randsvc is seen for the last time."],
        ["21:10:00", "RandsvcRandomFailing (critical) fires for the last time."],
        [
            "21:10:30",
            "The receiver pager is notified: RandsvcRandomFailing (critical) is resolved.",
        ],
        ["21:20:00", "RandsvcValueShifted (minor) fires for the last time."],
    ]


def test_the_headings_of_the_template_are_left_to_people() -> None:
    page = make_post_mortem(findings(), "http://prometheus", at(60)).to_html()
    for heading in (
        "Root causes",
        "Trigger",
        "Resolution",
        "Detection",
        "Action items",
        "Lessons learned: what went well",
        "Lessons learned: what went wrong",
        "Lessons learned: where we got lucky",
        "Time line",
        "Supporting information",
    ):
        assert f">{heading}</h2>" in page
    assert page.count("To write:") >= 10
    assert "<svg" in page
    assert "src=" not in page
    assert "<script" not in page


def test_what_could_not_be_read_is_listed() -> None:
    unknown = replace(findings(), notifications=None, silences=None)
    text = make_post_mortem(unknown, "http://prometheus", at(60)).to_markdown()
    assert "- Notifications: not known, as the inbox did not respond." in text
    assert "- Silences: not known, as Alertmanager did not respond." in text
    assert "No notification" not in text
    none = replace(findings(), notifications=[])
    assert "No notification of it was seen." in make_post_mortem(none, "", at(60)).to_markdown()


def test_the_last_incident_of_the_highest_level_is_chosen() -> None:
    later = incident("RandsvcNobodyCanLogIn", "critical", 50, 55)
    found = [FAILING, DRIFTED, later]
    assert choose_incident(found, None, None) == later
    assert choose_incident(found, None, at(27)) == FAILING
    assert choose_incident(found, "RandsvcValueShifted", None) == DRIFTED


def test_an_incident_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(ConfigurationError) as refused:
        choose_incident([DRIFTED], "X", at(1))
    assert str(refused.value) == (
        "no incident in the period with --alert X --at 2026-05-28 20:41; incidents in the period: "
        "RandsvcValueShifted (minor) at 2026-05-28 21:05"
    )
    with pytest.raises(ConfigurationError, match=r"incidents in the period: none$"):
        choose_incident([], None, None)
