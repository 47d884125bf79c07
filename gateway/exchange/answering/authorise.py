"""Step 3, authorise: this peer, for this purpose, about these kinds; the learner's consent where needed."""

from __future__ import annotations

from creditexchange.v1.envelope_pb2 import Opening
from creditexchange.v1.exchange_pb2 import CertificateReference, RecordQuery, RecordQueryBody
from gateway.audit.commitment import CERTIFICATE, CONSENT, SUBJECT_TOKEN, commitment, require_root
from gateway.errors import EnvelopeError, RefusedError
from gateway.exchange.consent_keys import consent_keys
from gateway.exchange.messages import (
    DIGEST_BYTES,
    KINDS_MAX,
    VERIFY_CERTIFICATE,
    Admitted,
    Authorised,
    Snapshot,
)
from gateway.learners.subject_token import TOKEN_BYTES
from gateway.policy.consent import ConsentUse, IsRevoked, VerifiedConsent, parse_consent, verify_consent
from gateway.policy.purposes import KINDS, LEGAL_BASES, PURPOSES
from gateway.signing.envelope import parse_strictly

SUBJECTS_MAX = 1
NUMBER_MAX = 256
"""Longest number or issuer of a certificate, characters."""

_KNOWN_PURPOSES = frozenset(PURPOSES.values())
_KNOWN_KINDS = frozenset(KINDS.values())
_KNOWN_BASES = frozenset(LEGAL_BASES.values())


def authorise(
    admitted: Admitted[RecordQuery], openings: list[Opening], snapshot: Snapshot, is_revoked: IsRevoked
) -> Authorised:
    """Return the query as authorised. Nothing about the learner has been looked up yet.

    Raises:
        RefusedError: ``MALFORMED_MESSAGE``, ``UNKNOWN_PURPOSE``, ``UNKNOWN_KIND``,
            ``TOO_MANY_SUBJECTS``, ``UNKNOWN_EPOCH``, ``COMMITMENT_MISMATCH``, or a reason of
            :meth:`gateway.policy.grants.Access.require_grant` or
            :func:`gateway.policy.consent.verify_consent`.
    """
    try:
        body = parse_strictly(RecordQueryBody, admitted.opened.payload.body, "body")
        require_form(body, snapshot, SUBJECTS_MAX)
        if body.consents_root or body.consent_subjects:
            raise EnvelopeError(
                "MALFORMED_MESSAGE", "several consents are for queries in bulk.", field="body.consents_root"
            )
        is_about_certificate = admitted.opened.call.method == VERIFY_CERTIFICATE
        rest, certificate = _split_certificate(body, openings, is_expected=is_about_certificate)
        tokens, consent = _openings_of(body, rest)
    except EnvelopeError as error:
        raise error.refusal() from error
    snapshot.access.require_grant(
        admitted.opened.signer.node_id,
        body.purpose,
        body.kinds,
        legal_basis=body.legal_basis,
        has_consent=consent is not None,
    )
    verified = (
        verify_shown(consent, admitted, body, tokens[0], snapshot, is_revoked)
        if consent is not None
        else None
    )
    return Authorised(admitted, body, tokens, certificate, verified)


def verify_shown(
    consent: Opening,
    admitted: Admitted[RecordQuery],
    body: RecordQueryBody,
    token: bytes,
    snapshot: Snapshot,
    is_revoked: IsRevoked,
) -> VerifiedConsent:
    """Return the consent if it covers this very query. It narrows what is granted, never widens it.

    Raises:
        RefusedError: ``CONSENT_INVALID``, ``AUDIT_UNAVAILABLE``.
    """
    asker, now = admitted.opened.signer.node_id, admitted.opened.call.received_at
    return verify_consent(
        parse_consent(consent.item),
        ConsentUse(asker, snapshot.node_id, token, body.federation_epoch, body.purpose, body.kinds),
        find_key=consent_keys(snapshot, now),
        issuers={asker, snapshot.node_id, *snapshot.access.consent_issuers},
        is_revoked=is_revoked,
        now=now,
        skew_s=snapshot.settings.skew_s,
    )


