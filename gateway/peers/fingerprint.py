"""A card's fingerprint as people compare it: hexadecimal digits, or twelve words read over the telephone.

The words are those of BIP 39 (English list, 2,048 words): chosen to be told apart, no two begin with the
same four letters, and the twelfth checks the others. They stand for the first 128 bits of the fingerprint.
The Chinese list of BIP 39 is of single characters, many of which sound alike; who does not want to read
English words reads their four-digit numbers instead.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise

from mnemonic import Mnemonic

from gateway.errors import CardError
from gateway.peers.card import Card

HEX_DIGITS_MIN = 32
"""Shortest fingerprint an operator may type in hexadecimal digits: 128 bits."""
WORDS = 12
_PREFIX = 4
"""Letters by which each word of the list can be told."""


@cache
def _list() -> Mnemonic:
    return Mnemonic("english")


def fingerprint_words(fingerprint: str) -> list[str]:
    """Return the twelve words for a fingerprint of 64 hexadecimal digits."""
    return _list().to_mnemonic(bytes.fromhex(fingerprint[:HEX_DIGITS_MIN])).split()


def fingerprint_numbers(fingerprint: str) -> list[str]:
    """Return the words' places in the list, from 0001 to 2048."""
    places = {word: place for place, word in enumerate(_list().wordlist, 1)}
    return [f"{places[word]:04}" for word in fingerprint_words(fingerprint)]


def require_fingerprint(card: Card, typed: str) -> None:
    """Return if ``typed`` is the card's fingerprint: twelve words, their numbers, or at least 32 digits.

    Case, and what stands between words or groups, do not matter; four letters of a word are enough.

    Raises:
        CardError: too short, not to be read, or another card's.
    """
    parts = re.findall(r"[0-9a-z]+", typed.lower())
    if any(re.search(r"[g-z]", part) for part in parts) or (len(parts) == WORDS and _are_words(parts)):
        _require_words(card, parts)
    elif parts != fingerprint_numbers(card.fingerprint):
        _require_digits(card, "".join(parts))


def _require_digits(card: Card, digits: str) -> None:
    if len(digits) < HEX_DIGITS_MIN:
        raise CardError(
            f"the fingerprint has {len(digits)} digits.",
            remedy=f"Give at least the first {HEX_DIGITS_MIN}, or the {WORDS} words; "
            "the peer's operator reads them to you.",
        )
    if not card.fingerprint.startswith(digits):
        raise _other_card()


def _require_words(card: Card, parts: list[str]) -> None:
    words = [_word(part) for part in parts]
    strange = [part for part, word in zip(parts, words, strict=True) if word is None]
    if strange:
        raise CardError(f"{strange[0][:20]!r} is no word of the list.", remedy="Have it spelled to you.")
    if len(words) != WORDS:
        raise CardError(f"the fingerprint has {len(words)} words.", remedy=f"Give all {WORDS}.")
    if words == fingerprint_words(card.fingerprint):
        return
    if not _list().check(" ".join(word or "" for word in words)):
        raise CardError(
            "these words do not belong together: one of them was misheard, or two changed places.",
            remedy="Have them read to you again.",
        )
    raise _other_card()


def _are_words(parts: list[str]) -> bool:
    return all(_word(part) is not None for part in parts)


def _word(part: str) -> str | None:
    """Return the word of the list that ``part`` is, or that begins with it."""
    by_prefix = _words_by_prefix()
    word = by_prefix.get(part[:_PREFIX])
    return (
        word
        if word is not None and (word == part or (len(part) >= _PREFIX and word.startswith(part)))
        else None
    )


@cache
def _words_by_prefix() -> dict[str, str]:
    words = _list().wordlist
    assert all(one[:_PREFIX] != other[:_PREFIX] for one, other in pairwise(words)), "the list is sorted"
    return {word[:_PREFIX]: word for word in words}


def _other_card() -> CardError:
    return CardError(
        "the fingerprint is not that of this card.",
        remedy="Do not accept it: somebody may have replaced the card on its way. Ask for it again.",
    )
