"""Reading the ``OTEL_*`` variables that the SDK leaves to whoever sets it up.

An empty value means unset, as the specification says:
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from collections.abc import Iterable, Mapping
from importlib.util import find_spec

from .errors import ConfigurationError

__all__ = ("choice", "choices", "disabled", "otlp_endpoint", "otlp_protocol")


def disabled(environ: Mapping[str, str]) -> bool:
    """Whether ``OTEL_SDK_DISABLED`` is true; anything but ``true`` is false."""
    return environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def choice(environ: Mapping[str, str], variable: str, default: str, known: Iterable[str]) -> str:
    """The name in ``variable``, one of those that are ``known``; its case does not matter."""
    text = environ.get(variable, "").strip()
    name = text.lower() or default
    expected = list(known)
    if name not in expected:
        names = ", ".join(filter(None, expected))
        raise ConfigurationError(f'{variable}="{text}": expected one of {names}')
    return name


def choices(
    environ: Mapping[str, str], variable: str, default: str, known: Iterable[str]
) -> list[str]:
    """The comma-separated names in ``variable``, each once and known; ``none`` gives none."""
    text = environ.get(variable, "").strip() or default
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    expected = [*known, "none"]
    for name in names:
        if name not in expected:
            raise ConfigurationError(
                f'{variable}="{text}": unknown exporter "{name}", '
                f"expected a comma-separated list of {', '.join(expected)}"
            )
    if "none" in names and len(names) > 1:
        raise ConfigurationError(f'{variable}="{text}": "none" stands alone')
    return [name for name in names if name != "none"]


def otlp_endpoint(environ: Mapping[str, str], signal: str) -> str:
    """Where the exporter of ``METRICS`` or ``TRACES`` sends to, for a person to read."""
    default = "4317" if otlp_protocol(environ, signal) == "grpc" else "4318"
    return (
        environ.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
        or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
        or f"http://localhost:{default}"
    )


def otlp_protocol(environ: Mapping[str, str], signal: str) -> str:
    """``http/protobuf``, the default, or ``grpc``, for ``METRICS`` or ``TRACES``."""
    for variable in (f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if protocol := environ.get(variable, "").strip():
            break
    else:
        return "http/protobuf"
    if protocol not in ("grpc", "http/protobuf"):
        raise ConfigurationError(f'{variable}="{protocol}": expected grpc or http/protobuf')
    if protocol == "grpc" and find_spec("opentelemetry.exporter.otlp.proto.grpc") is None:
        raise ConfigurationError(
            f'{variable}="grpc": OTLP over gRPC needs pip install "randsvc[grpc]"'
        )
    return protocol
