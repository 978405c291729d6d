"""Pictures of a recovered distribution: in the terminal, and as a PNG."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from rich.text import Text

from randsvc.errors import RecoveryError
from randsvc.histograms.binned import Bin, Binned
from randsvc.recovery.families import Array
from randsvc.recovery.fit import Fit
from randsvc.recovery.recover import Recovered

__all__ = ("draw_png", "draw_text")

ROWS = 20
BAR = 50
BARS = 60
_EIGHTHS = " ▏▎▍▌▋▊▉"


def draw_text(recovered: Recovered) -> Text:
    """The share of the values in each of some rows, as a bar; a ``│`` where the fit has it.

    Where buckets are wider than such a row would be, a row is a bucket.
    """
    binned = recovered.binned
    if len(binned.bins) < 2:
        return Text()
    edges = _rows(binned)
    shares = [binned.below(high) - binned.below(low) for low, high in pairwise(edges)]
    fit = _best(recovered)
    expected = fit.probability(edges[:-1], edges[1:]) if fit else np.zeros(len(shares))
    longest = max(*shares, *expected) or 1.0  # all may be at 0, or beyond the last bound
    text = Text(f"{'from':>10} share of the values\n", "dim")
    for i, share in enumerate(shares):
        whole, part = divmod(round(8 * BAR * share / longest), 8)
        bar = ("█" * whole + _EIGHTHS[part] * (part > 0)).ljust(BAR + 1)
        text.append(f"{edges[i]:>10.4g} ")
        if fit:
            mark = round(BAR * expected[i] / longest)
            text.append(bar[:mark], "blue")
            text.append("│", "bold red")
            text.append(bar[mark + 1 :], "blue")
        else:
            text.append(bar, "blue")
        text.append(f" {share:6.1%}\n")
    text.append(f"{edges[-1]:>10.4g}\n")
    if fit:
        text.append(f"{'│':>12} {_name(recovered)}\n", "bold red")
    return text


def draw_png(recovered: Recovered, path: Path, *, label: str) -> None:
    """Draw the density and the cdf with its band; ``label`` names the quantity and its unit.

    Raises ``RecoveryError`` where there is nothing to draw, or the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    binned = recovered.binned
    if len(binned.bins) < 2:
        raise RecoveryError(f"there is nothing to draw: {recovered.verdict}")
    figure = Figure(figsize=(11, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    density, cdf = figure.subplots(1, 2)
    low, high = _range(binned)
    grid = np.linspace(low, high, 801)
    fit = _best(recovered)

    drawn = _bars(binned, low, high)
    density.bar(
        [bin_.lower for bin_ in drawn],
        [bin_.count / binned.count / bin_.width for bin_ in drawn],
        [bin_.width for bin_ in drawn],
        align="edge",
        color="#9ec5e8",
        edgecolor="#6a9fce",
        linewidth=0.4,
        label="observed",
    )
    if fit:
        fitted = fit.probability(grid[:-1], grid[1:]) / np.diff(grid)
        density.plot((grid[:-1] + grid[1:]) / 2, fitted, color="#c0392b", label=_name(recovered))
    density.set(title="Density", xlabel=label, ylabel="density", xlim=(low, high), ylim=(0, None))
    density.legend()

    covering = binned.covering()
    ends = np.array([bin_.upper for bin_ in covering[:-1]])
    shares = np.cumsum([bin_.count for bin_ in covering])[:-1] / binned.count
    # Dvoretzky, Kiefer and Wolfowitz, with Massart's constant: all of the cdf at once, 95%.
    margin = np.sqrt(np.log(2 / 0.05) / (2 * binned.count))
    # Between two ends of bins the cdf may be anywhere between its values there.
    lower = _steps(ends, np.concatenate([[0.0], shares]))
    upper = _steps(ends, np.concatenate([shares, [1.0]]))
    cdf.fill_between(
        grid,
        np.clip(lower(grid) - margin, 0, 1),
        np.clip(upper(grid) + margin, 0, 1),
        color="#c9dff2",
        label="95% band",
    )
    cdf.plot(ends, shares, ".", markersize=3, color="#2c5f8a", label="observed")
    if fit:
        below = fit.probability(np.full_like(grid, -np.inf), grid)
        cdf.plot(grid, below, color="#c0392b", label=_name(recovered))
    cdf.set(
        title="Distribution function",
        xlabel=label,
        ylabel="share of values up to",
        xlim=(low, high),
    )
    cdf.legend(loc="lower right")
    figure.suptitle(f"{binned.count} values, {recovered.verdict}", fontsize=10, wrap=True)
    try:
        figure.savefig(path, dpi=120, format="png")
    except OSError as error:
        raise RecoveryError(f"cannot write {path}: {error.strerror}") from None


def _best(recovered: Recovered) -> Fit | None:
    """The family that fits, otherwise the closest."""
    best = recovered.best or next(iter(recovered.candidates), None)
    return best.fit if best else None


def _name(recovered: Recovered) -> str:
    """The legend of the fitted line."""
    fit = _best(recovered)
    name = fit.family.name if fit else ""
    return name if recovered.best else f"{name} (closest, but does not fit)"


def _bars(binned: Binned, low: float, high: float) -> Sequence[Bin]:
    """The bins to draw, together where they are so narrow that few values make tall bars."""
    narrow = (high - low) / BARS
    bars: list[Bin] = []
    for bin_ in binned.bins:
        if not (low <= bin_.lower and bin_.upper <= high and bin_.width):
            continue
        last = bars[-1] if bars else bin_
        if bars and last.width < narrow and bin_.upper - last.lower < 2 * narrow:
            bars[-1] = Bin(last.lower, bin_.upper, last.count + bin_.count)
        else:
            bars.append(bin_)
    return bars


def _rows(binned: Binned) -> Array:
    """The ends of the rows: evenly from where to where to draw, unless buckets are wider."""
    low, high = _range(binned)
    edges = sorted({low, high, *(x for b in binned.bins for x in b[:2] if low < x < high)})
    return np.array(edges) if len(edges) <= ROWS else np.linspace(low, high, ROWS + 1)


def _range(binned: Binned) -> tuple[float, float]:
    """From where to where to draw: all but half a percent of the values at each end."""
    finite = [x for bin_ in binned.bins for x in bin_[:2] if np.isfinite(x)]
    grid = np.array(sorted(set(finite)))
    below = np.array([binned.below(x) for x in grid])
    first = grid[max(int(np.searchsorted(below, 0.005, side="right")) - 1, 0)]
    last = grid[min(int(np.searchsorted(below, 0.995)), len(grid) - 1)]
    if first < last:
        return float(first), float(last)
    # Where one bound is all there is, with a little beside it.
    room = 0.0 if grid[0] < grid[-1] else abs(float(grid[0])) or 1.0
    return float(grid[0]) - room, float(grid[-1]) + room


def _steps(ends: Array, values: Array) -> Callable[[Array], Array]:
    return lambda x: np.asarray(values[np.searchsorted(ends, x, side="left")])
