"""The table of the ``OTEL_*`` variables: the values each takes, and why some are not followed.

The names and the values are the specification's:
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
https://opentelemetry.io/docs/specs/otel/protocol/exporter/

The SDK reads some of them differently. ``Kind.read`` gives the text that the SDK must read instead.
"""

import re
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

__all__ = ("SIGNALS", "VARIABLES", "Kind", "Variable", "WrongValueError")


class WrongValueError(ValueError):
    """A value that a variable does not take; the message says what is wrong with it."""


@dataclass(frozen=True)
class Kind:
    """The values that a variable takes.

    ``read`` checks a text that is not empty and gives the text for the SDK. It raises ``OSError``
    or ``ValueError`` for a wrong text: then ``fallback`` is used and a warning logged, or, without
    a ``fallback``, the application does not start.
    """

    expected: str
    read: Callable[[str], str]
    fallback: str | None = None
    secret: bool = False


@dataclass(frozen=True)
class Variable:
    """One row: ``note`` is the reason where it is not followed, and what there is to know else."""

    name: str
    status: Literal["followed", "refused", "not supported"]
    kind: Kind | None = None
    default: str = ""
    note: str = ""


_INT_LIMIT = 2**31 - 1
_NO_LIMIT_SECONDS = 86_400
"""Replaces a time limit of 0, which means none; the SDK takes 0 for no time at all."""


def _read_integer(text: str, lowest: int) -> str:
    if not re.fullmatch(r"\d{1,10}", text, re.ASCII) or not lowest <= int(text) <= _INT_LIMIT:
        raise ValueError
    return str(int(text))


def _integer(unit: str, lowest: int) -> Kind:
    expected = f"a whole number {unit}from {lowest} to {_INT_LIMIT}"
    return Kind(expected, lambda text: _read_integer(text, lowest))


def _read_limit(text: str, to_sdk: Callable[[int], float]) -> str:
    milliseconds = int(_read_integer(text, 0))
    return f"{to_sdk(milliseconds or _NO_LIMIT_SECONDS * 1000):.10g}"


def _read_one(text: str, names: Iterable[str]) -> str:
    if text.lower() not in names:
        raise ValueError
    return text.lower()


def _one_of(*names: str) -> Kind:
    return Kind(f"one of {', '.join(names)}", partial(_read_one, names=names))


def _read_list(text: str, names: Iterable[str]) -> str:
    known = {name.lower(): name for name in (*names, "none")}
    given = list(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))
    if unknown := [name for name in given if name not in known]:
        raise WrongValueError(f'unknown "{unknown[0]}"')
    if "none" in given and len(given) > 1:
        raise WrongValueError('"none" stands alone')
    return ",".join(known[name] for name in given)


def _list_of(*names: str) -> Kind:
    return Kind(
        f"a comma-separated list of {', '.join(names)}, or none", partial(_read_list, names=names)
    )


def _read_installed(text: str, group: str) -> str:
    installed = sorted({point.name for point in entry_points(group=group)})
    try:
        return _read_list(text, (*installed, "*"))
    except WrongValueError as error:
        raise WrongValueError(f"{error}; installed: {', '.join(installed)}") from None


def _installed(what: str, group: str) -> Kind:
    """Give a list of names that installed packages register as entry points of ``group``."""
    expected = f"a comma-separated list of installed {what}, or none"
    return Kind(expected, partial(_read_installed, group=group))


def _read_ratio(text: str) -> str:
    if not 0.0 <= float(text) <= 1.0:  # false for NaN
        raise ValueError
    return text


def _read_pairs(text: str) -> str:
    pairs = [pair.strip() for pair in text.split(",") if pair.strip()]
    for pair in pairs:
        if not re.match(r"[^=]*\S[^=]*=", pair):
            raise WrongValueError(f"no name and = in {pair!r}")
        unquote(pair, errors="strict")
    return ",".join(pairs)


