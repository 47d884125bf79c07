"""C2SP signed notes (signed-note v1.0.0): a text, an empty line, and one line for each signature.

Only Ed25519 keys (type 0x01) sign and verify here; lines by keys that the reader does not know are
kept and ignored, as the specification demands. The parser is strict: what it accepts has exactly
one form.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.errors import GatewayError

ED25519 = 0x01
"""Signature type of a plain Ed25519 signature over the note's text."""
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
    public: Ed25519PublicKey
    key_id: bytes = field(init=False)

    def __post_init__(self) -> None:
        """Compute the key id.

        Raises:
            NoteError: the name is malformed.
        """
        require_name(self.name)
        object.__setattr__(self, "key_id", note_key_id(self.name, ED25519, self.public.public_bytes_raw()))

    @property
    def vkey(self) -> str:
        """The verifier key as text: ``name+hex key id+base64(type || key)``."""
        return render_vkey(self.name, self.key_id, ED25519, self.public)

    @classmethod
    def from_vkey(cls, vkey: str) -> NoteVerifier:
        """Read a verifier key.

        Raises:
            NoteError: it is malformed, its key id is not that of its key, or it is not Ed25519.
        """
        return cls(*parse_vkey(vkey, ED25519))

    def verify(self, signature: bytes, text: str) -> None:
        """Return if ``signature`` is this key's over ``text``.

        Raises:
            NoteError: it is not.
        """
        try:
            self.public.verify(signature, text.encode())
        except InvalidSignature as error:
            raise NoteError(f"the signature of {self.name} does not verify.") from error


@dataclass(frozen=True, slots=True)
class NoteSigner:
    """A private key under the name that its signature lines carry."""

    name: str
    private: Ed25519PrivateKey = field(repr=False)
    verifier: NoteVerifier = field(init=False)
    _line_start: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Compute the public half.

        Raises:
            NoteError: the name is malformed.
        """
        object.__setattr__(self, "verifier", NoteVerifier(self.name, self.private.public_key()))
        object.__setattr__(self, "_line_start", f"{_LINE_START}{self.name} ")

    def signature_line(self, text: str) -> str:
        """Return the signature line over ``text``, ending in a line feed."""
        signed = self.verifier.key_id + self.private.sign(text.encode())
        return f"{self._line_start}{b64encode(signed).decode()}\n"


def note_key_id(name: str, signature_type: int, public_key: bytes) -> bytes:
    """Return SHA-256(name || 0x0A || type || key)[:4]."""
    return sha256(name.encode() + b"\n" + bytes([signature_type]) + public_key).digest()[:KEY_ID_BYTES]


def render_vkey(name: str, key_id: bytes, signature_type: int, public: Ed25519PublicKey) -> str:
    """Return a verifier key as text: ``name+hex key id+base64(type || key)``."""
    content = bytes([signature_type]) + public.public_bytes_raw()
    return f"{name}+{key_id.hex()}+{b64encode(content).decode()}"


def parse_vkey(vkey: str, signature_type: int) -> tuple[str, Ed25519PublicKey]:
    """Return name and key of a verifier key of an Ed25519 ``signature_type``.

    Raises:
        NoteError: it is malformed, of another type, or its key id is not that of its key.
    """
    parts = vkey.split("+", 2)
    if len(parts) != 3:
        raise NoteError("a verifier key is NAME+KEYID+BASE64.")
    name, hex_id, encoded = parts
    content = decode_base64(encoded, "verifier key")
    if content[:1] != bytes([signature_type]) or len(content) != 33:
        raise NoteError(f"the verifier key is not of type {signature_type:#04x}.")
    if note_key_id(name, signature_type, content[1:]).hex() != hex_id:
        raise NoteError("the verifier key's id does not belong to its key.")
    return name, Ed25519PublicKey.from_public_bytes(content[1:])


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
