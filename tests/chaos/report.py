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


class Report:
    """A JSON file with one object a round, in order."""

    def __init__(self, file: Path, seed: int, rounds: int) -> None:
        self._file = file
        self._seed = seed
        self._rounds = rounds
        self._lock = file.with_suffix(".lock")
        file.parent.mkdir(parents=True, exist_ok=True)

    def take(self) -> int | None:
        """Take the next round that nobody has done or does; ``None`` when there is none left."""
        with self._locked() as taken:
            for pid in [pid for pid in taken if not Path(f"/proc/{pid}").exists()]:
                del taken[pid]
            busy = {number for pid, number in taken.items() if pid != str(os.getpid())}
            done = {outcome["number"] for outcome in self.read()}
            free = (n for n in range(1, self._rounds + 1) if n not in done and n not in busy)
            number = next(free, None)
            if number is None:
                taken.pop(str(os.getpid()), None)
            else:
                taken[str(os.getpid())] = number
            return number

    def add(self, outcome: Outcome) -> None:
        """Write down a round that has ended."""
        with self._locked() as taken:
            taken.pop(str(os.getpid()), None)
            kept = [each for each in self.read() if each["number"] != outcome.number]
            self._write(sorted([*kept, asdict(outcome)], key=lambda each: each["number"]))

    def read(self) -> list[dict[str, Any]]:
        """Return the rounds so far of this seed; another seed begins a new report."""
        if not self._file.is_file():
            return []
        content = json.loads(self._file.read_text(encoding="utf-8"))
        return list(content["rounds"]) if content["seed"] == self._seed else []

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
        fresh.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        fresh.replace(self._file)

    @contextmanager
    def _locked(self) -> Iterator[dict[str, int]]:
        """Which process does which round, for changing; no other process writes meanwhile."""
        with self._lock.open("a+", encoding="utf-8") as opened:
            fcntl.flock(opened, fcntl.LOCK_EX)
            opened.seek(0)
            taken: dict[str, int] = json.loads(opened.read() or "{}")
            yield taken
            opened.truncate(0)
            opened.write(json.dumps(taken))

    def is_complete(self) -> bool:
        return len(self.read()) >= self._rounds

    def end(self) -> None:
        """Leave nothing but the report when every round was done."""
        if self.is_complete():
            self._lock.unlink(missing_ok=True)

    def seed_of(self, number: int) -> int:
        return seed_of(self._seed, number)


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
