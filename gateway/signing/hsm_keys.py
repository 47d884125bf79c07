"""Keys in a hardware module by PKCS#11: Ed25519 and ECDSA P-256. The private half never leaves it.

A process has one session a token, which its keys share under a lock: sessions are not made for
several threads, and a module logs in once. A session that was lost is opened again once.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from gateway.errors import EnvelopeError, HsmError
from gateway.signing.key_files import read_private_file
from gateway.signing.key_uri import KeyUri
from gateway.signing.suites import ECDSA_P256, ED25519, SigningKey

PIN_VARIABLE = "CREDIT_GATEWAY_PKCS11_PIN"
SELF_TEST = b"credit-exchange/self-test"
_P256_PARAMETERS = bytes.fromhex("06082a8648ce3d030107")
_ED25519_PARAMETERS = (bytes.fromhex("06032b6570"), b"\x13\x0cedwards25519")
"""CKA_EC_PARAMS: as an object identifier (PKCS#11 3.1), or as a name (PKCS#11 3.0)."""


@dataclass
class _Token:
    """One token, logged in to."""

    uri: KeyUri
    folder: Path
    lock: threading.RLock = field(default_factory=threading.RLock)
    session: Any = None
    refused: HsmError | None = None

    def opened(self) -> Any:
        """Return the session, logging in if there is none. Raises ``HsmError``.

        A PIN that was refused is not tried again: a few wrong ones lock the token.
        """
        if self.refused is not None:
            raise self.refused
        if self.session is None:
            try:
                self.session = _log_in(self.uri, _pin(self.uri, self.folder))
            except HsmError as error:
                if type(error.__cause__).__name__.startswith("Pin"):
                    self.refused = error
                raise
        return self.session

    def close(self) -> None:
        """Forget a session that was lost; closing it may fail as well."""
        pkcs11 = _library()
        session, self.session = self.session, None
        try:
            session.close()
        except pkcs11.PKCS11Error:
            return


_tokens: dict[tuple[str, str, str], _Token] = {}
_tokens_lock = threading.Lock()


class HsmPrivateKey:
    """A private key in a module; stands where one of the ``cryptography`` package would."""

    def __init__(self, token: _Token, uri: KeyUri) -> None:
        self._token, self._uri = token, uri
        with token.lock:
            self._private, self._public = self._find()
        self._is_ed25519 = isinstance(self._public, Ed25519PublicKey)

    def public_key(self) -> Any:
        """Return the public half."""
        return self._public

    def sign(self, data: bytes, _algorithm: object = None) -> bytes:
        """Return the signature over ``data`` in its suite's form.

        Raises:
            HsmError: the module did not sign, also after logging in again.
        """
        pkcs11 = _library()
        with self._token.lock:
            try:
                return self._sign(data)
            except pkcs11.PKCS11Error:
                self._token.close()
            private, public = self._find()
            try:
                if public != self._public:
                    raise HsmError(f"{self._uri}: another key is there now.", remedy="Restart the node.")
                self._private = private
                return self._sign(data)
            except pkcs11.PKCS11Error as error:
                raise _trouble(self._uri, error) from error

    def _sign(self, data: bytes) -> bytes:
        mechanisms = _library().Mechanism
        if self._is_ed25519:
            return bytes(self._private.sign(data, mechanism=mechanisms.EDDSA))
        raw = self._private.sign(sha256(data).digest(), mechanism=mechanisms.ECDSA)
        half = len(raw) // 2
        return encode_dss_signature(int.from_bytes(raw[:half]), int.from_bytes(raw[half:]))

    def _find(self) -> tuple[Any, Any]:
        pkcs11 = _library()
        session, classes = self._token.opened(), pkcs11.ObjectClass
        try:
            private = _only_object(session, classes.PRIVATE_KEY, self._uri)
            public = _only_object(session, classes.PUBLIC_KEY, self._uri)
            parameters, point = public[pkcs11.Attribute.EC_PARAMS], public[pkcs11.Attribute.EC_POINT]
        except pkcs11.PKCS11Error as error:
            raise _trouble(self._uri, error) from error
        return private, _read_public(self._uri, bytes(parameters), bytes(point))

    def __repr__(self) -> str:
        """Name the key."""
        return f"HsmPrivateKey({self._uri})"


def open_hsm_key(uri: KeyUri, folder: Path) -> SigningKey:
    """Return the key that ``uri`` names; ``folder`` is where a relative file of the PIN lies.

    Raises:
        HsmError: the library ``python-pkcs11``, the module, the token or the key is missing, the PIN is
            wrong, or the key is of another type than Ed25519 and P-256.
        KeyFileError: the file of the PIN is refused.
    """
    with _tokens_lock:
        place = (uri.module_path, uri.token, uri.serial)
        token = _tokens.setdefault(place, _Token(uri, folder))
    key = SigningKey.from_private(HsmPrivateKey(token, uri))
    try:
        key.verifying.verify(key.sign(SELF_TEST), SELF_TEST)
    except EnvelopeError as error:
        raise HsmError(
            f"{uri}: the public key there does not belong to the private key.", remedy="Make the pair again."
        ) from error
    return key


def _only_object(session: Any, object_class: Any, uri: KeyUri) -> Any:
    attribute = _library().Attribute
    template = {attribute.CLASS: object_class}
    if uri.label:
        template[attribute.LABEL] = uri.label
    if uri.id:
        template[attribute.ID] = uri.id
    found = list(session.get_objects(template))  # to its end: a search left open blocks the session
    kind = object_class.name.lower().replace("_", " ")
    if not found:
        raise HsmError(
            f"{uri}: there is no such {kind}.",
            remedy="Make the key pair there; private and public key need this label or id.",
        )
    if len(found) > 1:
        raise HsmError(f"{uri}: there are {len(found)} such {kind}s.", remedy="Add id to the URI.")
    return found[0]


def _read_public(uri: KeyUri, parameters: bytes, point: bytes) -> Any:
    raw = point[2:] if point[:1] == b"\x04" and len(point) == 2 + point[1] else point
    try:
        if parameters == _P256_PARAMETERS:
            return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw)
        if parameters in _ED25519_PARAMETERS:
            return Ed25519PublicKey.from_public_bytes(raw)
    except ValueError as error:
        raise HsmError(f"{uri}: its public key is malformed.", remedy="Make the key again.") from error
    names = f"{ED25519.name} and {ECDSA_P256.name}"
    raise HsmError(f"{uri} is of another type than {names}.", remedy="Make one of these.")


