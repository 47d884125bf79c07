"""What the local API and the learners' pages ask of the running node, over its operator port."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from creditexchange.v1 import archive_pb2, operator_pb2
from gateway.errors import GatewayError


class NodeAwayError(GatewayError):
    """The node does not run, or does not answer on its operator port."""


class NodeCalls(Protocol):
    """The calls; each raises ``CallerError`` for a wrong argument and ``GatewayError`` for the rest."""

    def follow(
        self, request: archive_pb2.SearchRecordsRequest
    ) -> Generator[archive_pb2.FollowSearchResponse]:
        """Ask the federation for a learner's records, and yield how it goes on."""
        ...

    def own_records(self, request: archive_pb2.ListOwnRecordsRequest) -> archive_pb2.ListOwnRecordsResponse:
        """List what the node itself holds of a learner."""
        ...

    def accesses(self, request: archive_pb2.ListAccessesRequest) -> archive_pb2.ListAccessesResponse:
        """List every exchange about a learner."""
        ...

    def export(self, request: archive_pb2.ExportArchiveRequest) -> archive_pb2.ExportArchiveResponse:
        """Return an archive as a document."""
        ...

    def grant_consent(self, request: operator_pb2.GrantConsentRequest) -> operator_pb2.GrantConsentResponse:
        """Sign and keep a consent."""
        ...

    def withdraw_consent(
        self, request: operator_pb2.WithdrawConsentRequest
    ) -> operator_pb2.WithdrawConsentResponse:
        """Take back a consent."""
        ...

    def issued_consents(
        self, request: operator_pb2.ListIssuedConsentsRequest
    ) -> operator_pb2.ListIssuedConsentsResponse:
        """List consents."""
        ...

    def issue_code(self, request: operator_pb2.IssueCodeRequest) -> operator_pb2.IssueCodeResponse:
        """Make a learning code."""
        ...

    def redeem_code(
        self, request: operator_pb2.OperatorServiceRedeemCodeRequest
    ) -> operator_pb2.OperatorServiceRedeemCodeResponse:
        """Turn a learner's code into a consent."""
        ...

    def issued_codes(self, request: operator_pb2.ListCodesRequest) -> operator_pb2.ListCodesResponse:
        """List learning codes."""
        ...

    def revoke_code(self, request: operator_pb2.RevokeCodeRequest) -> operator_pb2.RevokeCodeResponse:
        """Take back a learning code."""
        ...

    def note_access(self, request: operator_pb2.NoteAccessRequest) -> operator_pb2.NoteAccessResponse:
        """Log that evidence was looked at."""
        ...


Connect = Callable[[], AbstractContextManager[NodeCalls] | None]
"""Opens the running node's operator port; ``None`` when it does not run."""


@contextmanager
def connected(connect: Connect) -> Iterator[NodeCalls]:
    """Yield the running node.

    Raises:
        NodeAwayError: it does not run.
    """
    opened = connect()
    if opened is None:
        raise NodeAwayError("the node does not run.", remedy="Start it with `credit-gateway serve`.")
    with opened as node:
        yield node
