"""Pictures as SVG that take their colours from the page, so that one serves light and dark."""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import cycle, groupby

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from randsvc.review.counts import Values
from randsvc.times import Span

__all__ = (
    "Band",
    "Picture",
    "draw_bands",
    "draw_lines",
    "draw_shares",
    "draw_spark",
    "draw_timeline",
)

_SPARKS = "▁▂▃▄▅▆▇█"
_GAP = "·"
_WIDTH = 60

# Stand-ins that the page's style gives a colour: names of custom properties by a colour no one
# would choose.
_INK, _FAINT = "#010203", "#010204"
_LINES = ("#010205", "#010206", "#010207", "#010208")
_LEVELS = {"critical": "#010209", "major": "#01020a", "minor": "#01020b"}
_PROPERTIES = {
    _INK: "ink",
    _FAINT: "faint",
    **{colour: f"line-{i}" for i, colour in enumerate(_LINES)},
    **{colour: level for level, colour in _LEVELS.items()},
}
# Lines differ in their dashes too.
_DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (5, 1.5, 1, 1.5)))
_STYLES = tuple(zip(_LINES, _DASHES, strict=True))


@dataclass(frozen=True)
class Picture:
    """``svg`` for the page, ``spark`` for Markdown, ``says`` for screen readers."""

    title: str
    says: str
    svg: str
    spark: str = ""


def draw_lines(
    title: str,
    says: str,
    windows: Sequence[Span],
    series: Mapping[str, Values],
    *,
    unit: str,
    holes: Sequence[Span] = (),
    limits: Mapping[str, float] | None = None,
    logarithmic: bool = False,
    percent: bool = False,
    floor: float | None = 0.0,
    incidents: Sequence[Span] = (),
) -> Picture:
    """Lines over time, as steps by window.

    A line has a gap where a value is NaN. ``holes`` are hatched, ``incidents`` are shaded;
    ``limits`` are lines of their own.
    """
    figure, axes = _figure(2.4)
    for (name, values), (colour, dash) in zip(series.items(), cycle(_STYLES), strict=False):
        style = {"color": colour, "linestyle": dash, "linewidth": 1.4}
        shown: str | None = name
        for run in _find_runs(windows, values):
            times, heights = _make_line(windows, values, run)
            axes.plot(times, heights, label=shown, **style)  # type: ignore[arg-type]
            shown = None
    for name, limit in (limits or {}).items():
        axes.axhline(limit, color=_INK, linewidth=0.8, linestyle=(0, (6, 3)))
        axes.annotate(
            name,
            (1, limit),
            xycoords=("axes fraction", "data"),
            xytext=(-2, 3),
            textcoords="offset points",
            ha="right",
            fontsize=8,
            color=_INK,
        )
    if logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
        axes.yaxis.set_minor_formatter(FuncFormatter(lambda _, __: ""))
    elif floor is not None:
        axes.set_ylim(bottom=min(floor, axes.get_ylim()[0]))
    if percent:
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    axes.set_ylabel(unit)
    _shade(axes, holes, "no data", hatch="///")
    _shade(axes, incidents, "incident")
    _draw_times(axes, windows)
    if len(series) > 1 or holes or incidents:
        _draw_legend(axes)
    return Picture(title, says, _write_svg(figure, title), _draw_sparks(windows, series))


def draw_bands(
    title: str,
    says: str,
    period: Span,
    spans: Mapping[str, Sequence[Span]],
    holes: Sequence[Span] = (),
) -> Picture:
    """One row for each level of incidents, with a band for each one."""
    rows = {level: [Band(span, level) for span in each] for level, each in spans.items()}
    return draw_timeline(title, says, period, rows, holes)


@dataclass(frozen=True)
class Band:
    """Something that lasts, in the colour of its level; other than a level is faint."""

    span: Span
    level: str = ""


def draw_timeline(
    title: str,
    says: str,
    period: Span,
    rows: Mapping[str, Sequence[Band]],
    holes: Sequence[Span] = (),
) -> Picture:
    """One row for each name, the first on top, with its bands over time."""
    figure, axes = _figure(0.5 + 0.3 * len(rows))
    # A short band must be visible.
    least = period.seconds / 250
    for row, each in enumerate(rows.values()):
        axes.broken_barh(
            [
                (_convert_to_day(band.span.start), max(band.span.seconds, least) / 86400)
                for band in each
            ],
            (-row - 0.35, 0.7),
            facecolors=[_LEVELS.get(band.level, _FAINT) for band in each],
        )
    axes.set_yticks([-row for row in range(len(rows))], list(rows))
    axes.set_ylim(-len(rows) + 0.4, 0.6)
    _shade(axes, holes, "no data", hatch="///")
    _draw_times(axes, [period])
    if holes:
        _draw_legend(axes)
    return Picture(title, says, _write_svg(figure, title))


