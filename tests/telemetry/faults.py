"""Faults that a node can meet, done to real nodes from outside, as life or an attacker would do them."""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import grpc

from creditexchange.v1.audit_pb2 import (
    AddCheckpointRequest,
    GetWitnessedCheckpointRequest,
    GetWitnessedCheckpointResponse,
)
from creditexchange.v1.envelope_pb2 import SignedMessage
from creditexchange.v1.exchange_pb2 import QueryRecordsRequest
from gateway.audit import AuditLog, management_entry, prove_consistency
from gateway.audit.checkpoint import Checkpoint, size_of
from gateway.audit.commitment import SUBJECT_TOKEN, commitments_root, open_items
from gateway.clock import system_clock
from gateway.exchange.messages import ADD_CHECKPOINT, GET_WITNESSED_CHECKPOINT, RECORD_QUERY_TYPE
from gateway.learners.subject_token import subject_token
from gateway.node.folder import load_keys
from gateway.signing.envelope import seal
from gateway.signing.signed_note import NoteSigner
from gateway.storage.engine import open_engine
from tests.federation.simulator import Draft, draft
from tests.processes.provinces import DEMO_LEARNER, ProcessNode

AT_ONCE = 24


def keys_of(node: ProcessNode):
    return load_keys(node.folder, node.config)


def query_of(
    asker: ProcessNode, answerer: ProcessNode, *, clock_off_s: float = 0, checkpoint: str = ""
) -> bytes:
    """A query of ``asker`` as it would sign it, if its clock were off, or if it showed another head."""
    made: Draft = draft(asker.node_id, answerer.node_id, system_clock() + timedelta(seconds=clock_off_s))
    token = subject_token(asker.secret, "resident-id", DEMO_LEARNER)
    made.openings = open_items(SUBJECT_TOKEN, [token])
    made.body.subjects_root = commitments_root(made.openings)
    made.query.header.checkpoint = checkpoint
    made.query.body = made.body.SerializeToString()
    message = seal(
        made.query.SerializeToString(),
        RECORD_QUERY_TYPE,
        keys_of(asker).message_keys,
    )
    return QueryRecordsRequest(message=message, openings=made.openings).SerializeToString()


def wrong_clock(asker: ProcessNode, answerer: ProcessNode) -> None:
    asker.send(answerer, query_of(asker, answerer, clock_off_s=16))


def forged(asker: ProcessNode, answerer: ProcessNode) -> None:
    """A message whose signature does not verify, over the peer's own TLS identity."""
    request = QueryRecordsRequest.FromString(query_of(asker, answerer))
    message: SignedMessage = request.message
    message.signatures[0].signature = bytes(64)
    _refused(asker, answerer, request.SerializeToString())


def replayed(asker: ProcessNode, answerer: ProcessNode) -> None:
    request = query_of(asker, answerer)
    asker.send(answerer, request)
    for _ in range(8):
        _refused(asker, answerer, request)


def broken_configuration(node: ProcessNode) -> None:
    with node.folder.access.open("a", encoding="utf-8") as access:
        access.write("\n[[grant]]\npeer = 7\n")


def few_files(node: ProcessNode) -> None:
    """A limit just above what is open."""
    assert node.process is not None
    pid = node.process.pid
    count = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (count + 8, hard))


@contextmanager
def locked_database(node: ProcessNode) -> Iterator[None]:
    """Another process holds the write lock of the log's database."""
    with closing(sqlite3.connect(node.folder.root / "data" / "node.db", isolation_level=None)) as other:
        other.execute("PRAGMA busy_timeout=20000")
        other.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            other.execute("ROLLBACK")


def many_at_once(askers: list[ProcessNode], answerer: ProcessNode) -> None:
    """More calls than are answered at once; each fails or not as it may."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda number: _try(askers[number % len(askers)], answerer), range(AT_ONCE)))


def contradicting_head(owner: ProcessNode, shown_to: ProcessNode) -> None:
    """A head of the owner's log that its log never had, signed with its own key."""
    log = NoteSigner(owner.config.audit.origin, keys_of(owner).log.private)
    note = Checkpoint(log.name, 1_000_000, bytes(range(32))).sign([log])
    owner.send(shown_to, query_of(owner, shown_to, checkpoint=note))


def copy_log(node: ProcessNode, target: Path) -> Path:
    """Copy the database as it stands, for :func:`larger_head`."""
    with (
        closing(sqlite3.connect(node.folder.root / "data" / "node.db")) as source,
        closing(sqlite3.connect(target)) as copy,
    ):
        source.backup(copy)
    return target


def larger_head(owner: ProcessNode, witness: ProcessNode, scratch: Path) -> None:
    """Have ``witness`` cosign a head that the owner's own database does not have: it was rolled back."""
    engine = open_engine(f"sqlite:///{copy_log(owner, scratch)}")
    keys = keys_of(owner)
    log = AuditLog.open(engine, owner.config.audit.origin, keys.log.private, system_clock, keys.evidence)
    for _ in range(200):
        log.append(management_entry("restore", reason="elsewhere"))
    call = owner.channel_to(witness)
    held = GetWitnessedCheckpointResponse.FromString(
        call.unary_unary(GET_WITNESSED_CHECKPOINT)(
            GetWitnessedCheckpointRequest(log_origin=log.origin).SerializeToString(), timeout=10
        )
    ).checkpoint
    note, old_size = log.latest_checkpoint(), int(held.split("\n", 2)[1]) if held else 0
    with log.reading() as connection:
        proof = prove_consistency(connection, old_size, size_of(note))
    request = AddCheckpointRequest(old_size=old_size, consistency_proof=proof, checkpoint=note)
    call.unary_unary(ADD_CHECKPOINT)(request.SerializeToString(), timeout=10)
    log.close()
    engine.dispose()


def _refused(asker: ProcessNode, answerer: ProcessNode, request: bytes) -> None:
    try:
        asker.send(answerer, request)
    except grpc.RpcError:
        return
    raise AssertionError("it was answered")


def _try(asker: ProcessNode, answerer: ProcessNode) -> None:
    try:
        asker.send(answerer, query_of(asker, answerer), timeout=20)
    except grpc.RpcError:
        return
