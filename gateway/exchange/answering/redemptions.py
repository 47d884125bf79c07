"""LearningCodeService: turns a code that this node issued into a consent for the caller, once.

A redemption is opened and admitted like a query. It is no exchange of records: what it leaves in the log
is the entry about the consent (``consent-grant``), or about a code that was presented and not good.
"""

from __future__ import annotations

import hmac
from hashlib import sha256

from creditexchange.v1.code_pb2 import (
    CodeRedemption,
    CodeRedemptionAnswer,
    CodeRedemptionAnswerBody,
    CodeRedemptionBody,
    CodeSecret,
    RedeemCodeRequest,
    RedeemCodeResponse,
)
from creditexchange.v1.envelope_pb2 import Opening
from gateway.audit import SeenMessage
from gateway.audit.commitment import LEARNING_CODE, commitment
from gateway.errors import EnvelopeError
from gateway.exchange.answering.admit import admit_new
from gateway.exchange.answering.answer import Answering
from gateway.exchange.answering.open import open_message
from gateway.exchange.answering.seal import answer_header
from gateway.exchange.learning_codes import Redemption, redeem_code
from gateway.exchange.messages import (
    CODE_REDEMPTION_ANSWER_TYPE,
    CODE_REDEMPTION_TYPE,
    DIGEST_BYTES,
    IncomingCall,
    Snapshot,
)
from gateway.policy.consent import ORGANISATION_CHARACTERS_MAX
from gateway.policy.learning_code import CODE_ID_BYTES, SECRET_BYTES
from gateway.signing.envelope import parse, parse_strictly, seal


def answer_redemption(request: bytes, call: IncomingCall, snapshot: Snapshot, node: Answering) -> bytes:
    """Redeem one code for the caller.

    Raises:
        RefusedError: as open and admit do, ``MALFORMED_MESSAGE``, ``COMMITMENT_MISMATCH``, or as
            :func:`gateway.exchange.learning_codes.redeem_code` does.
    """
    try:
        envelope = parse(RedeemCodeRequest, request, "request")
        opened = open_message(call, envelope.message, CodeRedemption, CODE_REDEMPTION_TYPE, snapshot.roster)
        admitted = admit_new(opened, snapshot, node.log)
        body = parse_strictly(CodeRedemptionBody, opened.payload.body, "body")
        secret = _secret_of(body, list(envelope.openings))
    except EnvelopeError as error:
        raise error.refusal() from error
    wanted = Redemption(
        code_id=secret.code_id,
        secret=secret.secret,
        redeemer=opened.signer.node_id,
        organisation=body.organisation,
        digest=redemption_digest(opened.header.exchange_id, opened.payload.body),
        seen=SeenMessage(opened.header.message_id, admitted.expires_at),
    )
    consent = redeem_code(wanted, snapshot, node.log, call.received_at)
    answer = CodeRedemptionAnswer(
        header=answer_header(opened, snapshot, node.clock(), None),
        body=CodeRedemptionAnswerBody(consent_commitment=commitment(consent)).SerializeToString(),
    )
    sealed = seal(answer.SerializeToString(), CODE_REDEMPTION_ANSWER_TYPE, snapshot.message_keys)
    return RedeemCodeResponse(message=sealed, openings=[consent]).SerializeToString()


def redemption_digest(exchange_id: bytes, body: bytes) -> bytes:
    """Return what tells a retry from another redemption, 32 bytes."""
    return sha256(exchange_id + body).digest()


def _secret_of(body: CodeRedemptionBody, openings: list[Opening]) -> CodeSecret:
    """Return the code, after its opening led to what was signed."""
    if len(body.code_commitment) != DIGEST_BYTES:
        raise EnvelopeError(
            "MALFORMED_MESSAGE", "code_commitment is 32 bytes long.", field="body.code_commitment"
        )
    organisation = body.organisation
    if len(organisation) > ORGANISATION_CHARACTERS_MAX or not (
        organisation.isprintable() or not organisation
    ):
        raise EnvelopeError(
            "MALFORMED_MESSAGE", "the organisation is not printable.", field="body.organisation"
        )
    if len(openings) != 1 or openings[0].item_type != LEARNING_CODE:
        raise EnvelopeError("COMMITMENT_MISMATCH", "one opening of a learning code is needed.")
    if not hmac.compare_digest(commitment(openings[0]), body.code_commitment):
        raise EnvelopeError("COMMITMENT_MISMATCH", "the code is not the one that was committed to.")
    secret = parse_strictly(CodeSecret, openings[0].item, "code")
    if (len(secret.code_id), len(secret.secret)) != (CODE_ID_BYTES, SECRET_BYTES):
        raise EnvelopeError("MALFORMED_MESSAGE", "the code is 5 and 10 bytes long.", field="openings")
    return secret
