"""Closes a log under its name and goes on under a new one.

A log that lost entries which it had signed for cannot go on under its name: whatever it signed next
would contradict what others hold. Under a new name it can: the entries that are left stay, the first
new one says how many were lost, and the old name's last heads remain with their witnesses for ever.
"""

from __future__ import annotations

from datetime import timedelta

from gateway.audit.checkpoint import Checkpoint
from gateway.audit.entry import EntryDraft
from gateway.audit.fence import FENCE_UNTIL
from gateway.audit.group import insert_growth
from gateway.audit.growth import grow
from gateway.audit.start_check import require_sound
from gateway.clock import Clock, unix_ms
from gateway.signing.signed_note import NoteSigner
from gateway.signing.suites import PrivateKey
from gateway.storage import audit_rows, message_ids
from gateway.storage.audit_rows import TreeRow
from gateway.storage.engine import writing
from gateway.storage.node_tables import Database

FENCE_S = 120 + 30
"""The replay guard lost what it had seen: nothing issued before now plus the longest window and
skew is accepted, seconds."""


def rename_log(
    engine: Database,
    origin: str,
    new_origin: str,
    log_key: PrivateKey,
    clock: Clock,
    entry: EntryDraft,
) -> int:
    """Close log ``origin`` and go on as ``new_origin`` with ``entry`` as its first own; return its index.

    Raises:
        AuditLogError: there is no log ``origin``, or it does not agree with itself.
        NoteError: ``new_origin`` cannot be a log's name.
        StorageError: the database cannot be written; nothing was changed.
    """
    signer, new_signer = NoteSigner(origin, log_key), NoteSigner(new_origin, log_key)
    now = clock()
    with writing(engine) as transaction:
        head = require_sound(transaction, origin, signer.verifier)
        audit_rows.rename_log(transaction, origin, new_origin, head.size)
        growth = grow(head, [entry], unix_ms(now))
        growth.proofs()
        insert_growth(transaction, growth, [entry])
        tree = TreeRow(growth.size, growth.root, growth.edge, growth.logged_at_ms)
        audit_rows.update_tree(transaction, new_origin, tree)
        note = Checkpoint(new_origin, growth.size, growth.root).sign([new_signer])
        audit_rows.insert_checkpoint(transaction, growth.size, note)
        fence = unix_ms(now + timedelta(seconds=FENCE_S))
        message_ids.put_fact(transaction, FENCE_UNTIL, str(fence))
    return head.size
