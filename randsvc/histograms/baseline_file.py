"""A recovered distribution as a small file that later ones are compared with.

The file holds bins and their counts, from which most distances between distributions are computed.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from randsvc.documents import DocumentError, load_json, show
from randsvc.errors import RecoveryError
from randsvc.histograms.binned import Bin, Binned, make_equiprobable

__all__ = ("Baseline", "format_baseline", "load", "make_baseline", "save")

VERSION = 1
FORMAT = "randsvc-baseline"


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A distribution at a time: ``bins`` go from the lowest value to the highest.

    ``source`` says where it was read: the URL without secrets, and the selector. ``end`` is Unix
    seconds, ``window`` seconds. ``sum`` is the sum of the values, None if it is not known.
    """

    metric: str
    unit: str
    source: Mapping[str, str]
    end: float
    window: float
    bins: tuple[Bin, ...]
    sum: float | None

    @property
    def count(self) -> int:
        """The number of values."""
        return round(sum(bin_.count for bin_ in self.bins))


def make_baseline(
    binned: Binned,
    *,
    number: int | None,
    metric: str,
    unit: str,
    source: Mapping[str, str],
    end: float,
    window: float,
) -> Baseline:
    """Keep up to ``number`` equiprobable bins, or every bin of the sample.

    Raises ``RecoveryError`` for an empty sample.
    """
    if not binned.bins:
        raise RecoveryError(f"{metric} counted no values in the window: there is nothing to save")
    return Baseline(
        metric=metric,
        unit=unit,
        source=source,
        end=end,
        window=window,
        bins=binned.bins if number is None else make_equiprobable(binned, number),
        sum=binned.sum,
    )


def format_baseline(baseline: Baseline) -> str:
    """The text of a baseline's file."""
    content = {
        "format": FORMAT,
        "version": VERSION,
        "metric": baseline.metric,
        "unit": baseline.unit,
        "source": dict(baseline.source),
        "end": baseline.end,
        "window_seconds": baseline.window,
        "count": baseline.count,
        "sum": baseline.sum,
    }
    # Infinite bounds are null, as JSON has no infinity. One line for each bin.
    bins = (
        json.dumps([*(x if math.isfinite(x) else None for x in bin_[:2]), round(bin_.count)])
        for bin_ in baseline.bins
    )
    head = json.dumps(content, indent=1, allow_nan=False).removesuffix("\n}")
    lines = ",\n  ".join(bins)
    return f'{head},\n "bins": [\n  {lines}\n ]\n}}\n'


def save(baseline: Baseline, path: Path) -> None:
    """Write the file; raises ``RecoveryError``."""
    try:
        path.write_text(format_baseline(baseline), encoding="utf-8")
    except OSError as error:
        raise RecoveryError(f"cannot write {path}: {error.strerror}") from None


def load(path: Path) -> Baseline:
    """Read the file; raises ``RecoveryError`` with what is wrong with it."""
    try:
        content: Any = load_json(path)
    except OSError as error:
        raise RecoveryError(f"cannot read {path}: {error.strerror}") from None
    except DocumentError as error:
        raise RecoveryError(f"{error}; expected JSON of a baseline") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise RecoveryError(f"{path} is not a baseline: expected format {FORMAT}")
    if content.get("version") != VERSION:
        raise RecoveryError(
            f"{path} has format version {show(content.get('version'))}: expected {VERSION}"
        )
    try:
        baseline = Baseline(
            metric=str(content["metric"]),
            unit=str(content["unit"]),
            source={str(name): str(value) for name, value in content["source"].items()},
            end=float(content["end"]),
            window=float(content["window_seconds"]),
            bins=tuple(
                Bin(
                    -math.inf if lower is None else float(lower),
                    math.inf if upper is None else float(upper),
                    float(count),
                )
                for lower, upper, count in content["bins"]
            ),
            sum=None if content["sum"] is None else float(content["sum"]),
        )
        _expect_sample(baseline)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise RecoveryError(f"{path} is a damaged baseline: {error!r}") from None
    if baseline.count != content.get("count"):
        raise RecoveryError(
            f"{path} is a damaged baseline: its bins hold {baseline.count} values, "
            f"but its count is {show(content.get('count'))}"
        )
    return baseline


def _expect_sample(baseline: Baseline) -> None:
    """Raise ``ValueError`` for numbers that no sample has."""
    if not all(map(math.isfinite, (baseline.end, baseline.window, baseline.sum or 0.0))):
        raise ValueError("end, window_seconds and sum must be finite")
    bounds = [bound for bin_ in baseline.bins for bound in bin_[:2]]
    if not bounds or any(not low <= high for low, high in pairwise(bounds)):
        raise ValueError("its bins must ascend without overlap")
    if any(not 0 < bin_.count < math.inf for bin_ in baseline.bins):
        raise ValueError("each bin must hold a value")
