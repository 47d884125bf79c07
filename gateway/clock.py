"""The only reader of time, and of randomness for ids.

A step never asks the clock itself: the time is read once per exchange and passed on.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]
"""Returns the present instant, timezone-aware, in UTC."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

ID_BYTES = 16
"""Length of message and exchange ids."""


def system_clock() -> datetime:
    """Return the present instant in UTC."""
    return datetime.now(UTC)


def unix_ms(instant: datetime) -> int:
    """Return ``instant`` as whole milliseconds since 1970-01-01T00:00:00Z; parts of one are dropped.

    In whole numbers: as a fraction of seconds, one in a hundred and fifty came back a millisecond early.
    """
    return (instant - _EPOCH) // _MILLISECOND


def from_unix_ms(milliseconds: int) -> datetime:
    """Return the instant ``milliseconds`` after 1970-01-01T00:00:00Z.

    Raises:
        OverflowError: no calendar has it.
    """
    return _EPOCH + milliseconds * _MILLISECOND


def new_id() -> bytes:
    """Return 16 random bytes for a message or another thing that is looked up for a short time only."""
    return secrets.token_bytes(ID_BYTES)


def new_exchange_id(now: datetime) -> bytes:
    """Return an id for an exchange that begins ``now``: a UUID of version 7 (RFC 9562, section 5.7).

    48 bits are the milliseconds, 74 are random. Ids that grow with time are neighbours in the indexes of
    both logs, whatever the logs' size.
    """
    random = int.from_bytes(secrets.token_bytes(10)) & ~(0xF << 76 | 0x3 << 62)
    return (unix_ms(now) << 80 | 0x7 << 76 | 0x2 << 62 | random).to_bytes(ID_BYTES)


def monotonic_s() -> float:
    """Return a steady clock in seconds, for durations only."""
    return time.monotonic()
