"""Messages of the operator port as JSON of the API."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from creditexchange.v1 import archive_pb2, operator_pb2
from creditexchange.v1.envelope_pb2 import SignedMessage
from gateway.clock import from_unix_ms
from gateway.errors import EnvelopeError, RefusedError
from gateway.policy.consent import CONSENT_TYPE, read_consent
from gateway.policy.purposes import kind_word, purpose_word
from gateway.signing import dsse
from gateway.web.archive_api.models import Dsse
from gateway.web.archive_api.problems import ProblemError
from gateway.web.archives.searches import Search

EVERY_NODE = "all"


def peer_view(result: archive_pb2.PeerResult) -> dict[str, Any]:
    """Return what one node gave."""
    return {
        "node": result.node_id,
        "outcome": result.outcome,
        "explanation": result.explanation,
        "record_count": result.record_count,
        "milliseconds": result.elapsed_ms,
        "exchange": result.exchange_id.hex(),
        "receipt_verified": result.receipt_verified,
    }


def search_view(search: Search) -> dict[str, Any]:
    """Return where a search stands."""
    is_done = search.is_done  # read first: what is called done must have everything
    return {
        "id": search.name,
        "state": "failed" if search.problem else "done" if is_done else "running",
        "problem": search.problem,
        "record_count": len(search.records()),
        "peers": [peer_view(part.peer) for part in search.parts()],
    }


def consent_view(row: operator_pb2.IssuedConsent, now_ms: int) -> dict[str, Any]:
    """Return a consent; what it permits is null once it was erased."""
    state = "revoked" if row.is_revoked else "ended" if row.end_ms <= now_ms else "live"
    shown: dict[str, Any] = {
        "id": row.consent_id.hex(),
        "state": state,
        "issued": moment(row.issue_ms),
        "until": moment(row.end_ms),
    }
    nothing = dict.fromkeys(("asker", "organisation", "answerers", "purpose", "kinds", "message"))
    return shown | (signed_view(row.message) if row.HasField("message") else nothing)


def signed_view(message: SignedMessage) -> dict[str, Any]:
    """Return what a signed consent says, and the consent itself."""
    consent = read_consent(message)
    return {
        "asker": consent.asking_node_id,
        "organisation": consent.asking_organisation,
        "answerers": [EVERY_NODE] if consent.every_node_may_answer else list(consent.answering_node_ids),
        "purpose": purpose_word(consent.purpose),
        "kinds": [kind_word(kind) for kind in consent.kinds],
        "message": json.loads(dsse.to_json(message)),
    }


def granted_view(message: SignedMessage) -> dict[str, Any]:
    """Return a consent that was just signed."""
    consent = read_consent(message)
    return {
        "id": consent.consent_id.hex(),
        "state": "live",
        "issued": None,
        "until": _iso(consent.end_time.ToDatetime(UTC)),
    } | signed_view(message)


def code_view(code: operator_pb2.IssuedCode) -> dict[str, Any]:
    """Return a learning code that was issued."""
    return {
        "id": code.code_id,
        "state": code.state,
        "issued": moment(code.issue_ms),
        "expires": moment(code.expire_ms),
        "redeemed_by": code.redeemed_by,
        "redeemed": moment(code.redeem_ms) if code.redeem_ms else None,
        "consent": code.consent_id.hex(),
        "organisation": code.organisation,
        "purpose": purpose_word(code.purpose) if code.purpose else "",
        "kinds": [kind_word(kind) for kind in code.kinds],
    }


def access_view(access: archive_pb2.Access) -> dict[str, Any]:
    """Return one entry about a learner."""
    return {
        "index": access.index,
        "time": moment(access.log_ms),
        "kind": access.kind,
        "action": access.action,
        "asker": access.asking_node_id,
        "answerer": access.answering_node_id,
        "peer": access.peer_node_id,
        "purpose": access.purpose,
        "outcome": access.outcome,
        "record_count": access.record_count,
        "exchange": access.exchange_id.hex(),
    }


def redemption_view(redeemed: operator_pb2.OperatorServiceRedeemCodeResponse) -> dict[str, Any]:
    """Return the consent that a code became."""
    consent = read_consent(redeemed.message)
    return {
        "issuer": redeemed.issuing_node_id,
        "consent": json.loads(dsse.to_json(redeemed.message)),
        "until": _iso(consent.end_time.ToDatetime(UTC)),
        "purpose": purpose_word(consent.purpose),
        "kinds": [kind_word(kind) for kind in consent.kinds],
    }


def consent_of(given: Dsse) -> SignedMessage:
    """Return a consent that a caller brings; nothing is verified yet.

    Raises:
        ProblemError: it is none.
    """
    try:
        message = dsse.from_json(given.model_dump_json().encode())
        if message.payload_type == CONSENT_TYPE:
            read_consent(message)
            return message
    except (EnvelopeError, RefusedError, ValueError) as error:
        raise ProblemError("invalid-argument", "consent: it is none.") from error
    raise ProblemError("invalid-argument", "consent: it is none.")


def moment(milliseconds: int) -> str:
    """Return an instant as RFC 3339."""
    return _iso(from_unix_ms(milliseconds))


def _iso(instant: datetime) -> str:
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
