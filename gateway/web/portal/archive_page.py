"""The learner's archive: collected from every node, shown as it comes, explained, taken away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from starlette.responses import RedirectResponse, Response

from creditexchange.v1 import archive_pb2, operator_pb2
from creditexchange.v1.consent_pb2 import LEARNER_AUTHENTICATION_PROVINCE_ACCOUNT
from creditexchange.v1.exchange_pb2 import LEGAL_BASIS_CONSENT, PURPOSE_PERSONAL_ARCHIVE
from gateway.clock import Clock, unix_ms
from gateway.errors import CallerError
from gateway.exchange.record_json import record_json
from gateway.policy.purposes import parse_kind
from gateway.web.archives.node_calls import Connect, connected
from gateway.web.archives.searches import Search, Searches
from gateway.web.portal.nodes import KnownNodes
from gateway.web.portal.timeline import Item, items, sums, unit_in, years
from gateway.web.portal.visits import Visit

WAIT_S = 5.0
"""How long a look at a running search waits for something new: the page shows it the moment it comes."""
FIRST_WAIT_S = 0.3
"""How long the page itself waits for a first answer, which then needs no request of a script."""
CONSENT_FOR = timedelta(hours=1)
FORMS = ("pdf", "clr", "elmo", "csv", "json")


@dataclass(frozen=True)
class ArchivePage:
    """The pages of an archive."""

    connect: Connect
    searches: Searches
    nodes: KnownNodes
    clock: Clock
    kinds: Sequence[str]
    """Kinds of record that are asked for."""

    def show(self, visit: Visit) -> Response:
        """Show what was collected, or how to begin."""
        search = self._search(visit)
        if search is not None:
            search.wait_for_more(0, FIRST_WAIT_S)
        return visit.render("archive.html", **self._facts(visit, search), forms=FORMS)

    def follow(self, visit: Visit) -> Response:
        """Return the part of the page that grows, as soon as there is more than the page has."""
        search = self._search(visit)
        if search is None:
            return Response(status_code=204, headers={"HX-Redirect": "/archive"})
        seen = visit.asked("seen")
        search.wait_for_more(int(seen) if seen.isdecimal() and len(seen) < 5 else 0, WAIT_S)
        return visit.render("archive_part.html", **self._facts(visit, search))

    def collect(self, visit: Visit) -> Response:
        """Take the learner's consent to ask every node for their own archive, and begin to ask."""
        learner = visit.learner
        ends = unix_ms(self.clock() + CONSENT_FOR)
        consent = operator_pb2.GrantConsentRequest(
            learner_identifier=learner.identifier,
            identifier_type=learner.identifier_type,
            asking_node_id=self.nodes.own,
            asking_organisation=self.nodes.name(self.nodes.own, "zh"),
            every_node_may_answer=True,
            purpose=PURPOSE_PERSONAL_ARCHIVE,
            kinds=[parse_kind(kind) for kind in self.kinds],  # type: ignore[misc]
            end_ms=ends,
            authentication=LEARNER_AUTHENTICATION_PROVINCE_ACCOUNT,
        )
        with connected(self.connect) as node:
            signed = node.grant_consent(consent).message
        request = archive_pb2.SearchRecordsRequest(
            learner_identifier=learner.identifier,
            identifier_type=learner.identifier_type,
            purpose=PURPOSE_PERSONAL_ARCHIVE,
            legal_basis=LEGAL_BASIS_CONSENT,
            consent=signed,
        )
        self.searches.forget_all(visit.owner)
        self.searches.begin(visit.owner, request, with_own=True)
        return RedirectResponse("/archive", status_code=303)

    def record(self, visit: Visit) -> Response:
        """Show one record: what was issued, how it was translated, who signed it."""
        item = self._item(visit)
        return visit.render(
            "record.html",
            item=item,
            facts=record_json(item.entry),
            name=lambda node: self.nodes.name(node, self._language(visit)),
        )

    def download(self, visit: Visit) -> Response:
        """Return the archive, or one record of it, as a document that others verify."""
        form, record = visit.form.get("format", ""), visit.form.get("record", "")[:200]
        if form not in (*FORMS, "vc"):
            raise CallerError("there is no such form of document.")
        own = visit.form.get("source", "") == self.nodes.own
        search = archive_pb2.SearchRecordsRequest()
        kept = self._search(visit)
        if kept is not None:
            search.CopyFrom(kept.request)
        search.learner_identifier = visit.learner.identifier
        search.identifier_type = visit.learner.identifier_type
        wanted = archive_pb2.ExportArchiveRequest(
            search=search, own_records=own, format=form, record_id=record
        )
        with connected(self.connect) as node:
            made = node.export(wanted)
        headers = {"Content-Disposition": f'attachment; filename="archive.{made.extension}"'}
        return Response(made.content, media_type=made.media_type, headers=headers)

    def _facts(self, visit: Visit, search: Search | None) -> dict[str, Any]:
        language = self._language(visit)
        if search is None:
            return {"search": None, "others": self.nodes.others(language)}
        is_done = search.is_done  # read first: a page that says so must have everything
        parts = search.parts()
        shown = items(search.records(), language, self.nodes.own)
        heard = {part.peer.node_id for part in parts}
        return {
            "search": search,
            "is_done": is_done,
            "seen": len(parts),
            "parts": parts,
            "waiting": [node for node in self.nodes.all(language) if node[0] not in heard],
            "years": years(shown),
            "sums": sums(shown),
            "unit": partial(unit_in, language),
            "count": len(shown),
            "certificates": sum(item.is_certificate for item in shown),
            "name": lambda node: self.nodes.name(node, language),
            "others": self.nodes.others(language),
        }

    def _search(self, visit: Visit) -> Search | None:
        return self.searches.newest(visit.owner)

    def _item(self, visit: Visit) -> Item:
        search = self._search(visit)
        source, record = visit.request.path_params["source"], visit.request.path_params["record"]
        found = items(search.records(), self._language(visit), self.nodes.own) if search is not None else []
        for item in found:
            if (item.source, item.record_id) == (source, record):
                return item
        raise CallerError("your archive has no such record now.", remedy="Collect it again.")

    def _language(self, visit: Visit) -> str:
        return visit.pages.preferences(visit.request).language
