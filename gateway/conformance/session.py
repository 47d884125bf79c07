"""One run against one node: connection, what the node grants, and messages that are correct as made."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from creditexchange.v1.envelope_pb2 import Header, Opening
from creditexchange.v1.exchange_pb2 import (
    LEGAL_BASIS_STATUTORY_DUTY,
    PURPOSE_EMPLOYMENT,
    EchoAnswer,
    GrantSummary,
    Purpose,
    RecordQueryBody,
)
from creditexchange.v1.record_pb2 import RECORD_KIND_COURSE, RecordKind
from gateway.clock import Clock, system_clock
from gateway.conformance.answer_checks import payload_of
from gateway.conformance.draft import (
    ECHO,
    QUERIES,
    QUERY_IN_BULK,
    QUERY_RECORDS,
    VERIFY_CERTIFICATE,
    WINDOW_S,
    Draft,
    Sent,
    Tampering,
    type_of,
)
from gateway.conformance.expectation import DepartureError, Reply
from gateway.conformance.identity import Identity
from gateway.conformance.wire import commitment, commitments_root
from gateway.errors import GatewayError, PeerFaultError
from gateway.learners.subject_token import FederationSecret, subject_token
from gateway.peers.card import Card
from gateway.rpc.channels import TlsLeaf
from gateway.rpc.raw_peer import RawPeer, RawReply

T = TypeVar("T")

DEADLINE_S = 10.0
ATTEMPTS_MAX = 3
INVENTED_LEARNER = "990001199003079970"
"""From the synthetic range: no region has the code 990001."""


class BusyError(GatewayError):
    """The node is out of capacity or the rate is exceeded: come again after ``after_s``."""

    def __init__(self, after_s: float) -> None:
        super().__init__("the node stayed busy.", remedy="Run it again later.")
        self.after_s = after_s


def _patiently(run: Callable[[], T]) -> T:
    """Return what ``run`` returns; while the node is busy, come again as it says.

    A busy node has not looked at the message, so that its very bytes may come again. Each call
    is patient by itself: of a case of several calls done anew, the earlier ones would use up
    what the rate has for the later ones.

    Raises:
        BusyError: it stayed busy.
    """
    for _ in range(ATTEMPTS_MAX - 1):
        try:
            return run()
        except BusyError as busy:
            threading.Event().wait(busy.after_s)
    return run()


@dataclass
class Session:
    """Sends what cases make. ``grants`` and ``epochs`` are what the node's echo stated."""

    identity: Identity
    card: Card
    endpoint: str
    clock: Clock = system_clock
    grants: Sequence[GrantSummary] = ()
    epochs: Sequence[str] = ()
    codes: list[str] = field(default_factory=list)
    """Good learning codes of the node under test; each case that redeems one takes it."""
    expired_code: str = ""
    """One that has expired."""
    used_up_purpose: int = 0
    """A granted purpose of which the identity's quota is used up; 0 = none."""
    connection: RawPeer = field(init=False)

    def __post_init__(self) -> None:
        """Open the connection."""
        self.connection = self.connect(self.identity.leaf)
        # Nobody else needs to know this secret: whom nobody knows is nowhere found.
        token_secret = FederationSecret("", secrets.token_bytes(32))
        self._token = subject_token(token_secret, "resident-id", INVENTED_LEARNER)

    def connect(self, leaf: TlsLeaf | None) -> RawPeer:
        """Open another connection that shows ``leaf``; the caller closes it."""
        return RawPeer(self.endpoint, self.card.node_id, self.card.ca_pem, leaf)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def learn(self) -> None:
        """Ask for an echo and keep what it states.

        Raises:
            PeerFaultError: the node cannot be reached or does not know the identity.
        """
        reply = self.send(self.echo())
        if not reply.raw.reason and reply.raw.code == "UNAVAILABLE":
            reason = "no connection, or the node does not accept the identity's TLS certificate."
        elif reply.raw.reason in ("UNKNOWN_PEER", "UNKNOWN_KEY", "PEER_SUSPENDED", "CARD_EXPIRED"):
            reason = f"the node refuses the identity: {reply.raw.reason}."
        else:
            reason = ""
        if reason:
            raise PeerFaultError(
                "UNREACHABLE",
                f"{self.card.node_id} at {self.endpoint}: {reason}",
                remedy=f"Start the node and have its operator accept {self.identity.folder.card}.",
            )
        try:
            stated = payload_of(reply, EchoAnswer)
        except DepartureError:
            return
        self.grants, self.epochs = list(stated.grants), list(stated.federation_epochs)

    def header(self, method: str) -> Header:
        """Return a correct header."""
        return Header(
            protocol_version=1,
            message_id=secrets.token_bytes(16),
            exchange_id=secrets.token_bytes(16),
            pair_sequence=self.next_sequence() if method in QUERIES else 1,
            sender=self.identity.node_id,
            audience=self.card.node_id,
            method=method,
        )

    def next_sequence(self) -> int:
        """Return the next number of this pair."""
        return self.identity.next_sequence()

    def draft(self, method: str) -> Draft:
        """Return a message to ``method`` that lacks its body."""
        keys = (self.identity.message, *self.identity.further_message)
        draft = Draft(self.header(method), method, type_of(method), keys)
        draft.set_times(self.clock(), 0, WINDOW_S)
        return draft

    def echo(self, content: bytes = b"conformance") -> Draft:
        """Return a correct echo."""
        draft = self.draft(ECHO)
        draft.content = content
        return draft

    def query(self, method: str = QUERY_RECORDS) -> Draft:
        """Return a correct query about a learner whom nobody knows; granted if anything is."""
        draft = self.draft(method)
        purpose, kinds = self.askable()
        draft.openings = [opening("subject-token", self._token)]
        draft.body = RecordQueryBody(
            purpose=purpose,  # type: ignore[arg-type]
            kinds=kinds,  # type: ignore[arg-type]
            subjects_root=commitments_root(draft.openings),
            subject_count=1,
            federation_epoch=self.epochs[0] if self.epochs else "2026",
            legal_basis=LEGAL_BASIS_STATUTORY_DUTY,
        )
        return draft

    def certificate_query(self, reference: bytes) -> Draft:
        """Return a query about one certificate, ``reference`` being a serialised CertificateReference."""
        draft = self.query(VERIFY_CERTIFICATE)
        asked = opening("certificate", reference)
        draft.openings.append(asked)
        body_of(draft).certificate_commitment = commitment(asked)
        return draft

    def bulk_query(self, count: int = 2) -> Draft:
        """Return a correct query in bulk about ``count`` learners whom nobody knows."""
        draft = self.query(QUERY_IN_BULK)
        tokens = [self._token, *(secrets.token_bytes(32) for _ in range(count - 1))]
        draft.openings = [opening("subject-token", token) for token in tokens]
        body = body_of(draft)
        body.subject_count, body.subjects_root = count, commitments_root(draft.openings)
        return draft

    def send_bulk(self, draft: Draft) -> list[Reply]:
        """Sign ``draft``, send it and return every chunk that comes, or the refusal."""
        sent = draft.sign()
        stream = self.connection.stream
        raw = _patiently(lambda: _unless_busy(stream(sent.method, sent.request, DEADLINE_S)))
        raws = [RawReply("OK", body) for body in raw.bodies] or [raw]
        return [Reply(each, sent.method, sent, self.card, self.clock()) for each in raws]

    def askable(self) -> tuple[int, Sequence[int]]:
        """Return a purpose and kinds that may be asked without consent; any if there are none."""
        for grant in self.grants:
            if grant.kinds and not grant.consent_required:
                return int(grant.purpose), [int(kind) for kind in grant.kinds][:2]
        return PURPOSE_EMPLOYMENT, [RECORD_KIND_COURSE]

    def ungranted_purpose(self) -> int | None:
        """Return a purpose of the list for which nothing is granted."""
        granted = {grant.purpose for grant in self.grants if grant.kinds}
        return next((p for p in Purpose.values() if p and p not in granted), None)

    def ungranted_kind(self) -> tuple[int, int] | None:
        """Return a granted purpose and a kind that is not granted for it."""
        by_purpose: dict[int, set[int]] = {}
        for grant in self.grants:
            if grant.kinds:
                by_purpose.setdefault(grant.purpose, set()).update(grant.kinds)
        pairs = (
            (p, k) for p, kinds in by_purpose.items() for k in RecordKind.values() if k and k not in kinds
        )
        return next(pairs, None)

    def consent_only(self) -> tuple[int, int] | None:
        """Return a purpose and a kind that are granted with the learner's consent alone."""
        free = {(g.purpose, k) for g in self.grants if not g.consent_required for k in g.kinds}
        pairs = ((g.purpose, k) for g in self.grants if g.consent_required for k in g.kinds)
        return next((pair for pair in pairs if pair not in free), None)

    def send(
        self, draft: Draft, tamper: Tampering | None = None, timeout_s: float | None = DEADLINE_S
    ) -> Reply:
        """Sign ``draft``, send it and return what comes."""
        sent = draft.sign(tamper)
        raw = self._call(sent.method, sent.request, timeout_s)
        return Reply(raw, sent.method, sent, self.card, self.clock())

    def resend(self, reply: Reply) -> Reply:
        """Send the very same bytes once more."""
        assert reply.sent is not None
        raw = self._call(reply.method, reply.sent.request, DEADLINE_S)
        return Reply(raw, reply.method, reply.sent, self.card, self.clock())

    def race(self, make: Callable[[], Draft], times: int) -> list[Reply]:
        """Send the very same bytes several times at once; all anew if the node was busy for one.

        Raises:
            BusyError: it never heard all of them.
        """
        return _patiently(lambda: self._race(make().sign(), times))

    def _race(self, sent: Sent, times: int) -> list[Reply]:
        with ThreadPoolExecutor(times) as pool:
            calls = [
                pool.submit(self.connection.call, sent.method, sent.request, DEADLINE_S) for _ in range(times)
            ]
            raws = [call.result() for call in calls]
        return [Reply(_unless_busy(raw), sent.method, sent, self.card, self.clock()) for raw in raws]

    def call(
        self,
        method: str,
        request: bytes,
        timeout_s: float | None = DEADLINE_S,
        metadata: tuple[tuple[str, str], ...] = (),
    ) -> Reply:
        """Send ``request``, which carries no signed message that the answer were bound to."""
        raw = self._call(method, request, timeout_s, metadata)
        return Reply(raw, method, None, self.card, self.clock())

    def _call(
        self,
        method: str,
        request: bytes,
        timeout_s: float | None,
        metadata: tuple[tuple[str, str], ...] = (),
    ) -> RawReply:
        call = self.connection.call
        return _patiently(lambda: _unless_busy(call(method, request, timeout_s, metadata)))


def opening(item_type: str, item: bytes) -> Opening:
    """Return an item with a random key of its own (section 4)."""
    return Opening(item_type=item_type, key=secrets.token_bytes(32), item=item)


def body_of(draft: Draft) -> RecordQueryBody:
    """Return the body of a query."""
    assert isinstance(draft.body, RecordQueryBody)
    return draft.body


def _unless_busy(raw: RawReply) -> RawReply:
    if raw.reason in ("RATE_EXCEEDED", "OVERLOADED"):
        raise BusyError(min(raw.retry_after_s or 1.0, 15.0))
    return raw
