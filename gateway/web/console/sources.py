"""What the console reads, and the two things that it can make the running node do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from creditexchange.v1 import operator_pb2
from gateway.audit.checkpoint import Checkpoint, open_checkpoint
from gateway.clock import Clock
from gateway.errors import CallerError, GatewayError
from gateway.peers.card import Card
from gateway.peers.roster import Peer, Roster
from gateway.signing.signed_note import NoteVerifier, parse_note
from gateway.storage.node_tables import Database
from gateway.telemetry.sampling import Sampler, TrafficHistory


class RunningNode(Protocol):
    """What the console asks of the running node, over its operator port."""

    def diagnose(
        self, request: operator_pb2.DiagnosePeerRequest
    ) -> Iterator[operator_pb2.DiagnosePeerResponse]:
        """Look for what keeps this node and a peer from exchanging records."""
        ...

    def reconcile(self, request: operator_pb2.ReconcileRequest) -> operator_pb2.ReconcileResponse:
        """Compare one page of the audit log with a peer's."""
        ...

    def reach(self) -> operator_pb2.ListReachResponse:
        """List which peers are left alone."""
        ...

    def loaded_files(self) -> operator_pb2.ListLoadedFilesResponse:
        """List which configuration the node works with."""
        ...


class NodeAwayError(GatewayError):
    """The node does not run, or does not answer on its operator port."""


@dataclass(frozen=True)
class Sources:
    """Everything that pages are made of. What may change is read anew for each page."""

    node_id: str
    root: Path
    """The node's folder."""
    card: Callable[[], Card]
    roster: Callable[[], Roster]
    scheme_files: Callable[[], Mapping[str, Path]]
    """Scheme files by the name under which they are shown, the node's own first."""
    database: Database
    connect: Callable[[], AbstractContextManager[RunningNode] | None]
    """Opens the running node's operator port; ``None`` when it does not run."""
    history: TrafficHistory
    sampler: Sampler
    clock: Clock

    @property
    def log_verifier(self) -> NoteVerifier:
        """What verifies this node's newest checkpoints; under its name the log is known."""
        return self.card().log_verifier

    def open_checkpoint(self, note: str) -> tuple[Checkpoint, NoteVerifier]:
        """Return an own checkpoint, and which of the log's keys, present or past, has signed it.

        Raises:
            NoteError: none of those that the card lists.
        """
        verifiers = self.card().log_verifiers
        checkpoint = open_checkpoint(note, verifiers[0].name, verifiers)
        signed = {(signature.name, signature.key_id) for signature in parse_note(note).signatures}
        return checkpoint, next(v for v in verifiers if (v.name, v.key_id) in signed)

    def peer(self, node_id: str) -> Peer:
        """Return an accepted peer.

        Raises:
            CallerError: there is none of that name.
        """
        found = self.roster().get(node_id)
        if found is None:
            raise CallerError("there is no such peer.")
        return found

    def running(self) -> AbstractContextManager[RunningNode]:
        """Return the running node, as a context.

        Raises:
            NodeAwayError: it does not run.
        """
        found = self.connect()
        if found is None:
            raise NodeAwayError("the node does not run.", remedy="Start it with `credit-gateway serve`.")
        return found

    def reach(self) -> dict[str, operator_pb2.PeerReach] | None:
        """Return, by node id, whether each peer is asked; ``None`` when the node cannot say."""
        try:
            with self.running() as node:
                return {peer.node_id: peer for peer in node.reach().peers}
        except GatewayError:
            return None

    def loaded(self) -> operator_pb2.ListLoadedFilesResponse | None:
        """Return what the node works with; ``None`` when it cannot say."""
        try:
            with self.running() as node:
                return node.loaded_files()
        except GatewayError:
            return None
