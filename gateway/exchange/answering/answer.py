"""The eight steps of the answering side in their order, and nothing else.

Queries that wait are answered together: each step for all of them, then the next one. What a step
touches lies in the processor's cache from the second query on, look-ups and the log serve all with
one statement, and no thread takes turns with another (docs/decisions/0029-answering-together.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from creditexchange.v1.envelope_pb2 import Opening, SignedMessage
from creditexchange.v1.exchange_pb2 import RecordQuery
from gateway.audit import AuditLog
from gateway.clock import Clock, monotonic_s
from gateway.combining import result_of
from gateway.errors import EnvelopeError, RefusedError
from gateway.exchange.answering.admit import admit
from gateway.exchange.answering.authorise import authorise
from gateway.exchange.answering.charging import charge_of
from gateway.exchange.answering.count import count
from gateway.exchange.answering.find import Wanted, find
from gateway.exchange.answering.log import Answerable, log_exchanges
from gateway.exchange.answering.open import open_message
from gateway.exchange.answering.refuse import Owed, sign_refusals
from gateway.exchange.answering.seal import seal
from gateway.exchange.answering.translate import translate
from gateway.exchange.consents import is_revoked
from gateway.exchange.forms import QUERY_FORMS
from gateway.exchange.messages import (
    RECORD_QUERY_TYPE,
    Admitted,
    Found,
    IncomingCall,
    Opened,
    Sealed,
    Snapshot,
)
from gateway.records.source import RecordSource
from gateway.signing.envelope import parse
from gateway.storage.quota_rows import Charge
from gateway.telemetry import tracing
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.timings import StepTimes

S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True)
class Answering:
    """What the answering side works with, beside the snapshot that each call gets."""

    source: RecordSource
    log: AuditLog
    metrics: Metrics
    clock: Clock
    is_source_at_hand: bool = True
    """Whether looking up records waits for nobody else: not for a foreign database, which may be slow."""


@dataclass(slots=True)
class Query:
    """One signed query by any method of ``QUERY_FORMS``, and how far it has come."""

    request: bytes = field(repr=False)
    call: IncomingCall
    snapshot: Snapshot
    times: StepTimes = field(default_factory=StepTimes)
    openings: list[Opening] = field(default_factory=list, repr=False)
    opened: Opened[RecordQuery] | None = field(default=None, repr=False)
    charge: Charge | None = None
    """What its answer takes off the peer's quota."""
    outcome: bytes | Exception = field(default=b"", repr=False)
    """The response, or why there is none: a :class:`SignedRefusalError`, or a defect of this program."""


def answer_query(request: bytes, call: IncomingCall, snapshot: Snapshot, node: Answering) -> bytes:
    """Answer one query alone.

    Raises:
        SignedRefusalError: the query is refused.
    """
    return result_of(answer_queries([Query(request, call, snapshot)], node)[0])


def answer_queries(queries: Sequence[Query], node: Answering) -> list[bytes | Exception]:
    """Answer queries together; return each one's response, or the error that is its own."""
    here = tracing.present()
    try:
        opened = _each("open", _open, ((query, query.request) for query in queries))
        admitted = _each("admit", partial(_admit, node), opened)
        wanted = _each("authorise", partial(_authorise, node), admitted)
        found = _all("find", lambda states: find(states, node.source, node.log), wanted)
        answerable = _each("translate", _translate, found)
        logged = _all("log", lambda states: log_exchanges(states, node.log), answerable)
        sealed = _each("seal", lambda query, state: seal(state, query.snapshot, node.clock()), logged)
        for query, answer in sealed:
            _answered(query, answer, node)
        _refuse_all([(q, q.outcome) for q in queries if isinstance(q.outcome, RefusedError)], node)
    finally:
        tracing.go_on_with(here)
    return [query.outcome for query in queries]


def _each(
    name: str, step: Callable[[Query, S], T], states: Iterable[tuple[Query, S]]
) -> list[tuple[Query, T]]:
    """Take each query a step further; what is refused, or fails, goes no further and stops no other."""
    further = []
    for query, state in states:
        query.times.resume()
        try:
            further.append((query, step(query, state)))
        except Exception as error:  # noqa: BLE001 - a defect, too, is only this query's
            query.outcome = error
        else:
            query.times.done(name)
    return further


def _all(
    name: str, step: Callable[[Sequence[S]], Sequence[T | Exception]], states: Sequence[tuple[Query, S]]
) -> list[tuple[Query, T]]:
    """Take all queries a step further at once: each waits for the whole step."""
    if not states:
        return []
    for query, _ in states:
        query.times.resume()
    outcomes: Sequence[T | Exception]
    try:
        outcomes = step([state for _, state in states])
    except RefusedError as refused:
        outcomes = [refused.again() for _ in states]
    further = []
    for (query, _), outcome in zip(states, outcomes, strict=True):
        if isinstance(outcome, Exception):
            query.outcome = outcome
        else:
            query.times.done_together(name)
            further.append((query, outcome))
    return further


def _open(query: Query, request: bytes) -> Opened[RecordQuery]:
    require_time(query.call)  # it may have waited for those before it
    message, query.openings = parse_request(request, query.call.method)
    query.opened = open_message(query.call, message, RecordQuery, RECORD_QUERY_TYPE, query.snapshot.roster)
    return query.opened


def _admit(node: Answering, query: Query, opened: Opened[RecordQuery]) -> Admitted[RecordQuery]:
    return admit(opened, query.snapshot, node.log)


def _authorise(node: Answering, query: Query, admitted: Admitted[RecordQuery]) -> Wanted:
    authorised = authorise(admitted, query.openings, query.snapshot, partial(is_revoked, node.log))
    require_time(query.call)
    query.charge = charge_of(
        query.snapshot,
        admitted.opened.signer.node_id,
        authorised.body.purpose,
        authorised.subject_count,
        query.call.received_at,
    )
    return Wanted(authorised, query.charge)


def _translate(query: Query, found: Found) -> Answerable:
    translated = translate(found, query.snapshot)
    require_time(query.call)  # the last moment: what is logged is also answered
    return Answerable(translated, query.openings, query.snapshot, query.charge)


def _answered(query: Query, sealed: Sealed, node: Answering) -> None:
    query.outcome = sealed.response
    query.times.resume()
    query.times.waited()
    count(query.call, query.opened, "OK", sealed.logged.record_count, query.times, node.metrics)


def _refuse_all(refused: Sequence[tuple[Query, RefusedError]], node: Answering) -> None:
    for query, _ in refused:
        query.times.resume()
    owed = [Owed(query.opened, error, query.snapshot) for query, error in refused]
    for (query, _), signed in zip(refused, sign_refusals(owed, node.log, node.clock), strict=True):
        query.times.done_together("refuse")
        query.times.waited()
        query.outcome = signed
        count(query.call, query.opened, signed.reason, 0, query.times, node.metrics)


def require_time(call: IncomingCall) -> None:
    """Return if the caller still waits.

    Raises:
        RefusedError: ``DEADLINE_TOO_SHORT``; nobody would hear the answer.
    """
    if monotonic_s() >= call.deadline_at_s:
        raise RefusedError("DEADLINE_TOO_SHORT", "the deadline passed before the answer was ready.")


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
