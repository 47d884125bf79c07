"""The node that a command works with: the running one through its operator port, else one in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from creditexchange.v1 import archive_pb2
from gateway.node.assemble import Node, assemble
from gateway.node.folder import NodeFolder
from gateway.node.lock import find_running, node_lock
from gateway.rpc.archive import ArchiveClient, archive_message, archive_of, check_message


class LocalNode(Protocol):
    """What commands ask of their own node."""

    def search(self, request: archive_pb2.SearchRecordsRequest) -> archive_pb2.SearchRecordsResponse:
        """Ask the federation for a learner's records."""
        ...

    def check(self, node_id: str) -> archive_pb2.CheckPeerResponse:
        """Ask one peer for a signed echo."""
        ...


class _Running:
    def __init__(self, client: ArchiveClient) -> None:
        self._client = client

    def search(self, request: archive_pb2.SearchRecordsRequest) -> archive_pb2.SearchRecordsResponse:
        return self._client.search(request)

    def check(self, node_id: str) -> archive_pb2.CheckPeerResponse:
        return self._client.check(archive_pb2.CheckPeerRequest(node_id=node_id))


class _InProcess:
    def __init__(self, node: Node) -> None:
        self._node = node

    def search(self, request: archive_pb2.SearchRecordsRequest) -> archive_pb2.SearchRecordsResponse:
        return archive_message(archive_of(request, self._node.snapshot, self._node.asking))

    def check(self, node_id: str) -> archive_pb2.CheckPeerResponse:
        return check_message(node_id, self._node.snapshot, self._node.asking)


@contextmanager
def local_node(folder: NodeFolder) -> Iterator[LocalNode]:
    """Yield the node of ``folder``, running or not.

    Raises:
        OperatorError: it does not run and cannot be put together.
    """
    found = find_running(folder)
    if found is not None:
        running, token = found
        client = ArchiveClient(running.operator, token)
        try:
            yield _Running(client)
        finally:
            client.close()
        return
    from gateway.telemetry.events import configure

    configure("error")
    with node_lock(folder):
        node = assemble(folder)
        try:
            yield _InProcess(node)
        finally:
            node.close()
