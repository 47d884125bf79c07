"""Section 9, AuditLogService: the node's log, shared entries."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from creditexchange.v1.audit_pb2 import (
    GetCheckpointResponse,
    GetConsistencyProofRequest,
    GetConsistencyProofResponse,
    ListSharedEntriesRequest,
    ListSharedEntriesResponse,
)
from gateway.audit import (
    Checkpoint,
    ProofError,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)
from gateway.conformance.answer_checks import open_head, response_of
from gateway.conformance.case import Case, set_body
from gateway.conformance.draft import AUDIT, UNKNOWN_FIELD
from gateway.conformance.expectation import (
    DepartureError,
    Expectation,
    Reply,
    answered,
    refused,
    require_refusal,
)
from gateway.conformance.session import Session

SECTION = "9 AuditLogService"
GET_CHECKPOINT = f"{AUDIT}/GetCheckpoint"
GET_PROOF = f"{AUDIT}/GetConsistencyProof"
LIST_SHARED = f"{AUDIT}/ListSharedEntries"
ENTRIES_MAX = 128
BEYOND = 2**40


def _be_logged(session: Session) -> Reply:
    """Make the node log an entry about this pair: it needs no grant to refuse."""
    draft = session.query()
    set_body(federation_epoch="no-such-epoch")(draft)
    reply = session.send(draft)
    require_refusal(reply, "UNKNOWN_EPOCH")
    return reply


def _head(session: Session) -> tuple[Checkpoint, Reply]:
    reply = session.call(GET_CHECKPOINT, b"")
    return open_head(response_of(reply, GetCheckpointResponse).checkpoint, reply), reply


def _proof(session: Session, old_size: int, new_size: int, origin: str = "") -> Reply:
    origin = origin or session.card.log_origin
    request = GetConsistencyProofRequest(old_size=old_size, new_size=new_size, log_origin=origin)
    return session.call(GET_PROOF, request.SerializeToString())


def _checkpoint(session: Session) -> Sequence[Reply]:
    _be_logged(session)
    found, reply = _head(session)
    if not found.size:
        raise DepartureError("the log is empty after a refusal that is logged")
    return [reply]


def _consistency(session: Session) -> Sequence[Reply]:
    _be_logged(session)
    old, _ = _head(session)
    _be_logged(session)
    new, _ = _head(session)
    reply = _proof(session, old.size, new.size)
    _require_growth(old, new, list(response_of(reply, GetConsistencyProofResponse).consistency_proof))
    return [reply]


def _require_growth(old: Checkpoint, new: Checkpoint, path: Sequence[bytes]) -> None:
    try:
        verify_consistency(old.size, new.size, old.root, new.root, path)
    except ProofError as error:
        raise DepartureError(f"the log does not grow: {error.message}") from error


def _proof_from_nothing(session: Session) -> Sequence[Reply]:
    _be_logged(session)
    reply = _proof(session, 0, _head(session)[0].size)
    if response_of(reply, GetConsistencyProofResponse).consistency_proof:
        raise DepartureError("a proof from size 0 is not empty")
    return [reply]


def _pages(session: Session, known_size: int = 0) -> tuple[list[ListSharedEntriesResponse], Reply]:
    """Return every page of shared entries."""
    pages: list[ListSharedEntriesResponse] = []
    start, reply = 0, None
    while True:
        request = ListSharedEntriesRequest(start_index=start, known_size=known_size)
        reply = session.call(LIST_SHARED, request.SerializeToString())
        page = response_of(reply, ListSharedEntriesResponse)
        pages.append(page)
        if page.next_index <= start or page.next_index >= open_head(page.checkpoint, reply).size:
            return pages, reply
        start = page.next_index


def _shared_are_ours(session: Session) -> Sequence[Reply]:
    logged = _be_logged(session)
    assert logged.sent is not None
    pages, reply = _pages(session)
    parties = {session.identity.node_id, session.card.node_id}
    leaves = [json.loads(entry.leaf) for page in pages for entry in page.entries]
    if any({leaf.get("asker"), leaf.get("answerer")} != parties for leaf in leaves):
        raise DepartureError("an entry about others was given")
    if logged.sent.header.exchange_id.hex() not in {leaf.get("exchange_id") for leaf in leaves}:
        raise DepartureError("the newest exchange of this pair is missing")
    return [reply]


def _shared_are_proved(session: Session) -> Sequence[Reply]:
    _be_logged(session)
    pages, reply = _pages(session)
    for page in pages:
        found = open_head(page.checkpoint, reply)
        if len(page.entries) > ENTRIES_MAX:
            raise DepartureError("a page has more than 128 entries")
        for entry in page.entries:
            try:
                verify_inclusion(
                    leaf_hash(entry.leaf), entry.index, found.size, entry.inclusion_proof, found.root
                )
            except ProofError as error:
                raise DepartureError(f"entry {entry.index}: {error.message}") from error
    return [reply]


def _shared_continue(session: Session) -> Sequence[Reply]:
    _be_logged(session)
    old, _ = _head(session)
    _be_logged(session)
    pages, reply = _pages(session, known_size=old.size)
    for page in pages:
        _require_growth(old, open_head(page.checkpoint, reply), list(page.consistency_proof))
    return [reply]


def _list_beyond(session: Session) -> Sequence[Reply]:
    request = ListSharedEntriesRequest(start_index=BEYOND)
    return [session.call(LIST_SHARED, request.SerializeToString())]


def _case(id_: str, sent: str, must: Expectation, run: Callable[[Session], Sequence[Reply]]) -> Case:
    return Case(id_, SECTION, sent, must, run)


CASES = (
    _case("log-checkpoint", "GetCheckpoint", answered(text="a checkpoint by the log's key"), _checkpoint),
    _case(
        "log-consistency",
        "GetConsistencyProof between two checkpoints",
        answered(text="a proof that verifies"),
        _consistency,
    ),
    _case(
        "log-consistency-from-nothing",
        "GetConsistencyProof from 0",
        answered(text="an empty proof"),
        _proof_from_nothing,
    ),
    _case(
        "log-consistency-beyond",
        "GetConsistencyProof to more entries than there are",
        refused("SIZE_OUT_OF_RANGE", metadata=["size"]),
        lambda session: [_proof(session, 1, BEYOND)],
    ),
    _case(
        "log-consistency-unknown-log",
        "GetConsistencyProof of a log by a name that the card does not give",
        refused("UNKNOWN_LOG"),
        lambda session: [_proof(session, 0, 1, f"{session.card.log_origin}+elsewhere")],
    ),
    _case(
        "log-field-in-request",
        "GetCheckpoint with an unknown field",
        refused("MALFORMED_MESSAGE"),
        lambda session: [session.call(GET_CHECKPOINT, UNKNOWN_FIELD)],
    ),
    _case(
        "shared-ours",
        "ListSharedEntries",
        answered(text="all entries of this pair, no others"),
        _shared_are_ours,
    ),
    _case(
        "shared-proved", "ListSharedEntries", answered(text="an inclusion proof an entry"), _shared_are_proved
    ),
    _case(
        "shared-continue",
        "ListSharedEntries with a known size",
        answered(text="a proof that the checkpoint continues it"),
        _shared_continue,
    ),
    _case(
        "shared-beyond",
        "ListSharedEntries from beyond the log",
        refused("SIZE_OUT_OF_RANGE", metadata=["size"]),
        _list_beyond,
    ),
)
