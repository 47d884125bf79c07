"""SM2 signatures with SM3 (GB/T 32918.2, signature form and default id of GM/T 0009).

The classes have the methods of ``cryptography``'s keys, which the table of suites expects. The
distinguishing id is always stated: OpenSSL 3 would otherwise take an empty one, OpenSSL 4 the default.
"""

from __future__ import annotations

import weakref
from ctypes import byref, c_size_t, create_string_buffer
from functools import cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from gateway.errors import SuiteUnavailableError
from gateway.signing.dss_der import require_canonical
from gateway.signing.libcrypto import REMEDY, decoded, encoded, libcrypto
from gateway.signing.pem import der_of, pem_of

DISTINGUISHING_ID = b"1234567812345678"
"""GM/T 0009, clause 10: the id of a signer whose id was not agreed on. Part of what is hashed."""
ORDER = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
"""Order n of the curve's group (GB/T 32918.5)."""
SPKI_PREFIX = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d03420004")
"""Everything of a SubjectPublicKeyInfo before the 64 bytes of an uncompressed point: there is one form."""
SPKI_BYTES = len(SPKI_PREFIX) + 64
PBKDF2_ROUNDS = 600_000
SIGNATURE_BYTES_MAX = 72


class Sm2PublicKey:
    """A point on the curve of GB/T 32918.5."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._finalizer = weakref.finalize(self, libcrypto().EVP_PKEY_free, handle)
        self._finalizer.atexit = False

    @classmethod
    def from_spki(cls, spki: bytes) -> Sm2PublicKey:
        """Read a DER SubjectPublicKeyInfo with an uncompressed point.

        Raises:
            ValueError: it has another form, or the point is not on the curve or is no multiple of its base.
            SuiteUnavailableError: the system's OpenSSL cannot be used.
        """
        if len(spki) != SPKI_BYTES or not spki.startswith(SPKI_PREFIX):
            raise ValueError("no SM2 SubjectPublicKeyInfo in its one form")
        return _checked_public(spki)

    def public_bytes(self, encoding: Encoding, format_: PublicFormat) -> bytes:
        """Return the DER SubjectPublicKeyInfo, the only form that is offered."""
        if (encoding, format_) != (Encoding.DER, PublicFormat.SubjectPublicKeyInfo):
            raise ValueError("an SM2 public key is written as DER SubjectPublicKeyInfo only")
        return encoded(libcrypto().i2d_PUBKEY, self._handle)

    def __eq__(self, other: object) -> bool:
        """Whether both are the same point."""
        return isinstance(other, Sm2PublicKey) and self._spki() == other._spki()

    def __hash__(self) -> int:
        """Hash of the point."""
        return hash(self._spki())

    def _spki(self) -> bytes:
        return self.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def verify(self, signature: bytes, data: bytes, *, signer_id: bytes = DISTINGUISHING_ID) -> None:
        """Return if ``signature``, DER of (r, s), is this key's over ``data`` under ``signer_id``.

        Raises:
            InvalidSignature: it is not, or r or s is out of range, or its DER is not canonical.
        """
        require_canonical(signature, ORDER)
        with _Context(self._handle, signer_id) as context:
            library = libcrypto()
            started = library.EVP_DigestVerifyInit(context, None, library.EVP_sm3(), None, self._handle)
            if started != 1:
                raise _unavailable()
            if library.EVP_DigestVerify(context, signature, len(signature), data, len(data)) != 1:
                raise InvalidSignature


class Sm2PrivateKey:
    """A private key; its scalar stays in OpenSSL's memory."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._finalizer = weakref.finalize(self, libcrypto().EVP_PKEY_free, handle)
        self._finalizer.atexit = False

    @classmethod
    def generate(cls) -> Sm2PrivateKey:
        """Make a new key. Raises ``SuiteUnavailableError``."""
        require_sm2()
        handle = libcrypto().EVP_PKEY_Q_keygen(None, None, b"SM2")
        if not handle:
            raise _unavailable()
        return cls(handle)

    @classmethod
    def from_pem(cls, pem: bytes, passphrase: bytes | None = None) -> Sm2PrivateKey:
        """Read a PKCS#8 PEM, encrypted if ``passphrase`` is given.

        Raises:
            ValueError: it is none of an SM2 key, is no valid key, or the passphrase does not fit.
            SuiteUnavailableError: the system's OpenSSL cannot be used.
        """
        require_sm2()
        library = libcrypto()
        info = _decrypted(pem, passphrase) if passphrase else _plain(pem)
        try:
            handle = library.EVP_PKCS82PKEY(info) if info else None
        finally:
            library.PKCS8_PRIV_KEY_INFO_free(info)
        if not handle:
            library.ERR_clear_error()
            raise ValueError("no PKCS#8 private key, or another passphrase")
        key = cls(handle)
        is_sound = library.EVP_PKEY_is_a(handle, b"SM2") == 1 and _is_valid(handle, "EVP_PKEY_check")
        if not is_sound:
            raise ValueError("no valid SM2 private key")
        key.public_key()
        return key

    def public_key(self) -> Sm2PublicKey:
        """Return the public half. Raises ``ValueError`` when its curve is not the named one."""
        return Sm2PublicKey.from_spki(encoded(libcrypto().i2d_PUBKEY, self._handle))

    def sign(self, data: bytes, *, signer_id: bytes = DISTINGUISHING_ID) -> bytes:
        """Return the signature over ``data`` under ``signer_id``: DER of (r, s), at most 72 bytes.

        Raises:
            SuiteUnavailableError: OpenSSL refused.
        """
        library = libcrypto()
        with _Context(self._handle, signer_id) as context:
            started = library.EVP_DigestSignInit(context, None, library.EVP_sm3(), None, self._handle)
            length = c_size_t(SIGNATURE_BYTES_MAX)
            content = create_string_buffer(SIGNATURE_BYTES_MAX)
            done = started == 1 and library.EVP_DigestSign(context, content, byref(length), data, len(data))
            if done != 1:
                raise _unavailable()
            return content.raw[: length.value]

    def private_bytes(
        self, encoding: Encoding, format_: PrivateFormat, encryption: KeySerializationEncryption
    ) -> bytes:
        """Return the key as PKCS#8 PEM; encrypted, as PBES2 with PBKDF2 and AES-256-CBC."""
        if (encoding, format_) != (Encoding.PEM, PrivateFormat.PKCS8):
            raise ValueError("an SM2 private key is written as PKCS#8 PEM only")
        library = libcrypto()
        info = library.EVP_PKEY2PKCS8(self._handle)
        try:
            if isinstance(encryption, NoEncryption):
                return pem_of("PRIVATE KEY", encoded(library.i2d_PKCS8_PRIV_KEY_INFO, info))
            if not isinstance(encryption, BestAvailableEncryption):
                raise TypeError("only BestAvailableEncryption is offered")
            return pem_of("ENCRYPTED PRIVATE KEY", _encrypted(info, encryption.password))
        finally:
            library.PKCS8_PRIV_KEY_INFO_free(info)

    def __repr__(self) -> str:
        """Hide the key."""
        return "Sm2PrivateKey(…)"


