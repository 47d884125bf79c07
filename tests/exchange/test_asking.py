"""The asking side believes nothing that it did not check; one lying peer spoils nobody else's answer."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest

from creditexchange.v1.envelope_pb2 import SignedMessage
from creditexchange.v1.exchange_pb2 import QueryRecordsResponse, RecordAnswer, RecordAnswerBody
from gateway.errors import CallerError, OperatorError, PeerFaultError, RefusedError
from gateway.exchange.asking.ask import ask
from gateway.exchange.asking.question import Archive
from gateway.exchange.messages import RECORD_ANSWER_TYPE
from gateway.peers.roster import SUSPENDED, Roster
from gateway.signing.envelope import seal
from tests.federation.provinces import NOW, Province
from tests.federation.simulator import Federation, all_granted


def ask_all(federation: Federation, *peers: str, **changes: object) -> Archive:
    zhejiang = federation["zhejiang"]
    return ask(zhejiang.question(*peers, **changes), zhejiang.snapshot, zhejiang.asking)


def outcomes(archive: Archive) -> dict[str, str]:
    return {result.node_id: result.outcome for result in archive.peers}


def test_all_peers_records_come_merged_each_with_its_source(federation: Federation) -> None:
    archive = ask_all(federation)
    assert outcomes(archive) == {"shanghai": "OK", "anhui": "OK"}
    titles = {e.record.record_id: [p.node_id for p in e.provenance] for e in archive.records}
    assert titles == {"calculus": ["shanghai"], "welding": ["shanghai"], "history": ["anhui"]}
    assert all(result.receipt_verified for result in archive.peers)
    assert {e.local.scheme.scheme_id for e in archive.records} == {"zhejiang"}


def test_both_sides_logged_the_same_exchange(federation: Federation) -> None:
    ask_all(federation, "shanghai")
    (mine,), (theirs,) = federation["zhejiang"].entries(), federation["shanghai"].entries()
    assert (mine["role"], theirs["role"]) == ("asker", "answerer")
    for member in (
        "exchange_id",
        "request_digest",
        "answer_digest",
        "count",
        "outcome",
        "peer_seq",
        "purpose",
    ):
        assert mine[member] == theirs[member]
    assert mine["peer_receipt"] == {"origin": "audit.shanghai.example/2026", "index": 0}


def test_sequence_numbers_count_each_pair_without_gaps(federation: Federation) -> None:
    for _ in range(3):
        ask_all(federation)
    for peer in ("shanghai", "anhui"):
        assert [e["peer_seq"] for e in federation[peer].entries()] == [1, 2, 3]


def test_a_dead_peer_spoils_nobody_elses_answer_and_is_logged(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    zhejiang.wire.faults["anhui"] = PeerFaultError("NO_ANSWER", "no answer within 5 s.")
    archive = ask_all(federation)
    assert outcomes(archive) == {"shanghai": "OK", "anhui": "NO_ANSWER"}
    assert len(archive.records) == 2
    kinds = {e["answerer"]: (e["kind"], e["outcome"]) for e in zhejiang.entries()}
    assert kinds == {"shanghai": ("exchange", "OK"), "anhui": ("no-answer", "NO_ANSWER")}


def test_a_refusal_is_verified_and_logged_on_both_sides(federation: Federation) -> None:
    federation["anhui"].adopt(access=all_granted())
    archive = ask_all(federation)
    assert outcomes(archive) == {"shanghai": "OK", "anhui": "PURPOSE_NOT_GRANTED"}
    (theirs,) = federation["anhui"].entries()
    mine = next(e for e in federation["zhejiang"].entries() if e["answerer"] == "anhui")
    assert (mine["kind"], mine["outcome"], mine["answer_digest"]) == (
        "exchange",
        "PURPOSE_NOT_GRANTED",
        theirs["answer_digest"],
    )


Lie = Callable[[Federation, QueryRecordsResponse], None]


def resigned(change: Callable[[RecordAnswer], None]) -> Lie:
    """Shanghai itself lies: the answer is changed and signed again with its own key."""

    def lie(federation: Federation, response: QueryRecordsResponse) -> None:
        answer = RecordAnswer.FromString(response.message.payload)
        change(answer)
        key = federation["shanghai"].province.message_key
        response.message.CopyFrom(seal(answer.SerializeToString(), RECORD_ANSWER_TYPE, [key]))

    return lie


def change_body(change: Callable[[RecordAnswerBody], None]) -> Lie:
    def apply(answer: RecordAnswer) -> None:
        body = RecordAnswerBody.FromString(answer.body)
        change(body)
        answer.body = body.SerializeToString()

    return resigned(apply)


def flip_signature(_: Federation, response: QueryRecordsResponse) -> None:
    response.message.signatures[0].signature = bytes(64)


def sign_as_anhui(federation: Federation, response: QueryRecordsResponse) -> None:
    key = federation["anhui"].province.message_key
    response.message.CopyFrom(seal(response.message.payload, RECORD_ANSWER_TYPE, [key]))


def change_record(_: Federation, response: QueryRecordsResponse) -> None:
    response.openings[0].item = response.openings[0].item.replace(b"calculus", b"calligra")


LIES: dict[str, tuple[Lie, str]] = {
    "empty": (lambda _, r: r.Clear(), "ANSWER_MALFORMED"),
    "no signature": (lambda _, r: r.message.ClearField("signatures"), "ANSWER_MALFORMED"),
    "broken signature": (flip_signature, "ANSWER_NOT_SIGNED"),
    "signed by another peer": (sign_as_anhui, "ANSWER_NOT_SIGNED"),
    "record changed": (change_record, "ANSWER_INCOMPLETE"),
    "record left out": (lambda _, r: r.openings.pop(), "ANSWER_INCOMPLETE"),
    "records swapped": (lambda _, r: r.openings.reverse(), "ANSWER_INCOMPLETE"),
    "other sender": (resigned(lambda a: setattr(a.header, "sender", "anhui")), "ANSWER_NOT_BOUND"),
    "other audience": (resigned(lambda a: setattr(a.header, "audience", "anhui")), "ANSWER_NOT_BOUND"),
    "other exchange": (resigned(lambda a: setattr(a.header, "exchange_id", bytes(16))), "ANSWER_NOT_BOUND"),
    "other request": (resigned(lambda a: setattr(a.header, "in_reply_to", bytes(16))), "ANSWER_NOT_BOUND"),
    "other digest": (resigned(lambda a: setattr(a.header, "request_digest", bytes(32))), "ANSWER_NOT_BOUND"),
    "other method": (resigned(lambda a: setattr(a.header, "method", "/x/y")), "ANSWER_NOT_BOUND"),
    "old": (
        resigned(lambda a: a.header.expire_time.FromDatetime(NOW - timedelta(minutes=5))),
        "ANSWER_STALE",
    ),
    "from the future": (
        resigned(lambda a: a.header.issue_time.FromDatetime(NOW + timedelta(minutes=5))),
        "ANSWER_STALE",
    ),
    "valid for an hour": (
        resigned(lambda a: a.header.expire_time.FromDatetime(NOW + timedelta(hours=1))),
        "ANSWER_STALE",
    ),
    "time out of range": (
        resigned(lambda a: setattr(a.header.issue_time, "seconds", 2**60)),
        "ANSWER_MALFORMED",
    ),
    "body for another query": (
        change_body(lambda b: setattr(b, "query_body_digest", bytes(32))),
        "ANSWER_NOT_BOUND",
    ),
    "other count": (change_body(lambda b: b.record_counts.append(1)), "ANSWER_INCOMPLETE"),
    "not what was logged": (change_body(lambda b: b.scheme.ClearField("version")), "RECEIPT_INVALID"),
    "no receipt": (resigned(lambda a: a.ClearField("receipt")), "RECEIPT_INVALID"),
    "other index": (resigned(lambda a: setattr(a.receipt, "leaf_index", 7)), "RECEIPT_INVALID"),
    "other time": (resigned(lambda a: setattr(a.receipt, "logged_at_ms", 1)), "RECEIPT_INVALID"),
    "proof too long": (resigned(lambda a: a.receipt.inclusion_proof.append(bytes(32))), "RECEIPT_INVALID"),
    "other log": (
        resigned(lambda a: setattr(a.receipt, "log_origin", "audit.anhui.example/2026")),
        "RECEIPT_INVALID",
    ),
    "forged checkpoint": (
        resigned(lambda a: setattr(a.receipt, "checkpoint", a.receipt.checkpoint.replace("\n1\n", "\n2\n"))),
        "RECEIPT_INVALID",
    ),
}


@pytest.mark.parametrize("name", LIES)
def test_a_lie_is_caught_named_and_logged(federation: Federation, name: str) -> None:
    lie, expected = LIES[name]
    zhejiang = federation["zhejiang"]

    def tamper(response: bytes) -> bytes:
        message = QueryRecordsResponse.FromString(response)
        if b"calculus" in response:
            lie(federation, message)
        return message.SerializeToString()

    zhejiang.wire.response_tampering = tamper
    archive = ask_all(federation)
    assert outcomes(archive) == {"shanghai": expected, "anhui": "OK"}
    assert [e.record.record_id for e in archive.records] == ["history"]
    logged = next(e for e in zhejiang.entries() if e["answerer"] == "shanghai")
    assert (logged["kind"], logged["outcome"]) == ("no-answer", expected)


def test_no_flipped_byte_of_an_answer_passes(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    captured: list[bytes] = []
    zhejiang.wire.response_tampering = lambda r: (captured.append(r), r)[1]
    ask_all(federation, "shanghai")
    for position in range(0, len(captured[0]), 11):

        def flip(response: bytes, at: int = position) -> bytes:
            return (
                response[: at % len(response)]
                + bytes([response[at % len(response)] ^ 1])
                + response[at % len(response) + 1 :]
            )

        zhejiang.wire.response_tampering = flip
        archive = ask_all(federation, "shanghai")
        for entry in archive.records:  # whatever still passes holds exactly what was sent
            assert entry.record.record_id in ("calculus", "welding")


def test_an_answer_to_another_question_is_refused(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    first: list[bytes] = []
    zhejiang.wire.response_tampering = lambda r: (first.append(r), r)[1]
    ask_all(federation, "shanghai")
    zhejiang.wire.response_tampering = lambda _: first[0]
    assert outcomes(ask_all(federation, "shanghai")) == {"shanghai": "ANSWER_NOT_BOUND"}


def test_a_record_in_another_provinces_name_is_refused(federation: Federation) -> None:
    shanghai = federation["shanghai"]
    for records in shanghai.shelf.records.values():
        forged = records[0].translated.replace(b"shanghai", b"zhejiang")
        records[0] = type(records[0])(
            records[0].record_id, records[0].kind, forged, records[0].scheme_digest, b"{}"
        )
    assert outcomes(ask_all(federation, "shanghai")) == {"shanghai": "ANSWER_INCOMPLETE"}


def test_a_status_whose_signed_form_says_otherwise_is_no_refusal(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    federation["shanghai"].adopt(access=all_granted())
    original = zhejiang.wire.call

    def relabel(*arguments: object) -> bytes:
        try:
            return original(*arguments)
        except PeerFaultError as error:
            object.__setattr__(error.details, "reason", "KIND_NOT_GRANTED")
            raise

    zhejiang.wire.call = relabel
    assert outcomes(ask_all(federation, "shanghai")) == {"shanghai": "ANSWER_NOT_BOUND"}


def test_suspended_and_expired_peers_are_not_asked(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    shanghai = federation["shanghai"].province.peer(SUSPENDED)
    anhui = federation["anhui"].province.peer(issued=NOW - timedelta(days=2), expires=NOW)
    zhejiang.adopt(roster=Roster.of([shanghai, anhui]))
    assert outcomes(ask_all(federation)) == {"shanghai": "PEER_SUSPENDED_HERE", "anhui": "CARD_EXPIRED_HERE"}
    assert not zhejiang.wire.carried


def test_a_result_that_cannot_be_logged_is_not_shown(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    zhejiang = federation["zhejiang"]

    def unavailable(*_: object, **__: object) -> None:
        raise RefusedError("AUDIT_UNAVAILABLE", "the disk is full")

    monkeypatch.setattr(zhejiang.log, "append", unavailable)
    archive = ask_all(federation)
    assert set(outcomes(archive).values()) == {"AUDIT_UNAVAILABLE_HERE"}
    assert not archive.records


def test_a_malformed_identifier_asks_nobody(federation: Federation) -> None:
    with pytest.raises(CallerError):
        ask_all(federation, learner_identifier="990001199003071230")
    assert not federation["zhejiang"].wire.carried


def test_without_a_federation_secret_nothing_is_asked(federation: Federation) -> None:
    federation["zhejiang"].adopt(secrets={})
    with pytest.raises(OperatorError, match="federation secret"):
        ask_all(federation)


def test_the_identifier_and_the_token_are_in_no_leaf_and_no_repr(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    question = zhejiang.question("shanghai")
    assert question.learner_identifier not in repr(question)
    ask_all(federation)
    everything = json.dumps([n.entries() for n in federation.nodes.values()])
    assert question.learner_identifier not in everything


def test_the_same_certificate_from_two_provinces_is_shown_once(federation: Federation) -> None:
    from creditexchange.v1.record_pb2 import LearningRecord

    for name in ("shanghai", "anhui"):
        node = federation[name]
        for records in node.shelf.records.values():
            record = LearningRecord.FromString(records[0].translated)
            record.certificate.number = "S000031000001261000001"
            record.issuers.add().identifiers.add(scheme="uscc", value="91350100M000100Y43")
            records[0] = type(records[0])(
                records[0].record_id,
                records[0].kind,
                record.SerializeToString(),
                records[0].scheme_digest,
                b"{}",
            )
    archive = ask_all(federation)
    shared = [e for e in archive.records if e.record.certificate.number]
    assert len(shared) == 1
    assert {p.node_id for p in shared[0].provenance} == {"shanghai", "anhui"}


def test_an_unknown_provinces_answer_proves_nothing(federation: Federation) -> None:
    zhejiang, impostor = federation["zhejiang"], Province("shanghai")

    def resign(response: bytes) -> bytes:
        message = QueryRecordsResponse.FromString(response)
        sealed: SignedMessage = seal(message.message.payload, RECORD_ANSWER_TYPE, [impostor.message_key])
        message.message.CopyFrom(sealed)
        return message.SerializeToString()

    zhejiang.wire.response_tampering = resign
    assert outcomes(ask_all(federation, "shanghai")) == {"shanghai": "ANSWER_NOT_SIGNED"}
