"""The server that lies: answers each query of one client with the next lie, and reads in that client's
own log (AuditLogService, section 9) whether it noticed.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256

from creditexchange.v1.audit_pb2 import ListSharedEntriesRequest, ListSharedEntriesResponse
from creditexchange.v1.envelope_pb2 import Header, Receipt, Refusal, RefusalBody, SignedMessage
from creditexchange.v1.exchange_pb2 import (
    QueryRecordsRequest,
    QueryRecordsResponse,
    RecordAnswer,
    RecordAnswerBody,
    RecordQuery,
    RecordQueryBody,
)
from gateway.audit import Checkpoint, leaf_hash, tree_root
from gateway.audit.merkle import inclusion_proof, node_hash
from gateway.clock import Clock, system_clock, unix_ms
from gateway.conformance.answer_checks import response_of
from gateway.conformance.case import Case
from gateway.conformance.draft import AUDIT, QUERY_RECORDS, WINDOW_S
from gateway.conformance.expectation import DepartureError, Expectation
from gateway.conformance.identity import Identity
from gateway.conformance.lying import OK, REFUSED, Answer, Lie, refusal_body
from gateway.conformance.run import CaseResult
from gateway.conformance.session import Session
from gateway.conformance.wire import leaf_of_exchange, payload_type, signed_bytes, signed_digest
from gateway.errors import RefusedError
from gateway.exchange.answering.refuse import SignedRefusalError
from gateway.peers.card import Card

LIST_SHARED = f"{AUDIT}/ListSharedEntries"
LEAVES_FILE = "conformance-leaves"
NOTICE_S = 10.0
"""How long a client may take to log what came, seconds."""
POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Told:
    """A lie and the exchange in which it was told."""

    lie: Lie
    exchange_id: bytes


@dataclass
class Liar:
    """Answers queries of ``client`` with ``lies``, one after the other."""

    identity: Identity
    client: Card
    lies: Sequence[Lie]
    clock: Clock = system_clock
    told: list[Told] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        """Go on with the log of the last run: a log that began anew would be a lie of its own."""
        self._lock = threading.Lock()
        self._path = self.identity.folder.root / "data" / LEAVES_FILE
        self._leaves = self._path.read_bytes().splitlines() if self._path.exists() else []

    def answer(self, request: bytes) -> bytes:
        """Answer one request of QueryRecords.

        Raises:
            SignedRefusalError: the next lie is a refusal.
        """
        message = QueryRecordsRequest.FromString(request).message
        query = RecordQuery.FromString(message.payload)
        with self._lock:
            if self.ended.is_set():
                raise RefusedError("SHUTTING_DOWN", "every lie was told.", retry_after_s=60.0)
            lie = self.lies[len(self.told)]
            self.told.append(Told(lie, query.header.exchange_id))
            if len(self.told) == len(self.lies):
                self.ended.set()
            return self._tell(lie, message, query)

    def _tell(self, lie: Lie, message: SignedMessage, query: RecordQuery) -> bytes:
        body = refusal_body() if lie.is_refusal else _empty_answer(query)
        answer = Answer(Header(), body, Receipt(), self.identity.message, self.identity.further_message)
        lie.before_logging(answer)
        answer.receipt.CopyFrom(self._log(lie, message, query, answer.body.SerializeToString()))
        answer.header.CopyFrom(self._header(message, query.header))
        lie.before_signing(answer)
        if not lie.is_refusal:
            signed = _sign(answer, "record-answer", lie)
            return QueryRecordsResponse(message=signed).SerializeToString()
        signed_refusal = _sign(answer, "refusal", lie) if answer.is_signed else None
        refused = RefusedError(REFUSED, "the kit was told to refuse.", details={"purpose": "unknown"})
        raise SignedRefusalError(refused, signed_refusal)

    def _header(self, message: SignedMessage, asked: Header) -> Header:
        header = Header()
        header.CopyFrom(asked)
        header.message_id, header.in_reply_to = secrets.token_bytes(16), asked.message_id
        header.sender, header.audience, header.checkpoint = self.identity.node_id, asked.sender, ""
        header.request_digest = signed_digest(message.payload_type, message.payload)
        header.issue_time.FromDatetime(self.clock())
        header.expire_time.FromDatetime(self.clock() + timedelta(seconds=WINDOW_S))
        return header

    def _log(self, lie: Lie, message: SignedMessage, query: RecordQuery, body: bytes) -> Receipt:
        """Append the entry of this exchange to the identity's log and prove it."""
        logged_at_ms = unix_ms(self.clock())
        leaf = leaf_of_exchange(
            query.header,
            answerer=self.identity.node_id,
            method=QUERY_RECORDS,
            purpose=RecordQueryBody.FromString(query.body).purpose,
            request_digest=signed_digest(message.payload_type, message.payload),
            answer_body=body,
            outcome=REFUSED if lie.is_refusal else OK,
            count=0,
            logged_at_ms=logged_at_ms,
        )
        self._leaves.append(leaf)
        self._path.write_bytes(b"\n".join(self._leaves) + b"\n")
        size = len(self._leaves)
        head = Checkpoint(self.identity.card.log_origin, size, tree_root(self._leaves))
        return Receipt(
            log_origin=self.identity.card.log_origin,
            leaf_index=size - 1,
            logged_at_ms=logged_at_ms,
            inclusion_proof=inclusion_proof(size - 1, size, self._node_at),
            checkpoint=head.sign([self.identity.log_signer]),
        )

    def _node_at(self, level: int, index: int) -> bytes:
        if level == 0:
            return leaf_hash(self._leaves[index])
        return node_hash(self._node_at(level - 1, 2 * index), self._node_at(level - 1, 2 * index + 1))


