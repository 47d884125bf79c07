"""Where an answer's records come from: one small door, and what comes through it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields
from json.encoder import encode_basestring
from operator import attrgetter
from typing import Protocol

from gateway.errors import StorageError
from gateway.schemes import LocalRecord


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """One record as it is kept."""

    record_id: str
    """Unique at this node, opaque."""
    kind: int
    """A ``creditexchange.v1.RecordKind``."""
    translated: bytes
    """The serialised ``LearningRecord`` that the scheme with ``scheme_digest`` made of ``original``."""
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


make_record: Callable[..., LocalRecord] = LocalRecord
"""Makes a record of its texts in the order of ``TEXT_FIELDS`` and its originals, by position."""

ORIGINALS = "originals"
TEXT_FIELDS = tuple(field.name for field in fields(LocalRecord) if field.name != ORIGINALS)
"""The text members of a ``LocalRecord``, in the order of its constructor."""

_BEFORE = sorted(name for name in TEXT_FIELDS if name < ORIGINALS)
_AFTER = sorted(name for name in TEXT_FIELDS if name > ORIGINALS)
_values_before, _values_after = attrgetter(*_BEFORE), attrgetter(*_AFTER)
_NAMES_BEFORE = [f'"{name}":' for name in _BEFORE]
_NAMES_AFTER = [f'"{name}":' for name in _AFTER]
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def original_of(record: LocalRecord) -> bytes:
    """Return ``record`` as canonical JSON (RFC 8785) in UTF-8; what is not stated is left out.

    Raises:
        UnicodeEncodeError: a text holds half a surrogate pair, which UTF-8 cannot write.
    """
    # Put together by hand: the encoder takes half as long again, and an import does this per row. All
    # names are ASCII and all values text, so members in order are all that RFC 8785 asks for.
    before = zip(_NAMES_BEFORE, _values_before(record), strict=True)
    members = [name + encode_basestring(value) for name, value in before if value]
    if record.originals:
        members.append(f'"{ORIGINALS}":{_encode(record.originals)}')
    after = zip(_NAMES_AFTER, _values_after(record), strict=True)
    members += [name + encode_basestring(value) for name, value in after if value]
    return f"{{{','.join(members)}}}".encode()


def local_record_of(stored: StoredRecord) -> LocalRecord:
    """Return the record as its source wrote it, to be translated again.

    Raises:
        StorageError: what is kept is not a record; the store was altered outside the gateway.
    """
    return read_original(stored.original)


def read_original(original: bytes) -> LocalRecord:
    """Return the record that :func:`original_of` wrote.

    Raises:
        StorageError: it is no such record.
    """
    try:
        members = json.loads(original)
        originals = tuple((name, value) for name, value in members.pop(ORIGINALS, ()))
        return LocalRecord(**members, originals=originals)
    except (ValueError, TypeError, AttributeError) as error:
        raise StorageError(
            "a stored record is not readable.", remedy="Import the file it came from again with --replace."
        ) from error
