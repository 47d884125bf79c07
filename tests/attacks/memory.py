"""Reads the memory of another process, as root or an attacker with its rights can."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

CHUNK = 1 << 22


def occurrences(pid: int, needles: Iterable[bytes]) -> Counter[bytes]:
    """How often each of ``needles`` stands in the writable memory of a process: heap, stacks, buffers."""
    wanted, found = list(needles), Counter[bytes]()
    overlap = max(map(len, wanted)) - 1
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, mode = line.split()[:2]
            if "w" not in mode or "r" not in mode:
                continue
            start, end = (int(part, 16) for part in span.split("-"))
            for place in range(start, end, CHUNK):
                try:
                    memory.seek(place)
                    content = memory.read(min(CHUNK + overlap, end - place))
                except OSError:  # given back meanwhile
                    break
                for needle in wanted:
                    # what begins in the overlap is counted with the next chunk
                    found[needle] += content[: CHUNK + len(needle) - 1].count(needle)
    return found
