"""What can be set: by ``RANDSVC_*`` variables, and by options of the same names over them.

The settings of the auth service begin with ``RANDSVC_AUTH_``, so that one environment serves both:
``RANDSVC_PORT`` is of one and ``RANDSVC_AUTH_PORT`` of the other, and what both have to know alike,
as the secret of the tokens, has one name.

The ``OTEL_*`` variables are read where they are used, in ``randsvc.telemetry``.
"""

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from cyclopts import Parameter, Token
from cyclopts.validators import Number
from yarl import URL

from randsvc.distributions import Distribution, parse, parse_delay
from randsvc.prometheus_api import AsyncPrometheus, parse_headers

__all__ = ("AuthSettings", "ServerSettings", "Settings", "unknown_variable")


def _value(_type: type, tokens: Sequence[Token]) -> Distribution:
    return parse(tokens[0].value)


def _delay(_type: type, tokens: Sequence[Token]) -> Distribution:
    return parse_delay(tokens[0].value)


def _http_url(_type: type, value: str | None) -> None:
    if value is not None and not _is_http(value):
        raise ValueError("Expected a URL such as http://localhost:8081")


def _is_http(text: str) -> bool:
    try:
        url = URL(text)
    except ValueError:
        return False
    return url.scheme in ("http", "https") and bool(url.host)


def _links(_type: type, tokens: Sequence[Token]) -> Mapping[str, str]:
    links = {}
    for part in filter(None, map(str.strip, tokens[0].value.split(","))):
        name, _, url = part.partition("=")
        if not (name.strip() and _is_http(url)):
            raise ValueError(f"{part!r}: expected NAME=URL, such as Grafana=http://localhost:3000")
        links[name.strip()] = url
    return links


def _headers(_type: type, tokens: Sequence[Token]) -> Mapping[str, str]:
    return parse_headers(tokens[0].value.splitlines())


PASSWORD = "random"  # noqa: S105 - it is known to everybody, and guards random numbers
"""The password unless there is another."""

# A distribution is one text, with spaces in it where somebody likes them.
_ONE: dict[str, Any] = {
    "n_tokens": 1,
    "accepts_keys": False,
    "env_var_split": lambda _type, text, **_: [text],
}

