"""Which consent a query shows to which peer. A peer whom no consent covers is not asked at all."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from creditexchange.v1.envelope_pb2 import SignedMessage
from creditexchange.v1.exchange_pb2 import LEGAL_BASIS_CONSENT
from gateway.audit import AuditLog, EvidenceError
from gateway.errors import PeerFaultError, RefusedError, StorageError
from gateway.exchange.asking.compose import secret_for
from gateway.exchange.asking.question import Question
from gateway.exchange.consent_keys import consent_keys
from gateway.exchange.consents import held_consents, is_revoked
from gateway.exchange.messages import Snapshot
from gateway.peers.roster import Peer
from gateway.policy.consent import ConsentUse, read_consent, verify_consent
from gateway.signing.envelope import seal

MISSING = "CONSENT_MISSING_HERE"


@dataclass(frozen=True, slots=True)
class Shown:
    """What one peer is asked, and on the strength of which consent."""

    question: Question
    epoch: str
    """Of the federation secret under which the learner is named."""
    consent: SignedMessage | None = field(repr=False, default=None)


def consents_to_show(
    question: Question, tokens: Collection[bytes], log: AuditLog, snapshot: Snapshot
) -> Sequence[SignedMessage]:
    """Return the consents to choose from: the given one, or with the basis consent all that are held.

    Raises:
        StorageError: the database cannot be read.
    """
    if question.consent is not None:
        return [question.consent]
    if question.legal_basis != LEGAL_BASIS_CONSENT:
        return []
    try:
        held_here = held_consents(log, list(tokens))
        return [by_present_keys(held.message, snapshot) for held in held_here if not held.is_revoked]
    except (EvidenceError, RefusedError) as error:
        raise StorageError("consents that this node issued cannot be read.") from error


def by_present_keys(issued: SignedMessage, snapshot: Snapshot) -> SignedMessage:
    """Return a consent that this node issued, signed by the keys that it signs with now.

    Its payload, which the learner agreed to, stays byte for byte; a consent outlives the key that signed it.
    """
    if {s.key_id for s in issued.signatures} == {key.key_id for key in snapshot.message_keys}:
        return issued
    return seal(issued.payload, issued.payload_type, snapshot.message_keys)


def choose_consent(
    question: Question,
    consents: Sequence[SignedMessage],
    peer: Peer,
    tokens: Mapping[str, bytes],
    snapshot: Snapshot,
    log: AuditLog,
    now: datetime,
) -> Shown:
    """Return the question with the first consent that covers asking ``peer``, or none if none is needed.

    It is checked as the peer will check it, so that a consent for another peer, or about another
    learner, is not shown around. Whose consents it accepts is the peer's own matter. ``tokens`` are the
    learner's by epoch: a consent names the learner under the one that was the newest when it was made.

    Raises:
        PeerFaultError: ``CONSENT_MISSING_HERE``, with the rule that failed.
    """
    epoch = secret_for(peer, snapshot).epoch
    if question.consent is None and question.legal_basis != LEGAL_BASIS_CONSENT:
        return Shown(question, epoch)
    use = ConsentUse(snapshot.node_id, peer.node_id, b"", "", question.purpose, question.kinds)
    problem = "this node holds none of this learner."
    for message in consents:
        covered, named = _narrowed(question, message), _epoch_of(message, tokens, epoch)
        try:
            verify_consent(
                message,
                replace(use, kinds=covered.kinds, subject_token=tokens[named], federation_epoch=named),
                find_key=consent_keys(snapshot, now),
                issuers={snapshot.node_id, *snapshot.roster.peers},
                is_revoked=partial(is_revoked, log),
                now=now,
            )
        except RefusedError as refused:
            if refused.reason != "CONSENT_INVALID":
                raise PeerFaultError("AUDIT_UNAVAILABLE_HERE", refused.message) from refused
            problem = f"{refused.message} (rule {refused.details['rule']})"
            continue
        return Shown(covered, named, message)
    raise PeerFaultError(
        MISSING,
        f"no consent covers asking this peer: {problem}",
        remedy="Ask the learner: `credit-gateway consent grant`.",
    )


def _epoch_of(message: SignedMessage, tokens: Mapping[str, bytes], otherwise: str) -> str:
    """Return the epoch that the consent names if there is a token for it; not verified yet."""
    try:
        named = read_consent(message).federation_epoch
    except RefusedError:
        return otherwise
    return named if named in tokens else otherwise


def _narrowed(question: Question, message: SignedMessage) -> Question:
    """Return the question about those kinds that the consent names; not verified yet."""
    if not question.is_narrowed:
        return question
    try:
        named = set(read_consent(message).kinds)
    except RefusedError:
        return question
    return replace(question, kinds=tuple(kind for kind in question.kinds if kind in named))
