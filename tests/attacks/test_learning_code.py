"""Who photographs, replays, alters, guesses or steals a learning code; and who only lost the answer."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path

import pytest

from creditexchange.v1.code_pb2 import CodeSecret, RedeemCodeResponse
from creditexchange.v1.consent_pb2 import Consent
from gateway.audit import parse_leaf
from gateway.audit.commitment import LEARNING_CODE, commitment, open_items
from gateway.audit.erasure import erase_learner
from gateway.errors import CallerError, PeerFaultError, RefusedError
from gateway.exchange.asking.redeem_code import redeem
from gateway.exchange.consents import find_issued, revoke_consent
from gateway.exchange.learning_codes import (
    WRONG_CODES_PER_MINUTE_MAX,
    IssuedCode,
    list_codes,
    revoke_code,
    secret_hash,
)
from gateway.policy.consent import parse_consent, read_consent
from gateway.policy.learning_code import LearningCode, new_code
from gateway.storage import audit_rows
from tests.attacks.learning_codes import TOKEN, Attempt, issue
from tests.federation.simulator import LEARNER, Federation, SimulatedNode, make_federation


@pytest.fixture
def federation(tmp_path: Path) -> Iterator[Federation]:
    made = make_federation(tmp_path, "zhejiang", "shanghai", "anhui")
    made["zhejiang"].put(LEARNER, "a course of Zhejiang")
    yield made
    for node in made.nodes.values():
        node.log.close()
        node.log._database.dispose()


@pytest.fixture
def issued(federation: Federation) -> IssuedCode:
    return issue(federation["zhejiang"])


def attempt(federation: Federation, code: IssuedCode, redeemer: str = "shanghai", **how: object) -> Attempt:
    return Attempt(federation["zhejiang"], federation[redeemer], code.code, **how)


def consent_in(response: bytes) -> Consent:
    (opening,) = RedeemCodeResponse.FromString(response).openings
    return read_consent(parse_consent(opening.item))


def test_a_code_becomes_exactly_the_consent_that_was_chosen(
    federation: Federation, issued: IssuedCode
) -> None:
    shanghai = federation["shanghai"]
    message = redeem(issued.code, "Example Employer", shanghai.snapshot, shanghai.asking)
    consent = read_consent(message)
    assert consent.subject_token == TOKEN
    assert (consent.asking_node_id, consent.asking_organisation) == ("shanghai", "Example Employer")
    length = consent.end_time.ToDatetime(UTC) - consent.start_time.ToDatetime(UTC)
    assert length == timedelta(minutes=60)
    found = shanghai.ask(
        "zhejiang",
        consent=message,
        learner_identifier="",
        subject_token=TOKEN,
        federation_epoch=consent.federation_epoch,
    )
    assert [result.outcome for result in found.peers] == ["OK"]
    assert len(found.records) == 1
    # Nobody else can use it, and nobody beyond its scope.
    wider = shanghai.ask("zhejiang", consent=message, purpose=3)
    assert wider.peers[0].outcome == "CONSENT_MISSING_HERE"
    anhui = federation["anhui"]
    assert anhui.ask("zhejiang", consent=message).peers[0].outcome == "CONSENT_MISSING_HERE"


def test_a_photographed_code_is_worth_nothing_after_its_use(
    federation: Federation, issued: IssuedCode
) -> None:
    assert attempt(federation, issued).outcome() == "OK"
    for redeemer in ("shanghai", "anhui"):
        assert attempt(federation, issued, redeemer).outcome() == "CODE_INVALID used"
    shanghai = federation["shanghai"]
    with pytest.raises(PeerFaultError) as caught:
        redeem(issued.code, "Example Employer", shanghai.snapshot, shanghai.asking)
    assert caught.value.outcome == "CODE_INVALID"


def test_a_lost_answer_locks_nobody_out(federation: Federation, issued: IssuedCode) -> None:
    shanghai = federation["shanghai"]

    def lose(_response: bytes) -> bytes:
        raise PeerFaultError("NO_ANSWER", "the cable was cut.")

    shanghai.wire.response_tampering = lose
    with pytest.raises(PeerFaultError):
        redeem(issued.code, "Example Employer", shanghai.snapshot, shanghai.asking)
    shanghai.wire.response_tampering = lambda response: response
    assert attempt(federation, issued, "anhui").outcome() == "CODE_INVALID used"
    # The learner's own redeemer comes again, even after the code has expired.
    federation.pass_time(15 * 60)
    message = redeem(issued.code, "Example Employer", shanghai.snapshot, shanghai.asking)
    consent = read_consent(message)
    (listed,) = list_codes(federation["zhejiang"].log)
    assert listed.row.consent_id == consent.consent_id
    # It got its answer: from now on that would be a second use.
    with pytest.raises(PeerFaultError) as caught:
        redeem(issued.code, "Example Employer", shanghai.snapshot, shanghai.asking)
    assert caught.value.outcome == "CODE_INVALID"


def test_a_retry_gets_the_same_answer_and_no_second_consent(
    federation: Federation, issued: IssuedCode
) -> None:
    one = attempt(federation, issued)
    first, second = one.send(), one.send()
    assert RedeemCodeResponse.FromString(first).openings == RedeemCodeResponse.FromString(second).openings
    zhejiang = federation["zhejiang"]
    with zhejiang.log.reading() as connection:
        leaves = [audit_rows.read_entry(connection, i).leaf for i in range(zhejiang.log.size)]
    grants = [leaf for leaf in leaves if parse_leaf(leaf).draft.action == "consent-grant"]
    assert len(grants) == 1


def test_a_retry_by_somebody_else_is_no_retry(federation: Federation, issued: IssuedCode) -> None:
    """Anhui saw Shanghai's exchange id and opening: it is still not Shanghai."""
    one = attempt(federation, issued)
    one.send()
    stolen = attempt(federation, issued, "anhui", exchange_id=one.exchange_id)
    stolen.opening, stolen.body = one.opening, one.body
    assert stolen.outcome() == "CODE_INVALID used"
    assert stolen.outcome(one.request()) == "PEER_IDENTITY_MISMATCH"


