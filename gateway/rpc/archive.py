"""ArchiveService on the operator port: what local applications and the command line call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from creditexchange.v1 import archive_pb2
from creditexchange.v1.exchange_pb2 import CertificateReference
from creditexchange.v1.record_pb2 import RECORD_STATE_UNSPECIFIED
from gateway.errors import CallerError, PeerFaultError, RefusedError
from gateway.exchange.asking.ask import ask, ask_each, gather, present
from gateway.exchange.asking.ask_peer import Asking
from gateway.exchange.asking.check import check_peer
from gateway.exchange.asking.one_by_one import ask_each_until_found, ask_until_found
from gateway.exchange.asking.question import Archive, PeerResult, Progress, Question
from gateway.exchange.messages import Snapshot
from gateway.learners.identifier import RESIDENT_ID
from gateway.policy.consent import read_consent
from gateway.rpc.accesses import accesses_message
from gateway.rpc.archive_messages import (
    kinds_of,
    peer_message,
    peers_of,
    record_message,
    require_purpose,
)
from gateway.rpc.bulk_archive import bulk_messages
from gateway.rpc.exports import Exports, export_message, own_message
from gateway.rpc.heard_changes import heard_changes_message
from gateway.rpc.local_calls import LocalCalls, LocalRpcs
from gateway.rpc.methods import DEADLINE_S_MAX


def archive_of(
    request: archive_pb2.SearchRecordsRequest,
    snapshot: Snapshot,
    node: Asking,
    *,
    certificate: CertificateReference | None = None,
    is_locating: bool = False,
) -> Archive:
    """Ask the federation as ``request`` says: for records, about one certificate, or where there are any.

    Raises:
        CallerError: a member of the request is wrong; the text names it.
        OperatorError: this node cannot ask.
    """
    question = _question(request, snapshot, certificate, is_locating=is_locating)
    return (ask_until_found if request.stops_when_found else ask)(question, snapshot, node)


def search_events(
    request: archive_pb2.FollowSearchRequest, snapshot: Snapshot, node: Asking
) -> Iterator[archive_pb2.FollowSearchResponse]:
    """Ask as :func:`archive_of` and yield what happens; the last event is the archive. Raises as that."""
    results = []
    asked = ask_each_until_found if request.search.stops_when_found else ask_each
    for item in asked(_question(request.search, snapshot), snapshot, node):
        if isinstance(item, PeerResult):
            results.append(item)
            entries = [record_message(entry) for entry in present([item], snapshot)]
            part = archive_pb2.SearchRecordsResponse(peers=[peer_message(item)], records=entries)
            yield archive_pb2.FollowSearchResponse(part=part)
        else:
            yield archive_pb2.FollowSearchResponse(progress=_progress_message(item))
    yield archive_pb2.FollowSearchResponse(archive=archive_message(gather(results, snapshot, node)))


def _question(
    request: archive_pb2.SearchRecordsRequest,
    snapshot: Snapshot,
    certificate: CertificateReference | None = None,
    *,
    is_locating: bool = False,
) -> Question:
    require_purpose(request.purpose, request.legal_basis)
    epoch, token = _learner_of_consent(request)
    return Question(
        identifier_type=request.identifier_type or RESIDENT_ID,
        learner_identifier=request.learner_identifier,
        purpose=request.purpose,
        kinds=kinds_of(list(request.kinds)),
        peers=peers_of(list(request.peers), snapshot),
        legal_basis=request.legal_basis,
        deadline_s=min(request.deadline_ms / 1000, DEADLINE_S_MAX) if request.deadline_ms else None,
        certificate=certificate,
        is_locating=is_locating,
        consent=request.consent if request.HasField("consent") else None,
        is_narrowed=not request.kinds,
        is_even_in_maintenance=request.even_in_maintenance,
        subject_token=token,
        federation_epoch=epoch,
    )


def _learner_of_consent(request: archive_pb2.SearchRecordsRequest) -> tuple[str, bytes]:
    """Return whom the consent names when the request names nobody: the learner of a redeemed code."""
    if request.learner_identifier or not request.HasField("consent"):
        return "", b""
    try:
        consent = read_consent(request.consent)
    except RefusedError as error:
        raise CallerError("consent: it is none.") from error
    return consent.federation_epoch, consent.subject_token


def archive_message(archive: Archive) -> archive_pb2.SearchRecordsResponse:
    """Return ``archive`` as a message."""
    return archive_pb2.SearchRecordsResponse(
        peers=[peer_message(result) for result in archive.peers],
        records=[record_message(entry) for entry in archive.records],
    )


def certificate_message(
    request: archive_pb2.CheckCertificateRequest, snapshot: Snapshot, node: Asking
) -> archive_pb2.CheckCertificateResponse:
    """Ask the chosen peers whether one certificate is valid; raises as :func:`archive_of`."""
    if not (request.certificate.number and request.certificate.issuer):
        raise CallerError("certificate: number and issuer are needed.")
    archive = archive_of(request.search, snapshot, node, certificate=request.certificate)
    return archive_pb2.CheckCertificateResponse(
        results=[
            archive_pb2.CertificateResult(
                peer=peer_message(result),
                state=result.certificate.state if result.certificate else RECORD_STATE_UNSPECIFIED,
            )
            for result in archive.peers
        ]
    )


def location_message(
    request: archive_pb2.ArchiveServiceLocateRecordsRequest, snapshot: Snapshot, node: Asking
) -> archive_pb2.ArchiveServiceLocateRecordsResponse:
    """Ask the chosen peers of which kinds they hold something; raises as :func:`archive_of`."""
    archive = archive_of(request.search, snapshot, node, is_locating=True)
    return archive_pb2.ArchiveServiceLocateRecordsResponse(
        results=[
            archive_pb2.LocationResult(
                peer=peer_message(result),
                held_kinds=result.held_kinds,  # type: ignore[arg-type]
            )
            for result in archive.peers
        ]
    )


def check_message(node_id: str, snapshot: Snapshot, node: Asking) -> archive_pb2.CheckPeerResponse:
    """Return what a signed echo of peer ``node_id`` shows, or why there was none.

    Raises:
        CallerError: the peer is unknown.
    """
    (peer,) = peers_of([node_id], snapshot)
    try:
        check = check_peer(peer, snapshot, node, snapshot.settings.deadline_s)
    except PeerFaultError as fault:
        return archive_pb2.CheckPeerResponse(outcome=fault.outcome, explanation=str(fault))
    return archive_pb2.CheckPeerResponse(
        outcome="OK",
        elapsed_ms=round(check.elapsed_s * 1000),
        clock_offset_ms=round(check.clock_offset.total_seconds() * 1000),
        grants=check.grants,
        accepted_card_serial=check.accepted_card_serial,
        federation_epochs=check.federation_epochs,
    )


@dataclass(frozen=True)
class ArchiveServicer:
    """The handlers of ArchiveService."""

    snapshot: Callable[[], Snapshot]
    node: Callable[[], Asking]
    calls: LocalCalls
    exports: Exports

    def rpcs(self) -> LocalRpcs:
        """Return the handlers by method name."""
        return {
            "SearchRecords": self.calls.guarded(
                archive_pb2.SearchRecordsRequest,
                lambda request: archive_message(archive_of(request, self.snapshot(), self.node())),
            ),
            "FollowSearch": self.calls.guarded_stream(
                archive_pb2.FollowSearchRequest,
                lambda request: search_events(request, self.snapshot(), self.node()),
            ),
            "SearchRecordsInBulk": self.calls.guarded_stream(
                archive_pb2.SearchRecordsInBulkRequest,
                lambda request: bulk_messages(request, self.snapshot(), self.node()),
            ),
            "CheckCertificate": self.calls.guarded(
                archive_pb2.CheckCertificateRequest,
                lambda request: certificate_message(request, self.snapshot(), self.node()),
            ),
            "LocateRecords": self.calls.guarded(
                archive_pb2.ArchiveServiceLocateRecordsRequest,
                lambda request: location_message(request, self.snapshot(), self.node()),
            ),
            "ListHeardChanges": self.calls.guarded(
                archive_pb2.ListHeardChangesRequest,
                lambda request: heard_changes_message(request, self.node()),
            ),
            "CheckPeer": self.calls.guarded(
                archive_pb2.CheckPeerRequest,
                lambda request: check_message(request.node_id, self.snapshot(), self.node()),
            ),
            "ListAccesses": self.calls.guarded(
                archive_pb2.ListAccessesRequest,
                lambda request: accesses_message(request, self.snapshot(), self.node()),
            ),
            "ListOwnRecords": self.calls.guarded(
                archive_pb2.ListOwnRecordsRequest,
                lambda request: own_message(request, self.snapshot(), self.exports),
            ),
            "ExportArchive": self.calls.guarded(
                archive_pb2.ExportArchiveRequest,
                lambda request: export_message(request, self.snapshot(), self.exports),
            ),
        }


def _progress_message(progress: Progress) -> archive_pb2.PeerProgress:
    state = archive_pb2.PeerState.Value(f"PEER_STATE_{progress.state.upper().replace(' ', '_')}")
    return archive_pb2.PeerProgress(
        node_id=progress.node_id, state=state, attempt=progress.attempt, remark=progress.remark
    )
