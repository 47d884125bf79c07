"""Compares two logs about the same exchanges, entry by entry. Pure: entries in, differences out.

Both sides hold the same exchange id, request digest and answer digest, so a difference is exact, and
each is backed by signed bytes that name the side which must explain it (docs/audit.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gateway.audit.entry import EntryDraft

FindingKind = Literal[
    "only-ours",
    "only-theirs",
    "request-differs",
    "answer-differs",
    "outcome-differs",
    "receipt-differs",
    "sequence-gap",
]
"""What can differ. ``only-…``: the other side has no entry. ``receipt-differs``: the receipt names
another index. ``sequence-gap``: numbers of the pair's sequence are in no entry of the asker."""


LOST = frozenset({"UNREACHABLE", "NO_ANSWER"})
"""Outcomes of an asker whose answer did not arrive, although there may have been one."""


@dataclass(frozen=True, slots=True)
class Placed:
    """An entry and its index in the log it comes from."""

    index: int
    draft: EntryDraft


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference; an index of -1 stands for an entry that is not there."""

    kind: FindingKind
    exchange_id: bytes
    ours: int
    theirs: int
    detail: str


def counterpart_of(theirs: EntryDraft, ours: Sequence[Placed]) -> Placed | None:
    """Return that one of ``ours``, entries of the same exchange, which is about the same message.

    An answerer that refuses a replay has two entries about one message: the one with the same answer
    is meant, or else the first. In bulk each chunk has entries of its own.
    """
    same = [
        entry
        for entry in ours
        if entry.draft.role != theirs.role
        and (entry.draft.request_digest, entry.draft.chunk) == (theirs.request_digest, theirs.chunk)
    ]
    exact = (entry for entry in same if entry.draft.answer_digest == theirs.answer_digest)
    return next(exact, same[0] if same else None)


def compare(theirs: Placed, ours: Sequence[Placed]) -> tuple[int | None, list[Difference]]:
    """Return the index of our counterpart, if there is one, and what differs.

    ``ours`` are all of our entries with the peer that have the exchange id of ``theirs``.
    """
    entry = theirs.draft
    found = counterpart_of(entry, ours)
    if found is not None:
        return found.index, [] if _was_asked_again(theirs, found, ours) else _differences(theirs, found)
    if not must_have_counterpart(entry):
        return None, []
    twin = next(
        (
            o
            for o in ours
            if (o.draft.peer_seq, o.draft.chunk) == (entry.peer_seq, entry.chunk)
            and o.draft.role != entry.role
        ),
        None,
    )
    if twin is not None:
        detail = "the two sides logged different bytes as the request"
        return twin.index, [_difference("request-differs", theirs, twin.index, detail)]
    detail = f"the peer logged {_side_of(entry)} with outcome {entry.outcome}; here is nothing"
    return None, [_difference("only-theirs", theirs, -1, detail)]


def must_have_counterpart(entry: EntryDraft) -> bool:
    """Whether the other side must have an entry about the same message.

    A request that got no answer may never have arrived; a refused replay is about a message whose
    entry has its counterpart already.
    """
    return entry.kind == "exchange" and entry.outcome != "REPLAYED_MESSAGE"


def only_ours(entry: Placed) -> Difference:
    """Return the finding that the peer has nothing about our ``entry``."""
    detail = f"we logged {_side_of(entry.draft)} with outcome {entry.draft.outcome}; the peer has nothing"
    return Difference("only-ours", entry.draft.exchange_id, entry.index, -1, detail)


def _was_asked_again(theirs: Placed, found: Placed, ours: Sequence[Placed]) -> bool:
    """Whether an answer was lost on its way and fetched by another message of its exchange.

    The asker's own log shows that it holds the answer. The answerer's shows a later message that got the
    same one; whether that arrived is the question of that message's own pair.
    """
    answered, lost = (theirs, found) if theirs.draft.role == "answerer" else (found, theirs)
    if lost.draft.kind != "no-answer" or lost.draft.outcome not in LOST or answered.draft.outcome != "OK":
        return False
    return any(
        other.draft.outcome == "OK"
        and other.draft.answer_digest == answered.draft.answer_digest
        and other.draft.role == found.draft.role
        and (found is lost or other.draft.peer_seq > lost.draft.peer_seq)
        for other in ours
    )


def _differences(theirs: Placed, ours: Placed) -> list[Difference]:
    they, we = theirs.draft, ours.draft
    if they.outcome == "REPLAYED_MESSAGE" or we.outcome == "REPLAYED_MESSAGE":
        return []
    found = []
    if (they.purpose, they.method, they.peer_seq) != (we.purpose, we.method, we.peer_seq):
        detail = "purpose, method or sequence number differ"
        found.append(_difference("request-differs", theirs, ours.index, detail))
    if (they.outcome, they.count) != (we.outcome, we.count):
        detail = f"here {we.outcome} with {we.count} records, there {they.outcome} with {they.count}"
        found.append(_difference("outcome-differs", theirs, ours.index, detail))
    elif they.answer_digest and we.answer_digest and they.answer_digest != we.answer_digest:
        detail = "the two sides logged different bytes as the answer"
        found.append(_difference("answer-differs", theirs, ours.index, detail))
    asker, answerer = (theirs, ours) if they.role == "asker" else (ours, theirs)
    receipt = asker.draft.peer_receipt
    if receipt is not None and receipt.index != answerer.index:
        detail = f"the receipt names entry {receipt.index}, the exchange stands at {answerer.index}"
        found.append(_difference("receipt-differs", theirs, ours.index, detail))
    return found


def _difference(kind: FindingKind, theirs: Placed, ours: int, detail: str) -> Difference:
    return Difference(kind, theirs.draft.exchange_id, ours, theirs.index, detail)


def _side_of(entry: EntryDraft) -> str:
    return "an answer" if entry.role == "answerer" else "a question"
