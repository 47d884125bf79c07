"""The Merkle tree of RFC 6962, section 2.1, as pure functions: no I/O, no state.

Names follow the RFC. A *node* ``(level, index)`` is the root of the complete subtree over the
leaves ``index * 2**level`` to ``(index + 1) * 2**level - 1``; level 0 are the leaf hashes. The
*edge* of a tree is the list of its largest complete subtrees from left to right, one for each set
bit of its size: all that is needed to append. Every hash is 32 bytes.

What proves something raises :class:`ProofError`; nothing here returns a boolean.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

from gateway.errors import GatewayError

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()
"""Root of the tree without leaves."""

SIZE_MAX = 2**63 - 1
"""Largest tree that is read; more than any log will hold."""

Node = tuple[int, int]
"""Level and index of a complete subtree."""
NodeAt = Callable[[int, int], bytes]
"""Returns the hash of the complete subtree at (level, index)."""


class ProofError(GatewayError):
    """A Merkle proof, a checkpoint or a receipt does not prove what it should."""


def leaf_hash(entry: bytes) -> bytes:
    """Return SHA-256(0x00 || entry)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return SHA-256(0x01 || left || right)."""
    return sha256(b"\x01" + left + right).digest()


def append(edge: list[bytes], size: int, leaf: bytes) -> list[tuple[int, int, bytes]]:
    """Append the leaf hash ``leaf`` to the tree of ``size`` leaves, changing ``edge`` in place.

    Returns the complete subtrees above level 0 that came into being, as (level, index, hash),
    lowest first; there are as many as ``size`` has trailing one bits.
    """
    made = []
    level, index = 0, size
    while index & 1:
        leaf = sha256(b"\x01" + edge.pop() + leaf).digest()
        level += 1
        index >>= 1
        made.append((level, index, leaf))
    edge.append(leaf)
    return made


def edge_nodes(size: int) -> list[Node]:
    """Return level and index of each member of the edge of a tree of ``size`` leaves, left to right."""
    nodes = []
    start = 0
    for level in range(size.bit_length() - 1, -1, -1):
        if size >> level & 1:
            nodes.append((level, start >> level))
            start += 1 << level
    return nodes


def root_from_edge(edge: Sequence[bytes]) -> bytes:
    """Return the root of the tree that has this edge."""
    if not edge:
        return EMPTY_ROOT
    root = edge[-1]
    for left in reversed(edge[:-1]):
        root = sha256(b"\x01" + left + root).digest()
    return root


def require_edge(edge: Sequence[bytes], size: int) -> None:
    """Return if ``edge`` has the form of the edge of a tree of ``size`` leaves.

    Raises:
        ProofError: a wrong number of hashes, or one that is not 32 bytes long.
    """
    if len(edge) != size.bit_count() or any(len(part) != HASH_BYTES for part in edge):
        raise ProofError(f"this is not the edge of a tree of {size} leaves.")


def tree_root(entries: Iterable[bytes]) -> bytes:
    """Return the RFC 6962 root over ``entries`` (MTH); SHA-256 of nothing when there are none."""
    edge: list[bytes] = []
    for size, entry in enumerate(entries):
        append(edge, size, leaf_hash(entry))
    return root_from_edge(edge)


def inclusion_proof(index: int, size: int, node_at: NodeAt) -> list[bytes]:
    """Return PATH(index, D[size]): from the leaf's sibling up to below the root.

    Asks ``node_at`` for at most 2 log2(size) complete subtrees.

    Raises:
        ProofError: there is no such leaf.
    """
    if not 0 <= index < size:
        raise ProofError(f"a tree of {size} leaves has no leaf {index}.")
    path = []
    start, width = 0, size
    while width > 1:
        level = (width - 1).bit_length() - 1
        half = 1 << level
        if index - start < half:
            path.append(_range_root(start + half, start + width, node_at))
            width = half
        else:
            path.append(node_at(level, start >> level))
            start += half
            width -= half
    path.reverse()
    return path


def consistency_proof(old_size: int, new_size: int, node_at: NodeAt) -> list[bytes]:
    """Return PROOF(old_size, D[new_size]); empty when both sizes are equal.

    Raises:
        ProofError: not 0 < old_size <= new_size. An empty tree is consistent with every tree:
            the caller answers for it without a proof.
    """
    if not 0 < old_size <= new_size:
        raise ProofError(f"there is no consistency proof from size {old_size} to {new_size}.")
    path = []
    start, width, old_width = 0, new_size, old_size
    while width != old_width:
        level = (width - 1).bit_length() - 1
        half = 1 << level
        if old_width <= half:
            path.append(_range_root(start + half, start + width, node_at))
            width = half
        else:
            path.append(node_at(level, start >> level))
            start += half
            width -= half
            old_width -= half
    if start > 0:
        path.append(_range_root(start, start + width, node_at))
    path.reverse()
    return path


def _range_root(start: int, end: int, node_at: NodeAt) -> bytes:
    """Return MTH(D[start:end]); ``start`` is a multiple of the smallest power of two >= its width."""
    parts = []
    while start < end:
        level = (end - start).bit_length() - 1
        parts.append(node_at(level, start >> level))
        start += 1 << level
    return root_from_edge(parts)


def root_from_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """Return the root to which ``proof`` leads from the leaf hash ``leaf`` (RFC 9162, 2.1.3.2).

    Raises:
        ProofError: the proof does not have the form that index and size demand.
    """
    if not 0 <= index < size <= SIZE_MAX:
        raise ProofError(f"a tree of {size} leaves has no leaf {index}.")
    _require_hashes(leaf, *proof)
    fn, sn, root = index, size - 1, leaf
    for part in proof:
        if sn == 0:
            raise ProofError("the inclusion proof is too long.")
        if fn & 1 or fn == sn:
            root = sha256(b"\x01" + part + root).digest()
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            root = sha256(b"\x01" + root + part).digest()
        fn >>= 1
        sn >>= 1
    if sn != 0:
        raise ProofError("the inclusion proof is too short.")
    return root


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Return if ``proof`` shows the leaf hash ``leaf`` at ``index`` of the tree (size, root).

    Raises:
        ProofError: it does not.
    """
    _require_hashes(root)
    if not hmac.compare_digest(root_from_inclusion(leaf, index, size, proof), root):
        raise ProofError("the inclusion proof leads to another root.")


