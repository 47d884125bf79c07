"""For each check of the answering side one message that breaks only it; the reason is asserted."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from creditexchange.v1.envelope_pb2 import Refusal, RefusalBody
from creditexchange.v1.exchange_pb2 import (
    QueryRecordsRequest,
    QueryRecordsResponse,
    RecordAnswer,
    RecordAnswerBody,
)
from creditexchange.v1.reason_pb2 import Reason
from gateway.audit.commitment import RECORD, open_items, require_root
from gateway.errors import RefusedError, StorageError
from gateway.exchange.answering.answer import answer_query
from gateway.exchange.answering.refuse import SignedRefusalError
from gateway.exchange.messages import ECHO, ECHO_QUERY_TYPE, QUERY_RECORDS, REFUSAL_TYPE
from gateway.peers.roster import SUSPENDED, Roster
from gateway.signing.envelope import open_envelope, seal
from gateway.signing.suites import SigningKey
from tests.federation.provinces import NOW, Province
from tests.federation.simulator import STRANGER, Draft, Federation, SimulatedNode, draft, incoming


def answer(
    node: SimulatedNode, request: bytes, sender: str = "zhejiang", method: str = QUERY_RECORDS
) -> bytes:
    return answer_query(request, incoming(node, sender, method), node.snapshot, node.answering)


def refusal(node: SimulatedNode, request: bytes, **how: str) -> SignedRefusalError:
    with pytest.raises(SignedRefusalError) as error:
        answer(node, request, **how)
    return error.value


def test_a_correct_query_is_answered_with_signed_committed_records(federation: Federation) -> None:
    shanghai = federation["shanghai"]
    query = draft("zhejiang", "shanghai", NOW)
    response = QueryRecordsResponse.FromString(
        answer(shanghai, query.signed(federation["zhejiang"].province))
    )
    payload = RecordAnswer.FromString(response.message.payload)
    body = RecordAnswerBody.FromString(payload.body)
    require_root(list(response.openings), RECORD, body.records_root)
    assert list(body.record_counts) == [2]
    assert payload.header.in_reply_to == query.query.header.message_id
    assert shanghai.entries()[0]["count"] == 2


def test_signed_bytes_hold_nothing_about_a_person(federation: Federation) -> None:
    query = draft("zhejiang", "shanghai", NOW)
    request = QueryRecordsRequest.FromString(query.signed(federation["zhejiang"].province))
    response = QueryRecordsResponse.FromString(answer(federation["shanghai"], request.SerializeToString()))
    token = query.openings[0].item
    for signed in (request.message.payload, response.message.payload):
        assert token not in signed
        assert b"calculus" not in signed
    assert "calculus" not in json.dumps(federation["shanghai"].entries())


def test_a_learner_about_whom_nothing_is_held_looks_like_any_other(federation: Federation) -> None:
    request = draft("zhejiang", "shanghai", NOW, STRANGER).signed(federation["zhejiang"].province)
    response = QueryRecordsResponse.FromString(answer(federation["shanghai"], request))
    assert not response.openings
    assert federation["shanghai"].shelf.asked == 1


def set_header(**members: object) -> Callable[[Draft], None]:
    def change(d: Draft) -> None:
        for name, value in members.items():
            setattr(d.query.header, name, value)

    return change


def set_body(**members: object) -> Callable[[Draft], None]:
    def change(d: Draft) -> None:
        for name, value in members.items():
            if isinstance(value, list):
                d.body.ClearField(name)
                getattr(d.body, name).extend(value)
            else:
                setattr(d.body, name, value)

    return change


def times(issued_s: float, expires_s: float) -> Callable[[Draft], None]:
    def change(d: Draft) -> None:
        d.query.header.issue_time.FromDatetime(NOW + timedelta(seconds=issued_s))
        d.query.header.expire_time.FromDatetime(NOW + timedelta(seconds=expires_s))

    return change


def other_opening(d: Draft) -> None:
    d.openings[0].item = bytes(32)


def unknown_body_field(d: Draft) -> None:
    d.query.body = d.body.SerializeToString() + b"\xf8\x01\x01"
    d.body = None


def garbage_body(d: Draft) -> None:
    d.query.body, d.body = b"\xff\xff", None


def extra_opening(d: Draft) -> None:
    d.openings.extend(open_items("consent", [b"x"]))


SIGNED_REFUSALS = {
    "version": (set_header(protocol_version=2), "UNSUPPORTED_VERSION"),
    "audience": (set_header(audience="anhui"), "WRONG_AUDIENCE"),
    "method": (set_header(method=ECHO), "WRONG_METHOD"),
    "issued in the future": (times(31, 91), "CLOCK_SKEW"),
    "five minutes ahead": (times(300, 360), "CLOCK_SKEW"),
    "expired": (times(-120, -31), "MESSAGE_EXPIRED"),
    "five minutes behind": (times(-300, -240), "MESSAGE_EXPIRED"),
    "window of 121 s": (times(0, 121), "WINDOW_TOO_LONG"),
    "expires before issue": (times(5, 4), "WINDOW_TOO_LONG"),
    "no purpose": (set_body(purpose=0), "UNKNOWN_PURPOSE"),
    "unknown purpose": (set_body(purpose=99), "UNKNOWN_PURPOSE"),
    "purpose not granted": (set_body(purpose=2), "PURPOSE_NOT_GRANTED"),
    "unknown kind": (set_body(kinds=[99]), "UNKNOWN_KIND"),
    "kind not granted": (set_body(kinds=[3, 9]), "KIND_NOT_GRANTED"),
    "no kind": (set_body(kinds=[]), "MALFORMED_MESSAGE"),
    "a kind twice": (set_body(kinds=[3, 3]), "MALFORMED_MESSAGE"),
    "no legal basis": (set_body(legal_basis=0), "MALFORMED_MESSAGE"),
    "consent stated, none sent": (set_body(legal_basis=1), "CONSENT_REQUIRED"),
    "unknown epoch": (set_body(federation_epoch="1999"), "UNKNOWN_EPOCH"),
    "two subjects": (set_body(subject_count=2), "TOO_MANY_SUBJECTS"),
    "short root": (set_body(subjects_root=b"x"), "MALFORMED_MESSAGE"),
    "other root": (set_body(subjects_root=bytes(32)), "COMMITMENT_MISMATCH"),
    "other opening": (other_opening, "COMMITMENT_MISMATCH"),
    "an opening too many": (extra_opening, "COMMITMENT_MISMATCH"),
    "no opening": (lambda d: d.openings.clear(), "COMMITMENT_MISMATCH"),
    "unknown field in the body": (unknown_body_field, "MALFORMED_MESSAGE"),
    "garbage as body": (garbage_body, "MALFORMED_MESSAGE"),
}


@pytest.mark.parametrize("name", SIGNED_REFUSALS)
def test_a_refusal_to_an_authenticated_peer_is_logged_and_signed(federation: Federation, name: str) -> None:
    change, reason = SIGNED_REFUSALS[name]
    shanghai = federation["shanghai"]
    query = draft("zhejiang", "shanghai", NOW)
    change(query)
    error = refusal(shanghai, query.signed(federation["zhejiang"].province))
    assert error.reason == reason
    keys = {shanghai.province.message_key.key_id: shanghai.province.message_key.verifying}
    opened = open_envelope(error.signed, REFUSAL_TYPE, keys.get)
    payload = Refusal.FromString(opened.payload)
    assert Reason.Name(RefusalBody.FromString(payload.body).reason) == f"REASON_{reason}"
    assert payload.header.in_reply_to == query.query.header.message_id
    assert shanghai.entries()[-1]["outcome"] == reason
    assert shanghai.shelf.asked == 0


@pytest.mark.parametrize("skew_s", [-29, 29])
def test_clocks_may_differ_a_little(federation: Federation, skew_s: int) -> None:
    query = draft("zhejiang", "shanghai", NOW)
    times(skew_s, skew_s + 60)(query)
    answer(federation["shanghai"], query.signed(federation["zhejiang"].province))


UNSIGNED_REFUSALS: dict[str, tuple[Callable[[Draft], None], str]] = {
    "short message id": (set_header(message_id=b"x"), "MALFORMED_MESSAGE"),
    "short exchange id": (set_header(exchange_id=b""), "MALFORMED_MESSAGE"),
    "no sequence": (set_header(pair_sequence=0), "MALFORMED_MESSAGE"),
    "sequence beyond what a leaf holds": (set_header(pair_sequence=2**53), "MALFORMED_MESSAGE"),
    "no sender": (set_header(sender=""), "MALFORMED_MESSAGE"),
    "no version": (set_header(protocol_version=0), "MALFORMED_MESSAGE"),
    "no times": (lambda d: d.query.header.ClearField("issue_time"), "MALFORMED_MESSAGE"),
    "time of year 1": (
        lambda d: setattr(d.query.header.issue_time, "seconds", -62135596800),
        "MALFORMED_MESSAGE",
    ),
    "sender is another node": (set_header(sender="anhui"), "PEER_IDENTITY_MISMATCH"),
}


@pytest.mark.parametrize("name", UNSIGNED_REFUSALS)
def test_what_cannot_be_bound_to_a_peer_leaves_no_entry(federation: Federation, name: str) -> None:
    change, reason = UNSIGNED_REFUSALS[name]
    query = draft("zhejiang", "shanghai", NOW)
    change(query)
    error = refusal(federation["shanghai"], query.signed(federation["zhejiang"].province))
    assert (error.reason, error.signed) == (reason, None)
    assert federation["shanghai"].log.size == 0


def test_a_message_relayed_by_another_peer_is_refused_without_evidence(federation: Federation) -> None:
    request = draft("zhejiang", "shanghai", NOW).signed(federation["zhejiang"].province)
    error = refusal(federation["shanghai"], request, sender="anhui")
    assert (error.reason, error.signed) == ("PEER_IDENTITY_MISMATCH", None)
    assert federation["shanghai"].log.size == 0


def test_a_key_that_no_card_lists_is_unknown(federation: Federation) -> None:
    request = draft("zhejiang", "shanghai", NOW).signed(Province("zhejiang"))
    assert refusal(federation["shanghai"], request).reason == "UNKNOWN_KEY"


def test_a_log_key_signs_no_messages(federation: Federation) -> None:
    zhejiang = federation["zhejiang"].province
    thief = Province("zhejiang", message_key=zhejiang.log_key)
    assert (
        refusal(federation["shanghai"], draft("zhejiang", "shanghai", NOW).signed(thief)).reason
        == "UNKNOWN_KEY"
    )


def test_signatures_of_two_nodes_on_one_message_are_refused(federation: Federation) -> None:
    query = draft("zhejiang", "shanghai", NOW)
    query.query.body = query.body.SerializeToString()
    keys = [federation[n].province.message_key for n in ("zhejiang", "anhui")]
    message = seal(
        query.query.SerializeToString(), "application/vnd.creditexchange.record-query.v1+protobuf", keys
    )
    request = QueryRecordsRequest(message=message, openings=query.openings).SerializeToString()
    assert refusal(federation["shanghai"], request).reason == "PEER_IDENTITY_MISMATCH"


def test_another_payload_type_is_refused(federation: Federation) -> None:
    request = draft("zhejiang", "shanghai", NOW).signed(federation["zhejiang"].province, ECHO_QUERY_TYPE)
    assert refusal(federation["shanghai"], request).reason == "WRONG_PAYLOAD_TYPE"


@pytest.mark.parametrize("request_", [b"", b"\xff", b"\x0a\x03abc", bytes(1000)])
def test_garbage_is_malformed(federation: Federation, request_: bytes) -> None:
    assert refusal(federation["shanghai"], request_).reason == "MALFORMED_MESSAGE"


def test_a_truncated_request_is_refused_at_every_length(federation: Federation) -> None:
    request = draft("zhejiang", "shanghai", NOW).signed(federation["zhejiang"].province)
    for length in range(0, len(request), 7):
        with pytest.raises(RefusedError):
            answer(federation["shanghai"], request[:length])
    assert federation["shanghai"].shelf.asked == 0


def test_a_replayed_message_is_refused_and_the_refusal_logged(federation: Federation) -> None:
    shanghai = federation["shanghai"]
    request = draft("zhejiang", "shanghai", NOW).signed(federation["zhejiang"].province)
    answer(shanghai, request)
    assert refusal(shanghai, request).reason == "REPLAYED_MESSAGE"
    assert [e["outcome"] for e in shanghai.entries()] == ["OK", "REPLAYED_MESSAGE"]
    assert shanghai.shelf.asked == 1


def test_a_message_id_is_remembered_until_time_alone_refuses_it(federation: Federation) -> None:
    shanghai = federation["shanghai"]
    request = draft("zhejiang", "shanghai", NOW).signed(federation["zhejiang"].province)
    answer(shanghai, request)
    federation.pass_time(60 + 29)
    shanghai.log.purge_seen()
    assert refusal(shanghai, request).reason == "REPLAYED_MESSAGE"
    federation.pass_time(2)
    shanghai.log.purge_seen()
    assert refusal(shanghai, request).reason == "MESSAGE_EXPIRED"


def test_a_retry_gets_the_same_body_without_another_look_up(federation: Federation) -> None:
    shanghai, zhejiang = federation["shanghai"], federation["zhejiang"].province
    first = draft("zhejiang", "shanghai", NOW)
    one = QueryRecordsResponse.FromString(answer(shanghai, first.signed(zhejiang)))
    first.query.header.message_id = bytes(range(16))
    first.query.header.pair_sequence = 2
    shanghai.put("990001199003071231", "added in the meantime")
    two = QueryRecordsResponse.FromString(answer(shanghai, first.signed(zhejiang)))
    bodies = [RecordAnswer.FromString(r.message.payload).body for r in (one, two)]
    assert bodies[0] == bodies[1]
    assert list(one.openings) == list(two.openings)
    assert shanghai.shelf.asked == 1


def test_an_exchange_id_serves_one_query_only(federation: Federation) -> None:
    shanghai, zhejiang = federation["shanghai"], federation["zhejiang"].province
    first, second = draft("zhejiang", "shanghai", NOW), draft("zhejiang", "shanghai", NOW, STRANGER)
    second.query.header.exchange_id = first.query.header.exchange_id
    answer(shanghai, first.signed(zhejiang))
    assert refusal(shanghai, second.signed(zhejiang)).reason == "EXCHANGE_CONFLICT"


def test_two_askers_may_choose_the_same_exchange_id(federation: Federation) -> None:
    shanghai = federation["shanghai"]
    first, second = draft("zhejiang", "shanghai", NOW), draft("anhui", "shanghai", NOW)
    second.query.header.exchange_id = first.query.header.exchange_id
    answer(shanghai, first.signed(federation["zhejiang"].province))
    answer(shanghai, second.signed(federation["anhui"].province), sender="anhui")


def test_a_suspended_peer_and_an_expired_card_are_refused(federation: Federation) -> None:
    shanghai, zhejiang = federation["shanghai"], federation["zhejiang"].province
    shanghai.adopt(roster=Roster.of([zhejiang.peer(SUSPENDED)]))
    assert refusal(shanghai, draft("zhejiang", "shanghai", NOW).signed(zhejiang)).reason == "PEER_SUSPENDED"
    expired = zhejiang.peer(issued=NOW - timedelta(days=2), expires=NOW)
    shanghai.adopt(roster=Roster.of([expired]))
    error = refusal(shanghai, draft("zhejiang", "shanghai", NOW).signed(zhejiang))
    assert error.reason == "CARD_EXPIRED"
    assert error.details["expiredAt"].startswith("2026-11-23")


def test_what_cannot_be_logged_is_not_answered(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    shanghai = federation["shanghai"]

    def unavailable(entries: Sequence[object]) -> list[Exception]:
        return [RefusedError("AUDIT_UNAVAILABLE", "no", retry_after_s=5) for _ in entries]

    monkeypatch.setattr(shanghai.log, "append_all", unavailable)
    error = refusal(shanghai, draft("zhejiang", "shanghai", NOW).signed(federation["zhejiang"].province))
    assert (error.reason, error.signed, error.retry_after_s) == ("AUDIT_UNAVAILABLE", None, 5)


def test_a_source_that_fails_is_a_refusal_that_says_come_back(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    shanghai = federation["shanghai"]

    def gone(*_: object) -> None:
        raise StorageError("gone")

    monkeypatch.setattr(shanghai.shelf, "find", gone)
    error = refusal(shanghai, draft("zhejiang", "shanghai", NOW).signed(federation["zhejiang"].province))
    assert (error.reason, error.retry_after_s) == ("SOURCE_UNAVAILABLE", 5)


def test_an_answer_that_would_not_fit_is_refused_before_it_is_logged_as_given(federation: Federation) -> None:
    shanghai = federation["shanghai"]
    shanghai.adopt(settings=replace(shanghai.snapshot.settings, message_bytes_max=8 * 1024 + 100))
    error = refusal(shanghai, draft("zhejiang", "shanghai", NOW).signed(federation["zhejiang"].province))
    assert error.reason == "ANSWER_TOO_LARGE"
    assert [e["outcome"] for e in shanghai.entries()] == ["ANSWER_TOO_LARGE"]


def test_nobody_works_for_a_caller_who_stopped_waiting(federation: Federation) -> None:
    shanghai = federation["shanghai"]
    request = draft("zhejiang", "shanghai", NOW).signed(federation["zhejiang"].province)
    late = replace(incoming(shanghai, "zhejiang"), deadline_at_s=0.0)
    with pytest.raises(SignedRefusalError) as error:
        answer_query(request, late, shanghai.snapshot, shanghai.answering)
    assert (error.value.reason, shanghai.shelf.asked, shanghai.log.size) == ("DEADLINE_TOO_SHORT", 0, 0)


def test_metrics_count_what_happened_under_bounded_labels(federation: Federation) -> None:
    shanghai, zhejiang = federation["shanghai"], federation["zhejiang"].province
    answer(shanghai, draft("zhejiang", "shanghai", NOW).signed(zhejiang))
    refusal(
        shanghai, draft("zhejiang", "shanghai", NOW).signed(Province("x1", message_key=SigningKey.generate()))
    )
    value = shanghai.metrics.registry.get_sample_value
    labels = {"direction": "answering", "peer": "zhejiang", "method": "QueryRecords"}
    assert value("credit_gateway_exchanges_total", labels | {"outcome": "OK"}) == 1
    assert value("credit_gateway_exchanges_total", labels | {"outcome": "UNKNOWN_KEY"}) == 1
    assert (
        value("credit_gateway_signature_failures_total", {"direction": "answering", "peer": "zhejiang"}) == 1
    )
    assert value("credit_gateway_records_total", {"direction": "answering", "peer": "zhejiang"}) == 2
