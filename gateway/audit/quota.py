"""Quotas, counted where exchanges are logged: in the group's transaction, exactly, by all processes.

A query that would go beyond its quota is refused in the transaction that would have logged its answer:
no worker can overlook what another one has just answered, and nothing is counted that was not
answered. The price is two statements a group for peers that have a quota, and no commit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import Any

from gateway.audit.group import PendingEntry
from gateway.errors import RefusedError
from gateway.storage import quota_rows
from gateway.storage.node_tables import Transaction
from gateway.storage.quota_rows import Allowance, Charge

Use = Mapping[str, int]
"""Learners that a peer was answered about on one day, by purpose."""
DAYS_KNOWN_MAX = 64
"""Most (day, peer) of which a process remembers what was used."""


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of the tightest allowance that a charge falls under."""

    allowance: Allowance
    learners: int


def left_for(charge: Charge, use: Use) -> Left:
    """Return the allowance of which least is left, and how much that is."""
    found = [
        Left(allowance, allowance.learners_per_day - _used(allowance, use))
        for allowance in charge.allowances
        if not allowance.purposes or charge.purpose in allowance.purposes
    ]
    return min(found, key=lambda left: left.learners)


def quota_exceeded(charge: Charge, left: Left, now: datetime) -> RefusedError:
    """Return the refusal, with the time of day at which the count begins anew."""
    return RefusedError(
        "QUOTA_EXCEEDED",
        "the learners about whom this node answers the peer in one day are used up.",
        details={
            "learnersPerDayMax": str(left.allowance.learners_per_day),
            "learnersLeft": str(max(0, left.learners)),
            "resetTime": charge.resets.isoformat(timespec="seconds"),
        },
        retry_after_s=max(1.0, (charge.resets - now).total_seconds()),
    )


class KnownUse:
    """What was used when this process last looked: it only grows, so it refuses without looking again."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: dict[tuple[str, str], Use] = {}

    def note(self, day: str, peer: str, use: Use) -> None:
        """Remember what the database said."""
        with self._lock:
            self._known.pop((day, peer), None)
            self._known[(day, peer)] = use
            while len(self._known) > DAYS_KNOWN_MAX:
                self._known.pop(next(iter(self._known)))

    def require_left(self, charge: Charge, now: datetime) -> None:
        """Return unless it is known that the quota is used up; the transaction decides the rest.

        Raises:
            RefusedError: ``QUOTA_EXCEEDED``.
        """
        with self._lock:
            use = self._known.get((charge.day, charge.peer), {})
        left = left_for(charge, use)
        if left.learners < charge.learners:
            raise quota_exceeded(charge, left, now)


def without_overdrawn(
    transaction: Transaction,
    appends: list[tuple[int, PendingEntry]],
    outcomes: list[Any],
    known: KnownUse,
    now: datetime,
) -> list[tuple[int, PendingEntry]]:
    """Return ``appends`` without those that go beyond a quota, and count the others.

    The log's writers must be excluded meanwhile.
    """
    if all(item.charge is None for _, item in appends):
        return appends
    uses: dict[tuple[str, str], Counter[str]] = {}
    added: Counter[tuple[str, str, str]] = Counter()
    kept = []
    for at, item in appends:
        charge = item.charge
        if charge is not None:
            place = charge.day, charge.peer
            if place not in uses:
                read = quota_rows.read_use(transaction, *place)
                known.note(*place, read)
                uses[place] = Counter(read)
            left = left_for(charge, uses[place])
            if left.learners < charge.learners:
                outcomes[at] = quota_exceeded(charge, left, now)
                continue
            uses[place][charge.purpose] += charge.learners
            added[(*place, charge.purpose)] += charge.learners
        kept.append((at, item))
    quota_rows.add_use(transaction, added)
    return kept


def _used(allowance: Allowance, use: Use) -> int:
    return sum(
        count for purpose, count in use.items() if not allowance.purposes or purpose in allowance.purposes
    )
