"""The distributions of the value and of the delay, as monitoring alone shows them."""

from observability.dashboards.panels import (
    Dashboard,
    Panel,
    Query,
    Row,
    bars,
    density_map,
    lines,
    number,
)
from observability.rules import DISTRIBUTION_QUANTILES, DISTRIBUTION_WINDOW, JOB
from randsvc.telemetry.catalogue import DELAY, VALUE, Metric

WINDOW = f"the last {DISTRIBUTION_WINDOW}"


def dashboard() -> Dashboard:
    """Give the dashboard: the same panels for both, from the recorded rules."""
    return Dashboard(
        uid="randsvc-distributions",
        title="Distributions",
        description=f"Value and delay of /random over {WINDOW}: where they lie, how far they "
        "spread, and whether that changes.",
        since="now-30m",
        rows=(
            Row("", (*_numbers(VALUE, "Value", "short"), *_numbers(DELAY, "Delay", "s"))),
            Row("Value", _panels(VALUE, "value", "short")),
            Row("Delay", _panels(DELAY, "delay", "s")),
        ),
    )


def _recorded(metric: Metric, operation: str, by: str = "job", matcher: str = JOB) -> str:
    level = "job" if by == "job" else f"job_{by}"
    name = f"{level}:{metric.prometheus_name}:{operation}_rate{DISTRIBUTION_WINDOW}"
    return f"sum by ({by}) ({name}{{{matcher}}})"


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
        density_map(
            f"Heatmap of the {name}",
            f"Share of observations in each bin over {WINDOW}. The bins are not of one width. "
            "A band that moves, widens or splits is a distribution that changes.",
            unit,
            Query(expr=_recorded(metric, "histogram_fraction", "le"), legend="{{le}}"),
            cell_unit="percentunit",
            width=14,
            height=9,
        ),
        bars(
            f"Density of the {name} now",
            f"Share of observations in the bin that ends here, over its width, over {WINDOW}: "
            "what a textbook draws as the probability density.",
            "short",
            Query(expr=_recorded(metric, "density", "le"), legend="density"),
            width=10,
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
            width=14,
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
            width=10,
        ),
    )
