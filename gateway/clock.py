"""The only reader of time, and of randomness for ids.

A step never asks the clock itself: the time is read once per exchange and passed on.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the present instant, timezone-aware, in UTC."""

ID_BYTES = 16
"""Length of message and exchange ids."""


def system_clock() -> datetime:
    """Return the present instant in UTC."""
    return datetime.now(UTC)


def unix_ms(instant: datetime) -> int:
    """Return ``instant`` as milliseconds since 1970-01-01T00:00:00Z."""
    return int(instant.timestamp() * 1000)


def from_unix_ms(milliseconds: int) -> datetime:
    """Return the instant ``milliseconds`` after 1970-01-01T00:00:00Z."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def new_id() -> bytes:
    """Return 16 random bytes for a message or exchange id."""
    return secrets.token_bytes(ID_BYTES)


def monotonic_s() -> float:
    """Return a steady clock in seconds, for durations only."""
    return time.monotonic()
