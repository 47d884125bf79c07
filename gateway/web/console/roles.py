"""Roles of the console: who may see what, and who may do the two things that it can do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

Role = Literal["viewer", "auditor", "operator"]
ROLES: tuple[Role, ...] = get_args(Role)

EVERYBODY: frozenset[str] = frozenset(ROLES)
AUDITING: frozenset[str] = frozenset({"auditor", "operator"})
"""Exchanges, configuration, comparing logs."""
OPERATING: frozenset[str] = frozenset({"operator"})
"""The doctor."""


def role_of_claims(claims: Mapping[str, Any], claim: str, roles: Mapping[str, str]) -> str:
    """Return the role that the values of ``claim`` give; of several the one that may most; else nothing.

    ``roles`` maps a value of the claim to a role. A dotted name reaches into nested claims.
    """
    value: Any = claims
    for part in [claim] if claim in claims else claim.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    values: Iterable[Any] = value if isinstance(value, list) else [value]
    given = {roles[one] for one in values if isinstance(one, str) and one in roles}
    return next((role for role in reversed(ROLES) if role in given), "")
