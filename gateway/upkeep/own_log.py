"""Does anybody hold a head of this node's own log that the store cannot continue?

A database that was restored from a backup, or exchanged for another, agrees with itself. Only
those outside know better: so peers are asked before anything is appended (docs/audit.md, "Rollback").
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from gateway.audit import AuditLog, ProofError, stored_root
from gateway.audit.checkpoint import Checkpoint, open_checkpoint
from gateway.errors import AuditLogError, PeerFaultError
from gateway.exchange.asking.audit_log import PeerAudit
from gateway.peers.caller import PeerCaller
from gateway.peers.roster import SUSPENDED, Peer
from gateway.signing.signed_note import NoteError

ASK_S = 3.0
"""How long a start waits for each peer, all at once, seconds."""

REMEDY = (
    "Nothing was appended. If a newer copy of the database exists, put it back. If it is lost, run "
    "`credit-gateway audit accept-rollback`: it closes the log under its name and goes on under a new one."
)


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A head that this node has signed and that its store does not continue."""

    checkpoint: Checkpoint
    note: str
    holder: str
    """Node id of who holds it."""
    size: int
    """Entries in the store."""

    @property
    def error(self) -> AuditLogError:
        """The error that keeps the node from serving."""
        return AuditLogError(f"{self.holder} holds a checkpoint of this log {self._what}", remedy=REMEDY)

    @property
    def _what(self) -> str:
        held, here = self.checkpoint.size, self.size
        if held > here:
            return f"of {held} entries, the database has {here}: the last {held - here} are missing here."
        return f"of {held} entries with another root: the database holds another history."


def ask_witnesses(
    peers: Sequence[Peer], caller: PeerCaller, log: AuditLog
) -> tuple[list[Contradiction], list[str]]:
    """Return the contradictions that peers hold, the largest first, and the ids of those who answered."""
    asked = [peer for peer in peers if peer.state != SUSPENDED]
    if not asked:
        return [], []
    with ThreadPoolExecutor(len(asked), "own-log") as pool:
        notes = list(pool.map(lambda peer: _held_by(peer, caller, log.origin), asked))
    answered = [peer.node_id for peer, note in zip(asked, notes, strict=True) if note is not None]
    found = [
        contradiction
        for peer, note in zip(asked, notes, strict=True)
        if note and (contradiction := contradicts(log, note, peer.node_id)) is not None
    ]
    return sorted(found, key=lambda c: (-c.checkpoint.size, c.holder)), sorted(answered)


def contradicts(log: AuditLog, note: str, holder: str) -> Contradiction | None:
    """Return why the stored log does not continue ``note``; ``None`` if it does, or never signed it."""
    try:
        checkpoint = open_checkpoint(note, log.origin, log.verifiers)
    except (NoteError, ProofError):
        return None  # not our signature: the holder's mistake or lie, and no evidence against us
    size = log.refresh()  # another process may have appended it
    with log.reading() as connection:
        if checkpoint.size <= size and stored_root(connection, checkpoint.size) == checkpoint.root:
            return None
    return Contradiction(checkpoint, note, holder, size)


def _held_by(peer: Peer, caller: PeerCaller, origin: str) -> str | None:
    try:
        return PeerAudit(peer, caller, ASK_S).witnessed_checkpoint(origin)
    except PeerFaultError:
        return None
