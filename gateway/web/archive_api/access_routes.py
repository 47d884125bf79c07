"""Who asked about a learner."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from creditexchange.v1 import archive_pb2
from gateway.web.archive_api import models, views
from gateway.web.archive_api.operations import (
    Authorization,
    Cursor,
    LearnerHeader,
    Limit,
    Operations,
    TypeHeader,
)
from gateway.web.archive_api.paging import LIMIT_DEFAULT, page, tagged
from gateway.web.archives.node_calls import connected


def add_access_routes(router: APIRouter, ops: Operations) -> None:
    """Add what shows who asked about a learner."""

    @router.get("/accesses", response_model=models.AccessList, tags=["accesses"])
    def list_accesses(
        request: Request,
        authorization: Authorization = None,
        learner_identifier: LearnerHeader = None,
        learner_identifier_type: TypeHeader = None,
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
    ) -> Any:
        """List who asked about a learner, when, why and with what result, the newest first.

        The look is itself logged, without saying about whom.
        """
        principal = ops.allowed(authorization, "access:read")
        learner = ops.learner(principal, learner_identifier, learner_identifier_type)
        wanted = archive_pb2.ListAccessesRequest(
            learner_identifier=learner.identifier, identifier_type=learner.identifier_type
        )
        with connected(ops.connect) as node:
            rows = list(node.accesses(wanted).accesses)[::-1]
        chosen, following = page(rows, cursor, limit, f"accesses\0{principal.name}")
        shown = [views.access_view(row) for row in chosen]
        return tagged(request, {"accesses": shown, "next_cursor": following})
