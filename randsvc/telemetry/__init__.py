"""Measures any aiohttp application, and exports what it measures by OpenTelemetry.

    from aiohttp import web
    from randsvc.telemetry import Telemetry

    telemetry = Telemetry(service="shop", version="1.0")
    orders = telemetry.meter.create_counter("shop.orders", unit="{order}")

    async def order(request: web.Request) -> web.Response:
        orders.add(1, {"kind": "gift"})
        return web.Response(text="thank you")

    app = web.Application()
    app.router.add_post("/orders", order)
    telemetry.run_app(app, port=8080)

Nothing else of randsvc is imported, so that this folder can be copied as it is.
"""

from typing import TYPE_CHECKING, Any

from .environment import import_environment
from .errors import ConfigurationError

# These read variables when they are imported, whoever imports them first, and raise or log a
# traceback for a wrong value. `Telemetry` says in one line what is wrong.
with import_environment():
    import opentelemetry.propagate
    import opentelemetry.sdk._logs
    import opentelemetry.sdk.trace  # noqa: F401

if TYPE_CHECKING:
    from .telemetry import Telemetry

__all__ = ("ConfigurationError", "Telemetry")


def __getattr__(name: str) -> Any:
    # Most of the SDK is imported when it is needed: a reader of the catalogue does not need it.
    if name == "Telemetry":
        from .telemetry import Telemetry

        return Telemetry
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
