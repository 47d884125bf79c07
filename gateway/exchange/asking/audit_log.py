"""Asks a peer about its audit log, and as our witness. Nothing that comes back is believed here:
the caller holds it against signatures and proofs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.message import Message

from creditexchange.v1.audit_pb2 import (
    AddCheckpointRequest,
    AddCheckpointResponse,
    GetConsistencyProofRequest,
    GetConsistencyProofResponse,
    GetWitnessedCheckpointRequest,
    GetWitnessedCheckpointResponse,
    ListSharedEntriesRequest,
    ListSharedEntriesResponse,
)
from gateway.errors import EnvelopeError, PeerFaultError
from gateway.exchange.messages import (
    ADD_CHECKPOINT,
    GET_CONSISTENCY_PROOF,
    GET_WITNESSED_CHECKPOINT,
    LIST_SHARED_ENTRIES,
)
from gateway.peers.caller import PeerCaller
from gateway.peers.roster import Peer
from gateway.signing.envelope import parse

R = TypeVar("R", bound=Message)


@dataclass(frozen=True)
class PeerAudit:
    """One peer's AuditLogService. Every method raises ``PeerFaultError``."""

    peer: Peer
    caller: PeerCaller
    deadline_s: float

    def consistency_proof(self, old_size: int, new_size: int) -> list[bytes]:
        """Return the peer's proof that its log of ``new_size`` entries continues that of ``old_size``."""
        origin = self.peer.card.log_origin
        request = GetConsistencyProofRequest(old_size=old_size, new_size=new_size, log_origin=origin)
        answer = self._call(GET_CONSISTENCY_PROOF, request, GetConsistencyProofResponse)
        return list(answer.consistency_proof)

    def add_checkpoint(self, old_size: int, proof: list[bytes], note: str) -> str:
        """Show the peer our checkpoint; return the signature lines of its witness."""
        request = AddCheckpointRequest(old_size=old_size, consistency_proof=proof, checkpoint=note)
        return self._call(ADD_CHECKPOINT, request, AddCheckpointResponse).cosignatures

    def witnessed_checkpoint(self, origin: str) -> str:
        """Return what the peer has cosigned last of log ``origin``; empty when it has nothing."""
        request = GetWitnessedCheckpointRequest(log_origin=origin)
        try:
            return self._call(GET_WITNESSED_CHECKPOINT, request, GetWitnessedCheckpointResponse).checkpoint
        except PeerFaultError as fault:
            if fault.outcome == "UNKNOWN_LOG":
                return ""
            raise

    def shared_entries(self, start_index: int, since_ms: int, known_size: int) -> ListSharedEntriesResponse:
        """Return a page of those entries of the peer's log to which we are a party."""
        request = ListSharedEntriesRequest(start_index=start_index, since_ms=since_ms, known_size=known_size)
        return self._call(LIST_SHARED_ENTRIES, request, ListSharedEntriesResponse)

    def _call(self, method: str, request: Message, kind: type[R]) -> R:
        response = self.caller.call(self.peer, method, request.SerializeToString(), self.deadline_s)
        try:
            return parse(kind, response, "response")
        except EnvelopeError as error:
            raise PeerFaultError("ANSWER_MALFORMED", f"the answer cannot be read: {error.message}") from error
