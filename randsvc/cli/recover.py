"""``randsvc recover`` and ``randsvc baseline``: distributions from monitoring alone."""

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

from cyclopts import App, Parameter
from cyclopts.validators import Number
from rich.console import Console
from rich.table import Table

from randsvc.cli.analysis import missing_package
from randsvc.cli.prometheus import PrometheusOptions
from randsvc.errors import ConfigurationError, RecoveryError
from randsvc.histograms import baseline_file, from_prometheus
from randsvc.histograms.binned import Binned
from randsvc.metrics import DELAY, VALUE
from randsvc.prometheus_api import (
    PrometheusError,
    format_matcher,
    format_selector,
    parse_matcher,
)
from randsvc.rules.golden_signals import NOT_FAILED
from randsvc.telemetry.catalogue import REQUEST_DURATION, Metric
from randsvc.times import parse_duration, parse_time

__all__ = ("baseline_app", "recover_app")

T = TypeVar("T")

SERVICE = "randsvc"
"""The service that is read unless --job names another one."""
ROUTE = "/random"
"""The route of that service whose latency is read unless --route names another one."""
OWN_METRICS: Mapping[str, tuple[Metric, str]] = {
    "value": (VALUE, "value"),
    "delay": (DELAY, "delay drawn (s)"),
    "latency": (REQUEST_DURATION, "latency (s)"),
}
"""The histograms that have a short name, with what a picture calls them."""
UNITS = {"seconds": "s", "milliseconds": "ms", "bytes": "By", "ratio": "1"}
"""The unit of a metric by the last word of its name, as Prometheus names metrics."""


@dataclass(frozen=True)
class _Histogram:
    """A histogram to read: ``label`` names the quantity and its unit for a person."""

    metric: str
    unit: str
    label: str
    matchers: Sequence[str]


@dataclass(frozen=True)
class _Reading:
    """What a histogram counted in ``window`` seconds up to ``end`` (Unix seconds)."""

    histogram: _Histogram
    prometheus: str
    binned: Binned
    end: float
    window: float


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ReadingOptions(PrometheusOptions):
    """Which series to read, and when."""

    window: str = "30m"
    """Length of the window, as a Prometheus duration such as 30m or 1h30m."""

    at: Annotated[str, Parameter(allow_leading_hyphen=True)] = "now"
    """End of the window: now, -7d, ISO 8601 (UTC if it has no time zone), or Unix seconds."""

    job: str | None = None
    """Service: the value of the label job. The default is randsvc for value, delay and latency, and
    any service for the name of a metric."""

    route: str | None = None
    """Route: the value of the label http_route, such as /clips/{id}. The default is /random for the
    latency of randsvc, and any route otherwise."""

    instance: tuple[str, ...] = ()
    """Only these instances. The default is all instances."""

    match: Annotated[tuple[str, ...], Parameter(negative="", consume_multiple=False)] = ()
    """Only series with this label, such as region=eu, code!=500 or handler=~"/clips/.*". Repeat the
    option for each label."""

    def read(self, what: str) -> _Reading:
        """Read a histogram; raises as ``from_prometheus.read``, and ``ConfigurationError``."""
        end = _parse("--at", self.at, lambda text: parse_time(text, now=time.time()))
        window = _parse("--window", self.window, parse_duration)
        histogram = self._histogram(what)
        server = self.connect()
        binned = from_prometheus.read(
            server, histogram.metric, histogram.matchers, end=end, window=window
        )
        return _Reading(histogram, server.shown_url, binned, end, window)

    def _histogram(self, what: str) -> _Histogram:
        if what in OWN_METRICS:
            metric, label = OWN_METRICS[what]
            matchers = self._matchers(self.job or SERVICE, latency=what == "latency")
            return _Histogram(metric.prometheus_name, metric.unit, label, matchers)
        name = re.sub(r"_(bucket|count|sum)$", "", what)
        unit = UNITS.get(name.rpartition("_")[2], "")
        return _Histogram(
            name, unit, f"{name} ({unit})" if unit else name, self._matchers(self.job)
        )

    def _matchers(self, job: str | None, *, latency: bool = False) -> list[str]:
        own_latency = latency and job == SERVICE
        found = [format_matcher("job", job)] if job else []
        if route := self.route or (ROUTE if own_latency else None):
            found.append(format_matcher("http_route", route))
        if own_latency:
            # Only what was served: a request that was turned away did not wait.
            found.append(format_matcher("http_response_status_code", "200"))
        if latency:
            # A failed request has a latency of its own.
            found.append(NOT_FAILED)
        if self.instance:
            any_of = "|".join(map(re.escape, self.instance))
            found.append(format_matcher("instance", any_of, "=~"))
        return found + [_parse("--match", text, parse_matcher) for text in self.match]


