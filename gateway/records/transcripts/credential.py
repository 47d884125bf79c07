"""1EdTech Open Badges 3.0 and Comprehensive Learner Record 2.0: verifiable credentials in JSON."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from creditexchange.v1 import record_pb2 as pb
from gateway.records.transcripts import draft as kept
from gateway.records.transcripts.draft import UNSTATED_UNIT, Draft, Transcript, hide_person, make_keys_unique
from gateway.records.transcripts.tree import DocumentError, Element, Node

CLR = "ClrCredential"
BADGES = frozenset({"OpenBadgeCredential", "AchievementCredential"})

VC_CONTEXTS = ("https://www.w3.org/ns/credentials/v2", "https://www.w3.org/2018/credentials/v1")

_AMOUNT = re.compile(r"\d{1,9}(?:\.\d{1,9})?", re.ASCII)
_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})", re.ASCII)

_KINDS = {
    word: kind
    for kind, words in {
        pb.RECORD_KIND_DEGREE: (
            "AssociateDegree",
            "BachelorDegree",
            "MasterDegree",
            "DoctoralDegree",
            "ProfessionalDoctorate",
            "ResearchDoctorate",
            "Degree",
        ),
        pb.RECORD_KIND_GRADUATION: ("Diploma", "SecondarySchoolDiploma", "GeneralEducationDevelopment"),
        pb.RECORD_KIND_COURSE: ("Course",),
        pb.RECORD_KIND_MODULE: ("LearningProgram",),
        pb.RECORD_KIND_VOCATIONAL_QUALIFICATION: (
            "Certificate",
            "CertificateOfCompletion",
            "Certification",
            "License",
            "JourneymanCertificate",
            "MasterCertificate",
            "ApprenticeshipCertificate",
        ),
        pb.RECORD_KIND_EXPERIENCE: ("CommunityService", "CoCurricular", "Fieldwork", "Membership"),
    }.items()
    for word in words
}
"""Shared kind by achievementType; every other one is a unit of learning outcomes."""
_STATUSES = {"Failed": "failed", "InProgress": "in-progress"}
"""Of the format's result statuses; Completed is no pass, and the others say nothing about the outcome."""


def is_credential(root: Node) -> bool:
    """Whether a JSON document is one of the two."""
    return bool({CLR, *BADGES} & set(root.texts("type")))


def read_credential(root: Node, learner: Sequence[str], now: datetime) -> Transcript:
    """Return the achievements of a credential.

    Raises:
        DocumentError: it breaks the format's rules, or has expired.
    """
    is_clr = CLR in root.texts("type")
    _check(root, is_clr=is_clr)
    _check_span(root, now)
    nodes = root.first("credentialSubject").all("verifiableCredential") if is_clr else [root]  # type: ignore[union-attr]
    credentials = [node for node in nodes if node.children]
    for node in credentials:
        if node is not root:
            _check(node, is_clr=False)
    hide_person(root, [part for node in (root, *credentials) for part in _person_in(node)], learner)
    drafts = [_draft(node) for node in credentials]
    if is_clr:
        _relate(root, drafts)
    make_keys_unique(drafts)
    return Transcript(root, "CLR 2.0" if is_clr else "Open Badges 3.0", "clr" if is_clr else "badge", drafts)


def _person_in(credential: Node) -> list[Node]:
    subject = credential.first("credentialSubject")
    names = ("id", "identifier", "profile", "email", "phone", "dateOfBirth", "address")
    return [node for name in names for node in subject.all(name)] if subject else []


def _check(node: Node, *, is_clr: bool) -> None:
    """Refuse a credential without what the formats demand of each."""
    contexts = node.texts("@context")
    if not contexts or contexts[0] not in VC_CONTEXTS:
        raise DocumentError(f"{node.path}/@context does not begin with that of verifiable credentials.")
    if len(contexts) == 1:
        raise DocumentError(f"{node.path}/@context names no context of CLR or Open Badges.")
    wanted = {CLR} if is_clr else BADGES
    if "VerifiableCredential" not in node.texts("type") or not wanted & set(node.texts("type")):
        raise DocumentError(
            f"{node.path}/type is not VerifiableCredential and {' or '.join(sorted(wanted))}."
        )
    issuer = node.first("issuer")
    if issuer is None or not (issuer.text() or issuer.text("id")):
        raise DocumentError(f"{node.path}/issuer is missing: nobody awarded it.")
    subject = node.first("credentialSubject")
    kind = "ClrSubject" if is_clr else "AchievementSubject"
    if subject is None or kind not in subject.texts("type"):
        raise DocumentError(f"{node.path}/credentialSubject is missing or no {kind}.")
    if not (node.text("validFrom") or node.text("issuanceDate")):
        raise DocumentError(f"{node.path} has neither validFrom nor issuanceDate.")
    for name in ("validFrom", "issuanceDate", "validUntil", "expirationDate", "awardedDate"):
        if node.first(name) and not _is_moment(node.text(name)):
            raise DocumentError(f"{node.path}/{name} is no date and time with time zone.")
    for inner in subject.nodes():
        if inner.name in ("creditsEarned", "creditsAvailable") and not _is_number(inner.text()):
            raise DocumentError(f"{inner.path} is no number.")


