"""The command line."""

import os
import sys
from collections.abc import Sequence

import cyclopts
from cyclopts import App
from cyclopts.config import Env

from randsvc import __version__, logs
from randsvc.errors import ConfigurationError
from randsvc.prometheus_api import redact_url
from randsvc.settings import AuthSettings, Settings, unknown_variable
from randsvc.web.descriptors import raise_limit

__all__ = ("main",)

app = App(
    name="randsvc",
    help="A service that returns a random number after a random delay, and its monitoring.",
    version=__version__,
    help_format="plaintext",
)
# A command imports its modules on use: they take longer than most commands do.
app.command(
    "randsvc.cli.fault:fault_app",
    name="fault",
    help="Set, list and clear the faults of a running service.",
)
app.command(
    "randsvc.cli.scenario:scenario_app", name="scenario", help="Run a scenario and check its alert."
)
app.command(
    "randsvc.cli.gameday:gameday_app",
    name="gameday",
    help="Run a game day: incidents at times that nobody knows, reported by teams, with a score.",
)
app.command(
    "randsvc.cli.stack:stack_app",
    name="stack",
    help="""Run the whole stack without containers, until Ctrl-C.

    It runs both services with simulated users, the Collector, Prometheus, Alertmanager, and an
    inbox for notifications. RANDSVC_* and OTEL_* variables configure the services. In a terminal,
    type `stop NAME` or `start NAME` to stop or start one of the programs.
    """,
)
app.command("randsvc.cli.users:users_app", name="users", help="Send requests as simulated users.")
app.command(
    "randsvc.cli.exercise:exercise_app",
    name="exercise",
    help="Show, run and check the exercises of the course.",
)
app.command(
    "randsvc.cli.recover:recover_app",
    name="recover",
    help="Recover a distribution from its histogram.",
)
app.command("randsvc.cli.recover:baseline_app", name="baseline", help="Save or show a baseline.")
app.command("randsvc.cli.review:review_app", name="review", help="Write a report of a period.")


@app.command(config=Env(Settings.prefix, command=False))
def serve(settings: Settings | None = None) -> None:
    """Serve /random until SIGTERM or Ctrl-C.

    The standard OTEL_* variables configure telemetry: OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES,
    OTEL_METRICS_EXPORTER (otlp, prometheus, console, none, or a list of them), OTEL_TRACES_EXPORTER
    (none, otlp, console), OTEL_TRACES_SAMPLER, OTEL_LOGS_EXPORTER (none, otlp, console),
    OTEL_METRIC_EXPORT_INTERVAL (ms), OTEL_EXPORTER_OTLP_ENDPOINT, _PROTOCOL (http/protobuf, grpc)
    and _HEADERS, OTEL_SDK_DISABLED.
    """
    import uvloop

    from randsvc.service.run import serve_random

    settings = settings or Settings()
    auth_settings = _auth_settings() if settings.with_auth else None
    logs.configure(settings.log_level)
    raise_limit()
    uvloop.run(serve_random(settings, auth_settings))


@app.command(config=Env(AuthSettings.prefix, command=False))
def auth(settings: AuthSettings | None = None) -> None:
    """Serve POST /login, {"user": NAME, "password": PASSWORD}, until SIGTERM or Ctrl-C.

    The response contains a token. `randsvc serve` accepts it as Authorization: Bearer TOKEN if both
    services have the same RANDSVC_AUTH_SECRET. The standard OTEL_* variables configure telemetry,
    as for `randsvc serve`.
    """
    import uvloop

    from randsvc.service.run import serve_auth

    settings = settings or AuthSettings()
    logs.configure(settings.log_level)
    raise_limit()
    uvloop.run(serve_auth(settings))


def _auth_settings() -> AuthSettings:
    """What `randsvc auth` would be run with."""
    _, bound, _ = app.parse_args("auth", exit_on_error=False, print_error=False)
    settings: AuthSettings = bound.arguments.get("settings") or AuthSettings()
    return settings


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command with ``arguments``, by default those of the process.

    A failure prints one line and exits with code 1.
    """
    given = sys.argv[1:] if arguments is None else arguments
    try:
        if problem := unknown_variable(os.environ):
            raise ConfigurationError(problem)
        app(given, exit_on_error=False, print_error=False)
    except* ConfigurationError as group:
        sys.exit(f"randsvc: {_redact(str(_first(group)), given)}")
    except* cyclopts.CycloptsError as group:
        sys.exit(f"randsvc: {_redact(_escape(str(_first(group))), given)}")


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def _escape(message: str) -> str:
    """Keep on one line what repeats an argument or a variable, whatever is in it."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in message)


def _redact(message: str, arguments: Sequence[str]) -> str:
    """Hide the credentials of every URL that was given, wherever the message repeats it."""
    options = (text.partition("=")[2] if text.startswith("--") else text for text in arguments)
    for given in (*os.environ.values(), *options):
        if "@" in given:
            message = message.replace(given, redact_url(given))
    return message
