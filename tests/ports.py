"""Free ports below the ephemeral range, so that nobody else is given them meanwhile.

Test processes that run side by side (pytest-xdist) draw from ranges of their own: a port is free
between the probe here and the bind of who asked for it.
"""

from __future__ import annotations

import itertools
import os
import socket

FIRST, PORTS = 20_000, 12_000
_share = PORTS // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_first = FIRST + _share * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_next = itertools.cycle(range(_first, _first + _share))
for _ in range(os.getpid() * 37 % (_share - 100)):
    next(_next)


def free_port() -> int:
    for port in _next:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError
