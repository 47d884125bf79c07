"""Which page answers which request: learners who are signed in, and verifiers, who need no account."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.clock import new_id
from gateway.errors import CallerError, GatewayError
from gateway.telemetry.events import logger
from gateway.web.archive_api.tokens import Learner
from gateway.web.site.page import Pages, Tab
from gateway.web.site.sessions import SESSIONS_MAX, Session, Sessions, is_csrf_token
from gateway.web.site.visiting import SessionCookie, form_fields, to_door

TABS = (
    Tab("/archive", "tab.archive"),
    Tab("/code", "tab.code"),
    Tab("/consents", "tab.consents"),
    Tab("/accesses", "tab.accesses"),
)
FIELDS_MAX = 60

_log = logger("portal")


@dataclass
class LearnersOfSessions:
    """Who each session is about. In memory only: no cookie, no disk holds an identifier. Safe for threads."""

    _known: dict[str, Learner] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def keep(self, session: Session, learner: Learner) -> None:
        """Keep whom a session is about, for as long as sessions are kept."""
        with self._lock:
            while len(self._known) >= SESSIONS_MAX:
                del self._known[next(iter(self._known))]
            self._known[session.csrf] = learner

    def find(self, session: Session) -> Learner | None:
        """Return whom a session is about."""
        with self._lock:
            return self._known.get(session.csrf)

    def forget(self, session: Session) -> None:
        """Forget whom a session was about."""
        with self._lock:
            self._known.pop(session.csrf, None)


@dataclass(frozen=True)
class Visit:
    """One request of a learner who is signed in."""

    request: Request
    session: Session
    learner: Learner
    pages: Pages
    form: Mapping[str, str]
    """What was sent; empty for a GET. Of a name that was sent several times, all are in :attr:`many`."""
    many: Mapping[str, tuple[str, ...]]

    @property
    def owner(self) -> str:
        """In whose name searches are kept."""
        return f"session\0{self.session.csrf}"

    def render(self, template: str, *, status: int = 200, **values: Any) -> Response:
        """Return a page of the portal."""
        return self.pages.render(
            self.request, template, session=self.session, tabs=TABS, status=status, **values
        )

    def asked(self, name: str) -> str:
        """Return a value of the query string; empty when there is none."""
        return self.request.query_params.get(name, "").strip()[:200]


Handler = Callable[[Visit], Response]


@dataclass(frozen=True)
class Door:
    """Lets learners in: session, and the form's token where something is done."""

    pages: Pages
    sessions: Sessions
    learners: LearnersOfSessions
    cookie: SessionCookie

    def route(self, path: str, handler: Handler, *, is_act: bool = False, is_poll: bool = False) -> Route:
        """Return a route; an *act* is a POST, and a *poll* does not keep a session alive."""

        async def endpoint(request: Request) -> Response:
            fields = await form_fields(request, FIELDS_MAX) if is_act else []
            return await run_in_threadpool(self._answer, request, fields, handler, is_poll=is_poll)

        return Route(path, endpoint, methods=["POST"] if is_act else ["GET"])

    def session_of(self, request: Request, *, is_use: bool = True) -> Session | None:
        """Return the session of a request, if it has one that lasts."""
        return self.sessions.find(self.cookie.of(request), is_use=is_use)

    def _answer(
        self, request: Request, fields: list[tuple[str, str]], handler: Handler, *, is_poll: bool
    ) -> Response:
        session = self.session_of(request, is_use=not is_poll)
        learner = self.learners.find(session) if session is not None else None
        if session is None or learner is None:
            return to_door(request, "/")
        many: dict[str, tuple[str, ...]] = {}
        for name, value in fields:
            many[name] = (*many.get(name, ()), value)
        visit = Visit(request, session, learner, self.pages, dict(fields), many)
        if request.method == "POST" and not is_csrf_token(session, visit.form.get("csrf", "")):
            return visit.render("problem.html", status=403, key="error.csrf", text="")
        return answered(lambda: handler(visit), lambda **how: visit.render("problem.html", **how))


def answered(act: Callable[[], Response], problem: Callable[..., Response]) -> Response:
    """Return what ``act`` returns, or a page that says what is wrong; never a traceback."""
    try:
        return act()
    except CallerError as error:
        return problem(status=422, key="error.asked", text=str(error))
    except GatewayError as error:
        return problem(status=503, key="error.away", text=str(error))
    except Exception as error:  # noqa: BLE001 - a person gets a sentence
        incident = new_id().hex()[:12]
        _log.error("a page failed", incident=incident, kind=type(error).__name__)
        return problem(status=500, key="error.defect", text=incident)
