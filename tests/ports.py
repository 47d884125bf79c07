"""Free ports below the ephemeral range, so that nobody else is given them meanwhile."""

from __future__ import annotations

import itertools
import os
import socket

_next = itertools.count(20_000 + (os.getpid() * 37) % 8_000)


def free_port() -> int:
    for port in _next:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError
