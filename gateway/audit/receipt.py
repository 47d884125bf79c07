"""Receipts: the proof, inside every answer, that the exchange stands in the answerer's log."""

from __future__ import annotations

from creditexchange.v1.envelope_pb2 import Receipt
from gateway.audit.checkpoint import open_checkpoint
from gateway.audit.entry import EntryDraft, PeerCheckpoint, rebuild_leaf
from gateway.audit.merkle import ProofError, leaf_hash, verify_inclusion
from gateway.signing.signed_note import NoteVerifier, Verifiers, all_verifiers


def verify_receipt(answered: EntryDraft, receipt: Receipt, verifier_key: str | Verifiers) -> PeerCheckpoint:
    """Return the checkpoint to which ``receipt`` leads, after everything about it was checked.

    ``answered`` names the exchange as the asker knows it; ``verifier_key`` is the log's vkey as the
    answerer's card states it, or several keys while one replaces another; their name is the log's
    origin. The answerer's leaf is rebuilt, never taken from the answerer.

    Raises:
        NoteError: the checkpoint is malformed or not signed by that key.
        ProofError: the receipt names another log, or its proof leads elsewhere.
        EntryError: the receipt's time makes no leaf.
    """
    one_or_more = NoteVerifier.from_vkey(verifier_key) if isinstance(verifier_key, str) else verifier_key
    verifiers = all_verifiers(one_or_more)
    if receipt.log_origin != verifiers[0].name:
        raise ProofError("the receipt names another log.")
    checkpoint = open_checkpoint(receipt.checkpoint, receipt.log_origin, verifiers)
    leaf = rebuild_leaf(answered, receipt.logged_at_ms)
    verify_inclusion(
        leaf_hash(leaf), receipt.leaf_index, checkpoint.size, receipt.inclusion_proof, checkpoint.root
    )
    return PeerCheckpoint(checkpoint.size, checkpoint.root)
