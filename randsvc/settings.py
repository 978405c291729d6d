"""All settings: ``RANDSVC_*`` variables, and options of the same names, which override them.

The variables of the auth service start with ``RANDSVC_AUTH_``, so that one environment configures
both services: ``RANDSVC_PORT`` is the port of one, ``RANDSVC_AUTH_PORT`` that of the other. A
setting that both services need, such as the secret of the tokens, has one name.

``randsvc.telemetry`` reads the ``OTEL_*`` variables.
"""

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from cyclopts import Parameter, Token
from cyclopts.validators import Number
from yarl import URL

from randsvc.credentials import PASSWORD
from randsvc.distributions import Distribution, parse, parse_delay
from randsvc.errors import ConfigurationError
from randsvc.prometheus_api import AsyncPrometheus, load_tls, parse_headers, redact_url

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
        shown = redact_url(part)
        if not (name.strip() and _is_http(url)):
            raise ValueError(f"{shown!r}: expected NAME=URL, such as Grafana=http://localhost:3000")
        if URL(url).raw_user or URL(url).raw_password:
            raise ValueError(f"{shown!r}: expected no credentials, as the console shows the link")
        links[name.strip()] = url
    return links


def _host_names(_type: type, tokens: Sequence[Token]) -> frozenset[str]:
    names = frozenset(filter(None, (name.strip().lower() for name in tokens[0].value.split(","))))
    for name in names:
        if not re.fullmatch(r"[a-z0-9._-]+", name):
            raise ValueError(f"{name!r}: expected host names without ports, such as a,b.example")
    return names


def _headers(_type: type, tokens: Sequence[Token]) -> Mapping[str, str]:
    return parse_headers(tokens[0].value.splitlines())


