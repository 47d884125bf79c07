"""What an answer takes off the asking peer's quota; it is decided where the answer is logged."""

from __future__ import annotations

from datetime import datetime

from gateway.audit import AuditLog
from gateway.exchange.messages import Snapshot
from gateway.policy.purposes import purpose_word
from gateway.policy.quotas import day_at, days_before
from gateway.storage import quota_rows
from gateway.storage.quota_rows import Allowance, Charge

REMEMBERED_DAYS = 35
"""How long the counts of a day are kept, days."""


def charge_of(snapshot: Snapshot, peer: str, purpose: int, learners: int, now: datetime) -> Charge | None:
    """Return the charge for answering ``peer`` about ``learners``; ``None`` where no quota counts it."""
    access, word = snapshot.access, purpose_word(purpose)
    quotas = access.quotas.get(peer, ())
    if not learners or not any(not quota.purposes or word in quota.purposes for quota in quotas):
        return None
    day = day_at(now, access.time_zone)
    allowances = tuple(Allowance(quota.purposes, quota.learners_per_day) for quota in quotas)
    return Charge(day.name, peer, word, learners, allowances, day.ends)


def forget_use(log: AuditLog, now: datetime) -> None:
    """Forget the counts of days long past. Raises ``RefusedError``: ``AUDIT_UNAVAILABLE``."""
    before = days_before(now, REMEMBERED_DAYS)
    log.transact(lambda transaction: quota_rows.delete_use(transaction, before))
