"""ConsentService: takes note of consents that a peer has revoked, and names those revoked here.

A revocation is a signed statement of the issuing node and only ever narrows what is answered. So
it needs no replay guard, and one that comes from a suspended peer is believed as well.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial

from creditexchange.v1.consent_pb2 import (
    ConsentRevocation,
    ConsentRevocationReceipt,
    ListRevocationsRequest,
    ListRevocationsResponse,
    RevokeConsentRequest,
    RevokeConsentResponse,
)
from creditexchange.v1.envelope_pb2 import SignedMessage
from gateway.audit import AuditLog, management_entry
from gateway.clock import from_unix_ms, unix_ms
from gateway.errors import EnvelopeError, RefusedError, StorageError
from gateway.exchange.answering.answer import Answering
from gateway.exchange.answering.open import read_unsigned
from gateway.exchange.messages import (
    CONSENT_REVOCATION_RECEIPT_TYPE,
    CONSENT_REVOCATION_TYPE,
    ID_BYTES,
    IncomingCall,
    Snapshot,
)
from gateway.peers.roster import Peer
from gateway.signing.envelope import instant, open_envelope, parse_strictly, seal
from gateway.storage import consent_rows
from gateway.storage.consent_rows import RevokedRow
from gateway.storage.node_tables import Transaction

REVOCATIONS_MAX = 200
"""Most revocations of one page: each takes about 300 bytes."""
PEER_REVOCATIONS_MAX = 1_000_000
"""Most live revocations that are kept of one peer, so that none can fill the disk."""
_MS_MAX = 7_258_118_400_000
"""The year 2200."""


def signed_revocation(revoked: RevokedRow, snapshot: Snapshot) -> SignedMessage:
    """Return the statement that a consent was revoked, signed by this node."""
    statement = ConsentRevocation(consent_id=revoked.consent_id, issuing_node_id=revoked.issuer)
    statement.revoke_time.FromDatetime(from_unix_ms(revoked.revoked_at))
    statement.consent_end_time.FromDatetime(from_unix_ms(revoked.expires_at))
    return seal(statement.SerializeToString(), CONSENT_REVOCATION_TYPE, snapshot.message_keys)


def open_revocation(message: SignedMessage, issuer: Peer, now: datetime) -> tuple[RevokedRow, bytes]:
    """Return what ``issuer`` has revoked by ``message``, and the digest of the signed bytes.

    Raises:
        EnvelopeError: it is no revocation, or not signed by a live message key of ``issuer``.
    """
    opened = open_envelope(message, CONSENT_REVOCATION_TYPE, lambda key_id: issuer.message_key(key_id, now))
    statement = parse_strictly(ConsentRevocation, opened.payload, "revocation")
    times = [
        unix_ms(instant(statement.revoke_time, "revoke_time")),
        unix_ms(instant(statement.consent_end_time, "consent_end_time")),
    ]
    well_formed = (
        len(statement.consent_id) == ID_BYTES
        and statement.issuing_node_id == issuer.node_id
        and all(0 < time < _MS_MAX for time in times)
    )
    if not well_formed:
        raise EnvelopeError("MALFORMED_MESSAGE", "the revocation is malformed.", field="revocation")
    return RevokedRow(issuer.node_id, statement.consent_id, *times), opened.digest


def keep_revocations(log: AuditLog, issuer: str, revoked: list[RevokedRow]) -> int:
    """Remember and log revocations by ``issuer``; return how many were new.

    Raises:
        RefusedError: ``AUDIT_UNAVAILABLE``; ``OVERLOADED`` when the issuer has far too many.
    """
    try:
        with log.reading() as connection:
            count = consent_rows.count_revoked_by(connection, issuer)
            new = [row for row in revoked if not consent_rows.is_revoked(connection, issuer, row.consent_id)]
    except StorageError as error:
        raise RefusedError("AUDIT_UNAVAILABLE", "revocations cannot be read.", retry_after_s=5.0) from error
    if count + len(new) > PEER_REVOCATIONS_MAX:
        raise RefusedError("OVERLOADED", "this node keeps no more revocations of one peer.")
    for row in new:
        entry = management_entry(
            "consent-revocation", reason="told-by-peer", count=1, peer=issuer, exchange_id=row.consent_id
        )
        log.append(entry, beside=partial(_insert, row))
    return len(new)


def _insert(row: RevokedRow, transaction: Transaction) -> None:
    consent_rows.insert_revoked(transaction, row)


def answer_revocation(request: bytes, call: IncomingCall, snapshot: Snapshot, node: Answering) -> bytes:
    """Remember one revocation durably and confirm it by a signed receipt.

    Raises:
        RefusedError: ``MALFORMED_MESSAGE``, ``WRONG_PAYLOAD_TYPE``, ``UNKNOWN_KEY``,
            ``INVALID_SIGNATURE`` or ``AUDIT_UNAVAILABLE``.
    """
    try:
        message = parse_strictly(RevokeConsentRequest, request, "request").message
        revoked, digest = open_revocation(message, call.peer, call.received_at)
    except EnvelopeError as error:
        raise error.refusal() from error
    keep_revocations(node.log, call.peer.node_id, [revoked])
    receipt = ConsentRevocationReceipt(confirming_node_id=snapshot.node_id, revocation_digest=digest)
    receipt.confirm_time.FromDatetime(node.clock())
    sealed = seal(receipt.SerializeToString(), CONSENT_REVOCATION_RECEIPT_TYPE, snapshot.message_keys)
    return RevokeConsentResponse(message=sealed).SerializeToString()


def list_revocations(request: bytes, call: IncomingCall, snapshot: Snapshot, node: Answering) -> bytes:
    """Return a page of this node's revocations that concern the caller.

    Raises:
        RefusedError: ``MALFORMED_MESSAGE``, ``AUDIT_UNAVAILABLE``.
    """
    asked = read_unsigned(ListRevocationsRequest, request)
    if asked.since_ms >= _MS_MAX or len(asked.after_consent_id) not in (0, ID_BYTES):
        raise RefusedError(
            "MALFORMED_MESSAGE", "since_ms or after_consent_id is malformed.", details={"field": "request"}
        )
    after = (asked.since_ms, asked.after_consent_id)
    try:
        with node.log.reading() as connection:
            rows = consent_rows.read_revocations_for(
                connection,
                snapshot.node_id,
                call.peer.node_id,
                after,
                unix_ms(node.clock()),
                REVOCATIONS_MAX + 1,
            )
    except StorageError as error:
        raise RefusedError("AUDIT_UNAVAILABLE", "revocations cannot be read.", retry_after_s=5.0) from error
    page = ListRevocationsResponse(has_more=len(rows) > REVOCATIONS_MAX)
    page.revocations.extend(signed_revocation(row, snapshot) for row in rows[:REVOCATIONS_MAX])
    return page.SerializeToString()
