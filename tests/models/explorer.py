"""Runs threads one step at a time, in every order: each lock and each step of a commit is a place to change over.

The code that runs is the real one; only its ``Lock`` is exchanged. A schedule is a list of choices. Schedules are
tried depth first, each from the beginning; one with more than ``preemptions_max`` changes away from a thread that
could go on is left out, since nearly all defects need few.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Self

STEPS_MAX = 2_000


class Deadlock(AssertionError):  # noqa: N818 - what it is
    """Threads are left and none can go on."""


@dataclass
class Thread:
    """One of the explored threads. It runs while it has the turn, and gives it back at each step."""

    body: Callable[[], None]
    is_ready: Callable[[], bool] = lambda: True
    is_done: bool = False
    error: BaseException | None = None
    turn: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))


class Run:
    """One schedule."""

    current: Run
    """The one that runs now: the real code's locks find it here."""

    def __init__(self, bodies: list[Callable[[], None]], choices: list[int], preemptions_max: int) -> None:
        self.threads = [Thread(body) for body in bodies]
        self.choices = choices
        self.branches: list[int] = []
        """At each step among how many threads there was a choice."""
        self._preemptions = preemptions_max
        self._back = threading.Semaphore(0)
        self._now: Thread | None = None

    def run(self, check: Callable[[], None]) -> None:
        """Run to the end; ``check`` is called after every step."""
        Run.current = self
        for thread in self.threads:
            threading.Thread(target=self._live, args=(thread,), daemon=True).start()
        for step in range(STEPS_MAX):
            ready = [t for t in self.threads if not t.is_done and t.is_ready()]
            if not ready:
                if all(t.is_done for t in self.threads):
                    return
                raise Deadlock(f"after the choices {self.choices[:step]}")
            self._switch(self._choose(step, ready))
            check()
        raise AssertionError("it does not come to an end")

    def _choose(self, step: int, ready: list[Thread]) -> Thread:
        if self._now in ready:
            ready.remove(self._now)  # type: ignore[arg-type]
            ready.insert(0, self._now)  # type: ignore[arg-type]
            if self._preemptions == 0:
                ready = ready[:1]
        self.branches.append(len(ready))
        choice = self.choices[step] if step < len(self.choices) else 0
        if ready[0] is self._now and choice:
            self._preemptions -= 1
        return ready[choice]

    def _switch(self, thread: Thread) -> None:
        self._now = thread
        thread.turn.release()
        self._back.acquire()
        if thread.error is not None:
            raise AssertionError(f"after the choices {self.choices}") from thread.error

    def _live(self, thread: Thread) -> None:
        thread.turn.acquire()
        try:
            thread.body()
        except BaseException as error:  # noqa: BLE001 - told to whoever explores
            thread.error = error
        thread.is_done = True
        self._back.release()

    @property
    def is_inside(self) -> bool:
        """Whether a thread of this run has the turn."""
        return self._now is not None and not self._now.is_done

    def pause(self, is_ready: Callable[[], bool] = lambda: True) -> None:
        """Give the turn back; it comes again when ``is_ready``."""
        thread = self._now
        assert thread is not None
        thread.is_ready = is_ready
        self._back.release()
        thread.turn.acquire()
        thread.is_ready = lambda: True


class SteppedLock:
    """Stands in for ``threading.Lock``."""

    def __init__(self) -> None:
        self.is_held = False

    def acquire(self) -> bool:
        if not self.is_held and not Run.current.is_inside:
            self.is_held = True  # while the threads are being made, nobody else is there
            return True
        Run.current.pause(lambda: not self.is_held)
        self.is_held = True
        return True

    def release(self) -> None:
        assert self.is_held
        self.is_held = False

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def schedules(
    make: Callable[[], tuple[list[Callable[[], None]], Callable[[], None]]], preemptions_max: int
) -> Iterator[Run]:
    """Run every schedule of the threads that ``make`` returns anew each time, with its check."""
    choices: list[int] = []
    while True:
        bodies, check = make()
        run = Run(bodies, choices, preemptions_max)
        run.run(check)
        yield run
        taken = [*choices, *[0] * (len(run.branches) - len(choices))][: len(run.branches)]
        while taken and taken[-1] + 1 >= run.branches[len(taken) - 1]:
            taken.pop()
        if not taken:
            return
        taken[-1] += 1
        choices = taken