class _Context:
    """A digest context with the distinguishing id set; freed when left, the thread's errors cleared."""

    def __init__(self, handle: int, signer_id: bytes) -> None:
        library = libcrypto()
        self._context = library.EVP_MD_CTX_new()
        self._key_context = library.EVP_PKEY_CTX_new(handle, None)
        if library.EVP_PKEY_CTX_set1_id(self._key_context, signer_id, len(signer_id)) != 1:
            self.__exit__()
            raise _unavailable()
        library.EVP_MD_CTX_set_pkey_ctx(self._context, self._key_context)

    def __enter__(self) -> int:
        return int(self._context)

    def __exit__(self, *_: object) -> None:
        library = libcrypto()
        library.EVP_MD_CTX_free(self._context)
        library.EVP_PKEY_CTX_free(self._key_context)
        # Python's ssl shares the library: an error left behind would surface in its next call.
        library.ERR_clear_error()


@cache
def require_sm2() -> None:
    """Return if the system's OpenSSL verifies the example of GB/T 32918.5 as it should.

    Raises:
        SuiteUnavailableError: it is missing, or lacks SM2 or SM3.
    """
    try:
        key = _checked_public_raw(SPKI_PREFIX + _EXAMPLE_POINT)
        key.verify(_EXAMPLE_SIGNATURE, b"message digest")
    except (ValueError, InvalidSignature) as error:
        raise _unavailable() from error


def _checked_public(spki: bytes) -> Sm2PublicKey:
    require_sm2()
    return _checked_public_raw(spki)


def _checked_public_raw(spki: bytes) -> Sm2PublicKey:
    library = libcrypto()
    handle = decoded(library.d2i_PUBKEY, spki)
    if not handle:
        library.ERR_clear_error()
        raise ValueError("no point of the SM2 curve")
    key = Sm2PublicKey(handle)
    if library.EVP_PKEY_is_a(handle, b"SM2") != 1 or not _is_valid(handle, "EVP_PKEY_public_check"):
        raise ValueError("no valid SM2 public key")
    return key


def _is_valid(handle: int, check: str) -> bool:
    library = libcrypto()
    context = library.EVP_PKEY_CTX_new(handle, None)
    try:
        return bool(getattr(library, check)(context) == 1)
    finally:
        library.EVP_PKEY_CTX_free(context)
        library.ERR_clear_error()


def _plain(pem: bytes) -> Any:
    return decoded(libcrypto().d2i_PKCS8_PRIV_KEY_INFO, der_of("PRIVATE KEY", pem))


def _decrypted(pem: bytes, passphrase: bytes) -> Any:
    library = libcrypto()
    sealed = decoded(library.d2i_X509_SIG, der_of("ENCRYPTED PRIVATE KEY", pem))
    try:
        return library.PKCS8_decrypt(sealed, passphrase, len(passphrase)) if sealed else None
    finally:
        library.X509_SIG_free(sealed)


def _encrypted(info: int, passphrase: bytes) -> bytes:
    library = libcrypto()
    scheme = -1  # PBES2, HMAC-SHA-256
    cipher = library.EVP_aes_256_cbc()
    sealed = library.PKCS8_encrypt(scheme, cipher, passphrase, len(passphrase), None, 0, PBKDF2_ROUNDS, info)
    try:
        return encoded(library.i2d_X509_SIG, sealed)
    finally:
        library.X509_SIG_free(sealed)


def _unavailable() -> SuiteUnavailableError:
    libcrypto().ERR_clear_error()
    return SuiteUnavailableError(
        "the system's OpenSSL cannot sign and verify with SM2 and SM3.", remedy=REMEDY
    )


_EXAMPLE_POINT = bytes.fromhex(
    "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
    "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
)
_EXAMPLE_SIGNATURE = bytes.fromhex(
    "3046022100f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3"
    "022100b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa"
)
"""GB/T 32918.5, the example of a signature: public key, and (r, s) over "message digest"."""
