"""Leader and followers, without a database and without a timer."""

import threading
from collections.abc import Sequence

import pytest

from gateway import combining
from gateway.combining import Combiner


def test_a_lone_caller_commits_on_its_own_thread() -> None:
    seen: list[tuple[list[int], int]] = []

    def commit(items: Sequence[int]) -> list[int]:
        seen.append((list(items), threading.get_ident()))
        return [item * 2 for item in items]

    assert Combiner(commit).submit(4) == 8
    assert seen == [([4], threading.get_ident())]


class Gate:
    """A commit that the test lets through, one group at a time."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.entered = threading.Semaphore(0)
        self.go_on = threading.Semaphore(0)
        self.busy = threading.Lock()

    def commit(self, items: Sequence[int]) -> list[int | Exception]:
        assert self.busy.acquire(blocking=False), "two commits at once"
        self.groups.append(list(items))
        self.entered.release()
        self.go_on.acquire()
        self.busy.release()
        if -1 in items:
            raise RuntimeError("the disk is gone")
        return [KeyError(item) if item < 0 else item for item in items]


def run(
    gate: Gate, committer: Combiner[int, int], items: Sequence[int], size_bytes: int = 0
) -> dict[int, object]:
    """Submit the first item, wait until its commit runs, queue the others behind it, let all through."""
    outcomes: dict[int, object] = {}

    def submit(item: int) -> None:
        try:
            outcomes[item] = committer.submit(item, size_bytes)
        except Exception as error:  # noqa: BLE001
            outcomes[item] = error

    threads = [threading.Thread(target=submit, args=(item,)) for item in items]
    threads[0].start()
    gate.entered.acquire()
    for queued, thread in enumerate(threads[1:], 1):
        thread.start()
        while len(committer._pending) < queued:
            threading.Event().wait(0.0005)
    while any(thread.is_alive() for thread in threads):
        gate.go_on.release()
        for thread in threads:
            thread.join(0.01)
    return outcomes


def test_those_who_wait_are_committed_together() -> None:
    gate = Gate()
    outcomes = run(gate, Combiner(gate.commit), [1, 2, 3, 4, 5])
    assert gate.groups == [[1], [2, 3, 4, 5]]
    assert outcomes == {n: n for n in range(1, 6)}


def test_one_refused_item_does_not_fail_its_neighbours() -> None:
    gate = Gate()
    outcomes = run(gate, Combiner(gate.commit), [1, 2, -7, 4])
    assert (outcomes[1], outcomes[2], outcomes[4]) == (1, 2, 4)
    assert isinstance(outcomes[-7], KeyError)


def test_a_failed_commit_fails_its_group_only() -> None:
    gate = Gate()
    committer: Combiner[int, int] = Combiner(gate.commit, items_max=2)
    outcomes = run(gate, committer, [1, 2, -1, 4, 5])
    assert gate.groups == [[1], [2, -1], [4, 5]]
    assert isinstance(outcomes[2], RuntimeError)
    assert isinstance(outcomes[-1], RuntimeError)
    assert (outcomes[1], outcomes[4], outcomes[5]) == (1, 4, 5)
    gate.go_on.release()
    assert committer.submit(9) == 9


def test_groups_are_bounded_in_bytes() -> None:
    gate = Gate()
    run(gate, Combiner(gate.commit), [1, 2, 3, 4], size_bytes=combining.BYTES_MAX // 2)
    assert gate.groups == [[1], [2, 3], [4]]


def test_an_item_larger_than_a_group_goes_alone() -> None:
    gate = Gate()
    run(gate, Combiner(gate.commit), [1, 2, 3], size_bytes=combining.BYTES_MAX * 2)
    assert gate.groups == [[1], [2], [3]]


def test_an_interrupted_leader_does_not_leave_the_others_waiting() -> None:
    first = threading.Event()

    def commit(items: Sequence[int]) -> list[int]:
        if not first.is_set():
            first.set()
            raise KeyboardInterrupt
        return list(items)

    committer: Combiner[int, int] = Combiner(commit)
    with pytest.raises(KeyboardInterrupt):
        committer.submit(1)
    assert committer.submit(2) == 2


def test_what_is_submitted_together_stays_together() -> None:
    groups: list[list[int]] = []

    def work(items: Sequence[int]) -> list[int | Exception]:
        groups.append(list(items))
        return [KeyError(item) if item < 0 else item for item in items]

    one, refused, three = Combiner(work, items_max=2).submit_all([1, -2, 3])
    assert (one, type(refused), three) == (1, KeyError, 3)
    assert groups == [[1, -2, 3]]


def test_work_that_loses_an_outcome_is_a_defect_of_all() -> None:
    with pytest.raises(AssertionError, match="one outcome for each"):
        Combiner(lambda _items: []).submit(1)
