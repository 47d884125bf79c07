"""The learner's consent: what a node may do with one, decided without I/O.

A consent names one learner, one asking node, the nodes that may answer, one purpose, kinds and a
time. It is no grant: it never allows what ``access.toml`` does not grant as well. It is signed by
the node that authenticated the learner, and its signature is believed only of a node that the
operator compared a card with.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from google.protobuf.timestamp_pb2 import Timestamp

from creditexchange.v1.consent_pb2 import Consent, LearnerAuthentication
from creditexchange.v1.envelope_pb2 import SignedMessage
from gateway.clock import ID_BYTES
from gateway.errors import EnvelopeError, RefusedError
from gateway.learners.subject_token import TOKEN_BYTES
from gateway.policy.purposes import KINDS, PURPOSES
from gateway.signing.envelope import open_envelope, parse, parse_strictly, payload_type
from gateway.signing.suites import VerifyingKey

CONSENT_TYPE = payload_type("consent")
CONSENT_DAYS_MAX = 366
"""Longest time for which a learner can consent at once, days."""
ORGANISATION_CHARACTERS_MAX = 200
ANSWERERS_MAX = 64
"""Most nodes that one consent names; who means more says every node."""
CONSENT_BYTES_MAX = 8 * 1024

Rule = Literal[
    "expired",
    "not-yet-valid",
    "revoked",
    "unknown-issuer",
    "signature",
    "other-learner",
    "other-asker",
    "other-answerer",
    "purpose",
    "kind",
    "epoch",
    "malformed",
]
"""Every rule that a consent can fail; the value of the refusal's detail ``rule``."""

FindKey = Callable[[str], tuple[str, VerifyingKey] | None]
"""Returns, by key id, the node id and key of whoever may sign consents; ``None`` when nobody may."""
IsRevoked = Callable[[str, bytes], bool]
"""Takes issuing node and consent id."""

_AUTHENTICATIONS = frozenset(LearnerAuthentication.values()) - {0}
_TEXTS = {
    "expired": "the consent has ended.",
    "not-yet-valid": "the consent does not hold yet.",
    "revoked": "the learner has taken the consent back.",
    "unknown-issuer": "the consent was not issued by a node whose consents are accepted here.",
    "signature": "the consent's signature does not verify.",
    "other-learner": "the consent is about somebody else.",
    "other-asker": "the consent allows another node to ask.",
    "other-answerer": "the consent does not allow this node to answer.",
    "purpose": "the consent is for another purpose.",
    "kind": "the consent does not cover every kind that was asked for.",
    "epoch": "the consent was made under another epoch of the federation secret.",
    "malformed": "the consent is malformed.",
}


@dataclass(frozen=True, slots=True)
class ConsentUse:
    """What somebody wants to do on the strength of a consent."""

    asker: str
    """Node id of the node that asks."""
    answerer: str
    """Node id of the node that is asked."""
    subject_token: bytes = field(repr=False)
    federation_epoch: str
    purpose: int
    kinds: Sequence[int]


@dataclass(frozen=True, slots=True)
class VerifiedConsent:
    """A consent that covers the use for which it was verified."""

    consent_id: bytes
    issuer: str
    ends: datetime


def verify_consent(
    message: SignedMessage,
    use: ConsentUse,
    *,
    find_key: FindKey,
    issuers: Collection[str],
    is_revoked: IsRevoked,
    now: datetime,
    skew_s: int = 0,
) -> VerifiedConsent:
    """Return the consent in ``message`` if it covers ``use`` at ``now``.

    ``issuers`` are the nodes whose consents are accepted. Clocks may differ by ``skew_s`` seconds
    as to the beginning; the end is the end.

    Raises:
        RefusedError: ``CONSENT_INVALID``; its detail ``rule`` says which rule failed, and nothing
            about the person.
    """
    consent = _open(message, find_key, issuers)
    skew = timedelta(seconds=skew_s)
    if consent.start_time.ToDatetime(UTC) > now + skew or consent.issue_time.ToDatetime(UTC) > now + skew:
        raise consent_invalid("not-yet-valid")
    if consent.end_time.ToDatetime(UTC) <= now:
        raise consent_invalid("expired")
    if is_revoked(consent.issuing_node_id, consent.consent_id):
        raise consent_invalid("revoked")
    _require_covered(consent, use)
    return VerifiedConsent(consent.consent_id, consent.issuing_node_id, consent.end_time.ToDatetime(UTC))


