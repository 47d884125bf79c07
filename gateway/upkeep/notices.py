"""Tells peers by signed notice what was erased here, and which records that they were given have changed.

Notices are kept until the peer has confirmed them, also over restarts; telling one twice does no harm.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from gateway.audit import AuditLog, management_entry
from gateway.clock import Clock, unix_ms
from gateway.errors import EnvelopeError, PeerFaultError
from gateway.exchange.asking.compose import query_header
from gateway.exchange.asking.verify import require_bound_header
from gateway.exchange.forms import NOTICE_FORMS, NoticeForm
from gateway.exchange.messages import Snapshot
from gateway.peers.caller import PeerCaller
from gateway.peers.roster import SUSPENDED, Peer
from gateway.signing.envelope import open_envelope, parse, seal, signed_digest
from gateway.storage import notice_rows
from gateway.storage.notice_rows import NoticeRow
from gateway.telemetry.events import logger
from gateway.telemetry.metrics import Metrics

CALL_S = 5.0
NOTICES_A_ROUND = 1_000
"""Most notices of one kind that are told in one round."""

_log = logger("notices")


@dataclass(frozen=True)
class Notices:
    """What is needed to deliver notices."""

    log: AuditLog
    caller: PeerCaller
    metrics: Metrics
    clock: Clock

    def deliver(self, snapshot: Snapshot) -> int:
        """Try every pending notice once; return how many were confirmed.

        A peer that cannot be reached is tried again the next time; the others get theirs.
        """
        return sum(self._deliver(form, snapshot) for form in NOTICE_FORMS)

    def _deliver(self, form: NoticeForm, snapshot: Snapshot) -> int:
        with self.log.reading() as connection:
            pending = notice_rows.read_pending_notices(connection, form.method, NOTICES_A_ROUND)
        confirmed = 0
        unreachable: set[str] = set()
        for notice in pending:
            peer = snapshot.roster.get(notice.peer)
            if peer is None or peer.state == SUSPENDED or notice.peer in unreachable:
                continue
            try:
                known = self._tell(form, peer, notice, snapshot)
            except PeerFaultError as fault:
                unreachable.add(notice.peer)
                _log.info("notice not confirmed", what=form.action, peer=notice.peer, problem=fault.outcome)
                continue
            self._note(form, notice, known)
            confirmed += 1
        with self.log.reading() as connection:
            left = notice_rows.count_pending_notices(connection, form.method)
        self.metrics.notices_pending.labels(form.action.removesuffix("-notice")).set(left)
        return confirmed

    def _tell(self, form: NoticeForm, peer: Peer, notice: NoticeRow, snapshot: Snapshot) -> int:
        """Send one notice under a fresh header; return how many of its exchanges the peer knows."""
        now = self.clock()
        # Notices are no exchanges of records, so they take no number of the pair's sequence.
        header = query_header(
            peer, form.method, 1, snapshot, checkpoint=self.log.latest_checkpoint(), now=now
        )
        payload = form.notice(header=header, body=notice.body).SerializeToString()
        message = seal(payload, form.notice_type, snapshot.message_keys)
        request = form.request(message=message).SerializeToString()
        response = self.caller.call(peer, form.method, request, CALL_S)
        try:
            envelope = parse(form.response, response, "response").message
            opened = open_envelope(
                envelope, form.confirmation_type, lambda key_id: peer.message_key(key_id, now)
            )
            confirmation = parse(form.confirmation, opened.payload, "confirmation")
        except EnvelopeError as error:
            raise PeerFaultError("ANSWER_NOT_SIGNED", error.message) from error
        digest = signed_digest(message)
        require_bound_header(confirmation.header, header, digest, snapshot.settings.skew_s, self.clock())
        if confirmation.notice_id != notice.notice_id:
            raise PeerFaultError("ANSWER_NOT_BOUND", "the confirmation is of another notice.")
        return confirmation.known_count

    def _note(self, form: NoticeForm, notice: NoticeRow, known: int) -> None:
        """Log the confirmation and take the notice off the queue, in one transaction."""
        entry = management_entry(
            form.action, reason="confirmed", count=known, peer=notice.peer, exchange_id=notice.notice_id
        )
        delivered = partial(
            notice_rows.mark_delivered, notice_id=notice.notice_id, now_ms=unix_ms(self.clock())
        )
        self.log.append(entry, beside=delivered)
