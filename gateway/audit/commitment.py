"""Commitments are signed, openings travel beside them (docs/protocol.md, "Commitments").

An item that says something about a person is committed to by HMAC-SHA-256 under its own random
key. Signed bytes hold only the RFC 6962 root over the commitments, so one item can be erased or
shown alone while every signature, digest and proof stays valid.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable, Sequence

from creditexchange.v1.envelope_pb2 import Opening
from gateway.audit.merkle import append, inclusion_proof, leaf_hash, root_from_edge, tree_root
from gateway.errors import EnvelopeError

CONTEXT = b"credit-exchange/item/v1\n"
KEY_BYTES = 32

SUBJECT_TOKEN = "subject-token"  # noqa: S105 - a type of item, not a secret
RECORD = "record"
CONSENT = "consent"
CERTIFICATE = "certificate"
LEARNING_CODE = "learning-code"


def _prefix(item_type: str) -> bytes:
    return CONTEXT + item_type.encode() + b"\x00"


_PREFIXES = {type_: _prefix(type_) for type_ in (SUBJECT_TOKEN, RECORD, CONSENT, CERTIFICATE)}


def commitment(opening: Opening) -> bytes:
    """Return HMAC-SHA-256(key, context || item type || 0x00 || item), 32 bytes.

    Raises:
        EnvelopeError: ``MALFORMED_MESSAGE`` when the key is not 32 bytes long.
    """
    key = opening.key
    if len(key) != KEY_BYTES:
        raise EnvelopeError("MALFORMED_MESSAGE", "an opening's key is not 32 bytes.", field="openings")
    type_ = opening.item_type
    prefix = _PREFIXES.get(type_) or _prefix(type_)
    # Not hmac.digest: it gives up the interpreter's lock each time, and under load another thread takes it.
    return hmac.new(key, prefix + opening.item, "sha256").digest()


def open_items(item_type: str, items: Iterable[bytes]) -> list[Opening]:
    """Give each item its own random key."""
    items = list(items)
    keys = secrets.token_bytes(KEY_BYTES * len(items))  # at once: each call is one of the kernel's
    return [
        Opening(item_type=item_type, key=keys[at * KEY_BYTES : (at + 1) * KEY_BYTES], item=item)
        for at, item in enumerate(items)
    ]


def commitments_root(openings: Sequence[Opening]) -> bytes:
    """Return the RFC 6962 root over the commitments of ``openings``; SHA-256 of nothing when empty."""
    return tree_root([commitment(opening) for opening in openings])


def commitment_path(openings: Sequence[Opening], index: int) -> list[bytes]:
    """Return the inclusion proof of one commitment under :func:`commitments_root`.

    Raises:
        ProofError: there is no such opening.
    """
    hashes = [leaf_hash(commitment(opening)) for opening in openings]

    def node_at(level: int, at: int) -> bytes:
        start = at << level
        edge: list[bytes] = []
        for position, hashed in enumerate(hashes[start : start + (1 << level)]):
            append(edge, position, hashed)
        return root_from_edge(edge)

    return inclusion_proof(index, len(openings), node_at)


def require_root(openings: Sequence[Opening], item_type: str, root: bytes) -> None:
    """Return if ``openings`` are all of ``item_type`` and lead to ``root``.

    Raises:
        EnvelopeError: ``COMMITMENT_MISMATCH``.
    """
    if any(opening.item_type != item_type for opening in openings):
        raise EnvelopeError("COMMITMENT_MISMATCH", f"an opening is not of type {item_type}.")
    if not hmac.compare_digest(commitments_root(openings), root):
        raise EnvelopeError("COMMITMENT_MISMATCH", "the openings do not lead to the signed root.")
