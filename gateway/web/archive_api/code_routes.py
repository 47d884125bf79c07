"""Learning codes: made, redeemed, taken back."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request

from creditexchange.v1 import operator_pb2
from gateway.policy.learning_code import parse_code
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


def add_code_routes(router: APIRouter, ops: Operations) -> None:
    """Add what makes, redeems and takes back learning codes."""

    @router.get("/codes", response_model=models.CodeList, tags=["codes"])
    def list_codes(
        request: Request,
        authorization: Authorization = None,
        learner_identifier: LearnerHeader = None,
        learner_identifier_type: TypeHeader = None,
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
    ) -> Any:
        """List the learning codes of a learner that this node issued, the newest first."""
        principal = ops.allowed(authorization, "code:read")
        learner = ops.learner(principal, learner_identifier, learner_identifier_type)
        rows, following = page(_codes(ops, learner), cursor, limit, f"codes\0{principal.name}")
        return tagged(request, {"codes": [views.code_view(row) for row in rows], "next_cursor": following})

    @router.post("/codes", status_code=201, response_model=models.NewCode, tags=["codes"])
    def issue_code(
        body: models.CodeBody,
        authorization: Authorization = None,
        learner_identifier: LearnerHeader = None,
        learner_identifier_type: TypeHeader = None,
        idempotency_key: KeyHeader = None,
    ) -> Any:
        """Make a learning code: what somebody may ask, once, within minutes."""
        principal = ops.allowed(authorization, "code:write")
        learner = ops.learner(principal, learner_identifier, learner_identifier_type)
        request = operator_pb2.IssueCodeRequest(
            learner_identifier=learner.identifier,
            identifier_type=learner.identifier_type,
            purpose=parse_purpose(body.purpose),  # type: ignore[arg-type]
            kinds=kinds_of(body.kinds),
            redeeming_node_id=body.redeemer or "",
            organisation=body.organisation,
            answering_node_ids=body.answerers,
            code_minutes=body.minutes,
            consent_minutes=body.consent_minutes,
            authentication=authentication_of(body.authentication),
        )

        def act() -> Any:
            with connected(ops.connect) as node:
                issued = node.issue_code(request)
            return {
                "id": issued.code_id,
                "code": issued.code,
                "typed": parse_code(issued.code).typed,
                "expires": views.moment(issued.expire_ms),
            }

        return ops.once_only(idempotency_key, principal, "issue-code", (learner, body), act, 201)

    @router.post("/codes/redemptions", status_code=201, response_model=models.Redemption, tags=["codes"])
    def redeem_code(
        body: models.RedemptionBody,
        authorization: Authorization = None,
        idempotency_key: KeyHeader = None,
    ) -> Any:
        """Turn a code that a learner handed over into a consent; search with it afterwards."""
        principal = ops.allowed(authorization, "code:redeem")
        request = operator_pb2.OperatorServiceRedeemCodeRequest(
            code=body.code, organisation=body.organisation
        )

        def act() -> Any:
            with connected(ops.connect) as node:
                redeemed = node.redeem_code(request)
            if redeemed.outcome == "OK":
                return views.redemption_view(redeemed)
            name = "code-refused" if redeemed.outcome == "CODE_INVALID" else "peer-failed"
            raise ProblemError(name, f"{redeemed.outcome}: {redeemed.explanation}")

        return ops.once_only(idempotency_key, principal, "redeem-code", (None, body), act, 201)

    @router.delete("/codes/{code_id}", status_code=204, tags=["codes"])
    def revoke_code(
        code_id: Annotated[str, Path(pattern=r"^[0-9A-Za-z]{8}$")],
        authorization: Authorization = None,
        learner_identifier: LearnerHeader = None,
        learner_identifier_type: TypeHeader = None,
    ) -> None:
        """Take back a code that nobody has redeemed. Of a redeemed one, take back the consent."""
        principal = ops.allowed(authorization, "code:write")
        learner = ops.learner(principal, learner_identifier, learner_identifier_type)
        if code_id not in {row.code_id for row in _codes(ops, learner)}:
            raise ProblemError("not-found", "This learner has no such code here.")
        with connected(ops.connect) as node:
            node.revoke_code(operator_pb2.RevokeCodeRequest(code_id=code_id))


def _codes(ops: Operations, learner: Learner) -> list[operator_pb2.IssuedCode]:
    wanted = operator_pb2.ListCodesRequest(
        learner_identifier=learner.identifier, identifier_type=learner.identifier_type
    )
    with connected(ops.connect) as node:
        return list(node.issued_codes(wanted).codes)
