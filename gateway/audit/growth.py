"""How the tree grows by one group of entries. Pure: what is stored and signed comes out as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.audit.entry import EntryDraft, leaf_bytes
from gateway.audit.merkle import (
    EMPTY_ROOT,
    Node,
    append,
    edge_nodes,
    inclusion_proof,
    leaf_hash,
    root_from_edge,
    verify_inclusion,
)


@dataclass(frozen=True, slots=True)
class Head:
    """Where the log stands."""

    size: int = 0
    root: bytes = EMPTY_ROOT
    edge: tuple[bytes, ...] = ()
    logged_at_ms: int = 0
    """Of the newest entry; later entries are never earlier."""
    note: str = ""
    """The signed checkpoint of this size; empty for an empty log."""


@dataclass(frozen=True, slots=True)
class Growth:
    """A group of entries appended to ``before``; nothing of it is stored or signed yet."""

    before: Head
    leaves: tuple[bytes, ...]
    leaf_hashes: tuple[bytes, ...]
    nodes: tuple[tuple[int, int, bytes], ...]
    """New complete subtrees above level 0: (level, index, hash)."""
    edge: tuple[bytes, ...]
    root: bytes
    logged_at_ms: int

    @property
    def size(self) -> int:
        """Size of the grown tree."""
        return self.before.size + len(self.leaves)

    def head(self, note: str) -> Head:
        """Return the head after this growth, with its signed checkpoint."""
        return Head(self.size, self.root, self.edge, self.logged_at_ms, note)

    def proofs(self) -> list[list[bytes]]:
        """Return the inclusion proof of each new entry in the grown tree.

        Only the edge before and the nodes of the group are needed: a sibling to the left that is
        older than the group is a member of that edge. Each leaf is hashed anew and each proof is
        verified, so the root that will be signed was reached by two ways.

        Raises:
            ProofError: the two ways differ; nothing may be signed.
        """
        known: dict[Node, bytes] = dict(zip(edge_nodes(self.before.size), self.before.edge, strict=True))
        known.update(((0, self.before.size + at), value) for at, value in enumerate(self.leaf_hashes))
        known.update(((level, index), value) for level, index, value in self.nodes)
        proofs = []
        size = self.size
        for index, leaf in enumerate(self.leaves, self.before.size):
            proof = inclusion_proof(index, size, lambda level, at: known[level, at])
            verify_inclusion(leaf_hash(leaf), index, size, proof, self.root)
            proofs.append(proof)
        return proofs


def grow(before: Head, drafts: Sequence[EntryDraft], now_ms: int) -> Growth:
    """Append ``drafts`` in order, all logged at ``now_ms`` or, if the clock went back, at the last time."""
    logged_at_ms = max(now_ms, before.logged_at_ms)
    edge = list(before.edge)
    leaves, hashes, nodes = [], [], []
    for index, draft in enumerate(drafts, before.size):
        leaf = leaf_bytes(draft, logged_at_ms)
        hashed = leaf_hash(leaf)
        nodes += append(edge, index, hashed)
        leaves.append(leaf)
        hashes.append(hashed)
    return Growth(
        before=before,
        leaves=tuple(leaves),
        leaf_hashes=tuple(hashes),
        nodes=tuple(nodes),
        edge=tuple(edge),
        root=root_from_edge(edge),
        logged_at_ms=logged_at_ms,
    )
