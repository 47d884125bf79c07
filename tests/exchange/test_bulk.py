"""One signed query for many learners, answered by signed chunks: what comes, what is logged, what is kept."""

from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from creditexchange.v1.audit_pb2 import ErasureNoticeBody
from creditexchange.v1.record_pb2 import LearningRecord
from gateway.audit import leaf_bytes, parse_leaf, verify_log
from gateway.audit.erasure import erase_learner
from gateway.errors import CallerError, PeerFaultError, StorageError
from gateway.exchange.answering.bulk_authorise import BulkSubject
from gateway.exchange.answering.bulk_chunks import (
    CHUNK_SUBJECTS_MAX,
    RECORD_OVERHEAD_BYTES,
    SUBJECT_BYTES,
    SubjectRecords,
    cut,
)
from gateway.exchange.asking.bulk import ask_in_bulk
from gateway.exchange.messages import NOTIFY_ERASURE, QUERY_IN_BULK
from gateway.policy.purposes import KINDS
from gateway.records.source import StoredRecord
from gateway.storage import audit_rows, evidence_rows, notice_rows, reconcile_rows
from tests.exchange.bulk_asking import ask, learner, learners, question, token_of
from tests.federation.simulator import Federation, SimulatedNode


def entries(node: SimulatedNode) -> list:
    with node.log.reading() as connection:
        rows = audit_rows.read_entries_before(connection, node.log.size, 1_000)
    return [parse_leaf(row.leaf).draft for row in reversed(rows)]


def bulk_entries(node: SimulatedNode) -> list:
    return [draft for draft in entries(node) if draft.method == QUERY_IN_BULK]


def small_messages(*nodes: SimulatedNode, bytes_max: int = 24 * 1024) -> None:
    """Let chunks be small, so that a few learners need many."""
    for node in nodes:
        node.adopt(settings=replace(node.snapshot.settings, message_bytes_max=bytes_max))


def pad(node: SimulatedNode, identifier: str, title: str, size: int) -> None:
    """Give a learner one record of about ``size`` bytes."""
    node.put(identifier, title)
    records = node.shelf.records[token_of(identifier)]
    record = LearningRecord.FromString(records[-1].translated)
    record.holder_name = "x" * size
    records[-1] = replace(records[-1], translated=record.SerializeToString())


def test_every_learner_gets_exactly_what_single_queries_would_give(federation: Federation) -> None:
    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]
    whom = learners(150)
    for number, identifier in enumerate(whom):
        shanghai.put(identifier, *(f"{number}-{at}" for at in range(number % 4)))
    answer = ask(zhejiang, "shanghai", whom)
    assert answer.result.outcome == "OK"
    assert answer.outcomes == dict.fromkeys(range(150), "OK")
    for number, identifier in list(enumerate(whom))[::29]:
        single = zhejiang.ask("shanghai", learner_identifier=identifier)
        assert sorted(answer.titles[number]) == sorted(e.record.record_id for e in single.records)


def test_one_query_is_one_message_and_each_chunk_one_entry_on_both_sides(federation: Federation) -> None:
    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]
    small_messages(zhejiang, shanghai)
    whom = learners(120)
    for identifier in whom:
        shanghai.put(identifier, f"course of {identifier[-5:]}")
    answer = ask(zhejiang, "shanghai", whom)
    assert len([peer for peer, _ in zhejiang.wire.carried if peer == "shanghai"]) == 1
    ours, theirs = bulk_entries(zhejiang), bulk_entries(shanghai)
    assert answer.parts == len(ours) == len(theirs) > 1
    assert (
        [draft.chunk for draft in ours] == [draft.chunk for draft in theirs] == list(range(1, len(ours) + 1))
    )
    assert [draft.answer_digest for draft in ours] == [draft.answer_digest for draft in theirs]
    assert sum(draft.count for draft in theirs) == 120
    assert {draft.peer_seq for draft in theirs} == {1}


def test_the_log_of_chunks_verifies_and_its_leaves_have_one_form(federation: Federation) -> None:
    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]
    small_messages(shanghai)
    whom = learners(120)
    for identifier in whom:
        shanghai.put(identifier, f"course of {identifier[-5:]}")
    ask(zhejiang, "shanghai", whom)
    zhejiang.ask("shanghai", learner_identifier=whom[0])
    for node in (zhejiang, shanghai):
        report = verify_log(node.log._database, node.log.verifier.vkey, every_signature=True)
        assert not report.findings
        with node.log.reading() as connection:
            rows = audit_rows.read_entries_before(connection, node.log.size, 1_000)
        single, *chunks = [row.leaf for row in rows]
        assert b'"chunk"' not in single  # leaves of all other methods are what they were
        number = len(chunks)
        for leaf in chunks:
            assert f'"chunk":{number},'.encode() in leaf
            assert leaf_bytes(*entry_of(leaf)) == leaf
            number -= 1


