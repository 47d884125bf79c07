"""Learner identifiers: normalised and checked before anything else happens to them.

Resident identity numbers follow GB 11643: eighteen characters, the last a check character
(ISO 7064 MOD 11-2), or fifteen digits in the form of before 1999.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import date

from gateway.errors import CallerError

RESIDENT_ID = "resident-id"
PASSPORT = "passport"
STUDENT_NUMBER = "student-number"

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK_CHARACTERS = "10X98765432"


class IdentifierError(CallerError):
    """An identifier is malformed. The message never repeats it."""


def normalise(identifier_type: str, identifier: str) -> str:
    """Return ``identifier`` in the one form under which it is looked up.

    Raises:
        IdentifierError: unknown type, wrong form or wrong check character.
    """
    rule = _RULES.get(identifier_type)
    if rule is None:
        raise IdentifierError(
            f"unknown identifier type {identifier_type[:32]!r}.",
            remedy=f"Use one of: {', '.join(sorted(_RULES))}.",
        )
    return rule(unicodedata.normalize("NFKC", identifier).strip().upper())


def check_character(first_seventeen: str) -> str:
    """Return the check character of a resident identity number (GB 11643, 4.2.5).

    Example:
        >>> check_character("11010519491231002")
        'X'
    """
    total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, first_seventeen, strict=True))
    return _CHECK_CHARACTERS[total % 11]


def mask(identifier: str) -> str:
    """Return ``identifier`` with all but its first three and last two characters hidden."""
    if len(identifier) <= 6:
        return "*" * len(identifier)
    return f"{identifier[:3]}{'*' * (len(identifier) - 5)}{identifier[-2:]}"


def _resident_id(text: str) -> str:
    if re.fullmatch(r"\d{15}", text, re.ASCII):
        text = f"{text[:6]}19{text[6:]}"
        text += check_character(text)
    if not re.fullmatch(r"\d{17}[\dX]", text, re.ASCII):
        raise IdentifierError(
            "a resident identity number has 18 characters: 17 digits and a digit or X.",
            remedy="Copy it again from the identity card.",
        )
    if check_character(text[:17]) != text[17]:
        raise IdentifierError(
            "the check character of the resident identity number does not fit.",
            remedy="One character is mistyped: copy it again from the identity card.",
        )
    try:
        date(int(text[6:10]), int(text[10:12]), int(text[12:14]))
    except ValueError as error:
        raise IdentifierError(
            "the date of birth inside the resident identity number does not exist.",
            remedy="Copy it again from the identity card.",
        ) from error
    return text


def _plain(pattern: str, what: str) -> Callable[[str], str]:
    def rule(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise IdentifierError(f"this is not {what}.", remedy="Copy it again from the document.")
        return text

    return rule


_RULES: dict[str, Callable[[str], str]] = {
    RESIDENT_ID: _resident_id,
    PASSPORT: _plain(r"[A-Z0-9]{5,12}", "a passport number (5 to 12 letters and digits)"),
    STUDENT_NUMBER: _plain(r"[A-Z0-9-]{4,32}", "a student number (4 to 32 letters, digits, hyphens)"),
}

IDENTIFIER_TYPES = tuple(sorted(_RULES))
"""Every identifier type that can be looked up."""
