"""The learning code as text: what stands in the QR code, and what a person types. Pure.

``ZX1`` ‖ issuer ‖ ``.`` ‖ 24 characters ‖ 2 check characters, all upper case, so that a QR code holds it in
its alphanumeric mode. The 24 characters are 15 bytes (5 name the code, 10 are the secret) in Crockford's
base 32, which has no I, L, O and U. The check characters are ISO/IEC 7064 MOD 1271-36 over all letters
and digits before them: a wrong character is always noticed, and so are two neighbours that changed places
(MOD 97-10, as in an IBAN, misses some where a letter meets a digit). docs/learning-code.md describes it to
the byte.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field

from gateway.errors import CallerError

PREFIX = "ZX1"
"""Kind of code and version of its format."""
CODE_ID_BYTES = 5
SECRET_BYTES = 10
BODY_CHARACTERS = 24
CHECK_CHARACTERS = 2

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_BASE_36 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MISREAD = str.maketrans("ILO", "110")
_SHAPE = re.compile(r"ZX1([A-Z][A-Z0-9-]{1,31})\.([0-9A-Z]{24})([0-9A-Z]{2})", re.ASCII)


@dataclass(frozen=True, slots=True)
class LearningCode:
    """Who issued a code, its name there, and the secret that proves that one has seen it."""

    issuer: str
    """Node id."""
    code_id: bytes
    secret: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """The code as it stands in the QR code."""
        head = f"{PREFIX}{self.issuer.upper()}."
        body = _encode(self.code_id + self.secret)
        return f"{head}{body}{_check_characters(head + body)}"

    @property
    def typed(self) -> str:
        """The code as a person reads and types it: in groups."""
        head, body = self.text.split(".")
        groups = [body[at : at + 4] for at in range(0, BODY_CHARACTERS, 4)] + [body[BODY_CHARACTERS:]]
        return f"{head}.{'-'.join(groups)}"


def new_code(issuer: str) -> LearningCode:
    """Return a code with a fresh name and secret."""
    return LearningCode(issuer, secrets.token_bytes(CODE_ID_BYTES), secrets.token_bytes(SECRET_BYTES))


def parse_code(text: str) -> LearningCode:
    """Read a code that was scanned or typed: in either case, with or without spaces and hyphens.

    Raises:
        CallerError: it is no code, or a character of it is wrong. The text is not repeated.
    """
    compact = re.sub(r"\s", "", text).upper()
    head, dot, body = compact.partition(".")
    body = body.replace("-", "").translate(_MISREAD)
    found = _SHAPE.fullmatch(f"{head}{dot}{body}") if len(compact) < 128 else None
    if found is None or not set(found[2]) <= set(_ALPHABET):
        raise CallerError(
            "this is no learning code.",
            remedy="It begins with ZX1 and a province, then a dot, and 26 letters and digits.",
        )
    if _check_characters(f"{head}.{found[2]}").translate(_MISREAD) != found[3]:
        raise CallerError(
            "a character of this learning code is wrong: its check characters do not fit.",
            remedy="Compare it with the screen, or scan it again.",
        )
    raw = _decode(found[2])
    return LearningCode(found[1].lower(), raw[:CODE_ID_BYTES], raw[CODE_ID_BYTES:])


def code_name(code_id: bytes) -> str:
    """Return how lists call a code: the first 8 of its 24 characters."""
    return _encode(code_id)


def parse_code_name(text: str) -> bytes:
    """Return the id of the code that is called so, or whose whole text this is.

    Raises:
        CallerError: it is neither.
    """
    compact = re.sub(r"[\s-]", "", text).upper().translate(_MISREAD)
    if len(compact) == CODE_ID_BYTES * 8 // 5 and set(compact) <= set(_ALPHABET):
        return _decode(compact)
    return parse_code(text).code_id


def _encode(raw: bytes) -> str:
    number = int.from_bytes(raw, "big")
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(len(raw) * 8 - 5, -1, -5))


def _decode(text: str) -> bytes:
    number = 0
    for character in text:
        number = number << 5 | _ALPHABET.index(character)
    return number.to_bytes(len(text) * 5 // 8, "big")


def _check_characters(text: str) -> str:
    """Return what ISO/IEC 7064 MOD 1271-36 puts behind the letters and digits of ``text``."""
    number = int("".join(character for character in text if character.isalnum()) + "00", 36)
    high, low = divmod((1 - number) % 1271, 36)
    return _BASE_36[high] + _BASE_36[low]
