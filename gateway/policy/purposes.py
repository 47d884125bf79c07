"""The closed lists of purposes and kinds, in the words that files and flags use."""

from __future__ import annotations

from collections.abc import Sequence

from creditexchange.v1.exchange_pb2 import LegalBasis, Purpose
from creditexchange.v1.record_pb2 import RecordKind
from gateway.errors import CallerError


def _words(names: Sequence[tuple[str, int]], prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix).lower().replace("_", "-"): value for name, value in names if value != 0}


PURPOSES = _words(Purpose.items(), "PURPOSE_")
"""Purpose by word, for example ``employment``."""
KINDS = _words(RecordKind.items(), "RECORD_KIND_")
"""Kind by word, for example ``skill-level``."""
LEGAL_BASES = _words(LegalBasis.items(), "LEGAL_BASIS_")
"""Legal basis by word, for example ``statutory-duty``."""

_PURPOSE_WORDS = {value: word for word, value in PURPOSES.items()}
_KIND_WORDS = {value: word for word, value in KINDS.items()}

UNKNOWN = "unknown"


def purpose_word(value: int) -> str:
    """Return the word for a purpose, ``unknown`` for one that is not listed."""
    return _PURPOSE_WORDS.get(value, UNKNOWN)


def kind_word(value: int) -> str:
    """Return the word for a kind, ``unknown`` for one that is not listed."""
    return _KIND_WORDS.get(value, UNKNOWN)


def parse_purpose(word: str) -> int:
    """Return the purpose named ``word``. Raises ``CallerError`` naming the known ones."""
    return _parse(word, PURPOSES, "purpose")


def parse_kind(word: str) -> int:
    """Return the kind named ``word``. Raises ``CallerError`` naming the known ones."""
    return _parse(word, KINDS, "kind")


def parse_legal_basis(word: str) -> int:
    """Return the legal basis named ``word``. Raises ``CallerError`` naming the known ones."""
    return _parse(word, LEGAL_BASES, "legal basis")


def _parse(word: str, known: dict[str, int], what: str) -> int:
    if word not in known:
        raise CallerError(f"unknown {what} {word[:40]!r}.", remedy=f"Use one of: {', '.join(known)}.")
    return known[word]
