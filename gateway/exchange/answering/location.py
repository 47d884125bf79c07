"""Of which kinds something is held: what an asker needs to know to ask only where it pays."""

from __future__ import annotations

from hashlib import sha256

from creditexchange.v1.exchange_pb2 import LocationAnswerBody
from gateway.exchange.messages import Translated


def location_answer(translated: Translated) -> LocationAnswerBody:
    """Return the kinds of the learner's records, among those that were asked for; ascending, each once."""
    found = translated.found
    held = {record.kind for records in found.records for record in records}
    return LocationAnswerBody(
        held_kinds=sorted(held),  # type: ignore[arg-type]
        query_body_digest=sha256(found.authorised.admitted.opened.payload.body).digest(),
    )
