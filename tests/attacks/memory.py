"""Reads the memory of another process, as root or an attacker with its rights can."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

CHUNK = 1 << 22
OVERLAP = 64
"""Bytes; nothing longer is looked for."""


def found_in_memory(pid: int, wanted: re.Pattern[bytes]) -> Counter[bytes]:
    """What in the writable memory of a process (heap, stacks, buffers) fits ``wanted``, and how often."""
    found = Counter[bytes]()
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, mode = line.split()[:2]
            if not mode.startswith("rw"):
                continue
            start, end = (int(part, 16) for part in span.split("-"))
            for place in range(start, end, CHUNK):
                try:
                    memory.seek(place)
                    content = memory.read(min(CHUNK + OVERLAP, end - place))
                except OSError:  # given back meanwhile
                    break
                # What begins in the overlap is found with the next chunk.
                found.update(match[0] for match in wanted.finditer(content) if match.start() < CHUNK)
    return found
