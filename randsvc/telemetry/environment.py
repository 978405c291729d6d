"""Reading the ``OTEL_*`` variables: checked at start-up, and given to the SDK as it can read them.

``variables`` has the table of all of them.
"""

import contextlib
import difflib
import os
import re
import ssl
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from threading import RLock

from .errors import ConfigurationError
from .variables import SIGNALS, VARIABLES, Variable, WrongValueError

__all__ = (
    "OTEL",
    "get_otlp_endpoint",
    "get_otlp_protocol",
    "get_value",
    "import_environment",
    "is_disabled",
    "list_names",
    "list_notices",
    "make_job_name",
    "read_configuration",
    "redact",
    "sdk_environment",
)

OTEL = "OTEL_"
"""The prefix of the names of all variables."""

# Instrumentation libraries have variables of their own, which the table does not know.
_OF_OTHERS = ("OTEL_PYTHON_", "OTEL_INSTRUMENTATION_", "OTEL_SEMCONV_")
_BATCHES = tuple(
    (f"{batch}_MAX_QUEUE_SIZE", f"{batch}_MAX_EXPORT_BATCH_SIZE")
    for batch in ("OTEL_BSP", "OTEL_BLRP")
)
_TLS = ("CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY")

_lock = RLock()


def read_configuration(environ: Mapping[str, str]) -> dict[str, str]:
    """Give the ``OTEL_*`` variables that are set, as the SDK is to read them.

    Raises ``ConfigurationError`` with one line for the first that cannot be followed.
    """
    if is_disabled(environ):
        return {"OTEL_SDK_DISABLED": "true"}
    given = {
        name: text.strip()
        for name, text in environ.items()
        if name.startswith(OTEL) and text.strip()
    }
    read = {}
    for name, text in given.items():
        variable = VARIABLES.get(name)
        if variable is None or variable.status == "followed":
            read[name] = _read(variable, name, text)
        elif variable.status == "refused":
            raise ConfigurationError(f"{_quote_given(name, text)}: not supported. {variable.note}")
    _check_otlp(read, given)
    return _complete_names(read)


def list_notices(environ: Mapping[str, str]) -> list[str]:
    """Give a line for each variable that is set but not followed, and does not stop the start."""
    lines = []
    for name, text in sorted(environ.items()):
        if not name.startswith(OTEL) or not text.strip() or is_disabled(environ):
            continue
        variable = VARIABLES.get(name)
        if variable is None:
            if not name.startswith(_OF_OTHERS):
                close = difflib.get_close_matches(name, VARIABLES, n=1, cutoff=0.8)
                hint = f"; did you mean {close[0]}?" if close else ""
                lines.append(f"{name}: no variable of OpenTelemetry, ignored{hint}")
        elif variable.status == "not supported" and text.strip().lower() != "none":
            lines.append(f"{name}: not supported, ignored. {variable.note}")
        elif (kind := variable.kind) and kind.fallback and not _is_read(variable, text.strip()):
            lines.append(
                f'{_quote_given(name, text)}: expected {kind.expected}; "{kind.fallback}" is used'
            )
    return lines


@contextlib.contextmanager
def sdk_environment(read: Mapping[str, str]) -> Iterator[None]:
    """Let the SDK, which reads ``os.environ`` by itself, find what ``configuration`` gave.

    The variables are as before at the end. Other threads should not read them meanwhile.
    """
    with _lock:
        before = {name: text for name, text in os.environ.items() if name.startswith(OTEL)}
        try:
            _replace(read)
            yield
        finally:
            _replace(before)


@contextlib.contextmanager
def import_environment() -> Iterator[None]:
    """Let OpenTelemetry be imported: the import fails for some values of some variables.

    It needs only ``OTEL_PROPAGATORS``. ``configuration`` says what is wrong with the others.
    """
    name = "OTEL_PROPAGATORS"
    variable, text = VARIABLES[name], os.environ.get(name, "").strip()
    is_right = text and _is_read(variable, text)
    with sdk_environment({name: _read(variable, name, text)} if is_right else {}):
        yield


def is_disabled(environ: Mapping[str, str]) -> bool:
    """Whether ``OTEL_SDK_DISABLED`` is true; anything but ``true`` is false."""
    return environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def get_value(read: Mapping[str, str], name: str) -> str:
    """Give the value of a variable, or its default."""
    return read.get(name) or VARIABLES[name].default


def list_names(read: Mapping[str, str], variable: str) -> list[str]:
    """Give the names that a variable lists; ``none`` gives none."""
    return [name for name in get_value(read, variable).split(",") if name != "none"]


def get_otlp_endpoint(read: Mapping[str, str], signal: str) -> str:
    """Where the exporter of a signal, such as ``METRICS``, sends to, for a person to read."""
    port = "4317" if get_otlp_protocol(read, signal) == "grpc" else "4318"
    endpoint = _of_signal(read, signal, "ENDPOINT") or f"http://localhost:{port}"
    return redact(endpoint.partition("?")[0])


