"""Section 9, AuditLogService: the node as a witness of the identity's log (C2SP tlog-witness)."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

from creditexchange.v1.audit_pb2 import (
    AddCheckpointRequest,
    AddCheckpointResponse,
    GetWitnessedCheckpointRequest,
    GetWitnessedCheckpointResponse,
)
from gateway.audit import parse_checkpoint
from gateway.conformance.answer_checks import response_of
from gateway.conformance.case import Case, a_witness
from gateway.conformance.draft import AUDIT
from gateway.conformance.expectation import DepartureError, Expectation, Reply, answered, refused
from gateway.conformance.own_tree import forked_head, head, proof
from gateway.conformance.session import Session
from gateway.signing.cosignature import cosignatures_of
from gateway.signing.signed_note import NoteError, NoteSigner, open_note, parse_note
from gateway.signing.suites import SigningKey

SECTION = "9 AuditLogService"
ADD_CHECKPOINT = f"{AUDIT}/AddCheckpoint"
GET_WITNESSED = f"{AUDIT}/GetWitnessedCheckpoint"


def _witnessed_size(session: Session) -> int:
    """Return the size of the identity's log that the node has cosigned last; 0 for none."""
    request = GetWitnessedCheckpointRequest(log_origin=session.identity.card.log_origin)
    reply = session.call(GET_WITNESSED, request.SerializeToString())
    if reply.raw.reason == "UNKNOWN_LOG":
        return 0
    note = response_of(reply, GetWitnessedCheckpointResponse).checkpoint
    try:
        return parse_checkpoint(parse_note(note).text).size
    except NoteError as error:
        raise DepartureError(f"what was cosigned: {error.message}") from error


def _add(session: Session, old_size: int, path: Sequence[bytes], note: str) -> Reply:
    request = AddCheckpointRequest(old_size=old_size, consistency_proof=path, checkpoint=note)
    return session.call(ADD_CHECKPOINT, request.SerializeToString())


def _grow(session: Session) -> tuple[int, Reply]:
    """Have the next head of the identity's log cosigned; return its size."""
    old = _witnessed_size(session)
    new = old + 1
    return new, _add(session, old, proof(old, new), head(session.identity, new))


def _require_cosigned(session: Session, note: str) -> None:
    verifier = session.card.witness_verifier
    assert verifier is not None
    try:
        if not cosignatures_of(note, [verifier]):
            raise DepartureError("the card's witness has no line")
    except NoteError as error:
        raise DepartureError(f"the cosignature: {error.message}") from error


def _cosign(session: Session) -> Sequence[Reply]:
    size, reply = _grow(session)
    lines = response_of(reply, AddCheckpointResponse).cosignatures
    _require_cosigned(session, head(session.identity, size) + lines)
    return [reply]


def _witnessed(session: Session) -> Sequence[Reply]:
    size, _ = _grow(session)
    request = GetWitnessedCheckpointRequest(log_origin=session.identity.card.log_origin)
    reply = session.call(GET_WITNESSED, request.SerializeToString())
    note = response_of(reply, GetWitnessedCheckpointResponse).checkpoint
    try:  # some suites sign anew each time, so that lines cannot be compared
        text, _ = open_note(note, [session.identity.log_signer.verifier])
    except NoteError as error:
        raise DepartureError(f"the head has no line of the log: {error.message}") from error
    if text != parse_note(head(session.identity, size)).text:
        raise DepartureError("it is not the head that was cosigned last, with the log's line")
    _require_cosigned(session, note)
    return [reply]


def _outdated(session: Session) -> Sequence[Reply]:
    size, _ = _grow(session)
    old = size + 1
    reply = _add(session, old, proof(old, old + 1), head(session.identity, old + 1))
    _require_size(reply, size)
    return [reply]


def _require_size(reply: Reply, size: int) -> None:
    if reply.raw.code != "OK" and reply.raw.metadata.get("size") != str(size):
        raise DepartureError(f"{reply}: size is not {size}")


def _forked(session: Session) -> Sequence[Reply]:
    size, _ = _grow(session)
    return [_add(session, size, [], forked_head(session.identity, size))]


def _wrong_proof(session: Session) -> Sequence[Reply]:
    size, _ = _grow(session)
    path = [secrets.token_bytes(32) for _ in proof(size, size + 1)]
    return [_add(session, size, path, head(session.identity, size + 1))]


def _unsigned(session: Session) -> Sequence[Reply]:
    size, _ = _grow(session)
    impostor = NoteSigner(session.identity.card.log_origin, SigningKey.generate().private)
    body = parse_note(head(session.identity, size + 1)).text
    note = parse_checkpoint(body).sign([impostor])
    return [_add(session, size, proof(size, size + 1), note)]


def _garbage(session: Session) -> Sequence[Reply]:
    return [_add(session, _witnessed_size(session), [], "no checkpoint")]


def _unknown_log(session: Session) -> Sequence[Reply]:
    request = GetWitnessedCheckpointRequest(log_origin="no.such.example/log")
    return [session.call(GET_WITNESSED, request.SerializeToString())]


def _witness(id_: str, sent: str, must: Expectation, run: Callable[[Session], Sequence[Reply]]) -> Case:
    return Case(id_, SECTION, sent, must, run, (a_witness,))


CASES = (
    _witness(
        "witness-cosigns",
        "AddCheckpoint with the next head",
        answered(text="the witness's cosignature"),
        _cosign,
    ),
    _witness(
        "witness-shows",
        "GetWitnessedCheckpoint of the own log",
        answered(text="the last head with both signatures"),
        _witnessed,
    ),
    _witness(
        "witness-outdated",
        "AddCheckpoint from a size that was not cosigned",
        refused("CHECKPOINT_OUTDATED", metadata=["size"]),
        _outdated,
    ),
    _witness(
        "witness-forked",
        "AddCheckpoint with another head of the same size",
        refused("CHECKPOINT_INCONSISTENT", metadata=["size"]),
        _forked,
    ),
    _witness(
        "witness-proof-wrong",
        "AddCheckpoint with a wrong proof",
        refused("CHECKPOINT_INCONSISTENT", metadata=["size"]),
        _wrong_proof,
    ),
    _witness(
        "witness-unsigned", "AddCheckpoint signed by another key", refused("CHECKPOINT_UNSIGNED"), _unsigned
    ),
    _witness("witness-garbage", "AddCheckpoint without a checkpoint", refused("MALFORMED_MESSAGE"), _garbage),
    Case(
        "witness-unknown-log",
        SECTION,
        "GetWitnessedCheckpoint of a log that nobody has",
        refused("UNKNOWN_LOG"),
        _unknown_log,
    ),
)
