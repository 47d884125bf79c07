"""The node of a folder in which none runs, put together in this process for one command."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager

from creditexchange.v1 import archive_pb2, operator_pb2
from gateway.cli.local_node import LocalNode
from gateway.node.assemble import Node, assemble, exports_of
from gateway.node.folder import NodeFolder
from gateway.node.lock import node_lock
from gateway.rpc.accesses import accesses_message
from gateway.rpc.archive import (
    archive_message,
    archive_of,
    certificate_message,
    check_message,
    location_message,
    search_events,
)
from gateway.rpc.bulk_archive import bulk_messages
from gateway.rpc.exports import export_message, own_message
from gateway.rpc.heard_changes import heard_changes_message
from gateway.rpc.issued_consents import consents_message, grant_message, withdraw_message
from gateway.rpc.learning_codes import codes_message, issue_message, redeem_message, revoke_message
from gateway.rpc.loaded_files import loaded_message
from gateway.rpc.operator import (
    diagnose_peer,
    erase_message,
    held_message,
    note_access,
    reconcile_message,
    witness_message,
)
from gateway.rpc.peer_reach import reach_message
from gateway.telemetry.events import configure


@contextmanager
def put_together(folder: NodeFolder) -> Iterator[LocalNode]:
    """Yield the node of ``folder`` and close it afterwards.

    Raises:
        OperatorError: it cannot be put together, or another process works on it.
    """
    configure("error")
    with node_lock(folder):
        node = assemble(folder)
        try:
            yield _InProcess(node)
        finally:
            node.close()


class _InProcess:
    def __init__(self, node: Node) -> None:
        self._node = node

    def search(self, request: archive_pb2.SearchRecordsRequest) -> archive_pb2.SearchRecordsResponse:
        return archive_message(archive_of(request, self._node.snapshot, self._node.asking))

    def follow(
        self, request: archive_pb2.SearchRecordsRequest
    ) -> Generator[archive_pb2.FollowSearchResponse]:
        wanted = archive_pb2.FollowSearchRequest(search=request)
        yield from search_events(wanted, self._node.snapshot, self._node.asking)

    def check_certificate(
        self, request: archive_pb2.CheckCertificateRequest
    ) -> archive_pb2.CheckCertificateResponse:
        return certificate_message(request, self._node.snapshot, self._node.asking)

    def locate(
        self, request: archive_pb2.ArchiveServiceLocateRecordsRequest
    ) -> archive_pb2.ArchiveServiceLocateRecordsResponse:
        return location_message(request, self._node.snapshot, self._node.asking)

    def heard_changes(
        self, request: archive_pb2.ListHeardChangesRequest
    ) -> archive_pb2.ListHeardChangesResponse:
        return heard_changes_message(request, self._node.asking)

    def export(self, request: archive_pb2.ExportArchiveRequest) -> archive_pb2.ExportArchiveResponse:
        return export_message(request, self._node.snapshot, exports_of(self._node))

    def search_in_bulk(
        self, request: archive_pb2.SearchRecordsInBulkRequest
    ) -> Iterator[archive_pb2.SearchRecordsInBulkResponse]:
        return bulk_messages(request, self._node.snapshot, self._node.asking)

    def check(self, node_id: str) -> archive_pb2.CheckPeerResponse:
        return check_message(node_id, self._node.snapshot, self._node.asking)

    def accesses(self, request: archive_pb2.ListAccessesRequest) -> archive_pb2.ListAccessesResponse:
        return accesses_message(request, self._node.snapshot, self._node.asking)

    def own_records(self, request: archive_pb2.ListOwnRecordsRequest) -> archive_pb2.ListOwnRecordsResponse:
        return own_message(request, self._node.snapshot, exports_of(self._node))

    def diagnose(
        self, request: operator_pb2.DiagnosePeerRequest
    ) -> Iterator[operator_pb2.DiagnosePeerResponse]:
        return diagnose_peer(request, self._node.snapshot, self._node.operating)

    def reconcile(self, request: operator_pb2.ReconcileRequest) -> operator_pb2.ReconcileResponse:
        return reconcile_message(request, self._node.snapshot, self._node.operating)

    def witness(self) -> operator_pb2.WitnessResponse:
        return witness_message(self._node.operating)

    def held_checkpoints(self) -> operator_pb2.ListHeldCheckpointsResponse:
        return held_message(self._node.snapshot, self._node.operating)

    def reach(self) -> operator_pb2.ListReachResponse:
        return reach_message(self._node.snapshot, self._node.reaches)

    def loaded_files(self) -> operator_pb2.ListLoadedFilesResponse:
        return loaded_message(self._node.loaded.now)

    def erase(self, request: operator_pb2.EraseRequest) -> operator_pb2.EraseResponse:
        return erase_message(request, self._node.snapshot, self._node.operating)

    def note_access(self, request: operator_pb2.NoteAccessRequest) -> operator_pb2.NoteAccessResponse:
        return note_access(request, self._node.operating)

    def grant_consent(self, request: operator_pb2.GrantConsentRequest) -> operator_pb2.GrantConsentResponse:
        return grant_message(request, self._node.snapshot, self._node.operating)

    def withdraw_consent(
        self, request: operator_pb2.WithdrawConsentRequest
    ) -> operator_pb2.WithdrawConsentResponse:
        return withdraw_message(request, self._node.snapshot, self._node.operating)

    def issued_consents(
        self, request: operator_pb2.ListIssuedConsentsRequest
    ) -> operator_pb2.ListIssuedConsentsResponse:
        return consents_message(request, self._node.snapshot, self._node.operating)

    def issue_code(self, request: operator_pb2.IssueCodeRequest) -> operator_pb2.IssueCodeResponse:
        return issue_message(request, self._node.snapshot, self._node.operating)

    def redeem_code(
        self, request: operator_pb2.OperatorServiceRedeemCodeRequest
    ) -> operator_pb2.OperatorServiceRedeemCodeResponse:
        return redeem_message(request, self._node.snapshot, self._node.operating)

    def issued_codes(self, request: operator_pb2.ListCodesRequest) -> operator_pb2.ListCodesResponse:
        return codes_message(request, self._node.snapshot, self._node.operating)

    def revoke_code(self, request: operator_pb2.RevokeCodeRequest) -> operator_pb2.RevokeCodeResponse:
        return revoke_message(request, self._node.operating)
