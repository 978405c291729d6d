"""Readings as a review has them, made by hand: two hours in windows of ten minutes, with a gap."""

import numpy as np

from randsvc.histograms.binned import Bin, Binned
from randsvc.histograms.windows import Labels
from randsvc.review.counts import Counts, Values
from randsvc.review.incidents import Incident
from randsvc.review.readings import Gauge, Mean, Readings
from randsvc.review.subject import load_subject
from randsvc.times import Span, cut

__all__ = ("GAP", "PERIOD", "nothing", "readings")

PERIOD = Span(1_780_000_800.0, 1_780_008_000.0)
GAP = Span(PERIOD.start + 3600, PERIOD.start + 4800)
_NOTHING = Gauge({}, {}, {})


def key(**labels: str) -> Labels:
    return frozenset(labels.items())


def readings() -> Readings:
    """Something of everything."""
    before = PERIOD.before()
    windows = (*cut(before, 600), *cut(PERIOD, 600, [GAP.start, GAP.end]))
    ones = np.ones(len(windows))

    def requests(job: str, route: str, status: str, each: Values) -> dict[Labels, Values]:
        labels = {"job": job, "http_route": route, "http_response_status_code": status}
        shares = {"0.05": 0.5, "0.25": 0.9, "0.5": 0.99, "1": 1.0, "+Inf": 1.0}
        return {key(**labels, le=le): each * share for le, share in shares.items()}

    values = Binned((Bin(40, 50, 30.0), Bin(50, 60, 30.0)), 3000.0)
    source = key(randsvc_source="model")
    return Readings(
        subject=load_subject(None, []),
        before=before,
        period=PERIOD,
        windows=windows,
        bin_=60.0,
        unrecorded=[GAP],
        unseen={"randsvc": [GAP], "auth": []},
        requests=Counts(
            windows,
            {
                **requests("randsvc", "/random", "200", 1000 * ones),
                **requests("randsvc", "/random", "500", 2 * ones),
                **requests("auth", "/login", "200", 100 * ones),
            },
        ),
        predictions=Counts(
            windows, {source: 990 * ones, key(randsvc_source="fallback"): 10 * ones}
        ),
        lag=Counts(windows, {key(le="0.001"): 90 * ones, key(le="+Inf"): 100 * ones}),
        feedback=Counts(windows, {key(randsvc_outcome="matched"): 50 * ones}),
        saturation=Gauge(
            {key(job="randsvc"): 20 * ones},
            {key(job="randsvc"): 40 * ones},
            {key(job="randsvc"): 0.7 * ones},
        ),
        probes=Gauge(
            {key(service="auth"): 39 * ones},
            {key(service="auth"): 40 * ones},
            {key(service="auth"): ones},
        ),
        values=[values] * len(windows),
        drift=Gauge(
            {key(randsvc_distribution="value", against="baseline"): 30 * ones},
            {key(randsvc_distribution="value", against="baseline"): 40 * ones},
            {key(randsvc_distribution="value", against="baseline"): 1.25 * ones},
        ),
        errors=Mean({source: 80 * ones}, {source: 50 * ones}),
        incidents=[
            Incident(
                "RandsvcRandomFailing",
                "critical",
                "randsvc",
                Span(PERIOD.start + 700, PERIOD.start + 1000),
                PERIOD.start + 640,
                "errors",
                cleared=True,
            ),
            # A name that a page must not take for markup.
            Incident(
                "<b>Odd|",
                "minor",
                "auth",
                Span(PERIOD.start - 700, PERIOD.start + 1000),
                None,
                None,
                cleared=False,
            ),
        ],
    )


def nothing() -> Readings:
    """A period of which Prometheus has no sample."""
    before = PERIOD.before()
    windows = (*cut(before, 600), *cut(PERIOD, 600))
    empty = Counts(windows, {})
    both = [Span(before.start, PERIOD.end)]
    return Readings(
        subject=load_subject(None, []),
        before=before,
        period=PERIOD,
        windows=windows,
        bin_=60.0,
        unrecorded=both,
        unseen={"randsvc": both, "auth": both},
        requests=empty,
        predictions=empty,
        lag=empty,
        feedback=empty,
        saturation=_NOTHING,
        probes=_NOTHING,
        values=[Binned()] * len(windows),
        drift=_NOTHING,
        errors=Mean({}, {}),
        incidents=[],
    )
