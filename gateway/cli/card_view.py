"""What accepting a card means, in plain words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from cryptography.hazmat.primitives.hashes import SHA256

from creditexchange.v1.node_pb2 import KEY_ROLE_LOG, KEY_ROLE_MESSAGE, KEY_ROLE_WITNESS
from gateway.cli.output import say
from gateway.exchange.asking.askable import instant
from gateway.peers.card import Card, CardKey, fingerprint_for_people
from gateway.peers.fingerprint import fingerprint_numbers, fingerprint_words
from gateway.peers.versions import versions_of

_ROLES = {
    KEY_ROLE_MESSAGE: "signs messages",
    KEY_ROLE_LOG: "signs its audit log",
    KEY_ROLE_WITNESS: "cosigns the logs of others",
}


def show_card(card: Card, known: Card | None, now: datetime) -> None:
    """Print what would be trusted, and what is new about it when the peer is known."""
    say(f"{'A newer card of a known peer' if known else 'A new peer'}: {card.node_id}")
    for label, lines in _facts(card, known, now):
        for number, line in enumerate(lines):
            say(f"  {label if number == 0 else '':<14} {_inert(line)}")
    for line in _changes(card, known):
        say(f"  CHANGED: {_inert(line)}")
    say()
    say("If you accept it, this node")
    say(
        "  - takes whatever these keys sign, and whoever shows a certificate of this authority, "
        f"for {card.node_id};"
    )
    say("  - asks that node for records at these addresses, when somebody here asks the federation;")
    say(f"  - lets {card.node_id} ask for nothing, until you write that into access.toml.")
    say()
    show_fingerprint(card.fingerprint)


def show_fingerprint(fingerprint: str) -> None:
    """Print a fingerprint in its three forms."""
    words, numbers = fingerprint_words(fingerprint), fingerprint_numbers(fingerprint)
    say("Fingerprint, the same three times; compare one of them with the peer's operator by telephone:")
    say(f"  words    {' '.join(words)}")
    say(f"  numbers  {' '.join(numbers)}")
    say(f"  digits   {fingerprint_for_people(fingerprint)}")


def _facts(card: Card, known: Card | None, now: datetime) -> Iterator[tuple[str, list[str]]]:
    yield "names", [f"{name} ({language})" for language, name in card.names.items()] or ["none"]
    yield "reached at", list(card.endpoints)
    before = f"; accepted until now: {known.serial}" if known else ""
    yield (
        "card",
        [
            f"serial {card.serial}{before}, signed {card.issued:%Y-%m-%d}",
            f"valid until {card.expires:%Y-%m-%d}, {(card.expires - now).days} days from now",
        ],
    )
    yield "keys", [_key(key_id, key) for key_id, key in card.keys.items()]
    yield (
        "TLS authority",
        [
            f"{ca.subject.rfc4514_string()}, valid until {ca.not_valid_after_utc:%Y-%m-%d}, "
            f"SHA-256 {ca.fingerprint(SHA256()).hex()[:16]}…"
            for ca in card.cas
        ],
    )
    yield "audit log", [card.log_origin]
    yield "witness", [card.witness_verifier_key.split("+", 1)[0] or "is none"]
    yield "scheme", [card.scheme or "not stated"]
    yield "protocol", [f"version {versions_of(card)}"]
    yield (
        "maintenance",
        [
            f"{instant(w.start)} to {instant(w.end)}{_note(' / '.join(w.notes.values()))}"
            for w in card.maintenance
        ]
        or ["none announced"],
    )


def _key(key_id: str, key: CardKey) -> str:
    until = f"{key.end:%Y-%m-%d}" if key.end else "the card ends"
    since = f"from {key.start:%Y-%m-%d} " if key.start else ""
    return f"{key.key.suite.name:<11} {_ROLES[key.role]}, valid {since}until {until}, {key_id[:23]}…"


def _changes(card: Card, known: Card | None) -> Iterator[str]:
    if known is None:
        return
    if lost := sorted(known.offered_suites - card.offered_suites):
        yield f"it signs NO LONGER with {', '.join(lost)}: ask why"
    if set(card.keys) != set(known.keys):
        new, gone = len(set(card.keys) - set(known.keys)), len(set(known.keys) - set(card.keys))
        yield f"{new} new keys, {gone} keys gone"
    if [ca.fingerprint(SHA256()) for ca in card.cas] != [ca.fingerprint(SHA256()) for ca in known.cas]:
        yield "another TLS authority"
    if card.endpoints != known.endpoints:
        yield f"it was reached at {', '.join(known.endpoints)}"
    if card.log_origin != known.log_origin:
        yield f"its audit log was {known.log_origin}"
    if dict(card.names) != dict(known.names):
        yield f"its names were {', '.join(known.names.values())}"


def _note(text: str) -> str:
    return f" ({text})" if text else ""


def _inert(text: str) -> str:
    """Return text of a card, which is the peer's, without control characters."""
    return "".join(character if character.isprintable() else " " for character in text)
