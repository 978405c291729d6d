"""What the dashboards share: panels, and how they are put together.

A panel must have a title, a unit and a description, so they are arguments. What is used exists in
Grafana 9.4 already; it shows what a dashboard of this schema says in every later one too.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
    VariableOption,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from randsvc.metrics import FAULT_ACTIVE
from randsvc.rules.alert import make_panel_id
from randsvc.rules.golden_signals import reporting

__all__ = (
    "ALERTS",
    "ANNOTATION_TITLES",
    "DASHBOARD_TAG",
    "Choice",
    "Column",
    "Dashboard",
    "Panel",
    "Query",
    "Row",
    "Text",
    "Thresholds",
    "Variable",
    "draw_bars",
    "draw_heatmap",
    "draw_lines",
    "draw_timeline",
    "drop_nan",
    "or_named",
    "show_number",
    "tabulate",
)

DASHBOARD_TAG = "randsvc"
"""Of every dashboard: the links between them are made from it."""
ALERTS = 'ALERTS{alertstate="firing",alertname!="RandsvcWatchdog"}'
"""What fires. The Watchdog always does: https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/"""
ANNOTATION_TITLES = {"Alerts": "{{alertname}}", "Faults": "Fault {{randsvc_fault}} in {{job}}"}
"""What a mark says when the pointer is on it, by the name of the annotation."""
DATASOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
Step = tuple[float, str]
Thresholds = tuple[str, *tuple[Step, ...]]
"""The colour of the lowest values, then from which value on there is which other one."""
Colours = Mapping[str, str]
"""The colour of each series whose whole legend matches a regular expression."""

SOFT_MAXIMA = {"percentunit": 0.05, "s": 0.01, "bytes": 1e6}
"""By unit: the least that an axis from 0 shows, or a panel of zeros would scale to 10000%."""


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
    """Panels below a heading; without a title there is none. A collapsed row is opened by a click.

    Collapse what is detail: a person on call should not have to scroll past it.
    """

    title: str
    panels: tuple[Panel, ...]
    collapsed: bool = False


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


@dataclass(frozen=True)
class Text:
    """A text that can be typed in."""

    name: str
    label: str
    text: str


@dataclass(frozen=True)
class Column:
    """A column of a table: a label, or the value of the query that is called ``name``.

    ``heading`` is empty where the column is only for links. ``colours`` colour a text, ``link`` is
    where a cell leads, with Grafana's variables; ``values`` are words for special values.
    """

    name: str
    heading: str
    unit: str = "string"
    width: int | None = None
    colours: Mapping[str, str] = field(default_factory=dict)
    link: str = ""
    missing: str = ""


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """A dashboard as it is declared; ``build`` makes Grafana's of it."""

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]
    variables: tuple[Variable | Choice | Text, ...] = ()
    since: str = "now-15m"

    def list_queries(self) -> list[tuple[str, Query]]:
        """Give every query with the title of its panel."""
        return [
            (panel.builder.build().title, query)
            for row in self.rows
            for panel in row.panels
            for query in panel.queries
        ]

    def list_panels(self) -> list[Panel]:
        """Give every panel, in its order."""
        return [panel for row in self.rows for panel in row.panels]

    def build(self) -> dashboards.Dashboard:
        """Lay the panels out from left to right, row by row."""
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
            .with_variable(_make_datasource())
            .link(_make_links())
        )
        for annotation in _make_annotations(self._list_timelines()):
            board.annotation(annotation)
        for variable in self.variables:
            board.with_variable(_make_variable(variable))
        for row in self.rows:
            heading = dashboards.Row(row.title).id(make_panel_id(f"row {row.title}"))
            if row.collapsed:
                for panel in row.panels:
                    heading.with_panel(panel.builder)
                board.with_row(heading)
                continue
            if row.title:
                board.with_row(heading)
            for panel in row.panels:
                board.with_panel(panel.builder)
        return board

    def _list_timelines(self) -> list[int]:
        built = (panel.builder.build() for panel in self.list_panels())
        return [panel.id_val for panel in built if panel.type_val == "state-timeline"]


def drop_nan(expr: str) -> str:
    """Leave out the quantile of no observation, which a legend would give as NaN.

    >>> drop_nan("histogram_quantile(0.5, x)")
    'histogram_quantile(0.5, x) > -Inf'
    """
    return f"{expr} > -Inf"


