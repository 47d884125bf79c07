"""Streams over real gRPC and TLS: they flow as the reader reads, and never take all threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from creditexchange.v1.record_pb2 import LearningRecord
from gateway.clock import monotonic_s, system_clock
from gateway.errors import PeerFaultError
from gateway.exchange.asking.ask import ask_each
from gateway.exchange.asking.bulk import ShownLearner, ask_in_bulk, compose_bulk
from gateway.exchange.asking.question import PeerResult
from gateway.exchange.messages import QUERY_IN_BULK
from gateway.policy.purposes import KINDS
from gateway.records.source import StoredRecord
from tests.exchange.bulk_asking import gather, learners, question, token_of
from tests.federation.real_wire import RealWire, real_wire
from tests.federation.simulator import Federation, make_federation
from tests.ports import free_port

WHOM = learners(1_000)
RECORD_BYTES = 6_000


@pytest.fixture
def federation(tmp_path: Path) -> Iterator[Federation]:
    """Shanghai holds 6 kB of each of a thousand learners: some thirty chunks."""
    made = make_federation(tmp_path, "zhejiang", "shanghai", born=system_clock())
    shanghai = made["shanghai"]
    digest = shanghai.snapshot.scheme.reference.digest
    for number, identifier in enumerate(WHOM):
        record = LearningRecord(
            record_id=str(number),
            kind=KINDS["course"],
            source_node="shanghai",
            holder_name="x" * RECORD_BYTES,
        )
        stored = StoredRecord(str(number), KINDS["course"], record.SerializeToString(), digest, b"{}")
        shanghai.shelf.records[token_of(identifier)] = [stored]
    yield made
    for node in made.nodes.values():
        node.log.close()
        node.log._database.dispose()


@pytest.fixture
def wire(federation: Federation) -> Iterator[RealWire]:
    with real_wire(federation["zhejiang"], federation["shanghai"], free_port()) as made:
        yield made


def query(federation: Federation, wire: RealWire) -> bytes:
    """The bytes of a new query about everybody."""
    zhejiang = federation["zhejiang"]
    shown = [ShownLearner(at, token_of(identifier)) for at, identifier in enumerate(WHOM)]
    sequence = zhejiang.log.next_pair_sequence("shanghai")
    return compose_bulk(
        question(zhejiang, "shanghai", WHOM),
        shown,
        sequence,
        zhejiang.snapshot,
        checkpoint="",
        now=system_clock(),
    ).request


def test_everybody_is_answered_over_real_streams(federation: Federation, wire: RealWire) -> None:
    zhejiang = federation["zhejiang"]
    asked = question(zhejiang, "shanghai", WHOM, deadline_s=25.0)
    answer = gather(ask_in_bulk(asked, zhejiang.snapshot, wire.asking))
    assert answer.result.outcome == "OK", answer.result
    assert answer.titles == {number: [str(number)] for number in range(1_000)}
    assert answer.parts > 20


def test_nothing_is_made_that_nobody_reads(federation: Federation, wire: RealWire) -> None:
    """The reader takes one chunk and waits: flow control stops the answerer a few chunks later."""
    shanghai = federation["shanghai"]
    stream = wire.asking.caller.stream(wire.peer, QUERY_IN_BULK, query(federation, wire), 20.0)
    next(stream)
    before, stood, pause = -1, 0, threading.Event()
    end_s = monotonic_s() + 15
    while stood < 10 and monotonic_s() < end_s:  # until it has stood still for half a second
        stood = stood + 1 if shanghai.log.size == before else 0
        before = shanghai.log.size
        pause.wait(0.05)
    assert 1 <= before <= 15
    stream.close()


def test_slow_readers_leave_room_for_everybody_else(federation: Federation, wire: RealWire) -> None:
    zhejiang = federation["zhejiang"]
    held = [
        wire.asking.caller.stream(wire.peer, QUERY_IN_BULK, query(federation, wire), 20.0) for _ in range(2)
    ]
    for stream in held:
        next(stream)
    third = wire.asking.caller.stream(wire.peer, QUERY_IN_BULK, query(federation, wire), 20.0)
    with pytest.raises(PeerFaultError) as caught:
        next(third)
    assert caught.value.outcome == "OVERLOADED"
    *_, single = ask_each(
        zhejiang.question("shanghai", learner_identifier=WHOM[3]), zhejiang.snapshot, wire.asking
    )
    assert isinstance(single, PeerResult)
    assert single.outcome == "OK"
    for stream in held:
        stream.close()
    # Their places come back without waiting for a deadline.
    asked = question(zhejiang, "shanghai", WHOM[:5])
    end_s, outcome = monotonic_s() + 10, ""
    while outcome != "OK" and monotonic_s() < end_s:
        *_, result = ask_in_bulk(asked, zhejiang.snapshot, wire.asking)
        assert isinstance(result, PeerResult)
        outcome = result.outcome
    assert outcome == "OK"


def test_a_reader_that_stops_is_cut_off_at_its_deadline(federation: Federation, wire: RealWire) -> None:
    stream = wire.asking.caller.stream(wire.peer, QUERY_IN_BULK, query(federation, wire), 1.0)
    next(stream)
    end_s, pause = monotonic_s() + 10, threading.Event()
    while wire.guard._streams.total() and monotonic_s() < end_s:
        pause.wait(0.05)
    assert wire.guard._streams.total() == 0
    with pytest.raises(PeerFaultError) as caught:
        list(stream)
    assert caught.value.outcome in {"NO_ANSWER", "DEADLINE_TOO_SHORT"}


def test_a_request_larger_than_a_message_is_refused(federation: Federation, wire: RealWire) -> None:
    with pytest.raises(PeerFaultError):
        list(wire.asking.caller.stream(wire.peer, QUERY_IN_BULK, bytes(300_000), 5.0))
    assert federation["shanghai"].log.size == 0
