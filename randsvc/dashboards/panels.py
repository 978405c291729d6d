"""What the dashboards share: panels, and how they are put together.

A panel must have a title, a unit and a description, so they are arguments. What is used exists in
Grafana 9.4 already; it shows what a dashboard of this schema says in every later one too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import (
    barchart,
    common,
    heatmap,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.builders import prometheus as queries
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
    VariableOption,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from randsvc.telemetry.catalogue import FAULT_ACTIVE

__all__ = (
    "ALERTS",
    "DASHBOARD_TAG",
    "Choice",
    "Dashboard",
    "Levels",
    "Panel",
    "Query",
    "Row",
    "Variable",
    "bars",
    "density_map",
    "lines",
    "number",
    "rows_of",
    "timeline",
)

DASHBOARD_TAG = "randsvc"
"""Of every dashboard: the links between them are made from it."""
ALERTS = 'ALERTS{alertstate="firing",alertname!="RandsvcWatchdog"}'
"""What fires. The Watchdog always does: https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/"""
DATASOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
Step = tuple[float, str]
Levels = tuple[str, *tuple[Step, ...]]
"""The colour of the lowest values, then from which value on there is which other one."""


@dataclass(frozen=True, kw_only=True)
class Query:
    """A query of a panel.

    ``empty`` says why a healthy system may have no data for it; without it there must be some.
    """

    expr: str
    legend: str = ""
    exemplar: bool = False
    empty: str = ""


@dataclass(frozen=True)
class Panel:
    """A panel: its queries, and Grafana's builder that already has them."""

    queries: tuple[Query, ...]
    builder: Any


@dataclass(frozen=True)
class Row:
    """Panels below a heading; without a title there is none."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Variable:
    """A choice of values of a label: of several, all unless told otherwise, or of one."""

    name: str
    label: str
    series: str
    """The selector whose values of the label can be chosen."""
    value: str
    """The label."""
    chosen: str = ""
    """The value at first where one has to be chosen."""


@dataclass(frozen=True)
class Choice:
    """A choice of one of some values, the first unless told otherwise."""

    name: str
    label: str
    values: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """A dashboard as it is declared; ``build`` makes Grafana's of it."""

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]
    variables: tuple[Variable | Choice, ...] = ()
    since: str = "now-15m"

    def queries(self) -> list[tuple[str, Query]]:
        """Give every query with the title of its panel."""
        return [
            (panel.builder.build().title, query)
            for row in self.rows
            for panel in row.panels
            for query in panel.queries
        ]

    def build(self) -> dashboards.Dashboard:
        """Lay the panels out from left to right, row by row, and number them."""
        board = (
            dashboards.Dashboard(self.title)
            .uid(self.uid)
            .description(self.description)
            .tags([DASHBOARD_TAG])
            .timezone("utc")
            .readonly()
            .tooltip(DashboardCursorSync.CROSSHAIR)
            .time(self.since, "now")
            .refresh("10s")
            .with_variable(_datasource())
            .link(_links())
            .annotation(_annotation("Alerts", f"max by (alertname, level) ({ALERTS})", "red"))
            .annotation(
                _annotation(
                    "Faults",
                    f"max by (job, randsvc_fault) ({FAULT_ACTIVE.prometheus_name}) > 0",
                    "purple",
                )
            )
        )
        for variable in self.variables:
            board.with_variable(_variable(variable))
        number = 0
        for row in self.rows:
            if row.title:
                number += 1
                board.with_row(dashboards.Row(row.title).id(number))
            for panel in row.panels:
                number += 1
                board.with_panel(panel.builder.id(number))
        return board


def number(
    title: str,
    description: str,
    unit: str,
    query: Query,
    *,
    levels: Levels = ("blue",),
    none: str = "no data",
    decimals: int | None = None,
    width: int = 4,
) -> Panel:
    """Show the last value, coloured by its level, over its course; ``none`` where it has none."""
    builder = (
        stat.Panel()
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .graph_mode(options.BigValueGraphMode.AREA)
        .color_mode(options.BigValueColorMode.VALUE)
        .thresholds(_thresholds(levels))
        .no_value(none)
    )
    if decimals is not None:
        builder.decimals(decimals)
    return _panel(builder, title, description, unit, (query,), width, 4)