def draw_shares(
    title: str, says: str, edges: Sequence[float], by_name: Mapping[str, Values], unit: str
) -> Picture:
    """Shares of bins side by side, as outlines."""
    figure, axes = _figure(2.4)
    for (name, values), (colour, dash) in zip(by_name.items(), cycle(_STYLES), strict=False):
        axes.stairs(values, edges, color=colour, linestyle=dash, linewidth=1.4, label=name)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    axes.set_xlabel(unit)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(bottom=0)
    _draw_legend(axes)
    return Picture(title, says, _write_svg(figure, title))


def draw_spark(values: Values, width: int = _WIDTH) -> str:
    """The values as a line of block characters; a dot where there is none.

    >>> draw_spark(np.array([0, 1, float("nan"), 2]))
    '▁▄·█'
    """
    parts = np.array_split(values, min(width, len(values)))
    means = [float(np.nanmean(part)) if np.isfinite(part).any() else np.nan for part in parts]
    known = [mean for mean in means if np.isfinite(mean)]
    if not known:
        return _GAP * len(means)
    low, high = min(0.0, *known), max(known)
    scale = (len(_SPARKS) - 1) / (high - low) if high > low else 0.0
    return "".join(
        _SPARKS[int((mean - low) * scale)] if np.isfinite(mean) else _GAP for mean in means
    )


def _figure(height: float) -> tuple[Figure, Axes]:
    with mpl.rc_context({"font.size": 9, "font.family": "sans-serif"}):
        # Not pyplot: it keeps figures, and wants a screen.
        figure = Figure(figsize=(9, height), layout="constrained")
        axes = figure.add_subplot()
    figure.patch.set_alpha(0)
    axes.patch.set_alpha(0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for spine in axes.spines.values():
        spine.set_color(_FAINT)
    axes.tick_params(colors=_INK, which="both")
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(_INK)
    axes.grid(visible=True, axis="y", color=_FAINT, linewidth=0.5, alpha=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _draw_times(axes: Axes, windows: Sequence[Span]) -> None:
    axes.set_xlim(_convert_to_day(windows[0].start), _convert_to_day(windows[-1].end))
    locator = AutoDateLocator(minticks=4, maxticks=9, tz=UTC)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    formatter = ConciseDateFormatter(locator, tz=UTC)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(formatter)
    axes.xaxis.get_offset_text().set_color(_INK)


def _shade(axes: Axes, spans: Sequence[Span], label: str, hatch: str | None = None) -> None:
    for number, span in enumerate(spans):
        axes.axvspan(
            _convert_to_day(span.start),
            _convert_to_day(span.end),
            facecolor=_FAINT,
            alpha=0.35,
            linewidth=0,
            hatch=hatch,
            hatchcolor=_INK,
            label=None if number else label,
        )


def _draw_legend(axes: Axes) -> None:
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=5,
        frameon=False,
        fontsize=9,
        borderpad=0,
        labelcolor=_INK,
    )


def _find_runs(windows: Sequence[Span], values: Values) -> list[range]:
    """Where values are known, one after the other."""
    known = np.isfinite(values)
    found = []
    for is_known, group in groupby(range(len(windows)), key=lambda i: bool(known[i])):
        indices = list(group)
        if is_known:
            found.append(range(indices[0], indices[-1] + 1))
    return found


def _make_line(
    windows: Sequence[Span], values: Values, run: range
) -> tuple[list[float], list[float]]:
    times = [_convert_to_day(time) for i in run for time in (windows[i].start, windows[i].end)]
    return times, [values[i] for i in run for _ in range(2)]


def _convert_to_day(time: float) -> float:
    # As matplotlib counts: https://matplotlib.org/stable/api/dates_api.html
    return time / 86400


def _draw_sparks(windows: Sequence[Span], series: Mapping[str, Values]) -> str:
    longest = max(map(len, series), default=0)
    begin, end = (datetime.fromtimestamp(t, UTC) for t in (windows[0].start, windows[-1].end))
    rows = []
    for name, values in series.items():
        known = values[np.isfinite(values)]
        ends = f"  {known.min():.4g} to {known.max():.4g}" if len(known) else ""
        rows.append(f"{name:{longest}}  {draw_spark(values)}{ends}")
    rows.append(f"{'':{longest}}  {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}")
    return "\n".join(rows)


def _write_svg(figure: Figure, title: str) -> str:
    with (
        mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": title}),
        io.StringIO() as file,
    ):
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", metadata=nothing, transparent=True)
        text = file.getvalue()
    text = text[text.index("<svg") :]
    # As a part of a page it needs no names of XML, no ids that nothing refers to (each picture has
    # the same), and the fonts of the page.
    head, rest = text.split(">", 1)
    head = re.sub(r' (?:xmlns(?::xlink)?|version|width|height)="[^"]*"', "", head)
    text = f"{head}>{rest}".replace("xlink:href", "href")
    used = set(re.findall(r"(?:href=\"#|url\(#)([^\")]+)", text))
    text = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", text)
    text = re.sub(r"; font-family: [^;\"]*", "", text)
    for colour, name in _PROPERTIES.items():
        text = text.replace(colour, f"var(--{name})")
    return text.strip()
