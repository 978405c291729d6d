"""``randsvc fault``: list, set and clear faults through the management port."""

import json
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.error import HTTPError, URLError

from cyclopts import App, Parameter

from randsvc.errors import ConfigurationError
from randsvc.faults.faults import AUTH_FAULTS, RANDOM_FAULTS
from randsvc.prometheus_api import redact_url

__all__ = ("fault_app",)

TIMEOUT = 10
"""Seconds that the management port has to respond: a few blocks of the event loop."""

MANAGEMENT_URL = "http://127.0.0.1:9464"
AUTH_MANAGEMENT_URL = "http://127.0.0.1:9465"

Name = Annotated[str, Parameter(help="Name of the fault.")]
Number = float | None
Management = Annotated[
    str, Parameter(help=f"URL of the management port; {AUTH_MANAGEMENT_URL} for auth.")
]
Token = Annotated[
    str | None,
    Parameter(
        help="Token of the management port, if it requires one.", env_var="RANDSVC_MANAGEMENT_TOKEN"
    ),
]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """Follow none: the token is for the management port alone."""


# No proxy either, whatever HTTP_PROXY says: the token would be sent to it.
_http = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)

# Only the token has a variable: a command or script that sets a fault should say so.
fault_app = App(
    name="fault",
    help="Set a fault of a running service for a while, list the faults, clear them.",
    help_format="plaintext",
    config=(),
)
ENDLESS = {fault.name for fault in (*RANDOM_FAULTS, *AUTH_FAULTS) if not fault.lasts}
"""Faults without a duration."""
_every_fault = "".join(
    f"\n\n{name}{''.join(f' --{parameter}' for parameter in fault.parameters)}: {fault.description}"
    for name, fault in {fault.name: fault for fault in (*RANDOM_FAULTS, *AUTH_FAULTS)}.items()
)


@fault_app.command(name="list")
def list_(*, management: Management = MANAGEMENT_URL) -> None:
    """List the faults, and which are on."""
    answer = _send("GET", management, "/faults")
    try:
        faults = json.loads(answer)
        longest = max(map(len, faults["known"]))
        lines = [
            f"{name:<{longest}}  {_describe_state(schema, faults['on'].get(name))}"
            for name, schema in faults["known"].items()
        ]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigurationError(
            f"--management {redact_url(management)} does not answer as a management port of "
            "randsvc: expected its URL"
        ) from error
    print("\n".join(lines))  # noqa: T201


def _describe_state(schema: dict[str, Any], on: dict[str, float] | None) -> str:
    if on is None:
        parameters = " ".join(f"--{name}" for name in schema["properties"])
        return f"off             {schema['description']}: {parameters}"
    parameters = " ".join(f"{name}={value:g}" for name, value in on.items() if name != "duration")
    return f"on, {on['duration']:4.0f} s left {parameters}".rstrip()


@fault_app.command(name="set", help=f"Turn a fault on for --duration seconds.{_every_fault}")
def set_(
    name: Name,
    *,
    duration: Annotated[float, Parameter(help="Seconds until the fault ends by itself.")] = 60,
    share: Annotated[Number, Parameter(help="Share of the affected requests, 0 to 1.")] = None,
    seconds: Annotated[Number, Parameter(help="Additional seconds.")] = None,
    by: Annotated[Number, Parameter(help="Number to add.")] = None,
    factor: Annotated[Number, Parameter(help="Number to multiply by.")] = None,
    management: Management = MANAGEMENT_URL,
    token: Token = None,
) -> None:
    """Turn a fault on, and print until when."""
    given = {"share": share, "seconds": seconds, "by": by, "factor": factor, "duration": duration}
    parameters = {key: value for key, value in given.items() if value is not None}
    body = json.dumps(parameters).encode()
    _send("PUT", management, f"/faults/{name}", token, body, fault=name)
    shown = redact_url(management)
    if name in ENDLESS:
        print(f"{name}: done at {shown}")  # noqa: T201
        return
    until = datetime.now(UTC) + timedelta(seconds=duration)
    print(  # noqa: T201
        f"{name} is on at {shown} until {until:%H:%M:%S} UTC ({duration:g} s); to end it now: "
        f"randsvc fault clear {name}"
        + (f" --management {shown}" if management != MANAGEMENT_URL else "")
    )


@fault_app.command
def clear(
    name: Name | None = None, *, management: Management = MANAGEMENT_URL, token: Token = None
) -> None:
    """Turn a fault off, or all faults if no name is given."""
    path = f"/faults/{name}" if name else "/faults"
    _send("DELETE", management, path, token, fault=name)


def _send(
    method: str,
    management: str,
    path: str,
    token: str | None = None,
    body: bytes | None = None,
    *,
    fault: str | None = None,
) -> bytes:
    """Return the body of the response; raises ``ConfigurationError`` for a problem or none."""
    url, shown = management.rstrip("/") + path, redact_url(management)
    if not url.startswith(("http://", "https://")):
        raise ConfigurationError(f'--management="{shown}": expected a URL such as {MANAGEMENT_URL}')
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(url, body, headers, method=method)  # noqa: S310 - see above
    try:
        with _http.open(request, timeout=TIMEOUT) as response:
            content: bytes = response.read()
    except HTTPError as error:
        raise ConfigurationError(_read_detail(error) + _hint_at_service(error, fault)) from error
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, URLError) else error
        raise ConfigurationError(f"cannot reach --management {shown}: {reason}") from error
    return content


def _read_detail(error: HTTPError) -> str:
    try:
        return str(json.loads(error.read())["detail"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return f"{error.url} responded with {error.code} {error.reason}"


def _hint_at_service(error: HTTPError, fault: str | None) -> str:
    """Return the option to add if the fault is one of the other service."""
    services = {MANAGEMENT_URL: RANDOM_FAULTS, AUTH_MANAGEMENT_URL: AUTH_FAULTS}
    urls = [url for url, known in services.items() if fault in {each.name for each in known}]
    return f"; use --management {urls[0]}" if error.code == 404 and len(urls) == 1 else ""
