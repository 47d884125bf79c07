"""Replaces the evidence key: every data key is wrapped anew, every learner's reference made anew.

The openings themselves are not touched. It goes in small transactions and is resumed by running it
again: what is done is told by the key id beside each data key.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.audit.commitment import SUBJECT_TOKEN
from gateway.audit.entry import management_entry, parse_leaf
from gateway.audit.log import AuditLog
from gateway.storage import evidence_rows
from gateway.storage.evidence_rows import SealedPart
from gateway.storage.node_tables import Transaction

PARTS_AT_ONCE = 500


def rotate_evidence_key(
    log: AuditLog, progress: Callable[[int, int], None] = lambda *_: None, *, is_noted: bool = True
) -> int:
    """Wrap every data key by the log's evidence key; return how many another one had wrapped.

    ``log`` was opened with the new key and the previous one. The entry about it comes last,
    unless it stands there already (``is_noted``).

    Raises:
        EvidenceError: a data key is wrapped by neither key, or openings do not decrypt.
        RefusedError: ``AUDIT_UNAVAILABLE``.
    """
    key_id = log.vault.key_id
    with log.reading() as connection:
        total = evidence_rows.count_wrapped_otherwise(connection, key_id)
    done = 0
    touched: set[int] = set()
    while True:
        with log.reading() as connection:
            parts = evidence_rows.read_parts_wrapped_otherwise(connection, key_id, PARTS_AT_ONCE)
        if not parts:
            break
        changes = [_rewrapped(log, index, leaf, sealed) for index, leaf, sealed in parts]

        def write(transaction: Transaction, changes: list[_Change] = changes) -> None:
            for place, wrapped, refs in changes:
                evidence_rows.put_rewrapped(transaction, place, wrapped, key_id, refs)

        log.transact(write)
        done += len(parts)
        touched.update(sealed.expires_at for _, _, sealed in parts)
        progress(done, total)
    if is_noted:
        log.append(management_entry("key-change", reason="evidence-key", count=done))
    log.scrub(touched)
    return done


_Change = tuple[tuple[int, int], bytes, list[bytes]]


def _rewrapped(log: AuditLog, index: int, leaf: bytes, sealed: SealedPart) -> _Change:
    openings = log.vault.open(parse_leaf(leaf).draft, sealed)
    tokens = [opening.item for opening in openings.request if opening.item_type == SUBJECT_TOKEN]
    refs = [log.vault.subject_ref(token) for token in dict.fromkeys(tokens)]
    return (index, sealed.part), log.vault.rewrap(sealed), refs
