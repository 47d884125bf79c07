"""The operations of the local API, each one call of the node's operator port."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from creditexchange.v1 import archive_pb2, operator_pb2
from creditexchange.v1.consent_pb2 import LearnerAuthentication
from gateway.clock import Clock, unix_ms
from gateway.exchange.record_json import record_json
from gateway.learners.identifier import RESIDENT_ID, normalise
from gateway.policy.learning_code import parse_code
from gateway.policy.purposes import parse_kind, parse_legal_basis, parse_purpose
from gateway.web.archive_api import models, views
from gateway.web.archive_api.idempotency import OnceOnly
from gateway.web.archive_api.paging import LIMIT_DEFAULT, LIMIT_MAX, page, tagged
from gateway.web.archive_api.problems import ProblemError
from gateway.web.archive_api.tokens import AccessTokens, Learner, Principal
from gateway.web.archives.node_calls import Connect, connected
from gateway.web.archives.searches import Search, Searches, TooManySearchesError

FOLLOW_S = 40.0
"""Longest silence of a stream: longer than any node is waited for."""
NDJSON = "application/x-ndjson"
EVENTS = "text/event-stream"

SCOPES = {
    "archive:read": "Search a learner's records",
    "archive:export": "Take a learner's archive away as a document",
    "access:read": "See who asked about a learner",
    "consent:read": "List consents",
    "consent:write": "Grant and take back consents",
    "code:read": "List learning codes",
    "code:write": "Make and take back learning codes",
    "code:redeem": "Redeem learning codes",
}
SCOPE_OF = {
    "begin_search": "archive:read",
    "see_search": "archive:read",
    "forget_search": "archive:read",
    "follow_search": "archive:read",
    "list_records": "archive:read",
    "see_record": "archive:read",
    "list_consents": "consent:read",
    "grant_consent": "consent:write",
    "revoke_consent": "consent:write",
    "list_codes": "code:read",
    "issue_code": "code:write",
    "redeem_code": "code:redeem",
    "revoke_code": "code:write",
    "list_accesses": "access:read",
    "export_archive": "archive:export",
}
"""The scope that each operation needs; a test holds it against what they demand."""

LearnerHeader = Annotated[
    str | None,
    Header(
        alias="Learner-Identifier",
        max_length=64,
        description="Whom it is about; applications only. Never part of an address, so that no log has it.",
    ),
]
TypeHeader = Annotated[str | None, Header(alias="Learner-Identifier-Type", max_length=32)]
KeyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key", max_length=130, description="16 to 128 random characters; kept for a day."
    ),
]
Authorization = Annotated[str | None, Header(include_in_schema=False)]
Cursor = Annotated[str | None, Query(max_length=120)]
Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX)]
SearchName = Annotated[str, Path(max_length=64)]


@dataclass(frozen=True)
class Operations:
    """What every operation works with."""

    node_id: str
    connect: Connect
    tokens: AccessTokens
    searches: Searches
    once: OnceOnly
    clock: Clock
    peers: Callable[[], Collection[str]]
    """Ids of the peers that can be asked."""

    def allowed(self, authorization: str | None, scope: str) -> Principal:
        """Return who calls. Raises ``ProblemError`` when the token does not permit ``scope``."""
        principal = self.tokens.principal(authorization or "")
        if scope not in principal.scopes:
            challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
            detail = f"The scope {scope} is needed."
            raise ProblemError("scope-missing", detail, headers={"WWW-Authenticate": challenge})
        return principal

    def learner(self, principal: Principal, identifier: str | None, kind: str | None) -> Learner:
        """Return whom an operation is about: a learner speaks of nobody but themselves.

        Raises:
            ProblemError: nobody is named, or somebody whom the caller may not name.
            IdentifierError: the identifier is malformed.
        """
        if principal.learner is not None:
            own = principal.learner
            named = normalise(kind or own.identifier_type, identifier) if identifier else own.identifier
            if named != own.identifier:
                raise ProblemError("learner-not-allowed", "A learner's token speaks of that learner only.")
            return own
        if not identifier:
            raise ProblemError("invalid-argument", "Learner-Identifier: an application names the learner.")
        return Learner(normalise(kind or RESIDENT_ID, identifier), kind or RESIDENT_ID)

    def basis(self, principal: Principal, word: str) -> Any:
        """Return the legal basis. Raises ``ProblemError``: a learner acts by consent, never by a duty."""
        if principal.learner is not None and word != "consent":
            raise ProblemError("learner-not-allowed", "A learner's token asks with legal_basis consent only.")
        return parse_legal_basis(word)

    def search(self, principal: Principal, name: str) -> Search:
        """Return a search of this caller. Raises ``ProblemError`` when there is none."""
        found = self.searches.find(principal.name, name)
        if found is None:
            raise ProblemError("not-found", "There is no such search, or it was forgotten after 15 minutes.")
        return found


def make_router(ops: Operations) -> APIRouter:
    """Return the route table of version 1."""
    router = APIRouter(prefix="/v1")
    _search_routes(router, ops)
    _consent_routes(router, ops)
    _code_routes(router, ops)
    _further_routes(router, ops)
    return router


def _search_routes(router: APIRouter, ops: Operations) -> None:
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


def _consent_routes(router: APIRouter, ops: Operations) -> None:
    @router.get("/consents", response_model=models.ConsentList, tags=["consents"])
    def list_consents(
        request: Request,
        authorization: Authorization = None,
        learner_identifier: LearnerHeader = None,
        learner_identifier_type: TypeHeader = None,
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
    ) -> Any:
        """List the consents of a learner that this node issued, the newest first."""
        principal = ops.allowed(authorization, "consent:read")
        learner = ops.learner(principal, learner_identifier, learner_identifier_type)
        rows = _consents(ops, learner)
        chosen, following = page(rows, cursor, limit, f"consents\0{principal.name}")
        now_ms = unix_ms(ops.clock())
        shown = [views.consent_view(row, now_ms) for row in chosen]
        return tagged(request, {"consents": shown, "next_cursor": following})

    @router.post("/consents", status_code=201, response_model=models.Consent, tags=["consents"])
    def grant_consent(
        body: models.ConsentBody,
        authorization: Authorization = None,
        learner_identifier: LearnerHeader = None,
        learner_identifier_type: TypeHeader = None,
        idempotency_key: KeyHeader = None,
    ) -> Any:
        """Sign and keep a learner's consent. The application has shown the learner exactly this."""
        principal = ops.allowed(authorization, "consent:write")
        learner = ops.learner(principal, learner_identifier, learner_identifier_type)
        request = operator_pb2.GrantConsentRequest(
            learner_identifier=learner.identifier,
            identifier_type=learner.identifier_type,
            asking_node_id=body.asker,
            asking_organisation=body.organisation,
            answering_node_ids=body.answerers,
            every_node_may_answer=not body.answerers,
            purpose=parse_purpose(body.purpose),  # type: ignore[arg-type]
            kinds=_kinds(body.kinds),
            end_ms=max(0, unix_ms(body.until)),
            authentication=_authentication(body.authentication),
        )

        def act() -> Any:
            with connected(ops.connect) as node:
                return views.granted_view(node.grant_consent(request).message)

        return _once(ops, idempotency_key, principal, "grant-consent", (learner, body), act, 201)

    @router.delete("/consents/{consent_id}", response_model=models.Withdrawal, tags=["consents"])
    def revoke_consent(
        consent_id: Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")],
        authorization: Authorization = None,
        learner_identifier: LearnerHeader = None,
        learner_identifier_type: TypeHeader = None,
    ) -> Any:
        """Take a consent back and tell the nodes whom it concerns. Doing it again changes nothing."""
        principal = ops.allowed(authorization, "consent:write")
        learner = ops.learner(principal, learner_identifier, learner_identifier_type)
        wanted = bytes.fromhex(consent_id)
        if wanted not in {row.consent_id for row in _consents(ops, learner)}:
            raise ProblemError("not-found", "This learner has no such consent here.")
        with connected(ops.connect) as node:
            done = node.withdraw_consent(operator_pb2.WithdrawConsentRequest(consent_id=wanted))
        return {"concerned": done.concerned, "confirmed": done.confirmed}


