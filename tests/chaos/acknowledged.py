"""What clients were told, for the checker: kept outside the nodes."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Told:
    """A local application was told by its own node that a peer answered."""

    asker: str
    answerer: str
    exchange_id: bytes
    record_count: int
    leaf_index: int
    """Where the answer stands in the answerer's log."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A peer that writes its own messages got an answer: the exact bytes of both."""

    asker: str
    answerer: str
    exchange_id: bytes
    message_id: bytes
    request: bytes
    """Signed bytes of the request: its ``SignedMessage``."""
    response: bytes
    """The whole ``QueryRecordsResponse``."""


@dataclass
class Ledger:
    """What was told to whom; threads of the load write, the checker reads while they rest."""

    told: list[Told] = field(default_factory=list)
    answered: list[Answered] = field(default_factory=list)
    sent: Counter[bytes] = field(default_factory=Counter)
    """How many messages the identity sent of each exchange."""
    outcomes: Counter[str] = field(default_factory=Counter)
    defects: list[str] = field(default_factory=list)
    """What no client may ever see, whatever happens to nodes and networks."""
    last_words: dict[str, str] = field(default_factory=dict)
    """What each node told its own application when it last would not ask at all."""
    successes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Acknowledgements by kind of client, asker and answerer."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note_told(self, told: Told) -> None:
        with self._lock:
            self.told.append(told)
            self.successes["application", told.asker, told.answerer] += 1

    def note_answered(self, answered: Answered) -> None:
        with self._lock:
            self.answered.append(answered)
            self.successes["peer", answered.asker, answered.answerer] += 1

    def note_sent(self, exchange_id: bytes) -> None:
        with self._lock:
            self.sent[exchange_id] += 1

    def note_outcomes(self, outcomes: Iterable[str]) -> None:
        with self._lock:
            self.outcomes.update(outcomes)

    def note_unavailable(self, asker: str, error: str) -> None:
        with self._lock:
            self.outcomes["OWN_NODE_UNAVAILABLE"] += 1
            self.last_words[asker] = error

    def note_defect(self, what: str) -> None:
        with self._lock:
            self.defects.append(what)

    def count(self) -> dict[tuple[str, str, str], int]:
        with self._lock:
            return dict(self.successes)

    @property
    def acknowledged(self) -> int:
        return len(self.told) + len(self.answered)
