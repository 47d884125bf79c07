"""What requests to the ArchiveService name, and results as its messages."""

from __future__ import annotations

from creditexchange.v1 import archive_pb2
from gateway.errors import CallerError
from gateway.exchange.asking.question import ArchiveEntry, PeerResult
from gateway.exchange.messages import Snapshot
from gateway.peers.roster import Peer
from gateway.policy.purposes import KINDS, LEGAL_BASES, PURPOSES


def require_purpose(purpose: int, legal_basis: int) -> None:
    """Return if both are on their lists. Raises ``CallerError`` naming the known ones."""
    if purpose not in PURPOSES.values():
        raise CallerError("purpose: it is needed.", remedy=f"Use one of: {', '.join(PURPOSES)}.")
    if legal_basis not in LEGAL_BASES.values():
        raise CallerError("legal_basis: it is needed.", remedy=f"Use one of: {', '.join(LEGAL_BASES)}.")


def kinds_of(asked: list[int]) -> tuple[int, ...]:
    """Return the asked kinds, each once; every kind when none is named. Raises ``CallerError``."""
    kinds: tuple[int, ...] = tuple(dict.fromkeys(asked)) or tuple(KINDS.values())
    if not set(KINDS.values()).issuperset(kinds):
        raise CallerError("kinds: one is unknown.", remedy=f"Use some of: {', '.join(KINDS)}.")
    return kinds


def peers_of(names: list[str], snapshot: Snapshot) -> tuple[Peer, ...]:
    """Return the named peers, all active ones when none is named."""
    known = snapshot.roster.peers
    if not names:
        return tuple(known.values())
    unknown = [name for name in names if name not in known]
    if unknown:
        raise CallerError(
            f"unknown peer {unknown[0][:32]!r}.",
            remedy=f"Known peers: {', '.join(known) or 'none; add one with `credit-gateway peers add`'}.",
        )
    return tuple(known[name] for name in dict.fromkeys(names))


def peer_message(result: PeerResult) -> archive_pb2.PeerResult:
    """Return what one peer gave, or why it gave nothing, as a message."""
    return archive_pb2.PeerResult(
        node_id=result.node_id,
        outcome=result.outcome,
        explanation=result.explanation,
        record_count=result.count,
        elapsed_ms=round(result.elapsed_s * 1000),
        exchange_id=result.exchange_id,
        peer_leaf_index=result.leaf_index,
        receipt_verified=result.receipt_verified,
    )


def record_message(entry: ArchiveEntry) -> archive_pb2.ArchiveRecord:
    """Return one record of an archive as a message."""
    return archive_pb2.ArchiveRecord(
        record=entry.record,
        local=entry.local,
        provenance=[
            archive_pb2.Provenance(node_id=p.node_id, signed_by=p.signed_by, exchange_id=p.exchange_id)
            for p in entry.provenance
        ],
    )
