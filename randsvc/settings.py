"""What can be set: by ``RANDSVC_*`` variables, and by options of the same names over them.

The ``OTEL_*`` variables are read where they are used, in ``randsvc.telemetry``.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from cyclopts import Parameter, Token
from cyclopts.validators import Number

from randsvc.distributions import Distribution, parse, parse_delay

__all__ = ("PREFIX", "Settings", "unknown_variable")

PREFIX = "RANDSVC_"


def _value(type_: type, tokens: Sequence[Token]) -> Distribution:
    return parse(tokens[0].value)


def _delay(type_: type, tokens: Sequence[Token]) -> Distribution:
    return parse_delay(tokens[0].value)


# A distribution is one text, with spaces in it where somebody likes them.
_ONE: dict[str, Any] = {
    "n_tokens": 1,
    "accepts_keys": False,
    "env_var_split": lambda type_, text, delimiter=None: [text],
}

Port = Annotated[int, Parameter(validator=Number(gte=0, lte=65535))]
Positive = Annotated[int, Parameter(validator=Number(gte=1))]
NotNegative = Annotated[int, Parameter(validator=Number(gte=0))]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of the service."""

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

    host: str = "0.0.0.0"  # noqa: S104 - the public port is for the public
    """Address of the public port."""

    port: Port = 8080
    """Public port; 0 takes a free one."""

    management_host: str = "127.0.0.1"
    """Address of the management port, which nobody but the operator should reach."""

    management_port: Port = 9464
    """Port of /metrics, /livez and /readyz; 0 takes a free one."""

    workers: Positive = 1
    """Processes that share the public port."""

    max_concurrency: Positive = 100
    """Requests that one worker serves at once; more are answered 503."""

    users: NotNegative = 0
    """Simulated users, each with a request every second or so, in a daily wave of ten minutes."""

    grace: Annotated[float, Parameter(validator=Number(gte=0))] = 8.0
    """Seconds that requests in flight have to finish after SIGTERM."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Events below this level are not logged."""


def unknown_variable(environ: Mapping[str, str]) -> str | None:
    """One line on a ``RANDSVC_*`` variable that sets nothing, which is a typing error; or None."""
    known = sorted(field.name.upper() for field in fields(Settings))
    for name in sorted(environ):
        setting = name.removeprefix(PREFIX)
        if setting != name and setting not in known:
            close = [PREFIX + match for match in difflib.get_close_matches(setting, known, n=1)]
            every = ", ".join(PREFIX + setting for setting in known)
            hint = f"did you mean {close[0]}?" if close else f"known: {every}"
            return f'{name}="{environ[name]}": no such setting; {hint}'
    return None
