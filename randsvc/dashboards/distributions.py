"""The distributions of the value and of the delay, as monitoring alone shows them."""

from randsvc.dashboards.colours import PERCENTILES
from randsvc.dashboards.panels import (
    Choice,
    Dashboard,
    Panel,
    Query,
    Row,
    draw_bars,
    draw_heatmap,
    draw_lines,
    show_number,
)
from randsvc.metrics import DELAY, VALUE
from randsvc.rules.golden_signals import DISTRIBUTION_QUANTILES, DISTRIBUTION_WINDOW, JOB
from randsvc.telemetry.catalogue import Metric

WINDOW = f"the last {DISTRIBUTION_WINDOW}"
EARLIER = "$earlier"
"""How long ago the window ended that now is compared with."""
CHANCE = 1.358
"""Times the root of the sum of 1/n: a wider gap between two cdfs is 1 in 20, without a difference.

https://en.wikipedia.org/wiki/Kolmogorov%E2%80%93Smirnov_test#Two-sample_Kolmogorov%E2%80%93Smirnov_test
"""


def make_dashboard() -> Dashboard:
    """Give the dashboard: the same panels for both, from the recorded rules."""
    return Dashboard(
        uid="randsvc-distributions",
        title="Distributions",
        description=f"Distribution of the value and of the delay of /random over {WINDOW}, and "
        "whether it changes.",
        since="now-30m",
        # Windows that overlap would hide half of a change, so none is shorter than the window.
        variables=(
            Choice("earlier", "Compare with", ("5m", "15m", "30m", "1h", "3h", "12h", "1d", "7d")),
        ),
        rows=(
            Row("", (*_numbers(VALUE, "Value", "short"), *_numbers(DELAY, "Delay", "s"))),
            Row("Value", _panels(VALUE, "value", "short")),
            Row("Delay", _panels(DELAY, "delay", "s")),
        ),
    )


def _recorded(
    metric: Metric, operation: str, by: str = "job", matcher: str = JOB, ago: str = ""
) -> str:
    level = "job" if by == "job" else f"job_{by}"
    name = f"{level}:{metric.prometheus_name}:{operation}_rate{DISTRIBUTION_WINDOW}"
    offset = f" offset {ago}" if ago else ""
    return f"sum by ({by}) ({name}{{{matcher}}}{offset})"


def _both(metric: Metric, operation: str) -> tuple[str, str]:
    """Now and earlier, for each bin."""
    return _recorded(metric, operation, "le"), _recorded(metric, operation, "le", ago=EARLIER)


def _densities(metric: Metric) -> tuple[Query, Query]:
    """Without the bins that hold nothing, which would take most of the picture."""
    now, earlier = _both(metric, "density")
    return Query(expr=f"{now} > 0", legend="now"), Query(expr=f"{earlier} > 0", legend="earlier")


def _shares(metric: Metric) -> tuple[Query, Query]:
    """From the first bin that holds something, now or earlier, to where both are at 1."""
    now, earlier = _both(metric, "histogram_fraction")
    below = f"({now} < 1 or {earlier} < 1)"
    return (
        Query(expr=f"{now} > 0 and {below}", legend="now"),
        Query(expr=f"{earlier} > 0 and {below}", legend="earlier"),
    )


def _gap(metric: Metric) -> str:
    now, earlier = _both(metric, "histogram_fraction")
    return f"max (abs ({now} - {earlier}))"


def _gap_by_chance(metric: Metric) -> str:
    """From the numbers of observations in both windows."""
    seconds = 60 * int(DISTRIBUTION_WINDOW.removesuffix("m"))
    now, earlier = (f"({seconds} * {_recorded(metric, 'count', ago=ago)})" for ago in ("", EARLIER))
    return f"{CHANCE} * sqrt (1 / {now} + 1 / {earlier})"


def _numbers(metric: Metric, name: str, unit: str) -> tuple[Panel, ...]:
    return (
        show_number(
            f"{name}: mean",
            f"Mean over {WINDOW}. It is exact: the sum divided by the count.",
            unit,
            Query(expr=_recorded(metric, "avg")),
        ),
        show_number(
            f"{name}: standard deviation",
            f"Standard deviation over {WINDOW}, estimated from the histogram's buckets.",
            unit,
            Query(expr=_recorded(metric, "stddev")),
        ),
        show_number(
            f"{name}: observations",
            f"Observations per second over {WINDOW}. Fewer observations make the other panels "
            "rougher.",
            "count:obs/s",
            Query(expr=_recorded(metric, "count")),
        ),
    )


def _panels(metric: Metric, name: str, unit: str) -> tuple[Panel, ...]:
    return (
        draw_bars(
            f"Density of the {name}: now and $earlier ago",
            f"Share of observations in the bin that ends at this bound, divided by the bin's "
            f"width: the probability density over {WINDOW}, and over an equal window "
            "$earlier ago. Where the bars differ, values have become rarer or more frequent.",
            "short",
            *_densities(metric),
            width=9,
            height=9,
        ),
        draw_bars(
            f"Distribution function of the {name}: now and $earlier ago",
            f"Share of observations up to this bound, over {WINDOW} and over an equal window "
            "$earlier ago. Where the bars of now are shorter, values have become larger.",
            "percentunit",
            *_shares(metric),
            width=8,
            height=9,
        ),
        draw_lines(
            f"Change of the {name} within $earlier",
            "The widest gap between the distribution functions of now and $earlier ago "
            "(Kolmogorov-Smirnov). The dashed line is the gap that chance alone exceeds in 1 of 20 "
            "samples. Above it, the distribution has changed.",
            "percentunit",
            Query(expr=_gap(metric), legend="gap"),
            Query(expr=_gap_by_chance(metric), legend="by chance"),
            dashed=("by chance",),
            colours={"gap": "blue", "by chance": "#a0a0a0"},
            width=7,
            height=9,
        ),
        draw_heatmap(
            f"Heatmap of the {name}",
            f"Share of observations in each bin over {WINDOW}. Bins have different widths. A band "
            "that moves, widens or splits is a distribution that changes.",
            unit,
            Query(expr=_recorded(metric, "histogram_fraction", "le"), legend="{{le}}"),
            cell_unit="percentunit",
            width=9,
            height=9,
        ),
        draw_lines(
            f"Quantiles of the {name}",
            f"Over {WINDOW}. 1% of observations are below p1, half are below p50, 1% above p99.",
            unit,
            *(
                Query(
                    expr=_recorded(
                        metric,
                        "histogram_quantile",
                        "quantile",
                        f'{JOB},quantile="{q:g}"',
                    ),
                    legend=f"p{q * 100:g}",
                )
                for q in reversed(DISTRIBUTION_QUANTILES)
            ),
            floor=None,
            width=8,
            height=9,
            colours=PERCENTILES,
        ),
        draw_lines(
            f"Mean and spread of the {name}",
            f"The mean over {WINDOW}. The shaded range is one standard deviation to both sides.",
            unit,
            Query(
                expr=f"{_recorded(metric, 'avg')} + {_recorded(metric, 'stddev')}",
                legend="mean + sd",
            ),
            Query(expr=_recorded(metric, "avg"), legend="mean"),
            Query(
                expr=f"{_recorded(metric, 'avg')} - {_recorded(metric, 'stddev')}",
                legend="mean - sd",
            ),
            floor=None,
            between=("mean - sd", "mean + sd"),
            colours={"mean.*": "blue"},
            width=7,
            height=9,
        ),
    )