def _is_moment(text: str) -> bool:
    try:
        return _DATE.fullmatch(text) is not None and bool(datetime.fromisoformat(text))
    except ValueError:
        return False  # a month 13, an hour 25


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\d+(\.\d+)?([eE][+-]?\d+)?", text, re.ASCII) is not None


def _check_span(node: Node, now: datetime) -> None:
    """Refuse a credential that has expired, or is not valid yet."""
    until = node.text("validUntil") or node.text("expirationDate")
    since = node.text("validFrom") or node.text("issuanceDate")
    if until and datetime.fromisoformat(until) < now:
        raise DocumentError(f"it has expired: it was valid until {until}.")
    if datetime.fromisoformat(since) > now:
        raise DocumentError(f"it is not valid before {since}.")


def _draft(node: Node) -> Draft:
    subject = node.first("credentialSubject")
    assert subject is not None
    achievement = subject.first("achievement") or Node("achievement", f"{subject.path}/achievement")
    kind = _KINDS.get(achievement.text("achievementType"), pb.RECORD_KIND_UNIT)
    issued = node.text("validFrom") or node.text("issuanceDate")
    each = Draft(node, kind, (node.text("id") or achievement.text("id"), issued))
    each.put("title", achievement.element_at("name") or node.element_at("name"))
    each.note(kept.TITLE_LANGUAGE, achievement.element_at("inLanguage"))
    issuer = node.first("issuer")
    assert issuer is not None
    each.put("issuer_name", issuer.element_at("name"))
    code = issuer.element_at("id") or issuer.element
    each.put("issuer_code", code)
    if "issuer_code" in each.members:
        each.members["issuer_code_scheme"] = "uri"
    each.put("course_code", achievement.element_at("humanCode"))
    each.put("catalogue_version", achievement.element_at("version"))
    field_of_study = achievement.element_at("fieldOfStudy")
    if field_of_study is not None:
        each.put("field_code", field_of_study)
        each.members["field_scheme"] = "text"
    each.put("certificate_number", subject.element_at("licenseNumber"))
    _add_dates(each, node, subject)
    _add_result(each, subject)
    return each


def _add_dates(each: Draft, node: Node, subject: Node) -> None:
    for column, element in (
        ("start_date", subject.element_at("activityStartDate")),
        ("end_date", subject.element_at("activityEndDate")),
        ("award_date", node.element_at("awardedDate")),
        ("award_date", node.element_at("validFrom") or node.element_at("issuanceDate")),
        ("expire_date", node.element_at("validUntil") or node.element_at("expirationDate")),
    ):
        match = _DATE.fullmatch(element.value.strip()) if element else None
        if match is not None:
            each.put(column, element, match[1])


def _add_result(each: Draft, subject: Node) -> None:
    """Add outcome and credits. A number is what the file writes, never what a binary float makes of it."""
    results = subject.all("result")
    graded = next((result for result in results if result.element_at("value")), None)
    if graded is not None:
        each.note(kept.GRADE, graded.element_at("value"))
    status: Element | None = None
    for result in results:
        word = _STATUSES.get(result.text("status"))
        if word is not None:
            status = result.element_at("status")
            each.note(kept.GRADE_STATUS, status, word)
    earned = subject.element_at("creditsEarned")
    if earned is not None and status is None and _AMOUNT.fullmatch(earned.value):
        each.put("credits", earned)
        each.members["credit_unit"] = UNSTATED_UNIT


def _relate(root: Node, drafts: Sequence[Draft]) -> None:
    """Tie parts to wholes where the record says so and both are in it."""
    by_id: dict[str, Draft] = {}
    for each in drafts:
        for name in ("credentialSubject/achievement/id", "id"):
            by_id.setdefault(each.node.text(name), each)
    by_id.pop("", None)
    subject = root.first("credentialSubject")
    assert subject is not None
    for association in subject.all("association"):
        part, whole = by_id.get(association.text("sourceId")), by_id.get(association.text("targetId"))
        kind = association.text("associationType")
        if kind == "isParentOf":
            part, whole = whole, part
        if kind not in ("isParentOf", "isChildOf", "isPartOf") or part is None or whole is None:
            continue
        if part.parent is None and not _is_within(whole, part):
            part.parent = whole


def _is_within(each: Draft | None, other: Draft) -> bool:
    """Whether ``each`` is ``other`` or a part of it: no record may be a part of itself."""
    while each is not None:
        if each is other:
            return True
        each = each.parent
    return False