def _code_routes(router: APIRouter, ops: Operations) -> None:
    @router.get("/codes", response_model=models.CodeList, tags=["codes"])
    def list_codes(
        request: Request,
        authorization: Authorization = None,
        learner_identifier: LearnerHeader = None,
        learner_identifier_type: TypeHeader = None,
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
    ) -> Any:
        """List the learning codes of a learner that this node issued, the newest first."""
        principal = ops.allowed(authorization, "code:read")
        learner = ops.learner(principal, learner_identifier, learner_identifier_type)
        rows, following = page(_codes(ops, learner), cursor, limit, f"codes\0{principal.name}")
        return tagged(request, {"codes": [views.code_view(row) for row in rows], "next_cursor": following})

    @router.post("/codes", status_code=201, response_model=models.NewCode, tags=["codes"])
    def issue_code(
        body: models.CodeBody,
        authorization: Authorization = None,
        learner_identifier: LearnerHeader = None,
        learner_identifier_type: TypeHeader = None,
        idempotency_key: KeyHeader = None,
    ) -> Any:
        """Make a learning code: what somebody may ask, once, within minutes."""
        principal = ops.allowed(authorization, "code:write")
        learner = ops.learner(principal, learner_identifier, learner_identifier_type)
        request = operator_pb2.IssueCodeRequest(
            learner_identifier=learner.identifier,
            identifier_type=learner.identifier_type,
            purpose=parse_purpose(body.purpose),  # type: ignore[arg-type]
            kinds=_kinds(body.kinds),
            redeeming_node_id=body.redeemer or "",
            organisation=body.organisation,
            answering_node_ids=body.answerers,
            code_minutes=body.minutes,
            consent_minutes=body.consent_minutes,
            authentication=_authentication(body.authentication),
        )

        def act() -> Any:
            with connected(ops.connect) as node:
                issued = node.issue_code(request)
            return {
                "id": issued.code_id,
                "code": issued.code,
                "typed": parse_code(issued.code).typed,
                "expires": views.moment(issued.expire_ms),
            }

        return _once(ops, idempotency_key, principal, "issue-code", (learner, body), act, 201)

    @router.post("/codes/redemptions", status_code=201, response_model=models.Redemption, tags=["codes"])
    def redeem_code(
        body: models.RedemptionBody,
        authorization: Authorization = None,
        idempotency_key: KeyHeader = None,
    ) -> Any:
        """Turn a code that a learner handed over into a consent; search with it afterwards."""
        principal = ops.allowed(authorization, "code:redeem")
        request = operator_pb2.OperatorServiceRedeemCodeRequest(
            code=body.code, organisation=body.organisation
        )

        def act() -> Any:
            with connected(ops.connect) as node:
                redeemed = node.redeem_code(request)
            if redeemed.outcome == "OK":
                return views.redemption_view(redeemed)
            name = "code-refused" if redeemed.outcome == "CODE_INVALID" else "peer-failed"
            raise ProblemError(name, f"{redeemed.outcome}: {redeemed.explanation}")

        return _once(ops, idempotency_key, principal, "redeem-code", (None, body), act, 201)

    @router.delete("/codes/{code_id}", status_code=204, tags=["codes"])
    def revoke_code(
        code_id: Annotated[str, Path(pattern=r"^[0-9A-Za-z]{8}$")],
        authorization: Authorization = None,
        learner_identifier: LearnerHeader = None,
        learner_identifier_type: TypeHeader = None,
    ) -> None:
        """Take back a code that nobody has redeemed. Of a redeemed one, take back the consent."""
        principal = ops.allowed(authorization, "code:write")
        learner = ops.learner(principal, learner_identifier, learner_identifier_type)
        if code_id not in {row.code_id for row in _codes(ops, learner)}:
            raise ProblemError("not-found", "This learner has no such code here.")
        with connected(ops.connect) as node:
            node.revoke_code(operator_pb2.RevokeCodeRequest(code_id=code_id))


