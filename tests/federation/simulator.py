"""A federation in memory: real keys, real logs on SQLite, a clock that stands, a wire that can lie.

A test changes one thing and looks at the reason that comes back.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from creditexchange.v1.exchange_pb2 import QueryRecordsRequest, RecordQuery, RecordQueryBody
from creditexchange.v1.record_pb2 import LearningRecord
from gateway.audit import AuditLog, Witness
from gateway.audit.commitment import SUBJECT_TOKEN, commitments_root, open_items
from gateway.clock import monotonic_s, new_id
from gateway.errors import PeerFaultError, RefusedError
from gateway.exchange.answering.answer import Answering
from gateway.exchange.answering.handlers import peer_handlers, stream_handlers
from gateway.exchange.answering.refuse import SignedRefusalError
from gateway.exchange.asking.ask import ask
from gateway.exchange.asking.ask_peer import Asking
from gateway.exchange.asking.audit_log import PeerAudit
from gateway.exchange.asking.hedging import Stragglers
from gateway.exchange.asking.question import Archive, Question
from gateway.exchange.asking.retrying import AskingSettings
from gateway.exchange.messages import (
    QUERY_RECORDS,
    RECORD_QUERY_TYPE,
    ExchangeSettings,
    IncomingCall,
    Snapshot,
)
from gateway.learners.subject_token import FederationSecret, subject_token
from gateway.node.assemble import OUTCOMES
from gateway.peers.caller import RefusalDetails, RefusedByPeerError
from gateway.peers.reach import Reaches
from gateway.peers.roster import Peer, Roster
from gateway.policy.grants import Access, AccessFile
from gateway.policy.purposes import KINDS, LEGAL_BASES, PURPOSES
from gateway.records.source import StoredRecord
from gateway.rpc.methods import METHODS
from gateway.schemes import Scheme, load_scheme
from gateway.signing.envelope import seal
from gateway.storage.audit_rows import read_entries_before
from gateway.storage.engine import open_engine, reading
from gateway.telemetry.metrics import Metrics
from gateway.upkeep.reconciling import Reconciling, Step
from gateway.upkeep.witnessing import Witnessing
from tests.federation.provinces import NOW, Province

EXAMPLES = Path(__file__).parents[2] / "node_config"
SECRET = FederationSecret("2026", bytes(range(32)))
LEARNER = "990001199003071231"
STRANGER = "990001199003079970"

EMPLOYMENT = PURPOSES["employment"]
STATUTE = LEGAL_BASES["statutory-duty"]
ASKED_KINDS = (KINDS["course"], KINDS["skill-level"])


@dataclass
class Shelf:
    """A record source that holds what a test puts into it."""

    records: dict[bytes, list[StoredRecord]] = field(default_factory=dict)
    asked: int = 0

    def find(self, subject_tokens: Sequence[bytes], kinds: Collection[int]) -> list[list[StoredRecord]]:
        self.asked += 1
        return [[r for r in self.records.get(t, []) if r.kind in kinds] for t in subject_tokens]


@dataclass
class SimulatedNode:
    """One node: a province with a log, a shelf of records, and a snapshot that tests may replace."""

    province: Province
    log: AuditLog
    shelf: Shelf
    snapshot: Snapshot
    metrics: Metrics
    clock: Callable[[], datetime]
    wire: Wire
    database: Path
    settings: AskingSettings = AskingSettings()
    reaches: Reaches = field(default_factory=Reaches)
    stragglers: Stragglers = field(default_factory=Stragglers)

    def open_log(self, database: Path) -> AuditLog:
        """Go on with the log in ``database``: this node's own, or a copy of it."""
        engine = open_engine(f"sqlite:///{database}")
        self.database = database
        self.log = AuditLog.open(
            engine, self.province.log_origin, self.province.log_key.private, self.clock, bytes(32)
        )
        return self.log

    def copy_log(self, name: str) -> Path:
        """Return a copy of the log as it stands now, as a backup would make it."""
        copy = self.database.with_name(name)
        with closing(sqlite3.connect(self.database)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        return copy

    @property
    def node_id(self) -> str:
        return self.province.node_id

    def entries(self) -> list[dict]:
        """Return what the log's leaves say, the oldest first."""
        with reading(self.log.database) as connection:
            rows = read_entries_before(connection, self.log.size, self.log.size)
        return [json.loads(row.leaf) for row in reversed(rows)]

    @property
    def answering(self) -> Answering:
        return Answering(self.shelf, self.log, self.metrics, self.clock)

    @property
    def asking(self) -> Asking:
        return Asking(
            self.wire, self.log, self.metrics, self.clock, self.settings, self.reaches, self.stragglers
        )

    @property
    def witness(self) -> Witness:
        return Witness(self.log, self.province.witness, self.clock)

    @property
    def witnessing(self) -> Witnessing:
        return Witnessing(self.log, self.witness, lambda: self.snapshot.roster, self.wire, self.metrics)

    def audit_of(self, peer: str) -> PeerAudit:
        return PeerAudit(self.snapshot.roster.peers[peer], self.wire, 5.0)

    def reconcile(self, peer: str, since_ms: int | None = None) -> Step:
        """Compare until both ends are reached."""
        reconciling = Reconciling(self.log, self.witness, self.node_id, self.clock)
        step = reconciling.step(self.audit_of(peer), since_ms=since_ms)
        while not step.done:
            step = reconciling.step(self.audit_of(peer))
        return step

    def ask(self, *peers: str, **changes: object) -> Archive:
        return ask(self.question(*peers, **changes), self.snapshot, self.asking)

    def put(self, identifier: str, *titles: str, kind: int = KINDS["course"]) -> None:
        token = subject_token(SECRET, "resident-id", identifier)
        for title in titles:
            record = LearningRecord(record_id=title, kind=kind, source_node=self.node_id)
            record.titles.add(language="en", text=title)
            self.shelf.records.setdefault(token, []).append(
                StoredRecord(
                    record_id=title,
                    kind=kind,
                    translated=record.SerializeToString(),
                    scheme_digest=self.snapshot.scheme.reference.digest,
                    original=b"{}",
                )
            )

    def adopt(self, **changes: object) -> None:
        self.snapshot = replace(self.snapshot, **changes)

    def question(self, *peers: str, **changes: object) -> Question:
        known = self.snapshot.roster.peers
        facts: dict[str, object] = {
            "identifier_type": "resident-id",
            "learner_identifier": LEARNER,
            "purpose": EMPLOYMENT,
            "kinds": ASKED_KINDS,
            "peers": tuple(known[p] for p in peers) if peers else tuple(known.values()),
            "legal_basis": STATUTE,
            "deadline_s": 5.0,
        }
        return Question(**(facts | changes))


@dataclass
class Wire:
    """Carries calls between the simulated nodes. ``tampering`` may replace request or response."""

    nodes: dict[str, SimulatedNode] = field(default_factory=dict)
    sender: str = ""
    request_tampering: Callable[[bytes], bytes] = staticmethod(lambda request: request)
    response_tampering: Callable[[bytes], bytes] = staticmethod(lambda response: response)
    stream_tampering: Callable[[Iterator[bytes]], Iterator[bytes]] = staticmethod(lambda chunks: chunks)
    faults: dict[str, PeerFaultError] = field(default_factory=dict)
    carried: list[tuple[str, bytes]] = field(default_factory=list)

    def call(self, peer: Peer, method: str, request: bytes, timeout_s: float) -> bytes:
        if peer.node_id in self.faults:
            raise self.faults[peer.node_id]
        request = self.request_tampering(request)
        self.carried.append((peer.node_id, request))
        node = self.nodes[peer.node_id]
        call = incoming(node, self.sender, method=method)
        try:
            handler = peer_handlers(node.answering, node.witness)[method]
            return self.response_tampering(handler(request, call, node.snapshot))
        except RefusedError as refused:
            raise refusal_of(refused) from refused

    def stream(self, peer: Peer, method: str, request: bytes, timeout_s: float) -> Iterator[bytes]:
        if peer.node_id in self.faults:
            raise self.faults[peer.node_id]
        request = self.request_tampering(request)
        self.carried.append((peer.node_id, request))
        node = self.nodes[peer.node_id]
        handler = stream_handlers(node.answering)[method]
        try:
            yield from self.stream_tampering(
                handler(request, incoming(node, self.sender, method=method), node.snapshot)
            )
        except RefusedError as refused:
            raise refusal_of(refused) from refused

    def forget(self, keep: Sequence[Peer]) -> None:
        """Nothing is kept open here."""


def refusal_of(refused: RefusedError) -> RefusedByPeerError:
    """What the asker sees of a refusal."""
    return RefusedByPeerError(
        RefusalDetails(
            refused.reason,
            refused.message,
            tuple(refused.details.items()),
            refused.signed if isinstance(refused, SignedRefusalError) else None,
            refused.retry_after_s,
        )
    )


def incoming(node: SimulatedNode, sender: str, method: str = QUERY_RECORDS) -> IncomingCall:
    """A call that arrives at ``node`` over TLS that proves ``sender``."""
    return IncomingCall(method, node.snapshot.roster.peers[sender], node.clock(), monotonic_s() + 5)


def all_granted(*peers: str) -> Access:
    return Access.of(
        AccessFile.model_validate(
            {
                "grant": [
                    {
                        "peer": peer,
                        "purposes": ["employment"],
                        "kinds": ["course", "skill-level", "degree"],
                        "consent_required": False,
                        "statutory_basis": "a statute",
                    }
                    for peer in peers
                ]
            }
        )
    )


@dataclass
class Federation:
    """Several simulated nodes that know each other."""

    nodes: dict[str, SimulatedNode]
    now: list[datetime]

    def __getitem__(self, node_id: str) -> SimulatedNode:
        return self.nodes[node_id]

    def pass_time(self, seconds: float) -> None:
        self.now[0] += timedelta(seconds=seconds)


@cache
def _scheme(province: str) -> Scheme:
    return load_scheme(EXAMPLES / province / "scheme.toml")


def make_federation(folder: Path, *ids: str, born: datetime = NOW, **provinces_made: Province) -> Federation:
    """``provinces_made`` stand in for some of the provinces that are otherwise made by default."""
    provinces = {i: provinces_made.get(i) or Province(i, born=born) for i in ids}
    now = [born]
    nodes: dict[str, SimulatedNode] = {}
    for i, province in provinces.items():
        engine = open_engine(f"sqlite:///{folder / f'{i}.db'}")
        AuditLog.create(engine, province.log_origin, clock=lambda: now[0], born_with_keys=True)
        log = AuditLog.open(engine, province.log_origin, province.log_key.private, lambda: now[0], bytes(32))
        others = [p.peer() for p in provinces.values() if p is not province]
        metrics = Metrics(OUTCOMES, (m.name for m in METHODS))
        metrics.know_peers(ids)
        snapshot = Snapshot(
            node_id=i,
            message_keys=(province.message_key, *province.further_message_keys),
            roster=Roster.of(others),
            access=all_granted(*(o.node_id for o in others)),
            scheme=_scheme(i if (EXAMPLES / i).is_dir() else "zhejiang"),
            secrets={"2026": SECRET},
            settings=ExchangeSettings(),
            card_serial=1,
        )
        wire = Wire(nodes, sender=i)
        database = folder / f"{i}.db"
        nodes[i] = SimulatedNode(province, log, Shelf(), snapshot, metrics, lambda: now[0], wire, database)
    return Federation(nodes, now)


@dataclass
class Draft:
    """A query before it is signed; tests change what they want to be wrong."""

    query: RecordQuery
    body: RecordQueryBody
    openings: list

    def signed(self, province: Province, type_: str = RECORD_QUERY_TYPE) -> bytes:
        if self.body is not None:
            self.query.body = self.body.SerializeToString()
        message = seal(self.query.SerializeToString(), type_, [province.message_key])
        return QueryRecordsRequest(message=message, openings=self.openings).SerializeToString()


def draft(asker: str, answerer: str, now: datetime, identifier: str = LEARNER) -> Draft:
    """A correct query from ``asker`` to ``answerer``."""
    openings = open_items(SUBJECT_TOKEN, [subject_token(SECRET, "resident-id", identifier)])
    query = RecordQuery()
    header = query.header
    header.protocol_version = 1
    header.message_id, header.exchange_id = new_id(), new_id()
    header.pair_sequence = 1
    header.sender, header.audience, header.method = asker, answerer, QUERY_RECORDS
    header.issue_time.FromDatetime(now)
    header.expire_time.FromDatetime(now + timedelta(seconds=60))
    body = RecordQueryBody(
        purpose=EMPLOYMENT,
        kinds=ASKED_KINDS,
        subjects_root=commitments_root(openings),
        subject_count=1,
        federation_epoch="2026",
        legal_basis=STATUTE,
    )
    return Draft(query, body, openings)
