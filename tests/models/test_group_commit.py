"""The group commit in every interleaving, and the log with a power cut between any two steps."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gateway import combining
from gateway.audit import verify_log
from gateway.combining import Combiner
from gateway.errors import RefusedError
from gateway.storage import audit_rows, driver_sql, evidence_rows, message_ids
from gateway.storage.engine import open_engine
from tests.audit.drafts import answered, evidence, new_log, open_log, seen
from tests.models.explorer import Deadlock, Run, SteppedLock, schedules
from tests.postgres import fresh_database


class Disk:
    """What is durable; each of its steps is a place where another thread may come in, or the power go."""

    def __init__(self, fails_at: int | None) -> None:
        self.durable: list[str] = []
        self.released: list[str] = []
        self.refused: list[str] = []
        self.is_busy = False
        self._fails_at = fails_at
        self._commits = 0

    def commit(self, items: Sequence[str]) -> list[str | Exception]:
        assert not self.is_busy, "two commits at once"
        self.is_busy = True
        try:
            Run.current.pause()
            self._commits += 1
            if self._commits == self._fails_at:
                raise OSError("the disk is full")
            outcomes: list[str | Exception] = []
            fresh = []
            for item in items:
                is_replay = item in self.durable or item in fresh
                outcomes.append(KeyError("replay") if is_replay else item)
                fresh += [] if is_replay else [item]
            Run.current.pause()
            self.durable += fresh
            Run.current.pause()
            return outcomes
        finally:
            self.is_busy = False

    def check(self) -> None:
        """What holds after every step, and so also if the power goes after it."""
        assert set(self.released) <= set(self.durable), "released before it was durable"
        assert len(set(self.durable)) == len(self.durable), "one thing twice"
        assert len(set(self.released)) == len(self.released), "released twice"


def callers(disk: Disk, items: Sequence[str], groups: Any) -> list[Callable[[], None]]:
    def caller(item: str) -> Callable[[], None]:
        def call() -> None:
            try:
                disk.released.append(groups.submit(item))
            except (KeyError, OSError):
                disk.refused.append(item)

        return call

    return [caller(item) for item in items]


def explore(items: Sequence[str], preemptions_max: int, fails_at: int | None, kind: Any = Combiner) -> int:
    """Try all schedules; return how many there were."""
    count = 0

    def make() -> tuple[list[Callable[[], None]], Callable[[], None]]:
        disk = Disk(fails_at)
        made.append(disk)
        return callers(disk, items, kind(disk.commit, items_max=2)), disk.check

    made: list[Disk] = []
    for _ in schedules(make, preemptions_max):
        count += 1
        disk = made.pop()
        assert sorted(disk.released + disk.refused) == sorted(items), "somebody never got an answer"
        if fails_at is None:
            assert sorted(disk.released) == sorted(set(items)), "a replay took a neighbour with it"
    return count


@pytest.fixture
def stepped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(combining, "Lock", SteppedLock)


@pytest.mark.usefixtures("stepped")
@pytest.mark.parametrize("fails_at", [None, 1, 2], ids=["disk well", "first commit fails", "second fails"])
@pytest.mark.parametrize(("items", "preemptions_max"), [("ab", 99), ("aa", 99), ("aab", 1)])
def test_every_interleaving_keeps_the_promises(
    items: str, preemptions_max: int, fails_at: int | None
) -> None:
    assert explore(list(items), preemptions_max, fails_at) > 20


class Hasty(Combiner):
    """Hands the outcome out before the commit: what the model is there to find."""

    def _lead(self) -> None:
        self._pending[0].outcome = self._pending[0].item
        taken = self._take()
        self._hand_over()
        for waiter in taken[1:]:
            waiter.outcome = waiter.item
            waiter.woken.release()


class Forgetful(Combiner):
    """Wakes nobody who came meanwhile."""

    def _hand_over(self) -> None:
        with self._mutex:
            self._led = bool(self._pending)


@pytest.mark.usefixtures("stepped")
@pytest.mark.parametrize(("kind", "error"), [(Hasty, AssertionError), (Forgetful, Deadlock)])
def test_an_interleaving_shows_a_committer_that_breaks_a_promise(kind: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        explore(["a", "b"], 99, None, kind)


class PowerCut(BaseException):
    """The machine is gone: nothing of the process runs any more."""


STEPS: tuple[ModuleType, ...] = (audit_rows, evidence_rows, message_ids)


def cut_at(monkeypatch: pytest.MonkeyPatch, number: int) -> list[str]:
    """Let the power go before the ``number``-th step of what follows; return the steps as they are taken."""
    taken: list[str] = []

    def stepping(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **how: Any) -> Any:
            taken.append(name)
            if len(taken) == number:
                raise PowerCut(name)
            return real(*args, **how)

        return step

    monkeypatch.setattr(driver_sql, "_committed", committing(stepping, driver_sql._committed))
    later = stepping("before what was put off", driver_sql._send_later_ones)
    monkeypatch.setattr(driver_sql, "_send_later_ones", later)
    for module in STEPS:
        for name, real in inspect.getmembers(module, inspect.isfunction):
            if real.__module__ == module.__name__ and not name.startswith("_"):
                monkeypatch.setattr(module, name, stepping(name, real))
    return taken


def committing(stepping: Callable[..., Any], real: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The commit as two steps: the power may go before it, and after it but before anybody is told."""
    before, after = stepping("before the commit", lambda: None), stepping("after the commit", lambda: None)

    @contextmanager
    def committed(transaction: Any) -> Iterator[None]:
        with real(transaction):
            yield
            before()
        after()

    return committed


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'node.db'}"
        return
    with fresh_database() as made:
        yield made


def test_a_power_cut_between_any_two_steps_leaves_all_of_an_entry_or_nothing(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine(url)
    log = new_log(engine)
    log.append(answered(), seen(), evidence())
    size, number, finished, outcomes = log.size, 0, False, set()
    while not finished:
        number += 1
        message = seen()
        with monkeypatch.context() as patch:
            taken = cut_at(patch, number)
            try:
                log.append(answered(), message, evidence())
            except (PowerCut, RefusedError):  # after a commit SQLite cannot roll back, and says so
                pass  # its connections are gone without a word; the database undoes what was not committed
            else:
                finished = True
                size = log.size
        log.close()
        engine.dispose()
        engine = open_engine(url)  # another process, after the machine came back
        log = open_log(engine)
        assert log.size in ({size} if finished else {size, size + 1})
        is_there = finished or log.size == size + 1
        outcomes.add(is_there)
        assert log.has_seen(message.message_id) is is_there
        report = verify_log(engine, log.verifier.vkey)
        assert (report.ok, report.entries) == (True, log.size)
        if not is_there:
            log.append(answered(), message, evidence())  # the caller's retry: nothing of it is there yet
        size = log.size
        with pytest.raises(RefusedError, match="seen before"):
            log.append(answered(), message, evidence())
    assert number > 5, taken
    assert outcomes == {True, False}
    log.close()
    engine.dispose()
