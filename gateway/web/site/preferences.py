"""In which language and which light a visitor reads: cookies first, then what the browser says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.web.site.words import LANGUAGES, Language

Theme = Literal["", "light", "dark"]
"""Empty = as the system is set."""

LANGUAGE_COOKIE = "language"
THEME_COOKIE = "theme"
YEAR_S = 365 * 86_400
_BACK = re.compile(r"/(?![/\\])[\x21-\x7e]{0,500}")


@dataclass(frozen=True, slots=True)
class Preferences:
    """What one visitor prefers."""

    language: Language
    theme: Theme


def preferences_of(request: Request) -> Preferences:
    """Return what the visitor chose, or what the browser asks for."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    accepted = accepted_language(request.headers.get("accept-language", ""))
    stated = request.cookies.get(THEME_COOKIE, "")
    theme = cast("Theme", stated) if stated in ("light", "dark") else ""
    return Preferences(chosen if chosen in LANGUAGES else accepted, theme)


def accepted_language(header: str) -> Language:
    """Return the language of a site that comes first in ``Accept-Language`` (RFC 9110, 12.5.4)."""
    weighted: list[tuple[float, int, Language]] = []
    for place, part in enumerate(header[:500].split(",")):
        tag, _, parameters = part.strip().partition(";")
        primary = tag.strip().lower().partition("-")[0]
        found = re.fullmatch(r"\s*q=([01](?:\.\d{0,3})?)\s*", parameters)
        weight = float(found.group(1)) if found else 1.0
        if primary in LANGUAGES and weight > 0:
            weighted.append((-weight, place, primary))
    return min(weighted)[2] if weighted else "en"


def keep_preferences(request: Request) -> Response:
    """Handle ``/preferences?language=zh&theme=dark&back=/now``: set cookies, go back.

    Nothing but two harmless cookies of listed values is written, so a GET may do it.
    """
    back = request.query_params.get("back", "/")
    response = RedirectResponse(back if _BACK.fullmatch(back) else "/", status_code=303)
    language = request.query_params.get("language", "")
    theme = request.query_params.get("theme")
    if language in LANGUAGES:
        response.set_cookie(LANGUAGE_COOKIE, language, max_age=YEAR_S, httponly=True, samesite="lax")
    if theme in ("light", "dark"):
        response.set_cookie(THEME_COOKIE, theme, max_age=YEAR_S, httponly=True, samesite="lax")
    elif theme == "":
        response.delete_cookie(THEME_COOKIE)
    return response
