"""The commands against a server that answers as Prometheus does, or does not."""

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from randsvc.model.baselines import load_baselines
from randsvc.settings import Settings
from tests.support.command_line import refuse, run_randsvc
from tests.support.prometheus_stub import Answer, Request, answering, series

CHECK = "vector(1)"
"""The query by which a command makes sure that it talks to a Prometheus."""


def native(total: str = "1200", **labels: str) -> dict[str, object]:
    """A series of a native histogram with 250 values."""
    buckets = [[0, str(low), str(low + 1), str(20 + 10 * (low % 3))] for low in range(1, 9)]
    data = {"count": "250", "sum": total, "buckets": buckets}
    named = {"__name__": "randsvc_value", "job": "randsvc", **labels}
    return {"metric": named, "histogram": [1.0, data]}


def one_histogram(query: str) -> tuple[int, str]:
    return series([native()] if query.startswith("last_over_time") else [])


def begun_in_the_window(*found: dict[str, object]) -> Answer:
    """These series now, and none before the window of 30 min."""
    return lambda query: series(list(found) if "[1800000ms]" in query else [])


def test_an_unreachable_prometheus_is_named() -> None:
    line = refuse("recover", "value", "--prometheus", "http://127.0.0.1:1")
    assert line.startswith("randsvc: cannot reach Prometheus at http://127.0.0.1:1: ")


def test_an_invalid_url_is_named() -> None:
    line = refuse("recover", "value", "--prometheus", "localhost:9090")
    assert line == "randsvc: localhost:9090 is not a URL such as http://127.0.0.1:9090"


def test_a_saved_baseline_is_one_that_the_service_accepts(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"

    def begun_in_the_window(query: str) -> tuple[int, str]:
        return series([]) if "[86400000ms]" in query else one_histogram(query)

    with answering(begun_in_the_window) as url:
        done = run_randsvc("baseline", "save", "value", str(path), "--prometheus", url)
    assert done.stdout == f"Saved 250 values of randsvc_value in 8 bins to {path}\n"
    it = load_baselines(Settings(value_baseline=path))["value"]
    assert (it.statistics["count"], it.statistics["mean"]) == (250, 4.8)
    assert (it.statistics["low"], it.statistics["high"]) == (1, 9)
    assert sum(it.shares.values()) == pytest.approx(1)


@pytest.mark.parametrize("body", ["<html>", "{}", "[]", '{"status": "success", "data": 3}'])
def test_a_server_that_is_not_prometheus_is_named(body: str) -> None:
    with answering(lambda _: (200, body)) as url:
        line = refuse("recover", "value", "--prometheus", url)
    assert line == f"randsvc: {url} does not answer as Prometheus does"


def test_a_refusal_of_prometheus_is_passed_on() -> None:
    body = json.dumps({"status": "error", "error": "no such function"})
    with answering(lambda _: (400, body)) as url:
        line = refuse("recover", "value", "--prometheus", url)
    assert line.endswith("refuses the query: no such function")


def test_a_metric_without_series_is_named() -> None:
    with answering(lambda _: series([])) as url:
        line = refuse("recover", "delay", "--prometheus", url, "--window", "1h30m")
    assert 'has no histogram randsvc_delay_seconds{job="randsvc"} with a sample in the 5400' in line


def test_a_window_in_which_nothing_was_counted_is_empty() -> None:
    # The last sample in the window is the one before it.
    with answering(one_histogram) as url:
        done = run_randsvc("recover", "value", "--prometheus", url, "--json")
    found = json.loads(done.stdout)
    assert (found["count"], found["verdict"]) == (0, "no values were counted in the window")


def found_by(answer: Answer, *arguments: str) -> dict[str, Any]:
    """The JSON of a command; nothing in it may be NaN or infinite."""
    with answering(answer) as url:
        done = run_randsvc("recover", "value", "--prometheus", url, "--json", *arguments)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout, parse_constant=pytest.fail)
    return result


def test_series_add_up_whatever_labels_they_have() -> None:
    one, other = native(randsvc_source="model"), native(randsvc_source="fallback", region="x")
    found = found_by(begun_in_the_window(one, other))
    assert found["count"] == 500
    assert [bucket["count"] for bucket in found["buckets"][:3]] == [60, 80, 40]


