"""What can be asked of the services, and every answer that they can give: OpenAPI 3.1 documents.

https://spec.openapis.org/oas/v3.1.1.html
"""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from randsvc import __version__
from randsvc.model.features import SCHEMA
from randsvc.service.feedback import LARGEST_ACTUAL
from randsvc.telemetry.catalogue import SOURCES

__all__ = ("AUTH", "DOCUMENTS", "PATH", "SERVICE", "Document", "document_handler")

Document = Mapping[str, Any]

PATH = "/openapi.json"
"""Where each service has its own."""


def document_handler(document: Document) -> Handler:
    """Give what answers with a document."""

    async def get_document(request: web.Request) -> web.Response:
        return web.Response(text=json.dumps(document), content_type="application/json")

    return get_document


def _document(title: str, description: str, paths: Document, components: Document) -> Document:
    itself = {
        "operationId": "getDocument",
        "summary": "all of this as a document",
        "responses": {"200": _ok("OpenAPI 3.1", {"type": "object", "required": ["openapi"]})},
    }
    return {
        "openapi": "3.1.1",
        "info": {
            "title": title,
            "version": __version__,
            "description": f"{description} What answers GET answers HEAD too. Any other path is "
            "answered with NotFound, any other method with MethodNotAllowed, and what is no HTTP "
            "with a 400 in plain text.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": {**paths, PATH: {"get": itself}},
        "components": {
            **components,
            "schemas": {"Problem": _PROBLEM},
            "responses": {
                "NotFound": _problem(404, "there is nothing at this path"),
                "MethodNotAllowed": _problem(
                    405,
                    "there is something, but not for this method",
                    Allow="the methods that it takes, with commas between them",
                ),
            },
        },
    }


def _ok(description: str, schema: Document, media_type: str = "application/json") -> Document:
    return {"description": description, "content": {media_type: {"schema": schema}}}


def _problem(status: int, description: str, **headers: str) -> Document:
    title = HTTPStatus(status).phrase
    told = {"status": {"const": status}, "title": {"const": title}}
    problem = {"$ref": "#/components/schemas/Problem", "properties": told}
    response = {
        "description": description,
        "content": {"application/problem+json": {"schema": problem}},
    }
    if headers:
        response["headers"] = {
            name.replace("_", "-"): {"description": text, "schema": {"type": "string"}}
            for name, text in headers.items()
        }
    return response


def _object(**properties: Document) -> Document:
    return {"type": "object", "required": list(properties), "properties": properties}


def _answers(success: Document, *problems: tuple[int, str]) -> Document:
    """Give the responses of an operation; a problem by its status and when it is the answer."""
    headers = {
        401: {"WWW_Authenticate": "what is wanted (RFC 6750)"},
        503: {"Retry_After": "seconds to wait, where it is known"},
    }
    return {
        "200": success,
        **{
            str(status): _problem(status, description, **headers.get(status, {}))
            for status, description in problems
        },
    }


_PROBLEM = {
    "description": "Problem details for HTTP APIs (RFC 9457), of a type that is only the status.",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"const": "about:blank"},
        "title": {"type": "string", "description": "the status in words"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "what is wrong, in one line"},
    },
}
_SHED = "as many requests are served as the limit allows"
_FAILED = "the service failed, or a fault says so; its log tells why"
_NO_OBJECT = (400, "the body is not a JSON object, or did not arrive whole")
_TOO_LARGE = (413, "the body is larger than what was asked for can be")

SERVICE = _document(
    "randsvc",
    "A random number after a random delay, and feedback about it.",
    {
        "/random": {
            "get": {
                "operationId": "getRandom",
                "summary": "a random number, after a random delay",
                # Whoever is logged in can say so; nobody has to.
                "security": [{}, {"token": []}],
                "parameters": [
                    {
                        "name": name,
                        "in": "query",
                        "description": feature["description"],
                        "schema": {k: v for k, v in feature.items() if k != "description"},
                    }
                    for name, feature in SCHEMA["properties"].items()
                ],
                "responses": _answers(
                    _ok(
                        "the value, and whether the model or its fallback gave it",
                        _object(
                            value={"type": "number"},
                            source={"enum": list(SOURCES)},
                            id={"type": "string", "description": "of this answer, for feedback"},
                        ),
                    ),
                    (401, "the Authorization shows nothing: it can be left out"),
                    (422, "a feature is unknown, repeated, or none that it can be"),
                    (500, _FAILED),
                    (503, _SHED),
                ),
            }
        },
        "/features": {
            "get": {
                "operationId": "getFeatures",
                "summary": "what the features of /random may be",
                "responses": {
                    "200": _ok(
                        "a JSON schema",
                        {"type": "object", "examples": [SCHEMA]},
                        "application/schema+json",
                    )
                },
            }
        },
        "/feedback": {
            "post": {
                "operationId": "giveFeedback",
                "summary": "tell what turned out to be true about an answer",
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": _object(
                                id={"type": "string", "description": "of the answer"},
                                actual={
                                    "type": "number",
                                    "minimum": -LARGEST_ACTUAL,
                                    "maximum": LARGEST_ACTUAL,
                                },
                            )
                        }
                    },
                },
                "responses": _answers(
                    _ok(
                        "it is taken; the error is the value that was answered less the true one",
                        _object(
                            outcome={"const": "accepted"},
                            source={"enum": list(SOURCES)},
                            error={"type": "number"},
                        ),
                    ),
                    _NO_OBJECT,
                    (403, "the id is not one that was given here"),
                    (409, "the answer has had feedback"),
                    (410, "the answer is too old"),
                    _TOO_LARGE,
                    (422, "the id is no text, or what turned out to be true no number in bounds"),
                    (500, _FAILED),
                    (503, f"{_SHED}, the store of feedback fails, or a fault says so"),
                ),
            }
        },
    },
    {
        "securitySchemes": {
            "token": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": "from POST /login of the auth service",
            }
        }
    },
)
"""Of the public port of randsvc."""

AUTH = _document(
    "auth",
    "Tokens for whoever has the password.",
    {
        "/login": {
            "post": {
                "operationId": "logIn",
                "summary": "a token for a name and the password",
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": _object(
                                user={"type": "string", "minLength": 1},
                                password={"type": "string"},
                            )
                        }
                    },
                },
                "responses": _answers(
                    _ok(
                        "the token, and for how many seconds it is valid",
                        _object(
                            token={"type": "string"},
                            expires_in={"type": "number", "exclusiveMinimum": 0},
                        ),
                    ),
                    _NO_OBJECT,
                    (401, "wrong password"),
                    _TOO_LARGE,
                    (422, "the name or the password is missing, or no text"),
                    (500, _FAILED),
                    (503, f"{_SHED}, or a fault says so"),
                ),
            }
        },
    },
    {},
)
"""Of the public port of the auth service."""

DOCUMENTS: Mapping[str, Document] = {"randsvc": SERVICE, "auth": AUTH}
"""By the name of the service."""
