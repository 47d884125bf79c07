"""Proofs out of the stored tree: O(log n) hashes are read, nothing is recomputed from the start.

Every proof is verified before it is given away: a cache or disk that lies is noticed here, by us,
and not by the one who asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from gateway.audit.merkle import (
    EMPTY_ROOT,
    NodeAt,
    ProofError,
    consistency_proof,
    edge_nodes,
    inclusion_proof,
    root_from_edge,
    verify_consistency,
    verify_inclusion,
)
from gateway.errors import AuditLogError
from gateway.storage import audit_rows
from gateway.storage.node_tables import Transaction


def stored_root(transaction: Transaction, size: int) -> bytes:
    """Return the RFC 6962 root of the first ``size`` entries.

    Raises:
        AuditLogError: a node is missing.
    """
    return root_from_edge(stored_edge(transaction, size)) if size else EMPTY_ROOT


def stored_edge(transaction: Transaction, size: int) -> tuple[bytes, ...]:
    """Return the hashes at the right edge of the tree of the first ``size`` entries, left to right.

    Raises:
        AuditLogError: a node is missing.
    """
    node_at = _node_at(transaction)
    return tuple(node_at(level, index) for level, index in edge_nodes(size))


def prove_inclusion(transaction: Transaction, index: int, size: int) -> list[bytes]:
    """Return the inclusion proof of entry ``index`` in the tree of ``size`` entries (RFC 6962, 2.1.1).

    Raises:
        ProofError: there is no such entry in a tree of that size.
        AuditLogError: the stored tree does not agree with itself.
    """
    node_at = _node_at(transaction)
    proof = inclusion_proof(index, size, node_at)
    with _sound():
        verify_inclusion(node_at(0, index), index, size, proof, stored_root(transaction, size))
    return proof


def prove_consistency(transaction: Transaction, old_size: int, size: int) -> list[bytes]:
    """Return the proof that the tree of ``size`` entries begins with that of ``old_size`` (2.1.2).

    From 0 there is nothing to prove: the proof is empty.

    Raises:
        ProofError: ``old_size`` is larger than ``size``.
        AuditLogError: the stored tree does not agree with itself.
    """
    if old_size == 0:
        return []
    proof = consistency_proof(old_size, size, _node_at(transaction))
    with _sound():
        old_root, root = stored_root(transaction, old_size), stored_root(transaction, size)
        verify_consistency(old_size, size, old_root, root, proof)
    return proof


def verify_growth(old: tuple[int, bytes], new: tuple[int, bytes], proof: Sequence[bytes]) -> None:
    """Return if ``proof`` shows that head ``new`` (size, root) continues ``old``; size 0 needs none.

    Raises:
        ProofError: it does not.
    """
    if old[0] == 0:
        if proof or old[1] != EMPTY_ROOT:
            raise ProofError("an empty log has the empty root and needs no proof.")
        return
    verify_consistency(old[0], new[0], old[1], new[1], proof)


def _node_at(transaction: Transaction) -> NodeAt:
    def node_at(level: int, index: int) -> bytes:
        found = audit_rows.read_hash(transaction, level, index)
        if found is None:
            raise altered(f"node {index} of level {level} is missing.")
        return found

    return node_at


@contextmanager
def _sound() -> Iterator[None]:
    try:
        yield
    except ProofError as error:
        raise altered("its nodes do not lead to one root.") from error


def altered(what: str) -> AuditLogError:
    """Return the error that says the stored log was altered outside the gateway."""
    return AuditLogError(
        f"the audit log does not agree with itself: {what}",
        remedy="Nothing was appended. Run `credit-gateway audit verify`, and keep the database as it is.",
    )
