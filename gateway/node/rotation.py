"""Rotates the evidence key: here of a stopped node, and the first step for a running one."""

from __future__ import annotations

import os
from collections.abc import Callable

from gateway.audit.evidence_rotation import rotate_evidence_key
from gateway.clock import Clock, system_clock
from gateway.node.config import load_config
from gateway.node.folder import EVIDENCE_KEY, PREVIOUS_EVIDENCE_KEY, SECRET_BYTES, NodeFolder, load_keys
from gateway.node.lock import node_lock
from gateway.node.stores import audit_log_of
from gateway.signing.key_files import write_secret
from gateway.storage.engine import open_engine
from gateway.storage.leadership import served_by_nobody


def rotate_evidence(
    folder: NodeFolder, progress: Callable[[int, int], None], clock: Clock = system_clock
) -> int:
    """Replace the evidence key by a new one; return how many data keys were wrapped anew.

    Interrupted at any point, it is finished by running it again; until then both keys stay.

    Raises:
        AlreadyRunningError: the node runs, here or on another host.
        OperatorError: a key file or the database cannot be used.
        EvidenceError: openings do not decrypt under either key; nothing of them was changed.
    """
    config = load_config(folder.root)
    database = open_engine(folder.database_url(config.database.url))
    try:
        with node_lock(folder), served_by_nobody(database):
            begin_evidence(folder)
            keys = load_keys(folder, config)
            with audit_log_of(folder, config, keys, clock) as log:
                done = rotate_evidence_key(log, progress)
            folder.key(PREVIOUS_EVIDENCE_KEY).unlink()
    finally:
        database.dispose()
    return done


def begin_evidence(folder: NodeFolder) -> None:
    """Put a new key in place and keep the old one as the previous; finish what was begun.

    At every moment both files are whole: a running node may read them at any time.
    """
    present, previous = folder.key(EVIDENCE_KEY), folder.key(PREVIOUS_EVIDENCE_KEY)
    fresh = folder.key(f"{EVIDENCE_KEY}.new")
    if previous.exists() and not present.exists():
        os.link(previous, present)
    if previous.exists() and previous.read_bytes() != present.read_bytes():
        fresh.unlink(missing_ok=True)
        return
    fresh.unlink(missing_ok=True)
    write_secret(fresh, os.urandom(SECRET_BYTES))
    if not previous.exists():
        os.link(present, previous)
    fresh.replace(present)
