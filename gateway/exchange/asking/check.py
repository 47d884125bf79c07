"""Ask one peer for a signed echo: reachability, keys, clock, grants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta

from creditexchange.v1.exchange_pb2 import EchoAnswer, EchoQuery, EchoRequest, EchoResponse, GrantSummary
from gateway.clock import monotonic_s, new_id
from gateway.errors import EnvelopeError, PeerFaultError
from gateway.exchange.asking.ask_peer import Asking
from gateway.exchange.asking.compose import query_header
from gateway.exchange.asking.verify import require_bound_header
from gateway.exchange.messages import ECHO, ECHO_ANSWER_TYPE, ECHO_QUERY_TYPE, Snapshot
from gateway.peers.roster import Peer
from gateway.signing.envelope import open_envelope, parse, seal, signed_digest


@dataclass(frozen=True, slots=True)
class PeerCheck:
    """What a signed echo showed."""

    elapsed_s: float
    clock_offset: timedelta
    """The peer's clock minus ours, from the middle of the call."""
    grants: Sequence[GrantSummary]
    accepted_card_serial: int
    federation_epochs: tuple[str, ...]


def check_peer(peer: Peer, snapshot: Snapshot, node: Asking, deadline_s: float) -> PeerCheck:
    """Send a signed echo to ``peer`` and verify what comes back.

    Raises:
        PeerFaultError: why it failed; a reason the peer stated, or an outcome of this side.
    """
    content = new_id()
    sent_at = node.clock()
    # Echoes are not logged, so they take no number of the pair's sequence: 1 is any valid one.
    header = query_header(peer, ECHO, 1, snapshot, checkpoint=node.log.latest_checkpoint(), now=sent_at)
    payload = EchoQuery(header=header, content=content).SerializeToString()
    message = seal(payload, ECHO_QUERY_TYPE, snapshot.message_keys)
    started_s = monotonic_s()
    response = node.caller.call(peer, ECHO, EchoRequest(message=message).SerializeToString(), deadline_s)
    elapsed_s = monotonic_s() - started_s
    now = node.clock()
    try:
        envelope = parse(EchoResponse, response, "response").message
        opened = open_envelope(envelope, ECHO_ANSWER_TYPE, lambda key_id: peer.message_key(key_id, now))
        answer = parse(EchoAnswer, opened.payload, "echo")
    except EnvelopeError as error:
        raise PeerFaultError(
            "ANSWER_NOT_SIGNED",
            f"the echo cannot be believed: {error.message}",
            remedy="If the peer changed its keys, ask for its newest card.",
        ) from error
    require_bound_header(answer.header, header, signed_digest(message), snapshot.settings.skew_s, now)
    if answer.content != content:
        raise PeerFaultError("ANSWER_NOT_BOUND", "the echo holds other content than was sent.")
    middle = sent_at + (now - sent_at) / 2
    return PeerCheck(
        elapsed_s=elapsed_s,
        clock_offset=answer.receive_time.ToDatetime(UTC) - middle,
        grants=list(answer.grants),
        accepted_card_serial=answer.accepted_card_serial,
        federation_epochs=tuple(answer.federation_epochs),
    )
