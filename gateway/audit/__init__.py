"""The append-only Merkle log of exchanges: entries, tree, checkpoints, receipts, verification."""

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
from gateway.audit.evidence import Evidence, EvidenceError
from gateway.audit.log import Appended, AuditLog, SeenMessage, StoredExchange
from gateway.audit.merkle import (
    EMPTY_ROOT,
    ProofError,
    leaf_hash,
    node_hash,
    tree_root,
    verify_consistency,
    verify_inclusion,
)
from gateway.audit.receipt import verify_receipt
from gateway.audit.self_check import verify_log
from gateway.audit.verify import VerifyReport

__all__ = [
    "EMPTY_ROOT",
    "Appended",
    "AuditLog",
    "Checkpoint",
    "Entry",
    "EntryDraft",
    "EntryError",
    "Evidence",
    "EvidenceError",
    "PeerCheckpoint",
    "PeerReceipt",
    "ProofError",
    "SeenMessage",
    "StoredExchange",
    "VerifyReport",
    "leaf_bytes",
    "leaf_hash",
    "management_entry",
    "node_hash",
    "open_checkpoint",
    "parse_checkpoint",
    "parse_leaf",
    "rebuild_leaf",
    "tree_root",
    "verify_consistency",
    "verify_inclusion",
    "verify_log",
    "verify_receipt",
]
