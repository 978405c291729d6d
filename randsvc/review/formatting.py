"""Numbers as a person reads them; an unknown number is ``n/a``."""

import math

__all__ = (
    "format_change",
    "format_count",
    "format_duration",
    "format_points",
    "format_seconds",
    "format_share",
)

_UNKNOWN = "n/a"


def format_count(x: float) -> str:
    """A count.

    >>> format_count(1234567)
    '1,234,567'
    """
    return f"{x:,.0f}"


def format_share(x: float | None, digits: int = 3) -> str:
    """A share in percent; a share that is nearly 0 or 1 is not rounded to it.

    >>> format_share(0.99987), format_share(0.5, digits=1), format_share(0.0000001)
    ('99.987%', '50%', '<0.001%')
    """
    if x is None or not math.isfinite(x):
        return _UNKNOWN
    least = 10.0**-digits
    percent = x * 100
    if 0 < percent < least:
        return f"<{least:.{digits}f}%"
    if 100 - least < percent < 100:
        return f">{100 - least:.{digits}f}%"
    return f"{percent:.{digits}f}".rstrip("0").rstrip(".") + "%" if percent else "0%"


def format_points(x: float) -> str:
    """A share, or a negative one, to a tenth of a percent.

    >>> format_points(-0.5)
    '-50%'
    """
    return format_share(x, digits=1) if x >= 0 else f"{x:.0%}"


def format_change(now: float, before: float) -> str:
    """The relative change of a number.

    >>> format_change(110, 100), format_change(1, 0), format_change(100, 100)
    ('+10%', 'n/a', '0%')
    """
    if not before or not math.isfinite(before):
        return _UNKNOWN
    percent = f"{(now / before - 1) * 100:+.1f}".removesuffix(".0")
    return f"{'0' if percent in ('+0', '-0') else percent}%"


def format_seconds(x: float | None) -> str:
    """A short time, to three digits.

    >>> format_seconds(0.0512), format_seconds(2.5), format_seconds(None)
    ('51.2 ms', '2.5 s', 'n/a')
    """
    if x is None or not math.isfinite(x):
        return _UNKNOWN
    return f"{x * 1000:.3g} ms" if x < 1 else f"{x:.3g} s"


def format_duration(x: float | None) -> str:
    """A long time, in its two largest units.

    >>> format_duration(45), format_duration(3725), format_duration(200000), format_duration(0.5)
    ('45 s', '1 h 2 min', '2 d 7 h', '0.5 s')
    """
    if x is None:
        return _UNKNOWN
    if x < 10:
        return f"{x:.2g} s"
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    rest, parts = round(x), list[str]()
    for name, size in units:
        if rest >= size or (name == "s" and not parts):
            parts.append(f"{rest // size} {name}")
            rest %= size
        elif parts:
            break
        if len(parts) == 2:
            break
    return " ".join(parts)
