"""What the local API does once, on every engine: replays, races, failures, processes that ended."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from gateway.storage.engine import reading
from gateway.storage.migrate import upgrade
from gateway.storage.node_tables import Database
from gateway.web.archive_api.idempotency import KEPT_FOR, STUCK_AFTER, OnceOnly
from gateway.web.archive_api.problems import ProblemError
from gateway.web.archive_api.tokens import Principal
from tests.federation.provinces import NOW

KEY = "k" * 24
APP = Principal("app", "app", frozenset(), None)
OTHER = Principal("app", "other", frozenset(), None)


class Moving:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self):
        return self.now


@pytest.fixture
def clock() -> Moving:
    return Moving()


@pytest.fixture
def once(opening_engine: Callable[[], Database], clock: Moving) -> OnceOnly:
    engine = opening_engine()
    upgrade(engine, "node")
    return OnceOnly(engine, clock)


def test_a_replay_is_answered_as_before_and_another_caller_is_another_call(once: OnceOnly) -> None:
    done = []

    def act() -> dict[str, int]:
        done.append(1)
        return {"n": len(done)}

    assert once.call(KEY, APP, "make", {"a": 1}, act) == ({"n": 1}, False)
    assert once.call(KEY, APP, "make", {"a": 1}, act) == ({"n": 1}, True)
    assert once.call(KEY, OTHER, "make", {"a": 1}, act) == ({"n": 2}, False)
    assert once.call(KEY, APP, "other", {"a": 1}, act) == ({"n": 3}, False)
    assert once.call(None, APP, "make", {"a": 1}, act) == ({"n": 4}, False)
    with pytest.raises(ProblemError) as reused:
        once.call(KEY, APP, "make", {"a": 2}, act)
    assert reused.value.name == "idempotency-key-reused"


def test_the_stored_answer_cannot_be_read_without_the_key(once: OnceOnly) -> None:
    once.call(KEY, APP, "make", {}, lambda: {"code": "SECRET-CODE"})
    with reading(once.database) as connection:
        (row,) = connection.exec_driver_sql("SELECT tag, fingerprint, answer FROM idempotent_call").fetchall()
    stored = b"".join(bytes(value) for value in row)
    assert b"SECRET" not in stored
    assert KEY.encode() not in stored


def test_of_many_at_once_one_does_it(once: OnceOnly) -> None:
    done, barrier = [], threading.Barrier(6)

    def attempt(_number: int) -> str:
        barrier.wait()
        try:
            return "replayed" if once.call(KEY, APP, "make", {}, lambda: done.append(1))[1] else "done"
        except ProblemError as error:
            return error.name

    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(attempt, range(6)))
    assert len(done) == 1
    assert outcomes.count("done") == 1
    assert set(outcomes) <= {"done", "replayed", "conflict"}


def test_what_failed_may_be_tried_again_and_what_was_left_is_taken_over(
    once: OnceOnly, clock: Moving
) -> None:
    def fail() -> None:
        raise ProblemError("peer-failed", "away")

    with pytest.raises(ProblemError):
        once.call(KEY, APP, "make", {}, fail)
    inner = []

    def interrupted() -> str:
        try:
            once.call(KEY, APP, "make", {}, lambda: "twice")
        except ProblemError as error:
            inner.append(error.name)
        clock.now += STUCK_AFTER + timedelta(seconds=1)
        inner.append(once.call(KEY, APP, "make", {}, lambda: "taken over")[0])
        return "late"

    once.call(KEY, APP, "make", {}, interrupted)
    assert inner == ["conflict", "taken over"]
    clock.now += KEPT_FOR + timedelta(seconds=1)
    assert once.call(KEY, APP, "make", {"new": True}, lambda: "anew") == ("anew", False)
