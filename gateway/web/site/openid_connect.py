"""Sign-in by OpenID Connect Core 1.0: the authorization code flow with PKCE, state and nonce.

Any provider that publishes its metadata (OpenID Connect Discovery 1.0) will do. What a browser brings
back is believed only after the ID token's signature, issuer, audience, nonce and times were verified.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, cast

import httpx2
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import OAuth2Client
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from gateway.clock import Clock
from gateway.errors import GatewayError

CALL_S = 5.0
PENDING_MAX = 1_000
PENDING_FOR = timedelta(minutes=10)
ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA", "RS384", "RS512", "ES384"]
"""Signatures of ID tokens; ``none`` and keys shared with the provider are not among them."""
LEEWAY_S = 30


class SignInError(GatewayError):
    """Somebody could not be signed in."""


@dataclass(frozen=True, slots=True)
class Provider:
    """What node.toml says of the provider."""

    issuer: str
    client_id: str
    client_secret: str
    """Empty for a public client."""
    scopes: tuple[str, ...]
    table: str
    """Where in node.toml it stands, for remedies."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A sign-in that was begun; ``browser`` is what the browser that began it must show."""

    browser: str
    verifier: str
    nonce: str
    began: datetime


@dataclass
class OpenIdConnect:
    """Signs people in at one provider."""

    provider: Provider
    redirect_uri: str
    clock: Clock
    _pending: dict[str, Pending] = field(default_factory=dict)
    _metadata: Mapping[str, Any] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def begin(self) -> tuple[str, str]:
        """Return where to send the browser, and what to give it to show when it comes back.

        Raises:
            SignInError: the provider cannot be reached.
        """
        metadata = self._discover()
        verifier, nonce, browser = (secrets.token_urlsafe(48) for _ in range(3))
        with self._client() as client:
            url, state = client.create_authorization_url(
                metadata["authorization_endpoint"], code_verifier=verifier, nonce=nonce
            )
        now = self.clock()
        with self._lock:
            for old in [s for s, p in self._pending.items() if now - p.began > PENDING_FOR]:
                del self._pending[old]
            if len(self._pending) >= PENDING_MAX:
                raise SignInError("too many people are signing in.", remedy="Try again in a few minutes.")
            self._pending[state] = Pending(browser, verifier, nonce, now)
        return str(url), browser

    def finish(self, parameters: Mapping[str, str], browser: str) -> Mapping[str, Any]:
        """Return the verified claims of whoever came back.

        Raises:
            SignInError: it is not the browser that began, it took too long, or the provider's answer
                does not verify.
        """
        with self._lock:
            pending = self._pending.pop(parameters.get("state", ""), None)
        if pending is None or not secrets.compare_digest(pending.browser.encode(), browser.encode()):
            raise SignInError("this sign-in was not begun here, or is over.", remedy="Begin again.")
        if self.clock() - pending.began > PENDING_FOR:
            raise SignInError("this sign-in took too long.", remedy="Begin again.")
        code = parameters.get("code", "")
        if not code:
            raise SignInError("the provider did not sign you in.", remedy="Begin again, or ask its operator.")
        metadata = self._discover()
        try:
            with self._client() as client:
                token = client.fetch_token(
                    metadata["token_endpoint"], code=code, code_verifier=pending.verifier
                )
                claims = self._verify(str(token.get("id_token", "")), pending.nonce, metadata)
                return self._with_user_info(claims, client, metadata)
        except (AuthlibBaseError, httpx2.HTTPError, JoseError, ValueError, KeyError) as error:
            raise SignInError(
                "the provider's answer does not verify.",
                remedy="Check issuer, client_id and the client's secret in "
                f"[{self.provider.table}] of node.toml.",
            ) from error

    def _client(self) -> OAuth2Client:
        provider = self.provider
        return OAuth2Client(
            client_id=provider.client_id,
            client_secret=provider.client_secret or None,
            token_endpoint_auth_method="client_secret_basic" if provider.client_secret else "none",
            scope=" ".join(("openid", *provider.scopes)),
            redirect_uri=self.redirect_uri,
            code_challenge_method="S256",
            timeout=CALL_S,
            trust_env=False,
        )

    def _discover(self) -> Mapping[str, Any]:
        """Return the provider's metadata, read once."""
        if self._metadata:
            return self._metadata
        issuer = self.provider.issuer
        try:
            found = read_json(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        except (httpx2.HTTPError, ValueError) as error:
            raise SignInError(
                "the provider of sign-in cannot be reached.",
                remedy=f"Check [{self.provider.table}] issuer, and try again.",
            ) from error
        if found.get("issuer") != issuer:
            raise SignInError(
                "the provider of sign-in calls itself otherwise.",
                remedy=f"Write [{self.provider.table}] issuer exactly as the provider states it.",
            )
        self._metadata = found
        return found

    def _verify(self, id_token: str, nonce: str, metadata: Mapping[str, Any]) -> Mapping[str, Any]:
        keys = KeySet.import_key_set(cast("Any", read_json(metadata["jwks_uri"])))
        decoded = jwt.decode(id_token, keys, algorithms=ALGORITHMS)
        now = int(self.clock().timestamp())
        registry = jwt.JWTClaimsRegistry(
            now=now,
            leeway=LEEWAY_S,
            iss={"essential": True, "value": self.provider.issuer},
            aud={"essential": True, "value": self.provider.client_id},
            nonce={"essential": True, "value": nonce},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
        )
        registry.validate(decoded.claims)
        party = decoded.claims.get("azp", self.provider.client_id)
        if party != self.provider.client_id:
            raise ValueError("azp")
        return decoded.claims

    def _with_user_info(
        self, claims: Mapping[str, Any], client: OAuth2Client, metadata: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Add what the provider tells only at its userinfo endpoint, of the same person."""
        endpoint = metadata.get("userinfo_endpoint")
        if not endpoint:
            return claims
        response = client.get(endpoint)
        response.raise_for_status()
        told = response.json()
        if told.get("sub") != claims["sub"]:
            raise ValueError("sub")
        return {**told, **claims}


def read_json(url: str) -> dict[str, Any]:
    """Return the JSON object at ``url``, without following redirects or proxies.

    Raises:
        httpx2.HTTPError: nobody answers within 5 s, or not with success.
        ValueError: what came is no JSON.
        TypeError: it is no object.
    """
    response = httpx2.get(url, timeout=CALL_S, trust_env=False, follow_redirects=False)
    response.raise_for_status()
    found = response.json()
    if not isinstance(found, dict):
        raise TypeError("no JSON object")
    return found
