"""All that a review reads of its period and of the period before."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from randsvc.histograms.binned import EMPTY, Bin, Binned
from randsvc.histograms.from_prometheus import parse_bound, to_binned
from randsvc.histograms.windows import Labels, WindowReader
from randsvc.metrics import FEEDBACK, FEEDBACK_ABSOLUTE_ERROR, PREDICTIONS, VALUE
from randsvc.prometheus_api import Prometheus, format_matcher, format_selector
from randsvc.review import counts, incidents
from randsvc.review.counts import Counts, Values
from randsvc.review.incidents import Incident
from randsvc.review.runs import choose_resolution, find_resolution, find_runs
from randsvc.review.spans import choose_window_length, find_gaps, measure_overlap
from randsvc.review.subject import Subject
from randsvc.telemetry.catalogue import CONCURRENCY_LIMIT, EVENT_LOOP_LAG
from randsvc.times import Span, cut

__all__ = ("Gauge", "Mean", "Readings", "View", "count_queries", "read")

SATURATION = "job:http_server_active_requests_per_limit:ratio"
"""Recorded by randsvc/rules/golden_signals.py."""
DRIFT = tuple(
    f"job_distribution_window_against:drift_{distance}_per_floor:ratio" for distance in ("ks", "d1")
)
"""Recorded distances of a distribution, divided by the distance that chance explains. The first is
preferred, as it takes the order of the bins into account."""

_DAY = 86_400.0


@dataclass(frozen=True)
class Gauge:
    """A gauge by window: sum, number and maximum of its samples; NaN without samples."""

    total: Mapping[Labels, Values]
    samples: Mapping[Labels, Values]
    greatest: Mapping[Labels, Values]


@dataclass(frozen=True)
class Mean:
    """Sum and number of the observations of a histogram, by window."""

    total: Mapping[Labels, Values]
    number: Mapping[Labels, Values]


@dataclass(frozen=True, kw_only=True)
class Readings:
    """``windows`` are those of the period before, then those of the period; figures follow them.

    ``unrecorded`` is when Prometheus had no sample of anything, ``unseen`` when it had none of a
    service, both longer than ``bin_`` seconds. ``alerting`` is whether Prometheus evaluated
    alerting rules, ``unclassified`` are the alerts that fired without a level.
    """

    subject: Subject
    before: Span
    period: Span
    windows: tuple[Span, ...]
    bin_: float
    unrecorded: Sequence[Span]
    unseen: Mapping[str, Sequence[Span]]
    requests: Counts
    predictions: Counts
    lag: Counts
    feedback: Counts
    saturation: Gauge
    probes: Gauge
    values: Sequence[Binned]
    drift: Gauge
    errors: Mean
    incidents: Sequence[Incident]
    alerting: bool = True
    unclassified: Sequence[str] = ()


@dataclass(frozen=True)
class View:
    """The readings of one of the two periods."""

    readings: Readings
    span: Span

    @property
    def part(self) -> slice:
        """The slice of its windows."""
        inside = [i for i, each in enumerate(self.readings.windows) if self.span.covers(each)]
        return slice(inside[0], inside[-1] + 1)

    @property
    def windows(self) -> tuple[Span, ...]:
        """Its windows."""
        return self.readings.windows[self.part]

    @property
    def unrecorded(self) -> list[Span]:
        """The gaps in which Prometheus has no data of anything."""
        return _clip_holes(self.readings.unrecorded, self.span)

    @property
    def subject(self) -> Subject:
        """What is reviewed."""
        return self.readings.subject

    def unseen(self, service: str) -> list[Span]:
        """The gaps in which Prometheus has no data of a service."""
        return _clip_holes(self.readings.unseen[service], self.span)

    def seen(self, service: str) -> float:
        """Seconds for which there are data of a service."""
        return self.span.seconds - measure_overlap(self.span, self.readings.unseen[service])

    def in_sight(self, service: str) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        """Whether there are data of a service, by window."""
        holes = self.readings.unseen[service]
        return np.array([not any(hole.covers(each) for hole in holes) for each in self.windows])

    def recorded(self) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        """Whether there are any data for most of the window, by window."""
        dark = self.readings.unrecorded
        return np.array([measure_overlap(each, dark) < each.seconds / 2 for each in self.windows])

    def of(self, figures: Values) -> Values:
        """The figures of its windows, which are the last axis."""
        return figures[..., self.part]

    def rates(self, figures: Values, service: str) -> Values:
        """Rate per second by window; NaN where there are no data of the service."""
        seconds = np.array([window.seconds for window in self.windows])
        return np.where(self.in_sight(service), self.of(figures) / seconds, np.nan)

    @property
    def incidents(self) -> list[Incident]:
        """The incidents that began in the period."""
        ends = self.span
        return [i for i in self.readings.incidents if ends.start <= i.span.start < ends.end]


def count_queries(subject: Subject) -> int:
    """How many times every window is read: what a progress bar needs to know."""
    presence = 1 + 2 * len(subject.jobs)
    counters, gauges, means, values = 4 * 3, 3 * 3, 2, 2
    return presence + counters + gauges + means + values + incidents.QUERIES


def read(
    server: Prometheus,
    subject: Subject,
    period: Span,
    *,
    begin: Callable[[str], None],
    seen: Callable[[float], None],
) -> Readings:
    """Read; ``begin`` gets what is read next, ``seen`` the seconds of windows that were read.

    Raises ``PrometheusError``.
    """
    reader = WindowReader(server, seen)
    before = period.before()
    both = Span(before.start, period.end)
    begin("gaps in the data")
    presence = {job: _read_presence(reader, subject, job, period) for job in subject.jobs}
    bin_ = max(each.bin_ for each in presence.values())
    unrecorded = _find_holes(reader, "up", both, bin_)
    unseen = {
        job: _find_holes(reader, each.selector, both, bin_, each.least)
        for job, each in presence.items()
    }
    length = choose_window_length(period, bin_)
    holes = [hole for each in unseen.values() for hole in each]
    borders = [time for hole in holes for time in (hole.start, hole.end)]
    windows = tuple(w for span in (before, period) for w in cut(span, length, borders, least=bin_))
    main = format_matcher("job", subject.main_job)

    def count(what: str, selector: str) -> Counts:
        begin(what)
        return counts.read(reader, selector, windows)

    requests = count("requests", subject.buckets)
    predictions = count("predictions", format_selector(PREDICTIONS.prometheus_name, [main]))
    lag = count(
        "the event loop", format_selector(f"{EVENT_LOOP_LAG.prometheus_name}_bucket", [main])
    )
    feedback = count("feedback", format_selector(FEEDBACK.prometheus_name, [main]))
    begin("saturation and probes")
    saturation = _read_gauge(
        reader, [format_selector(SATURATION, [subject.matcher])], "job", windows
    )
    probes = _read_gauge(reader, ['probe_success{job="blackbox"}'], "service", windows)
    begin("values and their drift")
    recorded = [format_selector(name, [main]) for name in DRIFT]
    drift = _read_gauge(reader, recorded, "randsvc_distribution, against", windows)
    values = _read_values(reader, main, windows)
    begin("errors of the model")
    name = FEEDBACK_ABSOLUTE_ERROR.prometheus_name
    errors = _read_mean(reader, name, main, "randsvc_source", windows)
    begin("incidents")
    # An alert that fired when the period began had begun before.
    found = incidents.read(reader, subject, Span(both.start - _DAY, both.end), bin_, unrecorded)
    return Readings(
        subject=subject,
        before=before,
        period=period,
        windows=windows,
        bin_=bin_,
        unrecorded=unrecorded,
        unseen=unseen,
        requests=requests,
        predictions=predictions,
        lag=lag,
        feedback=feedback,
        saturation=saturation,
        probes=probes,
        values=values,
        drift=drift,
        errors=errors,
        incidents=found.incidents,
        alerting=found.alerting,
        unclassified=found.unclassified,
    )


@dataclass(frozen=True)
class _Presence:
    """The series whose samples of ``least`` or more show that a service is seen."""

    selector: str
    least: float
    bin_: float


def _read_presence(reader: WindowReader, subject: Subject, job: str, period: Span) -> _Presence:
    """The first of three series that Prometheus has of a service.

    Its limit of concurrent requests is there before the first request. A service that is not ours
    has ``up`` if Prometheus scrapes it, and what is pushed has at least its counted requests.
    """
    matchers = [format_matcher("job", job)]
    candidates = (
        (format_selector(CONCURRENCY_LIMIT.prometheus_name, matchers), -np.inf),
        (format_selector("up", matchers), 1.0),
        (format_selector(f"{subject.metric}_count", matchers), -np.inf),
    )
    quiet = WindowReader(reader.server)
    for selector, least in candidates:
        bin_ = find_resolution(quiet, selector, period)
        if bin_ is not None:
            reader.read(period.seconds)
            return _Presence(selector, least, bin_)
    reader.read(period.seconds)
    selector, least = candidates[0]
    return _Presence(selector, least, choose_resolution(period))


def _find_holes(
    reader: WindowReader, selector: str, span: Span, bin_: float, least: float = -np.inf
) -> list[Span]:
    there = find_runs(reader, selector, span, bin_, least=least).get(frozenset(), [])
    return find_gaps(span, there, longer=bin_)


def _clip_holes(holes: Sequence[Span], span: Span) -> list[Span]:
    clipped = (Span(max(h.start, span.start), min(h.end, span.end)) for h in holes)
    return [each for each in clipped if each.start < each.end]


def _read_gauge(
    reader: WindowReader, selectors: Sequence[str], by: str, windows: Sequence[Span]
) -> Gauge:
    """Of each series by the first of the selectors that has it."""

    def of(aggregate: str, function: str) -> Mapping[Labels, Values]:
        def promql(window: str) -> str:
            each = (f"{function}_over_time({selector}[{window}])" for selector in selectors)
            return f"{aggregate} by ({by}) ({' or '.join(each)})"

        return _by_window(reader, promql, windows)

    return Gauge(of("sum", "sum"), of("sum", "count"), of("max", "max"))


def _read_mean(
    reader: WindowReader, metric: str, matcher: str, by: str, windows: Sequence[Span]
) -> Mean:
    """Of a native histogram, else of a classic one; both extrapolate alike, so means are right."""

    def of(what: str) -> Mapping[Labels, Values]:
        return _by_window(
            reader,
            lambda w: (
                f"histogram_{what}(sum by ({by}) (increase({metric}{{{matcher}}}[{w}])))"
                f" or sum by ({by}) (increase({metric}_{what}{{{matcher}}}[{w}]))"
            ),
            windows,
        )

    return Mean(of("sum"), of("count"))


def _by_window(
    reader: WindowReader, promql: Callable[[str], str], windows: Sequence[Span]
) -> dict[Labels, Values]:
    found: dict[Labels, Values] = {}
    for answer in reader.each(promql, windows):
        each = found.setdefault(answer.labels, np.full(len(windows), np.nan))
        each[answer.window] = answer.value
    return found


def _read_values(reader: WindowReader, matcher: str, windows: Sequence[Span]) -> list[Binned]:
    """How the values lie by window: native histograms, or else explicit buckets."""
    name = VALUE.prometheus_name
    found = [EMPTY] * len(windows)
    increases = reader.each_series(
        lambda window: f"sum (increase({name}{{{matcher}}}[{window}]))", windows
    )
    for series, index_of in increases:
        for time, histogram in series.histograms:
            found[index_of(time)] = to_binned(histogram)
    if any(each.bins for each in found):
        reader.read(sum(window.seconds for window in windows))
        return found
    below = _by_window(
        reader, lambda w: f"sum by (le) (increase({name}_bucket{{{matcher}}}[{w}]))", windows
    )
    edges = sorted((parse_bound(dict(key).get("le", "")), key) for key in below)
    lower, upto = -np.inf, np.zeros(len(windows))
    for upper, key in edges:
        rising = np.nan_to_num(below[key])
        for index, count in enumerate(rising - upto):
            if count > 0:
                found[index] += Binned((Bin(lower, upper, count),), None)
        lower, upto = upper, rising
    return found
