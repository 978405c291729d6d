"""``randsvc recover`` and ``randsvc baseline``: distributions from monitoring alone."""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter
from cyclopts.validators import Number
from rich.console import Console
from rich.table import Table

from randsvc import times
from randsvc.errors import ConfigurationError, RecoveryError
from randsvc.histograms import baseline_file, from_prometheus
from randsvc.histograms.binned import Binned
from randsvc.prometheus_api import Prometheus, PrometheusError
from randsvc.telemetry.catalogue import DELAY, REQUEST_DURATION, VALUE, Metric

__all__ = ("baseline_app", "recover_app")

What = Literal["value", "delay", "latency"]


@dataclass(frozen=True)
class _Quantity:
    metric: Metric
    label: str
    matchers: Mapping[str, str]


QUANTITIES: Mapping[What, _Quantity] = {
    "value": _Quantity(VALUE, "value", {}),
    "delay": _Quantity(DELAY, "delay drawn (s)", {}),
    # Only what was served: what was refused did not wait.
    "latency": _Quantity(
        REQUEST_DURATION,
        "duration of requests (s)",
        {"http_route": "/random", "http_response_status_code": "200"},
    ),
}


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Source:
    """Where to read, and when."""

    prometheus: Annotated[str, Parameter(env_var="PROMETHEUS_URL")] = "http://127.0.0.1:9090"
    """URL of Prometheus."""

    window: str = "30m"
    """How far back, as a Prometheus duration such as 30m or 1h30m."""

    at: Annotated[str, Parameter(allow_leading_hyphen=True)] = "now"
    """The end of the window: now, -7d, ISO 8601 (UTC where it has no zone), or Unix seconds."""

    job: str = "randsvc"
    """The service, as Prometheus calls it."""

    instance: tuple[str, ...] = ()
    """Only these instances; all where there is none."""

    def matchers(self, what: What) -> dict[str, str]:
        """The regular expressions that labels have to match."""
        found = {"job": _escaped(self.job), **QUANTITIES[what].matchers}
        if self.instance:
            found["instance"] = "|".join(_escaped(each) for each in self.instance)
        return found

    def read(self, what: What) -> tuple[Binned, float, float]:
        """What was counted, the end of the window (Unix seconds) and its length (seconds)."""
        end, window = _end(self.at), _window(self.window)
        metric = QUANTITIES[what].metric.prometheus_name
        binned = from_prometheus.read(
            Prometheus(self.prometheus), metric, self.matchers(what), end=end, window=window
        )
        return binned, end, window


recover_app = App(
    name="recover",
    help="Recover a distribution from its histogram in Prometheus, with error bars.",
    help_format="plaintext",
    config=(),
)
baseline_app = App(
    name="baseline",
    help="Keep a distribution as a small file that later ones are compared with.",
    help_format="plaintext",
    config=(),
)


@recover_app.default
def recover(
    what: Annotated[What, Parameter(help="Value, delay that was drawn, or latency of requests.")],
    *,
    source: Source | None = None,
    json_: Annotated[
        bool, Parameter(name="--json", negative="", help="Print JSON instead of a picture.")
    ] = False,
    plot: Annotated[Path | None, Parameter(help="Draw a PNG there.")] = None,
) -> None:
    """Recover a distribution from its histogram in Prometheus, with error bars."""
    source = source or Source()
    try:
        # Before the extra is needed: who cannot reach Prometheus is told so first.
        binned, end, window = source.read(what)
        _analyse(what, source, binned, end, window, as_json=json_, plot=plot)
    except (PrometheusError, RecoveryError) as error:
        raise ConfigurationError(str(error)) from error


def _analyse(
    what: What,
    source: Source,
    binned: Binned,
    end: float,
    window: float,
    *,
    as_json: bool,
    plot: Path | None,
) -> None:
    try:
        from randsvc.recovery import plot as plots
        from randsvc.recovery import report
        from randsvc.recovery.recover import recover as recovered_from
    except ModuleNotFoundError as error:
        raise _missing(error) from None
    recovered = recovered_from(binned)
    quantity = QUANTITIES[what]
    if plot:
        try:
            plots.as_png(recovered, plot, label=quantity.label)
        except ModuleNotFoundError as error:
            raise _missing(error) from None
    if as_json:
        content = {
            "version": 1,
            "what": what,
            "metric": quantity.metric.prometheus_name,
            "unit": quantity.metric.unit,
            "prometheus": source.prometheus,
            "matchers": source.matchers(what),
            "end": report.utc(end),
            "window_seconds": window,
            **report.as_json(recovered),
        }
        Console(soft_wrap=True, highlight=False).print(
            json.dumps(content, indent=1, allow_nan=False), markup=False
        )
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(plots.in_terminal(recovered), end="")
    console.print(report.as_text(recovered))
    if plot:
        console.print(f"drawn in {plot}", markup=False)


@baseline_app.command(name="save")
def save_(
    what: Annotated[What, Parameter(help="Value, delay that was drawn, or latency of requests.")],
    file: Annotated[Path, Parameter(help="Where to keep it.")],
    *,
    source: Source | None = None,
    bins: Annotated[
        int | None,
        Parameter(
            help="Equiprobable bins, at most; unset, every bucket is kept.",
            validator=Number(gte=2, lte=200),
        ),
    ] = None,
) -> None:
    """Keep what was counted in a window."""
    source = source or Source()
    metric = QUANTITIES[what].metric
    try:
        binned, end, window = source.read(what)
        kept = baseline_file.made(
            binned,
            number=bins,
            metric=metric.prometheus_name,
            unit=metric.unit,
            source={"prometheus": source.prometheus, **source.matchers(what)},
            end=end,
            window=window,
        )
        baseline_file.save(kept, file)
    except (PrometheusError, RecoveryError) as error:
        raise ConfigurationError(str(error)) from error
    Console(highlight=False, soft_wrap=True).print(
        f"{kept.count} values of {kept.metric} in {len(kept.bins)} bins, kept in {file}",
        markup=False,
    )


@baseline_app.command
def show(file: Annotated[Path, Parameter(help="What was saved.")]) -> None:
    """Tell what is in a file."""
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


def _missing(error: ModuleNotFoundError) -> ConfigurationError:
    package = str(error.name).partition(".")[0]
    return ConfigurationError(
        f"{package} is missing, which recovering needs: pip install 'randsvc[analysis]'"
    )


def _window(text: str) -> float:
    try:
        return times.seconds(text)
    except ValueError as error:
        raise ConfigurationError(f"--window is {text!r}: {error}") from None


def _end(text: str) -> float:
    try:
        return times.moment(text, now=time.time())
    except ValueError as error:
        raise ConfigurationError(f"--at is {text!r}: {error}") from None


def _escaped(text: str) -> str:
    return re.sub(r"([.+*?^$()\[\]{}|\\])", r"\\\1", text)
