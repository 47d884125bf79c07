"""C2SP cosignatures (tlog-cosignature v1.0.1, ``cosignature/v1``): a witness's line under a checkpoint.

A cosignature says: "at this time this was the largest consistent head of the log that I had seen".
Ed25519 (type 0x04) is made and verified, and by type 0xff the other suites with short signatures over
the same text; lines of other types and unknown keys are kept and ignored.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.errors import EnvelopeError
from gateway.signing.signed_note import (
    NoteError,
    NoteSignature,
    SignatureUse,
    note_key_id,
    parse_note,
    parse_vkey,
    render_vkey,
    require_name,
    typed_key,
)
from gateway.signing.suites import PrivateKey, SigningKey, VerifyingKey

COSIGNATURE = SignatureUse(0x04, "cosignature")
"""A witness's signature with its time."""
TIME_BYTES = 8
TIME_S_MAX = 253_402_300_799
"""The end of the year 9999: a later time, which the specification allows, names no date that is shown."""


@dataclass(frozen=True, slots=True)
class CosignatureVerifier:
    """A witness's public key under the name that its lines carry."""

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
        object.__setattr__(self, "key_id", note_key_id(self.name, *typed_key(self.key, COSIGNATURE)))

    @property
    def vkey(self) -> str:
        """The verifier key as text: ``name+hex key id+base64(type || key)``."""
        return render_vkey(self.name, self.key, COSIGNATURE)

    @classmethod
    def from_vkey(cls, vkey: str) -> CosignatureVerifier:
        """Read a verifier key.

        Raises:
            NoteError: it is malformed, its key id is not that of its key, or it is no cosignature's.
        """
        return cls(*parse_vkey(vkey, COSIGNATURE))

    def verify(self, signature: bytes, text: str) -> int:
        """Return the time, seconds since 1970, at which this witness signed the checkpoint ``text``.

        ``signature`` is what follows the key id in the line: eight bytes of time, big-endian, and the
        signature in its suite's form.

        Raises:
            NoteError: it is not this witness's over ``text``.
        """
        time_s, content = int.from_bytes(signature[:TIME_BYTES], "big"), signature[TIME_BYTES:]
        if len(content) not in self.key.suite.signature_bytes or time_s > TIME_S_MAX:
            raise NoteError(f"the cosignature of {self.name} is malformed.")
        try:
            self.key.verify(content, _signed(text, time_s))
        except EnvelopeError as error:
            raise NoteError(f"the cosignature of {self.name} does not verify.") from error
        return time_s


@dataclass(frozen=True, slots=True)
class CosignatureSigner:
    """A witness's private key under its name."""

    name: str
    private: PrivateKey = field(repr=False)
    verifier: CosignatureVerifier = field(init=False)
    _key: SigningKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compute the public half.

        Raises:
            NoteError: the name is malformed, or keys of this type sign no notes.
        """
        object.__setattr__(self, "_key", SigningKey.from_private(self.private))
        object.__setattr__(self, "verifier", CosignatureVerifier(self.name, self.private.public_key()))

    def signature_line(self, text: str, time_s: int) -> str:
        """Return the line under the checkpoint ``text`` (ending in a line feed), signed at ``time_s``."""
        content = time_s.to_bytes(TIME_BYTES, "big") + self._key.sign(_signed(text, time_s))
        return NoteSignature(self.name, self.verifier.key_id, content).line


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A line that verified."""

    name: str
    time_s: int
    line: str


def cosignatures_of(note: str, verifiers: Sequence[CosignatureVerifier]) -> list[Cosignature]:
    """Return the lines of ``note`` that are by ``verifiers``, in the note's order.

    Raises:
        NoteError: the note is malformed, or a known key's line does not verify.
    """
    parsed = parse_note(note)
    found = []
    for signature in parsed.signatures:
        for verifier in verifiers:
            if signature.name == verifier.name and hmac.compare_digest(signature.key_id, verifier.key_id):
                time_s = verifier.verify(signature.signature, parsed.text)
                found.append(Cosignature(verifier.name, time_s, signature.line))
    return found


def _signed(text: str, time_s: int) -> bytes:
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()
