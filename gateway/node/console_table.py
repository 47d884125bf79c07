"""``[console]`` of ``node.toml``: the operators' web pages."""

from __future__ import annotations

from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gateway.node.provider_table import ProviderTable


def _time_zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError('write a zone of the IANA database, for example "Asia/Shanghai"') from error
    return text


class _ConsoleTable(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class OidcTable(ProviderTable):
    """``[console.oidc]``: sign-in by OpenID Connect."""

    claim: str = Field(default="groups", min_length=1, max_length=200)
    """Claim whose values give roles; a dotted name reaches into nested claims."""
    roles: dict[str, Literal["viewer", "auditor", "operator"]] = Field(min_length=1)
    """Value of the claim = role. Whoever has none of them is not let in."""


class ConsoleTable(_ConsoleTable):
    """``[console]``: the operators' web pages, served by `credit-gateway console`."""

    listen: Annotated[str, Field(pattern=r"^(127\.0\.0\.1|localhost|\[::1\]):[0-9]{1,5}$")] = "127.0.0.1:0"
    """Loopback address and port; port 0 = any that is free. Put a proxy with TLS in front to reach it from
    other machines."""
    url: Annotated[str, Field(pattern=r"^(https?://[A-Za-z0-9.:\[\]-]{1,250})?$")] = ""
    """Under which URL browsers reach it through that proxy, without a path; empty = on this machine only."""
    time_zone: Annotated[str, AfterValidator(_time_zone)] = "UTC"
    """Zone in which times are shown, for example "Asia/Shanghai"."""
    idle_minutes: int = Field(default=30, ge=1, le=1440)
    """After so long without a click a session ends, minutes."""
    session_hours: float = Field(default=8.0, ge=0.1, le=168)
    """After so long it ends in any case, hours."""
    schemes: str = "schemes"
    """Folder with scheme files of other provinces, to compare; relative to the node's folder."""
    oidc: OidcTable | None = None
    """Sign-in by OpenID Connect; none = by one-time links on this machine only."""
