"""Consents that were taken back: tells the peers until they confirm, and asks them for theirs.

Telling is what makes a revocation fast; asking is what makes it certain for a node that was away
or that lost its store. At start a node asks for all live revocations, afterwards for the newest.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from creditexchange.v1.consent_pb2 import (
    ConsentRevocationReceipt,
    ListRevocationsRequest,
    ListRevocationsResponse,
    RevokeConsentRequest,
    RevokeConsentResponse,
)
from gateway.audit import AuditLog
from gateway.clock import Clock, unix_ms
from gateway.errors import EnvelopeError, PeerFaultError, RefusedError
from gateway.exchange.answering.revocations import keep_revocations, open_revocation, signed_revocation
from gateway.exchange.messages import (
    CONSENT_REVOCATION_RECEIPT_TYPE,
    LIST_REVOCATIONS,
    REVOKE_CONSENT,
    Snapshot,
)
from gateway.peers.caller import PeerCaller
from gateway.peers.roster import Peer
from gateway.signing.envelope import open_envelope, parse, signed_digest
from gateway.storage import consent_rows
from gateway.storage.consent_rows import RevokedRow
from gateway.telemetry.events import logger
from gateway.telemetry.metrics import Metrics

CALL_S = 5.0
PENDING_AT_ONCE = 1_000
"""Most revocations that one peer is told in one round."""
PAGES_MAX = 5_000
"""Most pages that a peer is asked for in one round."""
OVERLAP_MS = 3_600_000
"""How far back each round asks again, milliseconds: a peer's clock may have been set back."""
FORGET_AFTER_MS = 24 * 3_600_000
"""How long after a consent's end its revocation is still remembered, milliseconds."""

_log = logger("consent")


@dataclass
class ConsentRevocations:
    """What is needed to tell and to ask; remembers how far each peer was asked."""

    log: AuditLog
    caller: PeerCaller
    metrics: Metrics
    clock: Clock
    _asked_until: dict[str, int] = field(default_factory=dict)

    def round(self, snapshot: Snapshot) -> None:
        """Tell what is pending, ask every peer, forget what time alone refuses."""
        self.deliver(snapshot)
        for peer in snapshot.roster.active:
            self._pull_quietly(peer)
        before_ms = unix_ms(self.clock()) - FORGET_AFTER_MS
        self.log.transact(lambda transaction: consent_rows.delete_expired_revocations(transaction, before_ms))

    def deliver(self, snapshot: Snapshot) -> list[tuple[str, bytes]]:
        """Try what is pending once; return peer and consent id of every confirmation.

        A peer that cannot be reached is tried again the next time; the others get theirs.
        """
        now_ms = unix_ms(self.clock())
        confirmed: list[tuple[str, bytes]] = []
        for peer in snapshot.roster.active:
            with self.log.reading() as connection:
                pending = consent_rows.read_pending_revocations(
                    connection, snapshot.node_id, peer.node_id, now_ms, PENDING_AT_ONCE
                )
            try:
                for revoked in pending:
                    self._tell(peer, revoked, snapshot)
                    self._note(peer, revoked)
                    confirmed.append((peer.node_id, revoked.consent_id))
            except PeerFaultError as fault:
                _log.info("revocation not confirmed", peer=peer.node_id, problem=fault.outcome)
        with self.log.reading() as connection:
            left = consent_rows.count_pending_revocations(connection, snapshot.node_id, now_ms)
        self.metrics.revocations_pending.set(left)
        return confirmed

    def pull(self, peer: Peer) -> int:
        """Ask ``peer`` for its revocations; return how many were new.

        Raises:
            PeerFaultError: it did not answer, or what it sent is not by itself.
            RefusedError: ``AUDIT_UNAVAILABLE``; what was kept before stays.
        """
        since_ms = max(0, self._asked_until.get(peer.node_id, 0) - OVERLAP_MS)
        request, new = ListRevocationsRequest(since_ms=since_ms), 0
        for _ in range(PAGES_MAX):
            page = self._page(peer, request)
            new += keep_revocations(self.log, peer.node_id, [row for row, _ in page.rows])
            if not page.rows:
                break
            last = page.rows[-1][0]
            # A time in the future, by a clock gone wrong, must not hide what comes after it.
            reached = min(last.revoked_at, unix_ms(self.clock()))
            self._asked_until[peer.node_id] = max(reached, self._asked_until.get(peer.node_id, 0))
            if not page.has_more:
                break
            following = (last.revoked_at, last.consent_id)
            if following <= (request.since_ms, request.after_consent_id):
                raise PeerFaultError("ANSWER_MALFORMED", "the peer's revocations are not in order.")
            request = ListRevocationsRequest(since_ms=following[0], after_consent_id=following[1])
        return new

    def _pull_quietly(self, peer: Peer) -> None:
        try:
            new = self.pull(peer)
        except PeerFaultError as fault:
            _log.info("revocations not learned", peer=peer.node_id, problem=fault.outcome)
            return
        except RefusedError as refused:
            _log.error("revocations not kept", peer=peer.node_id, problem=refused.message)
            return
        if new:
            _log.info("revocations learned", peer=peer.node_id, count=new)

    def _page(self, peer: Peer, request: ListRevocationsRequest) -> _Page:
        response = self.caller.call(peer, LIST_REVOCATIONS, request.SerializeToString(), CALL_S)
        try:
            page = parse(ListRevocationsResponse, response, "response")
            rows = [open_revocation(message, peer, self.clock()) for message in page.revocations]
        except EnvelopeError as error:
            raise PeerFaultError("ANSWER_NOT_SIGNED", error.message) from error
        return _Page(rows, page.has_more)

    def _tell(self, peer: Peer, revoked: RevokedRow, snapshot: Snapshot) -> None:
        """Send one revocation; returns once the peer's own key has confirmed these very bytes."""
        message = signed_revocation(revoked, snapshot)
        request = RevokeConsentRequest(message=message).SerializeToString()
        response = self.caller.call(peer, REVOKE_CONSENT, request, CALL_S)
        now = self.clock()
        try:
            envelope = parse(RevokeConsentResponse, response, "response").message
            opened = open_envelope(
                envelope, CONSENT_REVOCATION_RECEIPT_TYPE, lambda key_id: peer.message_key(key_id, now)
            )
            receipt = parse(ConsentRevocationReceipt, opened.payload, "receipt")
        except EnvelopeError as error:
            raise PeerFaultError("ANSWER_NOT_SIGNED", error.message) from error
        bound = (receipt.confirming_node_id, receipt.revocation_digest)
        if bound != (peer.node_id, signed_digest(message)):
            raise PeerFaultError("ANSWER_NOT_BOUND", "the receipt is for another revocation.")

    def _note(self, peer: Peer, revoked: RevokedRow) -> None:
        """Take the revocation off the queue."""
        now_ms = unix_ms(self.clock())
        self.log.transact(
            lambda transaction: consent_rows.mark_revocation_delivered(
                transaction, revoked.consent_id, peer.node_id, now_ms
            )
        )


@dataclass(frozen=True)
class _Page:
    rows: list[tuple[RevokedRow, bytes]]
    has_more: bool
