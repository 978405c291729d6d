"""The bodies of requests: read within a time-out, before the request takes a place; parsed as JSON.

A client can send a body as slowly as it likes. Until the body is there the request needs memory and
a connection, but none of the places that ``load_shedding`` counts, so slow clients do not keep
others out.
"""

import asyncio
import json

from aiohttp import web
from aiohttp.typedefs import Handler
from aiohttp.web_protocol import RequestPayloadError

__all__ = ("read_first", "read_object")


def read_first(handler: Handler, seconds: float) -> Handler:
    """Call ``handler`` when the body of a request has arrived; raise 408 after ``seconds``.

    Raises 413 for a body that is larger than the application's ``client_max_size``, 400 for one
    that ends early.
    """

    async def reading(request: web.Request) -> web.StreamResponse:
        try:
            async with asyncio.timeout(seconds):
                await request.read()
        except TimeoutError as error:
            raise web.HTTPRequestTimeout(
                text=f"the body did not arrive within {seconds:g} s"
            ) from error
        except (ConnectionError, RequestPayloadError) as error:
            raise web.HTTPBadRequest(text="the body is incomplete") from error
        return await handler(request)

    return reading


async def read_object(request: web.Request) -> dict[str, object]:
    """The JSON object in a body that ``read_first`` has read; raises 400 where it is none."""
    try:
        body: object = json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise web.HTTPBadRequest(text=f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(text=f"the body is {json.dumps(body)[:80]}, expected an object")
    return body
