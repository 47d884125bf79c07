"""The log that the identity pretends to have: any size, always the same leaves, so that runs agree."""

from __future__ import annotations

from hashlib import sha256

from gateway.audit import Checkpoint, tree_root
from gateway.audit.merkle import consistency_proof, leaf_hash, node_hash
from gateway.conformance.identity import Identity


def head(identity: Identity, size: int) -> str:
    """Return the signed checkpoint of the first ``size`` entries."""
    return Checkpoint(identity.card.log_origin, size, tree_root(map(_leaf, range(size)))).sign(
        [identity.log_signer]
    )


def forked_head(identity: Identity, size: int) -> str:
    """Return a signed checkpoint of ``size`` entries of which the last is another."""
    leaves = [*map(_leaf, range(size - 1)), b"another history"]
    return Checkpoint(identity.card.log_origin, size, tree_root(leaves)).sign([identity.log_signer])


def proof(old_size: int, new_size: int) -> list[bytes]:
    """Return the consistency proof from ``old_size`` to ``new_size``; none from nothing."""
    return consistency_proof(old_size, new_size, _node_at) if 0 < old_size < new_size else []


def _leaf(index: int) -> bytes:
    return sha256(b"conformance" + index.to_bytes(8, "big")).digest()


def _node_at(level: int, index: int) -> bytes:
    if level == 0:
        return leaf_hash(_leaf(index))
    return node_hash(_node_at(level - 1, 2 * index), _node_at(level - 1, 2 * index + 1))
