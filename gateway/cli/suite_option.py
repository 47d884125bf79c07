"""``--suite``: signature suites by name, several with a plus sign between them."""

from __future__ import annotations

from gateway.errors import CallerError
from gateway.signing.suites import SUITES_BY_NAME, Suite


def suites_named(text: str) -> list[Suite]:
    """Return the suites that ``text`` names. Raises ``CallerError``."""
    names = text.split("+")
    if any(name not in SUITES_BY_NAME for name in names) or len(set(names)) < len(names):
        raise CallerError(
            f"--suite {text[:60]!r} is not known.",
            remedy=f"Use one of {', '.join(SUITES_BY_NAME)}, or two with a plus sign between them.",
        )
    suites = [SUITES_BY_NAME[name] for name in names]
    if not suites[0].is_compact:
        raise CallerError(
            f"--suite {text[:60]!r}: signatures of {names[0]} do not fit refusals and checkpoints.",
            remedy=f"Put another suite before it: ed25519+{names[0]}.",
        )
    return suites
