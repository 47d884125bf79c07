"""Ask one peer for a signed echo: reachability, keys, clock, grants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from creditexchange.v1.envelope_pb2 import Header
from creditexchange.v1.exchange_pb2 import EchoAnswer, EchoQuery, EchoRequest, EchoResponse, GrantSummary
from gateway.clock import monotonic_s, new_id
from gateway.errors import EnvelopeError, PeerFaultError
from gateway.exchange.asking.ask_peer import Asking
from gateway.exchange.asking.compose import query_header
from gateway.exchange.asking.verify import require_bound_header
from gateway.exchange.messages import ECHO, ECHO_ANSWER_TYPE, ECHO_QUERY_TYPE, Snapshot
from gateway.peers.roster import Peer
from gateway.signing.envelope import instant, open_envelope, parse, seal, signed_digest

PADDED_SHORT_BYTES = 64
"""By how much a padded request stays below the size that it is to have: room for its lengths."""


@dataclass(frozen=True, slots=True)
class Echo:
    """A signed echo that came back and verified."""

    answer: EchoAnswer
    content: bytes
    """What was sent, and came back."""
    elapsed_s: float
    clock_offset: timedelta
    """The peer's clock minus ours, from the middle of the call."""
    request_bytes: int


class StaleEchoError(PeerFaultError):
    """The echo is signed and bound, and its time cannot be right: the clocks differ."""

    def __init__(self, fault: PeerFaultError, clock_offset: timedelta) -> None:
        super().__init__(fault.outcome, fault.message, remedy=fault.remedy)
        self.clock_offset = clock_offset
        """The peer's clock minus ours."""


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
    """Send a signed echo to ``peer`` and verify what comes back; raises as :func:`ask_echo`."""
    echo = ask_echo(peer, snapshot, node, deadline_s)
    return PeerCheck(
        elapsed_s=echo.elapsed_s,
        clock_offset=echo.clock_offset,
        grants=list(echo.answer.grants),
        accepted_card_serial=echo.answer.accepted_card_serial,
        federation_epochs=tuple(echo.answer.federation_epochs),
    )


def ask_echo(
    peer: Peer, snapshot: Snapshot, node: Asking, deadline_s: float, *, request_bytes: int = 0
) -> Echo:
    """Send a signed echo to ``peer`` and verify what comes back.

    ``request_bytes`` is the size to which the request is filled, less at most 64 bytes; 0 = as it is.

    Raises:
        PeerFaultError: why it failed; a reason the peer stated, or an outcome of this side.
        StaleEchoError: it came back, and the clocks differ by more than is tolerated.
    """
    content = new_id()
    sent_at = node.clock()
    # Echoes are not logged, so they take no number of the pair's sequence: 1 is any valid one.
    header = query_header(peer, ECHO, 1, snapshot, checkpoint=node.log.latest_checkpoint(), now=sent_at)
    request = _request(header, content, b"", snapshot)
    missing = request_bytes - PADDED_SHORT_BYTES - request.ByteSize()
    if missing > 0:
        request = _request(header, content, bytes(missing), snapshot)
    sent = request.SerializeToString()
    started_s = monotonic_s()
    response = node.caller.call(peer, ECHO, sent, deadline_s)
    elapsed_s = monotonic_s() - started_s
    now = node.clock()
    answer = _opened(response, peer, now)
    offset = answer.receive_time.ToDatetime(UTC) - (sent_at + (now - sent_at) / 2)
    try:
        digest = signed_digest(request.message)
        require_bound_header(answer.header, header, digest, snapshot.settings.skew_s, now)
    except PeerFaultError as fault:
        if fault.outcome == "ANSWER_STALE":
            raise StaleEchoError(fault, offset) from fault
        raise
    if answer.content != content:
        raise PeerFaultError("ANSWER_NOT_BOUND", "the echo holds other content than was sent.")
    return Echo(answer, content, elapsed_s, offset, len(sent))


def _request(header: Header, content: bytes, padding: bytes, snapshot: Snapshot) -> EchoRequest:
    query = EchoQuery(header=header, content=content, padding=padding)
    return EchoRequest(message=seal(query.SerializeToString(), ECHO_QUERY_TYPE, snapshot.message_keys))


def _opened(response: bytes, peer: Peer, now: datetime) -> EchoAnswer:
    """Return the answer after its signature verified under a live key of the peer's card."""
    try:
        envelope = parse(EchoResponse, response, "response").message
        opened = open_envelope(envelope, ECHO_ANSWER_TYPE, lambda key_id: peer.message_key(key_id, now))
        answer = parse(EchoAnswer, opened.payload, "echo")
        instant(answer.receive_time, "receive_time")
        return answer
    except EnvelopeError as error:
        raise PeerFaultError(
            "ANSWER_NOT_SIGNED",
            f"the echo cannot be believed: {error.message}",
            remedy="If the peer changed its keys, ask for its newest card.",
        ) from error
