"""DER signatures SEQUENCE{r INTEGER, s INTEGER} (X9.62, GM/T 0009 clause 7.3): one form only."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature


def require_canonical(signature: bytes, order: int) -> None:
    """Return if ``signature`` is the one DER form of a pair (r, s), both from 1 to ``order`` - 1.

    Raises:
        InvalidSignature: it is not; longer lengths, leading zeros and trailing bytes are refused.
    """
    try:
        r, s = decode_dss_signature(signature)
        is_canonical = encode_dss_signature(r, s) == signature
    except ValueError as error:
        raise InvalidSignature from error
    if not (is_canonical and 0 < r < order and 0 < s < order):
        raise InvalidSignature
