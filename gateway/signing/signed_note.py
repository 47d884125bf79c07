"""C2SP signed notes (signed-note v1.0.0): a text, an empty line, and one line for each signature.

Ed25519 keys (type 0x01) sign and verify here, and by the type 0xff, which the specification leaves to
each protocol, keys of the other suites with short signatures. Lines by keys that the reader does not
know are kept and ignored, as the specification demands. The parser is strict: what it accepts has
exactly one form.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.errors import EnvelopeError, GatewayError
from gateway.signing.suites import ED25519, SUITES, PrivateKey, SigningKey, VerifyingKey

UNASSIGNED = 0xFF
"""Signature type of everything without an assigned one; a longer identifier follows it."""
KEY_ID_BYTES = 4
NOTE_BYTES_MAX = 128 * 1024
"""Largest note that is read, bytes: room for 32 lines of ML-DSA."""
SIGNATURES_MAX = 32
"""Most signature lines of a note that is read; the specification demands 16 at least."""
NAME_BYTES_MAX = 255

_LINE_START = "— "  # U+2014 and one space


class NoteError(GatewayError):
    """A signed note or a verifier key is malformed, or a signature does not verify."""


@dataclass(frozen=True, slots=True)
class SignatureUse:
    """What a signature line says, and under which types."""

    ed25519: int
    """The type that C2SP assigned to this use with Ed25519."""
    label: str
    """Part of the longer identifier behind 0xff, for every other suite."""


PLAIN = SignatureUse(0x01, "note")
"""A signature over the note's text."""


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line. Nothing says yet that it verifies."""

    name: str
    key_id: bytes
    signature: bytes

    @property
    def line(self) -> str:
        """The line itself, ending in a line feed."""
        return f"{_LINE_START}{self.name} {b64encode(self.key_id + self.signature).decode()}\n"


@dataclass(frozen=True, slots=True)
class SignedNote:
    """A note that has the right form; ``text`` ends in a line feed and is what was signed."""

    text: str
    signatures: tuple[NoteSignature, ...]


@dataclass(frozen=True, slots=True)
class NoteVerifier:
    """A public key under the name that its signature lines carry."""

    name: str
    public: Any
    """Public key of the ``cryptography`` package or of ``sm2``."""
    key: VerifyingKey = field(init=False, compare=False, repr=False)
    key_id: bytes = field(init=False)

    def __post_init__(self) -> None:
        """Compute the key id.

        Raises:
            NoteError: the name is malformed, or keys of this type sign no notes.
        """
        require_name(self.name)
        object.__setattr__(self, "key", VerifyingKey.from_public(self.public))
        object.__setattr__(self, "key_id", note_key_id(self.name, *typed_key(self.key, PLAIN)))

    @property
    def vkey(self) -> str:
        """The verifier key as text: ``name+hex key id+base64(type || key)``."""
        return render_vkey(self.name, self.key, PLAIN)

    @classmethod
    def from_vkey(cls, vkey: str) -> NoteVerifier:
        """Read a verifier key.

        Raises:
            NoteError: it is malformed, its key id is not that of its key, or it is of an unknown type.
        """
        return cls(*parse_vkey(vkey, PLAIN))

    def verify(self, signature: bytes, text: str) -> None:
        """Return if ``signature`` is this key's over ``text``.

        Raises:
            NoteError: it is not.
        """
        try:
            self.key.verify(signature, text.encode())
        except EnvelopeError as error:
            raise NoteError(f"the signature of {self.name} does not verify.") from error


@dataclass(frozen=True, slots=True)
class NoteSigner:
    """A private key under the name that its signature lines carry."""

    name: str
    private: PrivateKey = field(repr=False)
    verifier: NoteVerifier = field(init=False)
    _key: SigningKey = field(init=False, repr=False, compare=False)
    _line_start: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Compute the public half.

        Raises:
            NoteError: the name is malformed, or keys of this type sign no notes.
        """
        object.__setattr__(self, "_key", SigningKey.from_private(self.private))
        object.__setattr__(self, "verifier", NoteVerifier(self.name, self.private.public_key()))
        object.__setattr__(self, "_line_start", f"{_LINE_START}{self.name} ")

    def signature_line(self, text: str) -> str:
        """Return the signature line over ``text``, ending in a line feed."""
        signed = self.verifier.key_id + self._key.sign(text.encode())
        return f"{self._line_start}{b64encode(signed).decode()}\n"


