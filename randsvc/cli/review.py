"""``randsvc review``: a report of a period, by what Prometheus recorded."""

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from randsvc.cli.analysis import missing_package
from randsvc.errors import ConfigurationError
from randsvc.prometheus_api import Prometheus, PrometheusError
from randsvc.telemetry.catalogue import CONCURRENCY_LIMIT, REQUEST_DURATION
from randsvc.times import format_time, parse_time

__all__ = ("review_app",)

SHORTEST = 60.0
"""Seconds of a period in which there can be enough samples."""
FORMATS = (".html", ".md", ".json")

review_app = App(
    name="review",
    help="Report on a period: objectives, incidents, golden signals, the model.",
    help_format="plaintext",
    config=(),
)


@review_app.default
def review(
    *,
    from_: Annotated[
        str,
        Parameter(
            name="--from",
            allow_leading_hyphen=True,
            help="Its begin: such as -7d, ISO 8601 (UTC where it has no zone), or Unix seconds.",
        ),
    ],
    to: Annotated[
        str, Parameter(allow_leading_hyphen=True, help="Its end, in the same ways.")
    ] = "now",
    prometheus: Annotated[
        str, Parameter(env_var="PROMETHEUS_URL", help="URL of Prometheus.")
    ] = "http://127.0.0.1:9090",
    output: Annotated[
        tuple[Path, ...],
        Parameter(
            negative="",
            consume_multiple=False,
            help="Where to write it, once for each file: .html, .md or .json.",
        ),
    ] = (Path("review.html"), Path("review.md")),
) -> None:
    """Report on a period and how it compares with the one before, of the same length.

    Service level objectives and error budgets, incidents by level, traffic, latency, saturation,
    probes, the share of the fallback, drift, and the quality of the model.
    """
    at = float(round(time.time()))
    begin, end = _moment("--from", from_, at), _moment("--to", to, at)
    if end > at:
        raise ConfigurationError(
            f"--to is {to!r}, {format_time(end)} UTC: expected no time to come"
        )
    if end - begin < SHORTEST:
        raise ConfigurationError(
            f"--from is {from_!r}, {format_time(begin)} UTC: expected {SHORTEST:g} s or more "
            f"before --to, {format_time(end)} UTC"
        )
    for file in output:
        _check(file)
    try:
        # Before the extra is needed: who cannot reach Prometheus is told so first.
        _expect_data(Prometheus(prometheus), begin, end)
        _write(Prometheus(prometheus), begin, end, at, output)
    except PrometheusError as error:
        raise ConfigurationError(str(error)) from error


def _write(server: Prometheus, begin: float, end: float, at: float, output: Sequence[Path]) -> None:
    try:
        from randsvc.review import readings, report
        from randsvc.review.spans import Span
    except ModuleNotFoundError as error:
        raise missing_package(error, "review") from None
    period = Span(begin, end)
    with _progress(readings.QUERIES * 2 * period.seconds) as (step, seen):
        read = readings.read(server, period, begin=step, seen=seen)
        step("writing")
        said = report.sections(read)
        makers: dict[str, Callable[[], str]] = {
            ".html": lambda: report.as_html(read, said, server.shown_url, at),
            ".md": lambda: report.as_markdown(read, said, server.shown_url, at),
            ".json": lambda: _json(report.as_json(read, said, server.shown_url)),
        }
        for file in output:
            _save(file, makers[file.suffix]())
    console = Console(highlight=False, soft_wrap=True)
    for sentence in (section.short for section in said if section.short):
        console.print(sentence, markup=False)
    console.print(f"written to {', '.join(map(str, output))}", markup=False)


@contextmanager
def _progress(total: float) -> Iterator[tuple[Callable[[str], None], Callable[[float], None]]]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    # Progress is for people; it leaves stdout to what was found.
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total)
        yield (
            lambda what: progress.update(task, description=f"reading {what}"),
            lambda seconds: progress.advance(task, seconds),
        )


def _expect_data(server: Prometheus, begin: float, end: float) -> None:
    name = f"{REQUEST_DURATION.prometheus_name}_count"
    # Present once is enough; the limit is there before the first request is.
    either = f'{{__name__=~"{name}|{CONCURRENCY_LIMIT.prometheus_name}"}}'
    steps = max(round((end - begin) / 1000), 1)
    found = server.range(f"count(count_over_time({either}[{steps}s]))", begin + steps, end, steps)
    if not any(piece for piece in found):
        raise ConfigurationError(
            f"{server.shown_url} has no series {name} from {format_time(begin)} to "
            f"{format_time(end)} UTC: does it scrape the service and keep data for so long?"
        )


def _check(file: Path) -> None:
    """Before minutes are spent on what cannot be kept."""
    if file.suffix not in FORMATS:
        raise ConfigurationError(f"--output is {str(file)!r}: expected {', '.join(FORMATS)}")
    folder = file.parent
    if not folder.is_dir():
        raise ConfigurationError(f"cannot write {file}: there is no folder {folder}")
    if file.is_dir() or not os.access(file if file.exists() else folder, os.W_OK):
        raise ConfigurationError(f"cannot write {file}: it is a folder, or not allowed")


def _save(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"cannot write {file}: {error.strerror}") from None


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _moment(option: str, text: str, at: float) -> float:
    try:
        return float(round(parse_time(text, now=at)))
    except ValueError as error:
        raise ConfigurationError(f"{option} is {text!r}: {error}") from None
