"""May a peer ask for this? The same decision as for a query, with the line of the file that makes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from creditexchange.v1.exchange_pb2 import LEGAL_BASIS_CONSENT, LEGAL_BASIS_STATUTORY_DUTY
from gateway.errors import RefusedError, StorageError
from gateway.node.config import NodeConfig
from gateway.node.folder import NodeFolder
from gateway.peers.roster import SUSPENDED, Roster
from gateway.policy.grants import Access, Grant, load_access
from gateway.policy.purposes import kind_word, purpose_word
from gateway.policy.quotas import Day, day_at
from gateway.schemes.source_lines import SourceLines
from gateway.storage import quota_rows
from gateway.storage.engine import open_engine, reading
from gateway.storage.migrate import require_current

GRANTED = "GRANTED"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a file."""

    place: str
    """File and number, for example ``access.toml:12``; the file alone where no line says it."""
    text: str
    """What stands there."""


@dataclass(frozen=True, slots=True)
class KindDecision:
    """Whether one kind may be asked for, and which line says so."""

    kind: int
    outcome: str
    """``GRANTED``, or the reason for which the query would be refused."""
    line: Line
    needs_consent: bool
    basis: str
    """The statute or agreement instead of consent; empty when consent is needed or nothing is granted."""


@dataclass(frozen=True, slots=True)
class QuotaState:
    """One quota of a peer: how much of it is left today; ``left`` is ``None`` when that cannot be read."""

    purposes: tuple[str, ...]
    learners_per_day: int
    left: int | None
    line: Line


@dataclass(frozen=True, slots=True)
class Explanation:
    """The whole answer."""

    peer: str
    purpose: int
    decisions: tuple[KindDecision, ...]
    quotas: tuple[QuotaState, ...]
    day: Day
    calls_per_second: int
    rate_line: Line
    problem: str = ""
    """Why the quotas' state cannot be read."""

    @property
    def is_used_up(self) -> bool:
        """Whether nothing is left of a quota."""
        return any(quota.left is not None and quota.left < 1 for quota in self.quotas)

    @property
    def is_allowed(self) -> bool:
        """Whether a query for all these kinds would be answered now."""
        return all(one.outcome == GRANTED for one in self.decisions) and not self.is_used_up


class AccessFileLines:
    """``access.toml`` as text: where its grants, rates and quotas stand."""

    def __init__(self, path: Path) -> None:
        self._name = path.name
        text = path.read_text(encoding="utf-8")
        self._text = text.split("\n")
        self._lines = SourceLines(text)

    def of(self, table: str, number: int, key: str, word: str = "") -> Line:
        """Return the line of a key of the table with that number; in a list, the line that holds ``word``."""
        at = self._lines.find((table, number, key))
        while word and f'"{word}"' not in self._text[at - 1]:
            if at >= len(self._text) or "]" in self._text[at - 1].split("#")[0].split("=")[-1]:
                return self.of(table, number, key)
            at += 1
        return Line(f"{self._name}:{at}", self._text[at - 1].strip())

    def nowhere(self, text: str) -> Line:
        """Return the file as a whole: what is not written there is not granted."""
        return Line(self._name, text)


def explain_access(
    folder: NodeFolder,
    config: NodeConfig,
    roster: Roster,
    question: tuple[str, int, Sequence[int]],
    *,
    has_consent: bool,
    now: datetime,
) -> Explanation:
    """Return whether a peer may ask for kinds, for a purpose; ``question`` holds the three.

    Raises:
        ConfigError: ``access.toml`` is broken.
    """
    peer, purpose, kinds = question
    access, lines = load_access(folder.access), AccessFileLines(folder.access)
    standing = _standing(folder, roster, peer, now)
    decisions = tuple(
        standing_decision(kind, *standing)
        if standing is not None
        else _decide(access, lines, peer, purpose, kind, has_consent=has_consent)
        for kind in kinds
    )
    day = day_at(now, access.time_zone)
    use, problem = _read_use(folder, config, day, peer) if access.quotas.get(peer) else ({}, "")
    return Explanation(
        peer,
        purpose,
        decisions,
        tuple(_quotas(access, lines, peer, purpose, None if problem else use)),
        day,
        access.calls_per_second(peer),
        _rate_line(access, lines, peer),
        problem,
    )


