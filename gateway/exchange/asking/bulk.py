"""Ask one peer about up to 1,000 learners with one signed query; what comes is shown chunk by chunk.

A chunk that was verified and logged stands, whatever becomes of the rest: who asks again asks about the
learners that are missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from creditexchange.v1.envelope_pb2 import Opening, SignedMessage
from creditexchange.v1.exchange_pb2 import LEGAL_BASIS_CONSENT, RecordQuery, RecordQueryBody
from gateway.audit import AuditLog, Evidence, PeerReceipt, SubjectEvidence, serialised_openings
from gateway.audit.commitment import CONSENT, SUBJECT_TOKEN, commitments_root, open_items
from gateway.clock import monotonic_s
from gateway.errors import CallerError, PeerFaultError, RefusedError
from gateway.exchange.asking.ask_peer import Asking, count_result, failed, not_logged, note_reach
from gateway.exchange.asking.askable import require_askable
from gateway.exchange.asking.bulk_verify import ChunkVerifier, SubjectPart, VerifiedChunk
from gateway.exchange.asking.choose_consent import choose_consent, consents_to_show
from gateway.exchange.asking.compose import Composed, query_header, secret_for
from gateway.exchange.asking.question import OK, PeerResult, Question
from gateway.exchange.asking.verify import verify_refusal
from gateway.exchange.messages import BULK_SUBJECTS_MAX, QUERY_IN_BULK, RECORD_QUERY_TYPE, Snapshot
from gateway.learners.subject_token import subject_token
from gateway.peers.caller import RefusedByPeerError
from gateway.peers.roster import Peer
from gateway.signing.envelope import seal, signed_digest


@dataclass(frozen=True, slots=True)
class BulkQuestion:
    """Many learners, one purpose, some kinds, one peer."""

    learners: Sequence[tuple[str, str]] = field(repr=False)
    """Identifier type and identifier of each, as written."""
    purpose: int
    kinds: tuple[int, ...]
    peer: Peer
    legal_basis: int
    deadline_s: float


@dataclass(frozen=True, slots=True)
class LearnerPart:
    """What came, or why nothing came, about one learner; ``continues`` when more of it follows."""

    position: int
    """Place in the question, from 0."""
    outcome: str
    explanation: str = ""
    part: SubjectPart | None = None
    signed_by: str = ""
    exchange_id: bytes = b""

    @property
    def continues(self) -> bool:
        """Whether more about this learner follows."""
        return self.part is not None and self.part.continues


@dataclass(frozen=True, slots=True)
class ShownLearner:
    """A learner who is asked about, with the consent that is shown."""

    position: int
    token: bytes = field(repr=False)
    consent: SignedMessage | None = field(repr=False, default=None)


def ask_in_bulk(
    question: BulkQuestion, snapshot: Snapshot, node: Asking
) -> Iterator[Sequence[LearnerPart] | PeerResult]:
    """Yield what came about some of the learners, again and again, and last how the exchange ended.

    Learners about whom nothing was yielded are to be asked about again, in another exchange.

    Raises:
        CallerError: an identifier is malformed, a learner is there twice, or there are too many.
        OperatorError: this node cannot ask at all.
    """
    tokens = _tokens(question, snapshot)
    now = node.clock()
    try:
        require_askable(
            question.peer, node.reaches, now, question.deadline_s, spoken=snapshot.settings.versions
        )
    except PeerFaultError as fault:
        yield PeerResult(question.peer.node_id, fault.outcome, str(fault), exchange_id=b"", elapsed_s=0.0)
        return
    shown, without = _consented(question, tokens, snapshot, node.log, now)
    if without:
        yield without
    if not shown:
        yield PeerResult(question.peer.node_id, OK, "", exchange_id=b"", elapsed_s=0.0)
        return
    sequence = node.log.next_pair_sequence(question.peer.node_id)
    composed = compose_bulk(
        question, shown, sequence, snapshot, checkpoint=node.log.latest_checkpoint(), now=now
    )
    if len(composed.request) > snapshot.settings.message_bytes_max:
        raise CallerError("these learners' consents do not fit one query.", remedy="Ask about fewer at once.")
    yield from _exchange(question, composed, [each.position for each in shown], snapshot, node)


def compose_bulk(
    question: BulkQuestion,
    shown: Sequence[ShownLearner],
    sequence: int,
    snapshot: Snapshot,
    *,
    checkpoint: str,
    now: datetime,
) -> Composed:
    """Return the signed query; ``sequence`` is the pair's next number."""
    subjects = open_items(SUBJECT_TOKEN, (each.token for each in shown))
    whose = [at for at, each in enumerate(shown) if each.consent is not None]
    consents = open_items(
        CONSENT, (each.consent.SerializeToString() for each in shown if each.consent is not None)
    )
    body = RecordQueryBody(
        purpose=question.purpose,  # type: ignore[arg-type]
        kinds=question.kinds,  # type: ignore[arg-type]
        subjects_root=commitments_root(subjects),
        subject_count=len(subjects),
        federation_epoch=secret_for(question.peer, snapshot).epoch,
        legal_basis=question.legal_basis,  # type: ignore[arg-type]
        consents_root=commitments_root(consents) if consents else b"",
        consent_subjects=whose,
    ).SerializeToString()
    header = query_header(question.peer, QUERY_IN_BULK, sequence, snapshot, checkpoint=checkpoint, now=now)
    payload = RecordQuery(header=header, body=body).SerializeToString()
    message = seal(payload, RECORD_QUERY_TYPE, snapshot.message_keys)
    return Composed(
        peer=question.peer,
        method=QUERY_IN_BULK,
        purpose=question.purpose,
        header=header,
        body=body,
        message=message,
        openings=(*subjects, *consents),
        digest=signed_digest(message),
        subject_tokens=tuple(each.token for each in shown),
    )


