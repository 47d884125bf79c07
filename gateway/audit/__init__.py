"""The append-only Merkle log of exchanges: entries, tree, checkpoints, receipts, verification."""

from gateway.audit.answered import StoredExchange
from gateway.audit.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint
from gateway.audit.entry import (
    Entry,
    EntryDraft,
    EntryError,
    PeerCheckpoint,
    PeerReceipt,
    leaf_bytes,
    management_entry,
    parse_leaf,
    rebuild_leaf,
)
from gateway.audit.evidence import Evidence, EvidenceError, SubjectEvidence, serialised_openings
from gateway.audit.group import NewEntry, SeenMessage
from gateway.audit.heard import HeardHeads
from gateway.audit.log import Appended, AuditLog
from gateway.audit.merkle import (
    EMPTY_ROOT,
    ProofError,
    leaf_hash,
    node_hash,
    tree_root,
    verify_consistency,
    verify_inclusion,
)
from gateway.audit.proofs import prove_consistency, prove_inclusion, stored_root
from gateway.audit.receipt import verify_receipt
from gateway.audit.self_check import verify_log
from gateway.audit.verify import VerifyReport
from gateway.audit.witness import Conflict, Witness

__all__ = [
    "EMPTY_ROOT",
    "Appended",
    "AuditLog",
    "Checkpoint",
    "Conflict",
    "Entry",
    "EntryDraft",
    "EntryError",
    "Evidence",
    "EvidenceError",
    "HeardHeads",
    "NewEntry",
    "PeerCheckpoint",
    "PeerReceipt",
    "ProofError",
    "SeenMessage",
    "StoredExchange",
    "SubjectEvidence",
    "VerifyReport",
    "Witness",
    "leaf_bytes",
    "leaf_hash",
    "management_entry",
    "node_hash",
    "open_checkpoint",
    "parse_checkpoint",
    "parse_leaf",
    "prove_consistency",
    "prove_inclusion",
    "rebuild_leaf",
    "serialised_openings",
    "stored_root",
    "tree_root",
    "verify_consistency",
    "verify_inclusion",
    "verify_log",
    "verify_receipt",
]