Verifiers = NoteVerifier | Sequence[NoteVerifier]
"""The key of a log, or its several keys under one name while one replaces another."""


def all_verifiers(verifiers: Verifiers) -> tuple[NoteVerifier, ...]:
    """Return ``verifiers`` as a tuple.

    Raises:
        NoteError: there is none, or they bear different names.
    """
    found = (verifiers,) if isinstance(verifiers, NoteVerifier) else tuple(verifiers)
    if len({verifier.name for verifier in found}) != 1:
        raise NoteError("the keys of one log are needed, all under its name.")
    return found


def note_key_id(name: str, signature_type: int, public_key: bytes) -> bytes:
    """Return SHA-256(name || 0x0A || type || key)[:4]."""
    return sha256(name.encode() + b"\n" + bytes([signature_type]) + public_key).digest()[:KEY_ID_BYTES]


def typed_key(key: VerifyingKey, use: SignatureUse) -> tuple[int, bytes]:
    """Return signature type and encoding of ``key`` in ``use``.

    Raises:
        NoteError: its signatures are too long for checkpoints, which travel in every message.
    """
    if key.suite is ED25519:
        return use.ed25519, key.public.public_bytes_raw()
    if not key.suite.is_compact:
        raise NoteError(f"keys of {key.suite.name} sign no checkpoints: their signatures are too long.")
    return UNASSIGNED, _identifier(key.suite.name, use) + key.spki


def render_vkey(name: str, key: VerifyingKey, use: SignatureUse) -> str:
    """Return a verifier key as text: ``name+hex key id+base64(type || key)``."""
    type_, encoded = typed_key(key, use)
    return f"{name}+{note_key_id(name, type_, encoded).hex()}+{b64encode(bytes([type_]) + encoded).decode()}"


def parse_vkey(vkey: str, use: SignatureUse) -> tuple[str, Any]:
    """Return name and public key of a verifier key for ``use``.

    Raises:
        NoteError: it is malformed, of another type, or its key id is not that of its key.
        SuiteUnavailableError: it is an SM2 key and the system's OpenSSL cannot be used.
    """
    parts = vkey.split("+", 2)
    if len(parts) != 3:
        raise NoteError("a verifier key is NAME+KEYID+BASE64.")
    name, hex_id, encoded = parts
    content = decode_base64(encoded, "verifier key")
    public = _read_typed_key(content, use)
    if note_key_id(name, content[0], content[1:]).hex() != hex_id:
        raise NoteError("the verifier key's id does not belong to its key.")
    return name, public


def _read_typed_key(content: bytes, use: SignatureUse) -> Any:
    if content[:1] == bytes([use.ed25519]) and len(content) == 33:
        return Ed25519PublicKey.from_public_bytes(content[1:])
    for suite in SUITES:
        start = bytes([UNASSIGNED]) + _identifier(suite.name, use)
        if suite is ED25519 or not suite.is_compact or not content.startswith(start):
            continue
        try:
            key = VerifyingKey.from_spki(content[len(start) :])
        except EnvelopeError as error:
            raise NoteError(f"the verifier key holds no key of {suite.name}.") from error
        if key.suite is suite:
            return key.public
    raise NoteError(f"the verifier key is not of type {use.ed25519:#04x} or one that this protocol names.")


def _identifier(suite: str, use: SignatureUse) -> bytes:
    return f"credit-exchange/{use.label}/v1/{suite}\n".encode()


