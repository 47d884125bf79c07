"""Asking again: only with a new message of the same exchange, only where that is safe, and not for ever."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from creditexchange.v1.exchange_pb2 import QueryRecordsRequest, RecordQuery
from gateway.errors import PeerFaultError
from gateway.exchange.asking.retrying import JITTER, LEFT_S_MIN, PASSING, PAUSE_S, pause_before_retry
from gateway.peers.caller import RefusalDetails, RefusedByPeerError
from gateway.peers.card import Maintenance
from gateway.peers.reach import FAILURES_TO_OPEN, LATENCIES_NEEDED, REST_S_MIN
from gateway.peers.roster import Peer, Roster
from tests.federation.provinces import NOW
from tests.federation.simulator import Federation, SimulatedNode


def refusal(reason: str, retry_after_s: float | None = None) -> RefusedByPeerError:
    return RefusedByPeerError(RefusalDetails(reason, "no", (), None, retry_after_s))


def once(fault: PeerFaultError) -> Callable[[bytes], bytes]:
    """Let the first message, or the first answer, meet with ``fault``."""
    faults = [fault]

    def carry(message: bytes) -> bytes:
        if faults:
            raise faults.pop()
        return message

    return carry


LOST = PeerFaultError("UNREACHABLE", "the connection broke.")


def outcome(node: SimulatedNode, peer: str = "shanghai", **changes: object) -> str:
    (result,) = node.ask(peer, **changes).peers
    return result.outcome


def test_a_lost_answer_is_fetched_by_a_new_message_of_the_same_exchange(federation: Federation) -> None:
    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]
    zhejiang.wire.response_tampering = once(LOST)
    (result,) = zhejiang.ask("shanghai").peers
    assert (result.outcome, len(result.records)) == ("OK", 2)

    queries = [QueryRecordsRequest.FromString(sent).message for _, sent in zhejiang.wire.carried]
    first, second = (RecordQuery.FromString(query.payload) for query in queries)
    assert first.header.exchange_id == second.header.exchange_id
    assert first.body == second.body
    assert first.header.message_id != second.header.message_id
    assert (first.header.pair_sequence, second.header.pair_sequence) == (1, 2)

    assert [(e["kind"], e["outcome"]) for e in zhejiang.entries()] == [
        ("no-answer", "UNREACHABLE"),
        ("exchange", "OK"),
    ]
    assert len({e["answer_digest"] for e in shanghai.entries()}) == 1, "one exchange, one answer"
    assert shanghai.shelf.asked == 1
    federation.pass_time(120)
    assert zhejiang.reconcile("shanghai").findings == 0
    assert shanghai.reconcile("zhejiang").findings == 0


def test_an_answer_that_stays_lost_is_still_a_difference_between_the_logs(federation: Federation) -> None:
    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]

    def lose(_response: bytes) -> bytes:
        raise LOST

    zhejiang.wire.response_tampering = lose
    assert outcome(zhejiang) == "UNREACHABLE"
    zhejiang.wire.response_tampering = lambda response: response
    federation.pass_time(120)
    assert zhejiang.reconcile("shanghai").findings > 0
    assert shanghai.reconcile("zhejiang").findings > 0


def test_a_busy_peer_is_asked_again_when_it_said(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    zhejiang.wire.request_tampering = once(refusal("OVERLOADED", 0.05))
    (result,) = zhejiang.ask("shanghai").peers
    assert result.outcome == "OK"


def test_a_peer_that_is_busy_beyond_the_deadline_is_not_waited_for(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    zhejiang.wire.request_tampering = once(refusal("RATE_EXCEEDED", 60))
    assert outcome(zhejiang) == "RATE_EXCEEDED"
    assert zhejiang.wire.carried == []


@pytest.mark.parametrize(
    "fault",
    [refusal("KIND_NOT_GRANTED"), refusal("REPLAYED_MESSAGE"), PeerFaultError("BAD_STATUS", "?")],
    ids=lambda fault: fault.outcome,
)
def test_what_would_end_the_same_is_not_asked_again(federation: Federation, fault: PeerFaultError) -> None:
    zhejiang = federation["zhejiang"]
    zhejiang.wire.request_tampering = once(fault)
    assert outcome(zhejiang) == fault.outcome
    assert zhejiang.wire.carried == []
    assert len(zhejiang.entries()) == 1


def test_a_forged_answer_is_not_asked_about_again(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    zhejiang.wire.response_tampering = lambda response: response[:-40]
    assert outcome(zhejiang).startswith("ANSWER_")
    assert len(zhejiang.wire.carried) == 1


def test_one_who_never_asks_again(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    zhejiang.settings = replace(zhejiang.settings, attempts_max=1)
    zhejiang.wire.response_tampering = once(LOST)
    assert outcome(zhejiang) == "UNREACHABLE"


def test_a_dead_peer_is_left_alone_and_nothing_is_sent_or_logged(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    zhejiang.wire.faults["shanghai"] = LOST
    assert outcome(zhejiang) == "UNREACHABLE"
    assert len(zhejiang.entries()) == FAILURES_TO_OPEN
    (result,) = zhejiang.ask("shanghai").peers
    assert result.outcome == "PEER_LEFT_ALONE"
    assert "left alone until 2026-11-23 12:00:0" in result.explanation
    assert "peers retry shanghai" in result.explanation
    assert len(zhejiang.entries()) == FAILURES_TO_OPEN
    assert outcome(zhejiang, "anhui") == "OK"

    del zhejiang.wire.faults["shanghai"]
    zhejiang.reaches.heard_from("shanghai")
    assert outcome(zhejiang) == "OK"


def test_after_the_rest_one_question_tries(federation: Federation) -> None:
    zhejiang, now_s = federation["zhejiang"], [0.0]
    zhejiang.reaches.now_s = lambda: now_s[0]
    zhejiang.wire.faults["shanghai"] = LOST
    outcome(zhejiang)
    now_s[0] += REST_S_MIN
    assert outcome(zhejiang) == "UNREACHABLE"
    assert outcome(zhejiang) == "PEER_LEFT_ALONE"
    assert len(zhejiang.entries()) == FAILURES_TO_OPEN + 1, "the trial is one message, without a retry"
    del zhejiang.wire.faults["shanghai"]
    now_s[0] += 2 * REST_S_MIN
    assert outcome(zhejiang) == "OK"
    assert zhejiang.reaches.failures("shanghai") == 0


def test_a_refusal_is_a_sign_of_life(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    for _ in range(2 * FAILURES_TO_OPEN):
        zhejiang.wire.request_tampering = once(refusal("PURPOSE_NOT_GRANTED"))
        assert outcome(zhejiang) == "PURPOSE_NOT_GRANTED"


def announce(node: SimulatedNode, peer: SimulatedNode) -> None:
    """Give ``node`` a card of ``peer`` that announces an hour of maintenance from now."""
    window = Maintenance(NOW, NOW + timedelta(hours=1), {"en": "new disks"})
    card = peer.province.card(serial=2, maintenance=[window])
    others = [p for p in node.snapshot.roster.peers.values() if p.node_id != peer.node_id]
    node.adopt(roster=Roster.of([*others, Peer(card, "active", NOW, card.endpoints)]))


def test_a_peer_in_announced_maintenance_is_asked_afterwards_only(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    announce(zhejiang, federation["shanghai"])
    (result,) = zhejiang.ask("shanghai").peers
    assert result.outcome == "PEER_IN_MAINTENANCE"
    assert "until 2026-11-23 13:00:00 UTC (new disks)" in result.explanation
    assert (zhejiang.wire.carried, zhejiang.entries()) == ([], [])
    assert outcome(zhejiang, is_even_in_maintenance=True) == "OK"
    federation.pass_time(3600)
    assert outcome(zhejiang) == "OK"


def test_silence_during_maintenance_is_no_failure(federation: Federation) -> None:
    zhejiang = federation["zhejiang"]
    announce(zhejiang, federation["shanghai"])
    zhejiang.wire.faults["shanghai"] = LOST
    assert outcome(zhejiang, is_even_in_maintenance=True) == "UNREACHABLE"
    assert zhejiang.reaches.failures("shanghai") == 0


def test_each_peer_has_its_own_deadline(federation: Federation, monkeypatch: pytest.MonkeyPatch) -> None:
    zhejiang = federation["zhejiang"]
    zhejiang.settings = replace(zhejiang.settings, deadlines_s={"anhui": 12.0})
    given_s: dict[str, float] = {}
    carry = zhejiang.wire.call
    monkeypatch.setattr(
        zhejiang.wire,
        "call",
        lambda peer, method, request, timeout_s: (
            given_s.update({peer.node_id: timeout_s}),
            carry(peer, method, request, timeout_s),
        )[1],
    )
    zhejiang.ask(deadline_s=None)
    assert 4 < given_s["shanghai"] <= 5
    assert 11 < given_s["anhui"] <= 12
    zhejiang.ask(deadline_s=2.0)
    assert given_s["anhui"] <= 2


def hold_first(released: threading.Event) -> Callable[[bytes], bytes]:
    """Keep the first answer back until ``released``."""
    held: list[bytes] = []

    def carry(response: bytes) -> bytes:
        if not held:
            held.append(response)
            assert released.wait(30)
        return response

    return carry


def hedging(federation: Federation, usual_s: float = 0.3) -> SimulatedNode:
    """Zhejiang, which sends a second message after ``usual_s``: long enough for the first to be the first."""
    zhejiang = federation["zhejiang"]
    zhejiang.settings = replace(zhejiang.settings, is_hedging=True)
    for _ in range(LATENCIES_NEEDED):
        zhejiang.reaches.heard_from("shanghai", usual_s)
    return zhejiang


def test_a_slow_peer_is_sent_a_second_message_and_the_first_answer_counts(federation: Federation) -> None:
    zhejiang, shanghai, released = hedging(federation), federation["shanghai"], threading.Event()
    zhejiang.wire.response_tampering = hold_first(released)
    try:
        (result,) = zhejiang.ask("shanghai").peers
        assert (result.outcome, len(result.records)) == ("OK", 2)
        assert len(zhejiang.entries()) == 1, "the first message is still under way"
    finally:
        released.set()
    zhejiang.stragglers.wait()
    both = zhejiang.entries()
    assert [(e["outcome"], e["peer_seq"]) for e in both] == [("OK", 2), ("OK", 1)]
    assert len({e["answer_digest"] for e in (*both, *shanghai.entries())}) == 1
    federation.pass_time(120)
    assert zhejiang.reconcile("shanghai").findings == 0
    assert shanghai.reconcile("zhejiang").findings == 0


def test_a_bad_first_answer_waits_for_the_second(federation: Federation) -> None:
    zhejiang, released = hedging(federation), threading.Event()
    hold = hold_first(released)

    def carry(response: bytes) -> bytes:
        if zhejiang.wire.carried[1:] and not released.is_set():
            released.set()
            raise LOST  # the second message is lost; then the first is answered
        return hold(response)

    zhejiang.wire.response_tampering = carry
    assert outcome(zhejiang) == "OK"
    zhejiang.stragglers.wait()


def test_nobody_hedges_who_did_not_say_so(federation: Federation) -> None:
    zhejiang = hedging(federation, 0.01)
    zhejiang.settings = replace(zhejiang.settings, is_hedging=False)
    zhejiang.wire.response_tampering = lambda response: (threading.Event().wait(0.05), response)[1]
    assert outcome(zhejiang) == "OK"
    assert len(zhejiang.wire.carried) == 1


@given(
    st.sampled_from([LOST, refusal("INTERNAL"), *(refusal(reason) for reason in sorted(PASSING))]),
    st.none() | st.floats(0, 60),
    st.integers(1, 5),
    st.floats(0, 40),
    st.floats(0, 1),
    st.booleans(),
)
def test_pauses_fit_the_deadline_and_are_never_shorter_than_the_peer_said(
    fault: PeerFaultError, named_s: float | None, attempt: int, left_s: float, chance: float, has_other: bool
) -> None:
    if isinstance(fault, RefusedByPeerError):
        fault = refusal(fault.outcome, named_s)
    pause_s = pause_before_retry(fault, attempt, left_s, chance, has_other_endpoint=has_other)
    if fault.outcome == "INTERNAL":
        assert pause_s is None
    if pause_s is None:
        return
    assert pause_s + LEFT_S_MIN <= left_s
    assert pause_s >= PAUSE_S * 2 ** (attempt - 1) * (1 - JITTER)
    if isinstance(fault, RefusedByPeerError) and named_s is not None and not has_other:
        assert named_s <= pause_s
