"""Which province has something? Kinds and nothing else, signed and logged like any exchange."""

import pytest

from creditexchange.v1.exchange_pb2 import LocateRecordsResponse, LocationAnswer, LocationAnswerBody
from gateway.audit.entry import parse_leaf
from gateway.errors import PeerFaultError
from gateway.exchange.asking.one_by_one import NOT_ASKED, Finds, ask_until_found, by_likelihood, count_finds
from gateway.exchange.asking.question import Archive, PeerResult
from gateway.exchange.messages import LOCATE_RECORDS
from gateway.policy.purposes import KINDS
from gateway.signing.envelope import seal
from gateway.storage import audit_rows
from tests.federation.simulator import LEARNER, STRANGER, Federation, make_federation

COURSE, SKILL = KINDS["course"], KINDS["skill-level"]


@pytest.fixture
def federation(tmp_path) -> Federation:
    made = make_federation(tmp_path, "zhejiang", "anhui", "jiangsu", "shanghai")
    made["shanghai"].put(LEARNER, "Algebra", "Topology")
    made["shanghai"].put(LEARNER, "Electrician, level 3", kind=SKILL)
    return made


def locate(federation: Federation, peer: str = "shanghai", **changes: object) -> PeerResult:
    (result,) = federation["zhejiang"].ask(peer, is_locating=True, **changes).peers
    return result


def until_found(federation: Federation, **changes: object) -> Archive:
    zhejiang = federation["zhejiang"]
    question = zhejiang.question("anhui", "jiangsu", "shanghai", **changes)
    return ask_until_found(question, zhejiang.snapshot, zhejiang.asking)


def outcomes(archive: Archive) -> dict[str, str]:
    return {result.node_id: result.outcome for result in archive.peers}


def test_kinds_are_named_once_and_no_record_comes(federation: Federation) -> None:
    result = locate(federation)

    assert (result.outcome, set(result.held_kinds), len(result.held_kinds)) == ("OK", {COURSE, SKILL}, 2)
    assert (result.records, result.receipt_verified) == ((), True)


def test_only_kinds_that_were_asked_for_are_named(federation: Federation) -> None:
    assert locate(federation, kinds=(SKILL,)).held_kinds == (SKILL,)


def test_who_holds_nothing_says_the_same_of_everybody(federation: Federation) -> None:
    nothing, stranger = locate(federation, "anhui"), locate(federation, learner_identifier=STRANGER)

    assert (nothing.outcome, nothing.count) == (stranger.outcome, stranger.count) == ("OK", 0)


def test_nothing_but_kinds_is_sent(federation: Federation) -> None:
    sent: list[bytes] = []
    federation["zhejiang"].wire.response_tampering = lambda response: (sent.append(response), response)[1]

    locate(federation)

    response = LocateRecordsResponse.FromString(sent[0])
    body = LocationAnswerBody.FromString(LocationAnswer.FromString(response.message.payload).body)
    assert {field.name for field, _ in response.ListFields()} == {"message"}
    assert {field.name for field, _ in body.ListFields()} == {"held_kinds", "query_body_digest"}


def test_both_sides_log_it_and_their_logs_agree(federation: Federation) -> None:
    result = locate(federation)

    for name, role in (("zhejiang", "asker"), ("shanghai", "answerer")):
        with federation[name].log.reading() as connection:
            (row,) = audit_rows.read_entries_of_exchange(connection, result.exchange_id)
        entry = parse_leaf(row.leaf).draft
        assert (entry.role, entry.method, entry.outcome, entry.count) == (role, LOCATE_RECORDS, "OK", 2)
    federation.pass_time(600)
    assert federation["zhejiang"].reconcile("shanghai").findings == 0


def test_it_needs_the_same_grant_as_the_records(federation: Federation) -> None:
    assert locate(federation, kinds=(KINDS["graduation"],)).outcome == "KIND_NOT_GRANTED"


@pytest.mark.parametrize("kinds", [[KINDS["degree"]], [SKILL, COURSE], [COURSE, COURSE]])
def test_a_signed_answer_with_kinds_that_make_no_sense_is_not_believed(
    federation: Federation, kinds: list[int]
) -> None:
    shanghai = federation["shanghai"]

    def lie(response: bytes) -> bytes:
        made = LocateRecordsResponse.FromString(response)
        answer = LocationAnswer.FromString(made.message.payload)
        body = LocationAnswerBody.FromString(answer.body)
        body.held_kinds[:] = kinds
        answer.body = body.SerializeToString()
        made.message.CopyFrom(
            seal(answer.SerializeToString(), made.message.payload_type, shanghai.snapshot.message_keys)
        )
        return made.SerializeToString()

    federation["zhejiang"].wire.response_tampering = lie

    assert locate(federation).outcome == "ANSWER_MALFORMED"


def test_nobody_is_told_more_than_needed(federation: Federation) -> None:
    assert outcomes(until_found(federation)) == {"anhui": "OK", "jiangsu": "OK", "shanghai": "OK"}

    second = until_found(federation)

    assert outcomes(second) == {"shanghai": "OK", "anhui": NOT_ASKED, "jiangsu": NOT_ASKED}
    assert len(second.records) == 3


def test_nobody_is_left_out_while_nothing_is_found(federation: Federation) -> None:
    assert set(outcomes(until_found(federation, learner_identifier=STRANGER)).values()) == {"OK"}


def test_a_peer_that_fails_is_passed_over(federation: Federation) -> None:
    locate(federation)
    federation["zhejiang"].wire.faults["shanghai"] = PeerFaultError("NO_ANSWER", "it is away.")

    found = outcomes(until_found(federation))

    assert found.pop("shanghai") == "NO_ANSWER"
    assert set(found.values()) == {"OK"}


def test_the_likeliest_peer_comes_first(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    peers = zhejiang.question("anhui", "jiangsu", "shanghai").peers
    for _ in range(2):
        locate(federation, "anhui")
    locate(federation, "shanghai")

    assert count_finds("anhui", zhejiang.log) == Finds(asked=2, found=0)
    assert [peer.node_id for peer in by_likelihood(peers, zhejiang.log)] == ["shanghai", "jiangsu", "anhui"]