def _further_routes(router: APIRouter, ops: Operations) -> None:
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
            kinds=_kinds(body.kinds),
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
        kinds=_kinds(body.kinds),
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


def _once(
    ops: Operations,
    key: str | None,
    principal: Principal,
    operation: str,
    asked: tuple[Learner | None, Any],
    act: Callable[[], Any],
    status: int,
) -> Response:
    learner, body = asked
    said = {"learner": learner.identifier if learner else "", "body": body.model_dump(mode="json")}
    answer, is_replay = ops.once.call(key, principal, operation, said, act)
    headers = {"Idempotency-Replayed": "true"} if is_replay else {}
    return JSONResponse(answer, status, {**headers, "Cache-Control": "no-store"})


def _consents(ops: Operations, learner: Learner) -> list[operator_pb2.IssuedConsent]:
    wanted = operator_pb2.ListIssuedConsentsRequest(
        learner_identifier=learner.identifier, identifier_type=learner.identifier_type
    )
    with connected(ops.connect) as node:
        return list(node.issued_consents(wanted).consents)


def _codes(ops: Operations, learner: Learner) -> list[operator_pb2.IssuedCode]:
    wanted = operator_pb2.ListCodesRequest(
        learner_identifier=learner.identifier, identifier_type=learner.identifier_type
    )
    with connected(ops.connect) as node:
        return list(node.issued_codes(wanted).codes)


def _kinds(words: list[Any]) -> list[Any]:
    return [parse_kind(word) for word in dict.fromkeys(words)]


def _authentication(word: str) -> Any:
    return LearnerAuthentication.Value(f"LEARNER_AUTHENTICATION_{word.upper().replace('-', '_')}")
