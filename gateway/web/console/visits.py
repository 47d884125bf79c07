"""Which page answers which request, for whom: the one door between a browser and the pages."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.clock import new_id
from gateway.errors import AuditLogError, CallerError, GatewayError
from gateway.telemetry.events import logger
from gateway.web.console.roles import AUDITING, EVERYBODY
from gateway.web.site.page import Pages, Tab
from gateway.web.site.sessions import Session, Sessions, is_csrf_token
from gateway.web.site.visiting import SessionCookie, form_fields, is_partial, to_door

TABS = (
    (Tab("/now", "tab.now"), EVERYBODY),
    (Tab("/exchanges", "tab.exchanges"), AUDITING),
    (Tab("/peers", "tab.peers"), EVERYBODY),
    (Tab("/trust", "tab.trust"), EVERYBODY),
    (Tab("/schemes", "tab.schemes"), EVERYBODY),
    (Tab("/config", "tab.config"), AUDITING),
)
FIELDS_MAX = 50

_log = logger("console")


@dataclass(frozen=True)
class Visit:
    """One request of somebody who is signed in."""

    request: Request
    session: Session
    pages: Pages
    form: Mapping[str, str]
    """What was sent; empty for a GET."""

    def render(self, template: str, **values: Any) -> Response:
        """Return a page of the console."""
        tabs = [tab for tab, roles in TABS if self.session.role in roles]
        return self.pages.render(self.request, template, session=self.session, tabs=tabs, **values)

    def asked(self, name: str) -> str:
        """Return a value of the query string, without blanks around it; empty when there is none."""
        return self.request.query_params.get(name, "").strip()[:200]

    @property
    def is_partial(self) -> bool:
        """Whether a part of a page is asked for, by htmx."""
        return is_partial(self.request)


Handler = Callable[[Visit], Response]


@dataclass(frozen=True)
class Door:
    """Lets visits in: session, role and, where something is done, the form's token."""

    pages: Pages
    sessions: Sessions
    cookie: SessionCookie

    def route(
        self,
        path: str,
        handler: Handler,
        roles: Collection[str],
        *,
        is_act: bool = False,
        is_poll: bool = False,
    ) -> Route:
        """Return a route; an *act* is a POST, and a *poll* does not keep a session alive."""

        async def endpoint(request: Request) -> Response:
            form = dict(await form_fields(request, FIELDS_MAX)) if is_act else {}
            return await run_in_threadpool(self._answer, request, form, handler, roles, is_poll=is_poll)

        return Route(path, endpoint, methods=["POST"] if is_act else ["GET"])

    def session_of(self, request: Request, *, is_use: bool = True) -> Session | None:
        """Return the session of a request, if it has one that lasts."""
        return self.sessions.find(self.cookie.of(request), is_use=is_use)

    def _answer(
        self,
        request: Request,
        form: Mapping[str, str],
        handler: Handler,
        roles: Collection[str],
        *,
        is_poll: bool,
    ) -> Response:
        session = self.session_of(request, is_use=not is_poll)
        if session is None:
            return to_door(request, "/sign-in")
        visit = Visit(request, session, self.pages, form)
        if session.role not in roles:
            return self.problem(visit, "error.role", status=403)
        if request.method == "POST" and not is_csrf_token(session, form.get("csrf", "")):
            return self.problem(visit, "error.csrf", status=403)
        try:
            return handler(visit)
        except CallerError as error:
            return self.problem(visit, "error.asked", status=404, text=str(error))
        except AuditLogError as error:
            return self.problem(visit, "error.log", status=500, text=str(error))
        except GatewayError as error:
            return self.problem(visit, "error.away", status=503, text=str(error))
        except Exception as error:  # noqa: BLE001 - a person gets a sentence, never a traceback
            incident = new_id().hex()[:12]
            _log.exception("a page failed", incident=incident, kind=type(error).__name__)
            return self.problem(visit, "error.defect", status=500, text=incident)

    def problem(self, visit: Visit, key: str, *, status: int, text: str = "") -> Response:
        """Return a page, or where a part of one was asked for a paragraph, that says what is wrong."""
        if visit.is_partial:  # htmx shows nothing but successful answers
            return visit.render("problem_part.html", key=key, text=text)
        return visit.render("problem.html", key=key, text=text, status=status)
