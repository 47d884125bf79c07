"""The console's door: one-time links on loopback, OpenID Connect, signing out."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway.telemetry.events import logger
from gateway.web.console.links import LINK_FOR, OneTimeLinks
from gateway.web.console.roles import EVERYBODY, ROLES, role_of_claims
from gateway.web.console.visits import Door, Visit
from gateway.web.site.openid_connect import SignInError
from gateway.web.site.page import Pages
from gateway.web.site.provider_round import ProviderRound

LOCAL_SUBJECT = "local"

_log = logger("console")


@dataclass(frozen=True)
class SignIn:
    """Who may come in, and how."""

    door: Door
    pages: Pages
    links: OneTimeLinks
    link_key: str
    """What ``credit-gateway console`` shows to get a link; it lies in the node's run folder."""
    local_hosts: frozenset[str]
    """Host headers of this machine itself: one-time links work under these only."""
    provider: ProviderRound | None
    claim: str
    roles: Mapping[str, str]

    def routes(self) -> list[Route]:
        """Return the routes that need no session."""
        return [
            Route("/sign-in", self.page, methods=["GET"]),
            Route("/enter/{secret}", self.enter, methods=["GET"]),
            Route("/links", self.make_link, methods=["POST"]),
            Route("/sign-in/provider", self.to_provider, methods=["GET"]),
            Route("/sign-in/callback", self.from_provider, methods=["GET"]),
            self.door.route("/sign-out", self.sign_out, EVERYBODY, is_act=True),
        ]

    def page(self, request: Request) -> Response:
        """Say how to sign in."""
        if self.door.session_of(request) is not None:
            return RedirectResponse("/now", status_code=303)
        return self._page(request)

    def enter(self, request: Request) -> Response:
        """Redeem a one-time link."""
        role = ""
        if request.headers.get("host", "").lower() in self.local_hosts and _is_local(request):
            role = self.links.redeem(request.path_params["secret"])
        if not role:
            return self._page(request, problem="sign-in.link-over", status=403)
        return self._begin(request, LOCAL_SUBJECT, role)

    def make_link(self, request: Request) -> Response:
        """Make a one-time link for whoever can read the key in the node's run folder."""
        shown = request.headers.get("authorization", "").encode()
        if not _is_local(request) or not hmac.compare_digest(shown, f"Bearer {self.link_key}".encode()):
            return Response("not allowed\n", 403)
        role = request.headers.get("x-role", "operator")
        if role not in ROLES:
            return Response("no such role\n", 400)
        seconds = int(LINK_FOR.total_seconds())
        return JSONResponse({"path": f"/enter/{self.links.make(role)}", "seconds": seconds})

    def to_provider(self, request: Request) -> Response:
        """Send the browser to the provider."""
        if self.provider is None:
            return RedirectResponse("/sign-in", status_code=303)
        try:
            return self.provider.begin()
        except SignInError as error:
            return self._page(request, problem="sign-in.failed", text=str(error), status=502)

    async def from_provider(self, request: Request) -> Response:
        """Take back the browser that the provider sends."""
        return await run_in_threadpool(self._from_provider, request)

    def _from_provider(self, request: Request) -> Response:
        if self.provider is None:
            return RedirectResponse("/sign-in", status_code=303)
        try:
            claims = self.provider.finish(request)
        except SignInError as error:
            _log.warning("sign-in refused", problem=error.message)
            return self._page(request, problem="sign-in.failed", text=str(error), status=403)
        role = role_of_claims(claims, self.claim, self.roles)
        if not role:
            _log.warning("sign-in refused", problem="no role")
            return self._page(request, problem="sign-in.no-role", status=403)
        subject = str(claims.get("name") or claims.get("preferred_username") or claims["sub"])[:80]
        return self._begin(request, subject, role)

    def sign_out(self, visit: Visit) -> Response:
        """End the session."""
        self.door.sessions.end(self.door.cookie.of(visit.request))
        response = RedirectResponse("/sign-in", status_code=303)
        self.door.cookie.take(response)
        return response

    def _begin(self, request: Request, subject: str, role: str) -> Response:
        """Begin a session under a new name, and end the one that the browser had, if any."""
        self.door.sessions.end(self.door.cookie.of(request))
        response = RedirectResponse("/now", status_code=303)
        self.door.cookie.give(response, self.door.sessions.begin(subject, role))
        if self.provider is not None:
            self.provider.forget(request, response)
        _log.info("signed in", role=role, how="link" if subject == LOCAL_SUBJECT else "provider")
        return response

    def _page(self, request: Request, *, problem: str = "", text: str = "", status: int = 200) -> Response:
        return self.pages.render(
            request,
            "sign_in.html",
            status=status,
            problem=problem,
            text=text,
            has_provider=self.provider is not None,
        )


def _is_local(request: Request) -> bool:
    """Whether the connection comes from this machine, as the socket says and no header does."""
    return request.client is not None and request.client.host in ("127.0.0.1", "::1")
