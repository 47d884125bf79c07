"""Checkpoints (C2SP tlog-checkpoint v1.0.0): how large a log is and its root, as a signed note."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.audit.merkle import EMPTY_ROOT, HASH_BYTES, SIZE_MAX, ProofError
from gateway.signing.signed_note import (
    NoteError,
    NoteSigner,
    Verifiers,
    all_verifiers,
    decode_base64,
    open_note,
    require_name,
    sign_note,
)

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One head of a log: its name, number of entries and RFC 6962 root (32 bytes)."""

    origin: str
    size: int
    root: bytes

    @property
    def body(self) -> str:
        """The text that is signed: three lines, each ending in a line feed."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"

    def sign(self, signers: Sequence[NoteSigner]) -> str:
        """Return this checkpoint as a note signed by ``signers``."""
        return sign_note(self.body, signers)


def parse_checkpoint(body: str) -> Checkpoint:
    """Read the text of a checkpoint. Extension lines are refused.

    Raises:
        NoteError: it is malformed.
    """
    lines = body.split("\n")
    if len(lines) != 4 or lines[3]:
        raise NoteError("a checkpoint has exactly three lines.")
    origin, size, encoded = lines[:3]
    require_name(origin.replace(" ", "-"))
    if not _SIZE.fullmatch(size) or int(size) > SIZE_MAX:
        raise NoteError("the checkpoint's size is not a decimal number in its shortest form.")
    root = decode_base64(encoded, "checkpoint's root")
    if len(root) != HASH_BYTES:
        raise NoteError("the checkpoint's root is not 32 bytes long.")
    return Checkpoint(origin, int(size), root)


def open_checkpoint(note: str | bytes, origin: str, verifiers: Verifiers) -> Checkpoint:
    """Return the checkpoint of log ``origin`` that ``note`` holds, signed by its own key.

    Of several keys of the log one must have signed, and each that did must verify.

    Raises:
        NoteError: malformed, or not signed by ``verifiers``.
        ProofError: it is of another log, or claims a root for no entries.
    """
    text, _ = open_note(note, all_verifiers(verifiers))
    checkpoint = parse_checkpoint(text)
    if checkpoint.origin != origin:
        raise ProofError("the checkpoint is of another log.")
    if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
        raise ProofError("the checkpoint of an empty log carries the root of another tree.")
    return checkpoint


def origin_of(note: str) -> str:
    """Return the origin that an own, well-formed checkpoint states."""
    return note.split("\n", 1)[0]


def size_of(note: str) -> int:
    """Return the size that an own, well-formed checkpoint states; 0 for the empty text of an empty log."""
    return int(note.split("\n", 2)[1]) if note else 0
