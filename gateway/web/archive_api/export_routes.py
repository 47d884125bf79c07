"""An archive, or a record of it, as a document that others verify."""

from __future__ import annotations

from fastapi import APIRouter, Response

from creditexchange.v1 import archive_pb2
from gateway.policy.purposes import parse_purpose
from gateway.web.archive_api import models
from gateway.web.archive_api.operations import (
    Authorization,
    LearnerHeader,
    Operations,
    TypeHeader,
    kinds_of,
)
from gateway.web.archives.node_calls import connected


def add_export_routes(router: APIRouter, ops: Operations) -> None:
    """Add what makes documents of archives."""

    @router.post(
        "/exports",
        tags=["archive"],
        responses={200: {"content": {"application/octet-stream": {}}}},
        response_class=Response,
    )
    def export_archive(
        body: models.ExportBody,
        authorization: Authorization = None,
        learner_identifier: LearnerHeader = None,
        learner_identifier_type: TypeHeader = None,
    ) -> Response:
        """Return an archive, or one record of it, as a document that others verify (docs/exports.md)."""
        principal = ops.allowed(authorization, "archive:export")
        learner = ops.learner(principal, learner_identifier, learner_identifier_type)
        search = archive_pb2.SearchRecordsRequest(
            learner_identifier=learner.identifier,
            identifier_type=learner.identifier_type,
            purpose=parse_purpose(body.purpose),  # type: ignore[arg-type]
            kinds=kinds_of(body.kinds),
            peers=body.peers,
            legal_basis=ops.basis(principal, body.legal_basis),
        )
        wanted = archive_pb2.ExportArchiveRequest(
            search=search, own_records=body.own_records, format=body.format, record_id=body.record
        )
        with connected(ops.connect) as node:
            made = node.export(wanted)
        name = f"archive.{made.extension}"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
        return Response(made.content, media_type=made.media_type, headers=headers)
