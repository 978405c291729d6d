"""``randsvc review``: a report of a period, by what Prometheus recorded."""

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from randsvc.cli.analysis import missing_package
from randsvc.cli.prometheus import PrometheusOptions
from randsvc.errors import ConfigurationError
from randsvc.prometheus_api import Prometheus, PrometheusError, format_matcher
from randsvc.review.subject import Subject, load_subject
from randsvc.telemetry.catalogue import CONCURRENCY_LIMIT
from randsvc.times import format_time, parse_time

__all__ = ("review_app",)

SHORTEST = 60.0
"""Seconds of a period in which there can be enough samples."""
FORMATS = (".html", ".md", ".json")

review_app = App(
    name="review",
    help="Report on a period of a service: objectives, incidents, golden signals, the model.",
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
            help="Start of the period: such as -7d, ISO 8601 (UTC if it has no time zone), or Unix "
            "seconds.",
        ),
    ],
    to: Annotated[
        str, Parameter(allow_leading_hyphen=True, help="End of the period, in the same formats.")
    ] = "now",
    job: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            consume_multiple=False,
            help="Service to review: the value of the label job. Repeat the option for each "
            "service. Without --job and --objectives, the services are randsvc and auth.",
        ),
    ] = (),
    objectives: Annotated[
        Path | None, Parameter(help="File of objectives in YAML; see docs/review.md.")
    ] = None,
    options: PrometheusOptions | None = None,
    output: Annotated[
        tuple[Path, ...],
        Parameter(
            negative="",
            consume_multiple=False,
            help="File to write: .html, .md or .json. Repeat the option for each file.",
        ),
    ] = (Path("review.html"), Path("review.md")),
) -> None:
    """Report on a period, and compare it with the preceding period of the same length.

    The report has service level objectives and error budgets, incidents by level, traffic, latency,
    saturation, probes, the share of the fallback, drift, and the quality of the model. It lists
    what could not be read.
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
    subject = load_subject(objectives, job)
    try:
        # Before the extra is needed, so that a Prometheus that is down is reported first.
        server = (options or PrometheusOptions()).connect()
        _expect_data(server, subject, begin, end)
        _write(server, subject, begin, end, at, output)
    except PrometheusError as error:
        raise ConfigurationError(str(error)) from error


def _write(
    server: Prometheus,
    subject: Subject,
    begin: float,
    end: float,
    at: float,
    output: Sequence[Path],
) -> None:
    try:
        from randsvc.review import readings, report
        from randsvc.times import Span
    except ModuleNotFoundError as error:
        raise missing_package(error, "review") from None
    period = Span(begin, end)
    with _progress(readings.count_queries(subject) * 2 * period.seconds) as (step, seen):
        read = readings.read(server, subject, period, begin=step, seen=seen)
        step("writing")
        said = report.make_sections(read)
        makers: dict[str, Callable[[], str]] = {
            ".html": lambda: report.to_html(read, said, server.shown_url, at),
            ".md": lambda: report.to_markdown(read, said, server.shown_url, at),
            ".json": lambda: _json(report.to_json(read, said, server.shown_url)),
        }
        for file in output:
            _save(file, makers[file.suffix]())
    console = Console(highlight=False, soft_wrap=True)
    for sentence in (section.short for section in said if section.short):
        console.print(sentence, markup=False)
    console.print(f"Written to {', '.join(map(str, output))}", markup=False)


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


def _expect_data(server: Prometheus, subject: Subject, begin: float, end: float) -> None:
    # The limit of concurrent requests of a service of ours is there before its first request.
    names = (f"{subject.metric}_count", CONCURRENCY_LIMIT.prometheus_name, "up")
    either = format_matcher("__name__", "|".join(map(re.escape, names)), "=~")
    steps = max(round((end - begin) / 1000), 1)
    promql = f"count(count_over_time({{{either}, {subject.matcher}}}[{steps}s]))"
    found = server.range(promql, begin + steps, end, steps)
    if not any(piece for piece in found):
        jobs = " or ".join(subject.jobs)
        raise ConfigurationError(
            f"{server.shown_url} has no series {names[0]} or up of job {jobs} from "
            f"{format_time(begin)} to {format_time(end)} UTC: does it scrape the service and keep "
            f"data for so long?{_known_jobs(server)}"
        )


def _known_jobs(server: Prometheus) -> str:
    jobs = sorted({series.labels.get("job", "") for series in server.query("count by (job) (up)")})
    return f" Jobs that it scrapes: {', '.join(filter(None, jobs))}" if any(jobs) else ""


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
