"""``randsvc fault``: list, set and clear faults through the management port."""

import json
import urllib.request
from typing import Annotated, Any
from urllib.error import HTTPError, URLError

from cyclopts import App, Parameter

from randsvc.errors import ConfigurationError
from randsvc.faults.faults import AUTH_FAULTS, RANDOM_FAULTS

__all__ = ("fault_app",)

SECONDS = 10
"""That the management port has to answer: as long as a few blocks of the event loop."""

HERE = "http://127.0.0.1:9464"

Name = Annotated[str, Parameter(help="Which fault.")]
Number = float | None
Management = Annotated[
    str, Parameter(help="URL of the management port; that of auth is http://127.0.0.1:9465.")
]
Token = Annotated[
    str | None,
    Parameter(help="Where the service has one.", env_var="RANDSVC_MANAGEMENT_TOKEN"),
]
# No variables but the token's: a fault is set by hand, or by a script that says what it does.
fault_app = App(
    name="fault",
    help="Break a running service on purpose, for a while; see what is broken; mend it.",
    help_format="plaintext",
    config=(),
)
_every_fault = "".join(
    f"\n\n{name}{''.join(f' --{parameter}' for parameter in fault.parameters)}: {fault.description}"
    for name, fault in {fault.name: fault for fault in (*RANDOM_FAULTS, *AUTH_FAULTS)}.items()
)


@fault_app.command(name="list")
def list_(*, management: Management = HERE) -> None:
    """List what can be broken, and what is."""
    faults = json.loads(_ask("GET", management, "/faults"))
    longest = max(map(len, faults["known"]))
    for name, schema in faults["known"].items():
        print(f"{name:<{longest}}  {_state(schema, faults['on'].get(name))}")  # noqa: T201


def _state(schema: dict[str, Any], on: dict[str, float] | None) -> str:
    if on is None:
        parameters = " ".join(f"--{name}" for name in schema["properties"])
        return f"off             {schema['description']}: {parameters}"
    parameters = " ".join(f"{name}={value:g}" for name, value in on.items() if name != "duration")
    return f"on, {on['duration']:4.0f} s left {parameters}".rstrip()


@fault_app.command(name="set", help=f"Turn a fault on, for --duration seconds.{_every_fault}")
def set_(
    name: Name,
    *,
    duration: Annotated[float, Parameter(help="Seconds until it ends by itself.")] = 60,
    share: Annotated[Number, Parameter(help="Share of the requests that it hits, 0 to 1.")] = None,
    seconds: Annotated[Number, Parameter(help="How much longer it takes.")] = None,
    by: Annotated[Number, Parameter(help="What is added.")] = None,
    factor: Annotated[Number, Parameter(help="What is multiplied by.")] = None,
    management: Management = HERE,
    token: Token = None,
) -> None:
    """Turn a fault on."""
    given = {"share": share, "seconds": seconds, "by": by, "factor": factor, "duration": duration}
    parameters = {key: value for key, value in given.items() if value is not None}
    _ask("PUT", management, f"/faults/{name}", token, json.dumps(parameters).encode())


@fault_app.command
def clear(name: Name | None = None, *, management: Management = HERE, token: Token = None) -> None:
    """Turn a fault off; all of them where none is named."""
    _ask("DELETE", management, f"/faults/{name}" if name else "/faults", token)


def _ask(
    method: str, management: str, path: str, token: str | None = None, body: bytes | None = None
) -> bytes:
    """The body of the answer; raises ``ConfigurationError`` where it is a problem or none comes."""
    url = management.rstrip("/") + path
    if not url.startswith(("http://", "https://")):
        raise ConfigurationError(f'--management="{management}": expected a URL such as {HERE}')
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(url, body, headers, method=method)  # noqa: S310 - see above
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
            content: bytes = answer.read()
    except HTTPError as error:
        raise ConfigurationError(_detail(error)) from error
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, URLError) else error
        raise ConfigurationError(f"cannot reach --management {management}: {reason}") from error
    return content


def _detail(error: HTTPError) -> str:
    try:
        return str(json.loads(error.read())["detail"])
    except (ValueError, KeyError, TypeError):
        return f"{error.url} answered {error.code} {error.reason}"