def test_the_same_message_is_taken_once(federation: Federation, issued: IssuedCode) -> None:
    one = attempt(federation, issued)
    request = one.request()
    assert [one.outcome(request), one.outcome(request)] == ["OK", "REPLAYED_MESSAGE"]
    federation.pass_time(120)
    assert one.outcome(request) == "MESSAGE_EXPIRED"


def test_a_refused_message_is_not_taken_again_either(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    one = Attempt(zhejiang, federation["shanghai"], new_code("zhejiang"))
    request = one.request()
    assert [one.outcome(request), one.outcome(request)] == ["CODE_INVALID unknown", "REPLAYED_MESSAGE"]


@pytest.mark.parametrize("change", ["expired", "revoked", "other-redeemer", "other-organisation"])
def test_codes_that_are_not_good(federation: Federation, change: str) -> None:
    zhejiang = federation["zhejiang"]
    scope = {"other-redeemer": {"redeeming_node_id": "anhui"}, "other-organisation": {"organisation": "X"}}
    code = issue(zhejiang, **scope.get(change, {}))
    if change == "expired":
        federation.pass_time(600)
    if change == "revoked":
        revoke_code(code.code.code_id, zhejiang.log, zhejiang.clock())
    assert attempt(federation, code).outcome() == f"CODE_INVALID {change}"
    with pytest.raises(RefusedError):
        attempt(federation, code).send()


def test_a_code_holds_to_its_last_second(federation: Federation, issued: IssuedCode) -> None:
    federation.pass_time(599)
    assert attempt(federation, issued).outcome() == "OK"


@pytest.mark.parametrize("place", range(15))
def test_every_altered_byte_makes_it_another_code(
    federation: Federation, issued: IssuedCode, place: int
) -> None:
    raw = bytearray(issued.code.code_id + issued.code.secret)
    raw[place] ^= 1
    altered = replace(issued.code, code_id=bytes(raw[:5]), secret=bytes(raw[5:]))
    one = Attempt(federation["zhejiang"], federation["shanghai"], altered)
    assert one.outcome() == "CODE_INVALID unknown"
    assert attempt(federation, issued).outcome() == "OK"  # the real one has not suffered


ALTERATIONS: dict[str, tuple[Callable[[Attempt], object], str]] = {
    "secret that was not committed to": (
        lambda one: setattr(
            one.opening, "item", CodeSecret(code_id=bytes(5), secret=bytes(10)).SerializeToString()
        ),
        "COMMITMENT_MISMATCH",
    ),
    "key that was not committed to": (
        lambda one: setattr(one.opening, "key", bytes(32)),
        "COMMITMENT_MISMATCH",
    ),
    "other type of opening": (
        lambda one: setattr(one.opening, "item_type", "consent"),
        "COMMITMENT_MISMATCH",
    ),
    "no commitment": (lambda one: one.body.ClearField("code_commitment"), "MALFORMED_MESSAGE"),
    "no organisation": (lambda one: one.body.ClearField("organisation"), "MALFORMED_MESSAGE"),
    "organisation of 201 characters": (
        lambda one: setattr(one.body, "organisation", "x" * 201),
        "MALFORMED_MESSAGE",
    ),
    "organisation with a line feed": (
        lambda one: setattr(one.body, "organisation", "a\nb"),
        "MALFORMED_MESSAGE",
    ),
    "unknown field": (lambda one: setattr(one, "after_body", b"\x9a\x06\x00"), "MALFORMED_MESSAGE"),
    "other method": (
        lambda one: setattr(one, "method", "/creditexchange.v1.RecordExchangeService/QueryRecords"),
        "WRONG_METHOD",
    ),
}


@pytest.mark.parametrize("what", ALTERATIONS)
def test_what_is_altered_is_refused_and_uses_nothing_up(
    federation: Federation, issued: IssuedCode, what: str
) -> None:
    change, reason = ALTERATIONS[what]
    one = attempt(federation, issued)
    change(one)
    assert one.outcome() == reason
    assert attempt(federation, issued).outcome() == "OK"


def test_a_secret_of_the_wrong_length_is_malformed(federation: Federation, issued: IssuedCode) -> None:
    one = attempt(federation, issued)
    (one.opening,) = open_items(LEARNING_CODE, [CodeSecret(code_id=bytes(5)).SerializeToString()])
    one.body.code_commitment = commitment(one.opening)
    assert one.outcome() == "MALFORMED_MESSAGE"


def test_a_message_for_another_node_is_not_taken(federation: Federation, issued: IssuedCode) -> None:
    one = attempt(federation, issued)
    request = one.request()
    one.issuer = federation["anhui"]
    assert one.outcome(request) == "WRONG_AUDIENCE"


def test_guessing_is_slowed_down_and_does_not_lock_others_out(
    federation: Federation, issued: IssuedCode
) -> None:
    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]

    def guess() -> str:
        wrong = LearningCode("zhejiang", issued.code.code_id, new_code("zhejiang").secret)
        return Attempt(zhejiang, shanghai, wrong).outcome()

    outcomes = [guess() for _ in range(WRONG_CODES_PER_MINUTE_MAX + 3)]
    assert outcomes == ["CODE_INVALID unknown"] * WRONG_CODES_PER_MINUTE_MAX + ["RATE_EXCEEDED"] * 3
    assert attempt(federation, issued).outcome() == "RATE_EXCEEDED"  # that node has to wait, with any code
    with pytest.raises(RefusedError) as caught:
        attempt(federation, issued).send()
    assert 0 < (caught.value.retry_after_s or 0) <= 60
    assert attempt(federation, issued, "anhui").outcome() == "OK"
    federation.pass_time(60)
    assert guess() == "CODE_INVALID unknown"


