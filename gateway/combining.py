"""One works for all who wait, without a timer: flat combining (Hendler and others, SPAA 2010).

The first caller works at once, on its own thread. Callers that arrive meanwhile queue up; when the
work is done, the first of them takes the whole queue and works for all in it, and so on. A lone
caller never waits for anybody. The audit log commits so: under load one flush to the disk serves
many. Queries are answered so: what one step touches serves all that wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from threading import Lock
from typing import Generic, TypeVar

from gateway.clock import monotonic_s

Item = TypeVar("Item")
Result = TypeVar("Result")

ITEMS_MAX = 1_000
"""Most items of one group."""
BYTES_MAX = 4 * 1024 * 1024
"""Most bytes of one group, as the items state them."""


def result_of(outcome: Result | Exception) -> Result:
    """Return a result, or raise the exception that stands in its place."""
    if isinstance(outcome, Exception):
        try:
            raise outcome
        finally:
            del outcome  # this frame is in its traceback: no circle for the garbage collector
    return outcome


class _Waiter(Generic[Item, Result]):
    """One caller. ``woken`` is held until somebody has its outcomes, or lets it lead."""

    __slots__ = ("items", "leads", "outcomes", "size_bytes", "woken")

    def __init__(self, items: Sequence[Item], size_bytes: int) -> None:
        self.items = items
        self.size_bytes = size_bytes
        self.leads = False
        self.outcomes: Sequence[Result | Exception] = ()
        self.woken = Lock()
        self.woken.acquire()


class Combiner(Generic[Item, Result]):
    """Turns concurrent calls of :meth:`submit` into calls of ``work`` with groups of items.

    ``work`` returns one result or one exception for each item, in order; an exception that it
    raises is every caller's. It is never called by two threads at once.
    """

    def __init__(
        self, work: Callable[[Sequence[Item]], Sequence[Result | Exception]], items_max: int = ITEMS_MAX
    ) -> None:
        self._work = work
        self._items_max = items_max
        self._mutex = Lock()
        self._pending: deque[_Waiter[Item, Result]] = deque()
        self._led = False
        self.worked: Callable[[int, float], None] = lambda _items, _seconds: None
        """Told, after each group that succeeded, how many items it had and how many seconds it took."""

    @property
    def waiting(self) -> int:
        """How many callers wait for the next group."""
        return len(self._pending)

    def submit(self, item: Item, size_bytes: int = 0) -> Result:
        """Return the result of ``item`` after the group it was in has been worked on.

        Raises:
            Exception: what ``work`` returned for this item, or raised for all.
        """
        return result_of(self.submit_all((item,), size_bytes)[0])

    def submit_all(self, items: Sequence[Item], size_bytes: int = 0) -> Sequence[Result | Exception]:
        """Return the outcome of each of ``items``, which stay together in one group."""
        waiter: _Waiter[Item, Result] = _Waiter(items, size_bytes)
        with self._mutex:
            self._pending.append(waiter)
            leads = not self._led
            self._led = True
        if not leads:
            waiter.woken.acquire()
            leads = waiter.leads
        if leads:
            self._lead()
        return waiter.outcomes

    def _lead(self) -> None:
        """Work on the head of the queue, the caller's own items among it; then let the next one lead."""
        with self._mutex:
            group = self._take()
        try:
            started_s = monotonic_s()
            items = [item for waiter in group for item in waiter.items]
            outcomes = self._work(items)
            self.worked(len(items), monotonic_s() - started_s)
            if len(outcomes) != len(items):
                raise AssertionError("one outcome for each item")
            each = iter(outcomes)
            for waiter in group:
                waiter.outcomes = list(islice(each, len(waiter.items)))
        except BaseException as error:
            failure = error if isinstance(error, Exception) else InterruptedError("the work was interrupted")
            for waiter in group:
                waiter.outcomes = [failure] * len(waiter.items)
            if not isinstance(error, Exception):
                raise
        finally:
            self._hand_over()
            for waiter in group[1:]:
                waiter.woken.release()

    def _hand_over(self) -> None:
        with self._mutex:
            if self._pending:
                self._pending[0].leads = True
                self._pending[0].woken.release()
            else:
                self._led = False

    def _take(self) -> list[_Waiter[Item, Result]]:
        group = [self._pending.popleft()]
        count, total = len(group[0].items), group[0].size_bytes
        while self._pending:
            count += len(self._pending[0].items)
            total += self._pending[0].size_bytes
            if count > self._items_max or total > BYTES_MAX:
                break
            group.append(self._pending.popleft())
        return group
