"""Where an answering node finds records: one method, so that other databases can stand behind it."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

from gateway.schemes import LocalRecord


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """One record as it is kept: translated already, and as the province wrote it."""

    record_id: str
    kind: int
    translated: bytes
    """A serialised LearningRecord."""
    scheme_digest: bytes
    """Digest of the scheme that translated it."""
    original: bytes
    """The local record, see :func:`original_of`."""


class RecordSource(Protocol):
    """Looks learners up by subject token."""

    def find(self, subject_tokens: Sequence[bytes], kinds: Collection[int]) -> list[list[StoredRecord]]:
        """Return one list a token, ordered by record id; empty for a learner who is not known.

        Raises:
            StorageError: the source does not answer.
        """
        ...


_NAMES = tuple(field.name for field in fields(LocalRecord) if field.name != "originals")


def original_of(record: LocalRecord) -> bytes:
    """Return a local record as JSON: stated members only, in the order of the columns."""
    members: dict[str, Any] = {name: value for name in _NAMES if (value := getattr(record, name))}
    if record.originals:
        members["originals"] = [list(pair) for pair in record.originals]
    return json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode()


def local_record_of(record: StoredRecord) -> LocalRecord:
    """Return the local record that :func:`original_of` wrote."""
    members = json.loads(record.original)
    originals = tuple((name, value) for name, value in members.pop("originals", ()))
    return LocalRecord(**members, originals=originals)