def test_a_series_that_began_anew_is_gone_through_sample_by_sample() -> None:
    labels = {"__name__": "randsvc_value", "job": "randsvc"}

    def at(low: int, high: int) -> dict[str, object]:
        buckets = [[0, "1", "2", str(low)], [0, "2", "4", str(high)]]
        return {"count": str(low + high), "sum": "0", "buckets": buckets}

    def answer(query: str) -> tuple[int, str]:
        if query.startswith("resets"):
            return series([{"metric": labels, "value": [1.0, "1"]}])
        if query.startswith("randsvc_value{"):
            # Of 30 minutes in pieces of ten, one has samples.
            asked.append(query)
            samples = [at(12, 6), at(1, 2), at(14, 9)]
            return series([{"metric": labels, "histograms": [[1.0, each] for each in samples]}])
        now = "[1800000ms]" in query
        return series([{"metric": labels, "histogram": [1.0, at(14, 9) if now else at(10, 5)]}])

    asked: list[str] = []
    # 2 and 1 on top of what was, then it began anew and came to more than before the window.
    assert [bucket["count"] for bucket in found_by(answer)["buckets"]] == [16, 10]
    assert len(asked) == 1


def test_explicit_buckets_are_read_where_there_is_no_native_histogram() -> None:
    def answer(query: str) -> tuple[int, str]:
        if "_(bucket|sum)" not in query or "[1800000ms]" not in query:
            return series([])
        found = [("bucket", "5", "10"), ("bucket", "10", "40"), ("bucket", "+Inf", "50")]
        return series(
            [
                {"metric": {"__name__": f"randsvc_value_{kind}", "le": le}, "value": [1.0, count]}
                for kind, le, count in found
            ]
            + [{"metric": {"__name__": "randsvc_value_sum"}, "value": [1.0, "400"]}]
        )

    found = found_by(answer)
    ends = [(bucket["lower"], bucket["upper"], bucket["count"]) for bucket in found["buckets"]]
    assert ends == [(0, 5, 10), (5, 10, 30), (10, None, 10)]
    assert found["mean"]["value"] == 8


def test_a_sum_that_is_no_number_is_left_out() -> None:
    found = found_by(begun_in_the_window(native(total="NaN")))
    assert found["count"] == 250
    # Without it the mean is known from the buckets alone.
    assert found["mean"]["low"] < 4.5 < found["mean"]["high"]


def test_only_the_instances_that_are_named_are_read() -> None:
    asked: list[str] = []

    def answer(query: str) -> tuple[int, str]:
        if query != CHECK:
            asked.append(query)
        return begun_in_the_window(native())(query)

    assert found_by(answer, "--instance", "a:1", "--instance", "b.c")["count"] == 250
    # Of a regular expression a dot is any character, unless it is told apart.
    assert all('instance=~"a:1|b\\\\.c"' in query for query in asked), asked


def test_the_picture_and_the_lines_say_the_same() -> None:
    with answering(begun_in_the_window(native())) as url:
        done = run_randsvc("recover", "value", "--prometheus", url)
    assert "from share of the values" in done.stdout
    assert "250 values" in done.stdout
    assert done.stdout.count("█") > 100


def test_a_picture_of_nothing_is_refused(tmp_path: Path) -> None:
    with answering(one_histogram) as url:
        line = refuse("recover", "value", "--prometheus", url, "--plot", str(tmp_path / "x.png"))
    assert line == "randsvc: there is nothing to draw: no values were counted in the window"


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "x.png"
    with answering(begun_in_the_window(native())) as url:
        drawn = refuse("recover", "value", "--prometheus", url, "--plot", str(path))
        kept = refuse("baseline", "save", "value", str(path), "--prometheus", url)
    assert drawn == kept == f"randsvc: cannot write {path}: No such file or directory"


def test_a_baseline_is_saved_and_shown(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    with answering(begun_in_the_window(native())) as url:
        saved = run_randsvc("baseline", "save", "value", str(path), "--prometheus", url)
    assert saved.stdout == f"Saved 250 values of randsvc_value in 8 bins to {path}\n"
    shown = run_randsvc("baseline", "show", str(path)).stdout
    assert shown.startswith("250 values of randsvc_value ({value}) in 1800 s until ")
    assert f'prometheus={url}, selector=randsvc_value{{job="randsvc"}}' in shown
    assert shown.count("%") == 8


def test_a_baseline_of_nothing_is_not_saved(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    with answering(one_histogram) as url:
        line = refuse("baseline", "save", "value", str(path), "--prometheus", url)
    assert line.endswith("counted no values in the window: there is nothing to save")
    assert not path.exists()


def test_a_baseline_needs_nothing_of_the_extra(tmp_path: Path) -> None:
    hidden = "sys.modules.update(numpy=None, scipy=None, matplotlib=None)"
    with answering(begun_in_the_window(native())) as url:
        arguments = ("baseline", "save", "value", str(tmp_path / "x.json"), "--prometheus", url)
        assert run_randsvc(*arguments, before=hidden).returncode == 0


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--window", "30", "expected a duration such as 30m"),
        ("--window", "0s", "expected a duration such as 30m"),
        ("--at", "yesterday", "expected now, a time such as"),
    ],
)
def test_a_time_that_is_none_is_refused(option: str, value: str, expected: str) -> None:
    line = refuse("recover", "value", option, value)
    assert f"{option} is '{value}'" in line
    assert expected in line