def require_form(body: RecordQueryBody, snapshot: Snapshot, subjects_max: int) -> None:
    """Return if purpose, kinds, basis, number of subjects and epoch are such as can be answered.

    Raises:
        EnvelopeError: ``MALFORMED_MESSAGE``.
        RefusedError: ``UNKNOWN_PURPOSE``, ``UNKNOWN_KIND``, ``TOO_MANY_SUBJECTS``, ``UNKNOWN_EPOCH``.
    """
    if body.purpose not in _KNOWN_PURPOSES:
        raise RefusedError("UNKNOWN_PURPOSE", "the purpose is not on the list.")
    if not 1 <= len(body.kinds) <= KINDS_MAX or len(set(body.kinds)) != len(body.kinds):
        raise EnvelopeError(
            "MALFORMED_MESSAGE", "each kind is asked for once, and one at least.", field="body.kinds"
        )
    if not _KNOWN_KINDS.issuperset(body.kinds):
        raise RefusedError("UNKNOWN_KIND", "a kind is not on the list.")
    if body.legal_basis not in _KNOWN_BASES:
        raise EnvelopeError("MALFORMED_MESSAGE", "the legal basis is needed.", field="body.legal_basis")
    if len(body.subjects_root) != DIGEST_BYTES or body.subject_count < 1:
        raise EnvelopeError(
            "MALFORMED_MESSAGE", "subjects_root and subject_count are needed.", field="body.subjects_root"
        )
    if body.subject_count > subjects_max:
        raise RefusedError(
            "TOO_MANY_SUBJECTS",
            "this method answers about fewer learners at once.",
            details={"subjectsMax": str(subjects_max)},
        )
    if body.federation_epoch not in snapshot.secrets:
        raise RefusedError(
            "UNKNOWN_EPOCH",
            "this epoch of the federation secret is not live here.",
            details={"epoch": ", ".join(snapshot.secrets)},
        )


def _split_certificate(
    body: RecordQueryBody, openings: list[Opening], *, is_expected: bool
) -> tuple[list[Opening], CertificateReference | None]:
    """Return the other openings, and the certificate after it led to what was signed."""
    if not is_expected:
        if body.certificate_commitment:
            raise EnvelopeError(
                "MALFORMED_MESSAGE",
                "this method asks for no certificate.",
                field="body.certificate_commitment",
            )
        return openings, None
    if not openings or openings[-1].item_type != CERTIFICATE:
        raise EnvelopeError("COMMITMENT_MISMATCH", "the opening of the certificate is missing.")
    if commitment(openings[-1]) != body.certificate_commitment:
        raise EnvelopeError("COMMITMENT_MISMATCH", "the certificate is not the one that was committed to.")
    reference = parse_strictly(CertificateReference, openings[-1].item, "certificate")
    if not (0 < len(reference.number) <= NUMBER_MAX and 0 < len(reference.issuer) <= NUMBER_MAX):
        raise EnvelopeError("MALFORMED_MESSAGE", "number and issuer are needed.", field="certificate")
    return openings[:-1], reference


def _openings_of(body: RecordQueryBody, openings: list[Opening]) -> tuple[tuple[bytes, ...], Opening | None]:
    """Return the subject tokens and the consent, after both led to what was signed."""
    subjects, rest = openings[: body.subject_count], openings[body.subject_count :]
    require_root(subjects, SUBJECT_TOKEN, body.subjects_root)
    if len(subjects) != body.subject_count or any(len(o.item) != TOKEN_BYTES for o in subjects):
        raise EnvelopeError(
            "COMMITMENT_MISMATCH", "one subject token of 32 bytes is needed for each subject."
        )
    if not body.consent_commitment and not rest:
        return tuple(o.item for o in subjects), None
    if len(rest) != 1 or rest[0].item_type != CONSENT or commitment(rest[0]) != body.consent_commitment:
        raise EnvelopeError("COMMITMENT_MISMATCH", "the consent is not the one that was committed to.")
    return tuple(o.item for o in subjects), rest[0]