def sign_note(text: str, signers: Sequence[NoteSigner]) -> str:
    """Return ``text`` as a note signed by every one of ``signers``.

    Raises:
        NoteError: the text does not end in a line feed or holds a control character.
    """
    _require_text(text)
    return text + "\n" + "".join(signer.signature_line(text) for signer in signers)


def parse_note(note: str | bytes) -> SignedNote:
    """Read a note without verifying anything.

    Raises:
        NoteError: it is malformed, or two lines are by one key.
    """
    content = _decode(note)
    split = content.rfind("\n\n")
    if split < 0:
        raise NoteError("the note has no empty line before its signatures.")
    text, block = content[: split + 1], content[split + 2 :]
    if not block.endswith("\n"):
        raise NoteError("the note does not end in a signature line.")
    lines = block[:-1].split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise NoteError(f"the note has more than {SIGNATURES_MAX} signature lines.")
    signatures = tuple(_parse_line(line) for line in lines)
    if len({(s.name, s.key_id) for s in signatures}) != len(signatures):
        raise NoteError("two signature lines of the note are by one key.")
    return SignedNote(text, signatures)


def open_note(note: str | bytes, verifiers: Sequence[NoteVerifier]) -> tuple[str, tuple[NoteVerifier, ...]]:
    """Return the note's text and those of ``verifiers`` whose signature verified; one at least.

    Raises:
        NoteError: the note is malformed, a known key's line does not verify, or no line is by a
            known key.
    """
    parsed = parse_note(note)
    found = []
    for verifier in verifiers:
        for line in parsed.signatures:
            if line.name == verifier.name and hmac.compare_digest(line.key_id, verifier.key_id):
                verifier.verify(line.signature, parsed.text)
                found.append(verifier)
    if not found:
        raise NoteError("no signature line of the note is by a known key.")
    return parsed.text, tuple(found)


def require_name(name: str) -> None:
    """Return if ``name`` may stand in a signature line: not empty, no white space, no ``+``.

    Raises:
        NoteError: it may not.
    """
    malformed = (
        not name
        or len(name.encode(errors="replace")) > NAME_BYTES_MAX
        or "+" in name
        or any(char.isspace() or char < " " or "\ud800" <= char <= "\udfff" for char in name)
    )
    if malformed:
        raise NoteError("a key name is empty, too long, or holds white space or a plus sign.")


def decode_base64(text: str, what: str) -> bytes:
    """Decode padded RFC 4648 base64 of which only the canonical form is accepted.

    Raises:
        NoteError: it is anything else; ``what`` names it.
    """
    try:
        content = b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteError(f"the {what} is not base64.") from error
    if b64encode(content).decode() != text:
        raise NoteError(f"the {what} is not in the canonical form of base64.")
    return content


def _parse_line(line: str) -> NoteSignature:
    name, space, encoded = line.removeprefix(_LINE_START).partition(" ")
    if not line.startswith(_LINE_START) or not space:
        raise NoteError("a signature line of the note is malformed.")
    require_name(name)
    content = decode_base64(encoded, "signature")
    if len(content) <= KEY_ID_BYTES:
        raise NoteError("a signature line of the note holds no signature.")
    return NoteSignature(name, content[:KEY_ID_BYTES], content[KEY_ID_BYTES:])


def _decode(note: str | bytes) -> str:
    if len(note) > NOTE_BYTES_MAX:
        raise NoteError("the note is longer than 128 KiB.")
    try:
        content = note.decode() if isinstance(note, bytes) else note
        content.encode()
    except UnicodeError as error:
        raise NoteError("the note is not UTF-8.") from error
    _require_printable(content)
    return content


def _require_text(text: str) -> None:
    if not text.endswith("\n"):
        raise NoteError("the note's text does not end in a line feed.")
    _require_printable(text)


def _require_printable(text: str) -> None:
    if min(text.replace("\n", " "), default=" ") < " ":
        raise NoteError("the note holds a control character other than the line feed.")
