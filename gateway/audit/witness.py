"""This node as a witness (C2SP tlog-witness): it cosigns a head of another log only when that head
continues the one it cosigned before, and keeps both when they contradict one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from gateway.audit.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint
from gateway.audit.log import AuditLog
from gateway.audit.merkle import EMPTY_ROOT, ProofError
from gateway.audit.proofs import verify_growth
from gateway.clock import Clock, unix_ms
from gateway.errors import RefusedError
from gateway.signing.cosignature import CosignatureSigner, CosignatureVerifier
from gateway.signing.signed_note import NoteError, Verifiers, all_verifiers, parse_note
from gateway.storage import witness_rows
from gateway.storage.node_tables import Transaction
from gateway.storage.witness_rows import ConflictRow, WitnessedRow

PROOF_HASHES_MAX = 63
"""No consistency proof between trees of up to 2**63 leaves is longer."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two heads that a log's key has signed and of which one does not continue the other."""

    origin: str
    note: str
    other_note: str
    what: str
    """In words: what contradicts what."""
    source: str
    """Who showed the other head: a node id, or ``http``."""
    proof: tuple[bytes, ...] = ()
    """The proof that failed; empty when there was none to be had, or none is needed."""


class Witness:
    """Cosigns the logs of others. State lies in the node's database, durable before a line leaves."""

    def __init__(
        self, log: AuditLog, signer: CosignatureSigner | Sequence[CosignatureSigner], clock: Clock
    ) -> None:
        self._log = log
        self._signers = (signer,) if isinstance(signer, CosignatureSigner) else tuple(signer)
        self._clock = clock

    def sign_with(self, signers: Sequence[CosignatureSigner]) -> None:
        """Cosign with these keys from now on, the first being the one that stays."""
        self._signers = tuple(signers)

    @property
    def verifier(self) -> CosignatureVerifier:
        """What verifies this witness's lines."""
        return self._signers[0].verifier

    def add_checkpoint(
        self, verifier: Verifiers, old_size: int, proof: Sequence[bytes], note: str, *, source: str
    ) -> str:
        """Return this witness's signature line for a checkpoint of the log whose key is ``verifier``.

        While this witness replaces its key there are two lines, the new key's first.

        ``old_size`` must be the size of the checkpoint that was cosigned last (0 for none) and ``proof``
        lead from it to ``note``. Comparing and storing is one step: of two heads that arrive at once,
        the smaller never takes the place of the larger. ``source`` is who showed the head.

        Raises:
            RefusedError: ``MALFORMED_MESSAGE``, ``CHECKPOINT_UNSIGNED``, ``CHECKPOINT_OUTDATED``,
                ``CHECKPOINT_INCONSISTENT``, ``AUDIT_UNAVAILABLE``.
        """
        checkpoint, signed = read_head(note, verifier)
        if len(proof) > PROOF_HASHES_MAX or old_size > checkpoint.size:
            raise RefusedError(
                "MALFORMED_MESSAGE",
                "old_size is larger than the checkpoint, or the proof is too long.",
                details={"field": "old_size"},
            )
        outcome = self._log.transact(
            lambda transaction: self._cosign(transaction, checkpoint, signed, old_size, proof)
        )
        if isinstance(outcome, str):
            return outcome
        if outcome.conflict is not None:
            self.keep_conflict(
                Conflict(checkpoint.origin, outcome.conflict, signed, "two heads of one size", source)
            )
        raise outcome.refused

    def latest(self, origin: str) -> WitnessedRow | None:
        """Return the head of log ``origin`` that was cosigned last."""
        with self._log.reading() as connection:
            return witness_rows.read_witnessed(connection, origin)

    def cosigned_note(self, origin: str) -> str:
        """Return the head that was cosigned last, with the log's signature and this witness's line.

        Raises:
            RefusedError: ``UNKNOWN_LOG``.
        """
        row = self.latest(origin)
        if row is None:
            raise RefusedError("UNKNOWN_LOG", "this node has cosigned no checkpoint of that log.")
        return row.note + row.line

    def keep_conflict(self, conflict: Conflict) -> bool:
        """Keep two contradicting heads for good; return whether they are new."""
        digest = sha256("\x00".join(sorted((conflict.note, conflict.other_note))).encode()).digest()
        row = ConflictRow(
            digest,
            conflict.origin,
            conflict.note,
            conflict.other_note,
            b"".join(conflict.proof),
            conflict.what,
            conflict.source,
            unix_ms(self._clock()),
        )
        is_new: bool = self._log.transact(lambda transaction: witness_rows.insert_conflict(transaction, row))
        return is_new

    def conflicts(self) -> Sequence[ConflictRow]:
        """Return every conflict that was ever found, the earliest first."""
        with self._log.reading() as connection:
            return witness_rows.list_conflicts(connection)

    def _cosign(
        self,
        transaction: Transaction,
        checkpoint: Checkpoint,
        note: str,
        old_size: int,
        proof: Sequence[bytes],
    ) -> str | _Declined:
        """Compare with what was cosigned last, and store; inside the transaction."""
        last = witness_rows.read_witnessed(transaction, checkpoint.origin, for_update=True)
        size, root = (last.size, last.root) if last is not None else (0, EMPTY_ROOT)
        details = {"size": str(size)}
        if last is not None and size == checkpoint.size and root != checkpoint.root:
            # Hard evidence whatever old_size says: the log's key signed two heads of one size.
            refused = RefusedError(
                "CHECKPOINT_INCONSISTENT", "another head of this size was cosigned.", details=details
            )
            return _Declined(refused, last.note)
        if old_size != size:
            return _Declined(
                RefusedError(
                    "CHECKPOINT_OUTDATED", "old_size is not what was cosigned last.", details=details
                )
            )
        try:
            verify_growth((size, root), (checkpoint.size, checkpoint.root), proof)
        except ProofError as error:
            refused = RefusedError("CHECKPOINT_INCONSISTENT", error.message, details=details)
            return _Declined(refused)
        now = self._clock()
        time_s = int(now.timestamp())
        line = "".join(signer.signature_line(checkpoint.body, time_s) for signer in self._signers)
        witness_rows.put_witnessed(
            transaction,
            WitnessedRow(checkpoint.origin, checkpoint.size, checkpoint.root, note, line, unix_ms(now)),
        )
        return line


@dataclass(frozen=True, slots=True)
class _Declined:
    """Why a head is not cosigned, and the note that it contradicts, if there is one."""

    refused: RefusedError
    conflict: str | None = None


def read_head(note: str, verifier: Verifiers) -> tuple[Checkpoint, str]:
    """Return the checkpoint of ``note`` and the note with the log's own signatures alone.

    Raises:
        RefusedError: ``MALFORMED_MESSAGE`` or ``CHECKPOINT_UNSIGNED``.
    """
    try:
        parsed = parse_note(note)
        parse_checkpoint(parsed.text)
    except NoteError as error:
        raise RefusedError("MALFORMED_MESSAGE", error.message, details={"field": "checkpoint"}) from error
    try:
        verifiers = all_verifiers(verifier)
        checkpoint = open_checkpoint(note, verifiers[0].name, verifiers)
    except NoteError as error:
        raise RefusedError("CHECKPOINT_UNSIGNED", error.message) from error
    except ProofError as error:
        raise RefusedError("CHECKPOINT_INCONSISTENT", error.message, details={"size": "0"}) from error
    known = {(verifier.name, verifier.key_id) for verifier in verifiers}
    own = [s.line for s in parsed.signatures if (s.name, s.key_id) in known]
    return checkpoint, f"{parsed.text}\n{''.join(own)}"
