"""Which peers are left alone because they did not answer, and the operator's command to ask them again."""

from __future__ import annotations

from creditexchange.v1 import operator_pb2
from gateway.exchange.messages import Snapshot
from gateway.peers.reach import Reaches
from gateway.rpc.archive_messages import peers_of


def reach_message(snapshot: Snapshot, reaches: Reaches) -> operator_pb2.ListReachResponse:
    """Return how every known peer stands."""
    return operator_pb2.ListReachResponse(
        peers=[
            operator_pb2.PeerReach(
                node_id=node_id,
                failures=reaches.failures(node_id),
                left_alone_ms=round(1000 * reaches.rest_s(node_id)),
                slow_ms=round(1000 * (reaches.slow_s(node_id) or 0)),
            )
            for node_id in snapshot.roster.peers
        ]
    )


def clear_message(
    request: operator_pb2.ClearReachRequest, snapshot: Snapshot, reaches: Reaches
) -> operator_pb2.ClearReachResponse:
    """Have a peer asked again at once.

    Raises:
        CallerError: the peer is unknown.
    """
    (peer,) = peers_of([request.node_id], snapshot)
    failures = reaches.failures(peer.node_id)
    reaches.heard_from(peer.node_id)
    return operator_pb2.ClearReachResponse(failures=failures)
