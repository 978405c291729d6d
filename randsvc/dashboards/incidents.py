"""Which alerts fire now, how bad it is, and what happened when."""

from randsvc.dashboards.colours import LEVELS
from randsvc.dashboards.panels import (
    ALERTS,
    Column,
    Dashboard,
    Panel,
    Query,
    Row,
    Text,
    Thresholds,
    draw_lines,
    draw_timeline,
    or_named,
    show_number,
    tabulate,
)
from randsvc.metrics import FAULT_ACTIVE
from randsvc.rules.alert import VALUE
from randsvc.rules.golden_signals import reporting
from randsvc.rules.slo import BUDGET_LEFT, BUDGET_REQUESTS, BUDGET_TIME, BURN_RATE
from randsvc.web.runbooks import PATH

FAULT = reporting(FAULT_ACTIVE.prometheus_name)
NO_ALERT = "no alert fires in a healthy system"
NOT_BURNING = "no budget is being spent"

ANY = 1e-9
BUDGET_THRESHOLDS: Thresholds = ("red", (ANY, "orange"), (0.25, "green"))
# As the alerts: 1 is minor, 6 major, 14.4 critical.
BURN_THRESHOLDS: Thresholds = ("green", (1, "yellow"), (6, "orange"), (14.4, "red"))
STATES = {
    0: ("none", "#a0a0a0"),
    1: ("minor", LEVELS["minor"]),
    2: ("major", LEVELS["major"]),
    3: ("critical", LEVELS["critical"]),
}


def make_dashboard() -> Dashboard:
    """Give the dashboard."""
    return Dashboard(
        uid="randsvc-incidents",
        title="Incidents",
        description="Which alerts fire, how much of the error budgets is left, which faults are "
        "on.",
        variables=(
            # The address of docker compose and of `make stack`; where alerts link to is a setting
            # of Prometheus, which Grafana cannot read.
            Text("runbooks", "Runbooks at", f"http://localhost:9095{PATH}"),
        ),
        rows=(
            Row("", (_firing(), *_summary())),
            Row("Time line", _time_line()),
            Row("Error budgets", _budgets()),
        ),
        since="now-30m",
    )


def _firing() -> Panel:
    """Give the table of what fires: ``ALERTS`` has the labels, other series the rest."""
    by = "alertname, level, service"
    leads = "unit, dashboard, panel, panel_id"
    panel = "/d/${__data.fields.dashboard}?viewPanel=${__data.fields.panel_id}"
    service = "var-job=${__data.fields.Service}"
    return tabulate(
        "Alerts firing now",
        "The worst first. The value is that of the alert's condition; without a value the "
        "condition has ended, and the alert waits before it resolves. An alert that a worse one "
        "mutes is here too, but sends no notification.",
        (
            Column("level", "Level", width=90, colours=LEVELS),
            Column("alertname", "Alert"),
            Column("service", "Service", width=110),
            Column("Since", "Since (UTC)", "dateTimeAsIso", width=170),
            Column("Value", "Value", "short", width=90, missing="ended"),
            Column("unit", "Unit", width=160),
            Column(
                "runbook",
                "Runbook",
                width=120,
                link="${runbooks}/${__data.fields.Alert}",
            ),
            Column(
                "panel",
                "Panel",
                width=260,
                link=f"{panel}&{service}&${{__url_time_range}}",
            ),
            Column("dashboard", ""),
            Column("panel_id", ""),
        ),
        {
            "Since": Query(
                expr=f"1000 * max by ({by}) (ALERTS_FOR_STATE and ignoring (alertstate) {ALERTS})",
                empty=NO_ALERT,
            ),
            "Value": Query(
                expr=f"label_replace(max by ({by}, {leads}) ({VALUE}) and on ({by}) {ALERTS}, "
                '"runbook", "Open runbook", "", "")',
                empty=NO_ALERT,
            ),
        },
        sort_by="Level",
        none="no alert fires",
        width=24,
        height=8,
    )


