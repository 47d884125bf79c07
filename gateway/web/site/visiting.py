"""What every site does with a visit: its session's cookie, the form that was sent, the way to the door."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response


@dataclass(frozen=True, slots=True)
class SessionCookie:
    """The cookie that names a session, out of reach of scripts and of other sites' posts."""

    name: str
    is_secure: bool
    """Whether browsers send it over TLS only."""

    @classmethod
    def of_site(cls, site: str, *, is_secure: bool) -> SessionCookie:
        """Return the cookie of ``site``; over TLS bound to this host (RFC 6265bis, section 4.1.3.2)."""
        return cls(f"__Host-{site}" if is_secure else site, is_secure)

    def of(self, request: Request) -> str:
        """Return the session that a browser names; empty when it names none."""
        return request.cookies.get(self.name, "")

    def give(self, response: Response, session: str) -> None:
        """Give a browser its session."""
        response.set_cookie(self.name, session, secure=self.is_secure, httponly=True, samesite="lax")

    def take(self, response: Response) -> None:
        """Take a browser's session away."""
        response.delete_cookie(self.name, secure=self.is_secure, httponly=True, samesite="lax")


async def form_fields(request: Request, fields_max: int) -> list[tuple[str, str]]:
    """Return the fields of a form in the order they were sent; none of one that is malformed.

    Its length was checked at the fence (``site/security.py``).
    """
    body = await request.body()
    try:
        return parse_qsl(body.decode("ascii"), max_num_fields=fields_max, keep_blank_values=True)
    except (UnicodeDecodeError, ValueError):
        return []


def is_partial(request: Request) -> bool:
    """Whether a part of a page is asked for, by htmx."""
    return request.headers.get("hx-request") == "true"


def to_door(request: Request, path: str) -> Response:
    """Send somebody who is not signed in, or no more, to ``path``: the whole page, not a part of it."""
    if is_partial(request):
        return Response(status_code=204, headers={"HX-Redirect": path})
    return RedirectResponse(path, status_code=303)
