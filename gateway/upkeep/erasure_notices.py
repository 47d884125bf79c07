"""Tells peers, by signed notice, which exchanges' openings were erased here; until they confirm."""

from __future__ import annotations

from dataclasses import dataclass

from creditexchange.v1.audit_pb2 import (
    ErasureConfirmation,
    ErasureNotice,
    NotifyErasureRequest,
    NotifyErasureResponse,
)
from gateway.audit import AuditLog, management_entry
from gateway.clock import Clock, unix_ms
from gateway.errors import EnvelopeError, PeerFaultError
from gateway.exchange.asking.compose import query_header
from gateway.exchange.asking.verify import require_bound_header
from gateway.exchange.messages import (
    ERASURE_CONFIRMATION_TYPE,
    ERASURE_NOTICE_TYPE,
    NOTIFY_ERASURE,
    Snapshot,
)
from gateway.peers.caller import PeerCaller
from gateway.peers.roster import SUSPENDED, Peer
from gateway.signing.envelope import open_envelope, parse, seal, signed_digest
from gateway.storage import evidence_rows
from gateway.storage.evidence_rows import NoticeRow
from gateway.telemetry.events import logger
from gateway.telemetry.metrics import Metrics

CALL_S = 5.0

_log = logger("erasure")


@dataclass(frozen=True)
class ErasureNotices:
    """What is needed to deliver notices."""

    log: AuditLog
    caller: PeerCaller
    metrics: Metrics
    clock: Clock

    def deliver(self, snapshot: Snapshot) -> int:
        """Try every pending notice once; return how many were confirmed.

        A peer that cannot be reached is tried again the next time; the others get theirs.
        """
        with self.log.reading() as connection:
            pending = evidence_rows.read_pending_notices(connection)
        confirmed = 0
        unreachable: set[str] = set()
        for notice in pending:
            peer = snapshot.roster.get(notice.peer)
            if peer is None or peer.state == SUSPENDED or notice.peer in unreachable:
                continue
            try:
                known = self._tell(peer, notice, snapshot)
            except PeerFaultError as fault:
                unreachable.add(notice.peer)
                _log.info("notice not confirmed", peer=notice.peer, problem=fault.outcome)
                continue
            self._note(notice, known)
            confirmed += 1
        self.metrics.erasure_notices.set(len(pending) - confirmed)
        return confirmed

    def _tell(self, peer: Peer, notice: NoticeRow, snapshot: Snapshot) -> int:
        """Send one notice under a fresh header; return how many of its exchanges the peer knows."""
        now = self.clock()
        # Notices are no exchanges of records, so they take no number of the pair's sequence.
        header = query_header(
            peer, NOTIFY_ERASURE, 1, snapshot, checkpoint=self.log.latest_checkpoint(), now=now
        )
        payload = ErasureNotice(header=header, body=notice.body).SerializeToString()
        message = seal(payload, ERASURE_NOTICE_TYPE, snapshot.message_keys)
        request = NotifyErasureRequest(message=message).SerializeToString()
        response = self.caller.call(peer, NOTIFY_ERASURE, request, CALL_S)
        try:
            envelope = parse(NotifyErasureResponse, response, "response").message
            opened = open_envelope(
                envelope, ERASURE_CONFIRMATION_TYPE, lambda key_id: peer.message_key(key_id, now)
            )
            confirmation = parse(ErasureConfirmation, opened.payload, "confirmation")
        except EnvelopeError as error:
            raise PeerFaultError("ANSWER_NOT_SIGNED", error.message) from error
        digest = signed_digest(message)
        require_bound_header(confirmation.header, header, digest, snapshot.settings.skew_s, self.clock())
        if confirmation.notice_id != notice.notice_id:
            raise PeerFaultError("ANSWER_NOT_BOUND", "the confirmation is of another notice.")
        return confirmation.known_count

    def _note(self, notice: NoticeRow, known: int) -> None:
        """Log the confirmation and take the notice off the queue, in one transaction."""
        now_ms = unix_ms(self.clock())
        entry = management_entry(
            "erasure-notice", reason="confirmed", count=known, peer=notice.peer, exchange_id=notice.notice_id
        )
        self.log.append(
            entry,
            beside=lambda transaction: evidence_rows.mark_delivered(transaction, notice.notice_id, now_ms),
        )
