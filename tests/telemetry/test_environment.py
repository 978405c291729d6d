import pytest

from randsvc.telemetry.environment import choices, disabled, otlp_protocol
from randsvc.telemetry.errors import ConfigurationError

KNOWN = ("otlp", "prometheus")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["otlp"]),
        ("none", []),
        ("prometheus", ["prometheus"]),
        (" otlp , prometheus,otlp", ["otlp", "prometheus"]),
    ],
)
def test_exporters_are_a_list_each_once(text: str, expected: list[str]) -> None:
    assert choices({"OTEL_METRICS_EXPORTER": text}, "OTEL_METRICS_EXPORTER", "otlp", KNOWN) == (
        expected
    )


def test_an_unknown_exporter_is_named_with_what_is_known() -> None:
    with pytest.raises(ConfigurationError) as error:
        choices({"OTEL_METRICS_EXPORTER": "otlp,jager"}, "OTEL_METRICS_EXPORTER", "otlp", KNOWN)
    assert str(error.value) == (
        'OTEL_METRICS_EXPORTER="otlp,jager": unknown exporter "jager", '
        "expected a comma-separated list of otlp, prometheus, none"
    )


def test_none_beside_an_exporter_is_refused() -> None:
    with pytest.raises(ConfigurationError, match='"none" stands alone'):
        choices({"X": "none,otlp"}, "X", "otlp", KNOWN)


@pytest.mark.parametrize(
    ("environ", "protocol"),
    [
        ({}, "http/protobuf"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": ""}, "http/protobuf"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "grpc"),
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
    assert otlp_protocol(environ, "METRICS") == protocol


def test_an_unknown_protocol_is_named_with_its_variable() -> None:
    with pytest.raises(ConfigurationError, match='OTEL_EXPORTER_OTLP_PROTOCOL="http/json"'):
        otlp_protocol({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, "TRACES")


@pytest.mark.parametrize(("text", "expected"), [("true", True), ("TRUE", True), ("1", False)])
def test_only_true_disables_the_sdk(text: str, expected: bool) -> None:
    assert disabled({"OTEL_SDK_DISABLED": text}) is expected
