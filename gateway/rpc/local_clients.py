"""The operator port as its clients see it: the command line, pages, tests. Light: no part of the server."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message
from grpc_status import rpc_status

from creditexchange.v1 import archive_pb2, operator_pb2
from gateway.errors import CallerError, GatewayError
from gateway.signing.envelope import parse

Q = TypeVar("Q", bound=Message)

ARCHIVE_SERVICE = "creditexchange.v1.ArchiveService"
OPERATOR_SERVICE = "creditexchange.v1.OperatorService"

CALL_S_MAX = 600.0
"""Longest call on the operator port, seconds: an erasure may have to rewrite tables."""
RESPONSE_BYTES_MAX = 64 * 1024 * 1024
"""Largest response on the operator port: an exported document may be large."""
_OPTIONS = [("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", RESPONSE_BYTES_MAX)]
TOKEN_METADATA = "authorization"  # noqa: S105 - the name of a header


class LocalClient:
    """Calls one service of a running node."""

    service: str

    def __init__(self, address: str, token: str) -> None:
        self._channel = grpc.insecure_channel(address, options=_OPTIONS)
        self._metadata = ((TOKEN_METADATA, f"Bearer {token}"),)

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def call(self, name: str, request: Message, kind: type[Q]) -> Q:
        """Call one method.

        Raises:
            CallerError: an argument is wrong.
            GatewayError: the node cannot be reached or cannot do it.
        """
        call: Any = self._channel.unary_unary(f"/{self.service}/{name}")
        try:
            response = call(request.SerializeToString(), timeout=CALL_S_MAX, metadata=self._metadata)
        except grpc.RpcError as error:
            raise _error_of(error) from error
        return parse(kind, response, "response")

    def stream(self, name: str, request: Message, kind: type[Q]) -> Generator[Q]:
        """Call one method that answers with a stream, and yield what comes; raises as :meth:`call`.

        Closing the generator ends the call.
        """
        call: Any = self._channel.unary_stream(f"/{self.service}/{name}")
        events = call(request.SerializeToString(), timeout=CALL_S_MAX, metadata=self._metadata)
        try:
            for event in events:
                yield parse(kind, event, "event")
        except grpc.RpcError as error:
            raise _error_of(error) from error
        finally:
            events.cancel()


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
        return self.stream("FollowSearch", wanted, archive_pb2.FollowSearchResponse)

    def check_certificate(
        self, request: archive_pb2.CheckCertificateRequest
    ) -> archive_pb2.CheckCertificateResponse:
        """See ``ArchiveService.CheckCertificate``; raises as :meth:`LocalClient.call`."""
        return self.call("CheckCertificate", request, archive_pb2.CheckCertificateResponse)

    def locate(
        self, request: archive_pb2.ArchiveServiceLocateRecordsRequest
    ) -> archive_pb2.ArchiveServiceLocateRecordsResponse:
        """See ``ArchiveService.LocateRecords``; raises as :meth:`LocalClient.call`."""
        return self.call("LocateRecords", request, archive_pb2.ArchiveServiceLocateRecordsResponse)

    def heard_changes(
        self, request: archive_pb2.ListHeardChangesRequest
    ) -> archive_pb2.ListHeardChangesResponse:
        """See ``ArchiveService.ListHeardChanges``; raises as :meth:`LocalClient.call`."""
        return self.call("ListHeardChanges", request, archive_pb2.ListHeardChangesResponse)

    def search_in_bulk(
        self, request: archive_pb2.SearchRecordsInBulkRequest
    ) -> Iterator[archive_pb2.SearchRecordsInBulkResponse]:
        """See ``ArchiveService.SearchRecordsInBulk``; raises as :meth:`LocalClient.stream`."""
        return self.stream("SearchRecordsInBulk", request, archive_pb2.SearchRecordsInBulkResponse)

    def check(self, request: archive_pb2.CheckPeerRequest) -> archive_pb2.CheckPeerResponse:
        """See ``ArchiveService.CheckPeer``; raises as :meth:`LocalClient.call`."""
        return self.call("CheckPeer", request, archive_pb2.CheckPeerResponse)

    def accesses(self, request: archive_pb2.ListAccessesRequest) -> archive_pb2.ListAccessesResponse:
        """See ``ArchiveService.ListAccesses``; raises as :meth:`LocalClient.call`."""
        return self.call("ListAccesses", request, archive_pb2.ListAccessesResponse)

    def own_records(self, request: archive_pb2.ListOwnRecordsRequest) -> archive_pb2.ListOwnRecordsResponse:
        """See ``ArchiveService.ListOwnRecords``; raises as :meth:`LocalClient.call`."""
        return self.call("ListOwnRecords", request, archive_pb2.ListOwnRecordsResponse)

    def export(self, request: archive_pb2.ExportArchiveRequest) -> archive_pb2.ExportArchiveResponse:
        """See ``ArchiveService.ExportArchive``; raises as :meth:`LocalClient.call`."""
        return self.call("ExportArchive", request, archive_pb2.ExportArchiveResponse)


class OperatorClient(LocalClient):
    """Calls the OperatorService of a running node; every method raises as :meth:`LocalClient.call`."""

    service = OPERATOR_SERVICE

    def reconcile(self, request: operator_pb2.ReconcileRequest) -> operator_pb2.ReconcileResponse:
        """See ``OperatorService.Reconcile``."""
        return self.call("Reconcile", request, operator_pb2.ReconcileResponse)

    def witness(self) -> operator_pb2.WitnessResponse:
        """See ``OperatorService.Witness``."""
        return self.call("Witness", operator_pb2.WitnessRequest(), operator_pb2.WitnessResponse)

    def held_checkpoints(self) -> operator_pb2.ListHeldCheckpointsResponse:
        """See ``OperatorService.ListHeldCheckpoints``."""
        request = operator_pb2.ListHeldCheckpointsRequest()
        return self.call("ListHeldCheckpoints", request, operator_pb2.ListHeldCheckpointsResponse)

    def erase(self, request: operator_pb2.EraseRequest) -> operator_pb2.EraseResponse:
        """See ``OperatorService.Erase``."""
        return self.call("Erase", request, operator_pb2.EraseResponse)

    def reach(self) -> operator_pb2.ListReachResponse:
        """See ``OperatorService.ListReach``."""
        return self.call("ListReach", operator_pb2.ListReachRequest(), operator_pb2.ListReachResponse)

    def clear_reach(self, node_id: str) -> operator_pb2.ClearReachResponse:
        """See ``OperatorService.ClearReach``."""
        request = operator_pb2.ClearReachRequest(node_id=node_id)
        return self.call("ClearReach", request, operator_pb2.ClearReachResponse)

    def loaded_files(self) -> operator_pb2.ListLoadedFilesResponse:
        """See ``OperatorService.ListLoadedFiles``."""
        request = operator_pb2.ListLoadedFilesRequest()
        return self.call("ListLoadedFiles", request, operator_pb2.ListLoadedFilesResponse)

    def note_access(self, request: operator_pb2.NoteAccessRequest) -> operator_pb2.NoteAccessResponse:
        """See ``OperatorService.NoteAccess``."""
        return self.call("NoteAccess", request, operator_pb2.NoteAccessResponse)

    def grant_consent(self, request: operator_pb2.GrantConsentRequest) -> operator_pb2.GrantConsentResponse:
        """See ``OperatorService.GrantConsent``."""
        return self.call("GrantConsent", request, operator_pb2.GrantConsentResponse)

    def withdraw_consent(
        self, request: operator_pb2.WithdrawConsentRequest
    ) -> operator_pb2.WithdrawConsentResponse:
        """See ``OperatorService.WithdrawConsent``."""
        return self.call("WithdrawConsent", request, operator_pb2.WithdrawConsentResponse)

    def diagnose(
        self, request: operator_pb2.DiagnosePeerRequest
    ) -> Generator[operator_pb2.DiagnosePeerResponse]:
        """See ``OperatorService.DiagnosePeer``."""
        return self.stream("DiagnosePeer", request, operator_pb2.DiagnosePeerResponse)

    def issued_consents(
        self, request: operator_pb2.ListIssuedConsentsRequest
    ) -> operator_pb2.ListIssuedConsentsResponse:
        """See ``OperatorService.ListIssuedConsents``."""
        return self.call("ListIssuedConsents", request, operator_pb2.ListIssuedConsentsResponse)

    def issue_code(self, request: operator_pb2.IssueCodeRequest) -> operator_pb2.IssueCodeResponse:
        """See ``OperatorService.IssueCode``."""
        return self.call("IssueCode", request, operator_pb2.IssueCodeResponse)

    def redeem_code(
        self, request: operator_pb2.OperatorServiceRedeemCodeRequest
    ) -> operator_pb2.OperatorServiceRedeemCodeResponse:
        """See ``OperatorService.RedeemCode``."""
        return self.call("RedeemCode", request, operator_pb2.OperatorServiceRedeemCodeResponse)

    def issued_codes(self, request: operator_pb2.ListCodesRequest) -> operator_pb2.ListCodesResponse:
        """See ``OperatorService.ListCodes``."""
        return self.call("ListCodes", request, operator_pb2.ListCodesResponse)

    def revoke_code(self, request: operator_pb2.RevokeCodeRequest) -> operator_pb2.RevokeCodeResponse:
        """See ``OperatorService.RevokeCode``."""
        return self.call("RevokeCode", request, operator_pb2.RevokeCodeResponse)


def _error_of(error: grpc.RpcError) -> GatewayError:
    status = rpc_status.from_call(error)
    text = status.message if status is not None else error.details() or error.code().name
    if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
        return CallerError(text)
    return GatewayError(f"the node did not do it: {text}")
