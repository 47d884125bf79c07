"""Who calls: OAuth 2.0 access tokens (RFC 9068) of a provider found by OpenID Connect Discovery.

Two kinds of caller. A *learner* is named by a claim that the provider vouches for, and may speak of
nobody else. An *application* is on the list of node.toml, got its token for itself (client credentials,
so that ``sub`` is its own id), and names the learner whom it serves.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, cast

import httpx2
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from gateway.clock import Clock, monotonic_s
from gateway.errors import CallerError
from gateway.learners.identifier import RESIDENT_ID, normalise
from gateway.web.archive_api.problems import ProblemError
from gateway.web.site.openid_connect import read_json

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA", "Ed25519", "RS384", "RS512", "ES384")
"""Signatures of tokens; ``none`` and keys shared with the provider are not among them."""
TYPES = ("at+jwt", "application/at+jwt")
LEEWAY_S = 30
KEYS_S = 300.0
"""How long the provider's keys are kept, seconds."""
KEYS_AGAIN_S = 10.0
"""Least time between two looks at them, when a token names a key that is not known."""
TOKEN_CHARACTERS_MAX = 8192


@dataclass(frozen=True, slots=True)
class Learner:
    """Whom an operation is about."""

    identifier: str
    identifier_type: str = RESIDENT_ID

    def __repr__(self) -> str:
        """Hide the identifier."""
        return "Learner(…)"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls, as the token proves."""

    client_id: str
    subject: str
    scopes: frozenset[str]
    learner: Learner | None
    """The learner who calls; ``None`` for an application."""

    @property
    def name(self) -> str:
        """What keeps one caller's searches and keys apart from another's."""
        return f"{self.client_id}\0{self.subject}"


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """What node.toml says of tokens."""

    issuer: str
    audience: str
    applications: Collection[str]
    """Client ids of applications that may name any learner."""
    learner_claim: str
    """Claim that holds a learner's identifier; a dotted name reaches into nested claims."""
    identifier_type: str = RESIDENT_ID


@dataclass
class AccessTokens:
    """Verifies access tokens of one provider. Safe for threads."""

    settings: TokenSettings
    clock: Clock
    _keys: KeySet | None = None
    _read_s: float = 0.0
    _lock: Lock = field(default_factory=Lock)

    def principal(self, authorization: str) -> Principal:
        """Return who calls with this ``Authorization`` header (RFC 6750).

        Raises:
            ProblemError: there is no token, or it is not accepted.
        """
        kind, _, token = authorization.partition(" ")
        if kind.lower() != "bearer" or not token:
            raise ProblemError(
                "token-missing",
                "Send an access token as `Authorization: Bearer …`.",
                headers={"WWW-Authenticate": "Bearer"},
            )
        try:
            return self._principal(self._verified(token.strip()))
        except (JoseError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ProblemError(
                "token-invalid",
                "It is not of the expected issuer and audience, not signed by it, or expired.",
                headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
            ) from error

    def _verified(self, token: str) -> Mapping[str, Any]:
        if len(token) > TOKEN_CHARACTERS_MAX:
            raise ValueError("too long")
        decoded = self._decode(token)
        if str(decoded.header.get("typ", "")).lower() not in TYPES:
            raise ValueError("typ")  # an ID token, for example, is none
        settings = self.settings
        registry = jwt.JWTClaimsRegistry(
            now=int(self.clock().timestamp()),
            leeway=LEEWAY_S,
            iss={"essential": True, "value": settings.issuer},
            aud={"essential": True, "value": settings.audience},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
            client_id={"essential": True},
            jti={"essential": True},
        )
        registry.validate(decoded.claims)
        claims: Mapping[str, Any] = decoded.claims
        return claims

    def _decode(self, token: str) -> Any:
        try:
            return jwt.decode(token, self._key_set(KEYS_S), algorithms=list(ALGORITHMS))
        except (JoseError, ValueError):  # the provider may have new keys
            return jwt.decode(token, self._key_set(KEYS_AGAIN_S), algorithms=list(ALGORITHMS))

    def _key_set(self, age_s: float) -> KeySet:
        with self._lock:
            if self._keys is None or monotonic_s() - self._read_s > age_s:
                try:
                    self._keys = self._read_keys()
                except (httpx2.HTTPError, ValueError, KeyError, TypeError) as error:
                    raise ProblemError(
                        "node-unavailable",
                        "the provider of access tokens cannot be reached.",
                        headers={"Retry-After": "5"},
                    ) from error
                self._read_s = monotonic_s()
            return self._keys

    def _read_keys(self) -> KeySet:
        issuer = self.settings.issuer
        metadata = read_json(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if metadata.get("issuer") != issuer:
            raise ValueError("issuer")
        return KeySet.import_key_set(cast("Any", read_json(metadata["jwks_uri"])))

    def _principal(self, claims: Mapping[str, Any]) -> Principal:
        client, subject = str(claims["client_id"]), str(claims["sub"])
        scopes = frozenset(str(claims.get("scope", "")).split())
        if client in self.settings.applications and subject == client:
            return Principal(client, subject, scopes, None)
        stated = claim_of(claims, self.settings.learner_claim)
        if not isinstance(stated, str) or not stated:
            raise ProblemError(
                "learner-not-allowed",
                "The token names neither a learner nor an application that is allowed to name one.",
            )
        try:
            identifier = normalise(self.settings.identifier_type, stated)
        except CallerError as error:
            raise ProblemError("learner-not-allowed", "The token's learner is malformed.") from error
        return Principal(client, subject, scopes, Learner(identifier, self.settings.identifier_type))


def claim_of(claims: Mapping[str, Any], name: str) -> Any:
    """Return a claim; a dotted name reaches into nested ones; ``None`` when there is none."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found
