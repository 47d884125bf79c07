"""Finds out who was given a record that has changed since, and queues a notice for each.

The registry notes each change in the transaction that makes it; here it becomes notices, and only when
those are durable it is forgotten there. A crash in between queues the same notices again, under the
same ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256

from creditexchange.v1.change_pb2 import ChangeNoticeBody, RecordChange
from creditexchange.v1.record_pb2 import LearningRecord
from gateway.audit import AuditLog
from gateway.clock import ID_BYTES, Clock, from_unix_ms, unix_ms
from gateway.errors import GatewayError
from gateway.exchange.given_records import Given, given_before
from gateway.exchange.messages import NOTIFY_CHANGE
from gateway.records.registry import ChangedRecord, Registry
from gateway.storage import notice_rows
from gateway.storage.node_tables import Transaction
from gateway.storage.notice_rows import NoticeRow
from gateway.telemetry.events import logger

CHANGES_AT_ONCE = 200
"""Changes of one transaction."""
BATCHES_A_ROUND = 50
GIVEN_A_NOTICE = 1_000
"""Most exchanges that one notice names."""

_log = logger("changes")


@dataclass(frozen=True)
class RecordChanges:
    """What is needed to turn changes into notices."""

    log: AuditLog
    registry: Registry
    clock: Clock
    also: Callable[[Sequence[ChangedRecord]], None] = lambda _changes: None
    """Told of each batch before it is forgotten; an error leaves it for the next round."""

    def round(self) -> int:
        """Queue notices of what has changed; return how many. What fails is tried again the next time."""
        queued = 0
        try:
            for _ in range(BATCHES_A_ROUND):
                changes = self.registry.changes(CHANGES_AT_ONCE)
                if not changes:
                    break
                queued += self._queue(changes)
        except GatewayError as error:
            _log.warning("changed records wait", problem=str(error.__cause__ or error))
        if queued:
            _log.info("peers are told of changed records", notices=queued)
        return queued

    def _queue(self, changes: Sequence[ChangedRecord]) -> int:
        with self.log.reading() as connection:
            notices = [
                notice
                for change in changes
                for notice in _notices(
                    change,
                    self._given_before(connection, change),
                )
            ]
        if notices:
            now_ms = unix_ms(self.clock())
            self.log.transact(partial(notice_rows.insert_notices, notices=notices, now_ms=now_ms))
        self.also(changes)
        self.registry.forget_changes(changes[-1].change_id)
        return len(notices)

    def _given_before(self, connection: Transaction, change: ChangedRecord) -> Mapping[str, Sequence[Given]]:
        """Return who was given the record, under whichever epoch it was asked for."""
        tokens = self.registry.tokens_of(change.subject_token)
        return _merged(given_before(connection, self.log.vault, token, change.translated) for token in tokens)


def _merged(found: Iterable[Mapping[str, Sequence[Given]]]) -> dict[str, list[Given]]:
    merged: dict[str, list[Given]] = {}
    for given in found:
        for peer, each in given.items():
            merged.setdefault(peer, []).extend(each)
    return merged


def _notices(change: ChangedRecord, given: Mapping[str, Sequence[Given]]) -> list[NoticeRow]:
    return [
        _notice(change, peer, at, each[at : at + GIVEN_A_NOTICE])
        for peer, each in sorted(given.items())
        for at in range(0, len(each), GIVEN_A_NOTICE)
    ]


def _notice(change: ChangedRecord, peer: str, at: int, given: Sequence[Given]) -> NoticeRow:
    """Return the notice to ``peer``; made again of the same change, it has the same id."""
    name = f"{change.change_id} {change.changed_at} {change.record_id} {at} {peer}"
    body = ChangeNoticeBody(notice_id=sha256(f"change {name}".encode()).digest()[:ID_BYTES])
    state = LearningRecord.FromString(change.translated).status.state
    for exchange_id, commitment in given:
        each = RecordChange(exchange_id=exchange_id, commitment=commitment, state=state)
        each.change_time.FromDatetime(from_unix_ms(change.changed_at))
        body.changes.append(each)
    return NoticeRow(body.notice_id, NOTIFY_CHANGE, peer, body.SerializeToString())
