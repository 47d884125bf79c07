"""The node's own key for what it must recognise again but may not hold in clear.

Three uses, each under a key of its own (HKDF, RFC 5869): ids for records whose files give none,
digests of identifiers that a foreign transcript carries, and the sealed row keys of a SQL source.
It never leaves the node and is not the federation secret, so ids outlive a change of epoch.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.errors import KeyFileError, StorageError
from gateway.signing.key_files import read_secret, write_secret

KEY_BYTES = 32
RECORD_ID_BYTES = 16
"""Two records share an id by chance only after about 2^64 of them."""
DIGEST_BYTES = 16
NONCE_BYTES = 12

KEY_FILE = "records.key"
"""Name of the file below ``keys/``."""


class RecordsKey:
    """One node's key; see the module."""

    def __init__(self, key: bytes) -> None:
        self._ids = _derive(key, b"record ids")
        self._digests = _derive(key, b"identifier digests")
        self._rows = AESGCM(_derive(key, b"source row keys"))

    def __repr__(self) -> str:
        """Hide the key."""
        return "RecordsKey(…)"

    def record_id(self, prefix: str, parts: Sequence[str]) -> str:
        """Return the id of what ``parts`` name: the same ones give the same id, for ever."""
        return f"{prefix}-{hmac.digest(self._ids, _joined((prefix, *parts)), sha256)[:RECORD_ID_BYTES].hex()}"

    def digest(self, kind: str, value: str) -> str:
        """Return what stands for a value that may not be kept; equal values of a kind are seen as equal."""
        return (
            f"hmac-sha256:{hmac.digest(self._digests, _joined((kind, value)), sha256)[:DIGEST_BYTES].hex()}"
        )

    def row_digest(self, source: str, row_key: bytes) -> bytes:
        """Return what tells one row key of a source from another, 16 bytes."""
        return hmac.digest(self._digests, _joined(("row key", source, row_key.hex())), sha256)[:DIGEST_BYTES]

    def seal(self, row_key: bytes, subject_token: bytes) -> bytes:
        """Return ``row_key`` encrypted (AES-256-GCM), bound to the subject token that it belongs to."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._rows.encrypt(nonce, row_key, subject_token)

    def unseal(self, sealed: bytes, subject_token: bytes) -> bytes:
        """Return what :meth:`seal` hid.

        Raises:
            StorageError: another key sealed it, or it was altered.
        """
        try:
            return self._rows.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], subject_token)
        except (InvalidTag, ValueError) as error:
            raise StorageError(
                "the index of the SQL source cannot be read with this node's records key.",
                remedy="Build it again with `credit-gateway records index`.",
            ) from error


def records_key_at(path: Path) -> RecordsKey:
    """Return the key in ``path``, made there when there is none.

    Raises:
        KeyFileError: the file is refused, or cannot be written.
    """
    if not path.exists():
        try:
            write_secret(path, secrets.token_bytes(KEY_BYTES))
        except KeyFileError:
            if not path.exists():
                raise  # else another command made it at the same moment
    return RecordsKey(read_secret(path, KEY_BYTES))


def _derive(key: bytes, use: bytes) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=b"credit-gateway " + use).derive(key)


def _joined(parts: Sequence[str]) -> bytes:
    """Return ``parts`` as bytes from which they can be told apart: each after its length."""
    return b"".join(len(text).to_bytes(4, "big") + text for text in (part.encode() for part in parts))
