"""OperatorService on the operator port: acts of the operator that write into the audit log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import cast

from creditexchange.v1 import operator_pb2
from gateway.audit import AuditLog, EntryError, Witness, management_entry
from gateway.audit.entry import Action
from gateway.audit.erasure import LEARNER_REQUEST, Erased, erase_expired, erase_learner
from gateway.clock import Clock
from gateway.doctor.diagnose import Doctor
from gateway.doctor.tls import LeafSource
from gateway.errors import CallerError, PeerFaultError
from gateway.exchange.asking.ask_peer import Asking
from gateway.exchange.asking.audit_log import PeerAudit
from gateway.exchange.messages import Snapshot
from gateway.peers.caller import PeerCaller
from gateway.peers.reach import Reaches
from gateway.rpc.archive_messages import peers_of
from gateway.rpc.diagnosis import diagnosis_events
from gateway.rpc.issued_consents import (
    consents_message,
    grant_message,
    subject_tokens,
    withdraw_held,
    withdraw_message,
)
from gateway.rpc.learning_codes import codes_message, issue_message, redeem_message, revoke_message
from gateway.rpc.loaded_files import Loaded, loaded_message
from gateway.rpc.local_calls import LocalCalls, LocalRpcs
from gateway.rpc.peer_reach import clear_message, reach_message
from gateway.telemetry.metrics import Metrics
from gateway.upkeep.consent_revocations import ConsentRevocations
from gateway.upkeep.notices import Notices
from gateway.upkeep.reconciling import SETTLE_S, Reconciling
from gateway.upkeep.witnessing import Witnessing

ACCESS_ACTIONS = ("evidence-opened", "subject-access")


@dataclass(frozen=True)
class Operating:
    """What the operator's acts work with, beside the snapshot that each call gets."""

    log: AuditLog
    witness: Witness
    witnessing: Witnessing
    notices: Notices
    revocations: ConsentRevocations
    caller: PeerCaller
    reaches: Reaches
    metrics: Metrics
    clock: Clock
    leaf: LeafSource
    """This node's TLS certificate and key, for handshakes outside gRPC."""
    loaded: Callable[[], Loaded] = field(default=Loaded)
    """Which configuration the node works with."""


def reconcile_message(
    request: operator_pb2.ReconcileRequest, snapshot: Snapshot, node: Operating
) -> operator_pb2.ReconcileResponse:
    """Compare one page of the log with a peer's; what the peer did wrong is the response's outcome.

    Raises:
        CallerError: the peer is unknown.
        RefusedError: ``AUDIT_UNAVAILABLE``.
    """
    (peer,) = peers_of([request.node_id], snapshot)
    settle_s = request.settle_ms / 1000 or SETTLE_S
    reconciling = Reconciling(node.log, node.witness, snapshot.node_id, node.clock, settle_s)
    since_ms = request.since_ms if request.begin else None
    try:
        audit = PeerAudit(peer, node.caller, snapshot.settings.deadline_s)
        step = reconciling.step(audit, since_ms=since_ms)
    except PeerFaultError as fault:
        return operator_pb2.ReconcileResponse(outcome=fault.outcome, explanation=str(fault))
    node.metrics.reconcile_findings.labels(peer.node_id).set(step.findings)
    if step.done:
        node.metrics.state.reconciled.labels(peer.node_id).set(node.clock().timestamp())
    return operator_pb2.ReconcileResponse(
        their_index=step.their_index,
        their_size=step.their_size,
        matched=step.matched,
        findings=step.findings,
        done=step.done,
        outcome="OK",
    )


def witness_message(node: Operating) -> operator_pb2.WitnessResponse:
    """Run one round of witnessing now."""
    node.witnessing.round()
    return operator_pb2.WitnessResponse(conflicts=len(node.witness.conflicts()))


def held_message(snapshot: Snapshot, node: Operating) -> operator_pb2.ListHeldCheckpointsResponse:
    """Ask every active peer for what it has cosigned last of this log."""
    response = operator_pb2.ListHeldCheckpointsResponse()
    for peer in snapshot.roster.peers.values():
        holder = response.holders.add(node_id=peer.node_id, outcome="OK")
        try:
            audit = PeerAudit(peer, node.caller, snapshot.settings.deadline_s)
            holder.checkpoint = audit.witnessed_checkpoint(node.log.origin)
        except PeerFaultError as fault:
            holder.outcome = fault.outcome
    return response


def erase_message(
    request: operator_pb2.EraseRequest, snapshot: Snapshot, node: Operating
) -> operator_pb2.EraseResponse:
    """Erase openings and tell the peers.

    Raises:
        CallerError: neither a learner nor a time, or both; a malformed identifier or reason.
        RefusedError: ``AUDIT_UNAVAILABLE``; nothing was erased.
    """
    if bool(request.learner_identifier) == bool(request.expired_before_ms):
        raise CallerError("name a learner, or a time before which retention ended; not both.")
    erased = _erase(request, snapshot, node)
    if erased.notices:
        node.notices.deliver(snapshot)
    return operator_pb2.EraseResponse(parts=erased.parts, notices=erased.notices, is_gone=erased.is_gone)


