"""Every error as a problem detail (RFC 9457): the one place where an error becomes a status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import Request

from gateway.clock import new_id
from gateway.errors import CallerError, EnvelopeError, GatewayError
from gateway.learners.identifier import IdentifierError
from gateway.telemetry.events import logger
from gateway.web.archives.node_calls import NodeAwayError

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:creditexchange:problem:"
"""A problem's type is a name, not an address: nothing is looked up."""

TITLES: Mapping[str, tuple[int, str]] = {
    "malformed-request": (400, "The request is malformed"),
    "token-missing": (401, "An access token is needed"),
    "token-invalid": (401, "The access token is not accepted"),
    "scope-missing": (403, "The access token does not permit this"),
    "learner-not-allowed": (403, "The access token does not permit this learner"),
    "not-found": (404, "There is no such thing"),
    "method-not-allowed": (405, "The method is not allowed here"),
    "not-acceptable": (406, "There is no such representation"),
    "conflict": (409, "The same request is being worked on"),
    "body-too-large": (413, "The body is too large"),
    "wrong-media-type": (415, "The body must be JSON"),
    "invalid-argument": (422, "A value is wrong"),
    "idempotency-key-reused": (422, "The idempotency key was used for another request"),
    "code-refused": (422, "The learning code was not redeemed"),
    "too-many-requests": (429, "Too many requests"),
    "internal": (500, "The gateway failed"),
    "peer-failed": (502, "The other node did not answer"),
    "node-unavailable": (503, "The node cannot do it now"),
}
"""Every problem by name; docs/local-api.md lists the same."""

_BY_STATUS = {400: "malformed-request", 404: "not-found", 405: "method-not-allowed"}
_log = logger("archive_api")


class ProblemError(GatewayError):
    """What a caller of the API is told. ``name`` is one of :data:`TITLES`."""

    def __init__(self, name: str, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.name = name
        self.headers = dict(headers or {})


def problem_response(
    name: str, detail: str, *, headers: Mapping[str, str] | None = None, **further: Any
) -> JSONResponse:
    """Return the problem detail called ``name``; ``detail`` holds no secret and nothing about a learner."""
    status, title = TITLES[name]
    body = {"type": TYPE_PREFIX + name, "title": title, "status": status, "detail": detail} | further
    return JSONResponse(body, status, headers=headers, media_type=MEDIA_TYPE)


def response_of(error: Exception) -> JSONResponse:
    """Return what an error means for the caller; a defect is logged under an incident number."""
    if isinstance(error, ProblemError):
        return problem_response(error.name, error.message, headers=error.headers)
    if isinstance(error, IdentifierError | CallerError):
        return problem_response("invalid-argument", str(error))
    if isinstance(error, EnvelopeError):
        return problem_response("invalid-argument", error.message)
    if isinstance(error, NodeAwayError | GatewayError):
        return problem_response("node-unavailable", str(error), headers={"Retry-After": "5"})
    incident = new_id().hex()[:12]
    _log.error("an operation failed", incident=incident, kind=type(error).__name__)
    return problem_response("internal", f"incident {incident}")


async def handle(_request: Request, error: Exception) -> JSONResponse:
    """Handle whatever an operation raised, for FastAPI."""
    return response_of(error)


async def handle_http(_request: Request, error: Exception) -> JSONResponse:
    """Handle what the framework itself raised: no such path, another method."""
    assert isinstance(error, HTTPException)
    name = _BY_STATUS.get(error.status_code, "malformed-request")
    return problem_response(name, TITLES[name][1] + ".", headers=error.headers)


async def handle_invalid(_request: Request, error: Exception) -> JSONResponse:
    """Name every member that does not fit the schema; its value is never repeated."""
    assert isinstance(error, RequestValidationError)
    found = [
        {"pointer": "/" + "/".join(str(part) for part in each["loc"]), "detail": str(each["msg"])[:200]}
        for each in error.errors()[:20]
    ]
    is_json = not any(each["type"] == "json_invalid" for each in error.errors())
    name = "invalid-argument" if is_json else "malformed-request"
    return problem_response(name, "The request does not fit the schema.", errors=found)
