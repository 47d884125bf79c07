"""What the operator does with consents: grant, withdraw, list."""

from __future__ import annotations

from typing import Protocol

from creditexchange.v1 import operator_pb2
from gateway.audit import AuditLog
from gateway.clock import Clock, from_unix_ms, unix_ms
from gateway.errors import CallerError, OperatorError
from gateway.exchange.consents import (
    ConsentTerms,
    HeldConsent,
    find_issued,
    grant_consent,
    held_consents,
    is_revoked,
    issued_rows,
    revoke_consent,
)
from gateway.exchange.messages import Snapshot
from gateway.learners.identifier import RESIDENT_ID
from gateway.learners.subject_token import subject_token
from gateway.storage.consent_rows import IssuedRow
from gateway.upkeep.consent_revocations import ConsentRevocations

_MS_MAX = 7_258_118_400_000
"""The year 2200."""


class Granting(Protocol):
    """What these acts work with; ``gateway.rpc.operator.Operating`` has it."""

    @property
    def log(self) -> AuditLog:
        """The node's audit log."""
        ...

    @property
    def revocations(self) -> ConsentRevocations:
        """What tells the peers."""
        ...

    @property
    def clock(self) -> Clock:
        """The present."""
        ...


def grant_message(
    request: operator_pb2.GrantConsentRequest, snapshot: Snapshot, node: Granting
) -> operator_pb2.GrantConsentResponse:
    """Sign and keep a consent.

    Raises:
        CallerError: a member of the request is wrong.
        OperatorError: this node has no federation secret.
        RefusedError: ``AUDIT_UNAVAILABLE``; nothing was issued.
    """
    if bool(request.answering_node_ids) == request.every_node_may_answer:
        raise CallerError("name the nodes that may answer, or say that every node may; not both.")
    if not 0 < request.end_ms < _MS_MAX:
        raise CallerError("the end of the consent is needed.")
    tokens = subject_tokens(request.identifier_type, request.learner_identifier, snapshot)
    terms = ConsentTerms(
        subject_token=tokens[0],
        federation_epoch=next(iter(snapshot.secrets)),
        asker=request.asking_node_id,
        organisation=request.asking_organisation,
        answerers=tuple(dict.fromkeys(request.answering_node_ids)),
        purpose=request.purpose,
        kinds=tuple(dict.fromkeys(request.kinds)),
        ends=from_unix_ms(request.end_ms),
        authentication=request.authentication,
    )
    return operator_pb2.GrantConsentResponse(message=grant_consent(terms, snapshot, node.log, node.clock()))


def withdraw_message(
    request: operator_pb2.WithdrawConsentRequest, snapshot: Snapshot, node: Granting
) -> operator_pb2.WithdrawConsentResponse:
    """Take back a consent and tell the peers.

    Raises:
        CallerError: this node issued no such consent.
        RefusedError: ``AUDIT_UNAVAILABLE``; nothing was taken back.
    """
    concerned = revoke_consent(request.consent_id, snapshot, node.log, node.clock())
    delivered = node.revocations.deliver(snapshot) if concerned else []
    confirmed = sum(consent_id == request.consent_id for _, consent_id in delivered)
    return operator_pb2.WithdrawConsentResponse(concerned=concerned, confirmed=confirmed)


def withdraw_held(tokens: list[bytes], snapshot: Snapshot, node: Granting) -> None:
    """Take back every live consent of one learner: who is forgotten consents to nothing any more.

    Raises:
        RefusedError: ``AUDIT_UNAVAILABLE``.
    """
    now = node.clock()
    for held in held_consents(node.log, tokens):
        if not held.is_revoked and unix_ms(now) < held.consent.end_time.ToMilliseconds():
            revoke_consent(held.consent.consent_id, snapshot, node.log, now)
    node.revocations.deliver(snapshot)


def consents_message(
    request: operator_pb2.ListIssuedConsentsRequest, snapshot: Snapshot, node: Granting
) -> operator_pb2.ListIssuedConsentsResponse:
    """List the consents that this node issued, of one learner or all.

    Raises:
        IdentifierError: the identifier is malformed.
        StorageError: the database cannot be read.
    """
    response = operator_pb2.ListIssuedConsentsResponse()
    if request.learner_identifier:
        tokens = subject_tokens(request.identifier_type, request.learner_identifier, snapshot)
        wanted = {held.consent.consent_id: held for held in held_consents(node.log, tokens)}
        rows = [row for row in issued_rows(node.log) if row.consent_id in wanted]
        response.consents.extend(_issued(row, wanted[row.consent_id], snapshot, node) for row in rows[::-1])
        return response
    for row in issued_rows(node.log)[::-1]:
        response.consents.append(_issued(row, find_issued(node.log, row.consent_id), snapshot, node))
    return response


def subject_tokens(identifier_type: str, identifier: str, snapshot: Snapshot) -> list[bytes]:
    """Return the learner's subject token under each federation secret, the newest first, past ones last.

    Raises:
        IdentifierError: the identifier is malformed.
        OperatorError: there is no secret.
    """
    if not snapshot.secrets:
        raise OperatorError(
            "this node has no federation secret, so it cannot tell who is meant.",
            remedy="Get it from your federation and name it in node.toml, [federation].",
        )
    kind = identifier_type or RESIDENT_ID
    secrets = (*snapshot.secrets.values(), *snapshot.past_secrets)
    return [subject_token(secret, kind, identifier) for secret in secrets]


def _issued(
    row: IssuedRow, held: HeldConsent | None, snapshot: Snapshot, node: Granting
) -> operator_pb2.IssuedConsent:
    return operator_pb2.IssuedConsent(
        consent_id=row.consent_id,
        issue_ms=row.issued_at,
        end_ms=row.expires_at,
        is_revoked=is_revoked(node.log, snapshot.node_id, row.consent_id),
        message=held.message if held is not None else None,
    )