def _read_headers(text: str) -> str:
    pairs = [pair.strip() for pair in text.split(",") if pair.strip()]
    for number, pair in enumerate(pairs, 1):
        name, equals, value = (unquote(part).strip() for part in pair.partition("="))
        is_name = re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name)
        # The SDK drops what is not of these characters.
        is_value = re.fullmatch(r'[^",;\\]*', pair.partition("=")[2])
        is_sent = re.fullmatch(r"[\x20-\x7e]*", value)
        if not (is_name and equals and is_value and is_sent):
            raise WrongValueError(f"pair {number} of {len(pairs)} is not name=value")
    return ",".join(pairs)


def _read_endpoint(text: str) -> str:
    if re.fullmatch(r"[\w.-]+:\d+", text, re.ASCII):
        text, given = f"http://{text}", text  # the protocol decides whether this is enough
    else:
        given = text
    url = urlsplit(text)
    if (
        url.scheme not in ("http", "https")
        or not url.hostname
        or url.port == 0
        or re.search(r"[\s\x00-\x1f]", text)
        or not re.fullmatch(r"[^.]+(\.[^.]+)*\.?", url.hostname)
    ):
        raise ValueError
    return given


def _read_certificates(path: str) -> str:
    # OSError has a reason of its own: the file is not there, is a folder, is not readable.
    ssl.create_default_context(cafile=path)
    return path


def _read_file(path: str) -> str:
    if b"-----BEGIN" not in Path(path).read_bytes():
        raise WrongValueError("the file is not PEM")
    return path


def _read_patterns(text: str) -> str:
    for pattern in text.split(","):
        try:
            re.compile(pattern)
        except re.error as error:
            raise WrongValueError(f"{pattern!r}: {error}") from None
    return text


_TEXT = Kind("text", lambda text: text)
_BOOLEAN = Kind("true or false", partial(_read_one, names=("true", "false")), fallback="false")
_COUNT = _integer("", 0)
_POSITIVE = _integer("", 1)
_DURATION = _integer("of milliseconds ", 1)
_LIMIT_EXPECTED = f"{_integer('of milliseconds ', 0).expected}; 0 means no limit"
_MILLISECOND_LIMIT = Kind(_LIMIT_EXPECTED, partial(_read_limit, to_sdk=lambda ms: ms))
_SECOND_LIMIT = Kind(_LIMIT_EXPECTED, partial(_read_limit, to_sdk=lambda ms: ms / 1000))
_RATIO = Kind("a number from 0 to 1", _read_ratio)
_PAIRS = Kind("name=value,name=value with values that are percent-encoded UTF-8", _read_pairs)
_HEADERS = Kind("name=value,name=value with percent-encoded values", _read_headers, secret=True)
_ENDPOINT = Kind(
    "a URL such as http://localhost:4318 (or host:port with the protocol grpc)", _read_endpoint
)
_CERTIFICATES = Kind("a file of PEM certificates", _read_certificates)
_PEM = Kind("a PEM file", _read_file)
_PATTERNS = Kind("regular expressions, separated by commas", _read_patterns)

SIGNALS = ("METRICS", "TRACES", "LOGS")
"""The signals as the variables' names have them."""

_NO_PLUGIN = "Python's own plug-in; this library builds its own providers."

_OTLP: tuple[tuple[str, Kind, str, str], ...] = (
    (
        "ENDPOINT",
        _ENDPOINT,
        "http://localhost:4318",
        "With the protocol grpc, the default port is 4317. The variable for all signals gets the "
        "path `/v1/metrics`, `/v1/traces` or `/v1/logs`; the variable of one signal is used as it "
        "is.",
    ),
    ("PROTOCOL", _one_of("http/protobuf", "grpc"), "http/protobuf", "`http/json` is refused."),
    ("HEADERS", _HEADERS, "", "No error message shows the value."),
    (
        "TIMEOUT",
        _SECOND_LIMIT,
        "10000",
        "Milliseconds, as in the specification. The Python SDK alone takes seconds.",
    ),
    ("COMPRESSION", _one_of("none", "gzip"), "none", ""),
    ("CERTIFICATE", _CERTIFICATES, "", "The file is read at start-up, so that an error is seen."),
    ("CLIENT_CERTIFICATE", _PEM, "", "Checked together with the key at start-up."),
    ("CLIENT_KEY", _PEM, "", "Needs the client certificate."),
    ("INSECURE", _BOOLEAN, "false", "Only grpc uses it, and only if the endpoint is host:port."),
)


