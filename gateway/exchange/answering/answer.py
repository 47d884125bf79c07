"""The eight steps of the answering side in their order, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from creditexchange.v1.envelope_pb2 import Opening, SignedMessage
from creditexchange.v1.exchange_pb2 import RecordQuery
from gateway.audit import AuditLog
from gateway.clock import Clock, monotonic_s
from gateway.errors import EnvelopeError, RefusedError
from gateway.exchange.answering.admit import admit
from gateway.exchange.answering.authorise import authorise
from gateway.exchange.answering.charging import charge_of
from gateway.exchange.answering.count import count
from gateway.exchange.answering.find import find
from gateway.exchange.answering.log import log_exchange
from gateway.exchange.answering.open import open_message
from gateway.exchange.answering.refuse import sign_refusal
from gateway.exchange.answering.seal import seal
from gateway.exchange.answering.translate import translate
from gateway.exchange.consents import is_revoked
from gateway.exchange.forms import QUERY_FORMS
from gateway.exchange.messages import RECORD_QUERY_TYPE, IncomingCall, Opened, Snapshot
from gateway.records.source import RecordSource
from gateway.signing.envelope import parse
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.timings import StepTimes


class SignedRefusalError(RefusedError):
    """A refusal together with its signed form, if one is owed to the peer."""

    def __init__(self, refused: RefusedError, signed: SignedMessage | None) -> None:
        super().__init__(
            refused.reason, refused.message, details=refused.details, retry_after_s=refused.retry_after_s
        )
        self.signed = signed


@dataclass(frozen=True)
class Answering:
    """What the answering side works with, beside the snapshot that each call gets."""

    source: RecordSource
    log: AuditLog
    metrics: Metrics
    clock: Clock


def answer_query(request: bytes, call: IncomingCall, snapshot: Snapshot, node: Answering) -> bytes:
    """Answer one signed record query by any method of :data:`gateway.exchange.forms.QUERY_FORMS`.

    Raises:
        SignedRefusalError: the query is refused.
    """
    times = StepTimes()
    opened: Opened[RecordQuery] | None = None
    try:
        message, openings = parse_request(request, call.method)
        opened = open_message(call, message, RecordQuery, RECORD_QUERY_TYPE, snapshot.roster)
        times.done("open")
        admitted = admit(opened, snapshot, node.log)
        times.done("admit")
        authorised = authorise(admitted, openings, snapshot, partial(is_revoked, node.log))
        times.done("authorise")
        require_time(call)
        charge = charge_of(
            snapshot,
            opened.signer.node_id,
            authorised.body.purpose,
            authorised.subject_count,
            call.received_at,
        )
        found = find(authorised, node.source, node.log, charge)
        times.done("find")
        translated = translate(found, snapshot)
        times.done("translate")
        require_time(call)  # the last moment: what is logged is also answered
        logged = log_exchange(translated, openings, snapshot, node.log, charge)
        times.done("log")
        sealed = seal(logged, snapshot, node.clock())
        times.done("seal")
        count(call, opened, "OK", logged.record_count, times, node.metrics)
        return sealed.response
    except RefusedError as refused:
        raise refuse(refused, opened, call, snapshot, node, times) from refused


def require_time(call: IncomingCall) -> None:
    """Return if the caller still waits.

    Raises:
        RefusedError: ``DEADLINE_TOO_SHORT``; nobody would hear the answer.
    """
    if monotonic_s() >= call.deadline_at_s:
        raise RefusedError("DEADLINE_TOO_SHORT", "the deadline passed before the answer was ready.")


def refuse(
    refused: RefusedError,
    opened: Opened[RecordQuery] | None,
    call: IncomingCall,
    snapshot: Snapshot,
    node: Answering,
    times: StepTimes,
    *,
    chunk: int = 0,
) -> SignedRefusalError:
    """Log, sign and count a refusal; in bulk it stands in the place of one ``chunk``."""
    signed = None
    if opened is not None:
        try:
            signed = sign_refusal(opened, refused, snapshot, node.log, node.clock(), chunk)
        except RefusedError as unlogged:
            refused = unlogged
    times.done("refuse")
    count(call, opened, refused.reason, 0, times, node.metrics)
    return SignedRefusalError(refused, signed)


def parse_request(request: bytes, method: str) -> tuple[SignedMessage, list[Opening]]:
    """Return the signed query and its openings; nothing is verified yet.

    Raises:
        RefusedError: ``MALFORMED_MESSAGE``.
    """
    try:
        envelope = parse(QUERY_FORMS[method].request, request, "request")
    except EnvelopeError as error:
        raise error.refusal() from error
    return envelope.message, list(envelope.openings)
