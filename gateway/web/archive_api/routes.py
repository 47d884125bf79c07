"""The route table of the local API; each operation is one call of the node's operator port."""

from __future__ import annotations

from fastapi import APIRouter

from gateway.web.archive_api.access_routes import add_access_routes
from gateway.web.archive_api.code_routes import add_code_routes
from gateway.web.archive_api.consent_routes import add_consent_routes
from gateway.web.archive_api.export_routes import add_export_routes
from gateway.web.archive_api.operations import Operations
from gateway.web.archive_api.search_routes import add_search_routes


def make_router(ops: Operations) -> APIRouter:
    """Return the route table of version 1."""
    router = APIRouter(prefix="/v1")
    for add in (add_search_routes, add_consent_routes, add_code_routes, add_access_routes, add_export_routes):
        add(router, ops)
    return router
