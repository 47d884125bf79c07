"""What a caller sends as a trace's context, and what stays of tracing when it is off."""

import threading

import pytest

from gateway.telemetry import tracing
from tests.telemetry.otlp_receiver import Receiver, receiver

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-00"


@pytest.fixture
def kept():
    with receiver() as keeping:
        stop = tracing.start(keeping.endpoint, 1.0, "anhui")
        yield keeping, stop
        stop()


def spans_of(kept: tuple[Receiver, object]) -> list:
    keeping, stop = kept
    stop()
    return keeping.spans


def test_a_call_continues_the_trace_of_its_caller(kept) -> None:
    with tracing.server("answer", [("traceparent", GOOD)], peer="zhejiang"):
        assert tracing.trace_id() == TRACE
        tracing.note("commit", 0.01, items=3)
        tracing.step("log", 0.02)
    commit, log, answer = spans_of(kept)
    assert (answer.trace, answer.parent) == (TRACE, SPAN)
    assert (log.parent, commit.parent) == (answer.id, log.id)
    assert commit.attributes == {"items": "3"}
    assert commit.seconds == pytest.approx(0.01, abs=0.001)


@pytest.mark.parametrize(
    "sent",
    [
        "",
        f"01-{TRACE}-{SPAN}-00",
        f"00-{'0' * 32}-{SPAN}-00",
        f"00-{TRACE}-{'0' * 16}-00",
        f"00-{TRACE.upper()}-{SPAN}-00",
        f"{GOOD}-extra",
        f"{GOOD}\n",
        "x" * 8_000,
        GOOD.encode(),
        "00-990001199003071231",
    ],
)
def test_whatever_else_is_sent_begins_a_trace_of_our_own(kept, sent) -> None:
    with tracing.server("answer", [("traceparent", sent)]):
        assert tracing.trace_id() != TRACE
    (answer,) = spans_of(kept)
    assert answer.parent == ""
    assert "990001199003071231" not in str(answer)


def test_two_contexts_are_none(kept) -> None:
    with tracing.server("answer", [("traceparent", GOOD), ("traceparent", GOOD)]):
        assert tracing.trace_id() != TRACE


def test_the_caller_cannot_have_a_trace_kept() -> None:
    with receiver() as keeping:
        stop = tracing.start(keeping.endpoint, 0.0, "anhui")
        with tracing.server("answer", [("traceparent", GOOD[:-1] + "1")]):
            ((name, sent),) = tracing.outgoing()
        stop()
    assert (name, sent[-3:]) == ("traceparent", "-00")
    assert keeping.spans == []


def test_a_thread_of_its_own_continues_nothing(kept) -> None:
    found = []
    with tracing.server("answer", []):
        thread = threading.Thread(target=lambda: found.append(tracing.outgoing()))
        thread.start()
        thread.join()
    assert found == [()]


def test_nothing_is_made_while_it_is_off() -> None:
    with tracing.server("answer", [("traceparent", GOOD)]), tracing.client("ask", tracing.begin("question")):
        tracing.step("open", 0.1)
        tracing.note("commit", 0.1)
        assert tracing.trace_id() is None
        assert tracing.outgoing() == ()
