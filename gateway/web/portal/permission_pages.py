"""What learners permit and what came of it: consents, learning codes, accesses."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import segno
from markupsafe import Markup
from starlette.responses import RedirectResponse, Response

from creditexchange.v1 import archive_pb2, operator_pb2
from creditexchange.v1.consent_pb2 import LEARNER_AUTHENTICATION_PROVINCE_ACCOUNT
from gateway.clock import Clock, from_unix_ms, unix_ms
from gateway.errors import CallerError
from gateway.policy.learning_code import parse_code
from gateway.policy.purposes import KINDS, PURPOSES, parse_kind, parse_purpose
from gateway.web.archive_api.views import consent_view
from gateway.web.archives.node_calls import Connect, connected
from gateway.web.portal.nodes import KnownNodes
from gateway.web.portal.visits import Visit

CODE_MINUTES = 10
DAYS_MAX = 366
SHOWN_MAX = 200


@dataclass(frozen=True)
class PermissionPages:
    """The pages."""

    connect: Connect
    nodes: KnownNodes
    clock: Clock

    def consents(self, visit: Visit) -> Response:
        """List the learner's consents, and how to give one."""
        wanted = operator_pb2.ListIssuedConsentsRequest(
            learner_identifier=visit.learner.identifier, identifier_type=visit.learner.identifier_type
        )
        with connected(self.connect) as node:
            rows = list(node.issued_consents(wanted).consents)[:SHOWN_MAX]
        now_ms = unix_ms(self.clock())
        language = visit.pages.preferences(visit.request).language
        return visit.render(
            "consents.html",
            consents=[consent_view(row, now_ms) for row in rows],
            ends={row.consent_id.hex(): from_unix_ms(row.end_ms) for row in rows},
            all_nodes=self.nodes.all(language),
            name=lambda node: self.nodes.name(node, language),
            purposes=tuple(PURPOSES),
            kinds=tuple(KINDS),
        )

    def grant(self, visit: Visit) -> Response:
        """Sign what the form shows."""
        form = visit.form
        request = operator_pb2.GrantConsentRequest(
            learner_identifier=visit.learner.identifier,
            identifier_type=visit.learner.identifier_type,
            asking_node_id=form.get("asker", ""),
            asking_organisation=form.get("organisation", "").strip()[:200],
            every_node_may_answer=True,
            purpose=parse_purpose(form.get("purpose", "")),  # type: ignore[arg-type]
            kinds=_kinds(visit),
            end_ms=unix_ms(self.clock() + timedelta(days=_days(form.get("days", "")))),
            authentication=LEARNER_AUTHENTICATION_PROVINCE_ACCOUNT,
        )
        with connected(self.connect) as node:
            node.grant_consent(request)
        return RedirectResponse("/consents", status_code=303)

    def revoke(self, visit: Visit) -> Response:
        """Take one of the learner's own consents back."""
        consent_id = visit.request.path_params["consent"]
        wanted = operator_pb2.ListIssuedConsentsRequest(
            learner_identifier=visit.learner.identifier, identifier_type=visit.learner.identifier_type
        )
        with connected(self.connect) as node:
            own = {row.consent_id.hex(): row.consent_id for row in node.issued_consents(wanted).consents}
            if consent_id not in own:
                raise CallerError("you have no such consent.")
            node.withdraw_consent(operator_pb2.WithdrawConsentRequest(consent_id=own[consent_id]))
        return RedirectResponse("/consents", status_code=303)

    def code(self, visit: Visit) -> Response:
        """Show how to make a learning code."""
        return visit.render("code.html", purposes=tuple(PURPOSES), kinds=tuple(KINDS), shown=None)

    def make_code(self, visit: Visit) -> Response:
        """Make a learning code and show it, this once."""
        form = visit.form
        request = operator_pb2.IssueCodeRequest(
            learner_identifier=visit.learner.identifier,
            identifier_type=visit.learner.identifier_type,
            purpose=parse_purpose(form.get("purpose", "")),  # type: ignore[arg-type]
            kinds=_kinds(visit),
            organisation=form.get("organisation", "").strip()[:200],
            code_minutes=CODE_MINUTES,
            authentication=LEARNER_AUTHENTICATION_PROVINCE_ACCOUNT,
        )
        with connected(self.connect) as node:
            issued = node.issue_code(request)
        shown = {
            "text": issued.code,
            "typed": parse_code(issued.code).typed,
            "qr": qr_svg(issued.code),
            "ends": from_unix_ms(issued.expire_ms),
            "end_ms": issued.expire_ms,
            "seconds": max(0, (issued.expire_ms - unix_ms(self.clock())) // 1000),
            "id": issued.code_id,
        }
        return visit.render("code.html", purposes=tuple(PURPOSES), kinds=tuple(KINDS), shown=shown)

    def revoke_code(self, visit: Visit) -> Response:
        """Take back one of the learner's own codes."""
        code_id = visit.request.path_params["code"]
        wanted = operator_pb2.ListCodesRequest(
            learner_identifier=visit.learner.identifier, identifier_type=visit.learner.identifier_type
        )
        with connected(self.connect) as node:
            if code_id not in {code.code_id for code in node.issued_codes(wanted).codes}:
                raise CallerError("you have no such code.")
            node.revoke_code(operator_pb2.RevokeCodeRequest(code_id=code_id))
        return RedirectResponse("/code", status_code=303)

    def accesses(self, visit: Visit) -> Response:
        """Show who asked, when, why, and what was given."""
        wanted = archive_pb2.ListAccessesRequest(
            learner_identifier=visit.learner.identifier, identifier_type=visit.learner.identifier_type
        )
        with connected(self.connect) as node:
            rows = list(node.accesses(wanted).accesses)[::-1][:SHOWN_MAX]
        language = visit.pages.preferences(visit.request).language
        days: dict[str, list[tuple[datetime, archive_pb2.Access]]] = {}
        for row in rows:
            moment = from_unix_ms(row.log_ms)
            days.setdefault(visit.pages.when(moment, "%Y-%m-%d"), []).append((moment, row))
        return visit.render(
            "accesses.html",
            days=days,
            own=self.nodes.own,
            name=lambda node: self.nodes.name(node, language),
        )


def qr_svg(text: str) -> Markup:
    """Return a QR code as inline SVG: it stands in the page itself, so that no address has it."""
    image = io.BytesIO()
    segno.make_qr(text, error="m").save(
        image, kind="svg", border=3, xmldecl=False, light="#fff", omitsize=True, lineclass=None
    )
    return Markup(image.getvalue().decode())  # noqa: S704 - drawn here; the text is not in it


def _kinds(visit: Visit) -> list[Any]:
    words = visit.many.get("kind", ())
    if not words:
        raise CallerError("choose at least one kind of record.")
    return [parse_kind(word) for word in dict.fromkeys(words)]


def _days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text[:4]) <= DAYS_MAX:
        raise CallerError(f"a consent lasts 1 to {DAYS_MAX} days.")
    return int(text)
