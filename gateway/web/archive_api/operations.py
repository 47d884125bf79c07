"""What every operation of the local API works with: scopes, headers, whom a call is about."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Header, Query, Response
from fastapi.responses import JSONResponse

from creditexchange.v1.consent_pb2 import LearnerAuthentication
from gateway.clock import Clock
from gateway.learners.identifier import RESIDENT_ID, normalise
from gateway.policy.purposes import parse_kind, parse_legal_basis
from gateway.web.archive_api.idempotency import OnceOnly
from gateway.web.archive_api.paging import LIMIT_MAX
from gateway.web.archive_api.problems import ProblemError
from gateway.web.archive_api.tokens import AccessTokens, Learner, Principal
from gateway.web.archives.node_calls import Connect
from gateway.web.archives.searches import Search, Searches

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

    def once_only(
        self,
        key: str | None,
        principal: Principal,
        operation: str,
        asked: tuple[Learner | None, Any],
        act: Callable[[], Any],
        status: int,
    ) -> Response:
        """Return what ``act`` answers, or what it answered when the same ``key`` came before.

        Raises:
            ProblemError: the key was used for another question, or is being worked on.
        """
        learner, body = asked
        said = {"learner": learner.identifier if learner else "", "body": body.model_dump(mode="json")}
        answer, is_replay = self.once.call(key, principal, operation, said, act)
        headers = {"Idempotency-Replayed": "true"} if is_replay else {}
        return JSONResponse(answer, status, {**headers, "Cache-Control": "no-store"})


def kinds_of(words: list[Any]) -> list[Any]:
    """Return the kinds of ``words``, each once. Raises ``CallerError``."""
    return [parse_kind(word) for word in dict.fromkeys(words)]


def authentication_of(word: str) -> Any:
    """Return how the learner was authenticated, by its word in the API."""
    return LearnerAuthentication.Value(f"LEARNER_AUTHENTICATION_{word.upper().replace('-', '_')}")
