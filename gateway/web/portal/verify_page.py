"""The verifiers' page: a learning code or a document, without an account."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from creditexchange.v1 import archive_pb2, operator_pb2
from creditexchange.v1.exchange_pb2 import LEGAL_BASIS_CONSENT
from gateway.clock import monotonic_s
from gateway.errors import CallerError
from gateway.exports.archive_file import ArchiveFileError
from gateway.exports.verifying import CredentialError
from gateway.policy.consent import read_consent
from gateway.policy.purposes import kind_word, purpose_word
from gateway.web.archives.node_calls import Connect, connected
from gateway.web.archives.searches import Search, Searches
from gateway.web.portal.checking import Checker
from gateway.web.portal.nodes import KnownNodes
from gateway.web.portal.timeline import items
from gateway.web.portal.visits import FIELDS_MAX, answered
from gateway.web.site.page import Pages
from gateway.web.site.visiting import form_fields

OWNER = "verifier\0"
"""Results of codes are kept under an address that nobody guesses, for whoever has it."""
REASON = "credential-verified"
"""Reason in the log's entry about a document that was checked."""
WAIT_S = 5.0


@dataclass
class Rate:
    """How many checks a minute there may be, from everybody together. Safe for threads."""

    per_minute: int
    _left: float = field(init=False)
    _at_s: float = field(default_factory=monotonic_s)
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        """Begin with a full bucket."""
        self._left = float(self.per_minute)

    def take(self) -> None:
        """Take one. Raises ``CallerError`` when there is none left."""
        with self._lock:
            now_s = monotonic_s()
            self._left = min(float(self.per_minute), self._left + (now_s - self._at_s) * self.per_minute / 60)
            self._at_s = now_s
            if self._left < 1:
                raise CallerError("too much is being checked just now.", remedy="Try again in a minute.")
            self._left -= 1


@dataclass(frozen=True)
class VerifyPage:
    """The pages."""

    pages: Pages
    connect: Connect
    searches: Searches
    nodes: KnownNodes
    checker: Checker
    rate: Rate

    def routes(self) -> list[Route]:
        """Return the routes; none needs a session."""
        return [
            Route("/verify", self.show, methods=["GET"]),
            Route("/verify/code", self.take_code, methods=["POST"]),
            Route("/verify/document", self.take_document, methods=["POST"]),
            Route("/verify/{search}", self.result, methods=["GET"]),
            Route("/verify/{search}/part", self.follow, methods=["GET"]),
        ]

    def show(self, request: Request) -> Response:
        """Show the two ways."""
        return self.pages.render(request, "verify.html")

    async def take_code(self, request: Request) -> Response:
        """Redeem a code and look at what it permits."""
        form = dict(await form_fields(request, FIELDS_MAX))
        return await run_in_threadpool(self._answer, request, lambda: self._redeem(request, form))

    async def take_document(self, request: Request) -> Response:
        """Check a document."""
        async with request.form(max_files=1, max_fields=4) as form:
            upload = form.get("document")
            content = await upload.read() if upload is not None and not isinstance(upload, str) else b""
            passphrase = str(form.get("passphrase") or "")[:1000]
        return await run_in_threadpool(
            self._answer, request, lambda: self._check(request, content, passphrase)
        )

    def result(self, request: Request) -> Response:
        """Show what a code permits to see."""
        return self._answer(request, lambda: self._result(request, "verify_code.html"))

    def follow(self, request: Request) -> Response:
        """Return the part that grows, as soon as there is more."""
        seen = request.query_params.get("seen", "")

        def act() -> Response:
            search = self._search(request)
            search.wait_for_more(int(seen) if seen.isdecimal() and len(seen) < 5 else 0, WAIT_S)
            return self._result(request, "verify_part.html")

        return self._answer(request, act)

    def _redeem(self, request: Request, form: dict[str, str]) -> Response:
        self.rate.take()
        organisation = form.get("organisation", "").strip()[:200]
        if not organisation:
            raise CallerError("say for which organisation you check; the learner sees it.")
        wanted = operator_pb2.OperatorServiceRedeemCodeRequest(
            code=form.get("code", "").strip()[:200], organisation=organisation
        )
        with connected(self.connect) as node:
            redeemed = node.redeem_code(wanted)
        if redeemed.outcome != "OK":
            key = "verify.code-over" if redeemed.outcome == "CODE_INVALID" else "verify.code-away"
            return self.pages.render(request, "problem.html", status=422, key=key, text=redeemed.explanation)
        consent = read_consent(redeemed.message)
        search = archive_pb2.SearchRecordsRequest(
            purpose=consent.purpose,
            kinds=consent.kinds,
            peers=() if consent.every_node_may_answer else consent.answering_node_ids,
            legal_basis=LEGAL_BASIS_CONSENT,
            consent=redeemed.message,
        )
        begun = self.searches.begin(OWNER, search)
        return RedirectResponse(f"/verify/{begun.name}", status_code=303)

    def _check(self, request: Request, content: bytes, passphrase: str) -> Response:
        self.rate.take()
        if not content:
            raise CallerError("choose a file.")
        try:
            checked = self.checker.check(content, passphrase)
        except (CredentialError, ArchiveFileError) as error:
            return self.pages.render(
                request, "problem.html", status=422, key="verify.not-genuine", text=str(error)
            )
        note = operator_pb2.NoteAccessRequest(
            action="evidence-opened", reason=REASON, count=len(checked.records)
        )
        with connected(self.connect) as node:
            node.note_access(note)
        return self.pages.render(request, "verify_document.html", checked=checked, name=self._name(request))

    def _result(self, request: Request, template: str) -> Response:
        search = self._search(request)
        language = self.pages.preferences(request).language
        consent = read_consent(search.request.consent)
        is_done = search.is_done  # read first: a page that says so must have everything
        parts = search.parts()
        heard = {part.peer.node_id for part in parts}
        asked = consent.answering_node_ids or [node for node, _ in self.nodes.others(language)]
        return self.pages.render(
            request,
            template,
            search=search,
            is_done=is_done,
            seen=len(parts),
            parts=parts,
            waiting=[(node, self.nodes.name(node, language)) for node in asked if node not in heard],
            shown=items(search.records(), language, self.nodes.own),
            organisation=consent.asking_organisation,
            purpose=purpose_word(consent.purpose),
            kinds=[kind_word(kind) for kind in consent.kinds],
            issuer=self.nodes.name(consent.issuing_node_id, language),
            ends=consent.end_time.ToDatetime(search.began.tzinfo),
            name=self._name(request),
        )

    def _search(self, request: Request) -> Search:
        found = self.searches.find(OWNER, request.path_params["search"])
        if found is None:
            raise CallerError("this result is over.", remedy="Ask the learner for a new code.")
        return found

    def _name(self, request: Request) -> Callable[[str], str]:
        language = self.pages.preferences(request).language
        return lambda node: self.nodes.name(node, language)

    def _answer(self, request: Request, act: Callable[[], Response]) -> Response:
        def problem(**how: Any) -> Response:
            return self.pages.render(request, "problem.html", **how)

        return answered(act, problem)