def or_named(expr: str, label: str, name: str) -> str:
    """Give a series of 0 with a name for where there is nothing: Grafana would show an error.

    >>> or_named("x", "error_type", "no errors")
    'x or on () label_replace(vector(0), "error_type", "no errors", "", "")'
    """
    return f'{expr} or on () label_replace(vector(0), "{label}", "{name}", "", "")'


def show_number(
    title: str,
    description: str,
    unit: str,
    query: Query,
    *,
    thresholds: Thresholds = ("blue",),
    none: str = "no data",
    decimals: int | None = None,
    width: int = 4,
) -> Panel:
    """Show the last value, coloured by its threshold, over its course; ``none`` without a value."""
    builder = (
        stat.Panel()
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .graph_mode(options.BigValueGraphMode.AREA)
        .color_mode(options.BigValueColorMode.VALUE)
        .color_scheme(_colour_by_thresholds())
        .thresholds(_make_thresholds(thresholds))
        .no_value(none)
    )
    if decimals is not None:
        builder.decimals(decimals)
    return _finish(builder, title, description, unit, (query,), width, 4)


def draw_lines(
    title: str,
    description: str,
    unit: str,
    *drawn: Query,
    thresholds: Thresholds | None = None,
    colours: Colours | None = None,
    none: str = "no data",
    stacked: bool = False,
    steps: bool = False,
    floor: float | None = 0,
    ceiling: float | None = None,
    dashed: Sequence[str] = (),
    between: tuple[str, str] | None = None,
    link: tuple[str, str] | None = None,
    width: int = 12,
    height: int = 9,
) -> Panel:
    """Draw queries over time, with the last value and the maximum in the legend.

    ``thresholds`` are drawn as dashed lines; so is each query whose legend is in ``dashed``, such
    as a limit. ``link`` is a title and where a series leads. ``between`` names the low and the high
    end of an interval, which is shaded. Only what is stacked is filled. ``floor`` and ``ceiling``
    are the least range of the axis.
    """
    builder = (
        timeseries.Panel()
        .legend(_make_legend(["lastNotNull", "max"]))
        .tooltip(
            common.VizTooltipOptions()
            .mode(options.TooltipDisplayMode.MULTI)
            .sort(options.SortOrder.DESCENDING)
        )
        .color_scheme(dashboards.FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC))
        .draw_style(options.GraphDrawStyle.LINE)
        .line_width(1)
        .fill_opacity(30 if stacked else 0)
        .show_points(options.VisibilityMode.NEVER)
        .no_value(none)
    )
    if stacked:
        builder.stacking(common.StackingConfig().mode(options.StackingMode.NORMAL).group("A"))
    if steps:
        builder.line_interpolation(options.LineInterpolation.STEP_AFTER)
    if floor is not None:
        builder.axis_soft_min(floor)
        lowest = thresholds[1][0] if thresholds and len(thresholds) > 1 else 0
        builder.axis_soft_max(ceiling or max(lowest, SOFT_MAXIMA.get(unit, 1)))
    if thresholds:
        builder.thresholds(_make_thresholds(thresholds)).thresholds_style(
            common.GraphThresholdsStyleConfig().mode(options.GraphTresholdsStyleMode.DASHED)
        )
    for pattern, colour in (colours or {}).items():
        builder.override_by_regexp(f"/^(?:{pattern})$/", [_fix_colour(colour)])
    if link:
        title_of_link, url = link
        builder.override_by_regexp("/.*/", [_link(title_of_link, url)])
    for legend in dashed:
        dashes = {"fill": "dash", "dash": [10, 10]}
        builder.override_by_name(
            legend, [DynamicConfigValue(id_val="custom.lineStyle", value=dashes)]
        )
    if between:
        low, high = between
        thin = DynamicConfigValue(id_val="custom.lineWidth", value=0)
        shade = DynamicConfigValue(id_val="custom.fillOpacity", value=20)
        below = DynamicConfigValue(id_val="custom.fillBelowTo", value=low)
        builder.override_by_name(low, [thin]).override_by_name(high, [thin, shade, below])
    return _finish(builder, title, description, unit, drawn, width, height)