# A distribution is one argument, even with spaces in it.
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
    """The settings that both services have."""

    service: ClassVar[str]
    """The default of ``OTEL_SERVICE_NAME``."""
    prefix: ClassVar[str]
    """The prefix of the names of its variables."""

    host: str = "127.0.0.1"
    """Address of the public port. With 0.0.0.0 other machines reach it: choose a password first."""

    port: Port
    """Public port; 0 selects a free port."""

    management_host: str = "127.0.0.1"
    """Address of the management port. Only operators should be able to reach it."""

    management_port: Port
    """Port of the console, /metrics, /livez, /readyz and /faults; 0 selects a free port."""

    management_allowed_hosts: Annotated[
        frozenset[str], Parameter(converter=_host_names, **_ONE)
    ] = frozenset()
    """Host names, separated by commas, that clients may use for the management port. IP addresses
    and localhost are always allowed. Other names are refused, because the page of any site can
    point its own name at this machine."""

    management_token: str | None = None
    """Bearer token that a client needs to set a fault. Required if the management port is not on
    loopback. Prefer the variable: other users of the machine can see options."""

    prometheus_url: Annotated[str | None, Parameter(validator=_http_url)] = None
    """URL of the Prometheus whose alerts the console shows, for example http://localhost:9090.
    Without it, the console shows no alerts."""

    prometheus_token: str | None = None
    """Bearer token for that Prometheus. Prefer the variable: other users of the machine can see
    options."""

    prometheus_headers: Annotated[Mapping[str, str], Parameter(converter=_headers, **_ONE)] = field(
        default_factory=dict
    )
    """Headers for that Prometheus, one "Name: value" per line. Prefer the variable, as above."""

    prometheus_ca_file: Path | None = None
    """PEM file of the authorities to trust if that URL is https, instead of those of the system."""

    prometheus_cert_file: Path | None = None
    """PEM file of a client certificate for that Prometheus."""

    prometheus_key_file: Path | None = None
    """PEM file of its key, without a passphrase. Not needed if the certificate's file has it."""

    links: Annotated[Mapping[str, str], Parameter(converter=_links, **_ONE)] = field(
        default_factory=dict
    )
    """Links on the console, for example "Grafana=http://localhost:3000,
    Jaeger=http://localhost:16686"."""

    max_concurrency: Positive = 100
    """Concurrency limit of one worker, in requests. Requests above it get status 503."""

    client_timeout: Seconds = 20.0
    """Seconds that a client has to send the headers of a request, and then its body, and that an
    idle connection stays open. Behind a proxy set it above the proxy's idle time-out."""

    grace: Annotated[float, Parameter(validator=Number(gte=0))] = 8.0
    """Seconds from SIGTERM to the end of the process. Active requests get three quarters of this
    time, and the last export of telemetry gets the rest. A second signal ends the process at
    once."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Events below this level are not logged."""

    @property
    def prometheus(self) -> AsyncPrometheus | None:
        """The Prometheus whose alerts the console shows.

        Raises ``ConfigurationError`` for a file that cannot be used.
        """
        if self.prometheus_url is None:
            return None
        try:
            tls = load_tls(
                self.prometheus_ca_file, self.prometheus_cert_file, self.prometheus_key_file
            )
        except ValueError as error:
            raise ConfigurationError(
                f"{self.prefix}PROMETHEUS_CA_FILE, _CERT_FILE or _KEY_FILE: {error}"
            ) from None
        return AsyncPrometheus(
            self.prometheus_url, self.prometheus_token, self.prometheus_headers, tls=tls
        )


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Settings(ServerSettings):
    """The settings of the service."""

    service = "randsvc"
    prefix = "RANDSVC_"

    port: Port = 8080
    """Public port; 0 selects a free port."""

    management_port: Port = 9464
    """Port of the console, /metrics, /livez, /readyz and /faults; 0 selects a free port."""

    value: Annotated[Distribution, Parameter(converter=_value, **_ONE)] = parse(
        "normal(mean=50, sd=10)"
    )
    """Distribution of the value: constant, uniform, normal, lognormal, exponential, gamma, weibull,
    beta, or mixture(0.9*normal(...), 0.1*normal(...)). Each also accepts min= and max=."""

    delay: Annotated[Distribution, Parameter(converter=_delay, **_ONE)] = parse_delay(
        "lognormal(median=0.05, sigma=0.5)"
    )
    """Distribution of the delay in seconds. The delay must not be negative."""

    seed: int | None = None
    """Seed that makes the values and delays of each worker reproducible."""

    model_budget: Seconds = 0.1
    """Time limit of the model for a prediction, in seconds. After it, the fallback responds."""

    value_baseline: Path | None = None
    """Baseline of the value, a file of `randsvc baseline save value`. The default is the baseline
    of the default distribution, if the value has this distribution."""

    delay_baseline: Path | None = None
    """Baseline of the delay, a file of `randsvc baseline save delay`. The default is as above."""

    feedback_secret: str | None = None
    """Secret that signs the ids of responses: at least 32 bytes, equal for all replicas. The
    default is a new secret at each start. Prefer the variable: other users of the machine can see
    options."""

    feedback_lifetime: Seconds = 3600.0
    """Seconds after a response in which feedback is accepted."""

    feedback_store: Path | None = None
    """File in which the replicas on one machine store the ids of accepted feedback. The default is
    a store that ends with this process. Do not use a network file system."""

    workers: Positive = 1
    """Number of processes that share the public port."""

    users: NotNegative = 0
    """Number of simulated users. Each sends about one request per second, with a simulated day of
    ten minutes."""

    with_auth: bool = False
    """Also run the auth service in this process, with separate ports (RANDSVC_AUTH_PORT, ...). Its
    default secret is new at each start. The simulated users log in there."""

    auth_url: Annotated[str | None, Parameter(validator=_http_url)] = None
    """URL at which the simulated users log in, for example http://localhost:8081. Without it, they
    do not log in."""

    auth_password: str = PASSWORD
    """Password of the simulated users."""

    auth_secret: str | None = None
    """Secret that signs the tokens of the auth service: at least 32 bytes. Without it, no token is
    valid. Prefer the variable: other users of the machine can see options."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class AuthSettings(ServerSettings):
    """The settings of the auth service."""

    service = "auth"
    prefix = "RANDSVC_AUTH_"

    port: Port = 8081
    """Public port; 0 selects a free port."""

    management_port: Port = 9465
    """Port of the console, /metrics, /livez, /readyz and /faults; 0 selects a free port."""

    secret: str | None = None
    """Secret that signs the tokens: at least 32 bytes, equal to that of the service. Prefer the
    variable: other users of the machine can see options."""

    password: str = PASSWORD
    """Password of every user."""

    lifetime: Seconds = 60.0
    """Lifetime of a token in seconds."""


def unknown_variable(environ: Mapping[str, str]) -> str | None:
    """Give one line about the first ``RANDSVC_*`` variable that is no setting, or None."""
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
            # Not its value, which may be a secret.
            return f"{name}: no such setting; {hint}"
    return None