recover_app = App(
    name="recover",
    help="Recover a distribution from its histogram in Prometheus, with error bars.",
    help_format="plaintext",
    config=(),
)
baseline_app = App(
    name="baseline",
    help="Save a distribution as a small file that later ones are compared with.",
    help_format="plaintext",
    config=(),
)


What = Annotated[
    str,
    Parameter(
        help="value, delay (as drawn) or latency (of requests) of randsvc; latency of another "
        "--job; or the name of any native or classic histogram, such as "
        "http_client_duration_seconds."
    ),
]


@recover_app.default
def recover(
    what: What,
    *,
    options: ReadingOptions | None = None,
    json_: Annotated[
        bool, Parameter(name="--json", negative="", help="Print JSON instead of a picture.")
    ] = False,
    plot: Annotated[Path | None, Parameter(help="Draw a PNG there.")] = None,
) -> None:
    """Recover a distribution from its histogram in Prometheus, with error bars."""
    options = options or ReadingOptions()
    try:
        # Read before the extra is needed, so that a Prometheus that is down is reported first.
        _analyse(what, options.read(what), as_json=json_, plot=plot)
    except (PrometheusError, RecoveryError) as error:
        raise ConfigurationError(str(error)) from error


def _analyse(what: str, reading: _Reading, *, as_json: bool, plot: Path | None) -> None:
    try:
        from randsvc.recovery import plot as plots
        from randsvc.recovery import report
        from randsvc.recovery.recover import recover as recover_from
    except ModuleNotFoundError as error:
        raise missing_package(error, "recover") from None
    recovered = recover_from(reading.binned)
    histogram = reading.histogram
    if plot:
        try:
            plots.draw_png(recovered, plot, label=histogram.label)
        except ModuleNotFoundError as error:
            raise missing_package(error, "recover") from None
    if as_json:
        content = {
            "version": 1,
            "what": what,
            "metric": histogram.metric,
            "unit": histogram.unit,
            "prometheus": reading.prometheus,
            "selector": format_selector(histogram.metric, histogram.matchers),
            "end": report.format_utc(reading.end),
            "window_seconds": reading.window,
            **report.to_json(recovered),
        }
        Console(soft_wrap=True, highlight=False).print(
            json.dumps(content, indent=1, allow_nan=False), markup=False
        )
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(plots.draw_text(recovered), end="")
    console.print(report.to_text(recovered))
    if recovered.best:
        fit = recovered.best.fit
        # One line that an answer of the course, or an option of `randsvc serve`, takes as it is.
        console.print(f"{what}: {fit.family.describe(fit.values, 4)}", markup=False)
    if plot:
        console.print(f"Drawn in {plot}", markup=False)


@baseline_app.command(name="save")
def save_(
    what: What,
    file: Annotated[Path, Parameter(help="Where to save it.")],
    *,
    options: ReadingOptions | None = None,
    bins: Annotated[
        int | None,
        Parameter(
            help="Largest number of bins, with about equal counts. The default keeps every bucket.",
            validator=Number(gte=2, lte=200),
        ),
    ] = None,
) -> None:
    """Save the distribution of a histogram in a window, as a baseline file."""
    options = options or ReadingOptions()
    try:
        reading = options.read(what)
        histogram = reading.histogram
        kept = baseline_file.make_baseline(
            reading.binned,
            number=bins,
            metric=histogram.metric,
            unit=histogram.unit,
            source={
                "prometheus": reading.prometheus,
                "selector": format_selector(histogram.metric, histogram.matchers),
            },
            end=reading.end,
            window=reading.window,
        )
        baseline_file.save(kept, file)
    except (PrometheusError, RecoveryError) as error:
        raise ConfigurationError(str(error)) from error
    Console(highlight=False, soft_wrap=True).print(
        f"Saved {kept.count} values of {kept.metric} in {len(kept.bins)} bins to {file}",
        markup=False,
    )


@baseline_app.command
def show(file: Annotated[Path, Parameter(help="File of a baseline.")]) -> None:
    """Show the content of a baseline file."""
    try:
        kept = baseline_file.load(file)
    except RecoveryError as error:
        raise ConfigurationError(str(error)) from error
    console = Console(highlight=False, soft_wrap=True)
    until = datetime.fromtimestamp(kept.end, UTC).isoformat(timespec="seconds")
    console.print(
        f"{kept.count} values of {kept.metric} ({kept.unit}) in {kept.window:g} s until {until}",
        markup=False,
    )
    console.print(", ".join(f"{name}={value}" for name, value in kept.source.items()), markup=False)
    table = Table("from", "to", "count", "share", box=None)
    for bin_ in kept.bins:
        share = bin_.count / kept.count
        table.add_row(f"{bin_.lower:.6g}", f"{bin_.upper:.6g}", f"{bin_.count:.0f}", f"{share:.1%}")
    console.print(table)


def _parse(option: str, text: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise ConfigurationError(f"{option} is {text!r}: {error}") from None
