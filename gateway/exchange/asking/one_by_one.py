"""Ask one peer after the other, the likeliest first, and none after the first that holds something.

Asking all at once is faster; this tells fewer nodes that somebody asks about this learner.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from gateway.audit import AuditLog, parse_leaf
from gateway.exchange.asking.ask import ask_each, gather
from gateway.exchange.asking.ask_peer import Asking
from gateway.exchange.asking.question import OK, Archive, PeerResult, Progress, Question
from gateway.exchange.forms import LONE_FORMS
from gateway.exchange.messages import Snapshot
from gateway.peers.roster import Peer
from gateway.storage import audit_rows

NOT_ASKED = "NOT_ASKED"
"""Outcome of a peer that did not have to be asked."""
ENTRIES_COUNTED = 500
"""How many of the newest exchanges with a peer its share of finds is taken from."""


@dataclass(frozen=True, slots=True)
class Finds:
    """How often a peer held something when this node asked it lately."""

    asked: int
    found: int

    @property
    def share(self) -> float:
        """Expected share of finds; a peer that was never asked stands in the middle (rule of succession)."""
        return (self.found + 1) / (self.asked + 2)


def ask_until_found(question: Question, snapshot: Snapshot, node: Asking) -> Archive:
    """Ask in the order of :func:`by_likelihood` until a peer holds something; raises as ``ask``."""
    news = ask_each_until_found(question, snapshot, node)
    return gather([item for item in news if isinstance(item, PeerResult)], snapshot, node)


def ask_each_until_found(
    question: Question, snapshot: Snapshot, node: Asking
) -> Iterator[Progress | PeerResult]:
    """Yield how asking goes on, and each peer's result, also of those that did not have to be asked."""
    text = "an earlier peer held something, so this one was not told whom it is about."
    has_found = False
    for peer in by_likelihood(question.peers, node.log):
        if has_found:
            yield PeerResult(peer.node_id, NOT_ASKED, text, b"", 0.0)
            continue
        for item in ask_each(replace(question, peers=(peer,)), snapshot, node):
            has_found = has_found or (isinstance(item, PeerResult) and item.count > 0)
            yield item


def by_likelihood(peers: Sequence[Peer], log: AuditLog) -> list[Peer]:
    """Return ``peers``, those first that most often held something; equal ones by their id."""
    return sorted(peers, key=lambda peer: (-count_finds(peer.node_id, log).share, peer.node_id))


def count_finds(node_id: str, log: AuditLog) -> Finds:
    """Return how often the peer held something, counted from the newest entries of the own log.

    Raises:
        StorageError: the database cannot be read.
    """
    with log.reading() as connection:
        rows = audit_rows.read_latest_with(connection, node_id, ENTRIES_COUNTED)
    drafts = (parse_leaf(row.leaf).draft for row in rows)
    counts = [
        draft.count
        for draft in drafts
        if draft.role == "asker" and draft.outcome == OK and draft.method in LONE_FORMS
    ]
    return Finds(len(counts), sum(count > 0 for count in counts))
