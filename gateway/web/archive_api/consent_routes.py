"""Consents that this node issues for its learners."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request

from creditexchange.v1 import operator_pb2
from gateway.clock import unix_ms
from gateway.policy.purposes import parse_purpose
from gateway.web.archive_api import models, views
from gateway.web.archive_api.operations import (
    Authorization,
    Cursor,
    KeyHeader,
    LearnerHeader,
    Limit,
    Operations,
    TypeHeader,
    authentication_of,
    kinds_of,
)
from gateway.web.archive_api.paging import LIMIT_DEFAULT, page, tagged
from gateway.web.archive_api.problems import ProblemError
from gateway.web.archive_api.tokens import Learner
from gateway.web.archives.node_calls import connected


def add_consent_routes(router: APIRouter, ops: Operations) -> None:
    """Add what lists, grants and takes back consents."""

    @router.get("/consents", response_model=models.ConsentList, tags=["consents"])
    def list_consents(
        request: Request,
        authorization: Authorization = None,
        learner_identifier: LearnerHeader = None,
        learner_identifier_type: TypeHeader = None,
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
    ) -> Any:
        """List the consents of a learner that this node issued, the newest first."""
        principal = ops.allowed(authorization, "consent:read")
        learner = ops.learner(principal, learner_identifier, learner_identifier_type)
        rows = _consents(ops, learner)
        chosen, following = page(rows, cursor, limit, f"consents\0{principal.name}")
        now_ms = unix_ms(ops.clock())
        shown = [views.consent_view(row, now_ms) for row in chosen]
        return tagged(request, {"consents": shown, "next_cursor": following})

    @router.post("/consents", status_code=201, response_model=models.Consent, tags=["consents"])
    def grant_consent(
        body: models.ConsentBody,
        authorization: Authorization = None,
        learner_identifier: LearnerHeader = None,
        learner_identifier_type: TypeHeader = None,
        idempotency_key: KeyHeader = None,
    ) -> Any:
        """Sign and keep a learner's consent. The application has shown the learner exactly this."""
        principal = ops.allowed(authorization, "consent:write")
        learner = ops.learner(principal, learner_identifier, learner_identifier_type)
        request = operator_pb2.GrantConsentRequest(
            learner_identifier=learner.identifier,
            identifier_type=learner.identifier_type,
            asking_node_id=body.asker,
            asking_organisation=body.organisation,
            answering_node_ids=body.answerers,
            every_node_may_answer=not body.answerers,
            purpose=parse_purpose(body.purpose),  # type: ignore[arg-type]
            kinds=kinds_of(body.kinds),
            end_ms=max(0, unix_ms(body.until)),
            authentication=authentication_of(body.authentication),
        )

        def act() -> Any:
            with connected(ops.connect) as node:
                return views.granted_view(node.grant_consent(request).message)

        return ops.once_only(idempotency_key, principal, "grant-consent", (learner, body), act, 201)

    @router.delete("/consents/{consent_id}", response_model=models.Withdrawal, tags=["consents"])
    def revoke_consent(
        consent_id: Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")],
        authorization: Authorization = None,
        learner_identifier: LearnerHeader = None,
        learner_identifier_type: TypeHeader = None,
    ) -> Any:
        """Take a consent back and tell the nodes whom it concerns. Doing it again changes nothing."""
        principal = ops.allowed(authorization, "consent:write")
        learner = ops.learner(principal, learner_identifier, learner_identifier_type)
        wanted = bytes.fromhex(consent_id)
        if wanted not in {row.consent_id for row in _consents(ops, learner)}:
            raise ProblemError("not-found", "This learner has no such consent here.")
        with connected(ops.connect) as node:
            done = node.withdraw_consent(operator_pb2.WithdrawConsentRequest(consent_id=wanted))
        return {"concerned": done.concerned, "confirmed": done.confirmed}


def _consents(ops: Operations, learner: Learner) -> list[operator_pb2.IssuedConsent]:
    wanted = operator_pb2.ListIssuedConsentsRequest(
        learner_identifier=learner.identifier, identifier_type=learner.identifier_type
    )
    with connected(ops.connect) as node:
        return list(node.issued_consents(wanted).consents)
