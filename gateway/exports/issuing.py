"""Issues the credential of a record: the same content gets the same credential again, with its own status."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from secrets import randbelow
from typing import Any
from uuid import UUID, uuid4

from creditexchange.v1 import record_pb2 as pb
from creditexchange.v1.record_pb2 import LearningRecord
from gateway.audit import AuditLog
from gateway.clock import Clock, from_unix_ms, unix_ms
from gateway.errors import StorageError
from gateway.exchange.asking.question import Provenance
from gateway.exports.credential import achievement_credential
from gateway.exports.issuer import Issuer
from gateway.exports.proof import sign
from gateway.exports.status import (
    LIST_BITS,
    LIST_FILLED_MAX,
    PURPOSES,
    status_entries,
    status_list_credential,
)
from gateway.storage import credential_rows
from gateway.storage.credential_rows import CredentialRow
from gateway.storage.node_tables import Transaction

DRAWS_MAX = 200
"""Draws of a free place: half of a list is free, so that many in vain mean another fault."""


@dataclass(frozen=True, slots=True)
class ChangedState:
    """A record that has changed at its source; ``content`` is what it is now, where that is known."""

    source_node: str
    record_id: str
    state: int
    changed_at_ms: int
    content: LearningRecord | None


@dataclass(frozen=True)
class Credentials:
    """What this node issued, and what became of it."""

    log: AuditLog
    issuer: Issuer
    clock: Clock

    def issue(self, record: LearningRecord, given_by: Sequence[Provenance]) -> dict[str, Any]:
        """Return the signed credential of one record; ``given_by`` is empty for one of the own registry.

        Raises:
            RefusedError: the store cannot be written.
        """
        row = self._row(record, given_by)
        issued = from_unix_ms(row.issued_at // 1000 * 1000)
        status = status_entries(self.issuer, row.list_number, row.list_index)
        credential_id = UUID(bytes=row.credential_id).urn
        unsigned = achievement_credential(record, given_by, self.issuer, credential_id, issued, status)
        return sign(unsigned, self.issuer, issued)

    def status_list(self, purpose: str, number: int) -> dict[str, Any] | None:
        """Return a status list as it stands now; ``None`` when there is no such list.

        Raises:
            StorageError: the store cannot be read.
        """
        with self.log.reading() as connection:
            lists = credential_rows.count_credentials(connection) // LIST_FILLED_MAX + 1
            if purpose not in PURPOSES or not 1 <= number <= lists or not self.issuer.domain:
                return None
            places = credential_rows.places_in_states(connection, number, PURPOSES[purpose])
        return status_list_credential(purpose, number, places, self.issuer, self.clock())

    def note_changes(self, changes: Iterable[ChangedState]) -> int:
        """Take note of what changed at the source; return how many credentials it concerns.

        Raises:
            StorageError, RefusedError: the store cannot be read or written; note it again later.
        """
        found: list[tuple[bytes, int, int]] = []
        with self.log.reading() as connection:
            for change in changes:
                rows = credential_rows.credentials_of(connection, change.source_node, change.record_id)
                found += [
                    (row.credential_id, state, change.changed_at_ms)
                    for row in rows
                    if change.changed_at_ms > row.changed_at
                    and (state := self._state_after(row, change)) != row.state
                ]
        if found:
            self.log.transact(lambda transaction: credential_rows.update_states(transaction, found))
        return len(found)

    def _state_after(self, row: CredentialRow, change: ChangedState) -> int:
        """Return the state of a credential after a change.

        A record that says valid was restored or corrected. Of an own record the content tells which;
        of a peer's record only whether it was valid before: then it was corrected, so what was issued
        says something that no longer holds.
        """
        if row.state in PURPOSES["revocation"]:
            return row.state
        if change.state not in (pb.RECORD_STATE_VALID, pb.RECORD_STATE_UNSPECIFIED):
            return change.state
        if change.content is not None:
            is_same = self._tag(change.content, ()) == row.content_tag
        else:
            is_same = row.state in PURPOSES["suspension"]
        return change.state if is_same else pb.RECORD_STATE_SUPERSEDED

    def _row(self, record: LearningRecord, given_by: Sequence[Provenance]) -> CredentialRow:
        tag = self._tag(record, given_by)
        with self.log.reading() as connection:
            row = credential_rows.find_credential(connection, tag)
        return row or self.log.transact(lambda transaction: self._new_row(transaction, record, tag))

    def _new_row(self, transaction: Transaction, record: LearningRecord, tag: bytes) -> CredentialRow:
        now_ms = unix_ms(self.clock())
        number = credential_rows.count_credentials(transaction) // LIST_FILLED_MAX + 1
        for _ in range(DRAWS_MAX):
            row = CredentialRow(
                uuid4().bytes,
                tag,
                record.source_node,
                record.record_id,
                number,
                randbelow(LIST_BITS),
                now_ms,
                record.status.state,
                now_ms,
            )
            if credential_rows.insert_credential(transaction, row):
                return row
            found = credential_rows.find_credential(transaction, tag)
            if found is not None:
                return found
        raise StorageError("no free place in the status list was found.", remedy="Try again.")

    def _tag(self, record: LearningRecord, given_by: Sequence[Provenance]) -> bytes:
        who = "".join(f"{each.node_id} {each.signed_by}\n" for each in given_by)
        content = who.encode() + record.SerializeToString(deterministic=True)
        return hmac.digest(self.issuer.secret_for("content-tag"), content, "sha256")