Port = Annotated[int, Parameter(validator=Number(gte=0, lte=65535))]
Positive = Annotated[int, Parameter(validator=Number(gte=1))]
NotNegative = Annotated[int, Parameter(validator=Number(gte=0))]
Seconds = Annotated[float, Parameter(validator=Number(gt=0, lt=math.inf))]


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """What any of our services has: a public port and a management port."""

    service: ClassVar[str]
    """The name of the service where ``OTEL_SERVICE_NAME`` has no other."""
    prefix: ClassVar[str]
    """What the names of its variables begin with."""

    host: str = "0.0.0.0"  # noqa: S104 - the public port is for the public
    """Address of the public port."""

    port: Port
    """Public port; 0 takes a free one."""

    management_host: str = "127.0.0.1"
    """Address of the management port, which nobody but the operator should reach."""

    management_port: Port
    """Port of the console, /metrics, /livez, /readyz and /faults; 0 takes a free one."""

    management_token: str | None = None
    """The bearer token that setting a fault takes; needed where the management port is not on
    loopback. Better a variable than an option, which other users of the machine can see."""

    prometheus_url: Annotated[str | None, Parameter(validator=_http_url)] = None
    """Prometheus whose alerts the console shows, such as http://localhost:9090; unset, it shows
    none."""

    prometheus_token: str | None = None
    """Bearer token for that Prometheus. Better a variable than an option, which other users of the
    machine can see."""

    prometheus_headers: Annotated[Mapping[str, str], Parameter(converter=_headers, **_ONE)] = field(
        default_factory=dict
    )
    """Headers for that Prometheus, one "Name: value" a line. Better a variable, as above."""

    links: Annotated[Mapping[str, str], Parameter(converter=_links, **_ONE)] = field(
        default_factory=dict
    )
    """What the console links to, such as "Grafana=http://localhost:3000,
    Jaeger=http://localhost:16686"."""

    max_concurrency: Positive = 100
    """Requests that one worker serves at once; more are answered 503."""

    grace: Annotated[float, Parameter(validator=Number(gte=0))] = 8.0
    """Seconds from SIGTERM to the end of the process. Requests in flight have three quarters of it,
    the last export of telemetry has the rest. A second signal ends the process at once."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Events below this level are not logged."""

    @property
    def prometheus(self) -> AsyncPrometheus | None:
        """The Prometheus whose alerts the console shows."""
        if self.prometheus_url is None:
            return None
        return AsyncPrometheus(self.prometheus_url, self.prometheus_token, self.prometheus_headers)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Settings(ServerSettings):
    """The settings of the service."""

    service = "randsvc"
    prefix = "RANDSVC_"

    port: Port = 8080
    """Public port; 0 takes a free one."""

    management_port: Port = 9464
    """Port of the console, /metrics, /livez, /readyz and /faults; 0 takes a free one."""

    value: Annotated[Distribution, Parameter(converter=_value, **_ONE)] = parse(
        "normal(mean=50, sd=10)"
    )
    """Distribution of the value: constant, uniform, normal, lognormal, exponential, gamma, weibull,
    beta, or mixture(0.9*normal(...), 0.1*normal(...)), each with min= and max= where wanted."""

    delay: Annotated[Distribution, Parameter(converter=_delay, **_ONE)] = parse_delay(
        "lognormal(median=0.05, sigma=0.5)"
    )
    """Distribution of the delay in seconds; it cannot be negative."""

    seed: int | None = None
    """Makes the sequence of values and delays of each worker reproducible."""

    model_budget: Seconds = 0.1
    """Seconds that the model has for a prediction before the fallback answers."""

    value_baseline: Path | None = None
    """File of `randsvc baseline save value` that the values are compared with; unset, the default
    distribution is, where the values are of it."""

    delay_baseline: Path | None = None
    """File of `randsvc baseline save delay` that the delays are compared with; unset, as above."""

    feedback_secret: str | None = None
    """At least 32 bytes that the ids of answers are signed with, the same for all replicas; unset,
    made at start. Better a variable than an option, which other users of the machine can see."""

    feedback_lifetime: Seconds = 3600.0
    """Seconds after an answer in which the truth about it is taken."""

    feedback_store: Path | None = None
    """File in which replicas on one machine remember together which answers have had feedback;
    unset, that ends with this process and its workers. Not on a network's file system."""

    workers: Positive = 1
    """Processes that share the public port."""

    users: NotNegative = 0
    """Simulated users, each with a request every second or so, in a daily wave of ten minutes."""

    with_auth: bool = False
    """Run the auth service in this process as well, with ports of its own (RANDSVC_AUTH_PORT, ...)
    and where no secret is set with one made at start; the simulated users log in there."""

    auth_url: Annotated[str | None, Parameter(validator=_http_url)] = None
    """Where the simulated users log in, such as http://localhost:8081; unset, they do not."""

    auth_password: str = PASSWORD
    """The password that the simulated users log in with."""

    auth_secret: str | None = None
    """At least 32 bytes that the tokens of the auth service are signed with; unset, no token is
    valid. Better a variable than an option, which other users of the machine can see."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class AuthSettings(ServerSettings):
    """The settings of the auth service."""

    service = "auth"
    prefix = "RANDSVC_AUTH_"

    port: Port = 8081
    """Public port; 0 takes a free one."""

    management_port: Port = 9465
    """Port of the console, /metrics, /livez, /readyz and /faults; 0 takes a free one."""

    secret: str | None = None
    """At least 32 bytes that the tokens are signed with, the same as for the service. Better a
    variable than an option, which other users of the machine can see."""

    password: str = PASSWORD
    """The password of every user."""

    lifetime: Seconds = 60.0
    """Seconds that a token is valid."""


def unknown_variable(environ: Mapping[str, str]) -> str | None:
    """One line on a ``RANDSVC_*`` variable that sets nothing, which is a typing error; or None."""
    known = sorted(
        {
            settings.prefix + field.name.upper()
            for settings in (Settings, AuthSettings)
            for field in fields(settings)
        }
    )
    for name in sorted(environ):
        if name.startswith(Settings.prefix) and name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
            hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
            return f'{name}="{environ[name]}": no such setting; {hint}'
    return None
