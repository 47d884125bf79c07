"""What tests of learning codes share: a code of Zhejiang's, and redemptions that may be wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from creditexchange.v1.code_pb2 import (
    CodeRedemption,
    CodeRedemptionBody,
    CodeSecret,
    CodeTerms,
    RedeemCodeRequest,
)
from creditexchange.v1.consent_pb2 import LEARNER_AUTHENTICATION_IN_PERSON
from creditexchange.v1.envelope_pb2 import Header, Opening
from gateway.audit.commitment import LEARNING_CODE, commitment
from gateway.clock import new_id
from gateway.errors import RefusedError
from gateway.exchange.answering.redemptions import answer_redemption
from gateway.exchange.learning_codes import IssuedCode, issue_code
from gateway.exchange.messages import CODE_REDEMPTION_TYPE, REDEEM_CODE
from gateway.learners.subject_token import subject_token
from gateway.policy.learning_code import LearningCode
from gateway.signing.envelope import seal
from tests.federation.simulator import ASKED_KINDS, EMPLOYMENT, LEARNER, SECRET, SimulatedNode, incoming

TOKEN = subject_token(SECRET, "resident-id", LEARNER)


def terms(**changes: object) -> CodeTerms:
    facts: dict[str, object] = {
        "subject_token": TOKEN,
        "federation_epoch": "2026",
        "every_node_may_answer": True,
        "purpose": EMPLOYMENT,
        "kinds": ASKED_KINDS,
        "consent_minutes": 60,
        "authentication": LEARNER_AUTHENTICATION_IN_PERSON,
    }
    return CodeTerms(**(facts | changes))


def issue(node: SimulatedNode, minutes: int = 10, **changes: object) -> IssuedCode:
    return issue_code(terms(**changes), minutes, node.snapshot, node.log, node.clock())


@dataclass
class Attempt:
    """A redemption by ``redeemer`` at ``issuer``, right as it is made; tests make something wrong."""

    issuer: SimulatedNode
    redeemer: SimulatedNode
    code: LearningCode
    organisation: str = "Example Employer"
    exchange_id: bytes = field(default_factory=new_id)
    method: str = REDEEM_CODE
    after_body: bytes = b""

    def __post_init__(self) -> None:
        secret = CodeSecret(code_id=self.code.code_id, secret=self.code.secret)
        self.opening = Opening(item_type=LEARNING_CODE, key=new_id() * 2, item=secret.SerializeToString())
        self.body = CodeRedemptionBody(
            code_commitment=commitment(self.opening), organisation=self.organisation
        )

    def request(self) -> bytes:
        now = self.redeemer.clock()
        header = Header(
            protocol_version=1,
            message_id=new_id(),
            exchange_id=self.exchange_id,
            pair_sequence=1,
            sender=self.redeemer.node_id,
            audience=self.issuer.node_id,
            method=self.method,
        )
        header.issue_time.FromDatetime(now)
        header.expire_time.FromDatetime(now + timedelta(seconds=60))
        body = self.body.SerializeToString() + self.after_body
        payload = CodeRedemption(header=header, body=body).SerializeToString()
        message = seal(payload, CODE_REDEMPTION_TYPE, self.redeemer.snapshot.message_keys)
        return RedeemCodeRequest(message=message, openings=[self.opening]).SerializeToString()

    def send(self, request: bytes | None = None) -> bytes:
        call = incoming(self.issuer, self.redeemer.node_id, method=REDEEM_CODE)
        return answer_redemption(
            request if request is not None else self.request(),
            call,
            self.issuer.snapshot,
            self.issuer.answering,
        )

    def outcome(self, request: bytes | None = None) -> str:
        """``OK``, or reason and rule."""
        try:
            self.send(request)
        except RefusedError as refused:
            return " ".join(filter(None, (refused.reason, refused.details.get("rule", ""))))
        return "OK"
