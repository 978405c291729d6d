"""The OpenAPI 3.1 documents of the services: every endpoint, parameter and status.

https://spec.openapis.org/oas/v3.1.1.html
"""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from randsvc import __version__
from randsvc.metrics import SOURCES
from randsvc.model.features import SCHEMA
from randsvc.service.feedback import ACTUAL_LIMIT

__all__ = ("AUTH", "DOCUMENTS", "PATH", "SERVICE", "Document", "document_handler")

Document = Mapping[str, Any]

PATH = "/openapi.json"
"""The path at which each service serves its document."""


def document_handler(document: Document) -> Handler:
    """Make the handler that serves a document."""

    async def get_document(request: web.Request) -> web.Response:
        return web.Response(text=json.dumps(document), content_type="application/json")

    return get_document


def _document(title: str, description: str, paths: Document, components: Document) -> Document:
    itself = {
        "operationId": "getDocument",
        "summary": "this description as an OpenAPI document",
        "responses": {"200": _ok("OpenAPI 3.1", {"type": "object", "required": ["openapi"]})},
    }
    return {
        "openapi": "3.1.1",
        "info": {
            "title": title,
            "version": __version__,
            "description": f"{description} Endpoints that accept GET also accept HEAD. Any other "
            "path gets NotFound, and any other method MethodNotAllowed. Malformed HTTP gets status "
            "400 with a plain text body.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": {**paths, PATH: {"get": itself}},
        "components": {
            **components,
            "schemas": {"Problem": _PROBLEM},
            "responses": {
                "NotFound": _problem(404, "nothing exists at this path"),
                "MethodNotAllowed": _problem(
                    405,
                    "the path does not support this method",
                    Allow="the supported methods, separated by commas",
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
    """Give the responses of an operation; a problem is a status and its condition."""
    headers = {
        401: {"WWW_Authenticate": "the required authentication (RFC 6750)"},
        503: {"Retry_After": "seconds to wait, if known"},
    }
    return {
        "200": success,
        **{
            str(status): _problem(status, description, **headers.get(status, {}))
            for status, description in problems
        },
    }


_PROBLEM = {
    "description": "Problem details for HTTP APIs (RFC 9457). The type is always about:blank.",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"const": "about:blank"},
        "title": {"type": "string", "description": "the name of the status"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "the problem, in one line"},
    },
}
_SHED = "the concurrency limit is reached"
_FAILED = "the service failed, and its log has the reason; or a fault is active"
_NO_OBJECT = (400, "the body is not a JSON object, or is incomplete")
_TOO_SLOW = (408, "the body did not arrive in time")
_TOO_LARGE = (413, "the body is larger than any valid body")

SERVICE = _document(
    "randsvc",
    "Random numbers after a random delay, and feedback on them.",
    {
        "/random": {
            "get": {
                "operationId": "getRandom",
                "summary": "get a random number after a random delay",
                # A token is optional.
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
                        "the value, its source (the model or its fallback), and an id",
                        _object(
                            value={"type": "number"},
                            source={"enum": list(SOURCES)},
                            id={
                                "type": "string",
                                "description": "identifies this response in feedback",
                            },
                        ),
                    ),
                    (401, "the token is invalid; a request without a token is allowed"),
                    (422, "a feature is unknown, repeated or invalid"),
                    (500, _FAILED),
                    (503, _SHED),
                ),
            }
        },
        "/features": {
            "get": {
                "operationId": "getFeatures",
                "summary": "get the schema of the features of /random",
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
                "summary": "report the true value for a response",
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": _object(
                                id={"type": "string", "description": "the id of the response"},
                                actual={
                                    "type": "number",
                                    "minimum": -ACTUAL_LIMIT,
                                    "maximum": ACTUAL_LIMIT,
                                },
                            )
                        }
                    },
                },
                "responses": _answers(
                    _ok(
                        "accepted; error is the value of the response minus the true value",
                        _object(
                            outcome={"const": "accepted"},
                            source={"enum": list(SOURCES)},
                            error={"type": "number"},
                        ),
                    ),
                    _NO_OBJECT,
                    (403, "the id was not issued by this service"),
                    _TOO_SLOW,
                    (409, "feedback for this id was accepted before"),
                    (410, "the response is too old"),
                    _TOO_LARGE,
                    (
                        422,
                        "the id is not a string, or the true value is not a number in bounds",
                    ),
                    (500, _FAILED),
                    (503, f"{_SHED}, the feedback store fails, or a fault is active"),
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
                "description": "a token from POST /login of the service auth",
            }
        }
    },
)
"""The public port of randsvc."""

AUTH = _document(
    "auth",
    "Tokens for users who know the password.",
    {
        "/login": {
            "post": {
                "operationId": "logIn",
                "summary": "get a token for a user name and a password",
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
                        "the token, and the seconds until it expires",
                        _object(
                            token={"type": "string"},
                            expires_in={"type": "number", "exclusiveMinimum": 0},
                        ),
                    ),
                    _NO_OBJECT,
                    (401, "wrong password"),
                    _TOO_SLOW,
                    _TOO_LARGE,
                    (422, "the user name or the password is missing or not a string"),
                    (500, _FAILED),
                    (503, f"{_SHED}, or a fault is active"),
                ),
            }
        },
    },
    {},
)
"""The public port of the service auth."""

DOCUMENTS: Mapping[str, Document] = {"randsvc": SERVICE, "auth": AUTH}
"""The documents by the name of the service."""
