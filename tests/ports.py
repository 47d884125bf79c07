"""Free ports below the ephemeral range, so that nobody else is given them meanwhile.

Test processes that run side by side (pytest-xdist) draw from ranges of their own: a port is free
between the probe here and the bind of who asked for it.
"""

from __future__ import annotations

import itertools
import os
import socket

RANGE_FIRST, RANGE_PORTS = 20_000, 3_000
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 4
_next = itertools.cycle(range(RANGE_FIRST + _worker * RANGE_PORTS, RANGE_FIRST + (_worker + 1) * RANGE_PORTS))
for _ in range(os.getpid() * 37 % (RANGE_PORTS - 500)):
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
