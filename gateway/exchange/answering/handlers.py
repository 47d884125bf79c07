"""One handler for each RPC of the peer port: bytes in, bytes out, or a stream of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gateway.audit import Witness
from gateway.combining import Combiner
from gateway.exchange.answering.answer import Answering, Query, answer_queries, answer_query
from gateway.exchange.answering.audit_log import AuditAnswering
from gateway.exchange.answering.bulk import answer_in_bulk
from gateway.exchange.answering.card import answer_card
from gateway.exchange.answering.echo import answer_echo
from gateway.exchange.answering.notices import answer_notice
from gateway.exchange.answering.redemptions import answer_redemption
from gateway.exchange.answering.revocations import answer_revocation, list_revocations
from gateway.exchange.forms import LONE_FORMS
from gateway.exchange.messages import (
    ADD_CHECKPOINT,
    ECHO,
    GET_CARD,
    GET_CHECKPOINT,
    GET_CONSISTENCY_PROOF,
    GET_WITNESSED_CHECKPOINT,
    LIST_REVOCATIONS,
    LIST_SHARED_ENTRIES,
    NOTIFY_CHANGE,
    NOTIFY_ERASURE,
    QUERY_IN_BULK,
    REDEEM_CODE,
    REVOKE_CONSENT,
    IncomingCall,
    Snapshot,
)

Handler = Callable[[bytes, IncomingCall, Snapshot], bytes]
"""Takes the request's bytes, the call and one snapshot; returns the response's bytes."""

StreamHandler = Callable[[bytes, IncomingCall, Snapshot], Iterator[bytes]]
"""The same for an RPC that answers with a stream: yields each response's bytes when it is wanted."""


def stream_handlers(answering: Answering) -> dict[str, StreamHandler]:
    """Return the handlers of RPCs that answer with a stream, by full method name."""
    return {QUERY_IN_BULK: lambda request, call, snapshot: answer_in_bulk(request, call, snapshot, answering)}


def peer_handlers(answering: Answering, witness: Witness) -> dict[str, Handler]:
    """Return the handlers by full method name."""
    audit = AuditAnswering(answering.log, witness)
    return {
        **dict.fromkeys(
            LONE_FORMS, _together(answering) if answering.is_source_at_hand else _alone(answering)
        ),
        ECHO: lambda request, call, snapshot: answer_echo(request, call, snapshot, answering),
        GET_CHECKPOINT: lambda request, _call, _snapshot: audit.get_checkpoint(request),
        GET_CONSISTENCY_PROOF: lambda request, _call, _snapshot: audit.get_consistency_proof(request),
        ADD_CHECKPOINT: lambda request, call, _snapshot: audit.add_checkpoint(
            request, call.peer, call.received_at
        ),
        GET_WITNESSED_CHECKPOINT: lambda request, _call, _snapshot: audit.get_witnessed_checkpoint(request),
        LIST_SHARED_ENTRIES: lambda request, call, _snapshot: audit.list_shared_entries(request, call.peer),
        NOTIFY_ERASURE: lambda request, call, snapshot: answer_notice(request, call, snapshot, answering),
        NOTIFY_CHANGE: lambda request, call, snapshot: answer_notice(request, call, snapshot, answering),
        REVOKE_CONSENT: lambda request, call, snapshot: answer_revocation(request, call, snapshot, answering),
        LIST_REVOCATIONS: lambda request, call, snapshot: list_revocations(
            request, call, snapshot, answering
        ),
        REDEEM_CODE: lambda request, call, snapshot: answer_redemption(request, call, snapshot, answering),
        GET_CARD: lambda request, _call, snapshot: answer_card(request, snapshot),
    }


def _together(node: Answering) -> Handler:
    """Return what answers all queries that wait at once."""
    waiting: Combiner[Query, bytes] = Combiner(lambda queries: answer_queries(queries, node))
    return lambda request, call, snapshot: waiting.submit(Query(request, call, snapshot))


def _alone(node: Answering) -> Handler:
    """Return what answers each query on its own thread: none waits for what another one looks up."""
    return lambda request, call, snapshot: answer_query(request, call, snapshot, node)
