"""Months of evidence: made before they are needed, dropped as a whole when they are over (PostgreSQL)."""

from __future__ import annotations

from functools import partial

from gateway.audit.entry import management_entry
from gateway.audit.evidence import RETENTION_MS
from gateway.audit.log import AuditLog
from gateway.clock import Clock, unix_ms
from gateway.storage import partitions

RETENTION = "retention"


def prepare_months(log: AuditLog, clock: Clock) -> int:
    """Make the partitions in which evidence of the coming months will lie; return how many were missing.

    Each in a transaction of its own, so that no answer waits long.

    Raises:
        RefusedError: ``AUDIT_UNAVAILABLE``.
        StorageError: the database cannot be read.
    """
    with log.reading() as connection:
        missing = partitions.list_missing(connection, unix_ms(clock()) + RETENTION_MS)
    for month in missing:
        log.transact(partial(partitions.make_month, month=month))
    return len(missing)


def drop_months(log: AuditLog, before_ms: int) -> int:
    """Drop the months whose evidence had all expired before ``before_ms``; return how many parts that were.

    Each is an entry of the log, in the transaction that drops it.

    Raises:
        RefusedError: ``AUDIT_UNAVAILABLE``; what was dropped before stays dropped.
        StorageError: the database cannot be read.
    """
    with log.reading() as connection:
        months = partitions.list_over(connection, before_ms)
    total = 0
    for month in months:
        with log.reading() as connection:
            count = partitions.count_parts(connection, month)
        log.append(
            management_entry("erasure", reason=RETENTION, count=count),
            beside=partial(partitions.drop_month, month=month),
        )
        total += count
    return total
