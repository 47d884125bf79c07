"""Keeps the status of issued credentials in step with the records behind them, own ones and peers'."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from creditexchange.v1 import archive_pb2
from creditexchange.v1.record_pb2 import LearningRecord
from gateway.errors import GatewayError
from gateway.exchange.asking.ask_peer import Asking
from gateway.exports.issuing import ChangedState, Credentials
from gateway.records.registry import ChangedRecord
from gateway.rpc.heard_changes import heard_changes_message
from gateway.telemetry.events import logger

PAGES_A_ROUND = 20

_log = logger("credentials")


@dataclass
class CredentialStatus:
    """Takes note of changes; of what nobody took away as a credential nothing is kept."""

    credentials: Callable[[], Credentials | None]
    """What was issued; ``None`` while the node has no key for credentials, and so has issued nothing."""
    asking: Callable[[], Asking]
    heard_until_ms: int = 0
    """Up to here what peers told was looked at; from the beginning again after each start."""

    def note_own(self, changes: Sequence[ChangedRecord]) -> None:
        """Take note of changed records of the registry, before they are forgotten there.

        Raises:
            GatewayError: it cannot be written now; note it again later.
        """
        credentials = self.credentials()
        if credentials is None:
            return
        states = []
        for change in changes:
            record = LearningRecord.FromString(change.translated)
            state = record.status.state
            states.append(
                ChangedState(record.source_node, change.record_id, state, change.changed_at, record)
            )
        _say(credentials.note_changes(states))

    def round(self) -> None:
        """Take note of what peers told of records that they gave. What fails is tried again the next time."""
        try:
            for _ in range(PAGES_A_ROUND):
                if not self._note_heard():
                    return
        except GatewayError as error:
            _log.warning("credentials wait for what peers told", problem=str(error.__cause__ or error))

    def _note_heard(self) -> bool:
        """Take note of one page; return whether there may be more."""
        credentials = self.credentials()
        if credentials is None:
            return False
        request = archive_pb2.ListHeardChangesRequest(since_ms=self.heard_until_ms)
        heard = heard_changes_message(request, self.asking()).changes
        _say(
            credentials.note_changes(
                ChangedState(
                    change.node_id, change.record_id, change.state, change.change_time.ToMilliseconds(), None
                )
                for change in heard
                if change.record_id
            )
        )
        newest = max((change.heard_time.ToMilliseconds() for change in heard), default=0)
        if newest <= self.heard_until_ms:
            return False
        self.heard_until_ms = newest
        return True


def _say(concerned: int) -> None:
    if concerned:
        _log.info("credentials changed their status", credentials=concerned)