def _exchange(
    question: BulkQuestion, composed: Composed, positions: Sequence[int], snapshot: Snapshot, node: Asking
) -> Iterator[Sequence[LearnerPart] | PeerResult]:
    """Send the query and take the chunks, each verified, logged, and only then yielded."""
    started_s = monotonic_s()
    verifier = ChunkVerifier(composed, snapshot)
    openings = _openings_by_subject(composed)
    records, last = 0, None
    try:
        for response in node.caller.stream(
            composed.peer, composed.method, composed.request, question.deadline_s
        ):
            last = verifier.accept(response, node.clock())
            _log_chunk(composed, last, openings, node.log)
            records += last.record_count
            yield _parts_of(last, composed, positions)
        verifier.require_complete()
        assert last is not None
        result = PeerResult(
            node_id=composed.peer.node_id,
            outcome=OK,
            explanation="",
            exchange_id=composed.header.exchange_id,
            elapsed_s=monotonic_s() - started_s,
            signed_by=last.signed_by,
            leaf_index=last.receipt.leaf_index,
            receipt_verified=True,
        )
    except PeerFaultError as fault:
        result = _conclude(fault, composed, verifier, monotonic_s() - started_s, snapshot, node)
    except RefusedError as unlogged:
        result = failed(composed, not_logged(unlogged), monotonic_s() - started_s)
    except GeneratorExit:  # whoever asked has gone: what was not taken is not answered here either
        _log_ending(composed, "NO_ANSWER", verifier, node.log)
        raise
    note_reach(question.peer, result, node)
    count_result(result, composed, node.metrics, records)
    yield result


def _conclude(
    fault: PeerFaultError,
    composed: Composed,
    verifier: ChunkVerifier,
    elapsed_s: float,
    snapshot: Snapshot,
    node: Asking,
) -> PeerResult:
    """Log why there are no more chunks; a signed refusal in the place of the next one as such."""
    try:
        if isinstance(fault, RefusedByPeerError) and fault.details.signed is not None:
            try:
                return _refused(fault, composed, verifier, elapsed_s, snapshot, node)
            except PeerFaultError as worse:
                fault = worse
        _log_ending(composed, fault.outcome, verifier, node.log)
    except RefusedError as unlogged:
        return failed(composed, not_logged(unlogged), elapsed_s)
    return failed(composed, fault, elapsed_s)


def _refused(
    fault: RefusedByPeerError,
    composed: Composed,
    verifier: ChunkVerifier,
    elapsed_s: float,
    snapshot: Snapshot,
    node: Asking,
) -> PeerResult:
    assert fault.details.signed is not None
    chunk = verifier.next_number
    refusal = verify_refusal(
        composed, fault.details.signed, fault.details.reason, snapshot, node.clock(), chunk
    )
    node.log.heard.hear(composed.peer.node_id, refusal.receipt.checkpoint)
    node.log.append(
        composed.entry(
            "exchange",
            "asker",
            refusal.outcome,
            answer_digest=sha256(refusal.body).digest(),
            peer_receipt=PeerReceipt(refusal.receipt.log_origin, refusal.receipt.leaf_index),
            peer_checkpoint=refusal.peer_checkpoint,
            chunk=chunk,
        ),
        evidence=Evidence(
            request_message=composed.message.SerializeToString(),
            request_body=composed.body,
            answer_message=refusal.message.SerializeToString(),
            answer_body=refusal.body,
            subjects=_unanswered(composed, verifier),
        ),
    )
    return PeerResult(
        node_id=composed.peer.node_id,
        outcome=refusal.outcome,
        explanation=f"the peer refused: {fault}",
        exchange_id=composed.header.exchange_id,
        elapsed_s=elapsed_s,
        signed_by=refusal.signed_by,
        leaf_index=refusal.receipt.leaf_index,
        receipt_verified=True,
    )


