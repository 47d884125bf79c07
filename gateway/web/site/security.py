"""What holds for every answer of a site: which hosts it is called by, and what a browser may do with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""No script or style but files of this site, no frame around it, no form to elsewhere (CSP level 3)."""

HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "same-origin",  # with less, browsers send forms without saying from where
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
NO_DEVICE = "camera=(), geolocation=(), microphone=()"
UNKEPT = "no-store"
BODY_BYTES_MAX = 16 * 1024
"""Forms of a site are small."""
UNSTATED = 1 << 40
"""Length of a body whose length is not stated: more than any."""


@dataclass(frozen=True)
class Fence:
    """ASGI middleware around a whole site.

    A page on another name that points to this address (DNS rebinding) is refused by the Host header; a
    form that another site sends by what browsers say about where a request comes from (Fetch Metadata).
    """

    app: ASGIApp
    hosts: Collection[str]
    """Values of the Host header under which the site is called."""
    is_secure: bool = False
    """Whether it is reached over HTTPS only, so that browsers are told to insist on it."""
    larger: Mapping[str, int] = field(default_factory=dict)
    """Paths that take larger bodies, with the most bytes of each."""
    camera_at: Collection[str] = ()
    """Paths of pages that may ask for the camera."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, and add the headers to its answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        sent = self._with_headers(send, scope["path"])
        if headers.get("host", "").lower() not in self.hosts:
            await PlainTextResponse("unknown host\n", 421)(scope, receive, sent)
        elif scope["method"] not in ("GET", "HEAD") and not self._is_own(headers):
            await PlainTextResponse("this form does not come from here\n", 403)(scope, receive, sent)
        elif _length(headers) > self.larger.get(scope["path"], BODY_BYTES_MAX):
            await PlainTextResponse("too much\n", 413)(scope, receive, sent)
        else:
            await self.app(scope, receive, sent)

    def _is_own(self, headers: Headers) -> bool:
        """Whether what changes something was sent by a page of this site, or by no browser."""
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return False
        origin = headers.get("origin")
        return origin is None or origin.partition("://")[2].lower() in self.hosts

    def _with_headers(self, send: Send, path: str) -> Send:
        permissions = NO_DEVICE.replace("camera=()", "camera=(self)") if path in self.camera_at else NO_DEVICE

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                for name, value in HEADERS.items():
                    headers[name] = value
                headers["permissions-policy"] = permissions
                headers.setdefault("cache-control", UNKEPT)
                if self.is_secure:
                    headers["strict-transport-security"] = "max-age=31536000"
            await send(message)

        return sent


def _length(headers: Headers) -> int:
    """Return the stated length of the body; too much when it is not stated in digits."""
    stated = headers.get("content-length", "0")
    if "transfer-encoding" in headers or not stated.isdecimal() or len(stated) > 9:
        return UNSTATED
    return int(stated)
