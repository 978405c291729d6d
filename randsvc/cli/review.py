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


From = Annotated[
    str,
    Parameter(
        name="--from",
        allow_leading_hyphen=True,
        help="Start of the period: such as -7d, ISO 8601 (UTC if it has no time zone), or Unix "
        "seconds.",
    ),
]
To = Annotated[
    str, Parameter(allow_leading_hyphen=True, help="End of the period, in the same formats.")
]
Jobs = Annotated[
    tuple[str, ...],
    Parameter(
        negative="",
        consume_multiple=False,
        help="Service to review: the value of the label job. Repeat the option for each "
        "service. Without --job and --objectives, the services are randsvc and auth.",
    ),
]
ObjectivesFile = Annotated[
    Path | None, Parameter(help="File of objectives in YAML; see docs/review.md.")
]


def _files(formats: str) -> Parameter:
    return Parameter(
        negative="",
        consume_multiple=False,
        help=f"File to write: {formats}. Repeat the option for each file.",
    )


@review_app.default
def review(
    *,
    from_: From,
    to: To = "now",
    job: Jobs = (),
    objectives: ObjectivesFile = None,
    options: PrometheusOptions | None = None,
    output: Annotated[tuple[Path, ...], _files(".html, .md or .json")] = (
        Path("review.html"),
        Path("review.md"),
    ),
) -> None:
    """Report on a period, and compare it with the preceding period of the same length.

    The report has service level objectives and error budgets, incidents by level, traffic, latency,
    saturation, probes, the share of the fallback, drift, and the quality of the model. It lists
    what could not be read.
    """
    at = float(round(time.time()))
    begin, end = _read_period(from_, to, at)
    for file in output:
        _check(file, FORMATS)
    subject = load_subject(objectives, job)
    try:
        # Before the extra is needed, so that a Prometheus that is down is reported first.
        server = (options or PrometheusOptions()).connect()
        _expect_data(server, subject, begin, end)
        _write(server, subject, begin, end, at, output)
    except PrometheusError as error:
        raise ConfigurationError(str(error)) from error


@review_app.command(name="post-mortem")
def post_mortem(
    *,
    from_: From,
    to: To = "now",
    alert: Annotated[
        str | None,
        Parameter(help="Alert of the incident; default: the alert of the highest level."),
    ] = None,
    incident_at: Annotated[
        str | None,
        Parameter(
            name="--at",
            allow_leading_hyphen=True,
            help="A time in the incident, in the formats of --from.",
        ),
    ] = None,
    job: Jobs = (),
    objectives: ObjectivesFile = None,
    options: PrometheusOptions | None = None,
    inbox: Annotated[
        str, Parameter(help="URL of the inbox, for notifications.", env_var="INBOX_URL")
    ] = "http://127.0.0.1:9095",
    alertmanager: Annotated[
        str, Parameter(help="URL of Alertmanager, for silences.", env_var="ALERTMANAGER_URL")
    ] = "http://127.0.0.1:9093",
    output: Annotated[tuple[Path, ...], _files(".html or .md")] = (
        Path("post-mortem.html"),
        Path("post-mortem.md"),
    ),
) -> None:
    """Draft the post-mortem of one incident of a period: what was measured, and what to write.

    It has the time line, the impact in requests and error budget, and graphs. The error budget is
    that of the period. Among several incidents it takes the last one of the highest level.
    """
    at = float(round(time.time()))
    begin, end = _read_period(from_, to, at)
    moment = None if incident_at is None else _moment("--at", incident_at, at)
    for file in output:
        _check(file, FORMATS[:2])
    subject = load_subject(objectives, job)
    try:
        server = (options or PrometheusOptions()).connect()
        _expect_data(server, subject, begin, end)
        try:
            from randsvc.review import post_mortem as document
            from randsvc.review.notifications import fetch_notifications, fetch_silences
            from randsvc.times import Span
        except ModuleNotFoundError as error:
            raise missing_package(error, "review") from None
        period = Span(begin, end)
        with Console(stderr=True).status("reading alerts, requests and notifications"):
            found = document.read_incidents(server, subject, period)
            findings = document.read_findings(
                server,
                subject,
                period,
                document.choose_incident(found, alert, moment),
                found,
                notifications=fetch_notifications(inbox, begin),
                silences=fetch_silences(alertmanager),
            )
            page = document.make_post_mortem(findings, server.shown_url, at)
            for file in output:
                _save(file, page.to_html() if file.suffix == ".html" else page.to_markdown())
    except PrometheusError as error:
        raise ConfigurationError(str(error)) from error
    console = Console(highlight=False, soft_wrap=True)
    for sentence in page.short[1:]:
        console.print(sentence, markup=False)
    console.print(f"Written to {', '.join(map(str, output))}", markup=False)


def _read_period(from_: str, to: str, at: float) -> tuple[float, float]:
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
    return begin, end


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


def _check(file: Path, formats: Sequence[str]) -> None:
    """Before minutes are spent on what cannot be kept."""
    if file.suffix not in formats:
        raise ConfigurationError(f"--output is {str(file)!r}: expected {', '.join(formats)}")
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
