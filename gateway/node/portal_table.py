"""``[portal]`` of ``node.toml``: the local API, the learners' pages and the verifiers' page."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gateway.node.provider_table import Issuer, ProviderTable
from gateway.schemes.shared_words import KINDS

Claim = Annotated[str, Field(min_length=1, max_length=200)]
_TYPE = r"^(resident-id|passport|student-number)$"


def _kind(word: str) -> str:
    if word not in KINDS.words:
        raise ValueError(f"unknown kind; use some of {', '.join(KINDS.words)}")
    return word


class _PortalTable(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class TokensTable(_PortalTable):
    """``[portal.tokens]``: OAuth 2.0 access tokens of the local API (RFC 9068)."""

    issuer: Issuer
    """Provider of tokens, exactly as it states itself; its metadata lies below it."""
    audience: str = Field(min_length=1, max_length=500)
    """What tokens for this API are made out to."""
    applications: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = ()
    """Client ids of applications that may name any learner; empty = none. Trap: their
    word is all that says whom they serve."""
    learner_claim: Claim = "resident_id"
    """Claim with the identifier of the token's learner; a dotted name reaches into nested claims."""
    identifier_type: Annotated[str, Field(pattern=_TYPE)] = "resident-id"
    """Type of that identifier."""


class PortalOidcTable(ProviderTable):
    """``[portal.oidc]``: how learners sign in to their pages (OpenID Connect, real names)."""

    learner_claim: Claim = "resident_id"
    """Claim with the learner's identifier. Trap: take a provider that has checked the identity document."""
    identifier_type: Annotated[str, Field(pattern=_TYPE)] = "resident-id"
    """Type of that identifier."""


class IssuerTable(_PortalTable):
    """``[[portal.issuers]]``: whose credentials the verifiers' page knows."""

    node: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
    """Node id."""
    domain: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(:[0-9]{1,5})?$")]
    """Its `[credentials] domain`."""
    page: Annotated[str, Field(pattern=r"^(https?://[A-Za-z0-9.:\[\]-]{1,250})?$")] = ""
    """Where its open page is reached, without a path; empty = https:// and the domain."""


class PortalTable(_PortalTable):
    """``[portal]``: what `credit-gateway portal` serves."""

    listen: Annotated[str, Field(pattern=r"^(127\.0\.0\.1|localhost|\[::1\]):[0-9]{1,5}$")] = "127.0.0.1:0"
    """Loopback address and port; port 0 = any that is free. Put a proxy with TLS in front."""
    url: Annotated[str, Field(pattern=r"^(https?://[A-Za-z0-9.:\[\]-]{1,250})?$")] = ""
    """Under which URL browsers reach it, without a path; empty = on this machine only."""
    idle_minutes: int = Field(default=15, ge=1, le=1440)
    """After so long without a click a learner's session ends, minutes."""
    session_hours: float = Field(default=2.0, ge=0.1, le=24)
    """After so long it ends in any case, hours."""
    kinds: tuple[Annotated[str, AfterValidator(_kind)], ...] = Field(
        default=(
            "degree",
            "graduation",
            "course",
            "vocational-qualification",
            "skill-level",
            "x-certificate",
            "training",
        ),
        min_length=1,
    )
    """Kinds of record that a learner's archive is collected of. Trap: a peer that does not grant one of them
    for personal-archive refuses the whole question."""
    checks_per_minute: int = Field(default=30, ge=1, le=10_000)
    """How many documents and codes the verifiers' page takes a minute, from everybody together."""
    tokens: TokensTable | None = None
    """Access tokens of the local API; none = the API is not served."""
    oidc: PortalOidcTable | None = None
    """Sign-in of learners; none = their pages are not served."""
    issuers: tuple[IssuerTable, ...] = Field(default=(), max_length=64)
    """Whose credentials are looked up; others are said to be by somebody unknown."""
