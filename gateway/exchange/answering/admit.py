"""Step 2, admit: meant for me and this method, from who it says, and in time.

Whether a query is new is told by the transaction that logs it, and nothing leaves before. What is answered
without an entry, or writes something before it, asks the replay guard here.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TypeVar

from google.protobuf.message import Message

from creditexchange.v1.envelope_pb2 import Header
from gateway.audit import AuditLog
from gateway.errors import RefusedError
from gateway.exchange.messages import WINDOW_S_MAX, Admitted, Opened, Snapshot
from gateway.peers.roster import SUSPENDED, Peer
from gateway.peers.versions import Versions

P = TypeVar("P", bound=Message)


def admit(opened: Opened[P], snapshot: Snapshot, log: AuditLog) -> Admitted[P]:
    """Return the message as admitted. The peer's rate was counted before its signature was checked.

    Raises:
        RefusedError: ``UNSUPPORTED_VERSION``, ``WRONG_AUDIENCE``, ``WRONG_METHOD``,
            ``PEER_IDENTITY_MISMATCH``, ``PEER_SUSPENDED``, ``CARD_EXPIRED``, ``CLOCK_SKEW``,
            ``MESSAGE_EXPIRED``, ``WINDOW_TOO_LONG`` or ``ISSUED_BEFORE_START``.
    """
    header, now = opened.header, opened.call.received_at
    _require_version(header, snapshot.settings.versions)
    if header.audience != snapshot.node_id:
        raise RefusedError(
            "WRONG_AUDIENCE",
            "the message is meant for another node.",
            details={"audience": snapshot.node_id},
        )
    if header.method != opened.call.method:
        raise RefusedError(
            "WRONG_METHOD",
            "the message was signed for another method.",
            details={"method": opened.call.method},
        )
    if not opened.authenticated:
        raise RefusedError(
            "PEER_IDENTITY_MISMATCH", "TLS certificate, signing key and sender do not belong to one node."
        )
    _require_good_standing(opened.signer, now)
    expires_at = _require_window(header, now, snapshot)
    if log.fence_until is not None and header.issue_time.ToDatetime(UTC) < log.fence_until:
        raise RefusedError(
            "ISSUED_BEFORE_START",
            "this node's replay guard is younger than the message.",
            details={"notBefore": log.fence_until.isoformat()},
        )
    log.heard.hear(opened.signer.node_id, header.checkpoint)
    return Admitted(opened, expires_at)


def admit_new(opened: Opened[P], snapshot: Snapshot, log: AuditLog) -> Admitted[P]:
    """Return the message as admitted, and not seen before; raises ``REPLAYED_MESSAGE`` too."""
    admitted = admit(opened, snapshot, log)
    if log.has_seen(opened.header.message_id):
        raise RefusedError("REPLAYED_MESSAGE", "this message id was seen before.")
    return admitted


def _require_version(header: Header, spoken: Versions) -> None:
    version = header.protocol_version
    if version not in spoken:
        older = "asking" if version < spoken.oldest else "answering"
        raise RefusedError(
            "UNSUPPORTED_VERSION",
            f"the message is of protocol version {version}, this node speaks {spoken}: "
            f"upgrade the {older} node.",
            details={
                "version": str(version),
                "oldestAccepted": str(spoken.oldest),
                "newestAccepted": str(spoken.newest),
            },
        )


def _require_good_standing(peer: Peer, now: datetime) -> None:
    if peer.state == SUSPENDED:
        raise RefusedError("PEER_SUSPENDED", "the operator of this node suspended the peer.")
    if peer.card.expires <= now:
        raise RefusedError(
            "CARD_EXPIRED",
            "the card that this node accepted has expired.",
            details={"expiredAt": peer.card.expires.isoformat()},
        )


def _require_window(header: Header, now: datetime, snapshot: Snapshot) -> datetime:
    """Return the instant after which time alone refuses the message."""
    skew = timedelta(seconds=snapshot.settings.skew_s)
    issued, expires = header.issue_time.ToDatetime(UTC), header.expire_time.ToDatetime(UTC)
    window_s = (expires - issued).total_seconds()
    if not 0 < window_s <= WINDOW_S_MAX:
        raise RefusedError(
            "WINDOW_TOO_LONG",
            "expire_time must lie after issue_time and within the longest window.",
            details={"windowSeconds": f"{window_s:.0f}", "windowSecondsMax": str(WINDOW_S_MAX)},
        )
    for reason, off, text in (
        ("CLOCK_SKEW", issued - now, "issue_time lies in the future."),
        ("MESSAGE_EXPIRED", now - expires, "expire_time has passed."),
    ):
        if off > skew:
            raise RefusedError(
                reason,
                text,
                details={
                    "skewSeconds": f"{off.total_seconds():.0f}",
                    "toleratedSeconds": str(snapshot.settings.skew_s),
                    "serverTime": now.isoformat(timespec="milliseconds"),
                },
            )
    return expires + skew
