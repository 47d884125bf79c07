"""Multibase base58btc (``z…``) and Ed25519 keys written so (W3C Controlled Identifiers, "Multikey")."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

CHARACTERS_MAX = 200
"""Longest text that is decoded: a key has 48 characters, a signature 89."""

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_ED25519_PREFIX = b"\xed\x01"
"""Multicodec of an Ed25519 public key."""


def encode_base58(content: bytes) -> str:
    """Return ``content`` as multibase base58btc."""
    number, text = int.from_bytes(content, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        text = _ALPHABET[rest] + text
    return "z" + "1" * (len(content) - len(content.lstrip(b"\0"))) + text


def decode_base58(text: str) -> bytes:
    """Return the bytes of multibase base58btc. Raises ``ValueError``: it is none, or too long."""
    if not text.startswith("z") or len(text) > CHARACTERS_MAX or set(text[1:]) - set(_ALPHABET):
        raise ValueError("no base58")
    number = 0
    for character in text[1:]:
        number = number * 58 + _ALPHABET.index(character)
    zeros = len(text[1:]) - len(text[1:].lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def multikey(key: Ed25519PublicKey) -> str:
    """Return the key as ``publicKeyMultibase`` writes it."""
    return encode_base58(_ED25519_PREFIX + key.public_bytes_raw())


def key_of_multikey(text: str) -> Ed25519PublicKey:
    """Return the key that a multikey holds. Raises ``ValueError``: it is no Ed25519 key."""
    content = decode_base58(text)
    if not content.startswith(_ED25519_PREFIX) or len(content) != len(_ED25519_PREFIX) + 32:
        raise ValueError("no Ed25519 key")
    return Ed25519PublicKey.from_public_bytes(content[2:])
