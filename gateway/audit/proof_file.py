"""``.tlog-proof`` files (c2sp.org/tlog-proof@v1): that one leaf stands in a log, for offline verifiers."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass

from gateway.audit.checkpoint import Checkpoint, open_checkpoint
from gateway.audit.merkle import HASH_BYTES, ProofError, leaf_hash, verify_inclusion
from gateway.errors import GatewayError
from gateway.signing.signed_note import Verifiers, all_verifiers, decode_base64

HEADER = "c2sp.org/tlog-proof@v1"
HASHES_MAX = 63
FILE_BYTES_MAX = 256 * 1024
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class ProofFile:
    """What such a file says. Nothing of it is verified yet."""

    index: int
    proof: tuple[bytes, ...]
    note: str
    """The checkpoint with all of its signature lines."""
    extra: bytes | None = None
    """Unauthenticated; a hint for whoever made the file."""

    def render(self) -> str:
        """Return the file's text."""
        extra = [] if self.extra is None else [f"extra {b64encode(self.extra).decode()}"]
        hashes = [b64encode(part).decode() for part in self.proof]
        return "\n".join([HEADER, *extra, f"index {self.index}", *hashes, "", self.note])


def parse_proof_file(text: str) -> ProofFile:
    """Read a proof file; what is accepted has exactly one form.

    Raises:
        ProofError: it is malformed.
    """
    if len(text) > FILE_BYTES_MAX:
        raise ProofError("the proof file is too long.")
    head, blank, note = text.partition("\n\n")
    lines = head.split("\n")
    if not blank or lines[0] != HEADER:
        raise ProofError(f"a proof file begins with {HEADER!r}.")
    lines = lines[1:]
    try:
        extra = None
        if lines and lines[0].startswith("extra "):
            extra = decode_base64(lines.pop(0).removeprefix("extra "), "extra line")
        found = _INDEX.fullmatch(lines[0]) if lines else None
        proof = tuple(decode_base64(line, "proof") for line in lines[1:])
    except GatewayError as error:
        raise ProofError(f"the proof file is malformed: {error.message}") from error
    if found is None or len(proof) > HASHES_MAX or any(len(part) != HASH_BYTES for part in proof):
        raise ProofError("the proof file's index or hashes are malformed.")
    return ProofFile(int(found.group(1)), proof, note, extra)


def verify_proof_file(text: str, leaf: bytes, verifier: Verifiers) -> Checkpoint:
    """Return the checkpoint under which ``leaf`` stands in the log whose key is ``verifier``.

    Raises:
        ProofError: malformed, of another log, or it proves something else.
        NoteError: the checkpoint is not signed by that key.
    """
    file = parse_proof_file(text)
    checkpoint = open_checkpoint(file.note, all_verifiers(verifier)[0].name, verifier)
    verify_inclusion(leaf_hash(leaf), file.index, checkpoint.size, file.proof, checkpoint.root)
    return checkpoint