def judge_lies(session: Session, liar: Liar) -> list[CaseResult]:
    """Return what became of each lie; one that was not told was not run."""
    results = []
    for number, lie in enumerate(liar.lies):
        case = Case(lie.id, lie.section, lie.sends, _expectation(lie), lambda _session: ())
        if number >= len(liar.told):
            results.append(CaseResult(case, "not run", "no query came for it", 0.0))
            continue
        try:
            passed, happened = noticed(session, liar.told[number])
        except DepartureError as departure:
            results.append(CaseResult(case, "not run", f"the client's log: {departure}", 0.0))
        else:
            results.append(CaseResult(case, "passed" if passed else "failed", happened, 0.0))
    return results


def _expectation(lie: Lie) -> Expectation:
    return Expectation(f"logged as {' or '.join(lie.outcomes)}", lambda _replies: None)


def noticed(session: Session, told: Told) -> tuple[bool, str]:
    """Return whether the client called ``told`` what it is, and what its log says.

    The truth must be logged as an exchange, a lie as an exchange to which no acceptable answer came.
    """
    waited_s = 0.0
    while (entry := _entry_of(session, told.exchange_id)) is None:
        if waited_s >= NOTICE_S:
            return False, "the client's log has no entry of this exchange"
        threading.Event().wait(POLL_S)
        waited_s += POLL_S
    kind, outcome = entry
    expected = "exchange" if told.lie.id.startswith("truth") else "no-answer"
    return kind == expected and outcome in told.lie.outcomes, f"{kind} {outcome}"


def _entry_of(session: Session, exchange_id: bytes) -> tuple[str, str] | None:
    """Return kind and outcome of the client's own entry about one exchange."""
    start = 0
    while True:
        request = ListSharedEntriesRequest(start_index=start).SerializeToString()
        reply = session.call(LIST_SHARED, request)
        page = response_of(reply, ListSharedEntriesResponse)
        for entry in page.entries:
            members = json.loads(entry.leaf)
            if members.get("exchange_id") == exchange_id.hex() and members.get("role") == "asker":
                return str(members["kind"]), str(members["outcome"])
        if page.next_index <= start or not page.entries:
            return None
        start = page.next_index


def _empty_answer(query: RecordQuery) -> RecordAnswerBody:
    return RecordAnswerBody(
        records_root=sha256().digest(), record_counts=[0], query_body_digest=sha256(query.body).digest()
    )


def _sign(answer: Answer, name: str, lie: Lie) -> SignedMessage:
    body = answer.body.SerializeToString()
    if isinstance(answer.body, RefusalBody):
        payload = Refusal(header=answer.header, body=body, receipt=answer.receipt).SerializeToString()
    else:
        payload = RecordAnswer(header=answer.header, body=body, receipt=answer.receipt).SerializeToString()
    message = SignedMessage(payload=payload, payload_type=payload_type(name))
    is_refusal = isinstance(answer.body, RefusalBody)
    for key in (answer.key, *answer.further_keys):
        if key.suite.is_compact or not is_refusal:
            signature = key.sign(signed_bytes(message.payload_type, payload))
            message.signatures.add(key_id=key.key_id, signature=signature)
    lie.after_signing(message)
    return message
