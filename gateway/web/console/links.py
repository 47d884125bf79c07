"""One-time links: whoever may run commands on this machine may sign in from a browser on it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from threading import Lock

from gateway.clock import Clock

LINK_FOR = timedelta(minutes=10)
PENDING_MAX = 100


@dataclass
class OneTimeLinks:
    """Links that were made and not used yet; each opens one session."""

    clock: Clock
    _pending: dict[bytes, tuple[str, datetime]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def make(self, role: str) -> str:
        """Return the secret end of a new link that signs in as ``role``."""
        secret, now = secrets.token_urlsafe(32), self.clock()
        with self._lock:
            for old in [key for key, (_, end) in self._pending.items() if end <= now]:
                del self._pending[old]
            if len(self._pending) >= PENDING_MAX:
                del self._pending[next(iter(self._pending))]
            self._pending[_digest(secret)] = (role, now + LINK_FOR)
        return secret

    def redeem(self, secret: str) -> str:
        """Return the role of a link and forget it; empty when there is no such link, or no more."""
        with self._lock:
            role, end = self._pending.pop(_digest(secret), ("", self.clock()))
        return role if end > self.clock() else ""


def _digest(secret: str) -> bytes:
    return sha256(secret.encode()).digest()