def get_otlp_protocol(read: Mapping[str, str], signal: str) -> str:
    """``http/protobuf``, the default, or ``grpc``, for a signal such as ``METRICS``."""
    default = VARIABLES["OTEL_EXPORTER_OTLP_PROTOCOL"].default
    return _of_signal(read, signal, "PROTOCOL") or default


def make_job_name(attributes: Mapping[str, object]) -> str:
    """Give the label ``job`` that the Collector makes of resource attributes.

    https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/#resource-attributes-1
    """
    namespace, name = attributes.get("service.namespace"), attributes.get("service.name")
    return f"{namespace}/{name}" if namespace else f"{name}"


def redact(text: str) -> str:
    """Hide the credentials of every URL in ``text``."""
    return re.sub(r"//\S*@", "//***@", text)


def _quote_given(name: str, text: str) -> str:
    """Give a variable with its value as it was given, on one line, without what is secret."""
    variable = VARIABLES.get(name)
    if variable is None or (variable.kind and variable.kind.secret):
        return f"{name} (value not shown)"
    return f'{name}="{_on_one_line(redact(text))}"'


def _on_one_line(text: str) -> str:
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _read(variable: Variable | None, name: str, text: str) -> str:
    try:
        text.encode()
        is_text = "\0" not in text
    except UnicodeEncodeError:
        is_text = False
    if not is_text:
        raise ConfigurationError(f"{_quote_given(name, text)}: expected UTF-8")
    if variable is None or variable.kind is None:
        return text
    kind = variable.kind
    try:
        return kind.read(text)
    except (ValueError, OSError) as error:
        if kind.fallback is not None:
            return kind.fallback
        reason = error.strerror if isinstance(error, OSError) else ""
        if isinstance(error, WrongValueError):
            reason = str(error)
        detail = f" ({_on_one_line(redact(reason))})" if reason else ""
        line = f"{_quote_given(name, text)}: expected {kind.expected}{detail}"
        raise ConfigurationError(line) from None


def _is_read(variable: Variable, text: str) -> bool:
    try:
        if variable.kind:
            variable.kind.read(text)
    except (OSError, ValueError):
        return False
    return True


def _of_signal(read: Mapping[str, str], signal: str, suffix: str) -> str:
    return read.get(_find_name(read, signal, suffix), "")


def _find_name(read: Mapping[str, str], signal: str, suffix: str) -> str:
    own, common = f"OTEL_EXPORTER_OTLP_{signal}_{suffix}", f"OTEL_EXPORTER_OTLP_{suffix}"
    return own if read.get(own) else common


def _check_otlp(read: Mapping[str, str], given: Mapping[str, str]) -> None:
    """Check what depends on more than one variable."""
    for signal in SIGNALS:
        protocol = get_otlp_protocol(read, signal)
        if protocol == "grpc" and find_spec("opentelemetry.exporter.otlp.proto.grpc") is None:
            name = _find_name(read, signal, "PROTOCOL")
            raise ConfigurationError(
                f"{_quote_given(name, given[name])}: OTLP over gRPC needs the package "
                "opentelemetry-exporter-otlp-proto-grpc, such as the extra grpc installs"
            )
        name = _find_name(read, signal, "ENDPOINT")
        if protocol != "grpc" and "://" not in read.get(name, "://"):
            raise ConfigurationError(
                f"{_quote_given(name, given[name])}: expected a URL such as http://{given[name]}, "
                f"as the protocol is {protocol}"
            )
        certificate, key = (_find_name(read, signal, suffix) for suffix in _TLS[1:])
        if key in read and certificate not in read:
            raise ConfigurationError(f"{_quote_given(key, given[key])}: expected {certificate} too")
        if certificate in read:
            try:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                # An encrypted key would ask for its password on the terminal.
                context.load_cert_chain(read[certificate], read.get(key), password=lambda: "")
            except (OSError, ValueError) as error:
                raise ConfigurationError(
                    f"{_quote_given(certificate, given[certificate])}: expected a client "
                    f"certificate with its key, which is not encrypted ({error})"
                ) from None
    for queue, batch in _BATCHES:
        if batch in read and int(read[batch]) > int(get_value(read, queue)):
            raise ConfigurationError(
                f"{_quote_given(batch, given[batch])}: expected at most {queue}, which is "
                f"{get_value(read, queue)}"
            )


def _complete_names(read: dict[str, str]) -> dict[str, str]:
    """Add what the SDK's own defaults would get wrong."""
    for queue, batch in _BATCHES:
        if queue in read and batch not in read:
            read[batch] = str(min(int(read[queue]), int(VARIABLES[batch].default)))
    # The exporter over gRPC does not know "none", and a signal cannot turn it off there.
    common = read.pop("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    for signal in SIGNALS:
        name = f"OTEL_EXPORTER_OTLP_{signal}_COMPRESSION"
        if (compression := read.pop(name, common)) != "none":
            read[name] = compression
    return read


def _replace(variables: Mapping[str, str]) -> None:
    for name in [name for name in os.environ if name.startswith(OTEL)]:
        if name not in variables:
            del os.environ[name]
    os.environ.update(variables)
