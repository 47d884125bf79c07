"""Since when the replay guard is complete, and the fence before which messages are refused.

A store that is younger than the node's keys, or that was put back from a copy, cannot know which
messages were accepted before it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from gateway.clock import from_unix_ms, unix_ms
from gateway.storage import message_ids
from gateway.storage.engine import writing
from gateway.storage.node_tables import Database, Transaction

GUARD_SINCE = "replay_guard_since"
"""Fact: since when every accepted message id is in this store."""
FENCE_UNTIL = "replay_fence_until"
"""Fact: messages issued before this instant are refused."""


def is_guard_marked(transaction: Transaction) -> bool:
    """Whether the store knows since when its replay guard is complete."""
    return message_ids.get_fact(transaction, GUARD_SINCE) is not None


def read_fence(transaction: Transaction) -> datetime | None:
    """Return the instant before which messages were issued that are refused, if any."""
    fence = message_ids.get_fact(transaction, FENCE_UNTIL)
    return from_unix_ms(int(fence)) if fence is not None else None


def raise_fence(engine: Database, now: datetime, skew_s: float) -> None:
    """Refuse messages issued before ``now`` plus ``skew_s``: the store was put back from a copy.

    Raises:
        StorageError: the database cannot be written.
    """
    with writing(engine) as transaction:
        mark_guard(transaction, now, skew_s)


def mark_guard(transaction: Transaction, now: datetime, fence_s: float | None) -> None:
    """Note since when the replay guard is complete, and what it fences off."""
    message_ids.put_fact(transaction, GUARD_SINCE, str(unix_ms(now)))
    if fence_s is not None:
        message_ids.put_fact(transaction, FENCE_UNTIL, str(unix_ms(now + timedelta(seconds=fence_s))))
