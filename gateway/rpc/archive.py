"""ArchiveService on the operator port: what local applications and the command line call."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

from creditexchange.v1 import archive_pb2
from creditexchange.v1.exchange_pb2 import CertificateReference
from creditexchange.v1.record_pb2 import RECORD_STATE_UNSPECIFIED
from gateway.errors import CallerError, PeerFaultError
from gateway.exchange.asking.ask import ask, ask_each, gather, present
from gateway.exchange.asking.ask_peer import Asking
from gateway.exchange.asking.check import check_peer
from gateway.exchange.asking.question import Archive, ArchiveEntry, PeerResult, Progress, Question
from gateway.exchange.messages import Snapshot
from gateway.learners.identifier import RESIDENT_ID
from gateway.peers.roster import Peer
from gateway.policy.purposes import KINDS, LEGAL_BASES, PURPOSES
from gateway.rpc.local_calls import LocalCalls, LocalClient, LocalRpcs
from gateway.rpc.methods import DEADLINE_S_MAX
from gateway.rpc.server import ARCHIVE_SERVICE


def archive_of(
    request: archive_pb2.SearchRecordsRequest,
    snapshot: Snapshot,
    node: Asking,
    certificate: CertificateReference | None = None,
) -> Archive:
    """Ask the federation as ``request`` says, about one ``certificate`` alone if it is given.

    Raises:
        CallerError: a member of the request is wrong; the text names it.
        OperatorError: this node cannot ask.
    """
    return ask(_question(request, snapshot, certificate), snapshot, node)


def search_events(
    request: archive_pb2.FollowSearchRequest, snapshot: Snapshot, node: Asking
) -> Iterator[archive_pb2.FollowSearchResponse]:
    """Ask as :func:`archive_of` and yield what happens; the last event is the archive. Raises as that."""
    results = []
    for item in ask_each(_question(request.search, snapshot), snapshot, node):
        if isinstance(item, PeerResult):
            results.append(item)
            entries = [_record_message(entry) for entry in present([item], snapshot)]
            part = archive_pb2.SearchRecordsResponse(peers=[_peer_message(item)], records=entries)
            yield archive_pb2.FollowSearchResponse(part=part)
        else:
            yield archive_pb2.FollowSearchResponse(progress=_progress_message(item))
    yield archive_pb2.FollowSearchResponse(archive=archive_message(gather(results, snapshot, node)))


def _question(
    request: archive_pb2.SearchRecordsRequest,
    snapshot: Snapshot,
    certificate: CertificateReference | None = None,
) -> Question:
    if request.purpose not in PURPOSES.values():
        raise CallerError("purpose: it is needed.", remedy=f"Use one of: {', '.join(PURPOSES)}.")
    if request.legal_basis not in LEGAL_BASES.values():
        raise CallerError("legal_basis: it is needed.", remedy=f"Use one of: {', '.join(LEGAL_BASES)}.")
    kinds: tuple[int, ...] = tuple(dict.fromkeys(request.kinds)) or tuple(KINDS.values())
    if not set(KINDS.values()).issuperset(kinds):
        raise CallerError("kinds: one is unknown.", remedy=f"Use some of: {', '.join(KINDS)}.")
    return Question(
        identifier_type=request.identifier_type or RESIDENT_ID,
        learner_identifier=request.learner_identifier,
        purpose=request.purpose,
        kinds=kinds,
        peers=peers_of(list(request.peers), snapshot),
        legal_basis=request.legal_basis,
        deadline_s=min(request.deadline_ms / 1000, DEADLINE_S_MAX) if request.deadline_ms else None,
        certificate=certificate,
        consent=request.consent if request.HasField("consent") else None,
        is_narrowed=not request.kinds,
        is_even_in_maintenance=request.even_in_maintenance,
    )


def archive_message(archive: Archive) -> archive_pb2.SearchRecordsResponse:
    """Return ``archive`` as a message."""
    return archive_pb2.SearchRecordsResponse(
        peers=[_peer_message(result) for result in archive.peers],
        records=[_record_message(entry) for entry in archive.records],
    )


def certificate_message(
    request: archive_pb2.CheckCertificateRequest, snapshot: Snapshot, node: Asking
) -> archive_pb2.CheckCertificateResponse:
    """Ask the chosen peers whether one certificate is valid; raises as :func:`archive_of`."""
    if not (request.certificate.number and request.certificate.issuer):
        raise CallerError("certificate: number and issuer are needed.")
    archive = archive_of(request.search, snapshot, node, request.certificate)
    return archive_pb2.CheckCertificateResponse(
        results=[
            archive_pb2.CertificateResult(
                peer=_peer_message(result),
                state=result.certificate.state if result.certificate else RECORD_STATE_UNSPECIFIED,
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
    node: Asking
    calls: LocalCalls

    def rpcs(self) -> LocalRpcs:
        """Return the handlers by method name."""
        return {
            "SearchRecords": self.calls.guarded(archive_pb2.SearchRecordsRequest, self._search),
            "FollowSearch": self.calls.guarded_stream(
                archive_pb2.FollowSearchRequest,
                lambda request: search_events(request, self.snapshot(), self.node),
            ),
            "CheckCertificate": self.calls.guarded(
                archive_pb2.CheckCertificateRequest,
                lambda request: certificate_message(request, self.snapshot(), self.node).SerializeToString(),
            ),
            "CheckPeer": self.calls.guarded(archive_pb2.CheckPeerRequest, self._check),
        }

    def _search(self, request: archive_pb2.SearchRecordsRequest) -> bytes:
        return archive_message(archive_of(request, self.snapshot(), self.node)).SerializeToString()

    def _check(self, request: archive_pb2.CheckPeerRequest) -> bytes:
        return check_message(request.node_id, self.snapshot(), self.node).SerializeToString()


class ArchiveClient(LocalClient):
    """Calls the ArchiveService of a running node."""

    service = ARCHIVE_SERVICE

    def search(self, request: archive_pb2.SearchRecordsRequest) -> archive_pb2.SearchRecordsResponse:
        """See ``ArchiveService.SearchRecords``; raises as :meth:`LocalClient.call`."""
        return self.call("SearchRecords", request, archive_pb2.SearchRecordsResponse)

    def follow(
        self, request: archive_pb2.SearchRecordsRequest
    ) -> Generator[archive_pb2.FollowSearchResponse]:
        """See ``ArchiveService.FollowSearch``; raises as :meth:`LocalClient.call`."""
        wanted = archive_pb2.FollowSearchRequest(search=request)
        return self.follow_call("FollowSearch", wanted, archive_pb2.FollowSearchResponse)

    def check_certificate(
        self, request: archive_pb2.CheckCertificateRequest
    ) -> archive_pb2.CheckCertificateResponse:
        """See ``ArchiveService.CheckCertificate``; raises as :meth:`LocalClient.call`."""
        return self.call("CheckCertificate", request, archive_pb2.CheckCertificateResponse)

    def check(self, request: archive_pb2.CheckPeerRequest) -> archive_pb2.CheckPeerResponse:
        """See ``ArchiveService.CheckPeer``; raises as :meth:`LocalClient.call`."""
        return self.call("CheckPeer", request, archive_pb2.CheckPeerResponse)


def peers_of(names: list[str], snapshot: Snapshot) -> tuple[Peer, ...]:
    """Return the named peers, all active ones when none is named."""
    known = snapshot.roster.peers
    if not names:
        return tuple(known.values())
    unknown = [name for name in names if name not in known]
    if unknown:
        raise CallerError(
            f"unknown peer {unknown[0][:32]!r}.",
            remedy=f"Known peers: {', '.join(known) or 'none; add one with `credit-gateway peers add`'}.",
        )
    return tuple(known[name] for name in dict.fromkeys(names))


def _peer_message(result: PeerResult) -> archive_pb2.PeerResult:
    known = result.certificate is not None and result.certificate.is_known
    return archive_pb2.PeerResult(
        node_id=result.node_id,
        outcome=result.outcome,
        explanation=result.explanation,
        record_count=int(known) if result.certificate is not None else len(result.records),
        elapsed_ms=round(result.elapsed_s * 1000),
        exchange_id=result.exchange_id,
        peer_leaf_index=result.leaf_index,
        receipt_verified=result.receipt_verified,
    )


def _progress_message(progress: Progress) -> archive_pb2.PeerProgress:
    state = archive_pb2.PeerState.Value(f"PEER_STATE_{progress.state.upper().replace(' ', '_')}")
    return archive_pb2.PeerProgress(
        node_id=progress.node_id, state=state, attempt=progress.attempt, remark=progress.remark
    )


def _record_message(entry: ArchiveEntry) -> archive_pb2.ArchiveRecord:
    return archive_pb2.ArchiveRecord(
        record=entry.record,
        local=entry.local,
        provenance=[
            archive_pb2.Provenance(node_id=p.node_id, signed_by=p.signed_by, exchange_id=p.exchange_id)
            for p in entry.provenance
        ],
    )
