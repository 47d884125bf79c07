"""The node that a command works with: the running one through its operator port, else one in this process."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from creditexchange.v1 import archive_pb2, operator_pb2
from gateway.node.folder import NodeFolder
from gateway.node.lock import RunningNode, find_announced, find_running
from gateway.rpc.local_clients import ArchiveClient, OperatorClient
from gateway.web.archives.node_calls import NodeCalls


class LocalNode(NodeCalls, Protocol):
    """What commands ask of their own node, beside what pages ask of it too."""

    def search(self, request: archive_pb2.SearchRecordsRequest) -> archive_pb2.SearchRecordsResponse:
        """Ask the federation for a learner's records."""
        ...

    def check_certificate(
        self, request: archive_pb2.CheckCertificateRequest
    ) -> archive_pb2.CheckCertificateResponse:
        """Ask the chosen peers whether one certificate is valid."""
        ...

    def locate(
        self, request: archive_pb2.ArchiveServiceLocateRecordsRequest
    ) -> archive_pb2.ArchiveServiceLocateRecordsResponse:
        """Ask the federation where there is something."""
        ...

    def heard_changes(
        self, request: archive_pb2.ListHeardChangesRequest
    ) -> archive_pb2.ListHeardChangesResponse:
        """List what peers told of records that they gave."""
        ...

    def search_in_bulk(
        self, request: archive_pb2.SearchRecordsInBulkRequest
    ) -> Iterator[archive_pb2.SearchRecordsInBulkResponse]:
        """Ask one peer about many learners."""
        ...

    def check(self, node_id: str) -> archive_pb2.CheckPeerResponse:
        """Ask one peer for a signed echo."""
        ...

    def diagnose(
        self, request: operator_pb2.DiagnosePeerRequest
    ) -> Iterator[operator_pb2.DiagnosePeerResponse]:
        """Look for what keeps this node and a peer from exchanging records."""
        ...

    def reconcile(self, request: operator_pb2.ReconcileRequest) -> operator_pb2.ReconcileResponse:
        """Compare one page of the audit log with a peer's."""
        ...

    def witness(self) -> operator_pb2.WitnessResponse:
        """Run one round of witnessing."""
        ...

    def held_checkpoints(self) -> operator_pb2.ListHeldCheckpointsResponse:
        """Ask every peer for what it has cosigned last of this node's log."""
        ...

    def reach(self) -> operator_pb2.ListReachResponse:
        """List which peers are left alone."""
        ...

    def loaded_files(self) -> operator_pb2.ListLoadedFilesResponse:
        """List which configuration the node works with."""
        ...

    def erase(self, request: operator_pb2.EraseRequest) -> operator_pb2.EraseResponse:
        """Erase openings."""
        ...


