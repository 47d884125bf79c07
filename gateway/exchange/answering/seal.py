"""Step 7, seal: sign the answer, bound to the request and carrying the audit receipt."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from creditexchange.v1.envelope_pb2 import Header, Receipt
from gateway.clock import new_id
from gateway.exchange.forms import QUERY_FORMS
from gateway.exchange.messages import Logged, Opened, Sealed, Snapshot
from gateway.signing.envelope import seal as seal_envelope


def seal(logged: Logged, snapshot: Snapshot, now: datetime) -> Sealed:
    """Return the signed answer to the query that was logged."""
    opened = logged.translated.found.authorised.admitted.opened
    form = QUERY_FORMS[opened.call.method]
    header = answer_header(opened, snapshot, now, logged.receipt)
    answer = form.answer(header=header, body=logged.body, receipt=logged.receipt)
    message = seal_envelope(answer.SerializeToString(), form.answer_type, snapshot.message_keys)
    # Fields of a message may follow one another in any number of pieces (protobuf, "Last one wins"); here
    # they stand in the order in which one piece would have them.
    return Sealed(logged, form.response(message=message).SerializeToString() + logged.openings)


def answer_header(opened: Opened[Any], snapshot: Snapshot, now: datetime, receipt: Receipt | None) -> Header:
    """Return the header of an answer or refusal: bound to the request's id and signed bytes."""
    header = Header(
        protocol_version=snapshot.settings.versions.of_answer_to(opened.header.protocol_version),
        message_id=new_id(),
        exchange_id=opened.header.exchange_id,
        pair_sequence=opened.header.pair_sequence,
        sender=snapshot.node_id,
        audience=opened.signer.node_id,
        method=opened.call.method,
        checkpoint=receipt.checkpoint if receipt is not None else "",
        in_reply_to=opened.header.message_id,
        request_digest=opened.digest,
    )
    header.issue_time.FromDatetime(now)
    header.expire_time.FromDatetime(now + timedelta(seconds=snapshot.settings.window_s))
    return header
