"""Searches over the federation, and what they bring."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import StreamingResponse

from creditexchange.v1 import archive_pb2
from gateway.exchange.record_json import record_json
from gateway.policy.purposes import parse_purpose
from gateway.web.archive_api import models, views
from gateway.web.archive_api.operations import (
    Authorization,
    Cursor,
    LearnerHeader,
    Limit,
    Operations,
    TypeHeader,
    kinds_of,
)
from gateway.web.archive_api.paging import LIMIT_DEFAULT, page, tagged
from gateway.web.archive_api.problems import ProblemError
from gateway.web.archive_api.tokens import Principal
from gateway.web.archives.searches import Search, TooManySearchesError

FOLLOW_S = 40.0
"""Longest silence of a stream: longer than any node is waited for."""
NDJSON = "application/x-ndjson"
EVENTS = "text/event-stream"
SearchName = Annotated[str, Path(max_length=64)]


def add_search_routes(router: APIRouter, ops: Operations) -> None:
    """Add what searches a learner's records."""

    @router.post("/searches", status_code=201, response_model=models.SearchState, tags=["archive"])
    def begin_search(
        request: Request,
        response: Response,
        body: models.SearchBody,
        authorization: Authorization = None,
        learner_identifier: LearnerHeader = None,
        learner_identifier_type: TypeHeader = None,
    ) -> Any:
        """Begin to search a learner's records over the whole federation; it goes on by itself.

        Look at it, or follow `/events`, where each node's part comes as soon as it is verified. It is
        forgotten after 15 minutes.
        """
        principal = ops.allowed(authorization, "archive:read")
        wanted = _search_request(ops, principal, body, learner_identifier, learner_identifier_type)
        try:
            search = ops.searches.begin(principal.name, wanted, with_own=body.own_records)
        except TooManySearchesError as error:
            raise ProblemError("too-many-requests", str(error), headers={"Retry-After": "5"}) from error
        response.headers["Location"] = str(request.url_for("see_search", search_id=search.name).path)
        return views.search_view(search)

    @router.get("/searches/{search_id}", response_model=models.SearchState, tags=["archive"])
    def see_search(request: Request, search_id: SearchName, authorization: Authorization = None) -> Any:
        """Say where a search stands, and what each node gave or why it gave nothing."""
        search = ops.search(ops.allowed(authorization, "archive:read"), search_id)
        return tagged(request, views.search_view(search))

    @router.delete("/searches/{search_id}", status_code=204, tags=["archive"])
    def forget_search(search_id: SearchName, authorization: Authorization = None) -> None:
        """Forget a search and all that it brought."""
        principal = ops.allowed(authorization, "archive:read")
        if not ops.searches.forget(principal.name, search_id):
            ops.search(principal, search_id)

    @router.get(
        "/searches/{search_id}/events",
        tags=["archive"],
        responses={200: {"content": {NDJSON: {}, EVENTS: {}}}},
        response_class=StreamingResponse,
    )
    def follow_search(
        request: Request, search_id: SearchName, authorization: Authorization = None
    ) -> StreamingResponse:
        """Stream what has come and what comes: one JSON object a node, a last one with the state.

        Lines of JSON (`application/x-ndjson`), or server-sent events with `Accept: text/event-stream`.
        """
        search = ops.search(ops.allowed(authorization, "archive:read"), search_id)
        is_sse = EVENTS in request.headers.get("accept", "")
        return StreamingResponse(_events(search, is_sse=is_sse), media_type=EVENTS if is_sse else NDJSON)

    @router.get("/searches/{search_id}/records", response_model=models.RecordList, tags=["archive"])
    def list_records(
        request: Request,
        search_id: SearchName,
        authorization: Authorization = None,
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
    ) -> Any:
        """List the records that have come. Once the search is done, duplicates are merged."""
        search = ops.search(ops.allowed(authorization, "archive:read"), search_id)
        chosen, following = page(search.records(), cursor, limit, f"records\0{search.name}")
        return tagged(request, {"records": [record_json(one) for one in chosen], "next_cursor": following})

    @router.get(
        "/searches/{search_id}/records/{source}/{record_id}",
        response_model=dict[str, Any],
        tags=["archive"],
    )
    def see_record(
        request: Request,
        search_id: SearchName,
        source: Annotated[str, Path(max_length=32)],
        record_id: Annotated[str, Path(max_length=200)],
        authorization: Authorization = None,
    ) -> Any:
        """Return one record, by the node that holds it and its id there."""
        search = ops.search(ops.allowed(authorization, "archive:read"), search_id)
        for one in search.records():
            if (one.record.source_node, one.record.record_id) == (source, record_id):
                return tagged(request, record_json(one))
        raise ProblemError("not-found", "The search brought no such record.")


def _search_request(
    ops: Operations,
    principal: Principal,
    body: models.SearchBody,
    identifier: str | None,
    kind: str | None,
) -> archive_pb2.SearchRecordsRequest:
    unknown = set(body.peers).difference(ops.peers())
    if unknown:
        raise ProblemError("invalid-argument", f"peers: unknown: {', '.join(sorted(unknown))}.")
    request = archive_pb2.SearchRecordsRequest(
        purpose=parse_purpose(body.purpose),  # type: ignore[arg-type]
        kinds=kinds_of(body.kinds),
        peers=body.peers,
        legal_basis=ops.basis(principal, body.legal_basis),
        deadline_ms=body.deadline_ms,
    )
    if body.consent is not None:
        request.consent.CopyFrom(views.consent_of(body.consent))
        if principal.learner is None and not identifier:
            if body.own_records:
                raise ProblemError("invalid-argument", "own_records: name the learner.")
            return request  # whoever the consent names: somebody handed over a learning code
    learner = ops.learner(principal, identifier, kind)
    request.learner_identifier, request.identifier_type = learner.identifier, learner.identifier_type
    return request


def _events(search: Search, *, is_sse: bool) -> Iterator[bytes]:
    for part in search.follow(FOLLOW_S):
        event = {
            "event": "part",
            "peer": views.peer_view(part.peer),
            "records": [record_json(one) for one in part.records],
        }
        yield _line(event, is_sse=is_sse)
    yield _line({"event": "state", "search": views.search_view(search)}, is_sse=is_sse)


def _line(event: dict[str, Any], *, is_sse: bool) -> bytes:
    text = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    return (f"event: {event['event']}\ndata: {text}\n\n" if is_sse else f"{text}\n").encode()
