"""Key and secret files: PKCS#8 PEM, mode 0600, refused when others can read them."""

from __future__ import annotations

import os
import stat
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from gateway.errors import EnvelopeError, KeyFileError
from gateway.signing.published_keys import PUBLISHED_KEY_IDS
from gateway.signing.sm2 import Sm2PrivateKey
from gateway.signing.suites import SigningKey

PRIVATE_MODE = 0o600
PASSPHRASE_VARIABLE = "CREDIT_GATEWAY_KEY_PASSPHRASE"  # noqa: S105 - the name, not the secret
KEY_FILE_BYTES_MAX = 64 * 1024


def write_private_file(path: Path, content: bytes) -> None:
    """Create ``path`` with mode 0600 from its first moment on.

    Raises:
        KeyFileError: it exists already or cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as error:
        raise KeyFileError(f"{path.name} exists already.", remedy="Nothing was overwritten.") from error
    except OSError as error:
        raise KeyFileError(f"{path.name} cannot be written: {error.strerror}.") from error


def read_private_file(path: Path) -> bytes:
    """Return the content of a private file after checking its mode.

    Raises:
        KeyFileError: missing, unreadable, too large, or readable by group or others.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(KEY_FILE_BYTES_MAX + 1)
    except FileNotFoundError as error:
        raise KeyFileError(
            f"{path} is missing.",
            remedy="Restore it from your backup, or make it with `credit-gateway init`.",
        ) from error
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error.strerror}.") from error
    if mode & 0o077:
        raise KeyFileError(
            f"{path} has mode {mode:04o}: others can read it.",
            remedy=f"Run `chmod 600 {path}`, and replace the key if somebody may have read it.",
        )
    if len(content) > KEY_FILE_BYTES_MAX:
        raise KeyFileError(f"{path} is larger than 64 KiB: this is no key file.")
    return content


def write_private_key(path: Path, private: Any, passphrase: bytes | None = None) -> None:
    """Write a private key as PKCS#8 PEM, mode 0600, encrypted when a passphrase is given."""
    encryption: KeySerializationEncryption = (
        BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    )
    write_private_file(path, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))


def read_private_key(path: Path, passphrase: bytes | None = None) -> Any:
    """Return the private key in ``path``.

    Raises:
        KeyFileError: the file is refused, is no PKCS#8 PEM, or the passphrase does not fit.
        SuiteUnavailableError: it is an SM2 key and the system's OpenSSL cannot be used.
    """
    content = read_private_file(path)
    encrypted = b"ENCRYPTED" in content.split(b"\n", 1)[0]
    if encrypted and not passphrase:
        raise KeyFileError(
            f"{path} is encrypted and no passphrase is set.",
            remedy=f"Set keys.passphrase_file in node.toml, or {PASSPHRASE_VARIABLE}.",
        )
    try:
        return _load(content, passphrase if encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        hint = "Is the passphrase right?" if encrypted else "Restore it from your backup."
        raise KeyFileError(f"{path} is no PKCS#8 PEM private key.", remedy=hint) from error


def _load(content: bytes, passphrase: bytes | None) -> Any:
    try:
        return load_pem_private_key(content, passphrase)
    except UnsupportedAlgorithm:  # SM2 is the one curve that only the system's OpenSSL knows
        return Sm2PrivateKey.from_pem(content, passphrase)


def read_signing_key(path: Path, passphrase: bytes | None = None) -> SigningKey:
    """Return the signing key in ``path``.

    Raises:
        KeyFileError: as :func:`read_private_key`; also for a type no suite knows, and for keys
            that were published in a standard's test vectors.
    """
    try:
        key = SigningKey.from_private(read_private_key(path, passphrase))
    except EnvelopeError as error:
        raise KeyFileError(f"{path}: no signature suite uses keys of this type.") from error
    if key.key_id in PUBLISHED_KEY_IDS:
        raise KeyFileError(
            f"{path} holds a key that is published in a standard: anybody can sign with it.",
            remedy="Make a new one: remove the file and run `credit-gateway init` again.",
        )
    return key


def write_secret(path: Path, secret: bytes) -> None:
    """Write a symmetric secret as one line of base64, mode 0600."""
    write_private_file(path, b64encode(secret) + b"\n")


def read_secret(path: Path, length: int = 32) -> bytes:
    """Return the ``length`` bytes of the secret in ``path``.

    Raises:
        KeyFileError: the file is refused, or does not hold that many bytes in base64.
    """
    content = read_private_file(path).strip()
    try:
        secret = b64decode(content, validate=True)
    except ValueError as error:
        raise KeyFileError(f"{path} is not base64.", remedy="Copy the file again from its source.") from error
    if len(secret) != length:
        raise KeyFileError(f"{path} holds {len(secret)} bytes, {length} are needed.")
    return secret


def find_passphrase(passphrase_file: Path | None) -> bytes | None:
    """Return the passphrase from ``passphrase_file``, else from the environment, else ``None``."""
    if passphrase_file is not None:
        return read_private_file(passphrase_file).rstrip(b"\r\n")
    value = os.environ.get(PASSPHRASE_VARIABLE)
    return value.encode() if value else None
