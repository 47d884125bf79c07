"""Group commit without a timer: whoever commits, commits for everybody who waits.

The first caller commits at once on its own thread. Callers that arrive meanwhile queue up; when
the commit returns, the first of them takes the whole queue and commits it, and so on. A lone
caller never waits for anybody; under load one flush to the disk serves many.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Generic, TypeVar

from gateway.clock import monotonic_s

Item = TypeVar("Item")
Result = TypeVar("Result")

ITEMS_MAX = 1_000
"""Most items of one group."""
BYTES_MAX = 4 * 1024 * 1024
"""Most bytes of one group, as the items state them."""


class _Waiter(Generic[Item, Result]):
    """One caller. ``woken`` is held until somebody has its outcome, or lets it lead."""

    __slots__ = ("item", "leads", "outcome", "size_bytes", "woken")

    def __init__(self, item: Item, size_bytes: int) -> None:
        self.item = item
        self.size_bytes = size_bytes
        self.leads = False
        self.outcome: Result | Exception | None = None
        self.woken = Lock()
        self.woken.acquire()


class GroupCommitter(Generic[Item, Result]):
    """Turns concurrent calls of :meth:`submit` into calls of ``commit`` with groups of items.

    ``commit`` returns one result or one exception for each item, in order; an exception that it
    raises is every caller's. It is never called by two threads at once.
    """

    def __init__(
        self, commit: Callable[[Sequence[Item]], Sequence[Result | Exception]], items_max: int = ITEMS_MAX
    ) -> None:
        self._commit = commit
        self._items_max = items_max
        self._mutex = Lock()
        self._pending: deque[_Waiter[Item, Result]] = deque()
        self._led = False
        self.committed: Callable[[int, float], None] = lambda _items, _seconds: None
        """Told, after each commit that succeeded, how many items it had and how many seconds it took."""

    @property
    def waiting(self) -> int:
        """How many callers wait for the next commit."""
        return len(self._pending)

    def submit(self, item: Item, size_bytes: int = 0) -> Result:
        """Return the result of ``item`` after the group it was in has been committed.

        Raises:
            Exception: what ``commit`` returned for this item, or raised for all.
        """
        waiter: _Waiter[Item, Result] = _Waiter(item, size_bytes)
        with self._mutex:
            self._pending.append(waiter)
            leads = not self._led
            self._led = True
        if not leads:
            waiter.woken.acquire()
            leads = waiter.leads
        if leads:
            self._lead()
        outcome = waiter.outcome
        if isinstance(outcome, Exception):
            try:
                raise outcome
            finally:
                del outcome, waiter  # this frame is in its traceback: no circle for the garbage collector
        return outcome  # type: ignore[return-value]  # every outcome was set

    def _lead(self) -> None:
        """Commit the head of the queue, the caller's own item among it; then let the next one lead."""
        with self._mutex:
            group = self._take()
        try:
            started_s = monotonic_s()
            outcomes = self._commit([waiter.item for waiter in group])
            self.committed(len(group), monotonic_s() - started_s)
            for waiter, outcome in zip(group, outcomes, strict=True):
                waiter.outcome = outcome
        except BaseException as error:
            failure = (
                error if isinstance(error, Exception) else InterruptedError("the commit was interrupted")
            )
            for waiter in group:
                waiter.outcome = failure
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
        total = group[0].size_bytes
        while self._pending and len(group) < self._items_max:
            total += self._pending[0].size_bytes
            if total > BYTES_MAX:
                break
            group.append(self._pending.popleft())
        return group
