"""The dashboards, without a Grafana: what it will be given, and what it will ask Prometheus."""

import json
import re
from collections import Counter
from collections.abc import Callable
from itertools import combinations
from math import sqrt
from pathlib import Path
from typing import Any

import pytest
import yaml

from randsvc.dashboards import DASHBOARDS, list_queries, to_json
from randsvc.metrics import METRICS
from randsvc.project import ROOT
from randsvc.rules import alert, cusum, drift, features, feedback, instances, make_alerts, slo
from randsvc.rules.golden_signals import DISTRIBUTION_WINDOW, SILENT, make_groups
from randsvc.rules.time_scale import PRODUCTION
from randsvc.telemetry.catalogue import Metric
from tests.support.promtool import check_rules, promtool

MODELS: dict[str, dict[str, Any]] = {n: json.loads(to_json(d)) for n, d in DASHBOARDS.items()}


def panels_of(board: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the panels of a dashboard, those of collapsed rows too."""
    return [
        panel
        for outer in board["panels"]
        for panel in (outer["panels"] if outer["type"] == "row" else [outer])
    ]


PANELS = {
    f"{name}: {panel['title']}": panel
    for name, board in MODELS.items()
    for panel in panels_of(board)
}
PROVISIONING = ROOT / "observability/grafana/provisioning"

every_dashboard = pytest.mark.parametrize("board", MODELS.values(), ids=MODELS.keys())


def every_panel(check: Callable[[dict[str, Any]], None]) -> Callable[[], None]:
    """Make one test of all panels: a test for each would be two thousand."""

    def test() -> None:
        for name, panel in PANELS.items():
            try:
                check(panel)
            except AssertionError as error:
                error.add_note(name)
                raise

    return test


# https://github.com/grafana/grafana/tree/v9.4.0/public/app/plugins/panel
PANELS_OF_GRAFANA_9_4 = {"barchart", "heatmap", "stat", "state-timeline", "table", "timeseries"}
# The schema of Grafana 9.0; a later Grafana brings it up to its own when it reads it.
SCHEMA_OF_GRAFANA_9 = 36

# What the other programs of the chain call their metrics, at the versions that are pinned.
OF_PROMETHEUS = {
    # Of every scrape: https://prometheus.io/docs/concepts/jobs_instances/
    "up",
    # Of the rules: https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/
    "ALERTS",
    "ALERTS_FOR_STATE",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "prometheus_notifications_dropped_total",
    "prometheus_notifications_errors_total",
    "prometheus_notifications_sent_total",
    "prometheus_rule_evaluation_failures_total",
    "prometheus_rule_group_interval_seconds",
    "prometheus_rule_group_iterations_missed_total",
    "prometheus_rule_group_last_duration_seconds",
    "prometheus_tsdb_head_samples_appended_total",
    "prometheus_tsdb_head_series",
    "prometheus_tsdb_wal_writes_failed_total",
}
OF_ALERTMANAGER = {
    "alertmanager_alerts",
    "alertmanager_notifications_failed_total",
    "alertmanager_notifications_total",
}
# documentation.md of receiverhelper, processorhelper, exporterhelper and service, with suffixes.
OF_COLLECTOR = {
    "otelcol_exporter_enqueue_failed_metric_points_total",
    "otelcol_exporter_in_flight_requests",
    "otelcol_exporter_queue_capacity",
    "otelcol_exporter_queue_size",
    "otelcol_exporter_send_failed_metric_points_total",
    "otelcol_exporter_send_failed_spans_total",
    "otelcol_exporter_sent_metric_points_total",
    "otelcol_exporter_sent_spans_total",
    "otelcol_process_cpu_seconds_total",
    "otelcol_process_memory_rss_bytes",
    "otelcol_processor_incoming_items_total",
    "otelcol_processor_outgoing_items_total",
    "otelcol_receiver_accepted_metric_points_total",
    "otelcol_exporter_sent_log_records_total",
    "otelcol_receiver_accepted_log_records_total",
    "otelcol_receiver_accepted_spans_total",
    "otelcol_receiver_failed_metric_points_total",
    "otelcol_receiver_refused_metric_points_total",
    "otelcol_receiver_refused_spans_total",
}


def series_of(metric: Metric) -> set[str]:
    name = metric.prometheus_name
    if metric.kind == "histogram":
        return {f"{name}_bucket", f"{name}_count", f"{name}_sum"}
    return {name}


OWN = set().union(*map(series_of, METRICS))
RECORDED = {rule.record for group in make_groups() for rule in group.rules}
RECORDED |= {
    rule.record
    for module in (slo, drift, cusum, features, feedback, instances)
    for rule in module.make_recordings(PRODUCTION)
}
RECORDED.add(alert.VALUE)
STORAGE = {"prometheus_tsdb_storage_blocks_bytes", "prometheus_tsdb_retention_limit_bytes"}
"""Metrics of Prometheus that a rule reads."""


def names_in(expr: str) -> set[str]:
    """Give the metrics of an expression: every word but labels, functions and operators.

    >>> sorted(names_in('sum by (job) (rate(a_total{x="y"}[1m])) or 0 * b:c:d'))
    ['a_total', 'b:c:d']
    """
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\b(by|on|ignoring|without) \([^)]*\)', " ", expr)
    words = re.findall(r"(?<![\w:.])[a-zA-Z_][\w:]*(?!\s*\()(?![\w:])", bare)
    return set(words) - {"Inf", "and", "offset", "or", "unless"}


def labels_in(expr: str) -> set[str]:
    """Give the labels that an expression selects, groups or leaves by."""
    matched = re.findall(r"[{,]\s*(\w+)\s*(?:=~|!~|!=|=)", expr)
    grouped = re.findall(r"\b(?:by|on) \(([^)]*)\)", expr)
    return {*matched, *(name.strip() for group in grouped for name in group.split(",") if name)}


@pytest.mark.native
def test_prometheus_can_parse_every_query(tmp_path: Path) -> None:
    asked = list_queries()
    done = check_rules(
        tmp_path, [{"record": f"query:{i}", "expr": q.expr} for i, q in enumerate(asked)]
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.native
def test_prometheus_refuses_a_query_that_is_broken(tmp_path: Path) -> None:
    done = check_rules(tmp_path, [{"record": "query:0", "expr": list_queries()[0].expr + ")"}])
    assert done.returncode == 1


def test_every_metric_of_a_query_exists() -> None:
    known = OWN | RECORDED | OF_PROMETHEUS | OF_ALERTMANAGER | OF_COLLECTOR
    for query in list_queries():
        assert names_in(query.expr), query
        assert names_in(query.expr) <= known, query


def test_every_metric_of_a_rule_is_in_the_catalogue_or_recorded() -> None:
    for group in make_groups():
        for rule in group.rules:
            assert names_in(rule.expr), rule
            assert names_in(rule.expr) <= OWN | RECORDED | STORAGE, rule


def test_no_metric_is_listed_that_is_not_used() -> None:
    used = set().union(*(names_in(query.expr) for query in list_queries()))
    assert used >= OF_PROMETHEUS | OF_ALERTMANAGER | OF_COLLECTOR


def test_every_label_of_the_service_is_in_the_catalogue() -> None:
    attributes = {name.replace(".", "_") for metric in METRICS for name in metric.attributes}
    known = attributes | {"instance", "job", "le", "quantile"}
    # Of limits, alerts and objectives.
    known |= {"resource", "alertname", "alertstate", "level", "service", "slo", "window"}
    # Of distances, of what fires, and of what label_replace makes.
    known |= {"against", "change", "size", "unit", "dashboard", "panel", "panel_id"}
    exprs = [q.expr for q in list_queries() if q.dashboard != "pipeline"]
    exprs += [r.expr for g in make_groups() for r in g.rules]
    for expr in exprs:
        assert labels_in(expr) <= known, expr


def test_a_query_for_prometheus_has_no_variable_left() -> None:
    for query in list_queries(rate_interval="17s"):
        assert "$" not in query.expr.replace('"$1"', ""), query  # of label_replace
    assert any("[17s]" in query.expr for query in list_queries(rate_interval="17s"))


def test_every_query_of_every_panel_is_given() -> None:
    drawn = [t["expr"] for board in MODELS.values() for p in panels_of(board) for t in targets(p)]
    assert len(list_queries()) == len(drawn)


def test_no_panel_may_be_empty_altogether_but_those_of_errors() -> None:
    panels: dict[tuple[str, str], list[str]] = {}
    for query in list_queries():
        panels.setdefault((query.dashboard, query.panel), []).append(query.empty)
    assert [panel for panel, reasons in panels.items() if all(reasons)] == [
        ("incidents", "Alerts firing now"),
        ("incidents", "Time to exhaustion"),
        ("ml", "Model against fallback"),
        ("ml", "Error of the fallback against the model"),
    ]


def targets(panel: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = panel.get("targets", [])
    return found


@every_panel
def test_a_panel_has_title_unit_and_description(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["description"].endswith(".")


@every_panel
def test_a_panel_is_one_that_grafana_9_4_has(panel: dict[str, Any]) -> None:
    assert panel["type"] in PANELS_OF_GRAFANA_9_4
    assert panel["options"]


@every_panel
def test_a_panel_asks_the_chosen_data_source(panel: dict[str, Any]) -> None:
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    assert panel["datasource"] == chosen
    assert all(target["datasource"] == chosen for target in targets(panel))


@every_panel
def test_a_panel_takes_rates_over_the_interval_that_fits(panel: dict[str, Any]) -> None:
    for target in targets(panel):
        assert set(re.findall(r"\[(.*?)\]", target["expr"])) <= {"$__rate_interval"}


@every_panel
def test_the_queries_of_a_panel_have_different_ids(panel: dict[str, Any]) -> None:
    ids = [target["refId"] for target in targets(panel)]
    assert ids
    assert len(set(ids)) == len(ids)


@every_panel
def test_a_line_has_a_short_name(panel: dict[str, Any]) -> None:
    if panel["type"] == "timeseries":
        for target in targets(panel):
            assert 0 < len(target["legendFormat"]) <= 30


@every_panel
def test_a_name_uses_only_labels_that_are_left(panel: dict[str, Any]) -> None:
    for target in targets(panel):
        kept = re.findall(r"by \(([\w, ]+)\)", target["expr"])
        left = {name.strip() for group in kept for name in group.split(",")}
        left |= set(re.findall(r'label_replace\(.*"(\w+)", "\$1"', target["expr"]))
        left |= set(re.findall(r'label_join\(.*?, "(\w+)", ", "', target["expr"]))
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= left, target


@every_panel
def test_thresholds_ascend_from_no_bound(panel: dict[str, Any]) -> None:
    steps = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps")
    if steps:
        assert steps[0]["value"] is None
        values = [step["value"] for step in steps[1:]]
        assert values == sorted(values)
    else:
        assert panel["type"] != "stat"


@every_dashboard
def test_a_dashboard_is_in_utc_and_of_a_schema_that_grafana_9_4_reads(
    board: dict[str, Any],
) -> None:
    assert board["timezone"] == "utc"
    assert board["schemaVersion"] == SCHEMA_OF_GRAFANA_9
    assert not board["editable"]


@every_dashboard
def test_panels_have_different_ids_and_titles(board: dict[str, Any]) -> None:
    every = [*board["panels"], *(p for row in board["panels"] for p in row.get("panels", ()))]
    assert max(Counter(panel["id"] for panel in every).values()) == 1
    titles = Counter(panel["title"] for panel in panels_of(board))
    assert max(titles.values()) == 1, titles


def test_an_alert_leads_to_a_panel_that_exists() -> None:
    ids = {
        (board["uid"], panel["title"]): panel["id"]
        for board in MODELS.values()
        for panel in panels_of(board)
    }
    for alert_ in make_alerts(PRODUCTION):
        labels = alert_.make_value_labels()
        assert str(ids[labels["dashboard"], labels["panel"]]) == labels["panel_id"], labels


@every_dashboard
def test_panels_are_within_the_grid_and_do_not_overlap(board: dict[str, Any]) -> None:
    every = [*board["panels"], *(p for row in board["panels"] for p in row.get("panels", ()))]
    cells = [
        {
            (x, y)
            for x in range(p["gridPos"]["x"], p["gridPos"]["x"] + p["gridPos"]["w"])
            for y in range(p["gridPos"]["y"], p["gridPos"]["y"] + p["gridPos"]["h"])
        }
        for p in every
    ]
    assert all(0 <= x < 24 for taken in cells for x, _ in taken)
    assert not any(one & other for one, other in combinations(cells, 2))
    # And none is free.
    assert sum(map(len, cells)) == 24 * (1 + max(y for taken in cells for _, y in taken))


@every_dashboard
def test_a_dashboard_begins_with_single_numbers_and_incidents_with_what_fires(
    board: dict[str, Any],
) -> None:
    begins = [panel["type"] for panel in board["panels"][:7]]
    if board["uid"] == "randsvc-incidents":
        assert board["panels"][0]["title"] == "Alerts firing now"
        assert begins.pop(0) == "table"
    assert begins[:6] == ["stat"] * 6


@every_dashboard
def test_a_dashboard_links_to_all_with_its_tag_and_keeps_the_time(board: dict[str, Any]) -> None:
    (link,) = board["links"]
    assert link["type"] == "dashboards"
    assert link["keepTime"]
    # Data source, service and route.
    assert link["includeVars"]
    assert link["tags"] == board["tags"]


@every_dashboard
def test_alerts_and_faults_are_marked_on_every_dashboard(board: dict[str, Any]) -> None:
    marks = {mark["name"]: mark for mark in board["annotations"]["list"]}
    assert names_in(marks["Alerts"]["expr"]) == {"ALERTS"}
    assert names_in(marks["Faults"]["expr"]) == {"randsvc_fault_active", SILENT}
    assert all(mark["enable"] for mark in marks.values())


@every_dashboard
def test_a_mark_says_what_it_is_once_for_each_alert_and_not_for_minor_ones(
    board: dict[str, Any],
) -> None:
    timelines = {panel["id"] for panel in panels_of(board) if panel["type"] == "state-timeline"}
    for mark in board["annotations"]["list"]:
        kept = re.findall(r"by \(([\w, ]+)\)", mark["expr"])[0].split(", ")
        assert set(re.findall(r"\{\{(\w+)\}\}", mark["titleFormat"])) == set(kept)
        assert mark["filter"]["exclude"]
        assert set(mark["filter"]["ids"]) == timelines
        if mark["name"] == "Alerts":
            assert kept == ["alertname"]
            assert 'level=~"critical|major"' in mark["expr"]


@every_dashboard
def test_a_variable_that_is_used_is_declared_and_the_other_way_round(
    board: dict[str, Any],
) -> None:
    declared = {variable["name"] for variable in board["templating"]["list"]}
    text = json.dumps(board["panels"])
    used = set(re.findall(r"\$\{?(?!_)([a-z]+)\}?", text))
    assert used == declared


@every_dashboard
def test_a_variable_has_no_id(board: dict[str, Any]) -> None:
    """Grafana 9.4 keeps one variable of an id, so that panels have no data source."""
    assert all("id" not in variable for variable in board["templating"]["list"])


AXES = {"timeseries", "barchart"}
FIXED = {"fixed", "thresholds", "palette-classic"}


def defaults(panel: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = panel["fieldConfig"]["defaults"]
    return found


def overrides(panel: dict[str, Any], key: str) -> dict[str, Any]:
    """Give the value of a property by the name or pattern of the fields that it is set for."""
    return {
        override["matcher"]["options"]: prop["value"]
        for override in panel["fieldConfig"]["overrides"]
        for prop in override["properties"]
        if prop["id"] == key
    }


@every_panel
def test_an_axis_that_begins_at_0_has_a_soft_maximum(panel: dict[str, Any]) -> None:
    """Otherwise Grafana scales a panel of zeros to 10000%."""
    custom = defaults(panel).get("custom", {})
    if panel["type"] in AXES and "axisSoftMin" in custom:
        assert custom["axisSoftMax"] > custom["axisSoftMin"]


@every_panel
def test_a_unit_says_what_is_counted(panel: dict[str, Any]) -> None:
    """What Grafana calls cps reads "c/s"."""
    assert defaults(panel)["unit"] not in ("cps", "ops", "none")


@every_panel
def test_the_bounds_of_bars_have_no_unit_of_their_values(panel: dict[str, Any]) -> None:
    if panel["type"] == "barchart":
        assert overrides(panel, "unit")["le"] == "string"


@every_panel
def test_a_panel_has_a_colour_mode(panel: dict[str, Any]) -> None:
    if panel["type"] in ("timeseries", "stat", "state-timeline"):
        assert defaults(panel)["color"]["mode"] in FIXED
    if panel["type"] in ("stat", "state-timeline"):
        assert defaults(panel)["color"]["mode"] == "thresholds"
    if panel["type"] == "heatmap":
        assert panel["options"]["color"]["scheme"] == "Spectral"


MEANT = {
    "http_response_status_code": {
        "200": "green", "301": "blue", "404": "yellow", "503": "red", "client left": "#a0a0a0"
    },
    "error_type": {"ValueError": "red", "503": "red", "no errors": "green"},
    "randsvc_source": {"model": "blue", "fallback": "orange"},
    "randsvc_outcome": {"accepted": "green", "forged": "red"},
}  # fmt: skip
"""What has a meaning, by the label that a line is named after."""


def colour_of(panel: dict[str, Any], legend: str) -> str:
    """Give the colour that is fixed for a legend; the last override that matches decides."""
    found = ""
    for pattern, colour in overrides(panel, "color").items():
        if re.fullmatch(pattern.removeprefix("/^").removesuffix("$/"), legend):
            found = colour["fixedColor"]
    return found


@every_panel
def test_a_meaning_has_one_colour_everywhere(panel: dict[str, Any]) -> None:
    if panel["type"] != "timeseries":
        return
    for target in targets(panel):
        legend = target["legendFormat"]
        for label, meant in MEANT.items():
            if legend == f"{{{{{label}}}}}":
                drawn = {value: colour_of(panel, value) for value in meant}
                assert drawn == meant, panel["title"]
        if re.fullmatch(r"p\d+", legend):
            assert colour_of(panel, legend), panel["title"]
    assert colour_of(panel, "(client left)") in ("", "#a0a0a0")


def test_the_time_line_of_alerts_has_the_colours_of_their_levels() -> None:
    (panel,) = (p for p in panels_of(MODELS["incidents"]) if p["title"] == "Alerts over time")
    steps = {step["value"]: step["color"] for step in defaults(panel)["thresholds"]["steps"]}
    (mapping,) = defaults(panel)["mappings"]
    worded = {
        int(value): (state["text"], state["color"]) for value, state in mapping["options"].items()
    }
    levels = {1: ("minor", "yellow"), 2: ("major", "orange"), 3: ("critical", "red")}
    assert {value: worded[value] for value in levels} == levels
    assert {value: steps[value] for value in levels} == {v: c for v, (_, c) in levels.items()}
    for value, (level, _) in levels.items():
        assert re.search(
            rf'{value} \* max by [^{{]*\{{[^}}]*level="{level}"', targets(panel)[0]["expr"]
        )


@every_panel
def test_a_series_without_its_label_has_a_name(panel: dict[str, Any]) -> None:
    """Without a status the client has left; Grafana would call such a series "Value"."""
    for target in targets(panel):
        for label in ("http_response_status_code", "http_route"):
            if target.get("legendFormat") == f"{{{{{label}}}}}":
                assert f'"{label}", "")' in target["expr"]


@every_panel
def test_only_what_is_stacked_is_filled(panel: dict[str, Any]) -> None:
    if panel["type"] == "timeseries":
        custom = defaults(panel)["custom"]
        assert (custom["fillOpacity"] > 0) is ("stacking" in custom)


@every_panel
def test_no_more_than_six_lines_are_declared_in_a_panel(panel: dict[str, Any]) -> None:
    if panel["type"] == "timeseries":
        assert len(targets(panel)) <= 7


@every_panel
def test_an_interval_is_shaded(panel: dict[str, Any]) -> None:
    legends = [target.get("legendFormat", "") for target in targets(panel)]
    for high in (legend for legend in legends if re.search(r"\bhigh$", legend)):
        assert overrides(panel, "custom.fillBelowTo")[high] == high.replace("high", "low")


@every_panel
def test_a_legend_has_the_last_value_and_the_maximum(panel: dict[str, Any]) -> None:
    if panel["type"] == "timeseries":
        assert panel["options"]["legend"]["calcs"] == ["lastNotNull", "max"]


GAUGES = re.compile(
    r"(http_server_active_requests|http_server_concurrency_limit|process_memory_usage\w*"
    r"|process_unix_file\w*|randsvc_fault_active)\b(\{[^}]*\})?"
)


def test_no_query_counts_the_last_values_of_a_dead_instance() -> None:
    marks = [mark["expr"] for board in MODELS.values() for mark in board["annotations"]["list"]]
    counted = 0
    for expr in (*(query.expr for query in list_queries()), *marks):
        for gauge in GAUGES.finditer(expr):
            counted += 1
            assert expr[gauge.end() :].startswith(" unless on (job, instance) job_instance:silent")
    assert counted > 10


def test_detail_about_the_model_is_collapsed() -> None:
    rows = [panel for panel in MODELS["ml"]["panels"] if panel["type"] == "row"]
    assert [row["collapsed"] for row in rows] == [False, True, True, True, True]


def test_a_firing_alert_has_level_alert_service_since_value_runbook_and_panel() -> None:
    table = MODELS["incidents"]["panels"][0]
    organize = table["transformations"][-1]["options"]
    columns = [organize["renameByName"][name] for name in organize["indexByName"]]
    hidden = overrides(table, "custom.hidden")
    assert [name for name in columns if name not in hidden] == [
        "Level", "Alert", "Service", "Since (UTC)", "Value", "Unit", "Runbook", "Panel"
    ]  # fmt: skip
    links = {name: link["url"] for name, (link,) in overrides(table, "links").items()}
    assert links["Runbook"] == "${runbooks}/${__data.fields.Alert}"
    assert links["Panel"].startswith("/d/${__data.fields.dashboard}?viewPanel=")
    (variable,) = (v for v in MODELS["incidents"]["templating"]["list"] if v["name"] == "runbooks")
    assert variable["query"] == "http://localhost:9095/runbooks"


def test_uids_are_fixed_and_different() -> None:
    assert [board["uid"] for board in MODELS.values()] == [
        "randsvc-golden-signals",
        "randsvc-distributions",
        "randsvc-incidents",
        "randsvc-ml",
        "randsvc-pipeline",
    ]


def test_what_now_is_compared_with_is_the_same_earlier_and_shares_no_observation() -> None:
    board = MODELS["distributions"]
    (choice,) = (v for v in board["templating"]["list"] if v["type"] == "custom")
    units = {"m": 60, "h": 3600, "d": 86400}
    seconds = [int(each[:-1]) * units[each[-1]] for each in choice["query"].split(",")]
    assert min(seconds) >= int(DISTRIBUTION_WINDOW.removesuffix("m")) * 60
    assert choice["current"]["value"] == choice["query"].split(",")[0]
    compared = [panel for panel in board["panels"] if panel["type"] == "barchart"]
    for panel in compared:
        # Bins without values in both are left out, after " > 0".
        now, earlier = (target["expr"].split(" > 0")[0] for target in targets(panel))
        assert earlier == now.removesuffix(")") + " offset $earlier)"
    assert [panel["title"].split(":")[0] for panel in compared] == [
        "Density of the value",
        "Distribution function of the value",
        "Density of the delay",
        "Distribution function of the delay",
    ]


@pytest.mark.native
def test_the_gap_to_earlier_is_the_widest_one_and_chance_is_that_of_two_samples(
    tmp_path: Path,
) -> None:
    gap, chance = (
        query.expr
        for query in list_queries()
        if query.panel == "Change of the value within $earlier"
    )
    fraction = "job_le:randsvc_value:histogram_fraction_rate5m"
    given = {
        f'{fraction}{{job="randsvc",le="1"}}': "0.2 0.3",
        f'{fraction}{{job="randsvc",le="2"}}': "0.8 0.55",
        f'{fraction}{{job="randsvc",le="+Inf"}}': "1 1",
        'job:randsvc_value:count_rate5m{job="randsvc"}': "2 8",
    }
    by_chance = 1.358 * sqrt(1 / 600 + 1 / 2400)
    expected = {
        f"round({gap}, 2^-40)": ("{}", 0.25),
        f"abs ({chance} - {by_chance!r}) < bool 1e-12": ('{job="randsvc"}', 1),
    }
    test = {
        "evaluation_interval": "10s",
        "tests": [
            {
                "interval": "10s",
                "input_series": [{"series": s, "values": v} for s, v in given.items()],
                "promql_expr_test": [
                    {
                        "expr": expr,
                        "eval_time": "10s",
                        "exp_samples": [{"labels": labels, "value": value}],
                    }
                    for expr, (labels, value) in expected.items()
                ],
            }
        ],
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump(test, width=2**16))
    done = promtool("test", "rules", tmp_path / "test.yml")
    assert done.returncode == 0, done.stdout


def choices() -> list[dict[str, Any]]:
    return [v for v in MODELS["golden-signals"]["templating"]["list"] if v["type"] == "query"]


def test_choices_of_a_variable_come_from_series_that_exist() -> None:
    assert [v["name"] for v in choices()] == ["job", "route", "instance"]
    for variable in choices():
        series = re.fullmatch(r"label_values\((\w+)(\{.*\})?, \w+\)", variable["query"])
        assert series is not None
        assert series[1] in OWN


def test_one_service_is_shown_and_all_its_routes_and_instances() -> None:
    service, *others = choices()
    assert service["current"]["value"] == "randsvc"
    assert not service.get("multi")
    assert not service.get("includeAll")
    for variable in others:
        assert '{job="$job"}' in variable["query"]
        assert variable["multi"]
        assert variable["includeAll"]
        assert variable["allValue"] == ".*"


def test_latency_panels_have_exemplars() -> None:
    titles = {
        panel["title"]
        for panel in MODELS["golden-signals"]["panels"]
        for target in targets(panel)
        if target.get("exemplar")
    }
    assert titles == {"Latency", "Latency heatmap", "p99 latency by route"}


def test_building_twice_gives_the_same() -> None:
    for dashboard in DASHBOARDS.values():
        assert to_json(dashboard) == to_json(dashboard)


def provisioned(kind: str) -> Any:
    return yaml.safe_load((PROVISIONING / kind / f"{kind}.yml").read_text())


def test_an_exemplar_opens_its_trace_and_its_logs() -> None:
    sources = {source["uid"]: source for source in provisioned("datasources")["datasources"]}
    assert {uid: source["type"] for uid, source in sources.items()} == {
        "prometheus": "prometheus",
        "jaeger": "jaeger",
        "alertmanager": "alertmanager",
    }
    target, logs = sources["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    assert target["name"] == logs["name"] == "trace_id"
    # A link to the data source would open Explore, which a viewer may not use.
    assert target["url"] == "${JAEGER_URL}/trace/$${__value.raw}"
    assert logs["url"].startswith("${LOGS_URL}/")  # tests/stack/test_logs.py follows it
    assert not {"datasourceUid"} & {*target, *logs}
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["grafana"]
    assert compose["environment"]["JAEGER_URL"] == "http://localhost:${JAEGER_PORT}"
    assert compose["environment"]["LOGS_URL"] == "http://localhost:${VICTORIALOGS_PORT}"


def test_the_data_source_knows_the_interval_of_scrapes() -> None:
    scrapes = yaml.safe_load((ROOT / "observability/prometheus/prometheus.yml").read_text())
    (source,) = (s for s in provisioned("datasources")["datasources"] if s["type"] == "prometheus")
    assert source["jsonData"]["timeInterval"] == scrapes["global"]["scrape_interval"]


def test_the_default_data_source_is_the_one_that_is_chosen_at_first() -> None:
    (source,) = (s for s in provisioned("datasources")["datasources"] if s.get("isDefault"))
    for board in MODELS.values():
        (variable,) = (v for v in board["templating"]["list"] if v["type"] == "datasource")
        assert variable["current"]["value"] == source["uid"]
        assert variable["query"] == source["type"]


def test_compose_mounts_the_dashboards_where_grafana_looks() -> None:
    (provider,) = provisioned("dashboards")["providers"]
    mount = f"./observability/grafana/dashboards:{provider['options']['path']}:ro"
    assert mount in (ROOT / "docker-compose.yml").read_text()
