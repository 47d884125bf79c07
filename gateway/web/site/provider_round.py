"""The way of a browser to the provider of sign-in and back, and the cookies that hold it together.

Begun by one browser, a sign-in ends in that browser or nowhere: it must show what it was given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.web.site.openid_connect import OpenIdConnect
from gateway.web.site.visiting import SessionCookie

PENDING_S = 600
"""How long a browser may stay away at the provider, seconds."""


@dataclass(frozen=True, slots=True)
class ProviderRound:
    """Sends browsers to one provider, and takes them back."""

    provider: OpenIdConnect
    session: SessionCookie

    @property
    def _cookie(self) -> str:
        return f"{self.session.name}_sign_in"

    def begin(self) -> Response:
        """Return the redirect to the provider. Raises ``SignInError`` when it cannot be reached."""
        url, browser = self.provider.begin()
        response = RedirectResponse(url, status_code=303)
        response.set_cookie(
            self._cookie,
            browser,
            max_age=PENDING_S,
            secure=self.session.is_secure,
            httponly=True,
            samesite="lax",
        )
        return response

    def finish(self, request: Request) -> Mapping[str, Any]:
        """Return the verified claims of whoever came back; raises as :meth:`OpenIdConnect.finish`."""
        return self.provider.finish(dict(request.query_params), request.cookies.get(self._cookie, ""))

    def forget(self, request: Request, response: Response) -> None:
        """Take away what the browser was given for the way."""
        if self._cookie in request.cookies:
            response.delete_cookie(self._cookie, secure=self.session.is_secure)