class _Running:
    def __init__(self, client: ArchiveClient, operator: OperatorClient) -> None:
        self._client = client
        self._operator = operator

    def search(self, request: archive_pb2.SearchRecordsRequest) -> archive_pb2.SearchRecordsResponse:
        return self._client.search(request)

    def follow(
        self, request: archive_pb2.SearchRecordsRequest
    ) -> Generator[archive_pb2.FollowSearchResponse]:
        return self._client.follow(request)

    def check_certificate(
        self, request: archive_pb2.CheckCertificateRequest
    ) -> archive_pb2.CheckCertificateResponse:
        return self._client.check_certificate(request)

    def locate(
        self, request: archive_pb2.ArchiveServiceLocateRecordsRequest
    ) -> archive_pb2.ArchiveServiceLocateRecordsResponse:
        return self._client.locate(request)

    def heard_changes(
        self, request: archive_pb2.ListHeardChangesRequest
    ) -> archive_pb2.ListHeardChangesResponse:
        return self._client.heard_changes(request)

    def export(self, request: archive_pb2.ExportArchiveRequest) -> archive_pb2.ExportArchiveResponse:
        return self._client.export(request)

    def search_in_bulk(
        self, request: archive_pb2.SearchRecordsInBulkRequest
    ) -> Iterator[archive_pb2.SearchRecordsInBulkResponse]:
        return self._client.search_in_bulk(request)

    def check(self, node_id: str) -> archive_pb2.CheckPeerResponse:
        return self._client.check(archive_pb2.CheckPeerRequest(node_id=node_id))

    def accesses(self, request: archive_pb2.ListAccessesRequest) -> archive_pb2.ListAccessesResponse:
        return self._client.accesses(request)

    def own_records(self, request: archive_pb2.ListOwnRecordsRequest) -> archive_pb2.ListOwnRecordsResponse:
        return self._client.own_records(request)

    def diagnose(
        self, request: operator_pb2.DiagnosePeerRequest
    ) -> Iterator[operator_pb2.DiagnosePeerResponse]:
        return self._operator.diagnose(request)

    def reconcile(self, request: operator_pb2.ReconcileRequest) -> operator_pb2.ReconcileResponse:
        return self._operator.reconcile(request)

    def witness(self) -> operator_pb2.WitnessResponse:
        return self._operator.witness()

    def held_checkpoints(self) -> operator_pb2.ListHeldCheckpointsResponse:
        return self._operator.held_checkpoints()

    def reach(self) -> operator_pb2.ListReachResponse:
        return self._operator.reach()

    def loaded_files(self) -> operator_pb2.ListLoadedFilesResponse:
        return self._operator.loaded_files()

    def erase(self, request: operator_pb2.EraseRequest) -> operator_pb2.EraseResponse:
        return self._operator.erase(request)

    def note_access(self, request: operator_pb2.NoteAccessRequest) -> operator_pb2.NoteAccessResponse:
        return self._operator.note_access(request)

    def grant_consent(self, request: operator_pb2.GrantConsentRequest) -> operator_pb2.GrantConsentResponse:
        return self._operator.grant_consent(request)

    def withdraw_consent(
        self, request: operator_pb2.WithdrawConsentRequest
    ) -> operator_pb2.WithdrawConsentResponse:
        return self._operator.withdraw_consent(request)

    def issued_consents(
        self, request: operator_pb2.ListIssuedConsentsRequest
    ) -> operator_pb2.ListIssuedConsentsResponse:
        return self._operator.issued_consents(request)

    def issue_code(self, request: operator_pb2.IssueCodeRequest) -> operator_pb2.IssueCodeResponse:
        return self._operator.issue_code(request)

    def redeem_code(
        self, request: operator_pb2.OperatorServiceRedeemCodeRequest
    ) -> operator_pb2.OperatorServiceRedeemCodeResponse:
        return self._operator.redeem_code(request)

    def issued_codes(self, request: operator_pb2.ListCodesRequest) -> operator_pb2.ListCodesResponse:
        return self._operator.issued_codes(request)

    def revoke_code(self, request: operator_pb2.RevokeCodeRequest) -> operator_pb2.RevokeCodeResponse:
        return self._operator.revoke_code(request)


@contextmanager
def _connected(running: RunningNode, token: str) -> Iterator[LocalNode]:
    client, operator = ArchiveClient(running.operator, token), OperatorClient(running.operator, token)
    try:
        yield _Running(client, operator)
    finally:
        client.close()
        operator.close()


def announced_node(folder: NodeFolder) -> AbstractContextManager[LocalNode] | None:
    """Return the node that runs, or ran, in ``folder``, without touching its lock; ``None`` if none."""
    found = find_announced(folder)
    return None if found is None else _connected(*found)


@contextmanager
def local_node(folder: NodeFolder) -> Iterator[LocalNode]:
    """Yield the node of ``folder``, running or not.

    Raises:
        OperatorError: it does not run and cannot be put together.
    """
    found = find_running(folder)
    if found is not None:
        with _connected(*found) as connected:
            yield connected
        return
    from gateway.cli.stopped_node import put_together  # all of the program; a running node has that already

    with put_together(folder) as node:
        yield node
