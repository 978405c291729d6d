"""The command against what is no Prometheus, or one that has nothing, and with wrong arguments."""

from pathlib import Path

import pytest

from tests.support.command_line import refuse, run_randsvc
from tests.support.prometheus_stub import answering, series


def matrix(_: str) -> tuple[int, str]:
    return series([{"metric": {}, "values": [[1.0, "1"]]}])


def test_an_unreachable_prometheus_is_named() -> None:
    line = refuse("review", "--from", "-7d", "--prometheus", "http://127.0.0.1:1")
    assert line.startswith("randsvc: cannot reach Prometheus at http://127.0.0.1:1: ")


def test_an_invalid_url_is_named() -> None:
    line = refuse("review", "--from", "-7d", "--prometheus", "localhost:9090")
    assert line == "randsvc: localhost:9090 is not a URL such as http://127.0.0.1:9090"


def test_a_server_that_is_not_prometheus_is_named() -> None:
    with answering(lambda _: (200, "<html>")) as url:
        line = refuse("review", "--from", "-7d", "--prometheus", url)
    assert line == f"randsvc: {url} does not answer as Prometheus does"


def test_a_period_without_data_is_named() -> None:
    with answering(lambda _: series([])) as url:
        line = refuse(
            "review", "--from", "2026-01-01", "--to", "2026-02-01T12:00", "--prometheus", url
        )
    assert "has no series http_server_request_duration_seconds_count or up of job randsvc" in line
    assert "from 2026-01-01 00:00 to 2026-02-01 12:00 UTC" in line


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--from", "yesterday"], "--from is 'yesterday': expected now, a time such as"),
        (["--from", "-7x"], "--from is '-7x': expected now, a time such as"),
        (["--from", "-7d", "--to", "-8d"], "--from is '-7d'"),
        (["--from", "now"], "expected 60 s or more before --to"),
        (["--from", "-7d", "--to", "2999-01-01"], "2999-01-01 00:00 UTC: expected no time to come"),
        (["--from", "-7d", "--output", "a.pdf"], "--output is 'a.pdf': expected .html, .md, .json"),
        (["--from", "-7d", "--output", "/nowhere/a.md"], "there is no folder /nowhere"),
        ([], "--from"),
    ],
)
def test_what_makes_no_sense_is_one_line(arguments: list[str], expected: str) -> None:
    assert expected in refuse("review", *arguments)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.md").mkdir()
    line = refuse("review", "--from", "-7d", "--output", f"{tmp_path}/a.md")
    assert line == f"randsvc: cannot write {tmp_path}/a.md: it is a folder, or not allowed"


@pytest.mark.parametrize("missing", ["jinja2", "matplotlib", "numpy"])
def test_without_the_extra_one_line_says_how_to_install_it(missing: str, tmp_path: Path) -> None:
    before = f"sys.modules[{missing!r}] = None"
    with answering(matrix) as url:
        line = refuse(
            *("review", "--from", "-7d", "--prometheus", url, "--output", f"{tmp_path}/a.md"),
            before=before,
        )
    assert line.startswith(f"randsvc: {missing} is missing, which review needs: run ")


BEGIN = 1_767_225_600


@pytest.mark.parametrize(
    ("metric", "sample"),
    [
        ({}, [BEGIN, "0"]),
        ({}, [BEGIN, "1e-320"]),
        ({"job": "randsvc"}, [BEGIN, "0"]),
        ({"job": "randsvc", "alertname": "A", "severity": "critical"}, [BEGIN + 600, "1"]),
        ({"le": "x", "against": "y"}, [BEGIN, "NaN"]),
    ],
)
def test_answers_that_fit_no_query_are_a_report_or_one_line(
    metric: dict[str, str], sample: list[object], tmp_path: Path
) -> None:
    with answering(lambda _: series([{"metric": metric, "value": sample}])) as url:
        done = run_randsvc(
            *("review", "--from", str(BEGIN), "--to", str(BEGIN + 7200), "--prometheus", url),
            *("--output", tmp_path / "review.json"),
        )
    assert done.returncode == 0 or len(done.stderr.strip().splitlines()) == 1
