"""JSON in the bodies of requests."""

import json

from aiohttp import web
from aiohttp.web_protocol import RequestPayloadError

__all__ = ("read_object",)


async def read_object(request: web.Request) -> dict[str, object]:
    """The JSON object in a request's body; raises 400 where there is none."""
    try:
        text = await request.read()
    except (ConnectionError, RequestPayloadError) as error:
        raise web.HTTPBadRequest(text="the body did not arrive whole") from error
    try:
        body: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise web.HTTPBadRequest(text=f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(text=f"the body is {json.dumps(body)[:80]}, expected an object")
    return body