def test_of_many_at_once_one_gets_it(federation: Federation) -> None:
    """Both provinces, several messages each, in threads; on two engines in tests/engines."""
    zhejiang = federation["zhejiang"]
    with ThreadPoolExecutor(6) as pool:
        for _ in range(5):
            code = issue(zhejiang)
            tries = [attempt(federation, code, name) for name in ("shanghai", "anhui") for _ in range(3)]
            requests = [one.request() for one in tries]
            outcomes = list(
                pool.map(lambda pair: pair[0].outcome(pair[1]), zip(tries, requests, strict=True))
            )
            assert outcomes.count("OK") == 1, outcomes
            assert set(outcomes) == {"OK", "CODE_INVALID used"}
            federation.pass_time(60)


def test_the_store_does_not_give_a_code_away(
    federation: Federation, issued: IssuedCode, tmp_path: Path
) -> None:
    zhejiang = federation["zhejiang"]
    copy = zhejiang.copy_log("stolen.db")
    content = copy.read_bytes()
    assert issued.code.secret not in content
    assert TOKEN not in content
    with closing(sqlite3.connect(copy)) as stolen:
        (row,) = stolen.execute("SELECT code_id, secret_hash FROM learning_code").fetchall()
    assert row == (issued.code.code_id, secret_hash(issued.code.secret))
    assert issued.code.secret.hex() not in repr(issued)


