"""Step 3 in bulk, authorise: the query as a whole, then each learner's consent for themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from creditexchange.v1.envelope_pb2 import Opening
from creditexchange.v1.exchange_pb2 import RecordQuery, RecordQueryBody
from gateway.audit.commitment import CONSENT, SUBJECT_TOKEN, require_root
from gateway.errors import EnvelopeError, RefusedError
from gateway.exchange.answering.authorise import require_form, verify_shown
from gateway.exchange.messages import BULK_SUBJECTS_MAX, Admitted, Snapshot
from gateway.learners.subject_token import TOKEN_BYTES
from gateway.policy.consent import IsRevoked
from gateway.signing.envelope import parse_strictly

ABOUT_ONE_LEARNER = frozenset({"CONSENT_REQUIRED", "CONSENT_INVALID"})
"""Refusals that concern one learner of a query in bulk and leave the others alone."""


@dataclass(frozen=True, slots=True)
class BulkSubject:
    """One learner of a query in bulk."""

    position: int
    """Place in the query, from 0."""
    openings: tuple[Opening, ...] = field(repr=False)
    """Of the subject token, then of the consent if one was sent."""
    reason: str = ""
    """Why nothing is answered about this learner; empty when it is."""

    @property
    def token(self) -> bytes:
        """The subject token."""
        return self.openings[0].item


@dataclass(frozen=True, slots=True)
class AuthorisedBulk:
    """The peer may ask this, for this purpose, about these kinds; of each learner it is said alone."""

    admitted: Admitted[RecordQuery]
    body: RecordQueryBody
    subjects: tuple[BulkSubject, ...] = field(repr=False)

    @property
    def subject_count(self) -> int:
        """How many learners are asked about: what a quota counts."""
        return len(self.subjects)


def authorise_bulk(
    admitted: Admitted[RecordQuery], openings: Sequence[Opening], snapshot: Snapshot, is_revoked: IsRevoked
) -> AuthorisedBulk:
    """Return the query as authorised. Nothing about the learners has been looked up yet.

    Raises:
        RefusedError: as :func:`gateway.exchange.answering.authorise.authorise`, but for
            ``CONSENT_REQUIRED`` and ``CONSENT_INVALID``, which concern one learner each.
    """
    try:
        body = parse_strictly(RecordQueryBody, admitted.opened.payload.body, "body")
        require_form(body, snapshot, BULK_SUBJECTS_MAX)
        tokens, consents = _openings_of(body, openings)
    except EnvelopeError as error:
        raise error.refusal() from error
    _require_grant(admitted, body, snapshot, has_consent=True)
    without = _reason_without_consent(admitted, body, snapshot)
    subjects = []
    for position, token in enumerate(tokens):
        consent = consents.get(position)
        reason = without
        if consent is not None:
            reason = _reason_with(consent, admitted, body, token.item, snapshot, is_revoked)
        shown = (token,) if consent is None else (token, consent)
        subjects.append(BulkSubject(position, shown, reason))
    return AuthorisedBulk(admitted, body, tuple(subjects))


def _require_grant(
    admitted: Admitted[RecordQuery], body: RecordQueryBody, snapshot: Snapshot, *, has_consent: bool
) -> None:
    snapshot.access.require_grant(
        admitted.opened.signer.node_id,
        body.purpose,
        body.kinds,
        legal_basis=body.legal_basis,
        has_consent=has_consent,
    )


def _reason_without_consent(
    admitted: Admitted[RecordQuery], body: RecordQueryBody, snapshot: Snapshot
) -> str:
    """Return why a learner without consent is not answered; empty when none is needed."""
    try:
        _require_grant(admitted, body, snapshot, has_consent=False)
    except RefusedError as refused:
        if refused.reason not in ABOUT_ONE_LEARNER:
            raise
        return refused.reason
    return ""


def _reason_with(
    consent: Opening,
    admitted: Admitted[RecordQuery],
    body: RecordQueryBody,
    token: bytes,
    snapshot: Snapshot,
    is_revoked: IsRevoked,
) -> str:
    try:
        verify_shown(consent, admitted, body, token, snapshot, is_revoked)
    except RefusedError as refused:
        if refused.reason not in ABOUT_ONE_LEARNER:
            raise
        return refused.reason
    return ""


def _openings_of(
    body: RecordQueryBody, openings: Sequence[Opening]
) -> tuple[Sequence[Opening], dict[int, Opening]]:
    """Return the subject tokens, and the consents by subject, after all led to what was signed."""
    if body.consent_commitment or body.certificate_commitment:
        raise EnvelopeError(
            "MALFORMED_MESSAGE",
            "in bulk consents have a root, and no certificate is asked for.",
            field="body.consent_commitment",
        )
    whose = list(body.consent_subjects)
    if whose != sorted(set(whose)) or (whose and whose[-1] >= body.subject_count):
        raise EnvelopeError(
            "MALFORMED_MESSAGE", "consent_subjects are places that rise.", field="body.consent_subjects"
        )
    if len(openings) != body.subject_count + len(whose):
        raise EnvelopeError(
            "COMMITMENT_MISMATCH", "there is not one opening for each subject and each consent."
        )
    subjects, consents = openings[: body.subject_count], openings[body.subject_count :]
    require_root(subjects, SUBJECT_TOKEN, body.subjects_root)
    if any(len(opening.item) != TOKEN_BYTES for opening in subjects):
        raise EnvelopeError("COMMITMENT_MISMATCH", "a subject token is not 32 bytes long.")
    if len({opening.item for opening in subjects}) != len(subjects):
        raise EnvelopeError("MALFORMED_MESSAGE", "a subject is asked about twice.", field="openings")
    if whose:
        require_root(consents, CONSENT, body.consents_root)
    elif body.consents_root:
        raise EnvelopeError("COMMITMENT_MISMATCH", "consents were committed to and none was sent.")
    return subjects, dict(zip(whose, consents, strict=True))
