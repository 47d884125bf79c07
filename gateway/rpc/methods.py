"""One row an RPC of the peer port. A method without a row is not served; start fails on a missing handler."""

from __future__ import annotations

from dataclasses import dataclass

from creditexchange.v1 import exchange_pb2
from gateway.exchange.messages import ECHO, QUERY_RECORDS

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
    Method(ECHO, is_logged=False),
)
"""Every RPC of RecordExchangeService."""


def declared_methods() -> frozenset[str]:
    """Return the full names of all RPCs that the contract declares for peers."""
    service = exchange_pb2.DESCRIPTOR.services_by_name["RecordExchangeService"]
    return frozenset(f"/{service.full_name}/{method.name}" for method in service.methods)