def _log_chunk(
    composed: Composed, chunk: VerifiedChunk, openings: Sequence[tuple[Opening, ...]], log: AuditLog
) -> None:
    log.heard.hear(composed.peer.node_id, chunk.receipt.checkpoint)
    log.append(
        composed.entry(
            "exchange",
            "asker",
            OK,
            count=chunk.record_count,
            answer_digest=sha256(chunk.body).digest(),
            peer_receipt=PeerReceipt(chunk.receipt.log_origin, chunk.receipt.leaf_index),
            peer_checkpoint=chunk.peer_checkpoint,
            chunk=chunk.number,
        ),
        evidence=Evidence(
            request_message=composed.message.SerializeToString(),
            request_body=composed.body,
            answer_message=chunk.message.SerializeToString(),
            answer_body=chunk.body,
            subjects=[
                SubjectEvidence(
                    part.position,
                    openings[part.position][0].item,
                    openings[part.position],
                    serialised_openings(part.openings),
                )
                for part in chunk.subjects
            ],
        ),
    )


def _log_ending(composed: Composed, outcome: str, verifier: ChunkVerifier, log: AuditLog) -> None:
    """Log that the next chunk did not come, and beside it about whom nothing came."""
    log.append(
        composed.entry("no-answer", "asker", outcome, chunk=verifier.next_number),
        evidence=Evidence(
            request_message=composed.message.SerializeToString(),
            request_body=composed.body,
            subjects=_unanswered(composed, verifier),
        ),
    )


def _unanswered(composed: Composed, verifier: ChunkVerifier) -> list[SubjectEvidence]:
    """Return those who were asked about and are not answered: it must be possible to tell them."""
    asked = [SubjectEvidence(at, own[0].item, own) for at, own in enumerate(_openings_by_subject(composed))]
    return asked[verifier.position :]


def _openings_by_subject(composed: Composed) -> list[tuple[Opening, ...]]:
    """Return each subject's openings: the token, then the consent if one was shown."""
    count = len(composed.subject_tokens)
    found: list[tuple[Opening, ...]] = [(opening,) for opening in composed.openings[:count]]
    whose = RecordQueryBody.FromString(composed.body).consent_subjects
    for at, consent in zip(whose, composed.openings[count:], strict=True):
        found[at] = (*found[at], consent)
    return found


def _parts_of(chunk: VerifiedChunk, composed: Composed, positions: Sequence[int]) -> list[LearnerPart]:
    return [
        LearnerPart(
            positions[part.position],
            part.outcome,
            _SAID.get(part.outcome, ""),
            part,
            chunk.signed_by,
            composed.header.exchange_id,
        )
        for part in chunk.subjects
    ]


_SAID = {
    "CONSENT_REQUIRED": "the peer's grant demands this learner's consent and none was shown.",
    "CONSENT_INVALID": "the peer does not accept this learner's consent for this query.",
    "ANSWER_TOO_LARGE": "one of this learner's records is too large for a message.",
}


def _tokens(question: BulkQuestion, snapshot: Snapshot) -> list[bytes]:
    if not 1 <= len(question.learners) <= BULK_SUBJECTS_MAX:
        raise CallerError(f"learners: from 1 to {BULK_SUBJECTS_MAX} can be asked about at once.")
    secret = secret_for(question.peer, snapshot)
    tokens = [subject_token(secret, type_, identifier) for type_, identifier in question.learners]
    if len(set(tokens)) != len(tokens):
        raise CallerError("learners: somebody is there twice.", remedy="Name each learner once.")
    return tokens


def _consented(
    question: BulkQuestion, named: Sequence[bytes], snapshot: Snapshot, log: AuditLog, now: datetime
) -> tuple[list[ShownLearner], list[LearnerPart]]:
    """Return whom to ask about, with what consent; and those whom no consent covers."""
    if question.legal_basis != LEGAL_BASIS_CONSENT:
        return [ShownLearner(at, token) for at, token in enumerate(named)], []
    shown, without = [], []
    for at, ((type_, identifier), token) in enumerate(zip(question.learners, named, strict=True)):
        single = Question(
            type_,
            identifier,
            question.purpose,
            question.kinds,
            (question.peer,),
            question.legal_basis,
            question.deadline_s,
        )
        tokens = {secret_for(question.peer, snapshot).epoch: token}
        held = consents_to_show(single, [token], log, snapshot)
        try:
            chosen = choose_consent(single, held, question.peer, tokens, snapshot, log, now)
        except PeerFaultError as fault:
            without.append(LearnerPart(at, fault.outcome, str(fault)))
        else:
            shown.append(ShownLearner(at, token, chosen.consent))
    return shown, without
