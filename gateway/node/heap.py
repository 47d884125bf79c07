"""Where a serving process keeps what it has in memory: together, and on huge pages.

An exchange touches objects all over the heap. On pages of 4 KiB the processor spends much of its time on
finding out where they are, most of all in a virtual machine, where each miss is looked up twice.
"""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Iterator
from pathlib import Path

PAGE_BYTES = 2 * 1024 * 1024
"""A huge page of x86-64, and of arm64 with pages of 4 KiB."""

_MADV_COLLAPSE = 25
_M_ARENA_MAX = -8
_MAPPINGS = Path("/proc/self/smaps")
_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) rw-p \S+ \S+ 0 *(?:\[heap\])?")
_RESIDENT = re.compile(r"Rss: +([0-9]+) kB")


def keep_heap_together() -> bool:
    """Let all threads allocate from one arena; call it before there are any. Returns whether that holds.

    By default glibc gives each thread an arena of its own, against waiting for one another. Threads that
    hold the interpreter in turns do not allocate at once, and sixteen heaps fit no cache (``mallopt(3)``).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    return mallopt is not None and bool(mallopt(_M_ARENA_MAX, 1))


def use_huge_pages() -> int:
    """Put this process's heap on huge pages and return how many it takes now.

    Linux 6.1 and later (``madvise(2)``, ``MADV_COLLAPSE``); elsewhere, and where no huge page is free,
    nothing happens. Only what is in memory already is moved: stacks and other reserves stay as they are.
    """
    if sys.platform != "linux":
        return 0
    madvise = ctypes.CDLL(None, use_errno=True).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return sum(
        madvise(start, PAGE_BYTES, _MADV_COLLAPSE) == 0
        for first, end in _heap()
        for start in range(-(-first // PAGE_BYTES) * PAGE_BYTES, end - PAGE_BYTES + 1, PAGE_BYTES)
    )


def _heap() -> Iterator[tuple[int, int]]:
    """Yield first and end address of each anonymous mapping that lies in memory for the most part."""
    mapping: re.Match[str] | None = None
    for line in _MAPPINGS.read_text(encoding="ascii", errors="replace").splitlines():
        if not line[0].isupper():  # a mapping begins; capitals begin what is told of it
            mapping = _MAPPING.fullmatch(line)
        elif mapping is not None and (resident := _RESIDENT.match(line)):
            first, end = int(mapping[1], 16), int(mapping[2], 16)
            if int(resident[1]) * 1024 * 4 > (end - first) * 3:
                yield first, end
