"""PEM text (RFC 7468) of one block, for keys that ``cryptography`` does not write."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode

LINE_CHARACTERS = 64


def pem_of(label: str, der: bytes) -> bytes:
    """Return ``der`` as PEM with ``label``."""
    text = b64encode(der).decode("ascii")
    lines = [text[i : i + LINE_CHARACTERS] for i in range(0, len(text), LINE_CHARACTERS)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode("ascii")


def der_of(label: str, pem: bytes) -> bytes:
    """Return the content of the block with ``label``; text around it is passed over.

    Raises:
        ValueError: there is none, or it is not base64.
    """
    begin, end = f"-----BEGIN {label}-----".encode(), f"-----END {label}-----".encode()
    _, found, rest = pem.partition(begin)
    body, closed, _ = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"no PEM block {label}")
    try:
        return b64decode(b"".join(body.split()), validate=True)
    except binascii.Error as error:
        raise ValueError(f"the PEM block {label} is not base64") from error