def note_access(request: operator_pb2.NoteAccessRequest, node: Operating) -> operator_pb2.NoteAccessResponse:
    """Log that evidence was looked at.

    Raises:
        CallerError: the action or reason is malformed.
        RefusedError: ``AUDIT_UNAVAILABLE``.
    """
    if request.action not in ACCESS_ACTIONS:
        raise CallerError(
            "action: it is not on the list.", remedy=f"Use one of: {', '.join(ACCESS_ACTIONS)}."
        )
    try:
        entry = management_entry(
            cast("Action", request.action),
            reason=request.reason,
            count=request.count,
            exchange_id=request.exchange_id,
        )
    except EntryError as error:
        raise CallerError(f"reason: {error.message}") from error
    return operator_pb2.NoteAccessResponse(index=node.log.append(entry).index)


def diagnose_peer(
    request: operator_pb2.DiagnosePeerRequest, snapshot: Snapshot, node: Operating
) -> Iterator[operator_pb2.DiagnosePeerResponse]:
    """Yield the steps and the verdict of a diagnosis.

    Raises:
        CallerError: the peer is unknown.
    """
    asking = Asking(node.caller, node.log, node.metrics, node.clock)
    return diagnosis_events(request, Doctor(snapshot, asking, node.leaf))


@dataclass(frozen=True)
class OperatorServicer:
    """The handlers of OperatorService."""

    snapshot: Callable[[], Snapshot]
    node: Operating
    calls: LocalCalls

    def rpcs(self) -> LocalRpcs:
        """Return the handlers by method name."""
        return {
            "Reconcile": self.calls.guarded(
                operator_pb2.ReconcileRequest,
                lambda request: reconcile_message(request, self.snapshot(), self.node),
            ),
            "Witness": self.calls.guarded(
                operator_pb2.WitnessRequest, lambda _request: witness_message(self.node)
            ),
            "ListHeldCheckpoints": self.calls.guarded(
                operator_pb2.ListHeldCheckpointsRequest,
                lambda _request: held_message(self.snapshot(), self.node),
            ),
            "Erase": self.calls.guarded(
                operator_pb2.EraseRequest,
                lambda request: erase_message(request, self.snapshot(), self.node),
            ),
            "ListReach": self.calls.guarded(
                operator_pb2.ListReachRequest,
                lambda _request: reach_message(self.snapshot(), self.node.reaches),
            ),
            "ClearReach": self.calls.guarded(
                operator_pb2.ClearReachRequest,
                lambda request: clear_message(request, self.snapshot(), self.node.reaches),
            ),
            "ListLoadedFiles": self.calls.guarded(
                operator_pb2.ListLoadedFilesRequest, lambda _request: loaded_message(self.node.loaded())
            ),
            "NoteAccess": self.calls.guarded(
                operator_pb2.NoteAccessRequest,
                lambda request: note_access(request, self.node),
            ),
            "GrantConsent": self.calls.guarded(
                operator_pb2.GrantConsentRequest,
                lambda request: grant_message(request, self.snapshot(), self.node),
            ),
            "WithdrawConsent": self.calls.guarded(
                operator_pb2.WithdrawConsentRequest,
                lambda request: withdraw_message(request, self.snapshot(), self.node),
            ),
            "ListIssuedConsents": self.calls.guarded(
                operator_pb2.ListIssuedConsentsRequest,
                lambda request: consents_message(request, self.snapshot(), self.node),
            ),
            "DiagnosePeer": self.calls.guarded_stream(
                operator_pb2.DiagnosePeerRequest,
                lambda request: diagnose_peer(request, self.snapshot(), self.node),
            ),
            "IssueCode": self.calls.guarded(
                operator_pb2.IssueCodeRequest,
                lambda request: issue_message(request, self.snapshot(), self.node),
            ),
            "RedeemCode": self.calls.guarded(
                operator_pb2.OperatorServiceRedeemCodeRequest,
                lambda request: redeem_message(request, self.snapshot(), self.node),
            ),
            "ListCodes": self.calls.guarded(
                operator_pb2.ListCodesRequest,
                lambda request: codes_message(request, self.snapshot(), self.node),
            ),
            "RevokeCode": self.calls.guarded(
                operator_pb2.RevokeCodeRequest, lambda request: revoke_message(request, self.node)
            ),
        }


def _erase(request: operator_pb2.EraseRequest, snapshot: Snapshot, node: Operating) -> Erased:
    if request.expired_before_ms:
        return erase_expired(node.log, node.clock, request.expired_before_ms)
    tokens = subject_tokens(request.identifier_type, request.learner_identifier, snapshot)
    withdraw_held(tokens, snapshot, node)
    try:
        return erase_learner(node.log, node.clock, tokens, request.reason or LEARNER_REQUEST)
    except EntryError as error:
        raise CallerError(f"reason: {error.message}") from error