def standing_decision(kind: int, outcome: str, line: Line) -> KindDecision:
    """Return what holds for every kind of a peer that may ask nothing at all."""
    return KindDecision(kind, outcome, line, needs_consent=False, basis="")


def _standing(folder: NodeFolder, roster: Roster, peer: str, now: datetime) -> tuple[str, Line] | None:
    """Return why the peer may ask nothing whatever is granted; ``None`` when it may."""
    found, path = roster.peers.get(peer), folder.peers / f"{peer}.toml"
    if found is None:
        return "UNKNOWN_PEER", Line("peers", f"there is no {path.name}: the peer was not accepted.")
    if found.state == SUSPENDED:
        text = path.read_text(encoding="utf-8")
        at = SourceLines(text).find(("state",))
        return "PEER_SUSPENDED", Line(f"peers/{path.name}:{at}", text.split("\n")[at - 1].strip())
    if found.card.expires <= now:
        return "CARD_EXPIRED", Line(
            f"peers/{path.name}", f"its card expired on {found.card.expires:%Y-%m-%d}."
        )
    return None


def _decide(
    access: Access, lines: AccessFileLines, peer: str, purpose: int, kind: int, *, has_consent: bool
) -> KindDecision:
    grants = access.grants.get((peer, purpose), ())
    granting = [grant for grant in grants if kind in grant.kinds]
    free = [grant for grant in granting if not grant.consent_required]
    outcome = GRANTED
    try:
        basis = LEGAL_BASIS_CONSENT if has_consent else LEGAL_BASIS_STATUTORY_DUTY
        access.require_grant(peer, purpose, [kind], legal_basis=basis, has_consent=has_consent)
    except RefusedError as refused:
        outcome = refused.reason
    chosen = next(iter(free or granting), None)
    return KindDecision(
        kind,
        outcome,
        _line_of(outcome, chosen, grants, lines, peer, purpose, kind),
        needs_consent=bool(granting) and not free,
        basis=free[0].statutory_basis if free else "",
    )


def _line_of(
    outcome: str,
    chosen: Grant | None,
    grants: Sequence[Grant],
    lines: AccessFileLines,
    peer: str,
    purpose: int,
    kind: int,
) -> Line:
    if outcome == "CONSENT_REQUIRED" and chosen is not None:
        return lines.of("grant", chosen.number, "consent_required")
    if chosen is not None:
        return lines.of("grant", chosen.number, "kinds", kind_word(kind))
    if grants:
        return lines.of("grant", grants[0].number, "kinds")
    return lines.nowhere(f"no [[grant]] of {peer} names the purpose {purpose_word(purpose)}.")


def _quotas(
    access: Access, lines: AccessFileLines, peer: str, purpose: int, use: dict[str, int] | None
) -> list[QuotaState]:
    word = purpose_word(purpose)
    states = []
    for quota in access.quotas.get(peer, ()):
        if quota.purposes and word not in quota.purposes:
            continue
        used = sum(n for p, n in (use or {}).items() if not quota.purposes or p in quota.purposes)
        left = None if use is None else max(0, quota.learners_per_day - used)
        line = lines.of("quota", quota.number, "learners_per_day")
        states.append(QuotaState(tuple(sorted(quota.purposes)), quota.learners_per_day, left, line))
    return states


def _rate_line(access: Access, lines: AccessFileLines, peer: str) -> Line:
    if peer not in access.rates:
        return lines.nowhere("no [[rate]] of the peer: the default holds.")
    return lines.of("rate", access.rate_numbers[peer], "calls_per_second")


def _read_use(folder: NodeFolder, config: NodeConfig, day: Day, peer: str) -> tuple[dict[str, int], str]:
    """Return what was used today, or why that cannot be told."""
    try:
        engine = open_engine(folder.database_url(config.database.url))
        try:
            require_current(engine, "node")
            with reading(engine) as connection:
                return quota_rows.read_use(connection, day.name, peer), ""
        finally:
            engine.dispose()
    except StorageError as error:
        return {}, str(error)
