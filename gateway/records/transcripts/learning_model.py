"""European Digital Credentials: the European Learning Model 3 in JSON."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from creditexchange.v1 import record_pb2 as pb
from gateway.records.transcripts import draft as kept
from gateway.records.transcripts.draft import UNSTATED_UNIT, Draft, Transcript, hide_person, make_keys_unique
from gateway.records.transcripts.tree import DocumentError, Node

CREDENTIAL = "EuropeanDigitalCredential"

_KINDS = {
    "LearningAchievement": pb.RECORD_KIND_UNIT,
    "LearningActivity": pb.RECORD_KIND_TRAINING,
    "LearningAssessment": pb.RECORD_KIND_UNIT,
    "LearningEntitlement": pb.RECORD_KIND_UNIT,
    "Qualification": pb.RECORD_KIND_VOCATIONAL_QUALIFICATION,
}
_PERSONAL = (
    "id",
    "identifier",
    "nationalID",
    "dateOfBirth",
    "placeOfBirth",
    "birthName",
    "gender",
    "citizenshipCountry",
    "contactPoint",
    "location",
    "email",
)
_PARTS = ("hasPart", "provenBy", "influencedBy", "entitlesTo")
_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:T.*)?", re.ASCII)
_AMOUNT = re.compile(r"\d{1,9}(?:\.\d{1,9})?", re.ASCII)


def is_learning_model(root: Node) -> bool:
    """Whether a JSON document is a European Digital Credential."""
    return CREDENTIAL in root.texts("type")


def read_learning_model(root: Node, learner: Sequence[str], now: datetime) -> Transcript:
    """Return the claims of a European Digital Credential.

    Raises:
        DocumentError: it has no issuer or no person, or has expired.
    """
    subject, issuer = root.first("credentialSubject"), root.first("issuer")
    if issuer is None or not issuer.children:
        raise DocumentError("/issuer is missing: nobody awarded it.")
    if subject is None or "Person" not in subject.texts("type"):
        raise DocumentError("/credentialSubject is missing or no Person.")
    _check_span(root, now)
    hide_person(root, [node for name in _PERSONAL for node in subject.all(name)], learner)
    drafts: list[Draft] = []
    for claim in subject.all("hasClaim"):
        _add(claim, None, root, drafts)
    for each in drafts:
        _add_person(each, subject)
    make_keys_unique(drafts)
    return Transcript(root, "European Learning Model 3", "elm", drafts)


def _check_span(root: Node, now: datetime) -> None:
    until = root.text("validUntil") or root.text("expirationDate")
    try:
        moment = datetime.fromisoformat(until) if until else None
        is_over = moment is not None and (moment if moment.tzinfo else moment.astimezone()) < now
    except ValueError as error:
        raise DocumentError("/validUntil is no date and time.") from error
    if is_over:
        raise DocumentError(f"it has expired: it was valid until {until}.")


def _add(claim: Node, parent: Draft | None, root: Node, drafts: list[Draft]) -> None:
    """Append the draft of a claim and those of its parts."""
    words = [word for word in claim.texts("type") if word in _KINDS]
    if claim.children and words:
        kind = _KINDS[words[-1]]
        each = Draft(claim, kind, (root.text("id"), claim.text("id"), claim.text("awardedBy/awardingDate")))
        each.parent = parent
        _fill(each, claim, root)
        drafts.append(each)
        parent = each
    for name in _PARTS:
        for part in claim.all(name):
            _add(part, parent, root, drafts)


def _put_text(each: Draft, column: str, language: str, node: Node | None) -> None:
    """Put a text that is given by language, and note the language."""
    if node is None or column in each.members:
        return
    for inner in node.children:
        if inner.element is not None and inner.text():
            each.put(column, inner.element)
            if language:
                each.notes[language] = inner.name
            return
    each.put(column, node.element)


def _fill(each: Draft, claim: Node, root: Node) -> None:
    for way in ("title", "specifiedBy/title"):
        _put_text(each, "title", kept.TITLE_LANGUAGE, claim.first(way))
    if "title" not in each.members:
        _put_text(each, "title", kept.TITLE_LANGUAGE, root.first("displayParameter/title"))
    for source in (claim.first("awardedBy/awardingBody"), root.first("issuer")):
        if source is not None:
            _put_text(each, "issuer_name", kept.ISSUER_LANGUAGE, source.first("legalName"))
    for column, way in (
        ("award_date", "awardedBy/awardingDate"),
        ("start_date", "temporal/startDate"),
        ("end_date", "temporal/endDate"),
    ):
        element = claim.element_at(way)
        match = _DATE.fullmatch(element.value.strip()) if element else None
        if match is not None:
            each.put(column, element, match[1])
    point = claim.element_at("creditReceived/point")
    if point is not None and _AMOUNT.fullmatch(point.value):
        each.put("credits", point)
        framework = claim.text("creditReceived/framework/id").lower()
        each.members["credit_unit"] = "ects" if framework.endswith("ects") else UNSTATED_UNIT
    grade = claim.first("grade/noteLiteral") or claim.first("provenBy/grade/noteLiteral")
    if grade is not None:
        each.note(kept.GRADE, next(grade.elements(), None))


def _add_person(each: Draft, subject: Node) -> None:
    full = subject.first("fullName")
    values = [element for element in full.elements() if element.value.strip()] if full else []
    if values:
        each.members["holder_name"] = values[0].value.strip()
        each.keep(values[0])
        values[0].places.append("holder_name")
