"""How the asking side reaches a peer; ``gateway.rpc.channels`` implements it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from creditexchange.v1.envelope_pb2 import SignedMessage
from gateway.errors import PeerFaultError
from gateway.peers.roster import Peer


@dataclass(frozen=True, slots=True)
class RefusalDetails:
    """What a refusing peer sent beside its status; nothing of it is verified yet."""

    reason: str
    message: str
    metadata: tuple[tuple[str, str], ...]
    signed: SignedMessage | None
    retry_after_s: float | None


class RefusedByPeerError(PeerFaultError):
    """The peer answered with a status instead of an answer."""

    def __init__(self, details: RefusalDetails) -> None:
        super().__init__(details.reason, details.message)
        self.details = details


class PeerCaller(Protocol):
    """Calls the methods of a peer."""

    def call(self, peer: Peer, method: str, request: bytes, timeout_s: float) -> bytes:
        """Send ``request``, return the response's bytes.

        Raises:
            RefusedByPeerError: the peer refused.
            PeerFaultError: ``NO_ANSWER`` (deadline), ``UNREACHABLE`` (no connection, or it broke: the request
                may have arrived) or ``BAD_STATUS`` (a status that is none of ours).
        """
        ...

    def stream(self, peer: Peer, method: str, request: bytes, timeout_s: float) -> Iterator[bytes]:
        """Send ``request``, yield each response's bytes; the next one is fetched when it is asked for.

        Raises:
            RefusedByPeerError, PeerFaultError: as :meth:`call`, also after some responses.
        """
        ...

    def forget(self, keep: Sequence[Peer]) -> None:
        """Close the connections to every peer that is not in ``keep`` as it is."""
        ...
