"""Evidence of one learner out of an exchange about many: told, shown, proved and erased alone."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from creditexchange.v1.record_pb2 import LearningRecord
from gateway.audit.erasure import erase_learner
from gateway.audit.evidence import EvidenceError
from gateway.audit.evidence_rotation import rotate_evidence_key
from gateway.errors import CallerError, PeerFaultError
from gateway.exchange.collect_evidence import Collector
from gateway.exchange.evidence_bundle import BundleError, parse_bundle, verify_bundle
from gateway.signing import dsse
from gateway.storage import audit_rows, evidence_rows
from gateway.storage.witness_rows import put_card
from tests.exchange.bulk_asking import ask, learners, token_of
from tests.federation.simulator import Federation, SimulatedNode, make_federation

NODES = ("shanghai", "zhejiang")
WHOM = learners(60)


@pytest.fixture
def federation(tmp_path: Path) -> Iterator[Federation]:
    """One exchange in several chunks; learner 7 has two courses, learner 8 none."""
    made = make_federation(tmp_path, *NODES)
    shanghai = made["shanghai"]
    shanghai.adopt(settings=replace(shanghai.snapshot.settings, message_bytes_max=20 * 1024))
    for number, identifier in enumerate(WHOM):
        if number != 8:
            shanghai.put(identifier, *[f"course {number}-{at}" for at in range(2 if number == 7 else 1)])
    assert ask(made["zhejiang"], "shanghai", WHOM).result.outcome == "OK"
    for node in made.nodes.values():
        for other in made.nodes.values():
            card = other.province.card()
            text = dsse.to_json(card.message)
            node.log.transact(
                lambda transaction, card=card, text=text: put_card(
                    transaction, bytes.fromhex(card.fingerprint), card.node_id, card.serial, text
                )
            )
    yield made
    for node in made.nodes.values():
        node.log.close()
        node.log._database.dispose()


def places(node: SimulatedNode, collector: Collector, identifier: str) -> list[evidence_rows.PartRow]:
    refs = list(node.log.vault.subject_refs(token_of(identifier)))
    return evidence_rows.read_parts_of_subjects(collector.connection, refs)


@pytest.mark.parametrize("side", NODES)
def test_one_learners_record_is_proved_without_the_others(federation: Federation, side: str) -> None:
    node = federation[side]
    with node.log.reading() as connection:
        collector = Collector(connection, node.log.vault, NODES)
        for number in (0, 7, 59):
            (place,) = places(node, collector, WHOM[number])
            row = audit_rows.read_entry(connection, place.idx)
            draft = collector.share_of(row, place.part)
            found = collector.records(place.idx, draft, {place.part})
            assert len(found) == draft.count == (2 if number == 7 else 1)
            for at, (index, opening) in enumerate(found):
                bundle = collector.bundle(row, index)
                report = verify_bundle(parse_bundle(bundle.render()))
                assert report.record == LearningRecord.FromString(opening.item)
                assert report.record.record_id == f"course {number}-{at}"
                assert (report.entry.role == "asker") is (side == "zhejiang")
                content = bundle.render()
                for other in range(60):
                    if other != number:
                        assert f"course {other}-0".encode() not in content
                        assert b64encode(token_of(WHOM[other]))[:20] not in content


def test_a_disclosed_record_in_another_place_proves_nothing(federation: Federation) -> None:
    node = federation["zhejiang"]
    with node.log.reading() as connection:
        collector = Collector(connection, node.log.vault, NODES)
        (place,) = places(node, collector, WHOM[7])
        bundle = collector.bundle(audit_rows.read_entry(connection, place.idx), 0)
    disclosed = bundle.disclosed
    assert disclosed is not None
    for forged in (
        replace(disclosed, index=1),
        replace(disclosed, index=-1),
        replace(disclosed, count=disclosed.count + 1),
        replace(disclosed, path=(bytes(32),)),
        replace(disclosed, key=bytes(32)),
        replace(disclosed, record=disclosed.record + b"\x0a\x01x"),
    ):
        with pytest.raises(BundleError):
            verify_bundle(replace(bundle, disclosed=forged))


def test_nothing_held_is_told_as_nothing(federation: Federation) -> None:
    node = federation["zhejiang"]
    with node.log.reading() as connection:
        collector = Collector(connection, node.log.vault, NODES)
        (place,) = places(node, collector, WHOM[8])
        row = audit_rows.read_entry(connection, place.idx)
        draft = collector.share_of(row, place.part)
        assert (draft.outcome, draft.count) == ("OK", 0)
        assert collector.records(place.idx, draft, {place.part}) == []


def test_after_one_learner_is_erased_the_others_are_still_proved(federation: Federation) -> None:
    node = federation["zhejiang"]
    with node.log.reading() as connection:
        (before,) = places(node, Collector(connection, node.log.vault, NODES), WHOM[7])
    erase_learner(node.log, node.clock, [token_of(WHOM[7])], "learner-request")
    with node.log.reading() as connection:
        collector = Collector(connection, node.log.vault, NODES)
        assert places(node, collector, WHOM[7]) == []
        row = audit_rows.read_entry(connection, before.idx)
        draft = collector.share_of(row, before.part)
        with pytest.raises(EvidenceError):
            collector.records(before.idx, draft, {before.part})
        (place,) = places(node, collector, WHOM[9])
        assert place.idx == before.idx  # a neighbour in the same chunk
        ((index, _),) = collector.records(place.idx, draft, {place.part})
        report = verify_bundle(parse_bundle(collector.bundle(row, index).render()))
        assert report.record is not None
        assert report.record.record_id == "course 9-0"
        gone = index - 2  # the erased learner's records stood before it
        with pytest.raises(CallerError):
            collector.bundle(row, gone)


def test_those_who_were_asked_about_and_not_answered_can_be_told(federation: Federation) -> None:
    node = federation["zhejiang"]

    def broken(chunks: Iterator[bytes]) -> Iterator[bytes]:
        yield next(chunks)
        raise PeerFaultError("UNREACHABLE", "the connection broke.")

    node.wire.stream_tampering = broken
    answer = ask(node, "shanghai", WHOM)
    missing = next(at for at in range(60) if at not in answer.outcomes)
    with node.log.reading() as connection:
        collector = Collector(connection, node.log.vault, NODES)
        first, last = (places(node, collector, WHOM[at])[-1] for at in (0, missing))
        told = [
            collector.share_of(audit_rows.read_entry(connection, each.idx), each.part)
            for each in (first, last)
        ]
    assert [draft.outcome for draft in told] == ["OK", "UNREACHABLE"]


def test_the_evidence_key_is_rotated_for_every_learner(federation: Federation) -> None:
    from gateway.audit import AuditLog
    from gateway.storage.engine import open_engine

    node = federation["zhejiang"]
    with node.log.reading() as connection:
        before = evidence_rows.count_wrapped_otherwise(connection, b"")
    assert before == len(WHOM)
    engine = open_engine(f"sqlite:///{node.database}")
    log = AuditLog.open(
        engine,
        node.province.log_origin,
        node.province.log_key.private,
        node.clock,
        bytes([1] * 32),
        previous_evidence_key=bytes(32),
    )
    assert rotate_evidence_key(log) == len(WHOM)
    with log.reading() as connection:
        ref = log.vault.subject_ref(token_of(WHOM[7]))
        (place,) = evidence_rows.read_parts_of_subjects(connection, [ref])
        collector = Collector(connection, log.vault, NODES)
        row = audit_rows.read_entry(connection, place.idx)
        found = collector.records(place.idx, collector.share_of(row, place.part), {place.part})
    assert len(found) == 2
    log.close()
    engine.dispose()
