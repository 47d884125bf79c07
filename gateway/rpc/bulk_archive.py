"""A search in bulk for a local application: one peer, many learners, parts as they come."""

from __future__ import annotations

from collections.abc import Iterator

from creditexchange.v1 import archive_pb2
from gateway.exchange.asking.ask_peer import Asking
from gateway.exchange.asking.bulk import BulkQuestion, LearnerPart, ask_in_bulk
from gateway.exchange.asking.question import ArchiveEntry, PeerResult, Provenance
from gateway.exchange.messages import Snapshot
from gateway.learners.identifier import RESIDENT_ID
from gateway.rpc.archive_messages import kinds_of, peer_message, peers_of, record_message, require_purpose
from gateway.rpc.methods import DEADLINE_S_MAX
from gateway.schemes import present_record


def bulk_messages(
    request: archive_pb2.SearchRecordsInBulkRequest, snapshot: Snapshot, node: Asking
) -> Iterator[archive_pb2.SearchRecordsInBulkResponse]:
    """Ask one peer as ``request`` says and yield what comes; the last message tells how it ended.

    Raises:
        CallerError: a member of the request is wrong; the text names it.
        OperatorError: this node cannot ask.
    """
    require_purpose(request.purpose, request.legal_basis)
    (peer,) = peers_of([request.peer], snapshot)
    question = BulkQuestion(
        learners=[
            (learner.identifier_type or RESIDENT_ID, learner.identifier) for learner in request.learners
        ],
        purpose=request.purpose,
        kinds=kinds_of(list(request.kinds)),
        peer=peer,
        legal_basis=request.legal_basis,
        deadline_s=min(request.deadline_ms / 1000 or DEADLINE_S_MAX, DEADLINE_S_MAX),
    )
    count = 0
    for came in ask_in_bulk(question, snapshot, node):
        if isinstance(came, PeerResult):
            ending = archive_pb2.SearchRecordsInBulkResponse(peer=peer_message(came))
            ending.peer.record_count = count
            yield ending
        else:
            results = [_result(part, peer.node_id, snapshot) for part in came]
            count += sum(len(result.records) for result in results)
            yield archive_pb2.SearchRecordsInBulkResponse(results=results)


def _result(part: LearnerPart, node_id: str, snapshot: Snapshot) -> archive_pb2.BulkResult:
    provenance = (Provenance(node_id, part.signed_by, part.exchange_id),)
    records = part.part.records if part.part is not None else ()
    return archive_pb2.BulkResult(
        position=part.position,
        outcome=part.outcome,
        records=[
            record_message(ArchiveEntry(record, present_record(record, snapshot.scheme), provenance))
            for record in records
        ],
        continues=part.continues,
        explanation=part.explanation,
    )
