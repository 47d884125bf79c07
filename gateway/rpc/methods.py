"""One row an RPC of the peer port. A method without a row is not served; start fails on a missing handler."""

from __future__ import annotations

from dataclasses import dataclass

from creditexchange.v1 import audit_pb2, change_pb2, code_pb2, consent_pb2, exchange_pb2, node_pb2
from gateway.exchange.messages import (
    ADD_CHECKPOINT,
    ECHO,
    GET_CARD,
    GET_CHECKPOINT,
    GET_CONSISTENCY_PROOF,
    GET_WITNESSED_CHECKPOINT,
    LIST_REVOCATIONS,
    LIST_SHARED_ENTRIES,
    LOCATE_RECORDS,
    NOTIFY_CHANGE,
    NOTIFY_ERASURE,
    QUERY_IN_BULK,
    QUERY_RECORDS,
    REDEEM_CODE,
    REVOKE_CONSENT,
    VERIFY_CERTIFICATE,
)

DEADLINE_S_MAX = 30
DEADLINE_S_MIN = 0.02
"""With less time left than this, nothing is begun."""


@dataclass(frozen=True, slots=True)
class Method:
    """What holds for one RPC."""

    name: str
    """Full method name."""
    is_logged: bool
    """Whether each call leaves an entry in the audit log."""


METHODS = (
    Method(QUERY_RECORDS, is_logged=True),
    Method(QUERY_IN_BULK, is_logged=True),
    Method(VERIFY_CERTIFICATE, is_logged=True),
    Method(LOCATE_RECORDS, is_logged=True),
    Method(ECHO, is_logged=False),
    Method(GET_CHECKPOINT, is_logged=False),
    Method(GET_CONSISTENCY_PROOF, is_logged=False),
    Method(ADD_CHECKPOINT, is_logged=False),
    Method(GET_WITNESSED_CHECKPOINT, is_logged=False),
    Method(LIST_SHARED_ENTRIES, is_logged=False),
    Method(NOTIFY_ERASURE, is_logged=True),
    Method(NOTIFY_CHANGE, is_logged=True),
    Method(REVOKE_CONSENT, is_logged=True),
    Method(LIST_REVOCATIONS, is_logged=False),
    Method(REDEEM_CODE, is_logged=True),
    Method(GET_CARD, is_logged=False),
)
"""Every RPC of the peer port."""


def declared_methods() -> frozenset[str]:
    """Return the full names of all RPCs that the contract declares for peers."""
    services = (
        exchange_pb2.DESCRIPTOR.services_by_name["RecordExchangeService"],
        audit_pb2.DESCRIPTOR.services_by_name["AuditLogService"],
        change_pb2.DESCRIPTOR.services_by_name["ChangeNoticeService"],
        consent_pb2.DESCRIPTOR.services_by_name["ConsentService"],
        code_pb2.DESCRIPTOR.services_by_name["LearningCodeService"],
        node_pb2.DESCRIPTOR.services_by_name["NodeService"],
    )
    return frozenset(
        f"/{service.full_name}/{method.name}" for service in services for method in service.methods
    )
