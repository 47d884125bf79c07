"""Exports: what learners take away, answered to local callers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from creditexchange.v1 import archive_pb2
from gateway.audit import management_entry
from gateway.errors import CallerError
from gateway.exchange.asking.question import Archive
from gateway.exchange.messages import Snapshot
from gateway.exports.exporting import Exporting
from gateway.exports.own_records import own_archive
from gateway.learners.identifier import RESIDENT_ID
from gateway.learners.subject_token import subject_token
from gateway.records.source import RecordSource
from gateway.rpc.archive_messages import kinds_of, peer_message, record_message

EXPORT_REASON = "archive-export"
"""Reason in the log's entry about an export of own records; peers' records are exchanges of their own."""
LOOK_REASON = "learner-asked"
"""Reason in the entry about own records that are shown to their learner."""


@dataclass(frozen=True)
class Exports:
    """What the export works with, beside the snapshot that each call gets."""

    exporting: Exporting
    source: RecordSource
    search: Callable[[archive_pb2.SearchRecordsRequest], Archive]


def export_message(
    request: archive_pb2.ExportArchiveRequest, snapshot: Snapshot, node: Exports
) -> archive_pb2.ExportArchiveResponse:
    """Ask for the records and return them as a document.

    Raises:
        CallerError: a member of the request is wrong, or there is nothing to export.
        OperatorError: this node cannot ask, or has no key for the form yet.
        RefusedError: ``AUDIT_UNAVAILABLE``; nothing was exported.
    """
    archive = _own(request.search, snapshot, node) if request.own_records else node.search(request.search)
    exported = node.exporting.export(archive, request.format, request.record_id)
    if request.own_records:
        entry = management_entry("subject-access", reason=EXPORT_REASON, count=exported.record_count)
        node.exporting.log.append(entry)
    return archive_pb2.ExportArchiveResponse(
        content=exported.content,
        media_type=exported.media_type,
        extension=exported.extension,
        record_count=exported.record_count,
        issuer=exported.issuer,
        peers=[peer_message(result) for result in archive.peers],
    )


def own_message(
    request: archive_pb2.ListOwnRecordsRequest, snapshot: Snapshot, node: Exports
) -> archive_pb2.ListOwnRecordsResponse:
    """Return what this node itself holds of one learner, and log that it was looked at.

    Raises:
        CallerError: a member of the request is wrong, or this node finds nobody.
        StorageError: a source does not answer.
        RefusedError: ``AUDIT_UNAVAILABLE``; nothing is told.
    """
    search = archive_pb2.SearchRecordsRequest(
        learner_identifier=request.learner_identifier,
        identifier_type=request.identifier_type,
        kinds=request.kinds,
    )
    records = _own(search, snapshot, node).records
    entry = management_entry("subject-access", reason=LOOK_REASON, count=len(records))
    node.exporting.log.append(entry)
    return archive_pb2.ListOwnRecordsResponse(records=[record_message(each) for each in records])


def _own(search: archive_pb2.SearchRecordsRequest, snapshot: Snapshot, node: Exports) -> Archive:
    if not snapshot.secrets:
        raise CallerError(
            "this node has no federation secret, so that it finds nobody.",
            remedy="Run `credit-gateway init` with --federation-secret and name the epoch in node.toml.",
        )
    identifier_type = search.identifier_type or RESIDENT_ID
    tokens = [
        subject_token(secret, identifier_type, search.learner_identifier)
        for secret in snapshot.secrets.values()
    ]
    kinds = kinds_of(list(search.kinds))
    return own_archive(node.source, tokens, kinds, snapshot.scheme, snapshot.node_id)