def entry_of(leaf: bytes) -> tuple:
    entry = parse_leaf(leaf)
    return entry.draft, entry.logged_at_ms


def test_a_learner_with_more_records_than_fit_goes_on_in_the_next_chunk(federation: Federation) -> None:
    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]
    small_messages(zhejiang, shanghai)
    whom = learners(3)
    for at in range(40):
        pad(shanghai, whom[1], f"long-{at:02}", 1_000)
    shanghai.put(whom[2], "after")
    answer = ask(zhejiang, "shanghai", whom)
    assert answer.titles == {0: [], 1: [f"long-{at:02}" for at in range(40)], 2: ["after"]}
    assert answer.parts > 2


def test_a_record_that_fits_no_message_is_said_of_its_learner_alone(federation: Federation) -> None:
    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]
    small_messages(zhejiang, shanghai)
    whom = learners(3)
    pad(shanghai, whom[1], "huge", 30_000)
    shanghai.put(whom[2], "small")
    answer = ask(zhejiang, "shanghai", whom)
    assert answer.outcomes == {0: "OK", 1: "ANSWER_TOO_LARGE", 2: "OK"}
    assert answer.titles[2] == ["small"]


def test_nobody_and_nothing_look_the_same(federation: Federation) -> None:
    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]
    shanghai.put(learner(1), "a degree", kind=KINDS["degree"])  # of a kind that is not asked for
    answer = ask(zhejiang, "shanghai", [learner(1), learner(2)])
    assert answer.outcomes == {0: "OK", 1: "OK"}
    assert answer.titles == {0: [], 1: []}


def test_what_is_looked_up_is_looked_up_for_many_at_once(federation: Federation) -> None:
    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]
    ask(zhejiang, "shanghai", learners(640))
    assert shanghai.shelf.asked == 10


def test_an_asker_that_stops_reading_stops_the_work(federation: Federation) -> None:
    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]
    small_messages(shanghai)
    whom = learners(1_000)
    for identifier in whom[:200]:
        pad(shanghai, identifier, f"of {identifier}", 500)
    came = ask_in_bulk(question(zhejiang, "shanghai", whom), zhejiang.snapshot, zhejiang.asking)
    next(came)
    came.close()
    assert shanghai.shelf.asked < 3
    assert [draft.chunk for draft in bulk_entries(shanghai)] == [1]
    assert [(d.kind, d.chunk) for d in bulk_entries(zhejiang)] == [("exchange", 1), ("no-answer", 2)]


def test_a_source_that_fails_midway_leaves_what_came_and_a_signed_refusal(federation: Federation) -> None:
    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]
    small_messages(zhejiang, shanghai)
    whom = learners(200)
    for identifier in whom:
        pad(shanghai, identifier, f"of {identifier}", 300)
    find = shanghai.shelf.find

    def failing(tokens: list[bytes], kinds: object) -> list[list[StoredRecord]]:
        if shanghai.shelf.asked == 2:
            raise StorageError("the source is away.")
        return find(tokens, kinds)

    shanghai.shelf.find = failing
    answer = ask(zhejiang, "shanghai", whom)
    assert answer.result.outcome == "SOURCE_UNAVAILABLE"
    assert answer.result.receipt_verified
    assert 0 < len(answer.outcomes) < 200
    ours, theirs = bulk_entries(zhejiang), bulk_entries(shanghai)
    assert [d.outcome for d in ours] == [d.outcome for d in theirs]
    assert [d.chunk for d in ours] == [d.chunk for d in theirs]
    assert ours[-1].outcome == "SOURCE_UNAVAILABLE"


def test_both_logs_reconcile_also_after_a_stream_that_broke(federation: Federation) -> None:
    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]
    small_messages(zhejiang, shanghai)
    whom = learners(200)
    for identifier in whom:
        pad(shanghai, identifier, f"of {identifier}", 200)
    assert ask(zhejiang, "shanghai", whom).result.outcome == "OK"

    def broken(chunks):
        yield next(chunks)
        raise PeerFaultError("UNREACHABLE", "the connection broke.")

    zhejiang.wire.stream_tampering = broken
    answer = ask(zhejiang, "shanghai", whom)
    assert answer.result.outcome == "UNREACHABLE"
    zhejiang.wire.stream_tampering = lambda chunks: chunks
    missing = [identifier for at, identifier in enumerate(whom) if at not in answer.outcomes]
    assert ask(zhejiang, "shanghai", missing).result.outcome == "OK"
    federation.pass_time(3_600)
    step = zhejiang.reconcile("shanghai")
    assert (step.done, step.findings) == (True, 0)
    step = shanghai.reconcile("zhejiang")
    assert (step.done, step.findings) == (True, 0)


