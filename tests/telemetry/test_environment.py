"""Every row of the table of ``OTEL_*`` variables, with right, wrong, odd and empty values."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import environment_variables as api_variables
from opentelemetry.sdk import environment_variables as sdk_variables
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

from randsvc.telemetry import ConfigurationError, Telemetry
from randsvc.telemetry.environment import (
    get_otlp_endpoint,
    get_otlp_protocol,
    is_disabled,
    list_names,
    list_notices,
    make_job_name,
    read_configuration,
    redact,
    sdk_environment,
)
from randsvc.telemetry.variables import VARIABLES, Variable

RIGHT = {
    "OTEL_SERVICE_NAME": (" shop ", "shop"),
    "OTEL_RESOURCE_ATTRIBUTES": ("team=a%20b, ,x=,", "team=a%20b,x="),
    "OTEL_PROPAGATORS": ("TraceContext, baggage,baggage", "tracecontext,baggage"),
    "OTEL_METRICS_EXPORTER": ("OTLP, Prometheus", "otlp,prometheus"),
    "OTEL_TRACES_EXPORTER": ("Console", "console"),
    "OTEL_LOGS_EXPORTER": ("OTLP,Console", "otlp,console"),
    "OTEL_TRACES_SAMPLER": ("Parentbased_Always_OFF", "parentbased_always_off"),
    "OTEL_METRICS_EXEMPLAR_FILTER": ("Always_Off", "always_off"),
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": ("OTEL,process", "otel,process"),
}
RIGHT_BY_SUFFIX = {
    "TEMPORALITY_PREFERENCE": ("LowMemory", "lowmemory"),
    "HISTOGRAM_AGGREGATION": (
        "Base2_Exponential_Bucket_Histogram",
        "base2_exponential_bucket_histogram",
    ),
    "SAMPLER_ARG": ("0.25", "0.25"),
    "ENDPOINT": ("https://user:pass@collector:4318/x", "https://user:pass@collector:4318/x"),
    "PROTOCOL": ("HTTP/Protobuf", "http/protobuf"),
    "HEADERS": ("api-key=a%20b=c, x=y z,", "api-key=a%20b=c,x=y z"),
    "OTLP_TIMEOUT": ("2500", "2.5"),
    "METRICS_TIMEOUT": ("0", "86400"),
    "TRACES_TIMEOUT": ("010", "0.01"),
    "LOGS_TIMEOUT": ("1", "0.001"),
    "INSECURE": ("TRUE", "true"),
    "DISABLED": ("TRUE", "true"),
    "EXPORT_TIMEOUT": ("0", "86400000"),
    "EXPORT_INTERVAL": ("500", "500"),
    "DELAY": ("1", "1"),
    "SIZE": ("7", "7"),
    "LIMIT": ("0", "0"),
    "URLS": ("/livez,^/[a-z]+$", "/livez,^/[a-z]+$"),
    "REQUEST": ("accept,x-.*", "accept,x-.*"),
    "RESPONSE": ("content-type", "content-type"),
    "FIELDS": ("authorization", "authorization"),
}
WRONG = {
    "text": ["caf\udce9", "a\0b"],
    "true or false": ["1", "yes"],
    "one of": ["unheard", "a,b", "caf\udce9"],
    "a comma-separated list": ["unheard", "none,unheard", "a\nb"],
    "a whole number": ["-1", "x", "1.5", "1e3", "9" * 11, "2147483648", "٣", "inf"],
    "a number from 0 to 1": ["2", "-0.1", "nan", "half"],
    "name=value,name=value with values": ["team", "=a", "team=%ff", "team=\udcff"],
    "name=value,name=value with percent": ["secret", "=secret", "a b=secret", 'a=se"cret'],
    "a URL": [
        *("collector", "ftp://collector", "http://", "http://c:99999", "http://c:0"),
        *("http://a..b", "http://[", "http://u:hidden@/x", "http://a b"),
    ],
    "a file of PEM certificates": ["/not/there", "/", __file__],
    "a PEM file": ["/not/there", "/", os.__file__],
    "regular expressions": ["("],
}
PEM = str(Path(__file__).with_name("client.pem"))
"""A certificate of its own authority, and its key."""
FOLLOWED = [variable for variable in VARIABLES.values() if variable.status == "followed"]
REFUSED = [name for name, variable in VARIABLES.items() if variable.status == "refused"]
UNSUPPORTED = [name for name, variable in VARIABLES.items() if variable.status == "not supported"]


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)


def wrong_values() -> Iterator[tuple[str, str]]:
    for variable in FOLLOWED:
        assert variable.kind
        expected = variable.kind.expected
        (values,) = (wrong for start, wrong in WRONG.items() if expected.startswith(start))
        yield from ((variable.name, text) for text in values)
        if "from 1" in expected:
            yield variable.name, "0"


def right_value(variable: Variable) -> tuple[str, str]:
    """A right value in an odd form, and the text that the SDK has to read."""
    name = variable.name
    if name.endswith(("_CERTIFICATE", "_CLIENT_KEY")):
        return PEM, PEM
    if name.endswith("_COMPRESSION"):
        return "GZip", "gzip"
    if name in RIGHT:
        return RIGHT[name]
    return next(value for end, value in RIGHT_BY_SUFFIX.items() if name.endswith(end))


def test_the_table_has_each_variable_that_the_installed_sdk_knows() -> None:
    known = {
        text
        for module in (api_variables, sdk_variables)
        for text in vars(module).values()
        if isinstance(text, str) and text.startswith("OTEL_") and text != "OTEL_"
    }
    assert known - VARIABLES.keys() == set()


@pytest.mark.parametrize("name", VARIABLES)
def test_an_empty_variable_is_an_unset_one(name: str) -> None:
    for empty in ("", "  "):
        assert read_configuration({name: empty}) == {}
        assert list_notices({name: empty}) == []


@pytest.mark.parametrize("variable", FOLLOWED, ids=lambda variable: variable.name)
def test_a_right_value_is_read_whatever_its_form(variable: Variable) -> None:
    given, read = right_value(variable)
    environ = {variable.name: given}
    if variable.name.endswith("_CLIENT_KEY"):
        environ[variable.name.replace("_KEY", "_CERTIFICATE")] = PEM
    signal = variable.name.replace("OTLP_COMPRESSION", "OTLP_METRICS_COMPRESSION")
    assert read_configuration(environ)[signal] == read
    assert list_notices(environ) == []


@pytest.mark.parametrize(("name", "text"), list(wrong_values()))
def test_a_wrong_value_is_one_line_with_the_variable_the_value_and_what_is_expected(
    name: str, text: str
) -> None:
    kind = VARIABLES[name].kind
    assert kind
    if kind.fallback:
        (line,) = list_notices({name: text})
        assert read_configuration({name: text}) == {name: kind.fallback}
    else:
        with pytest.raises(ConfigurationError) as error:
            Telemetry("shop", environ={name: text})
        line = str(error.value)
    assert line.startswith(name)
    assert "\n" not in line
    assert "expected " in line
    line.encode()
    if kind.secret:
        assert "secret" not in line
    elif text.isascii() and text.isprintable():
        assert redact(text) in line
    assert "hidden" not in line


@pytest.mark.parametrize("name", REFUSED)
def test_a_variable_that_changes_everything_stops_the_start(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f'^{name}="otel.yaml": not supported'):
        Telemetry("shop", environ={name: "otel.yaml"})


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_a_variable_that_is_not_supported_is_said_without_its_value_and_ignored(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        Telemetry("shop", environ={name: "hidden"})
    (message,) = caplog.messages
    assert message == f"{name}: not supported, ignored. {VARIABLES[name].note}"
    assert read_configuration({name: "hidden"}) == {}


def test_a_misspelt_variable_is_said_without_its_value() -> None:
    assert list_notices({"OTEL_EXPORTER_OTLP_HEADER": "api-key=secret"}) == [
        "OTEL_EXPORTER_OTLP_HEADER: no variable of OpenTelemetry, ignored; "
        "did you mean OTEL_EXPORTER_OTLP_HEADERS?"
    ]


def test_variables_of_instrumentation_libraries_are_left_to_them() -> None:
    name = "OTEL_INSTRUMENTATION_GENAI_CAPTURE"
    assert list_notices({name: "all"}) == []
    assert read_configuration({name: "all"}) == {name: "all"}


def test_a_disabled_sdk_needs_no_right_variable() -> None:
    environ = {"OTEL_SDK_DISABLED": "True", "OTEL_BSP_SCHEDULE_DELAY": "x"}
    assert Telemetry("shop", environ=environ).view() is None


@pytest.mark.parametrize(("text", "expected"), [("true", True), ("TRUE", True), ("1", False)])
def test_only_true_disables_the_sdk(text: str, expected: bool) -> None:
    assert is_disabled({"OTEL_SDK_DISABLED": text}) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", ["otlp"]), ("none", []), (" otlp , prometheus,otlp", ["otlp", "prometheus"])],
)
def test_exporters_are_a_list_each_once(text: str, expected: list[str]) -> None:
    read = read_configuration({"OTEL_METRICS_EXPORTER": text})
    assert list_names(read, "OTEL_METRICS_EXPORTER") == expected


def test_an_unknown_name_in_a_list_is_named_with_what_is_known() -> None:
    with pytest.raises(ConfigurationError) as error:
        read_configuration({"OTEL_METRICS_EXPORTER": "otlp,jager"})
    assert str(error.value) == (
        'OTEL_METRICS_EXPORTER="otlp,jager": expected a comma-separated list of otlp, '
        'prometheus, console, or none (unknown "jager")'
    )


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("ENDPOINT", "collector:4318", "expected a URL such as http://collector:4318"),
        ("CLIENT_KEY", PEM, "expected OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE too"),
    ],
)
def test_variables_that_do_not_fit_together_are_refused(name: str, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        read_configuration({f"OTEL_EXPORTER_OTLP_{name}": text})


def test_a_client_certificate_without_its_key_is_refused(tmp_path: Path) -> None:
    alone = tmp_path / "alone.pem"
    alone.write_text(Path(PEM).read_text(encoding="utf-8").partition("-----BEGIN PRIVATE")[0])
    with pytest.raises(ConfigurationError, match="expected a client certificate with its key"):
        read_configuration({"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(alone)})


def test_a_batch_is_at_most_the_queue() -> None:
    batch, queue = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "OTEL_BSP_MAX_QUEUE_SIZE"
    assert read_configuration({queue: "100"})[batch] == "100"
    with pytest.raises(ConfigurationError, match=f'{batch}="101": expected at most {queue}'):
        read_configuration({queue: "100", batch: "101"})


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_one_signal_is_compressed_and_the_other_not(protocol: str) -> None:
    environ = {
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "none",
        "OTEL_TRACES_EXPORTER": "otlp",
    }
    read = read_configuration(environ)
    assert read["OTEL_EXPORTER_OTLP_METRICS_COMPRESSION"] == "gzip"
    assert not {"OTEL_EXPORTER_OTLP_COMPRESSION", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION"} & set(
        read
    )
    Telemetry("shop", environ=environ).shutdown(0.1)


@pytest.mark.parametrize(
    ("environ", "protocol"),
    [
        ({}, "http/protobuf"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "GRPC"}, "grpc"),
        (
            {
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
                "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/protobuf",
            },
            "http/protobuf",
        ),
    ],
)
def test_the_protocol_of_the_signal_wins_over_the_common_one(
    environ: dict[str, str], protocol: str
) -> None:
    assert get_otlp_protocol(read_configuration(environ), "METRICS") == protocol


def test_the_destination_is_shown_without_credentials() -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://me:hidden@collector:4318/x?key=hidden"}
    assert get_otlp_endpoint(environ, "TRACES") == "http://***@collector:4318/x"


def test_the_sdk_reads_what_was_checked_and_the_process_keeps_its_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "")
    monkeypatch.setenv("OTEL_ATTRIBUTE_COUNT_LIMIT", "9")
    before = dict(os.environ)
    read = read_configuration(
        {
            "OTEL_TRACES_SAMPLER": "Always_Off",
            "OTEL_SPAN_EVENT_COUNT_LIMIT": "3",
        }
    )
    with sdk_environment(read):
        provider = TracerProvider(shutdown_on_exit=False)
    assert provider.sampler.get_description() == "AlwaysOffSampler"
    assert provider._span_limits.max_events == 3
    assert provider._span_limits.max_attributes == 128
    assert dict(os.environ) == before


def test_a_time_limit_reaches_the_exporters_in_their_unit() -> None:
    environ = {"OTEL_EXPORTER_OTLP_TIMEOUT": "2500", "OTEL_TRACES_EXPORTER": "otlp"}
    telemetry = Telemetry("shop", environ=environ)
    (reading,) = telemetry.meter_provider.shared.readings
    with sdk_environment(read_configuration(environ)):
        reader: Any = reading.make()
    assert reader._exporter._exporter._client._client._timeout == 2.5
    reader.shutdown()
    telemetry.shutdown(0.1)


def test_a_preferred_temporality_is_followed_whatever_its_case() -> None:
    name = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
    telemetry = Telemetry("shop", environ={name: "DELTA"})
    (reading,) = telemetry.meter_provider.shared.readings
    assert AggregationTemporality.DELTA in (
        reading.preferences._instrument_class_temporality.values()
    )


def test_the_collector_makes_job_of_namespace_and_name() -> None:
    assert make_job_name({"service.name": "shop"}) == "shop"
    assert make_job_name({"service.name": "shop", "service.namespace": "eu"}) == "eu/shop"


@pytest.mark.parametrize("attributes", ["service.name=", "service.name=%20", ""])
def test_an_empty_service_name_is_an_unset_one(attributes: str) -> None:
    reader = InMemoryMetricReader()
    telemetry = Telemetry(
        "shop", environ={"OTEL_RESOURCE_ATTRIBUTES": attributes}, readers=[reader]
    )
    telemetry.meter.create_counter("orders").add(1)
    data = reader.get_metrics_data()
    assert data
    assert data.resource_metrics[0].resource.attributes["service.name"] == "shop"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("OTEL_PROPAGATORS", "b3"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/not/there"),
    ],
)
def test_the_service_ends_with_one_line(name: str, text: str) -> None:
    refused = run_command("serve", **{name: text})
    assert refused.returncode == 1
    assert refused.stderr.startswith(f'randsvc: {name}="{text}": ')
    assert refused.stderr.count("\n") == 1


def test_the_version_is_said_whatever_the_variables() -> None:
    version = run_command("--version", OTEL_PROPAGATORS="b3")
    assert (version.returncode, version.stderr) == (0, "")


@pytest.mark.parametrize(
    "first",
    [
        "randsvc.telemetry",
        "randsvc.telemetry.http_server",
        "randsvc.logs",
        "randsvc.__main__",
    ],
)
def test_everything_can_be_imported_whatever_the_variables(first: str) -> None:
    text = f"import {first}, randsvc.service.run, randsvc.telemetry.tracing"
    imported = run(["-c", text], **dict.fromkeys(VARIABLES, "(unheard"))
    assert (imported.returncode, imported.stderr) == (0, "")


def run_command(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return run(["-m", "randsvc", *arguments], **variables)


def run(arguments: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    ports = {"RANDSVC_PORT": "0", "RANDSVC_MANAGEMENT_PORT": "0"}
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **ports, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
