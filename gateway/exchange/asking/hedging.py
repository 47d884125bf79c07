"""A second message to a peer that takes longer than it usually does. The first valid answer wins.

The other message is not cut off: what becomes of it is logged like every message that was sent.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

R = TypeVar("R")


@dataclass
class Stragglers:
    """Messages whose outcome nobody waits for any more, but which are still to be logged."""

    _threads: set[threading.Thread] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, work: Callable[[], object]) -> None:
        """Run ``work`` in a thread of its own."""

        def run() -> None:
            try:
                work()
            finally:
                with self._lock:
                    self._threads.discard(threading.current_thread())

        thread = threading.Thread(target=run, name="hedged")
        with self._lock:
            self._threads.add(thread)
        thread.start()

    def wait(self) -> None:
        """Return when all have ended; each ends with its deadline."""
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join()


@dataclass(frozen=True, slots=True)
class _Ended(Generic[R]):
    result: R | None
    defect: BaseException | None


def hedge(
    first: Callable[[], R],
    second: Callable[[], R],
    after_s: float,
    is_good: Callable[[R], bool],
    stragglers: Stragglers,
) -> R:
    """Return the result of ``first``, or of ``second`` if that is good sooner.

    ``second`` begins when ``first`` has not ended after ``after_s`` seconds. If neither is good, that
    which ended last is returned, or what it raised is raised.
    """
    ended: SimpleQueue[_Ended[R]] = SimpleQueue()

    def run(work: Callable[[], R]) -> None:
        try:
            ended.put(_Ended(work(), None))
        except BaseException as defect:  # noqa: BLE001 - raised again by whoever waits
            ended.put(_Ended(None, defect))

    stragglers.start(lambda: run(first))
    running = 1
    try:
        outcome = ended.get(timeout=after_s)
        running -= 1
    except Empty:
        stragglers.start(lambda: run(second))
        running += 1
        outcome = ended.get()
        running -= 1
    while running and (outcome.defect is not None or not is_good(outcome.result)):  # type: ignore[arg-type]
        outcome = ended.get()
        running -= 1
    if outcome.defect is not None:
        raise outcome.defect
    return outcome.result  # type: ignore[return-value]
