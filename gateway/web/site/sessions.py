"""Who is signed in: sessions in the memory of the serving process, gone when it ends.

A browser holds a random name of its session and nothing else; this side holds only the name's digest.
A name is made when somebody has signed in and never before, so nobody can be made to use one that was
planted (session fixation).
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from threading import Lock

from gateway.clock import Clock

SESSIONS_MAX = 1_000
"""Of more, the one that was idle longest ends."""
NAME_BYTES = 32


@dataclass(frozen=True, slots=True)
class Session:
    """One person who is signed in."""

    subject: str
    """Who, as the sign-in says; shown to that person only."""
    role: str
    began: datetime
    used: datetime
    csrf: str
    """What a form of this session must carry."""


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How long a session lasts."""

    idle: timedelta = timedelta(minutes=30)
    whole: timedelta = timedelta(hours=8)


class Sessions:
    """The sessions of one site. Safe to use from several threads."""

    def __init__(self, clock: Clock, limits: SessionLimits = SessionLimits()) -> None:
        self._clock = clock
        self._limits = limits
        self._sessions: dict[bytes, Session] = {}
        self._lock = Lock()

    def begin(self, subject: str, role: str) -> str:
        """Begin a session and return its name, for the cookie."""
        name, now = secrets.token_urlsafe(NAME_BYTES), self._clock()
        with self._lock:
            self._forget(lambda session: not self._is_live(session, now))
            if len(self._sessions) >= SESSIONS_MAX:
                del self._sessions[min(self._sessions, key=lambda key: self._sessions[key].used)]
            session = Session(subject, role, now, now, secrets.token_urlsafe(NAME_BYTES))
            self._sessions[_digest(name)] = session
        return name

    def find(self, name: str, *, is_use: bool = True) -> Session | None:
        """Return the session called ``name`` if it lasts; ``is_use`` = a person did something just now."""
        now, key = self._clock(), _digest(name)
        with self._lock:
            session = self._sessions.get(key)
            if session is None:
                return None
            if not self._is_live(session, now):
                del self._sessions[key]
                return None
            if is_use:
                self._sessions[key] = session = replace(session, used=now)
            return session

    def end(self, name: str) -> None:
        """End a session; ends nothing when there is none."""
        with self._lock:
            self._sessions.pop(_digest(name), None)

    def _is_live(self, session: Session, now: datetime) -> bool:
        return now - session.used < self._limits.idle and now - session.began < self._limits.whole

    def _forget(self, is_over: Callable[[Session], bool]) -> None:
        for key in [key for key, session in self._sessions.items() if is_over(session)]:
            del self._sessions[key]


def is_csrf_token(session: Session, token: str) -> bool:
    """Whether a form carries the token of its session."""
    return hmac.compare_digest(session.csrf.encode(), token.encode())


def _digest(name: str) -> bytes:
    return sha256(name.encode()).digest()
