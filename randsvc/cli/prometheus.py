"""The options that say which Prometheus a command reads, and how to log in there."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from randsvc.errors import ConfigurationError
from randsvc.prometheus_api import Prometheus, load_tls, parse_headers

__all__ = ("PrometheusOptions",)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class PrometheusOptions:
    """Which Prometheus to read."""

    prometheus: Annotated[str, Parameter(env_var="PROMETHEUS_URL")] = "http://127.0.0.1:9090"
    """URL of Prometheus. It may contain user:password@."""

    token: Annotated[str | None, Parameter(env_var="PROMETHEUS_TOKEN")] = None
    """Bearer token for Prometheus. Prefer the variable: other users of the machine can see
    options."""

    header: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            consume_multiple=False,
            env_var="PROMETHEUS_HEADERS",
            env_var_split=lambda _type, text, **_: text.splitlines(),
        ),
    ] = ()
    """Header for Prometheus, such as "X-Scope-OrgID: shop". Repeat the option for each header; the
    variable has one header per line. Prefer the variable, as above."""

    ca_file: Annotated[Path | None, Parameter(env_var="PROMETHEUS_CA_FILE")] = None
    """PEM file of the authorities to trust for an https URL, instead of those of the system."""

    cert_file: Annotated[Path | None, Parameter(env_var="PROMETHEUS_CERT_FILE")] = None
    """PEM file of a client certificate, for a server that demands one."""

    key_file: Annotated[Path | None, Parameter(env_var="PROMETHEUS_KEY_FILE")] = None
    """PEM file of its key, without a passphrase. Not needed if the certificate's file has it."""

    def connect(self) -> Prometheus:
        """Give the client once the server has answered.

        Raises ``ConfigurationError`` for a header that is malformed or a file that cannot be used,
        ``PrometheusError`` where there is no Prometheus.
        """
        try:
            headers = parse_headers(self.header)
        except ValueError as error:
            raise ConfigurationError(f"--header or PROMETHEUS_HEADERS: {error}") from None
        try:
            tls = load_tls(self.ca_file, self.cert_file, self.key_file)
        except ValueError as error:
            raise ConfigurationError(
                f"--ca-file, --cert-file or --key-file (PROMETHEUS_CA_FILE, ...): {error}"
            ) from None
        server = Prometheus(self.prometheus, self.token or None, headers, tls=tls)
        server.check()
        return server
