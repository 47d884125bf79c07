"""Queries that are answered together: each gets its own answer or refusal, whatever the others are."""

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from creditexchange.v1.exchange_pb2 import QueryRecordsResponse, RecordAnswer, RecordAnswerBody
from gateway.audit.commitment import RECORD, require_root
from gateway.errors import StorageError
from gateway.exchange.answering import answer as answer_step
from gateway.exchange.answering.answer import Query, answer_queries
from gateway.exchange.answering.handlers import peer_handlers
from gateway.exchange.answering.refuse import SignedRefusalError
from gateway.exchange.messages import QUERY_RECORDS
from gateway.policy.purposes import KINDS
from gateway.telemetry.timings import WAIT, StepTimes
from tests.federation.provinces import NOW
from tests.federation.simulator import (
    LEARNER,
    STRANGER,
    Draft,
    Federation,
    draft,
    incoming,
    make_federation,
)


def query(federation: Federation, made: Draft, **changes: object) -> Query:
    shanghai = federation["shanghai"]
    call = replace(incoming(shanghai, "zhejiang"), **changes)
    return Query(made.signed(federation["zhejiang"].province), call, shanghai.snapshot)


def together(federation: Federation, *queries: Query) -> list[object]:
    """Return each outcome: the number of records, the refusal's reason, or the defect's type."""
    found: list[object] = []
    for outcome in answer_queries(queries, federation["shanghai"].answering):
        if isinstance(outcome, bytes):
            response = QueryRecordsResponse.FromString(outcome)
            body = RecordAnswerBody.FromString(RecordAnswer.FromString(response.message.payload).body)
            require_root(list(response.openings), RECORD, body.records_root)
            found.append(len(response.openings))
        else:
            found.append(outcome.reason if isinstance(outcome, SignedRefusalError) else type(outcome))
    return found


def plain(_made: Draft) -> None:
    """Change nothing."""


def for_another(made: Draft) -> None:
    made.query.header.audience = "jiangsu"


def about_nobody(made: Draft) -> None:
    made.body.purpose = 999  # type: ignore[assignment]


WAYS: dict[str, tuple[str, Callable[[Draft], None], object]] = {
    "answered": (LEARNER, plain, 2),
    "unknown learner": (STRANGER, plain, 0),
    "another audience": (LEARNER, for_another, "WRONG_AUDIENCE"),
    "no such purpose": (LEARNER, about_nobody, "UNKNOWN_PURPOSE"),
}


@given(ways=st.lists(st.sampled_from(sorted(WAYS)), min_size=1, max_size=12))
@settings(max_examples=25, deadline=None)
def test_each_gets_what_it_would_get_alone(tmp_path_factory: pytest.TempPathFactory, ways: list[str]) -> None:
    federation = make_federation(tmp_path_factory.mktemp("together"), "zhejiang", "shanghai")
    federation["shanghai"].put(LEARNER, "one", "two")
    queries = []
    for way in ways:
        whom, change, _ = WAYS[way]
        made = draft("zhejiang", "shanghai", NOW, whom)
        change(made)
        queries.append(query(federation, made))
    assert together(federation, *queries) == [WAYS[way][2] for way in ways]
    logged = sorted(entry["outcome"] for entry in federation["shanghai"].entries())
    assert logged == sorted(
        str(what) if isinstance(what, str) else "OK" for _, _, what in map(WAYS.get, ways)
    )
    federation["shanghai"].log.close()
    federation["shanghai"].log._database.dispose()


def test_of_one_message_sent_twice_at_once_one_is_answered(federation: Federation) -> None:
    made = draft("zhejiang", "shanghai", NOW)
    assert together(federation, query(federation, made), query(federation, made)) == [2, "REPLAYED_MESSAGE"]
    assert [entry["outcome"] for entry in federation["shanghai"].entries()] == ["OK", "REPLAYED_MESSAGE"]


def test_a_retry_beside_others_gets_the_answer_it_had(federation: Federation) -> None:
    shanghai, made = federation["shanghai"], draft("zhejiang", "shanghai", NOW)
    (first,) = answer_queries([query(federation, made)], shanghai.answering)
    made.query.header.message_id = bytes(range(16))
    asked = [query(federation, draft("zhejiang", "shanghai", NOW)), query(federation, made)]
    _, again = answer_queries(asked, shanghai.answering)
    assert isinstance(first, bytes)
    assert isinstance(again, bytes)
    one, other = (QueryRecordsResponse.FromString(each) for each in (first, again))
    assert list(one.openings) == list(other.openings)


