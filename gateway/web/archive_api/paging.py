"""Pages of lists, and entity tags."""

from __future__ import annotations

import hmac
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, TypeVar

from fastapi.responses import JSONResponse
from starlette.requests import Request
from starlette.responses import Response

from gateway.web.archive_api.problems import ProblemError

T = TypeVar("T")

LIMIT_DEFAULT, LIMIT_MAX = 50, 200
_TAG_BYTES = 16
_SECRET = secrets.token_bytes(32)
"""Cursors are good for as long as this process lives, as the searches that they point into."""


def page(items: Sequence[T], cursor: str | None, limit: int, scope: str) -> tuple[Sequence[T], str | None]:
    """Return one page of ``items`` and the cursor of the next; ``scope`` binds cursors to caller and list.

    Raises:
        ProblemError: the cursor is not one of this list.
    """
    start = _position(cursor, scope) if cursor is not None else 0
    end = start + limit
    return items[start:end], _cursor(end, scope) if end < len(items) else None


def tagged(request: Request, body: Any, *, status: int = 200) -> Response:
    """Return ``body`` as JSON with its entity tag; 304 when the caller has it (RFC 9110, 13.1.2)."""
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
    tag = f'"{urlsafe_b64encode(sha256(content).digest()[:18]).decode()}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    known = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
    if tag in known or known == ["*"]:
        return Response(status_code=304, headers=headers)
    return JSONResponse(body, status, headers)


def _cursor(position: int, scope: str) -> str:
    text = str(position).encode()
    return urlsafe_b64encode(_mac(text, scope) + text).rstrip(b"=").decode()


def _position(cursor: str, scope: str) -> int:
    try:
        raw = urlsafe_b64decode(cursor.encode("ascii") + b"==")
    except ValueError as error:
        raise ProblemError("invalid-argument", "cursor: it is none that was given out.") from error
    mac, text = raw[:_TAG_BYTES], raw[_TAG_BYTES:]
    if not text.isdigit() or not hmac.compare_digest(mac, _mac(text, scope)):
        raise ProblemError("invalid-argument", "cursor: it is not of this list, or too old.")
    return int(text)


def _mac(text: bytes, scope: str) -> bytes:
    return hmac.digest(_SECRET, scope.encode() + b"\0" + text, "sha256")[:_TAG_BYTES]