def _summary() -> tuple[Panel, ...]:
    firing = {
        "critical": "Critical alerts that fire: act now, day and night.",
        "major": "Major alerts that fire: act in working hours.",
        "minor": "Minor alerts that fire: scheduled work.",
    }
    return (
        *(
            show_number(
                level.capitalize(),
                firing[level],
                "short",
                Query(expr=f'count ({ALERTS[:-1]},level="{level}"}}) or vector(0)'),
                thresholds=("green", (ANY, colour)),
            )
            for level, colour in LEVELS.items()
        ),
        show_number(
            "Error budget left",
            "Of the objective with the smallest budget. Below 0% the objective is missed: make no "
            "risky change.",
            "percentunit",
            Query(expr=f"min ({BUDGET_LEFT})"),
            thresholds=BUDGET_THRESHOLDS,
            decimals=1,
        ),
        show_number(
            "Time to exhaustion",
            "When the first error budget runs out, at the burn rate of the critical alert's long "
            "window.",
            "s",
            Query(expr=f"min ({BUDGET_TIME})", empty=NOT_BURNING),
            # Grey is for none, as the first colour is that of no value.
            thresholds=("#a0a0a0", (0, "red"), (3600, "orange"), (86400, "green")),
            none="not burning",
        ),
        show_number(
            "Faults on",
            "Faults that are on: somebody broke the service on purpose.",
            "short",
            Query(expr=f"count (max by (job, randsvc_fault) ({FAULT}) > 0) or vector(0)"),
            thresholds=("green", (ANY, "purple")),
        ),
    )


def _time_line() -> tuple[Panel, ...]:
    def firing(level: str) -> str:
        return f'max by (alertname, service) ({ALERTS[:-1]},level="{level}"}})'

    worst = " or ".join(f"{value} * {firing(level)}" for value, (level, _) in _worst_first())
    named = f'label_join({worst}, "name", ", ", "alertname", "service")'
    on = f"max by (job, randsvc_fault) ({FAULT}) > 0"
    faults = f'label_join({on}, "name", ", ", "randsvc_fault", "job")'
    return (
        draw_timeline(
            "Alerts over time",
            "When each alert fired, in the colour of its worst level. An alert that a worse one "
            "mutes is here too, but sends no notification.",
            Query(expr=or_named(named, "name", "no alert fires"), legend="{{name}}"),
            states=STATES,
        ),
        draw_timeline(
            "Faults over time",
            "When each fault was on. Its alert should follow within seconds, and resolve soon "
            "after the fault ends.",
            Query(expr=or_named(faults, "name", "no fault is on"), legend="{{name}}"),
            states={0: ("none", "#a0a0a0"), 1: ("on", "purple")},
        ),
    )


def _worst_first() -> list[tuple[int, tuple[str, str]]]:
    return sorted(STATES.items(), reverse=True)[:-1]


def _budgets() -> tuple[Panel, ...]:
    return (
        draw_lines(
            "Error budgets left",
            "Share of the period's budget, drawn down to -100%. A step down is an incident, a "
            "slope is a defect.",
            "percentunit",
            Query(expr=f"clamp_min(min by (slo) ({BUDGET_LEFT}), -1)", legend="{{slo}}"),
            ceiling=1,
        ),
        draw_lines(
            "Burn rates",
            "How many times too fast each budget is spent, over the worst window. Lines at 1 "
            "(minor), 6 (major) and 14.4 (critical). An alert fires where two windows agree.",
            "x",
            Query(expr=f"max by (slo) ({BURN_RATE})", legend="{{slo}}"),
            thresholds=BURN_THRESHOLDS,
        ),
        tabulate(
            "Error budgets",
            "What is left of each budget: as a share, in requests that may still be bad, and in "
            "time at the current burn rate.",
            (
                Column("slo", "Objective"),
                Column("Left", "Left", "percentunit", width=110),
                Column("Requests", "Bad requests left", "short", width=160),
                Column("Time", "Runs out in", "s", width=140, missing="not burning"),
            ),
            {
                "Left": Query(expr=f"min by (slo) ({BUDGET_LEFT})"),
                "Requests": Query(expr=f"min by (slo) ({BUDGET_REQUESTS})"),
                "Time": Query(expr=f"min by (slo) ({BUDGET_TIME})", empty=NOT_BURNING),
            },
            sort_by="Objective",
            height=9,
        ),
        tabulate(
            "Burn rates by window",
            "The long window shows that it matters, the short one that it goes on.",
            (
                Column("slo", "Objective"),
                Column("window", "Window", width=100),
                Column("Burn rate", "Burn rate", "x", width=120),
            ),
            {"Burn rate": Query(expr=f"max by (slo, window) ({BURN_RATE})")},
            sort_by="Objective",
            height=9,
        ),
    )
