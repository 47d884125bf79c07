"""What peers may ask of this node's audit log and of its witness: heads, proofs, shared entries.

The calls are unsigned. Mutual TLS says who asks; every answer proves itself by the log's signature.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from creditexchange.v1.audit_pb2 import (
    AddCheckpointRequest,
    AddCheckpointResponse,
    GetCheckpointRequest,
    GetCheckpointResponse,
    GetConsistencyProofRequest,
    GetConsistencyProofResponse,
    GetWitnessedCheckpointRequest,
    GetWitnessedCheckpointResponse,
    ListSharedEntriesRequest,
    ListSharedEntriesResponse,
)
from gateway.audit import AuditLog, ProofError, Witness, prove_consistency, prove_inclusion
from gateway.audit.checkpoint import size_of
from gateway.audit.cosigned import cosigned_checkpoint
from gateway.errors import AuditLogError, RefusedError, StorageError
from gateway.exchange.answering.open import read_unsigned
from gateway.peers.roster import Peer
from gateway.storage import audit_rows

ENTRIES_MAX = 128
"""Most entries of one page: with their proofs they stay well below the largest message."""


@dataclass(frozen=True)
class AuditAnswering:
    """The log and the witness of the node that answers."""

    log: AuditLog
    witness: Witness

    def get_checkpoint(self, request: bytes) -> bytes:
        """Return the newest checkpoint with its cosignatures."""
        read_unsigned(GetCheckpointRequest, request)
        with _stored(), self.log.reading() as connection:
            self.log.refresh()
            note = cosigned_checkpoint(connection, self.log.latest_checkpoint())
        return GetCheckpointResponse(checkpoint=note).SerializeToString()

    def get_consistency_proof(self, request: bytes) -> bytes:
        """Return the proof between two sizes of this log.

        Raises:
            RefusedError: ``UNKNOWN_LOG``, ``SIZE_OUT_OF_RANGE``, ``MALFORMED_MESSAGE``,
                ``AUDIT_UNAVAILABLE``.
        """
        asked = read_unsigned(GetConsistencyProofRequest, request)
        if asked.log_origin != self.log.origin:
            raise RefusedError("UNKNOWN_LOG", "this node's log does not bear that name (any more).")
        with _stored(), self.log.reading() as connection:
            size = self.log.stored_size(connection)
            if asked.new_size > size:
                raise _out_of_range(size)
            proof = prove_consistency(connection, asked.old_size, asked.new_size)
        return GetConsistencyProofResponse(consistency_proof=proof).SerializeToString()

    def add_checkpoint(self, request: bytes, peer: Peer, now: datetime) -> bytes:
        """Cosign the caller's checkpoint. Raises as :meth:`gateway.audit.Witness.add_checkpoint`."""
        asked = read_unsigned(AddCheckpointRequest, request)
        line = self.witness.add_checkpoint(
            peer.card.live_log_verifiers(now),
            asked.old_size,
            list(asked.consistency_proof),
            asked.checkpoint,
            source=peer.node_id,
        )
        return AddCheckpointResponse(cosignatures=line).SerializeToString()

    def get_witnessed_checkpoint(self, request: bytes) -> bytes:
        """Return what this node has cosigned last of a log. Raises ``UNKNOWN_LOG``."""
        asked = read_unsigned(GetWitnessedCheckpointRequest, request)
        with _stored():
            note = self.witness.cosigned_note(asked.log_origin)
        return GetWitnessedCheckpointResponse(checkpoint=note).SerializeToString()

    def list_shared_entries(self, request: bytes, peer: Peer) -> bytes:
        """Return a page of the entries about exchanges with the caller, each with its proof.

        Raises:
            RefusedError: ``SIZE_OUT_OF_RANGE``, ``AUDIT_UNAVAILABLE``.
        """
        asked = read_unsigned(ListSharedEntriesRequest, request)
        with _stored():
            self.log.refresh()
        note = self.log.latest_checkpoint()
        size = size_of(note)
        if max(asked.known_size, asked.start_index) > size:
            raise _out_of_range(size)
        page = ListSharedEntriesResponse(checkpoint=note, next_index=size)
        with _stored(), self.log.reading() as connection:
            start = max(asked.start_index, audit_rows.read_index_since(connection, asked.since_ms, size))
            rows = audit_rows.read_entries_with(connection, peer.node_id, start, size, ENTRIES_MAX)
            for row in rows:
                if b'"kind":"management"' not in row.leaf:
                    proof = prove_inclusion(connection, row.idx, size)
                    page.entries.add(index=row.idx, leaf=row.leaf, inclusion_proof=proof)
            page.consistency_proof.extend(prove_consistency(connection, asked.known_size, size))
        if len(rows) == ENTRIES_MAX:
            page.next_index = rows[-1].idx + 1
        return page.SerializeToString()


def _out_of_range(size: int) -> RefusedError:
    return RefusedError("SIZE_OUT_OF_RANGE", "the log has fewer entries.", details={"size": str(size)})


@contextmanager
def _stored() -> Iterator[None]:
    """Turn what the stored log cannot do into a refusal."""
    try:
        yield
    except ProofError as error:
        raise RefusedError("MALFORMED_MESSAGE", error.message, details={"field": "old_size"}) from error
    except (StorageError, AuditLogError) as error:
        raise RefusedError("AUDIT_UNAVAILABLE", "the log cannot be read.", retry_after_s=5.0) from error
