"""An inclusion proof step by step, for people who want to see it (RFC 9162, 2.1.3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.audit.merkle import ProofError, node_hash, verify_inclusion


@dataclass(frozen=True, slots=True)
class ProofStep:
    """One hash of the path, on which side it stands, and what both make together."""

    sibling: bytes
    is_left: bool
    """Whether the sibling stands left of what was computed so far."""
    result: bytes


def walk_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> list[ProofStep]:
    """Return every step from the leaf hash ``leaf`` to ``root``.

    Raises:
        ProofError: the proof does not lead there.
    """
    verify_inclusion(leaf, index, size, proof, root)
    steps: list[ProofStep] = []
    place, last, result = index, size - 1, leaf
    for sibling in proof:
        is_left = bool(place & 1) or place == last
        result = node_hash(sibling, result) if is_left else node_hash(result, sibling)
        steps.append(ProofStep(sibling, is_left, result))
        while is_left and not place & 1 and place:
            place, last = place >> 1, last >> 1
        place, last = place >> 1, last >> 1
    if result != root:
        raise ProofError("the steps of the proof do not lead to the root.")
    return steps