def lines(
    title: str,
    description: str,
    unit: str,
    *drawn: Query,
    levels: Levels | None = None,
    none: str = "no data",
    stacked: bool = False,
    steps: bool = False,
    floor: float | None = 0,
    ceiling: float | None = None,
    dashed: Sequence[str] = (),
    width: int = 12,
    height: int = 8,
) -> Panel:
    """Draw queries over time.

    ``levels`` are drawn as dashed lines; so is each query whose legend is in ``dashed``, such as a
    limit. ``floor`` and ``ceiling`` are the least range of the axis.
    """
    builder = (
        timeseries.Panel()
        .legend(
            common.VizLegendOptions()
            .display_mode(options.LegendDisplayMode.LIST)
            .placement(options.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs([])
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(options.TooltipDisplayMode.MULTI)
            .sort(options.SortOrder.DESCENDING)
        )
        .draw_style(options.GraphDrawStyle.LINE)
        .line_width(1)
        .fill_opacity(30 if stacked else 8)
        .show_points(options.VisibilityMode.NEVER)
        .no_value(none)
    )
    if stacked:
        builder.stacking(common.StackingConfig().mode(options.StackingMode.NORMAL).group("A"))
    if steps:
        builder.line_interpolation(options.LineInterpolation.STEP_AFTER)
    if floor is not None:
        builder.axis_soft_min(floor)
    if ceiling is not None:
        builder.axis_soft_max(ceiling)
    if levels:
        builder.thresholds(_thresholds(levels)).thresholds_style(
            common.GraphThresholdsStyleConfig().mode(options.GraphTresholdsStyleMode.DASHED)
        )
    for legend in dashed:
        dashes = DynamicConfigValue(
            id_val="custom.lineStyle", value={"fill": "dash", "dash": [10, 10]}
        )
        fill = DynamicConfigValue(id_val="custom.fillOpacity", value=0)
        builder.override_by_name(legend, [dashes, fill])
    return _panel(builder, title, description, unit, drawn, width, height)


def timeline(
    title: str,
    description: str,
    query: Query,
    *,
    colour: str,
    none: str,
    width: int = 12,
    height: int = 8,
) -> Panel:
    """Draw a bar for each series while it is there; ``none`` where none ever was."""
    builder = (
        statetimeline.Panel()
        .merge_values(True)
        .show_value(options.VisibilityMode.NEVER)
        .row_height(0.8)
        .align_value(options.TimelineValueAlignment.LEFT)
        .legend(
            common.VizLegendOptions()
            .display_mode(options.LegendDisplayMode.HIDDEN)
            .placement(options.LegendPlacement.BOTTOM)
            .show_legend(False)
            .calcs([])
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(options.TooltipDisplayMode.SINGLE)
            .sort(options.SortOrder.NONE)
        )
        .thresholds(_thresholds((colour,)))
        .no_value(none)
    )
    return _panel(builder, title, description, "short", (query,), width, height)


def density_map(
    title: str,
    description: str,
    unit: str,
    query: Query,
    *,
    cell_unit: str,
    width: int = 12,
    height: int = 8,
) -> Panel:
    """Draw cumulative buckets (label ``le``) over time; the darker, the more is in the bucket.

    Grafana takes the differences between the buckets itself.
    """
    builder = (
        heatmap.Panel()
        .calculate(False)
        .color(
            heatmap.HeatmapColorOptions()
            .mode(HeatmapColorMode.SCHEME)
            .scheme("Blues")
            .fill("dark-blue")
            .exponent(0.5)
            .steps(64)
        )
        .filter_values(heatmap.FilterValueRange().le(1e-9))
        .rows_frame(heatmap.RowsHeatmapOptions().layout(options.HeatmapCellLayout.AUTO))
        .show_value(options.VisibilityMode.NEVER)
        .cell_gap(1)
        .cell_values(heatmap.CellValues().unit(cell_unit))
        .y_axis(heatmap.YAxisConfig().unit(unit).axis_placement(options.AxisPlacement.LEFT))
        .show_legend()
        .show_tooltip()
        .show_y_histogram()
        .exemplars_color("rgba(255,0,255,0.7)")
    )
    return _panel(
        builder, title, description, unit, (query,), width, height, PromQueryFormat.HEATMAP
    )


def bars(
    title: str, description: str, unit: str, *drawn: Query, width: int = 12, height: int = 8
) -> Panel:
    """Draw what queries give now as bars for each ``le``, in their order, side by side.

    The second query is what the first is compared with, and paler.
    """
    builder = (
        barchart.Panel()
        .x_field("le")
        .x_tick_label_spacing(40)
        .x_tick_label_max_length(20)
        .orientation(options.VizOrientation.VERTICAL)
        .show_value(options.VisibilityMode.NEVER)
        .bar_width(0.97)
        .group_width(0.9)
        .fill_opacity(80)
        .line_width(0)
        .legend(
            common.VizLegendOptions()
            .display_mode(options.LegendDisplayMode.LIST)
            .placement(options.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs([])
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(options.TooltipDisplayMode.MULTI)
            .sort(options.SortOrder.NONE)
        )
        # Into one table with a row for each `le`, as each query is a table of its own.
        .with_transformation(_transformation("merge"))
        # Grafana reads `le` as a number, by which it sorts, but has the names of bars as text.
        .with_transformation(_transformation("sortBy", sort=[{"field": "le"}], fields={}))
        .with_transformation(
            _transformation(
                "convertFieldType",
                conversions=[{"targetField": "le", "destinationType": "string"}],
                fields={},
            )
        )
        .with_transformation(
            _transformation(
                "organize",
                excludeByName={"Time": True},
                indexByName={},
                renameByName={
                    # Grafana adds the letter of a query only where there are several.
                    f"Value #{_letter(i)}" if len(drawn) > 1 else "Value": query.legend
                    for i, query in enumerate(drawn)
                },
            )
        )
    )
    for query, colour in zip(drawn, ("blue", "#a0a0a0"), strict=False):
        fixed = {"mode": "fixed", "fixedColor": colour}
        builder.override_by_name(query.legend, [DynamicConfigValue(id_val="color", value=fixed)])
    return _panel(builder, title, description, unit, drawn, width, height, PromQueryFormat.TABLE)


def rows_of(
    title: str,
    description: str,
    by: Mapping[str, str],
    columns: Mapping[str, tuple[str, Query]],
    *,
    width: int = 12,
    height: int = 7,
) -> Panel:
    """Tabulate several queries now, a row for each combination of labels.

    ``by`` names the labels and their headings; ``columns`` has a unit and a query by heading.
    """
    values = {f"Value #{_letter(i)}": name for i, name in enumerate(columns)}
    shown = [*by, *values]
    builder = (
        table.Panel()
        .show_header(True)
        .with_transformation(_transformation("merge"))
        .with_transformation(
            _transformation(
                "organize",
                excludeByName={"Time": True},
                indexByName={name: i for i, name in enumerate(shown)},
                renameByName={**by, **values},
            )
        )
    )
    for name, (unit, _) in columns.items():
        builder.override_by_name(name, [DynamicConfigValue(id_val="unit", value=unit)])
    return _panel(
        builder,
        title,
        description,
        # Of whatever column has none of its own.
        "short",
        tuple(query for _, query in columns.values()),
        width,
        height,
        PromQueryFormat.TABLE,
    )


def _panel(
    builder: Any,
    title: str,
    description: str,
    unit: str,
    drawn: Sequence[Query],
    width: int,
    height: int,
    shape: PromQueryFormat = PromQueryFormat.TIME_SERIES,
) -> Panel:
    builder.title(title).description(description).unit(unit).datasource(DATASOURCE)
    builder.span(width).height(height)
    for i, query in enumerate(drawn):
        target = (
            queries.Dataquery()
            .ref_id(_letter(i))
            .expr(query.expr)
            .legend_format(query.legend)
            .datasource(DATASOURCE)
            .format(shape)
        )
        # A table shows now; all else is drawn over time.
        (target.instant if shape is PromQueryFormat.TABLE else target.range)()
        if query.exemplar:
            target.exemplar(True)
        builder.with_target(target)
    return Panel(tuple(drawn), builder)


def _letter(i: int) -> str:
    return chr(ord("A") + i)


def _transformation(name: str, **settings: object) -> DataTransformerConfig:
    return DataTransformerConfig(id_val=name, options=settings)


def _thresholds(levels: Levels) -> dashboards.ThresholdsConfig:
    lowest, *others = levels
    steps = [Threshold(value=None, color=lowest)]
    steps += [Threshold(value=value, color=color) for value, color in others]
    return dashboards.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def _datasource() -> dashboards.DatasourceVariable:
    return (
        dashboards.DatasourceVariable("datasource")
        .label("Data source")
        .type("prometheus")
        .current(VariableOption(selected=True, text="Prometheus", value="prometheus"))
    )


def _variable(variable: Variable | Choice) -> dashboards.QueryVariable | dashboards.CustomVariable:
    if isinstance(variable, Choice):
        first = variable.values[0]
        return (
            dashboards.CustomVariable(variable.name)
            .label(variable.label)
            .values(",".join(variable.values))
            .current(VariableOption(selected=True, text=first, value=first))
        )
    builder = (
        dashboards.QueryVariable(variable.name)
        .label(variable.label)
        .datasource(DATASOURCE)
        .query(f"label_values({variable.series}, {variable.value})")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )
    if variable.chosen:
        return builder.current(
            VariableOption(selected=True, text=variable.chosen, value=variable.chosen)
        )
    return (
        builder.multi(True)
        .include_all(True)
        # Matches the series without the label too: a 404 has no route.
        .all_value(".*")
        .current(VariableOption(selected=True, text=["All"], value=["$__all"]))
    )


def _annotation(name: str, expr: str, colour: str) -> dashboards.AnnotationQuery:
    """Give marks on every panel, from when a series is there until it is no more."""
    return (
        dashboards.AnnotationQuery()
        .name(name)
        .datasource(DATASOURCE)
        .enable(True)
        .icon_color(colour)
        .expr(expr)
    )


def _links() -> dashboards.DashboardLink:
    return (
        dashboards.DashboardLink("Dashboards")
        .type(DashboardLinkType.DASHBOARDS)
        .tags([DASHBOARD_TAG])
        .as_dropdown(False)
        .include_vars(False)
        .keep_time(True)
        .target_blank(False)
    )