def draw_timeline(
    title: str,
    description: str,
    query: Query,
    *,
    states: Mapping[int, tuple[str, str]],
    width: int = 12,
    height: int = 9,
) -> Panel:
    """Draw a bar for each series while it is there.

    ``states`` is a word and a colour for each value that the query has, in ascending order.
    """
    (_, lowest), *others = states.values()
    steps = zip(list(states)[1:], (colour for _, colour in others), strict=True)
    builder = (
        statetimeline.Panel()
        .merge_values(True)
        .show_value(options.VisibilityMode.NEVER)
        .row_height(0.8)
        .align_value(options.TimelineValueAlignment.LEFT)
        .fill_opacity(85)
        .legend(_make_legend([], show=False))
        .tooltip(
            common.VizTooltipOptions()
            .mode(options.TooltipDisplayMode.SINGLE)
            .sort(options.SortOrder.NONE)
        )
        .color_scheme(_colour_by_thresholds())
        .thresholds(_make_thresholds((lowest, *steps)))
        .mappings([_map_values({str(value): state for value, state in states.items()})])
    )
    return _finish(builder, title, description, "string", (query,), width, height)


def draw_heatmap(
    title: str,
    description: str,
    unit: str,
    query: Query,
    *,
    cell_unit: str,
    width: int = 12,
    height: int = 9,
) -> Panel:
    """Draw cumulative buckets (label ``le``) over time; the redder, the more is in the bucket.

    Grafana takes the differences between the buckets itself.
    """
    builder = (
        heatmap.Panel()
        .calculate(False)
        .color(
            heatmap.HeatmapColorOptions()
            .mode(HeatmapColorMode.SCHEME)
            # The most readable of the schemes: a rare bucket and a frequent one differ in hue.
            .scheme("Spectral")
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
        .exemplars_color("rgba(255,255,255,0.6)")
    )
    return _finish(
        builder, title, description, unit, (query,), width, height, PromQueryFormat.HEATMAP
    )


def draw_bars(
    title: str, description: str, unit: str, *drawn: Query, width: int = 12, height: int = 9
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
        .legend(_make_legend([]))
        .tooltip(
            common.VizTooltipOptions()
            .mode(options.TooltipDisplayMode.MULTI)
            .sort(options.SortOrder.NONE)
        )
        .axis_soft_min(0)
        .axis_soft_max(SOFT_MAXIMA.get(unit, 0.01))
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
    # The axis of `le` has a unit of its own: as a share, 0.25 would read 25%.
    builder.override_by_name("le", [DynamicConfigValue(id_val="unit", value="string")])
    for query, colour in zip(drawn, ("blue", "#a0a0a0"), strict=False):
        builder.override_by_name(query.legend, [_fix_colour(colour)])
    return _finish(builder, title, description, unit, drawn, width, height, PromQueryFormat.TABLE)


def tabulate(
    title: str,
    description: str,
    columns: Sequence[Column],
    queries_: Mapping[str, Query],
    *,
    sort_by: str,
    none: str = "no data",
    width: int = 12,
    height: int = 7,
) -> Panel:
    """Tabulate several queries now, a row for each combination of labels.

    ``queries_`` are called as the columns of their values are; ``sort_by`` is a heading.
    """
    # Grafana adds the letter of a query only where there are several.
    values = {
        name: f"Value #{_letter(i)}" if len(queries_) > 1 else "Value"
        for i, name in enumerate(queries_)
    }
    named = {values.get(column.name, column.name): column for column in columns}
    builder = (
        table.Panel()
        .show_header(True)
        .sort_by([common.TableSortByFieldState().display_name(sort_by)])
        .with_transformation(_transformation("merge"))
        .with_transformation(
            _transformation(
                "organize",
                excludeByName={"Time": True},
                indexByName={name: i for i, name in enumerate(named)},
                renameByName={
                    name: column.heading or column.name for name, column in named.items()
                },
            )
        )
        .no_value(none)
    )
    for column in columns:
        builder.override_by_name(column.heading or column.name, list(_style(column)))
    return _finish(
        builder,
        title,
        description,
        # Of whatever column has none of its own.
        "string",
        tuple(queries_.values()),
        width,
        height,
        PromQueryFormat.TABLE,
    )


def _style(column: Column) -> Iterator[DynamicConfigValue]:
    yield DynamicConfigValue(id_val="unit", value=column.unit)
    if not column.heading:
        yield DynamicConfigValue(id_val="custom.hidden", value=True)
    if column.width:
        yield DynamicConfigValue(id_val="custom.width", value=column.width)
    if column.colours:
        mapping = _map_values({text: (text, colour) for text, colour in column.colours.items()})
        yield DynamicConfigValue(id_val="mappings", value=[mapping])
        cell = {"type": "color-background", "mode": "basic"}
        yield DynamicConfigValue(id_val="custom.cellOptions", value=cell)
    if column.missing:
        yield DynamicConfigValue(
            id_val="mappings",
            value=[
                {
                    "type": "special",
                    "options": {"match": "null+nan", "result": {"text": column.missing}},
                }
            ],
        )
    if column.link:
        yield _link(f"Open: {column.heading}", column.link)


def _link(title: str, url: str) -> DynamicConfigValue:
    return DynamicConfigValue(
        id_val="links", value=[{"title": title, "url": url, "targetBlank": True}]
    )


def _finish(
    builder: Any,
    title: str,
    description: str,
    unit: str,
    drawn: Sequence[Query],
    width: int,
    height: int,
    shape: PromQueryFormat = PromQueryFormat.TIME_SERIES,
) -> Panel:
    builder.id(make_panel_id(title))
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


def _make_thresholds(thresholds: Thresholds) -> dashboards.ThresholdsConfig:
    lowest, *others = thresholds
    steps = [Threshold(value=None, color=lowest)]
    steps += [Threshold(value=value, color=color) for value, color in others]
    return dashboards.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def _colour_by_thresholds() -> dashboards.FieldColor:
    return dashboards.FieldColor().mode(FieldColorModeId.THRESHOLDS)


def _fix_colour(colour: str) -> DynamicConfigValue:
    return DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": colour})


def _map_values(states: Mapping[str, tuple[str, str]]) -> ValueMap:
    return ValueMap(
        {
            value: ValueMappingResult(text=text, color=colour, index=i)
            for i, (value, (text, colour)) in enumerate(states.items())
        }
    )


def _make_legend(calculations: Sequence[str], *, show: bool = True) -> common.VizLegendOptions:
    """Give a table with a row for each series where there is something to calculate."""
    mode = options.LegendDisplayMode.TABLE if calculations else options.LegendDisplayMode.LIST
    return (
        common.VizLegendOptions()
        .display_mode(mode if show else options.LegendDisplayMode.HIDDEN)
        .placement(options.LegendPlacement.BOTTOM)
        .show_legend(show)
        .calcs(list(calculations))
    )


def _make_datasource() -> dashboards.DatasourceVariable:
    return (
        dashboards.DatasourceVariable("datasource")
        .label("Data source")
        .type("prometheus")
        .current(VariableOption(selected=True, text="Prometheus", value="prometheus"))
    )


def _make_variable(
    variable: Variable | Choice | Text,
) -> dashboards.QueryVariable | dashboards.CustomVariable | dashboards.TextBoxVariable:
    if isinstance(variable, Text):
        return (
            dashboards.TextBoxVariable(variable.name)
            .label(variable.label)
            .default_value(variable.text)
        )
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


def _make_annotations(timelines: Sequence[int]) -> Iterator[dashboards.AnnotationQuery]:
    """Give marks on the panels over time, from when a series is there until it is no more.

    Minor alerts have none, or there would be a mark everywhere while something drifts; and an alert
    has one mark, whatever its levels. A time line shows the same by itself.
    """
    severe = f'{ALERTS[:-1]},level=~"critical|major"}}'
    faults = f"{reporting(FAULT_ACTIVE.prometheus_name)} > 0"
    for name, expr, colour in (
        ("Alerts", f"max by (alertname) ({severe})", "red"),
        ("Faults", f"max by (job, randsvc_fault) ({faults})", "purple"),
    ):
        yield (
            dashboards.AnnotationQuery()
            .name(name)
            .datasource(DATASOURCE)
            .enable(True)
            .icon_color(colour)
            .expr(expr)
            .filter(dashboards.AnnotationPanelFilter().exclude(True).ids(list(timelines)))
        )


def _make_links() -> dashboards.DashboardLink:
    return (
        dashboards.DashboardLink("Dashboards")
        .type(DashboardLinkType.DASHBOARDS)
        .tags([DASHBOARD_TAG])
        .as_dropdown(False)
        # The data source, service and route stay chosen.
        .include_vars(True)
        .keep_time(True)
        .target_blank(False)
    )