def test_the_log_says_nothing_about_anybody(federation: Federation, issued: IssuedCode) -> None:
    attempt(federation, issued).send()
    attempt(federation, issued, "anhui").outcome()
    zhejiang = federation["zhejiang"]
    with zhejiang.log.reading() as connection:
        leaves = [audit_rows.read_entry(connection, i).leaf for i in range(zhejiang.log.size)]
    actions = [parse_leaf(leaf).draft.action for leaf in leaves]
    assert actions == ["code-issue", "consent-grant", "code-refusal"]
    secrets = (TOKEN, issued.code.secret, issued.code.code_id)
    for leaf, secret in itertools.product(leaves, secrets):
        assert secret.hex().encode() not in leaf


def test_who_is_forgotten_has_no_codes_left(federation: Federation, issued: IssuedCode) -> None:
    zhejiang = federation["zhejiang"]
    erase_learner(zhejiang.log, zhejiang.clock, [TOKEN], "learner-request")
    (listed,) = list_codes(zhejiang.log)
    assert (listed.terms, listed.state(zhejiang.clock())) == (None, "erased")
    assert attempt(federation, issued).outcome() == "CODE_INVALID unknown"


def test_the_consent_of_a_code_is_taken_back_like_any_other(
    federation: Federation, issued: IssuedCode
) -> None:
    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]
    message = redeem(issued.code, "Example Employer", shanghai.snapshot, shanghai.asking)
    consent_id = read_consent(message).consent_id
    revoke_consent(consent_id, zhejiang.snapshot, zhejiang.log, zhejiang.clock())
    held = find_issued(zhejiang.log, consent_id)
    assert held is not None
    assert held.is_revoked
    assert shanghai.ask("zhejiang", consent=message).peers[0].outcome == "CONSENT_INVALID"
    with pytest.raises(CallerError, match="redeemed before"):
        revoke_code(issued.code.code_id, zhejiang.log, zhejiang.clock())


def test_a_lying_issuer_is_noticed(federation: Federation, issued: IssuedCode) -> None:
    """Zhejiang, or who carries its answer, hands out a consent that it did not sign for."""
    shanghai = federation["shanghai"]
    other = consent_response(federation, issue(federation["zhejiang"]))

    def swap(response: bytes) -> bytes:
        answer = RedeemCodeResponse.FromString(response)
        answer.openings[0].CopyFrom(other.openings[0])
        return answer.SerializeToString()

    shanghai.wire.response_tampering = swap
    with pytest.raises(PeerFaultError) as caught:
        redeem(issued.code, "Example Employer", shanghai.snapshot, shanghai.asking)
    assert caught.value.outcome == "ANSWER_INCOMPLETE"
    shanghai.wire.response_tampering = lambda _response: other.SerializeToString()
    with pytest.raises(PeerFaultError) as caught:
        redeem(issued.code, "Example Employer", shanghai.snapshot, shanghai.asking)
    assert caught.value.outcome == "ANSWER_NOT_BOUND"
    shanghai.wire.response_tampering = lambda response: response
    assert redeem(issued.code, "Example Employer", shanghai.snapshot, shanghai.asking)


def consent_response(federation: Federation, code: IssuedCode) -> RedeemCodeResponse:
    return RedeemCodeResponse.FromString(attempt(federation, code).send())


def test_its_own_codes_a_node_redeems_without_a_peer(federation: Federation, issued: IssuedCode) -> None:
    zhejiang: SimulatedNode = federation["zhejiang"]
    consent = read_consent(redeem(issued.code, "This Bank", zhejiang.snapshot, zhejiang.asking))
    assert consent.asking_node_id == "zhejiang"
    with pytest.raises(RefusedError) as caught:
        redeem(issued.code, "This Bank", zhejiang.snapshot, zhejiang.asking)
    assert caught.value.details == {"rule": "used"}


def test_codes_of_strangers_go_nowhere(federation: Federation) -> None:
    shanghai = federation["shanghai"]
    with pytest.raises(CallerError, match="does not know"):
        redeem(new_code("henan"), "Example Employer", shanghai.snapshot, shanghai.asking)
    assert shanghai.wire.carried == []
