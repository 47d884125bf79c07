"""Keeps what stands in the memory of a serving process from being read by others.

A core dump holds private keys, the federation secret and whatever was asked about last. Python cannot
wipe its memory, so nobody but the node itself and root gets to see it.
"""

from __future__ import annotations

import ctypes
import resource
import sys

_PR_SET_DUMPABLE = 4


def keep_memory_private() -> bool:
    """Write no core dumps, and let no other process of this user trace this one or read its memory.

    The first is inherited by processes that are started from here; the second (Linux's ``prctl(2)``,
    ``PR_SET_DUMPABLE``) ends at ``execve`` and is set by each process for itself. Returns whether both hold.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform != "linux":
        return False
    return bool(ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0)
