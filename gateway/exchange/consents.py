"""Consents that this node issues, keeps and takes back.

An issued consent is kept as an opening of the audit entry about it: encrypted, found by learner,
erased, re-encrypted and expired exactly as the openings of exchanges are. In the clear stand only
its random id and its times.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from creditexchange.v1.consent_pb2 import Consent
from creditexchange.v1.envelope_pb2 import Opening, SignedMessage
from gateway.audit import AuditLog, Evidence, management_entry, parse_leaf
from gateway.audit.commitment import CONSENT, SUBJECT_TOKEN, open_items
from gateway.clock import new_id, unix_ms
from gateway.errors import CallerError, OperatorError, RefusedError, StorageError
from gateway.exchange.messages import Snapshot
from gateway.policy.consent import (
    CONSENT_DAYS_MAX,
    CONSENT_TYPE,
    parse_consent,
    read_consent,
    require_form,
)
from gateway.policy.purposes import purpose_word
from gateway.signing.envelope import seal
from gateway.storage import audit_rows, consent_rows, evidence_rows
from gateway.storage.consent_rows import IssuedRow, RevokedRow
from gateway.storage.node_tables import Transaction

WITHDRAWN = "learner-request"
"""Why a consent is taken back, as it stands in the log."""


@dataclass(frozen=True, slots=True)
class ConsentTerms:
    """What a learner is asked to agree to."""

    subject_token: bytes = field(repr=False)
    federation_epoch: str
    asker: str
    organisation: str
    answerers: tuple[str, ...]
    """Empty = every node of the federation."""
    purpose: int
    kinds: tuple[int, ...]
    ends: datetime
    authentication: int


@dataclass(frozen=True, slots=True)
class HeldConsent:
    """A consent that this node issued and keeps."""

    message: SignedMessage = field(repr=False)
    consent: Consent = field(repr=False)
    is_revoked: bool


def is_revoked(log: AuditLog, issuer: str, consent_id: bytes) -> bool:
    """Whether ``issuer`` has revoked the consent, as far as this node was told.

    Raises:
        RefusedError: ``AUDIT_UNAVAILABLE``; what cannot be looked up is not presumed good.
    """
    try:
        with log.reading() as connection:
            return consent_rows.is_revoked(connection, issuer, consent_id)
    except StorageError as error:
        raise RefusedError("AUDIT_UNAVAILABLE", "revocations cannot be read.", retry_after_s=5.0) from error


def grant_consent(terms: ConsentTerms, snapshot: Snapshot, log: AuditLog, now: datetime) -> SignedMessage:
    """Sign a consent, keep it and log that it was given; return it.

    Raises:
        CallerError: the terms name an unknown node, an end that is past or too far away, …
        RefusedError: ``AUDIT_UNAVAILABLE``; nothing was issued.
    """
    _require_terms(terms, snapshot, now)
    message, consent = sign_consent(terms, new_id(), snapshot, now)
    keep_consent(message, consent, log)
    return message


def sign_consent(
    terms: ConsentTerms, consent_id: bytes, snapshot: Snapshot, now: datetime
) -> tuple[SignedMessage, Consent]:
    """Return the consent of that id, signed, and what it says; it is not kept yet.

    Raises:
        CallerError: it would be malformed.
    """
    consent = Consent(
        consent_id=consent_id,
        issuing_node_id=snapshot.node_id,
        subject_token=terms.subject_token,
        federation_epoch=terms.federation_epoch,
        asking_node_id=terms.asker,
        asking_organisation=terms.organisation.strip(),
        answering_node_ids=terms.answerers,
        every_node_may_answer=not terms.answerers,
        purpose=terms.purpose,  # type: ignore[arg-type]
        kinds=terms.kinds,  # type: ignore[arg-type]
        authentication=terms.authentication,  # type: ignore[arg-type]
    )
    for stamp, instant in (
        (consent.start_time, now),
        (consent.end_time, terms.ends),
        (consent.issue_time, now),
    ):
        stamp.FromDatetime(instant)
    try:
        require_form(consent)
    except RefusedError as error:
        raise CallerError(
            "the consent would be malformed.",
            remedy="Name an organisation, a listed purpose and listed kinds, each once, and how the learner "
            "was authenticated.",
        ) from error
    return seal(consent.SerializeToString(), CONSENT_TYPE, snapshot.message_keys), consent


def held_consents(log: AuditLog, subject_tokens: Iterable[bytes]) -> list[HeldConsent]:
    """Return the consents of one learner that this node issued, the newest first.

    Raises:
        StorageError: the database cannot be read.
        EvidenceError: an opening does not decrypt.
    """
    refs = [ref for token in subject_tokens for ref in log.vault.subject_refs(token)]
    with log.reading() as connection:
        indexes = {i for ref in refs for i in evidence_rows.read_indexes_of_subject(connection, ref)}
        found = (_read(log, connection, index) for index in sorted(indexes, reverse=True))
        return [held for held in found if held is not None]


def find_issued(log: AuditLog, consent_id: bytes) -> HeldConsent | None:
    """Return a consent that this node issued; ``None`` when there is none, or it was erased.

    Raises as :func:`held_consents`.
    """
    with log.reading() as connection:
        for row in audit_rows.read_entries_of_exchange(connection, consent_id):
            held = _read(log, connection, row.idx)
            if held is not None:
                return held
    return None


def find_consent_opening(log: AuditLog, consent_id: bytes) -> Opening | None:
    """Return the opening as which a consent of this node is kept: the first one of that id.

    Raises as :func:`held_consents`.
    """
    with log.reading() as connection:
        for row in audit_rows.read_entries_of_exchange(connection, consent_id):
            opening = _opening_of(log, connection, row.idx)
            if opening is not None:
                return opening
    return None


def issued_rows(log: AuditLog) -> list[IssuedRow]:
    """Return every consent that this node issued, erased ones included. Raises ``StorageError``."""
    with log.reading() as connection:
        return consent_rows.list_issued(connection)


def revoke_consent(consent_id: bytes, snapshot: Snapshot, log: AuditLog, now: datetime) -> int:
    """Take back a consent that this node issued; return how many peers have to be told.

    From here on nothing is answered on its strength here; peers learn of it by signed message.
    One that was revoked before stays as it is.

    Raises:
        CallerError: this node issued no such consent.
        RefusedError: ``AUDIT_UNAVAILABLE``; nothing was revoked.
    """
    row = next((row for row in issued_rows(log) if row.consent_id == consent_id), None)
    if row is None:
        raise CallerError(
            "this node issued no consent of that id.", remedy="See `credit-gateway consent list`."
        )
    if is_revoked(log, snapshot.node_id, consent_id):
        return 0
    held = find_issued(log, consent_id)
    told, scope = _concerned(held.consent if held is not None else None, snapshot)
    revoked = RevokedRow(snapshot.node_id, consent_id, unix_ms(now), row.expires_at)

    def write(transaction: Transaction) -> None:
        consent_rows.insert_revoked(transaction, revoked)
        consent_rows.queue_revocation(transaction, consent_id, told, scope)

    entry = management_entry("consent-revocation", reason=WITHDRAWN, count=len(told), exchange_id=consent_id)
    log.append(entry, beside=write)
    return len(told)


def _concerned(consent: Consent | None, snapshot: Snapshot) -> tuple[Sequence[str], str]:
    """Return the peers to tell, and the scope; all of them when the consent itself was erased."""
    if consent is None or consent.every_node_may_answer:
        return list(snapshot.roster.peers), consent_rows.EVERY_NODE
    named = dict.fromkeys([consent.asking_node_id, *consent.answering_node_ids])
    return [node_id for node_id in named if node_id != snapshot.node_id], ""


def keep_consent(message: SignedMessage, consent: Consent, log: AuditLog, *, peer: str = "") -> None:
    """Log the grant with the consent as its opening, in one transaction.

    ``peer`` is who redeemed the learning code that it was before. Of a consent that is kept twice,
    by two processes at once, the first one counts.

    Raises:
        RefusedError: ``AUDIT_UNAVAILABLE``.
    """
    row = IssuedRow(
        consent.consent_id,
        unix_ms(consent.issue_time.ToDatetime(UTC)),
        unix_ms(consent.end_time.ToDatetime(UTC)),
    )
    openings = [
        *open_items(SUBJECT_TOKEN, [consent.subject_token]),
        *open_items(CONSENT, [message.SerializeToString()]),
    ]
    log.append(
        management_entry(
            "consent-grant",
            reason=purpose_word(consent.purpose),
            count=len(consent.kinds),
            peer=peer,
            exchange_id=consent.consent_id,
        ),
        evidence=Evidence(
            request_message=b"", request_openings=openings, subject_tokens=[consent.subject_token]
        ),
        beside=lambda transaction: consent_rows.insert_issued(transaction, row),
    )


def _read(log: AuditLog, connection: Transaction, index: int) -> HeldConsent | None:
    opening = _opening_of(log, connection, index)
    if opening is None:
        return None
    message = parse_consent(opening.item)
    consent = read_consent(message)
    revoked = consent_rows.is_revoked(connection, consent.issuing_node_id, consent.consent_id)
    return HeldConsent(message, consent, revoked)


def _opening_of(log: AuditLog, connection: Transaction, index: int) -> Opening | None:
    row = audit_rows.read_entry(connection, index)
    if row is None or b'"action":"consent-grant"' not in row.leaf:
        return None
    draft = parse_leaf(row.leaf).draft
    for part in evidence_rows.read_parts(connection, index):
        for opening in log.vault.open(draft, part).request:
            # The encryption is bound to management entries, not to one of them: the id tells.
            if (
                opening.item_type == CONSENT
                and read_consent(parse_consent(opening.item)).consent_id == draft.exchange_id
            ):
                return opening
    return None


def _require_terms(terms: ConsentTerms, snapshot: Snapshot, now: datetime) -> None:
    known = {snapshot.node_id, *snapshot.roster.peers}
    for node_id in (terms.asker, *terms.answerers):
        if node_id not in known:
            raise CallerError(
                f"unknown node {node_id[:32]!r}.", remedy=f"Known nodes: {', '.join(sorted(known))}."
            )
    if not 0 < (terms.ends - now).total_seconds() <= CONSENT_DAYS_MAX * 24 * 3600:
        raise CallerError(
            "the end of the consent is past, or too far away.",
            remedy=f"Choose a time within {CONSENT_DAYS_MAX} days from now.",
        )
    if terms.federation_epoch not in snapshot.secrets:
        raise OperatorError("this node has no federation secret of that epoch.")