def test_a_chunk_that_only_one_side_logged_is_found(federation: Federation) -> None:
    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]
    small_messages(zhejiang, shanghai)
    whom = learners(200)
    for identifier in whom:
        pad(shanghai, identifier, f"of {identifier}", 200)

    def lost(chunks):
        yield next(chunks)
        next(chunks)
        next(chunks)  # two more were logged over there and never arrive
        raise PeerFaultError("UNREACHABLE", "the connection broke.")

    zhejiang.wire.stream_tampering = lost
    ask(zhejiang, "shanghai", whom)
    federation.pass_time(3_600)
    zhejiang.reconcile("shanghai")
    with zhejiang.log.reading() as connection:
        found = reconcile_rows.list_findings(connection, "shanghai", 100)
    assert sorted(finding.kind for finding in found) == ["only-theirs", "outcome-differs"]


def test_erasing_one_learner_leaves_the_others_and_every_proof(federation: Federation) -> None:
    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]
    whom = learners(20)
    for identifier in whom:
        shanghai.put(identifier, f"course of {identifier[-5:]}")
    ask(zhejiang, "shanghai", whom)
    for node in (zhejiang, shanghai):
        erased = erase_learner(node.log, node.clock, [token_of(whom[7])], "learner-request")
        assert erased.parts == 1
        with node.log.reading() as connection:
            refs = [node.log.vault.subject_ref(token_of(identifier)) for identifier in whom]
            left = [evidence_rows.read_indexes_of_subject(connection, ref) for ref in refs]
            index = next(each for each in left if each)[0]
            assert [len(each) for each in left] == [0 if at == 7 else 1 for at in range(20)]
            assert sorted(p.part for p in evidence_rows.read_parts(connection, index)) == [
                at for at in range(20) if at != 7
            ]
            signed = evidence_rows.read_signed(connection, index)
            draft = parse_leaf(audit_rows.read_entry(connection, index).leaf).draft
        assert sha256(signed.answer_body).digest() == draft.answer_digest
    with zhejiang.log.reading() as connection:
        (notice,) = notice_rows.read_pending_notices(connection, NOTIFY_ERASURE, 10)
    body = ErasureNoticeBody.FromString(notice.body)
    assert list(body.subject_positions) == [7]
    assert len(body.exchange_ids) == 1


def test_wrong_questions_are_refused_before_anything_leaves(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    for whom in (learners(1_001), [], [learner(1), learner(2), learner(1)], ["12345"]):
        with pytest.raises(CallerError):
            ask(zhejiang, "shanghai", whom)
    assert not zhejiang.wire.carried


def test_a_thousand_learners_fit_one_query(federation: Federation) -> None:
    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]
    whom = learners(1_000)
    shanghai.put(whom[999], "the last one's")
    answer = ask(zhejiang, "shanghai", whom)
    assert len(answer.outcomes) == 1_000
    assert answer.titles[999] == ["the last one's"]
    assert len(zhejiang.wire.carried[-1][1]) <= zhejiang.snapshot.settings.message_bytes_max


@given(
    st.lists(st.lists(st.integers(0, 400), max_size=12), min_size=1, max_size=40),
    st.integers(400 + RECORD_OVERHEAD_BYTES + SUBJECT_BYTES, 4_000),
)
def test_cutting_keeps_every_record_in_order_and_every_chunk_small(sizes: list, bytes_max: int) -> None:
    answers = [
        SubjectRecords(BulkSubject(at, ()), [bytes([at]) * size for size in each])
        for at, each in enumerate(sizes)
    ]
    chunks = list(cut(answers, bytes_max))
    assert [chunk.number for chunk in chunks] == list(range(1, len(chunks) + 1))
    assert [chunk.is_last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    together: dict[int, list[bytes]] = {}
    for chunk in chunks:
        assert 0 < len(chunk.pieces) <= CHUNK_SUBJECTS_MAX
        cost = sum(
            SUBJECT_BYTES + sum(len(r) + RECORD_OVERHEAD_BYTES for r in piece.records)
            for piece in chunk.pieces
        )
        assert cost <= bytes_max
        assert not any(piece.continues for piece in chunk.pieces[:-1])
        for piece in chunk.pieces:
            together.setdefault(piece.subject.position, []).extend(piece.records)
    assert list(together) == list(range(len(sizes)))
    assert list(together.values()) == [list(answer.records) for answer in answers]
