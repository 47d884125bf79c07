"""What node.toml says of an OpenID Connect provider at which people sign in to pages."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Issuer = Annotated[str, Field(pattern=r"^https?://[^\s?#]{1,500}$")]


class ProviderTable(BaseModel):
    """The part that ``[console.oidc]`` and ``[portal.oidc]`` have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    issuer: Issuer
    """The provider, exactly as it states itself; its metadata lies below it. Use https outside tests."""
    client_id: str = Field(min_length=1, max_length=200)
    """Under which the pages are registered there; the redirect URI to register is their `url` +
    /sign-in/callback."""
    client_secret_file: str = ""
    """File (mode 0600) with the client's secret, relative to the node's folder; empty = a public client."""
    scopes: tuple[Annotated[str, Field(pattern=r"^[!#-\[\]-~]{1,64}$")], ...] = ("profile",)
    """Scopes asked for beside openid."""