def verify_consistency(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Return if ``proof`` shows that the new tree begins with the old one (RFC 9162, 2.1.4.2).

    Equal sizes need equal roots and an empty proof. Size 0 is refused: the caller decides.

    Raises:
        ProofError: it does not.
    """
    _require_hashes(old_root, new_root, *proof)
    if not 0 < old_size <= new_size <= SIZE_MAX:
        raise ProofError(f"nothing proves a tree of {old_size} leaves inside one of {new_size}.")
    if old_size == new_size:
        if proof or not hmac.compare_digest(old_root, new_root):
            raise ProofError("two trees of one size are not the same.")
        return
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    if not path:
        raise ProofError("the consistency proof is empty.")
    fn, sn = old_size - 1, new_size - 1
    while fn & 1:
        fn >>= 1
        sn >>= 1
    fr = sr = path[0]
    for part in path[1:]:
        if sn == 0:
            raise ProofError("the consistency proof is too long.")
        if fn & 1 or fn == sn:
            fr = node_hash(part, fr)
            sr = node_hash(part, sr)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            sr = node_hash(sr, part)
        fn >>= 1
        sn >>= 1
    if sn != 0:
        raise ProofError("the consistency proof is too short.")
    if not (hmac.compare_digest(fr, old_root) and hmac.compare_digest(sr, new_root)):
        raise ProofError("the consistency proof leads to other roots.")


def _require_hashes(*hashes: bytes) -> None:
    if any(len(part) != HASH_BYTES for part in hashes):
        raise ProofError("a hash is not 32 bytes long.")
