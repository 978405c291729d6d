"""When an alert on an error budget fires, computed: the table and the curve of docs/alerts.md."""

import io
from functools import cache
from math import ceil, floor, inf

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from randsvc.markdown import write_table
from randsvc.objectives import SLOS
from randsvc.rules.time_scale import PRODUCTION, SEVERITY, Level, TimeScale
from randsvc.times import parse_duration

__all__ = ("compute_alert_time", "draw_alert_times", "list_budgets", "make_table")

SHARES = (*range(1, 11), 12, 15, 20, 25, 30, 40, 50, 60, 80, 100)
"""Rows of the table, in percent."""
COLOURS = {"critical": "#c4162a", "major": "#e0752d", "minor": "#8f8300"}
MINUTE, HOUR, DAY = 60, 3600, 86400


def compute_alert_time(budget: float, level: Level, share: float, scale: TimeScale) -> float:
    """Give the seconds from the first bad request until the alert of a level fires.

    Requests come at a constant rate, which is high enough for significance, and ``share`` of them
    are bad; before, none was. Infinity where the alert never fires. The time is that of an
    evaluation, and begins with one; a push, a scrape and the phase of the evaluations come on top.
    """
    interval = parse_duration(scale.interval)
    burns = [burn for burn in scale.burns if burn.level == level]
    # The short window is above the factor before the long one is.
    held = min(
        (
            burn.factor * budget * parse_duration(burn.long) / share
            for burn in burns
            if share > burn.factor * budget
        ),
        default=inf,
    )
    if held == inf:
        return inf
    first = (floor(held / interval) + 1) * interval
    wait = parse_duration(burns[0].wait) if burns[0].wait else 0
    return first + ceil(wait / interval) * interval


def list_budgets() -> list[float]:
    """Give each error budget of the objectives once, ascending."""
    return sorted({slo.budget for slo in SLOS})


def make_table(scale: TimeScale = PRODUCTION) -> str:
    """Return a table in Markdown: a row for each share of bad requests."""
    columns = [(budget, level) for budget in list_budgets() for level in SEVERITY]
    heads = ["bad requests", *(f"{_spell_objective(budget)}: {level}" for budget, level in columns)]
    rows = [
        [
            f"{percent}%",
            *(
                _format(compute_alert_time(budget, level, percent / 100, scale))
                for budget, level in columns
            ),
        ]
        for percent in SHARES
    ]
    return write_table(heads, rows, right=range(len(heads)))


def _spell_objective(budget: float) -> str:
    return f"{100 * (1 - budget):g}%"


def _format(seconds: float) -> str:
    if seconds == inf:
        return "never"
    if seconds < HOUR:
        return f"{seconds / MINUTE:.1f} min"
    return f"{seconds / HOUR:.1f} h"


@cache
def draw_alert_times(head: str, scale: TimeScale = PRODUCTION) -> str:
    """Draw the time of each level over the share of bad requests, as SVG; ``head`` is a comment."""
    budgets = list_budgets()
    figure = Figure(figsize=(9, 4), layout="constrained", facecolor="white")
    for axes, budget in zip(figure.subplots(1, len(budgets), sharey=True), budgets, strict=True):
        shares = [percent / 1000 for percent in range(1, 1001)]
        for level in SEVERITY:
            points = [(s, compute_alert_time(budget, level, s, scale)) for s in shares]
            drawn = [point for point in points if point[1] < inf]
            axes.plot(*zip(*drawn, strict=True), color=COLOURS[level], label=level)
        axes.set_title(f"objective {_spell_objective(budget)}")
        axes.set_xlabel("bad requests")
        axes.set(xscale="log", yscale="log", xlim=(0.003, 1), ylim=(MINUTE, 4 * DAY))
        axes.set_xticks([0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1])
        axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g}%"))
        axes.set_yticks(
            [MINUTE, 3 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 6 * HOUR, DAY, 3 * DAY]
        )
        axes.set_yticklabels(["1 min", "3 min", "10 min", "30 min", "1 h", "6 h", "1 d", "3 d"])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_minor_locator(NullLocator())
        axes.grid(color="#dddddd")
    axes.legend(frameon=False)
    figure.axes[0].set_ylabel("alert fires after")
    with (
        mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "alert times"}),
        io.StringIO() as f,
    ):
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(f, format="svg", metadata=nothing)
        declaration, *lines = f.getvalue().splitlines()
    lines = [declaration, f"<!-- {head} -->", *lines]
    return "\n".join(line.rstrip() for line in lines) + "\n"
