import socket
import threading
import time
from urllib.request import urlopen

import pytest
from aiohttp import web

from randsvc.errors import ConfigurationError
from randsvc.service.serving import build_instance, listen
from randsvc.settings import Settings
from tests.support.command_line import refuse
from tests.support.service import running_service


def get(url: str) -> tuple[int, str]:
    with urlopen(url) as response:
        return response.status, response.read().decode()


def serve_and_fail(*arguments: str, **environ: str) -> str:
    """The one line that a start which cannot be ends with."""
    return refuse("serve", "--host", "127.0.0.1", *arguments, environ=environ, apart=True)


@pytest.mark.process
def test_it_answers_and_shows_it_in_its_metrics() -> None:
    with running_service() as service:
        assert get(f"{service.public}/random")[0] == 200
        metrics = get(f"{service.management}/metrics")[1]
        (requests, values) = (
            [line for line in metrics.splitlines() if line.startswith(f"{name}_count")]
            for name in ("http_server_request_duration_seconds", "randsvc_value")
        )
        assert float(requests[0].split()[-1]) == float(values[0].split()[-1]) == 1
        assert 'http_response_status_code="200"' in requests[0]
        assert 'http_route="/random"' in requests[0]
        assert service.stop() == 0


@pytest.mark.process
def test_sigterm_finishes_what_is_in_flight_and_takes_nothing_new() -> None:
    with running_service("--delay", "constant(value=1)") as service:
        answers: list[int] = []
        asking = threading.Thread(target=lambda: answers.append(get(f"{service.public}/random")[0]))
        asking.start()
        time.sleep(0.3)
        service.process.terminate()
        service.event("stopping")
        with pytest.raises(OSError, match="503"):
            get(f"{service.management}/readyz")
        with pytest.raises(OSError, match="refused"):
            get(f"{service.public}/random")
        asking.join()
        assert answers == [200]
        assert service.process.wait(60) == 0


@pytest.mark.process
def test_users_of_its_own_make_traffic() -> None:
    with running_service("--users", "20") as service:
        time.sleep(1.5)
        metrics = get(f"{service.management}/metrics")[1]
        (count,) = [line for line in metrics.splitlines() if line.startswith("randsvc_value_count")]
        assert float(count.split()[1]) > 2


@pytest.mark.process
def test_an_unreachable_collector_is_said_once_and_serving_goes_on() -> None:
    with running_service(
        OTEL_METRICS_EXPORTER="otlp",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1",
        OTEL_EXPORTER_OTLP_TIMEOUT="1",
        OTEL_METRIC_EXPORT_INTERVAL="200",
    ) as service:
        event = service.event("cannot deliver metrics")
        assert "127.0.0.1" in str(event["message"])
        assert get(f"{service.public}/random")[0] == 200
        time.sleep(4)
        messages = [str(event["message"]) for event in service.drain()]
        assert len([m for m in messages if "deliver" in m]) == 1, messages
        assert service.stop() == 0


@pytest.mark.parametrize(
    ("arguments", "environ", "said"),
    [
        (["--delay", "normal(mean=1, sd=1)"], {}, ["--delay", "negative", "min=0"]),
        ([], {"RANDSVC_VALUE": "normal(sd=-1)"}, ["RANDSVC_VALUE", "normal(sd=-1)"]),
        ([], {"RANDSVC_PORT": "eighty"}, ["RANDSVC_PORT", "eighty", "int"]),
        (["--port", "70000"], {}, ["--port", "70000", "65535"]),
        ([], {"RANDSVC_PROT": "1"}, ["RANDSVC_PROT", "RANDSVC_PORT"]),
        (["--wokers", "2"], {}, ["--wokers", "--workers"]),
    ],
)
def test_a_setting_that_cannot_be_read_is_one_line(
    arguments: list[str], environ: dict[str, str], said: list[str]
) -> None:
    line = refuse("serve", *arguments, environ=environ)
    for part in said:
        assert part in line


@pytest.mark.process
def test_an_exporter_that_does_not_exist_is_one_line() -> None:
    free = {"RANDSVC_PORT": "0", "RANDSVC_MANAGEMENT_PORT": "0"}
    line = serve_and_fail(OTEL_METRICS_EXPORTER="statsd", **free)
    for part in ("OTEL_METRICS_EXPORTER", "statsd", "otlp"):
        assert part in line


@pytest.mark.process
@pytest.mark.parametrize("setting", ["port", "management-port"])
def test_a_taken_port_is_named_with_its_setting(setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        free = "management-port" if setting == "port" else "port"
        line = serve_and_fail(f"--{setting}", port, f"--{free}", "0")
    assert f"RANDSVC_{setting.replace('-', '_').upper()}={port}" in line
    assert "taken" in line


@pytest.mark.process
def test_a_host_that_does_not_exist_is_one_line() -> None:
    line = serve_and_fail("--management-host", "no.such.host.invalid", "--port", "0")
    assert "no.such.host.invalid" in line


@pytest.mark.parametrize("host", ["a..b", "x" * 64, "caf\udce9", "not a host", "\n", "a\0b"])
def test_a_host_that_is_none_is_one_line_with_its_variable(host: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        listen(host, 0, "RANDSVC_MANAGEMENT_PORT")
    line = str(error.value)
    assert line.startswith("RANDSVC_MANAGEMENT_HOST=")
    assert line.isprintable()


@pytest.mark.parametrize(
    ("exporter", "attributes", "said"),
    [
        ("otlp", "service.namespace=eu", ['metrics are pushed with job="eu/randsvc"']),
        ("otlp", "service.name=shop", ['metrics are pushed with job="shop"']),
        ("otlp", "service.name=,team=a", []),
        ("prometheus", "service.namespace=eu", []),
    ],
)
def test_a_job_that_the_rules_do_not_select_is_logged(
    exporter: str,
    attributes: str,
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", exporter)
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", attributes)
    build_instance(Settings(), lambda *_: web.Application(), [])
    assert [message.partition(",")[0] for message in caplog.messages] == said
