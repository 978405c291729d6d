"""The options that say where the programs of a running stack are, and how faults are set there."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from randsvc.incidents.stack_api import Addresses

__all__ = ("StackOptions",)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class StackOptions:
    """Where the programs of a stack are."""

    prometheus: Annotated[str, Parameter(env_var="PROMETHEUS_URL")] = "http://127.0.0.1:9090"
    """URL of Prometheus."""

    alertmanager: Annotated[str, Parameter(env_var="ALERTMANAGER_URL")] = "http://127.0.0.1:9093"
    """URL of Alertmanager."""

    inbox: Annotated[str, Parameter(env_var="INBOX_URL")] = "http://127.0.0.1:9095"
    """URL of the inbox."""

    service: Annotated[str, Parameter(env_var="SERVICE_URL")] = "http://127.0.0.1:8080"
    """URL of the service."""

    management: Annotated[str, Parameter(env_var="MANAGEMENT_URL")] = "http://127.0.0.1:9464"
    """URL of the management port of the service."""

    auth_management: Annotated[str, Parameter(env_var="AUTH_MANAGEMENT_URL")] = (
        "http://127.0.0.1:9465"
    )
    """URL of the management port of auth."""

    token: Annotated[str | None, Parameter(env_var="RANDSVC_MANAGEMENT_TOKEN")] = None
    """Token of the management ports, if they require one."""

    @property
    def addresses(self) -> Addresses:
        """The URLs, without the token."""
        return Addresses(
            prometheus=self.prometheus,
            alertmanager=self.alertmanager,
            inbox=self.inbox,
            service=self.service,
            management=self.management,
            auth_management=self.auth_management,
        )
