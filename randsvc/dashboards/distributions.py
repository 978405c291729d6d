"""The distributions of the value and of the delay, as monitoring alone shows them."""

from randsvc.dashboards.panels import (
    Choice,
    Dashboard,
    Panel,
    Query,
    Row,
    bars,
    density_map,
    lines,
    number,
)
from randsvc.rules.golden_signals import DISTRIBUTION_QUANTILES, DISTRIBUTION_WINDOW, JOB
from randsvc.telemetry.catalogue import DELAY, VALUE, Metric

WINDOW = f"the last {DISTRIBUTION_WINDOW}"
EARLIER = "$earlier"
"""How long before now the window ends that now is compared with."""
CHANCE = 1.358
"""Times the root of the sum of 1/n: a wider gap between two cdfs is 1 in 20, without a difference.

https://en.wikipedia.org/wiki/Kolmogorov%E2%80%93Smirnov_test#Two-sample_Kolmogorov%E2%80%93Smirnov_test
"""


def dashboard() -> Dashboard:
    """Give the dashboard: the same panels for both, from the recorded rules."""
    return Dashboard(
        uid="randsvc-distributions",
        title="Distributions",
        description=f"Value and delay of /random over {WINDOW}: where they lie, how far they "
        "spread, and whether that changes.",
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
        number(
            f"{name}: mean",
            f"Mean over {WINDOW}: exact, as it is the sum over the count.",
            unit,
            Query(expr=_recorded(metric, "avg")),
        ),
        number(
            f"{name}: standard deviation",
            f"Spread over {WINDOW}, estimated from the histogram's buckets.",
            unit,
            Query(expr=_recorded(metric, "stddev")),
        ),
        number(
            f"{name}: observations",
            f"Each second, over {WINDOW}. The fewer, the rougher all else here.",
            "cps",
            Query(expr=_recorded(metric, "count")),
        ),
    )


def _panels(metric: Metric, name: str, unit: str) -> tuple[Panel, ...]:
    return (
        bars(
            f"Density of the {name}: now and $earlier ago",
            f"Share of observations in the bin that ends here, over its width, over {WINDOW} and "
            "over as long a window before: what a textbook draws as the probability density. Bars "
            "that differ much are values that became rarer, or more frequent.",
            "short",
            *_densities(metric),
            width=9,
            height=9,
        ),
        bars(
            f"Distribution function of the {name}: now and $earlier ago",
            f"Share of observations up to this bound, over {WINDOW} and over as long a window "
            "before. Where the bars of now are shorter, values have become larger.",
            "percentunit",
            *_shares(metric),
            width=8,
            height=9,
        ),
        lines(
            f"Change of the {name} within $earlier",
            "The widest gap between the distribution functions of now and earlier "
            "(Kolmogorov-Smirnov), and how wide chance makes it in 1 of 20 samples of as many "
            "observations. Above the dashed line the distribution has changed.",
            "percentunit",
            Query(expr=_gap(metric), legend="gap"),
            Query(expr=_gap_by_chance(metric), legend="by chance"),
            dashed=("by chance",),
            width=7,
            height=9,
        ),
        density_map(
            f"Heatmap of the {name}",
            f"Share of observations in each bin over {WINDOW}. The bins are not of one width. "
            "A band that moves, widens or splits is a distribution that changes.",
            unit,
            Query(expr=_recorded(metric, "histogram_fraction", "le"), legend="{{le}}"),
            cell_unit="percentunit",
            width=9,
            height=9,
        ),
        lines(
            f"Quantiles of the {name}",
            f"Over {WINDOW}. 1% of all observations are below p1, half are below p50, 1% above "
            "p99.",
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
        ),
        lines(
            f"Mean and spread of the {name}",
            f"Over {WINDOW}: the mean, and one standard deviation to both sides of it.",
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
            dashed=("mean + sd", "mean - sd"),
            width=7,
            height=9,
        ),
    )
