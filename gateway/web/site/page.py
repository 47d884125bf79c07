"""Pages from templates: Jinja2 with escaping always on, in the visitor's language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from functools import partial
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.loaders import ChoiceLoader
from starlette.requests import Request
from starlette.responses import HTMLResponse

from gateway.web.site.preferences import Preferences, preferences_of
from gateway.web.site.sessions import Session
from gateway.web.site.words import Words


@dataclass(frozen=True)
class Tab:
    """One entry of a site's navigation."""

    path: str
    key: str
    """Key of its word."""


@dataclass
class Pages:
    """Renders the pages of one site."""

    packages: Sequence[str]
    """Packages with a folder ``templates``; the first that has a template goes before the others."""
    words: Words
    facts: Mapping[str, Any]
    """What every template may use: name of the node, for example."""
    zone: tzinfo = UTC
    """In which zone times are shown."""
    _environment: Environment = field(init=False)

    def __post_init__(self) -> None:
        """Load templates; an undefined name in one is an error, never an empty place."""
        self._environment = Environment(
            loader=ChoiceLoader([PackageLoader(package) for package in self.packages]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters["when"] = self.when
        self._environment.filters["number"] = number

    def render(
        self,
        request: Request,
        template: str,
        *,
        session: Session | None = None,
        tabs: Sequence[Tab] = (),
        status: int = 200,
        **values: Any,
    ) -> HTMLResponse:
        """Return the page; ``values`` are what the template is about."""
        preferences = preferences_of(request)
        content = self._environment.get_template(template).render(
            **self.facts,
            **values,
            t=partial(self.words.say, preferences.language),
            word=partial(self.words.find, preferences.language),
            language=preferences.language,
            theme=preferences.theme,
            path=request.url.path,
            here=_here(request),
            session=session,
            tabs=tabs,
        )
        return HTMLResponse(content, status)

    def preferences(self, request: Request) -> Preferences:
        """Return the visitor's language and theme."""
        return preferences_of(request)

    def when(self, instant: datetime | None, form: str = "%Y-%m-%d %H:%M:%S") -> str:
        """Return an instant as the site shows it."""
        return instant.astimezone(self.zone).strftime(form) if instant is not None else "–"


def number(value: float) -> str:
    """Return a number with its thousands set apart, with at most one decimal."""
    if isinstance(value, int) or value == int(value):
        return f"{int(value):,}"
    return f"{value:,.1f}"


def _here(request: Request) -> str:
    """Return path and query of a page that can be come back to."""
    if request.method != "GET":
        return "/"
    query = request.url.query
    return f"{request.url.path}?{query}" if query else request.url.path
