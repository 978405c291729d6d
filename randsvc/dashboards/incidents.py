"""What is wrong now, how bad it is, and what happened when."""

from randsvc.dashboards.panels import (
    ALERTS,
    Dashboard,
    Levels,
    Panel,
    Query,
    Row,
    lines,
    number,
    rows_of,
    timeline,
)
from randsvc.rules.slo import BUDGET_LEFT, BURN_RATE
from randsvc.rules.time_scale import Level
from randsvc.telemetry.catalogue import FAULT_ACTIVE

FAULT = FAULT_ACTIVE.prometheus_name
NO_ALERT = "nothing fires while all is well"
NO_FAULT = "no fault was ever set"

ANY = 1e-9
COLOURS: dict[Level, str] = {"critical": "red", "major": "orange", "minor": "yellow"}
BUDGET_LEVELS: Levels = ("red", (ANY, "orange"), (0.25, "green"))
# As the alerts: 1 is minor, 6 major, 14.4 critical.
BURN_LEVELS: Levels = ("green", (1, "yellow"), (6, "orange"), (14.4, "red"))


def dashboard() -> Dashboard:
    """Give the dashboard."""
    return Dashboard(
        uid="randsvc-incidents",
        title="Incidents",
        description="What fires, at which level, how much of the error budgets is left, and which "
        "faults were on.",
        rows=(
            Row("", _summary()),
            Row("Time line", _time_line()),
            Row("Error budgets", _budgets()),
        ),
        since="now-30m",
    )


def _summary() -> tuple[Panel, ...]:
    firing = {
        "critical": "Alerts that fire: act now, day and night.",
        "major": "Alerts that fire: act in working hours.",
        "minor": "Alerts that fire: scheduled work.",
    }
    return (
        *(
            number(
                level.capitalize(),
                firing[level],
                "short",
                Query(expr=f'count ({ALERTS[:-1]},level="{level}"}}) or vector(0)'),
                levels=("green", (ANY, colour)),
            )
            for level, colour in COLOURS.items()
        ),
        number(
            "Error budget left",
            "Of the objective that has least. Below 0 it is missed: change nothing risky.",
            "percentunit",
            Query(expr=f"min ({BUDGET_LEFT})"),
            levels=BUDGET_LEVELS,
            decimals=1,
        ),
        number(
            "Burn rate",
            "How many times too fast a budget is spent, over whichever window is worst.",
            "short",
            Query(expr=f"max ({BURN_RATE})"),
            levels=BURN_LEVELS,
            decimals=1,
        ),
        number(
            "Faults on",
            "What is broken on purpose now.",
            "short",
            Query(expr=f"sum ({FAULT}) or vector(0)"),
            levels=("green", (ANY, "purple")),
        ),
    )


def _time_line() -> tuple[Panel, ...]:
    return (
        timeline(
            "Alerts",
            "When each alert fired. One that a worse one mutes is here too, but nobody is told.",
            Query(
                expr=f"max by (alertname, level, service) ({ALERTS})",
                legend="{{level}}: {{alertname}}, {{service}}",
                empty=NO_ALERT,
            ),
            colour="red",
            none="nothing fired",
        ),
        timeline(
            "Faults",
            "When each fault was on. An alert should follow within seconds, and end soon after.",
            Query(
                expr=f"max by (job, randsvc_fault) ({FAULT}) > 0",
                legend="{{job}}: {{randsvc_fault}}",
                empty=NO_FAULT,
            ),
            colour="purple",
            none="no fault was on",
        ),
    )


def _budgets() -> tuple[Panel, ...]:
    return (
        lines(
            "Error budgets left",
            "Share of the period's budget. A step down is an incident, a slope is a defect.",
            "percentunit",
            Query(expr=f"min by (slo) ({BUDGET_LEFT})", legend="{{slo}}"),
            ceiling=1,
        ),
        lines(
            "Burn rates",
            "How many times too fast each budget is spent, over whichever window is worst. Lines "
            "at 1 (minor), 6 (major) and 14.4 (critical), which alert where two windows agree.",
            "short",
            Query(expr=f"max by (slo) ({BURN_RATE})", legend="{{slo}}"),
            levels=BURN_LEVELS,
        ),
        rows_of(
            "Burn rates by window",
            "The long window says that it matters, the short one that it still goes on.",
            {"slo": "Objective", "window": "Window"},
            {"Burn rate": ("short", Query(expr=f"max by (slo, window) ({BURN_RATE})"))},
            width=24,
            height=8,
        ),
    )