def _log_in(uri: KeyUri, pin: str) -> Any:
    pkcs11 = _library()
    try:
        module = pkcs11.lib(uri.module_path)
    except (pkcs11.PKCS11Error, RuntimeError, OSError) as error:
        raise HsmError(
            f"token {uri.token}: {uri.module_path} is no PKCS#11 library.",
            remedy="Correct module-path in node.toml.",
        ) from error
    try:
        serial = {"token_serial": uri.serial.encode()} if uri.serial else {}
        token = module.get_token(token_label=uri.token, **serial)
        try:
            return token.open(user_pin=pin)
        except pkcs11.UserAlreadyLoggedIn:  # logging in holds for all sessions of a process
            return token.open()
    except pkcs11.PKCS11Error as error:
        raise _trouble(f"token {uri.token}", error) from error


def _pin(uri: KeyUri, folder: Path) -> str:
    file = uri.pin_file(folder)
    content = read_private_file(file) if file is not None else os.environb.get(PIN_VARIABLE.encode(), b"")
    if not content.strip():
        raise HsmError(
            f"token {uri.token}: there is no PIN.",
            remedy=f"Add pin-source=file:NAME to the URI, or set {PIN_VARIABLE}.",
        )
    return content.decode(errors="replace").rstrip("\r\n")


def _trouble(what: object, error: Exception) -> HsmError:
    remedies = {
        "NoSuchToken": "Check the token's label with the module's own tool.",
        "PinIncorrect": "Correct the PIN; after a few wrong ones the token is locked.",
        "PinLocked": "Unlock the token with its security officer's PIN.",
    }
    kind = type(error).__name__
    remedy = remedies.get(kind, "Check the module with its own tool; then restart the node.")
    return HsmError(f"{what}: the module answers {kind}.", remedy=remedy)


def _library() -> Any:
    try:
        import pkcs11
    except ImportError as error:
        raise HsmError(
            "keys in a hardware module need python-pkcs11, which is not installed.",
            remedy="Install credit-exchange-gateway[hsm].",
        ) from error
    return pkcs11
