"""Who answers in bulk and lies, who carries the stream and meddles, who asks in bulk and oversteps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from creditexchange.v1.exchange_pb2 import (
    QueryRecordsInBulkRequest,
    QueryRecordsInBulkResponse,
    RecordAnswerChunk,
    RecordAnswerChunkBody,
    RecordQuery,
    RecordQueryBody,
)
from creditexchange.v1.reason_pb2 import Reason
from gateway.audit.commitment import CONSENT, SUBJECT_TOKEN, commitments_root, open_items
from gateway.errors import RefusedError
from gateway.exchange.answering.answer import answer_query
from gateway.exchange.answering.bulk import answer_in_bulk
from gateway.exchange.asking.bulk import ask_in_bulk
from gateway.exchange.messages import QUERY_IN_BULK, RECORD_ANSWER_CHUNK_TYPE, RECORD_QUERY_TYPE
from gateway.signing.envelope import seal
from tests.exchange.bulk_asking import BulkAnswer, ask, gather, learners, question, token_of
from tests.federation.simulator import Draft, Federation, SimulatedNode, draft, incoming, make_federation

WHOM = learners(90)


@pytest.fixture
def federation(tmp_path: Path) -> Iterator[Federation]:
    """Shanghai holds a course of each learner and answers in several chunks."""
    made = make_federation(tmp_path, "zhejiang", "shanghai", "anhui")
    for identifier in WHOM:
        made["shanghai"].put(identifier, f"a course of {identifier[-6:]}")
    shanghai = made["shanghai"]
    shanghai.adopt(settings=replace(shanghai.snapshot.settings, message_bytes_max=20 * 1024))
    yield made
    for node in made.nodes.values():
        node.log.close()
        node.log._database.dispose()


Chunks = list[bytes]


def asked(federation: Federation, meddle: Callable[[Chunks], Chunks]) -> BulkAnswer:
    """What Zhejiang makes of the answer when somebody meddles with the whole stream."""
    zhejiang = federation["zhejiang"]
    zhejiang.wire.stream_tampering = lambda chunks: iter(meddle(list(chunks)))
    try:
        return ask(zhejiang, "shanghai", WHOM)
    finally:
        zhejiang.wire.stream_tampering = lambda chunks: chunks


def test_the_stream_has_several_chunks_and_is_accepted_as_it_is(federation: Federation) -> None:
    answer = asked(federation, lambda chunks: chunks)
    assert answer.result.outcome == "OK"
    assert answer.parts > 3


@pytest.mark.parametrize(
    ("meddle", "outcome", "accepted"),
    [
        (lambda chunks: [chunks[0], *chunks[2:]], "ANSWER_INCOMPLETE", 1),
        (lambda chunks: [chunks[0], chunks[2], chunks[1], *chunks[3:]], "ANSWER_INCOMPLETE", 1),
        (lambda chunks: [chunks[0], *chunks], "ANSWER_INCOMPLETE", 1),
        (lambda chunks: chunks[:-1], "ANSWER_INCOMPLETE", -1),
        (lambda chunks: chunks[1:], "ANSWER_INCOMPLETE", 0),
        (lambda _chunks: [], "ANSWER_INCOMPLETE", 0),
        (lambda chunks: [*chunks, chunks[-1]], "ANSWER_INCOMPLETE", None),
        (lambda chunks: [b"", *chunks], "ANSWER_MALFORMED", 0),
        (lambda chunks: [chunks[0][:-7], *chunks[1:]], "ANSWER_MALFORMED", 0),
    ],
    ids=["dropped", "swapped", "repeated", "cut-short", "headless", "empty", "extra", "blank", "truncated"],
)
def test_a_stream_that_is_not_whole_and_in_order_is_noticed(
    federation: Federation, meddle: Callable[[Chunks], Chunks], outcome: str, accepted: int | None
) -> None:
    whole = asked(federation, lambda chunks: chunks).parts
    answer = asked(federation, meddle)
    assert answer.result.outcome == outcome
    assert not answer.result.receipt_verified
    assert answer.parts == {None: whole, -1: whole - 1}.get(accepted, accepted)  # what came before stands


def test_every_byte_of_a_chunk_counts(federation: Federation) -> None:
    captured: Chunks = []
    asked(federation, lambda chunks: captured.extend(chunks) or chunks)
    size = len(captured[1])
    for at in range(0, size, size // 60):

        def flip(chunks: Chunks, at: int = at) -> Chunks:
            second = bytearray(chunks[1])
            second[at % len(second)] ^= 1
            return [chunks[0], bytes(second), *chunks[2:]]

        answer = asked(federation, flip)
        assert answer.result.outcome in {
            "ANSWER_INCOMPLETE",
            "ANSWER_MALFORMED",
            "ANSWER_NOT_SIGNED",
        }, at
        assert answer.parts == 1


def test_a_chunk_of_another_exchange_is_noticed(federation: Federation) -> None:
    before: Chunks = []
    asked(federation, lambda chunks: before.extend(chunks) or chunks)
    answer = asked(federation, lambda chunks: [chunks[0], before[1], *chunks[2:]])
    assert (answer.result.outcome, answer.parts) == ("ANSWER_NOT_BOUND", 1)


def test_openings_of_one_chunk_do_not_fit_another(federation: Federation) -> None:
    def exchange_openings(chunks: Chunks) -> Chunks:
        first, second = (QueryRecordsInBulkResponse.FromString(chunk) for chunk in chunks[:2])
        count = min(len(first.openings), len(second.openings))
        mixed = QueryRecordsInBulkResponse(message=first.message, openings=second.openings[:count])
        mixed.openings.extend(first.openings[count:])
        return [mixed.SerializeToString(), *chunks[1:]]

    answer = asked(federation, exchange_openings)
    assert (answer.result.outcome, answer.parts) == ("ANSWER_INCOMPLETE", 0)


def relied(node: SimulatedNode, chunk: bytes, change: Callable[[RecordAnswerChunkBody], None]) -> bytes:
    """The chunk as the answerer itself would forge it: another body under its own valid signature."""
    response = QueryRecordsInBulkResponse.FromString(chunk)
    answer = RecordAnswerChunk.FromString(response.message.payload)
    body = RecordAnswerChunkBody.FromString(answer.body)
    change(body)
    answer.body = body.SerializeToString()
    sealed = seal(answer.SerializeToString(), RECORD_ANSWER_CHUNK_TYPE, node.snapshot.message_keys)
    response.message.CopyFrom(sealed)
    return response.SerializeToString()


LIES: dict[str, Callable[[RecordAnswerChunkBody], None]] = {
    "number": lambda body: setattr(body, "number", 2),
    "last": lambda body: setattr(body, "is_last", True),
    "previous": lambda body: setattr(body, "previous_digest", bytes(32)),
    "position": lambda body: setattr(body.subjects[0], "position", 1),
    "missing-subject": lambda body: body.subjects.pop(1) and None,
    "count": lambda body: setattr(body.subjects[0], "record_count", 2),
    "no-subjects": lambda body: body.ClearField("subjects"),
    "goes-on": lambda body: setattr(body.subjects[0], "continues", True),
    "reason-beside-records": lambda body: setattr(body.subjects[0], "reason", Reason.REASON_CONSENT_REQUIRED),
    "foreign-reason": lambda body: setattr(body.subjects[0], "reason", Reason.REASON_OVERLOADED),
    "query": lambda body: setattr(body, "query_body_digest", bytes(32)),
    "commitment": lambda body: body.record_commitments.pop() and None,
}


@pytest.mark.parametrize("lie", LIES)
def test_an_answerer_that_signs_a_lie_is_noticed(federation: Federation, lie: str) -> None:
    shanghai = federation["shanghai"]
    answer = asked(federation, lambda chunks: [relied(shanghai, chunks[0], LIES[lie]), *chunks[1:]])
    assert answer.result.outcome in {"ANSWER_INCOMPLETE", "ANSWER_MALFORMED", "ANSWER_NOT_BOUND"}
    assert answer.parts == 0


def test_a_chunk_that_was_not_logged_as_it_is_is_noticed(federation: Federation) -> None:
    """All is well formed and signed, but other bytes stand in the log: the receipt proves nothing."""
    shanghai = federation["shanghai"]

    def unlogged(body: RecordAnswerChunkBody) -> None:
        body.scheme.version = "another"

    answer = asked(federation, lambda chunks: [relied(shanghai, chunks[0], unlogged), *chunks[1:]])
    assert (answer.result.outcome, answer.parts) == ("RECEIPT_INVALID", 0)


# -- askers -------------------------------------------------------------------------------------------


def bulk_draft(federation: Federation, whom: list[str]) -> Draft:
    made = draft("zhejiang", "shanghai", federation["zhejiang"].clock())
    made.query.header.method = QUERY_IN_BULK
    made.openings = open_items(SUBJECT_TOKEN, [token_of(identifier) for identifier in whom])
    made.body.subject_count = len(made.openings)
    made.body.subjects_root = commitments_root(made.openings)
    return made


def send(federation: Federation, made: Draft) -> list[bytes]:
    made.query.body = made.body.SerializeToString()
    message = seal(
        made.query.SerializeToString(), RECORD_QUERY_TYPE, [federation["zhejiang"].province.message_key]
    )
    request = QueryRecordsInBulkRequest(message=message, openings=made.openings).SerializeToString()
    return deliver(federation, request)


def deliver(federation: Federation, request: bytes) -> list[bytes]:
    node = federation["shanghai"]
    call = incoming(node, "zhejiang", method=QUERY_IN_BULK)
    return list(answer_in_bulk(request, call, node.snapshot, node.answering))


def refusal(federation: Federation, made: Draft) -> str:
    with pytest.raises(RefusedError) as caught:
        send(federation, made)
    assert federation["shanghai"].shelf.asked == 0  # nobody was looked up
    return caught.value.reason


def test_the_plain_draft_is_answered(federation: Federation) -> None:
    assert send(federation, bulk_draft(federation, WHOM))


def test_a_thousand_and_one_learners_are_too_many(federation: Federation) -> None:
    made = bulk_draft(federation, learners(1_001))
    assert refusal(federation, made) == "TOO_MANY_SUBJECTS"


def test_nobody_is_asked_about_twice(federation: Federation) -> None:
    assert refusal(federation, bulk_draft(federation, [WHOM[0], WHOM[1], WHOM[0]])) == "MALFORMED_MESSAGE"


@pytest.mark.parametrize(
    "change",
    [
        lambda made: made.openings.pop(),
        lambda made: made.openings.append(made.openings[0]),
        lambda made: made.openings.reverse(),
        lambda made: setattr(made.openings[3], "item", bytes(32)),
        lambda made: setattr(made.openings[3], "key", bytes(32)),
        lambda made: setattr(made.body, "subjects_root", bytes(32)),
        lambda made: setattr(made.openings[3], "item_type", "record"),
        lambda made: setattr(made.body, "consents_root", bytes(32)),
        lambda made: made.openings.extend(open_items(CONSENT, [b"x"])),
    ],
    ids=["fewer", "more", "order", "item", "key", "root", "type", "no-consent", "uncommitted-consent"],
)
def test_what_is_sent_is_what_was_signed(federation: Federation, change: Callable[[Draft], object]) -> None:
    made = bulk_draft(federation, WHOM)
    change(made)
    assert refusal(federation, made) == "COMMITMENT_MISMATCH"


@pytest.mark.parametrize("whose", [[90], [1, 1], [2, 1], [0, 1]])
def test_consents_name_their_subjects_once_and_in_order(federation: Federation, whose: list[int]) -> None:
    made = bulk_draft(federation, WHOM)
    consents = open_items(CONSENT, [b"one"])
    made.body.consents_root = commitments_root(consents)
    made.body.consent_subjects.extend(whose)
    made.openings.extend(consents)
    assert refusal(federation, made) in {"MALFORMED_MESSAGE", "COMMITMENT_MISMATCH"}


def test_huge_openings_are_refused_before_any_work(federation: Federation) -> None:
    made = bulk_draft(federation, WHOM[:2])
    made.openings = open_items(SUBJECT_TOKEN, [bytes(100_000), bytes(32)])
    made.body.subjects_root = commitments_root(made.openings)
    assert refusal(federation, made) == "COMMITMENT_MISMATCH"


@pytest.mark.parametrize("field", ["consent_commitment", "certificate_commitment"])
def test_members_of_other_methods_are_refused(federation: Federation, field: str) -> None:
    made = bulk_draft(federation, WHOM)
    setattr(made.body, field, bytes(32))
    assert refusal(federation, made) == "MALFORMED_MESSAGE"


def test_a_single_query_takes_no_members_of_bulk(federation: Federation) -> None:
    made = draft("zhejiang", "shanghai", federation["zhejiang"].clock())
    made.body.consents_root = bytes(32)
    node = federation["shanghai"]
    request = made.signed(federation["zhejiang"].province)
    with pytest.raises(RefusedError) as caught:
        answer_query(request, incoming(node, "zhejiang"), node.snapshot, node.answering)
    assert caught.value.reason == "MALFORMED_MESSAGE"


def test_a_query_signed_for_one_learner_is_not_answered_in_bulk(federation: Federation) -> None:
    made = bulk_draft(federation, WHOM[:1])
    made.query.header.method = "/creditexchange.v1.RecordExchangeService/QueryRecords"
    assert refusal(federation, made) == "WRONG_METHOD"


def test_the_same_message_is_answered_once(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    ask(zhejiang, "shanghai", WHOM)
    with pytest.raises(RefusedError) as caught:
        deliver(federation, zhejiang.wire.carried[-1][1])
    assert caught.value.reason == "REPLAYED_MESSAGE"


def test_an_exchange_is_answered_once(federation: Federation) -> None:
    made = bulk_draft(federation, WHOM)
    send(federation, made)
    asked_before = federation["shanghai"].shelf.asked
    made.query.header.message_id = bytes(range(16))
    with pytest.raises(RefusedError) as caught:
        send(federation, made)
    assert caught.value.reason == "EXCHANGE_CONFLICT"
    assert federation["shanghai"].shelf.asked == asked_before


def test_two_messages_of_one_exchange_at_once_get_one_answer(federation: Federation) -> None:
    """Both are worked on when the first chunk of one is logged; the other's first chunk is refused."""
    node = federation["shanghai"]
    made = bulk_draft(federation, WHOM)
    made.query.body = made.body.SerializeToString()
    streams = []
    for first_byte in (1, 2):
        made.query.header.message_id = bytes([first_byte] * 16)
        message = seal(
            made.query.SerializeToString(), RECORD_QUERY_TYPE, [federation["zhejiang"].province.message_key]
        )
        request = QueryRecordsInBulkRequest(message=message, openings=made.openings).SerializeToString()
        call = incoming(node, "zhejiang", method=QUERY_IN_BULK)
        streams.append(answer_in_bulk(request, call, node.snapshot, node.answering))
    find, begun = node.shelf.find, []

    def find_and_let_the_other_begin(tokens: list[bytes], kinds: object) -> list:
        if not begun:
            begun.append(b"")
            begun.append(next(streams[1]))  # the second answers first, while this one looks up
        return find(tokens, kinds)

    node.shelf.find = find_and_let_the_other_begin
    with pytest.raises(RefusedError) as caught:
        next(streams[0])
    assert caught.value.reason == "AUDIT_UNAVAILABLE"
    assert len(begun) == 2


def test_a_query_of_another_purpose_is_refused_as_a_whole(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    answer = gather(
        ask_in_bulk(question(zhejiang, "shanghai", WHOM, purpose=3), zhejiang.snapshot, zhejiang.asking)
    )
    assert (answer.result.outcome, answer.outcomes) == ("PURPOSE_NOT_GRANTED", {})
    assert answer.result.receipt_verified


def test_what_is_signed_says_nothing_about_anybody(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    captured: Chunks = []
    asked(federation, lambda chunks: captured.extend(chunks) or chunks)
    request = QueryRecordsInBulkRequest.FromString(zhejiang.wire.carried[-1][1])
    signed = [request.message.payload]
    signed += [QueryRecordsInBulkResponse.FromString(chunk).message.payload for chunk in captured]
    for identifier in WHOM:
        for payload in signed:
            assert token_of(identifier) not in payload
            assert identifier.encode() not in payload
            assert identifier[-6:].encode() not in payload
    body = RecordQueryBody.FromString(RecordQuery.FromString(request.message.payload).body)
    assert body.subject_count == len(WHOM)
