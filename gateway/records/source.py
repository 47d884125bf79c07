"""Where an answer's records come from: one small door, and what comes through it."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from typing import Protocol

from gateway.errors import StorageError
from gateway.schemes.local_record import LocalRecord

TEXT_FIELDS = tuple(field.name for field in fields(LocalRecord) if field.name != "originals")
"""The text members of a ``LocalRecord``, in the order of its constructor."""

_ORIGINALS = "originals"
_PLACES = sorted((name, place) for place, name in enumerate(TEXT_FIELDS))
_BEFORE_ORIGINALS = [item for item in _PLACES if item[0] < _ORIGINALS]
_AFTER_ORIGINALS = [item for item in _PLACES if item[0] > _ORIGINALS]
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """One record as it is kept."""

    record_id: str
    """Unique at this node, opaque."""
    kind: int
    """A ``creditexchange.v1.RecordKind``."""
    translated: bytes
    """The serialised ``LearningRecord`` that ``scheme_digest``'s scheme made of ``original``."""
    scheme_digest: bytes
    """SHA-256 of the scheme file that translated it, 32 bytes."""
    original: bytes
    """The ``LocalRecord`` as canonical JSON, see :func:`original_of`."""


class RecordSource(Protocol):
    """What the answering side asks for records."""

    def find(self, subject_tokens: Sequence[bytes], kinds: Collection[int]) -> list[list[StoredRecord]]:
        """Return the records of ``kinds``, one list a token in the order of the tokens.

        A list is ordered by ``record_id`` (by code point); a learner of whom nothing is held has
        an empty one.

        Raises:
            StorageError: the source cannot be read.
        """
        ...


def original_of(values: Sequence[str], originals: Sequence[tuple[str, str]] = ()) -> bytes:
    """Return a record as canonical JSON: the members that are stated, RFC 8785, UTF-8.

    Args:
        values: one text for each of ``TEXT_FIELDS``; ``""`` is not stated and left out.
        originals: further members of the source; written as ``[name, value]`` pairs in their order.

    Raises:
        UnicodeEncodeError: a text holds half a surrogate pair, which no encoding can write.
    """
    # All names are ASCII and all values text, so sorted members are all that RFC 8785 adds.
    members: dict[str, object] = {name: values[place] for name, place in _BEFORE_ORIGINALS if values[place]}
    if originals:
        members[_ORIGINALS] = originals
    for name, place in _AFTER_ORIGINALS:
        if values[place]:
            members[name] = values[place]
    return _encode(members).encode()


def local_record_of(stored: StoredRecord) -> LocalRecord:
    """Return the record as its source wrote it, to be translated again.

    Raises:
        StorageError: what is kept is not a record; the store was altered outside the gateway.
    """
    try:
        members = json.loads(stored.original)
        originals = tuple((name, value) for name, value in members.pop(_ORIGINALS, ()))
        return LocalRecord(**members, originals=originals)
    except (ValueError, TypeError, AttributeError) as error:
        raise StorageError(
            "a stored record is not readable.", remedy="Import the file it came from again with --replace."
        ) from error
