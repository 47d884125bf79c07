"""The body of ``add-checkpoint`` (C2SP tlog-witness v1.0.0): ``old SIZE``, proof lines, an empty line, the
checkpoint.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.audit.merkle import HASH_BYTES
from gateway.audit.witness import PROOF_HASHES_MAX
from gateway.errors import RefusedError
from gateway.signing.signed_note import NOTE_BYTES_MAX, NoteError, decode_base64

BODY_BYTES_MAX = NOTE_BYTES_MAX + 64 * 64
_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """One submission."""

    old_size: int
    proof: tuple[bytes, ...]
    note: str

    @property
    def origin(self) -> str:
        """First line of the checkpoint."""
        return self.note.split("\n", 1)[0]


def render_body(old_size: int, proof: Sequence[bytes], note: str) -> bytes:
    """Return the body that submits ``note`` with its proof."""
    lines = [f"old {old_size}", *(b64encode(part).decode() for part in proof), "", note]
    return "\n".join(lines).encode()


def parse_body(body: bytes) -> AddCheckpoint:
    """Read a body.

    Raises:
        RefusedError: ``MALFORMED_MESSAGE``.
    """
    head, blank, note = body.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
        note_text = note.decode()
        old = _OLD.fullmatch(lines[0])
        proof = tuple(decode_base64(line, "proof line") for line in lines[1:])
    except (UnicodeDecodeError, NoteError) as error:
        raise _malformed("the body is not of the form that tlog-witness gives it.") from error
    if not blank or old is None or any(len(part) != HASH_BYTES for part in proof):
        raise _malformed("the body is not of the form that tlog-witness gives it.")
    if len(proof) > PROOF_HASHES_MAX:
        raise _malformed("the proof has more than 63 lines.")
    return AddCheckpoint(int(old.group(1)), proof, note_text)


def _malformed(text: str) -> RefusedError:
    return RefusedError("MALFORMED_MESSAGE", text, details={"field": "body"})