def test_without_the_extra_one_line_says_how_to_install_it() -> None:
    texts = set()
    for name in ("numpy", "scipy", "matplotlib"):
        hidden = f"sys.modules[{name!r}] = None"
        with answering(begun_in_the_window(native())) as url:
            line = refuse(
                "recover", "value", "--prometheus", url, "--plot", "/dev/null", before=hidden
            )
        said, _, text = line.partition(": run ")
        assert said == f"randsvc: {name} is missing, which recover needs"
        texts.add(text)
    (text,) = texts
    command = shlex.split(text)
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    assert any(requirement.startswith("numpy") for requirement in command)
    # The environment has all that it would install.
    done = subprocess.run([*command, "--dry-run", "--no-index"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "selector"),
    [
        (["value"], 'randsvc_value{job="randsvc"}'),
        (["value", "--job", "other"], 'randsvc_value{job="other"}'),
        (
            ["latency"],
            'http_server_request_duration_seconds{job="randsvc", http_route="/random", '
            'http_response_status_code="200", error_type=~"|ClientConnectionResetError"}',
        ),
        (
            ["latency", "--job", "media", "--route", "/clips/{id}"],
            'http_server_request_duration_seconds{job="media", http_route="/clips/{id}", '
            'error_type=~"|ClientConnectionResetError"}',
        ),
        (["rpc_latency_seconds_bucket"], "rpc_latency_seconds"),
        (
            ["rpc_size", "--job", "media", "--match", "region=eu", "--match", 'code!~"5.."'],
            'rpc_size{job="media", region="eu", code!~"5.."}',
        ),
        (["rpc.size", "--match", "k8s.pod=~a|b"], '{"rpc.size", "k8s.pod"=~"a|b"}'),
    ],
)
def test_any_histogram_can_be_chosen(arguments: list[str], selector: str) -> None:
    asked: list[str] = []

    def answer(query: str) -> tuple[int, str]:
        asked.append(query)
        return begun_in_the_window(native())(query)

    with answering(answer) as url:
        done = run_randsvc("recover", *arguments, "--prometheus", url, "--json")
    assert done.returncode == 0, done.stderr
    assert f"last_over_time({selector}[1800000ms])" in asked
    assert json.loads(done.stdout)["selector"] == selector


@pytest.mark.parametrize("text", ["", "region", "=eu", "a b=c", "region>1"])
def test_a_matcher_that_cannot_be_read_is_refused(text: str) -> None:
    line = refuse("recover", "x", f"--match={text}")
    assert line == (
        f"randsvc: --match is {text!r}: expected LABEL=VALUE, LABEL!=VALUE, LABEL=~REGEX or "
        "LABEL!~REGEX"
    )


SECRETS = ("hunter2", "token-1", "header-1")


def test_credentials_are_sent_and_never_shown(tmp_path: Path) -> None:
    requests: list[Request] = []
    kept = tmp_path / "baseline.json"
    with answering(begun_in_the_window(native()), requests=requests) as url:
        with_password = url.replace("//", "//me:hunter2@")
        printed = [
            run_randsvc("recover", "value", "--json", "--prometheus", with_password).stdout,
            run_randsvc(
                "baseline", "save", "value", str(kept), "--prometheus", with_password
            ).stdout,
            run_randsvc("baseline", "show", str(kept)).stdout,
            kept.read_text(),
        ]
        by_variable = {
            "PROMETHEUS_URL": url,
            "PROMETHEUS_TOKEN": "token-1",
            "PROMETHEUS_HEADERS": "X-One: header-1\nX-Two: header-1",
        }
        printed += [
            run_randsvc("recover", *arguments, environ=by_variable).stdout
            for arguments in (("value", "--json"), ("--help",))
        ]
    assert all(printed)
    assert not [secret for secret in SECRETS if secret in "".join(printed)]
    assert requests[0].headers["authorization"].startswith("Basic ")
    assert requests[-1].headers["authorization"] == "Bearer token-1"
    assert (requests[-1].headers["x-one"], requests[-1].headers["x-two"]) == (
        "header-1",
        "header-1",
    )


def test_a_header_that_is_malformed_is_refused_without_being_shown() -> None:
    line = refuse("recover", "value", "--header", "Bearer hunter2")
    assert line == (
        "randsvc: --header or PROMETHEUS_HEADERS: header 1 (not shown, as it may be secret) is not "
        '"Name: value"'
    )