def _otlp_rows() -> Iterable[Variable]:
    for suffix, kind, default, note in _OTLP:
        yield Variable(f"OTEL_EXPORTER_OTLP_{suffix}", "followed", kind, default, note)
        for signal in SIGNALS:
            name = f"OTEL_EXPORTER_OTLP_{signal}_{suffix}"
            general = f"`OTEL_EXPORTER_OTLP_{suffix}`"
            yield Variable(name, "followed", kind, "", f"Unset, {general} is used.")


def _batches(batch: str, delay: str) -> Iterable[Variable]:
    """Give the variables of a batch processor, whose names begin with ``batch``."""
    yield Variable(f"{batch}_SCHEDULE_DELAY", "followed", _DURATION, delay, "")
    yield Variable(
        f"{batch}_EXPORT_TIMEOUT",
        "followed",
        _MILLISECOND_LIMIT,
        "30000",
        "The SDK checks it only; `OTEL_EXPORTER_OTLP_TIMEOUT` limits an export.",
    )
    full = "Above it, the oldest are dropped"
    note = f"{full} and counted." if batch == "OTEL_BLRP" else f"{full}."
    yield Variable(f"{batch}_MAX_QUEUE_SIZE", "followed", _POSITIVE, "2048", note)
    yield Variable(
        f"{batch}_MAX_EXPORT_BATCH_SIZE",
        "followed",
        _POSITIVE,
        "512",
        f"At most `{batch}_MAX_QUEUE_SIZE`, which also limits the default.",
    )


def _limits() -> Iterable[Variable]:
    for name, default, limited in (
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "128", "spans and log records"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "", "spans and log records"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "128", "spans"),
        ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "", "spans"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "128", "spans"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "128", "spans"),
        ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "128", "spans"),
        ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "128", "spans"),
        ("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "128", "log records"),
        ("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", "", "log records"),
    ):
        yield Variable(name, "followed", _COUNT, default, f"Limits {limited}, not metrics.")


def _unsupported(reason: str, *names: str) -> Iterable[Variable]:
    return (Variable(name, "not supported", note=reason) for name in names)


