"""The shared model's enums as the words that scheme files, traces and tables use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from creditexchange.v1 import record_pb2


class _Enum(Protocol):
    def items(self) -> Sequence[tuple[str, int]]: ...


class SharedWords:
    """One enum: ``RECORD_KIND_SKILL_LEVEL`` is written ``skill-level``."""

    def __init__(self, enum: _Enum, prefix: str) -> None:
        words = {name.removeprefix(prefix).lower().replace("_", "-"): value for name, value in enum.items()}
        self._values = {word: value for word, value in words.items() if value}
        self._words = {value: word for word, value in self._values.items()}
        self.words = tuple(self._values)
        """Every word, in the enum's order; "not stated" has none."""

    def value(self, word: str) -> int:
        """Return the number of ``word``; ``KeyError`` when the enum has no such word."""
        return self._values[word]

    def word(self, value: int) -> str:
        """Return the word of ``value``; digits for a value of a newer version, ``""`` for not stated."""
        return self._words.get(value) or (str(value) if value else "")


KINDS = SharedWords(record_pb2.RecordKind, "RECORD_KIND_")
CONVERTIBILITIES = SharedWords(record_pb2.Convertibility, "CONVERTIBILITY_")
BANDS = SharedWords(record_pb2.GradeBand, "GRADE_BAND_")
GRADE_STATUSES = SharedWords(record_pb2.GradeStatus, "GRADE_STATUS_")
STATES = SharedWords(record_pb2.RecordState, "RECORD_STATE_")
HOUR_KINDS = SharedWords(record_pb2.HourKind, "HOUR_KIND_")
ROLES = SharedWords(record_pb2.IssuerRole, "ISSUER_ROLE_")
VALUE_STATES = SharedWords(record_pb2.ValueState, "VALUE_STATE_")
FRAMEWORKS = SharedWords(record_pb2.LevelFramework, "LEVEL_FRAMEWORK_")
CODE_LISTS = SharedWords(record_pb2.CodeList, "CODE_LIST_")
LOSSES = SharedWords(record_pb2.Loss, "LOSS_")
