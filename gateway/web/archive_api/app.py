"""Puts the local API together, with its OpenAPI 3.1 document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import __version__
from gateway.errors import GatewayError
from gateway.web.archive_api.models import ProblemDetail
from gateway.web.archive_api.operations import SCOPE_OF, SCOPES, Operations
from gateway.web.archive_api.problems import (
    MEDIA_TYPE,
    TITLES,
    handle,
    handle_http,
    handle_invalid,
    problem_response,
)
from gateway.web.archive_api.routes import make_router

BODY_BYTES_MAX = 128 * 1024
DESCRIPTION = (
    "Search a learner's records over the federation, consents, learning codes, who asked, documents. "
    "Everything but this document needs an access token (RFC 9068). Errors are problem details (RFC 9457)."
)


def make_api(ops: Operations) -> ASGIApp:
    """Return the API as an ASGI application."""
    app = FastAPI(
        title=f"Archive of {ops.node_id}",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        generate_unique_id_function=_operation_id,
        redirect_slashes=False,
    )
    app.include_router(make_router(ops))
    app.add_exception_handler(GatewayError, handle)
    app.add_exception_handler(HTTPException, handle_http)
    app.add_exception_handler(RequestValidationError, handle_invalid)
    document = _document(app, ops.tokens.settings.issuer)
    app.openapi = lambda: document  # type: ignore[method-assign]
    return Gate(app)


@dataclass(frozen=True)
class Gate:
    """Around the whole API: sizes, and what no answer must lack."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in."""
        headers = Headers(scope=scope)

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered = MutableHeaders(raw=message["headers"])
                answered["x-content-type-options"] = "nosniff"
                answered.setdefault("cache-control", "no-store")
            await send(message)

        stated = headers.get("content-length", "0")
        if "transfer-encoding" in headers or not stated.isdecimal() or len(stated) > 9:
            refused = problem_response("malformed-request", "Content-Length: it is needed.")
            await refused(scope, receive, sent)
        elif int(stated) > BODY_BYTES_MAX:
            refused = problem_response("body-too-large", f"At most {BODY_BYTES_MAX} bytes.")
            await refused(scope, receive, sent)
        else:
            await _guarded(self.app, scope, receive, sent)


async def _guarded(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a defect as a problem too; without what was raised, which may hold anything."""
    has_begun = False

    async def noted(message: Message) -> None:
        nonlocal has_begun
        has_begun = has_begun or message["type"] == "http.response.start"
        await send(message)

    try:
        await app(scope, receive, noted)
    except Exception as error:
        if has_begun:
            raise
        from gateway.web.archive_api.problems import response_of

        await response_of(error)(scope, receive, send)


def _operation_id(route: APIRoute) -> str:
    return route.name


def _document(app: FastAPI, issuer: str) -> dict[str, Any]:
    """Return the OpenAPI document, with security and problems of every operation."""
    document = app.openapi()
    components = document.setdefault("components", {})
    components["securitySchemes"] = {
        "token": {
            "type": "openIdConnect",
            "openIdConnectUrl": f"{issuer.rstrip('/')}/.well-known/openid-configuration",
            "description": "Scopes: " + "; ".join(f"`{name}`: {what}" for name, what in SCOPES.items()),
        }
    }
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["ProblemDetail"] = ProblemDetail.model_json_schema()
    problem = {
        "description": "A problem detail; `type` ends in one of: " + ", ".join(TITLES),
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetail"}}},
    }
    components["responses"] = {"Problem": problem}
    statuses = sorted({str(status) for status, _ in TITLES.values()})
    for path in document["paths"].values():
        for operation in path.values():
            operation["security"] = [{"token": [SCOPE_OF[operation["operationId"]]]}]
            for status in statuses:
                operation["responses"][status] = {"$ref": "#/components/responses/Problem"}
            if any(each["name"] == "cursor" for each in operation.get("parameters", ())) or (
                operation["operationId"] in ("see_search", "see_record")
            ):
                operation["responses"]["304"] = {"description": "The caller has it (If-None-Match)."}
    return document
