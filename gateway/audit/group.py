"""One group of entries on its way into the log: what waits, what is dropped, what is written.

Everything here runs inside the one transaction of the group.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.audit.entry import EntryDraft
from gateway.audit.evidence import Evidence
from gateway.audit.growth import Growth
from gateway.audit.one_answer import find_second_answers
from gateway.clock import unix_ms
from gateway.errors import GatewayError, RefusedError
from gateway.storage import audit_rows, evidence_rows, message_ids
from gateway.storage.evidence_rows import SealedPart
from gateway.storage.node_tables import Transaction
from gateway.storage.quota_rows import Charge

ENTRY_OVERHEAD_BYTES = 1_024
"""What an entry adds to its transaction beside its evidence: leaf, nodes, ids."""
RETRY_AFTER_S = 5.0
"""When a caller may try again after the log could not be written, seconds."""
SECOND_ANSWER_RETRY_S = 0.5
"""When a retry that was too early to find the first answer may come again, seconds."""


@dataclass(frozen=True, slots=True)
class SeenMessage:
    """A message id that must never be accepted again, and when time alone refuses it."""

    message_id: bytes
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class NewEntry:
    """One entry as a caller hands it over."""

    draft: EntryDraft
    seen: SeenMessage | None = None
    """What goes into the replay guard with it."""
    evidence: Evidence | None = None
    """What is kept beside it."""
    beside: Callable[[Transaction], None] | None = None
    """Something else that is written in the same transaction, if the entry is."""
    charge: Charge | None = None
    """What the entry takes off a peer's quota; beyond that it is refused."""


@dataclass(frozen=True, slots=True)
class PendingEntry(NewEntry):
    """One entry on its way into a group. Openings are encrypted already."""

    parts: Sequence[tuple[SealedPart, tuple[bytes, ...]]] = ()
    """Encrypted openings, each with the references of whom it is about."""

    @property
    def size_bytes(self) -> int:
        """What the entry adds to its transaction, about."""
        signed = self.evidence.signed_row.size_bytes if self.evidence is not None else 0
        return ENTRY_OVERHEAD_BYTES + signed + sum(len(part.ciphertext) for part, _ in self.parts)


@dataclass(frozen=True, slots=True)
class Work:
    """Something that is written without an entry."""

    run: Callable[[Transaction], Any]


@dataclass(frozen=True, slots=True)
class Placed:
    """An entry's place in a group that was committed."""

    growth: Growth
    note: str
    position: int
    proof: list[bytes]


NOTHING = Work(lambda _transaction: None)
"""Stands in the place of an entry that was refused already; nobody runs it."""


def unavailable(error: GatewayError) -> RefusedError:
    """Return the refusal for a caller; each caller gets an exception of its own.

    It may go to a peer, who has no business in our disks: what happened is the cause, not the text.
    """
    refused = RefusedError(
        "AUDIT_UNAVAILABLE", "the exchange could not be logged durably.", retry_after_s=RETRY_AFTER_S
    )
    refused.__cause__ = error
    return refused


def without_entries(
    items: Sequence[PendingEntry | Work], outcomes: list[Any], why: GatewayError
) -> Sequence[PendingEntry | Work]:
    """Refuse every entry of a group because the log was halted; other work is done all the same."""
    for at, item in enumerate(items):
        if isinstance(item, PendingEntry):
            outcomes[at] = unavailable(why)
    return [item if isinstance(item, Work) else NOTHING for item in items]


def without_replays(
    transaction: Transaction, items: Sequence[PendingEntry | Work], outcomes: list[Any]
) -> list[tuple[int, PendingEntry]]:
    """Return the entries to append with their places in ``items``; refuse the replayed ones."""
    first: dict[bytes, int] = {}
    for item in items:
        if isinstance(item, PendingEntry) and item.seen is not None:
            first.setdefault(item.seen.message_id, unix_ms(item.seen.expires_at))
    new = message_ids.insert_new_ids(transaction, list(first.items()))
    kept = []
    for at, item in enumerate(items):
        if not isinstance(item, PendingEntry):
            continue
        if item.seen is not None:
            if item.seen.message_id not in new:
                outcomes[at] = RefusedError("REPLAYED_MESSAGE", "this message id was seen before.")
                continue
            new.remove(item.seen.message_id)
        kept.append((at, item))
    return kept


def without_second_answers(
    transaction: Transaction, appends: list[tuple[int, PendingEntry]], outcomes: list[Any]
) -> list[tuple[int, PendingEntry]]:
    """Return ``appends`` without answers to exchanges that another message got answered meanwhile."""
    second = find_second_answers(transaction, [item.draft for _, item in appends])
    for position in second:
        outcomes[appends[position][0]] = RefusedError(
            "AUDIT_UNAVAILABLE",
            "another message of this exchange was answered meanwhile: send it again.",
            retry_after_s=SECOND_ANSWER_RETRY_S,
        )
    return [append for position, append in enumerate(appends) if position not in second]


def insert_growth(transaction: Transaction, growth: Growth, drafts: Sequence[EntryDraft]) -> None:
    """Insert the entries and the nodes by which the tree grows."""
    start, logged_at = growth.before.size, growth.logged_at_ms
    rows = [
        (start + at, leaf, hashed, draft.exchange_id, draft.other_node, logged_at)
        for at, (leaf, hashed, draft) in enumerate(
            zip(growth.leaves, growth.leaf_hashes, drafts, strict=True)
        )
    ]
    audit_rows.insert_entries(transaction, rows)
    hashes = [hashed for _, _, hashed in growth.nodes]
    audit_rows.insert_nodes(transaction, start - start.bit_count(), hashes)


def insert_evidence(transaction: Transaction, start: int, items: Sequence[PendingEntry]) -> None:
    """Insert what the entries from index ``start`` on leave behind beside their leaves."""
    numbered = list(enumerate(items, start))
    evidence_rows.insert_evidence(
        transaction,
        signed=[(index, item.evidence.signed_row) for index, item in numbered if item.evidence is not None],
        parts=[(index, part) for index, item in numbered for part, _ in item.parts],
        subjects=[
            (ref, index, part.part, part.expires_at)
            for index, item in numbered
            for part, refs in item.parts
            for ref in refs
        ],
    )
