"""Fingerprints as people read them to one another."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import CardError
from gateway.peers.card import Card, fingerprint_for_people
from gateway.peers.fingerprint import fingerprint_numbers, fingerprint_words, require_fingerprint
from tests.federation.provinces import Province

CARD = Province("anhui").card()
# Published vectors of BIP 39 (github.com/trezor/python-mnemonic, vectors.json): 128 bits of entropy.
PUBLISHED = {
    "00000000000000000000000000000000": "abandon abandon abandon abandon abandon abandon abandon abandon "
    "abandon abandon abandon about",
    "7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f": "legal winner thank year wave sausage worth useful legal winner thank yellow",
    "9e885d952ad362caeb4efe34a8e91bd2": "ozone drill grab fiber curtain grace pudding thank cruise elder eight picnic",
}


def card_with(fingerprint: str) -> Card:
    return replace(CARD, fingerprint=fingerprint)


@pytest.mark.parametrize(("digits", "words"), PUBLISHED.items())
def test_words_are_those_of_the_published_vectors(digits: str, words: str) -> None:
    assert fingerprint_words(digits + "0" * 32) == words.split()


@given(st.binary(min_size=32, max_size=32))
def test_each_form_is_accepted_for_the_card_it_was_made_from(digest: bytes) -> None:
    card = card_with(digest.hex())
    words, numbers = fingerprint_words(card.fingerprint), fingerprint_numbers(card.fingerprint)
    for typed in (
        " ".join(words),
        ", ".join(words).upper(),
        " ".join(word[:4] for word in words),
        " ".join(numbers),
        "-".join(numbers),
        fingerprint_for_people(card.fingerprint),
        card.fingerprint[:32],
    ):
        require_fingerprint(card, typed)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_no_form_of_another_card_is_accepted(digest: bytes, other: bytes) -> None:
    card, strange = card_with(digest.hex()), other.hex()
    if card.fingerprint[:32] == strange[:32]:
        return
    for typed in (fingerprint_words(strange), fingerprint_numbers(strange), [strange], [strange[:32]]):
        with pytest.raises(CardError):
            require_fingerprint(card, " ".join(typed))


def test_what_is_wrong_with_words_is_said() -> None:
    words = fingerprint_words(CARD.fingerprint)
    other = fingerprint_words(Province("anhui").card().fingerprint)
    swapped = words.copy()
    at = next(i for i in range(11) if words[i] != words[i + 1])
    swapped[at], swapped[at + 1] = words[at + 1], words[at]
    for typed, complaint in (
        (other, "Do not accept it"),
        (words[:11], "has 11 words"),
        ([*words[:11], "zhejiang"], "'zhejiang' is no word of the list"),
        ([*words[:11], words[11][:3] + "q"], "is no word of the list"),
    ):
        with pytest.raises(CardError, match=re.escape(complaint)):
            require_fingerprint(CARD, " ".join(typed))
    with pytest.raises(CardError, match=r"misheard|Do not accept it"):
        require_fingerprint(CARD, " ".join(swapped))


def test_a_misheard_word_is_told_from_another_card() -> None:
    card = card_with("0" * 64)
    with pytest.raises(CardError, match="misheard"):
        require_fingerprint(card, " ".join(["abandon"] * 12))
