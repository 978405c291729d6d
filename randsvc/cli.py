"""The command line."""

import os
import sys

import cyclopts
import uvloop
from cyclopts import App

from randsvc import __version__, logs
from randsvc.server import serve as serve_alone
from randsvc.settings import PREFIX, Settings, unknown_variable
from randsvc.telemetry.environment import ConfigurationError
from randsvc.workers import supervise

__all__ = ("main",)

app = App(
    name="randsvc",
    help="A service that answers a random number after a random delay, and all that monitors it.",
    version=__version__,
    help_format="plaintext",
    config=cyclopts.config.Env(PREFIX, command=False),
)


@app.command
def serve(settings: Settings | None = None) -> None:
    """Serve /random until SIGTERM or Ctrl-C.

    Telemetry is set by the standard OTEL_* variables: OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES,
    OTEL_METRICS_EXPORTER (otlp, prometheus, console, none, or a list of them), OTEL_TRACES_EXPORTER
    (none, otlp, console), OTEL_TRACES_SAMPLER, OTEL_METRIC_EXPORT_INTERVAL (ms),
    OTEL_EXPORTER_OTLP_ENDPOINT, _PROTOCOL (http/protobuf, grpc) and _HEADERS, OTEL_SDK_DISABLED.
    """
    settings = settings or Settings()
    logs.configure(settings.log_level)
    uvloop.run(serve_alone(settings) if settings.workers == 1 else supervise(settings))


def main() -> None:
    """Run the command; what cannot be done is said in one line, with exit code 2."""
    try:
        if problem := unknown_variable(os.environ):
            raise ConfigurationError(problem)
        app(exit_on_error=False, print_error=False)
    except* (ConfigurationError, cyclopts.CycloptsError) as group:
        sys.exit(f"randsvc: {_first(group)}")


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
