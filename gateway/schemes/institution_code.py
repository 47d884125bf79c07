"""Codes of institutions by which a slip of the pen can be seen (GB 32100). Never repaired."""

from __future__ import annotations

_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
"""Without I, O, S, V and Z."""
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_WEIGHTS = tuple(pow(3, place, 31) for place in range(17))


def is_social_credit_code(code: str) -> bool:
    """Whether ``code`` is a unified social credit code: 18 characters, the last one checks the others."""
    values = [_VALUES.get(character) for character in code]
    if len(values) != 18 or None in values:
        return False
    rest = sum(value * weight for value, weight in zip(values, _WEIGHTS, strict=False) if value) % 31
    return values[-1] == (31 - rest) % 31  # 31 stands for 0
