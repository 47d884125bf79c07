"""How learners come in: OpenID Connect at a provider that has checked who they are."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.errors import CallerError
from gateway.learners.identifier import mask, normalise
from gateway.telemetry.events import logger
from gateway.web.archive_api.tokens import Learner, claim_of
from gateway.web.archives.searches import Searches
from gateway.web.portal.visits import Door, Visit
from gateway.web.site.openid_connect import SignInError
from gateway.web.site.page import Pages
from gateway.web.site.provider_round import ProviderRound

ROLE = "learner"

_log = logger("portal")


@dataclass(frozen=True)
class SignIn:
    """The learners' door."""

    door: Door
    pages: Pages
    provider: ProviderRound
    claim: str
    identifier_type: str
    searches: Searches

    def routes(self) -> list[Route]:
        """Return the routes of coming and going."""
        return [
            Route("/sign-in/provider", self.to_provider, methods=["GET"]),
            Route("/sign-in/callback", self.from_provider, methods=["GET"]),
            self.door.route("/sign-out", self.sign_out, is_act=True),
        ]

    def to_provider(self, request: Request) -> Response:
        """Send the browser to the provider."""
        try:
            return self.provider.begin()
        except SignInError as error:
            _log.warning("sign-in refused", problem=error.message)
            return self._problem(request, "sign-in.failed", 502)

    async def from_provider(self, request: Request) -> Response:
        """Take back the browser that the provider sends."""
        return await run_in_threadpool(self._from_provider, request)

    def _from_provider(self, request: Request) -> Response:
        try:
            claims = self.provider.finish(request)
        except SignInError as error:
            _log.warning("sign-in refused", problem=error.message)
            return self._problem(request, "sign-in.failed", 403)
        stated = claim_of(claims, self.claim)
        try:
            learner = Learner(normalise(self.identifier_type, str(stated or "")), self.identifier_type)
        except CallerError:
            _log.warning("sign-in refused", problem="no real name")
            return self._problem(request, "sign-in.no-name", 403)
        name = str(claims.get("name") or mask(learner.identifier))[:40]
        return self._begin(request, name, learner)

    def _begin(self, request: Request, name: str, learner: Learner) -> Response:
        """Begin a session under a new name, and end the one that the browser had, if any."""
        self._end(request)
        begun = self.door.sessions.begin(name, ROLE)
        session = self.door.sessions.find(begun)
        assert session is not None, "it was begun just now"
        self.door.learners.keep(session, learner)
        response = RedirectResponse("/archive", status_code=303)
        self.door.cookie.give(response, begun)
        self.provider.forget(request, response)
        _log.info("a learner signed in")
        return response

    def sign_out(self, visit: Visit) -> Response:
        """End the session and forget everything that it brought."""
        self._end(visit.request)
        response = RedirectResponse("/", status_code=303)
        self.door.cookie.take(response)
        return response

    def _end(self, request: Request) -> None:
        session = self.door.session_of(request)
        if session is not None:
            self.searches.forget_all(f"session\0{session.csrf}")
            self.door.learners.forget(session)
        self.door.sessions.end(self.door.cookie.of(request))

    def _problem(self, request: Request, key: str, status: int) -> Response:
        return self.pages.render(request, "problem.html", status=status, key=key, text="")
