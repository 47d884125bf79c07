"""The system's OpenSSL 3 (libcrypto) by ctypes: only what SM2 needs, declared once, tested when it is loaded.

``cryptography`` brings an OpenSSL of its own that is built without SM2 signatures. The system's is
patched by the system's maintainers. Every call releases the interpreter's lock.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_ubyte, c_void_p
from functools import cache
from typing import Any

from gateway.errors import SuiteUnavailableError

NAMES = ("libcrypto.so.3", "libcrypto.so.4", "libcrypto.3.dylib", "libcrypto-3-x64.dll")
"""File names under which the loader finds OpenSSL 3 or 4."""
REMEDY = "Install OpenSSL 3 with SM2 and SM3 (Debian: libssl3), or use another signature suite."

_BYTES = POINTER(POINTER(c_ubyte))
_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "ERR_clear_error": (None, []),
    "ERR_peek_error": (ctypes.c_ulong, []),
    "CRYPTO_free": (None, [c_void_p, c_char_p, c_int]),
    "EVP_PKEY_Q_keygen": (c_void_p, [c_void_p, c_char_p, c_char_p]),
    "EVP_PKEY_free": (None, [c_void_p]),
    "EVP_PKEY_is_a": (c_int, [c_void_p, c_char_p]),
    "EVP_PKEY_CTX_new": (c_void_p, [c_void_p, c_void_p]),
    "EVP_PKEY_CTX_free": (None, [c_void_p]),
    "EVP_PKEY_CTX_set1_id": (c_int, [c_void_p, c_char_p, c_size_t]),
    "EVP_PKEY_public_check": (c_int, [c_void_p]),
    "EVP_PKEY_check": (c_int, [c_void_p]),
    "EVP_MD_CTX_new": (c_void_p, []),
    "EVP_MD_CTX_free": (None, [c_void_p]),
    "EVP_MD_CTX_set_pkey_ctx": (None, [c_void_p, c_void_p]),
    "EVP_sm3": (c_void_p, []),
    "EVP_aes_256_cbc": (c_void_p, []),
    "EVP_DigestSignInit": (c_int, [c_void_p, c_void_p, c_void_p, c_void_p, c_void_p]),
    "EVP_DigestSign": (c_int, [c_void_p, c_char_p, POINTER(c_size_t), c_char_p, c_size_t]),
    "EVP_DigestVerifyInit": (c_int, [c_void_p, c_void_p, c_void_p, c_void_p, c_void_p]),
    "EVP_DigestVerify": (c_int, [c_void_p, c_char_p, c_size_t, c_char_p, c_size_t]),
    "d2i_PUBKEY": (c_void_p, [c_void_p, POINTER(c_char_p), ctypes.c_long]),
    "i2d_PUBKEY": (c_int, [c_void_p, _BYTES]),
    "d2i_PKCS8_PRIV_KEY_INFO": (c_void_p, [c_void_p, POINTER(c_char_p), ctypes.c_long]),
    "i2d_PKCS8_PRIV_KEY_INFO": (c_int, [c_void_p, _BYTES]),
    "PKCS8_PRIV_KEY_INFO_free": (None, [c_void_p]),
    "EVP_PKEY2PKCS8": (c_void_p, [c_void_p]),
    "EVP_PKCS82PKEY": (c_void_p, [c_void_p]),
    "d2i_X509_SIG": (c_void_p, [c_void_p, POINTER(c_char_p), ctypes.c_long]),
    "i2d_X509_SIG": (c_int, [c_void_p, _BYTES]),
    "X509_SIG_free": (None, [c_void_p]),
    "PKCS8_decrypt": (c_void_p, [c_void_p, c_char_p, c_int]),
    "PKCS8_encrypt": (
        c_void_p,
        [c_int, c_void_p, c_char_p, c_int, c_void_p, c_int, c_int, c_void_p],
    ),
}


@cache
def libcrypto() -> Any:
    """Return the library with every function declared.

    Raises:
        SuiteUnavailableError: it is not installed, or lacks a function.
    """
    for name in NAMES:
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        return _declared(library, name)
    raise SuiteUnavailableError("SM2 needs the system's OpenSSL 3, and it is not installed.", remedy=REMEDY)


def _declared(library: ctypes.CDLL, name: str) -> Any:
    for function, (result, arguments) in _FUNCTIONS.items():
        try:
            declared = getattr(library, function)
        except AttributeError as error:
            raise SuiteUnavailableError(f"SM2: {name} has no {function}.", remedy=REMEDY) from error
        declared.restype, declared.argtypes = result, arguments
    return library


def encoded(function: Callable[..., int], value: int | None) -> bytes:
    """Return what the ``i2d`` function writes for ``value``; empty when it fails."""
    start = POINTER(c_ubyte)()
    length = function(value, byref(start))
    if length <= 0:
        return b""
    try:
        return bytes(start[:length])
    finally:
        libcrypto().CRYPTO_free(start, b"", 0)


def decoded(function: Callable[..., int | None], content: bytes) -> int | None:
    """Return what the ``d2i`` function reads, ``None`` when it reads nothing or bytes are left over."""
    start = c_char_p(content)
    address = ctypes.cast(start, c_void_p).value or 0
    value = function(None, byref(start), len(content))
    is_whole = ctypes.cast(start, c_void_p).value == address + len(content)
    return value if is_whole else None
