"""The report of a run: rounds are added as they end, by one process or several, and it can be gone on with.

A round is taken by exactly one process at a time; one that was taken by a process which has died is free again.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.chaos.faults import KINDS
from tests.chaos.rounds import Outcome, seed_of

MEANING = (
    "rounds of faults against real nodes under load; after each an independent checker compared what clients "
    "were told with the logs of both sides"
)


class OtherRunError(Exception):
    """The report belongs to a run that has not ended."""


class Report:
    """A JSON file with one object a round, in order.

    While a run has not ended, a lock file stands beside it, which says which process does which round.
    Without one a new report is begun.
    """

    def __init__(self, file: Path, seed: int, rounds: int) -> None:
        """Begin a report, go on with one, or join those who work on it.

        Raises:
            OtherRunError: what was begun there is another run.
        """
        self._file = file
        self._seed = seed
        self._rounds = rounds
        self._lock = file.with_suffix(".lock")
        file.parent.mkdir(parents=True, exist_ok=True)
        with self._locked() as state:
            if not state:
                state |= {"seed": seed, "taken": {}}
                self._write([])
            elif state["seed"] != seed:
                raise OtherRunError(
                    f"{file} belongs to a run of seed {state['seed']} that has not ended. Go on with that one, "
                    f"name another --report, or remove {self._lock}."
                )

    def take(self) -> int | None:
        """Take the next round that nobody has done or does; ``None`` when there is none left."""
        with self._locked() as state:
            taken = state["taken"]
            for pid in [pid for pid in taken if not Path(f"/proc/{pid}").exists()]:
                del taken[pid]
            taken.pop(str(os.getpid()), None)
            done = {outcome["number"] for outcome in self.read()}
            free = set(range(1, self._rounds + 1)) - done - set(taken.values())
            if not free:
                return None
            taken[str(os.getpid())] = min(free)
            return min(free)

    def add(self, outcome: Outcome) -> None:
        """Write down a round that has ended."""
        with self._locked():
            kept = [each for each in self.read() if each["number"] != outcome.number]
            self._write(sorted([*kept, asdict(outcome)], key=lambda each: each["number"]))

    def read(self) -> list[dict[str, Any]]:
        """Return the rounds so far."""
        return list(json.loads(self._file.read_text(encoding="utf-8"))["rounds"])

    def end(self) -> None:
        """Leave nothing but the report when every round was done."""
        if len(self.read()) >= self._rounds:
            self._lock.unlink(missing_ok=True)

    def seed_of(self, number: int) -> int:
        return seed_of(self._seed, number)

    def _write(self, rounds: list[dict[str, Any]]) -> None:
        content = {
            "meaning": MEANING,
            "seed": self._seed,
            "until": datetime.now(UTC).date().isoformat(),
            "total": len(rounds),
            "failed": sum(bool(each["wrong"]) for each in rounds),
            "acknowledged": sum(each["acknowledged"] for each in rounds),
            "table": table(rounds),
            "rounds": rounds,
        }
        fresh = self._file.with_suffix(".new")
        fresh.write_text(_lines(content), encoding="utf-8")
        fresh.replace(self._file)

    @contextmanager
    def _locked(self) -> Iterator[dict[str, Any]]:
        """What the lock file says, for changing; no other process reads or writes meanwhile."""
        with self._lock.open("a+", encoding="utf-8") as opened:
            fcntl.flock(opened, fcntl.LOCK_EX)
            opened.seek(0)
            state: dict[str, Any] = json.loads(opened.read() or "{}")
            yield state
            opened.truncate(0)
            opened.write(json.dumps(state))


def _lines(content: dict[str, Any]) -> str:
    """JSON with one round, or one row of the table, a line."""
    members = []
    for name, value in content.items():
        if isinstance(value, list) and value:
            rows = ",\n".join(f"  {json.dumps(each)}" for each in value)
            members.append(f" {json.dumps(name)}: [\n{rows}\n ]")
        else:
            members.append(f" {json.dumps(name)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(members) + "\n}\n"


def table(rounds: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a kind of fault: in how many rounds it was, how they ended, how long recovery took at most."""
    by_name: dict[str, list[dict[str, Any]]] = {name: [] for name in KINDS}
    for each in rounds:
        for name in each["names"]:
            by_name[name].append(each)
    return [
        {
            "fault": name,
            "group": KINDS[name].group,
            "rounds": len(found),
            "good": sum(not each["wrong"] for each in found),
            "recovered_s_median": sorted(each["recovered_s"] for each in found)[len(found) // 2],
            "recovered_s_max": max(each["recovered_s"] for each in found),
            "seen": dict(sum((Counter(each["outcomes"]) for each in found), Counter()).most_common(4)),
        }
        for name, found in by_name.items()
        if found
    ]