def consent_invalid(rule: Rule) -> RefusedError:
    """Return the refusal of a consent that fails ``rule``."""
    return RefusedError("CONSENT_INVALID", _TEXTS[rule], details={"rule": rule})


def parse_consent(item: bytes) -> SignedMessage:
    """Read the signed message out of an opening; nothing of it is verified yet.

    Raises:
        RefusedError: ``CONSENT_INVALID``, rule ``malformed``.
    """
    if len(item) > CONSENT_BYTES_MAX:
        raise consent_invalid("malformed")
    try:
        return parse_strictly(SignedMessage, item, "consent")
    except EnvelopeError as error:
        raise consent_invalid("malformed") from error


def _open(message: SignedMessage, find_key: FindKey, issuers: Collection[str]) -> Consent:
    """Verify the signatures, then read what was signed."""
    signers: set[str] = set()

    def key_of(key_id: str) -> VerifyingKey | None:
        found = find_key(key_id)
        if found is None:
            return None
        signers.add(found[0])
        return found[1]

    try:
        opened = open_envelope(message, CONSENT_TYPE, key_of)
    except EnvelopeError as error:
        raise consent_invalid(_RULES.get(error.reason, "malformed")) from error
    try:
        consent = parse_strictly(Consent, opened.payload, "consent")
    except EnvelopeError as error:
        raise consent_invalid("malformed") from error
    require_form(consent)
    if signers != {consent.issuing_node_id} or consent.issuing_node_id not in issuers:
        raise consent_invalid("unknown-issuer")
    return consent


_RULES: dict[str, Rule] = {"UNKNOWN_KEY": "unknown-issuer", "INVALID_SIGNATURE": "signature"}


def read_consent(message: SignedMessage) -> Consent:
    """Return what a consent says, without verifying it: for one that this node keeps, or to show it.

    Raises:
        RefusedError: ``CONSENT_INVALID``, rule ``malformed``.
    """
    try:
        return parse(Consent, message.payload, "consent")
    except EnvelopeError as error:
        raise consent_invalid("malformed") from error


def require_form(consent: Consent) -> None:
    """Return if every member is there and within its range.

    Raises:
        RefusedError: ``CONSENT_INVALID``, rule ``malformed``.
    """
    answerers, kinds = list(consent.answering_node_ids), list(consent.kinds)
    well_formed = (
        len(consent.consent_id) == ID_BYTES
        and len(consent.subject_token) == TOKEN_BYTES
        and all((consent.issuing_node_id, consent.asking_node_id, consent.federation_epoch, *answerers))
        and 1 <= len(consent.asking_organisation.strip()) <= ORGANISATION_CHARACTERS_MAX
        and consent.asking_organisation.isprintable()
        and bool(answerers) is not consent.every_node_may_answer
        and len(set(answerers)) == len(answerers) <= ANSWERERS_MAX
        and consent.purpose in PURPOSES.values()
        and 1 <= len(kinds) == len(set(kinds))
        and set(KINDS.values()).issuperset(kinds)
        and consent.authentication in _AUTHENTICATIONS
        and all(consent.HasField(name) for name in ("start_time", "end_time", "issue_time"))
        and all(map(_is_plausible, (consent.start_time, consent.end_time, consent.issue_time)))
    )
    if not well_formed:
        raise consent_invalid("malformed")
    length = consent.end_time.ToDatetime(UTC) - consent.start_time.ToDatetime(UTC)
    if not timedelta() < length <= timedelta(days=CONSENT_DAYS_MAX):
        raise consent_invalid("malformed")


def _is_plausible(stamp: Timestamp) -> bool:
    """Whether the instant can be told apart from garbage: 2020 to 2200, whole nanoseconds."""
    return 1_577_836_800 <= stamp.seconds < 7_258_118_400 and 0 <= stamp.nanos < 1_000_000_000


def _require_covered(consent: Consent, use: ConsentUse) -> None:
    """Return if ``consent`` covers ``use``. Absent means no, never everything."""
    if consent.asking_node_id != use.asker:
        raise consent_invalid("other-asker")
    if not consent.every_node_may_answer and use.answerer not in consent.answering_node_ids:
        raise consent_invalid("other-answerer")
    if consent.federation_epoch != use.federation_epoch:
        raise consent_invalid("epoch")
    if not hmac.compare_digest(consent.subject_token, use.subject_token):
        raise consent_invalid("other-learner")
    if consent.purpose != use.purpose:
        raise consent_invalid("purpose")
    if not use.kinds or not set(consent.kinds).issuperset(use.kinds):
        raise consent_invalid("kind")