_ROWS = (
    Variable(
        "OTEL_SDK_DISABLED",
        "followed",
        _BOOLEAN,
        "false",
        "`true` turns metrics, traces and logs off; then no other variable is checked.",
    ),
    Variable("OTEL_SERVICE_NAME", "followed", _TEXT, "", "Wins over the attribute `service.name`."),
    Variable(
        "OTEL_RESOURCE_ATTRIBUTES",
        "followed",
        _PAIRS,
        "",
        "An empty `service.name` means unset. With `service.namespace`, the label `job` "
        "is `NAMESPACE/NAME`. Names that become equal as labels share one, with both values.",
    ),
    Variable(
        "OTEL_PROPAGATORS",
        "followed",
        _installed("propagators", "opentelemetry_propagator"),
        "tracecontext,baggage",
        "Others, such as b3, must be installed.",
    ),
    Variable(
        "OTEL_CONFIG_FILE",
        "refused",
        note="The installed SDK has no declarative configuration: use the variables of this table.",
    ),
    Variable(
        "OTEL_EXPERIMENTAL_CONFIG_FILE", "refused", note="The former name of `OTEL_CONFIG_FILE`."
    ),
    Variable(
        "OTEL_METRICS_EXPORTER",
        "followed",
        _list_of("otlp", "prometheus", "console"),
        "otlp",
        "`prometheus` makes `/metrics` answer.",
    ),
    Variable("OTEL_TRACES_EXPORTER", "followed", _list_of("otlp", "console"), "none", ""),
    Variable(
        "OTEL_LOGS_EXPORTER",
        "followed",
        _list_of("otlp", "console"),
        "none",
        "Exports what the handlers of the root logger get, and does not change them.",
    ),
    Variable(
        "OTEL_TRACES_SAMPLER",
        "followed",
        _one_of(
            *("always_on", "always_off", "traceidratio"),
            *("parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio"),
        ),
        "",
        "Unset, the ratio of `OTEL_TRACES_SAMPLER_ARG` decides, whatever a client asks for.",
    ),
    Variable(
        "OTEL_TRACES_SAMPLER_ARG",
        "followed",
        _RATIO,
        "1.0",
        "The share of traces, without or with a sampler by ratio.",
    ),
    Variable(
        "OTEL_METRIC_EXPORT_INTERVAL", "followed", _DURATION, "60000", "For otlp and console."
    ),
    Variable("OTEL_METRIC_EXPORT_TIMEOUT", "followed", _MILLISECOND_LIMIT, "30000", ""),
    Variable(
        "OTEL_METRICS_EXEMPLAR_FILTER",
        "followed",
        _one_of("trace_based", "always_off"),
        "trace_based",
        "`always_on` is refused: an exemplar here is the link to a trace.",
    ),
    Variable(
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
        "followed",
        _one_of("cumulative", "delta", "lowmemory"),
        "cumulative",
        "Prometheus needs cumulative.",
    ),
    Variable(
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        "followed",
        _one_of("explicit_bucket_histogram", "base2_exponential_bucket_histogram"),
        "",
        "Unset, each histogram has the buckets that it asks for.",
    ),
    *_otlp_rows(),
    *_batches("OTEL_BSP", "5000"),
    *_batches("OTEL_BLRP", "1000"),
    *_limits(),
    Variable(
        "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS",
        "followed",
        _installed("resource detectors", "opentelemetry_resource_detector"),
        "",
        "Python's own.",
    ),
    *(
        Variable(name, "followed", _PATTERNS, "", "Requests that get no span; metrics count them.")
        for name in ("OTEL_PYTHON_EXCLUDED_URLS", "OTEL_PYTHON_AIOHTTP_SERVER_EXCLUDED_URLS")
    ),
    *(
        Variable(
            f"OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_{suffix}", "followed", _PATTERNS, "", note
        )
        for suffix, note in (
            ("SERVER_REQUEST", "Names of request headers that become attributes of the span."),
            ("SERVER_RESPONSE", "Names of response headers that become attributes of the span."),
            ("SANITIZE_FIELDS", "Names of those headers whose values are hidden."),
        )
    ),
    *_unsupported("The application configures logging.", "OTEL_LOG_LEVEL"),
    *_unsupported("In development; use `OTEL_RESOURCE_ATTRIBUTES`.", "OTEL_ENTITIES"),
    *_unsupported(
        "The application serves `/metrics` on its own port.",
        "OTEL_EXPORTER_PROMETHEUS_HOST",
        "OTEL_EXPORTER_PROMETHEUS_PORT",
    ),
    *_unsupported(
        "Zipkin's exporter is deprecated: send OTLP, which Zipkin takes through the Collector.",
        "OTEL_EXPORTER_ZIPKIN_ENDPOINT",
        "OTEL_EXPORTER_ZIPKIN_TIMEOUT",
        "OTEL_EXPORTER_ZIPKIN_PROTOCOL",
    ),
    *_unsupported(
        _NO_PLUGIN,
        "OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED",
        "OTEL_PYTHON_LOGGER_CONFIGURATOR",
        "OTEL_PYTHON_CONTEXT",
        "OTEL_PYTHON_ID_GENERATOR",
        "OTEL_PYTHON_TRACER_PROVIDER",
        "OTEL_PYTHON_METER_PROVIDER",
        "OTEL_PYTHON_LOGGER_PROVIDER",
        "OTEL_PYTHON_EVENT_LOGGER_PROVIDER",
        "OTEL_PYTHON_TRACER_CONFIGURATOR",
        "OTEL_PYTHON_METER_CONFIGURATOR",
        "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED",
        "OTEL_PYTHON_EXPORTER_OTLP_GRPC_RETRYABLE_ERROR_CODES",
        *(
            f"OTEL_PYTHON_EXPORTER_OTLP_{protocol}_{signal}CREDENTIAL_PROVIDER"
            for protocol in ("HTTP", "GRPC")
            for signal in ("", "METRICS_", "TRACES_", "LOGS_")
        ),
    ),
)

VARIABLES = {row.name: row for row in _ROWS}
"""The variables by name, in the order in which documents show them."""
