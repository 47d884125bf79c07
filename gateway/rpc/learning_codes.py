"""What the operator does with learning codes: issue, redeem, list, take back."""

from __future__ import annotations

from typing import Protocol

from creditexchange.v1 import operator_pb2
from creditexchange.v1.code_pb2 import CodeTerms
from gateway.audit import AuditLog
from gateway.clock import Clock, unix_ms
from gateway.errors import PeerFaultError, RefusedError
from gateway.exchange.asking.ask_peer import Asking
from gateway.exchange.asking.question import OK
from gateway.exchange.asking.redeem_code import redeem
from gateway.exchange.learning_codes import (
    CODE_MINUTES_DEFAULT,
    CONSENT_MINUTES_DEFAULT,
    ListedCode,
    issue_code,
    list_codes,
    revoke_code,
)
from gateway.exchange.messages import Snapshot
from gateway.peers.caller import PeerCaller, RefusedByPeerError
from gateway.policy.learning_code import code_name, parse_code, parse_code_name
from gateway.rpc.issued_consents import subject_tokens
from gateway.telemetry.metrics import Metrics


class Coding(Protocol):
    """What these acts work with; ``gateway.rpc.operator.Operating`` has it."""

    @property
    def log(self) -> AuditLog:
        """The node's audit log."""
        ...

    @property
    def caller(self) -> PeerCaller:
        """Calls peers."""
        ...

    @property
    def metrics(self) -> Metrics:
        """The node's metrics."""
        ...

    @property
    def clock(self) -> Clock:
        """The present."""
        ...


def issue_message(
    request: operator_pb2.IssueCodeRequest, snapshot: Snapshot, node: Coding
) -> operator_pb2.IssueCodeResponse:
    """Make a code.

    Raises:
        CallerError: a member of the request is wrong.
        IdentifierError: the identifier is malformed.
        OperatorError: this node has no federation secret.
        RefusedError: ``AUDIT_UNAVAILABLE``; nothing was issued.
    """
    tokens = subject_tokens(request.identifier_type, request.learner_identifier, snapshot)
    terms = CodeTerms(
        subject_token=tokens[0],
        federation_epoch=next(iter(snapshot.secrets)),
        redeeming_node_id=request.redeeming_node_id,
        organisation=request.organisation.strip(),
        answering_node_ids=dict.fromkeys(request.answering_node_ids),
        every_node_may_answer=not request.answering_node_ids,
        purpose=request.purpose,
        kinds=dict.fromkeys(request.kinds),
        consent_minutes=request.consent_minutes or CONSENT_MINUTES_DEFAULT,
        authentication=request.authentication,
    )
    minutes = request.code_minutes or CODE_MINUTES_DEFAULT
    issued = issue_code(terms, minutes, snapshot, node.log, node.clock())
    return operator_pb2.IssueCodeResponse(
        code=issued.code.text, code_id=code_name(issued.code.code_id), expire_ms=unix_ms(issued.expires)
    )


def redeem_message(
    request: operator_pb2.OperatorServiceRedeemCodeRequest, snapshot: Snapshot, node: Coding
) -> operator_pb2.OperatorServiceRedeemCodeResponse:
    """Redeem a code at the node that issued it; that it refused is the response's outcome.

    Raises:
        CallerError: this is no code, or its issuer is not known here.
    """
    code = parse_code(request.code)
    asking = Asking(node.caller, node.log, node.metrics, node.clock)
    response = operator_pb2.OperatorServiceRedeemCodeResponse(outcome=OK, issuing_node_id=code.issuer)
    try:
        response.message.CopyFrom(redeem(code, request.organisation.strip(), snapshot, asking))
    except RefusedByPeerError as refused:
        response.outcome, response.explanation = refused.outcome, refused.message
        response.rule = dict(refused.details.metadata).get("rule", "")
    except PeerFaultError as fault:
        response.outcome, response.explanation = fault.outcome, str(fault)
    except RefusedError as refused:
        response.outcome, response.explanation = refused.reason, refused.message
        response.rule = refused.details.get("rule", "")
    return response


def codes_message(
    request: operator_pb2.ListCodesRequest, snapshot: Snapshot, node: Coding
) -> operator_pb2.ListCodesResponse:
    """List the codes that this node issued, of one learner or all; no secret is kept that it could show.

    Raises:
        IdentifierError: the identifier is malformed.
        StorageError: the database cannot be read.
    """
    tokens = None
    if request.learner_identifier:
        tokens = subject_tokens(request.identifier_type, request.learner_identifier, snapshot)
    return operator_pb2.ListCodesResponse(codes=[_listed(one, node) for one in list_codes(node.log, tokens)])


def revoke_message(request: operator_pb2.RevokeCodeRequest, node: Coding) -> operator_pb2.RevokeCodeResponse:
    """Take back a code.

    Raises:
        CallerError: there is no such code, or it was redeemed.
        RefusedError: ``AUDIT_UNAVAILABLE``; nothing was taken back.
    """
    revoke_code(parse_code_name(request.code_id), node.log, node.clock())
    return operator_pb2.RevokeCodeResponse()


def _listed(one: ListedCode, node: Coding) -> operator_pb2.IssuedCode:
    row = one.row
    listed = operator_pb2.IssuedCode(
        code_id=code_name(row.code_id),
        state=one.state(node.clock()),
        issue_ms=row.issued_at,
        expire_ms=row.expires_at,
        redeemed_by=row.redeemed_by,
        redeem_ms=row.redeemed_at,
        consent_id=row.consent_id,
    )
    if one.terms is not None:
        listed.redeeming_node_id = one.terms.redeeming_node_id
        listed.organisation = one.terms.organisation
        listed.purpose = one.terms.purpose
        listed.kinds.extend(one.terms.kinds)
    return listed
