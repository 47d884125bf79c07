"""The signed echo: opened and admitted like a query, answered with what the caller may ask.

It is not an exchange of records, so it leaves no entry in the audit log; the replay guard
does not need to remember it either, since answering twice changes nothing.
"""

from __future__ import annotations

from creditexchange.v1.exchange_pb2 import (
    EchoAnswer,
    EchoQuery,
    EchoRequest,
    EchoResponse,
    EpochCheck,
    GrantSummary,
)
from creditexchange.v1.reason_pb2 import REASON_AUDIT_UNAVAILABLE, REASON_UNSPECIFIED
from gateway.errors import EnvelopeError, RefusedError
from gateway.exchange.answering.admit import admit_new
from gateway.exchange.answering.answer import Answering
from gateway.exchange.answering.open import open_message
from gateway.exchange.answering.seal import answer_header
from gateway.exchange.messages import ECHO_ANSWER_TYPE, ECHO_QUERY_TYPE, IncomingCall, Snapshot
from gateway.learners.epoch_check import epoch_check
from gateway.policy.grants import Grant
from gateway.signing.envelope import parse, seal

CONTENT_BYTES_MAX = 1024


def _summary(purpose: int, grant: Grant) -> GrantSummary:
    return GrantSummary(
        purpose=purpose,  # type: ignore[arg-type]  # enum values are plain integers outside the stubs
        kinds=sorted(grant.kinds),  # type: ignore[arg-type]
        consent_required=grant.consent_required,
    )


def answer_echo(request: bytes, call: IncomingCall, snapshot: Snapshot, node: Answering) -> bytes:
    """Answer one signed echo.

    Raises:
        RefusedError: as open and admit do.
    """
    try:
        message = parse(EchoRequest, request, "request").message
    except EnvelopeError as error:
        raise error.refusal() from error
    opened = open_message(call, message, EchoQuery, ECHO_QUERY_TYPE, snapshot.roster)
    admit_new(opened, snapshot, node.log)
    if len(opened.payload.content) > CONTENT_BYTES_MAX:
        raise RefusedError(
            "MALFORMED_MESSAGE", "the content is longer than 1,024 bytes.", details={"field": "content"}
        )
    asker, content = opened.signer.node_id, opened.payload.content
    answer = EchoAnswer(
        header=answer_header(opened, snapshot, node.clock(), None),
        content=content,
        grants=[_summary(purpose, grant) for purpose, grant in snapshot.access.of_peer(asker)],
        accepted_card_serial=opened.signer.card.serial,
        federation_epochs=list(snapshot.secrets),
        epoch_checks=[
            EpochCheck(epoch=epoch, check=epoch_check(secret, asker, snapshot.node_id, content))
            for epoch, secret in snapshot.secrets.items()
        ],
        message_bytes_max=snapshot.settings.message_bytes_max,
        card_serial=snapshot.card_serial,
        would_refuse=REASON_AUDIT_UNAVAILABLE if node.log.is_failing else REASON_UNSPECIFIED,
    )
    answer.header.checkpoint = node.log.latest_checkpoint()
    answer.receive_time.FromDatetime(call.received_at)
    sealed = seal(answer.SerializeToString(), ECHO_ANSWER_TYPE, snapshot.message_keys)
    return EchoResponse(message=sealed).SerializeToString()