@pytest.mark.parametrize("step", ["open_message", "authorise", "translate", "seal"])
def test_a_defect_met_by_one_query_is_its_own(
    federation: Federation, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    real, calls = getattr(answer_step, step), iter(range(9))

    def second_fails(*given: object, **how: object) -> object:
        if next(calls) == 1:
            raise ZeroDivisionError
        return real(*given, **how)

    monkeypatch.setattr(answer_step, step, second_fails)
    asked = [query(federation, draft("zhejiang", "shanghai", NOW)) for _ in range(3)]
    assert together(federation, *asked) == [2, ZeroDivisionError, 2]


def test_a_source_that_fails_refuses_each_with_an_error_of_its_own(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise StorageError("gone")

    monkeypatch.setattr(federation["shanghai"].shelf, "find", gone)
    asked = [query(federation, draft("zhejiang", "shanghai", NOW)) for _ in range(3)]
    outcomes = answer_queries(asked, federation["shanghai"].answering)
    assert [outcome.reason for outcome in outcomes] == ["SOURCE_UNAVAILABLE"] * 3  # type: ignore[union-attr]
    assert len(set(map(id, outcomes))) == 3


def test_one_look_up_serves_all_that_ask_for_the_same_kinds(federation: Federation) -> None:
    shanghai = federation["shanghai"]
    other = draft("zhejiang", "shanghai", NOW)
    del other.body.kinds[:]
    other.body.kinds.append(KINDS["skill-level"])  # type: ignore[arg-type]
    asked = [query(federation, draft("zhejiang", "shanghai", NOW, whom)) for whom in (LEARNER, STRANGER)]
    assert together(federation, *asked, query(federation, other)) == [2, 0, 0]
    assert shanghai.shelf.asked == 2


def test_a_caller_who_stopped_waiting_costs_the_others_nothing(federation: Federation) -> None:
    late = query(federation, draft("zhejiang", "shanghai", NOW), deadline_at_s=0.0)
    fine = query(federation, draft("zhejiang", "shanghai", NOW))
    assert together(federation, late, fine) == ["DEADLINE_TOO_SHORT", 2]


def test_what_passed_while_others_were_worked_for_is_told_as_waiting(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = iter(range(1, 1_000))
    monkeypatch.setattr("gateway.telemetry.timings.monotonic_s", lambda: float(next(now_s)))
    asked = [query(federation, draft("zhejiang", "shanghai", NOW)) for _ in range(2)]
    for each in asked:
        each.times = StepTimes(started_s=0.0)
    together(federation, *asked)
    for each in asked:
        names = [name for name, _ in each.times.steps]
        assert names == ["open", "admit", "authorise", "find", "translate", "log", "seal", WAIT, "count"]
        assert sum(seconds for _, seconds in each.times.steps) == each.times.total_s
        assert dict(each.times.steps)["open"] == 1.0


def test_a_slow_foreign_source_holds_up_nobody_else(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    shanghai = federation["shanghai"]
    node = replace(shanghai.answering, is_source_at_hand=False)
    answer = peer_handlers(node, shanghai.witness)[QUERY_RECORDS]
    real, is_looking, may_go_on = shanghai.shelf.find, threading.Event(), threading.Event()

    def slow_at_first(tokens: list[bytes], kinds: list[int]) -> list:
        if not is_looking.is_set():
            is_looking.set()
            assert may_go_on.wait(10)
        return real(tokens, kinds)

    monkeypatch.setattr(shanghai.shelf, "find", slow_at_first)

    def ask() -> bytes:
        request = draft("zhejiang", "shanghai", NOW).signed(federation["zhejiang"].province)
        return answer(request, incoming(shanghai, "zhejiang"), shanghai.snapshot)

    slow = threading.Thread(target=ask)
    slow.start()
    assert is_looking.wait(30)
    assert ask()
    may_go_on.set()
    slow.join(30)
    assert shanghai.log.size == 2
