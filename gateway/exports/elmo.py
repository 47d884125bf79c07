"""An archive as an ELMO 1.7 transcript (EMREX), with an enveloped XML signature.

One report an institution and source. What ELMO has no place for (exact amounts, dates cut to the month,
the state of a record) stands in ``extension`` elements in a namespace of our own; nothing is guessed
into a place that means something else. ELMO 2.0 is not written: its own example does not fit its schema.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from creditexchange.v1 import record_pb2 as pb
from creditexchange.v1.record_pb2 import LearningRecord, PartialDate
from gateway.exports.document_signer import DocumentSigner
from gateway.exports.issuer import Issuer
from gateway.exports.proof import timestamp
from gateway.exports.wording import by_language, date_text, text_in, title_of
from gateway.schemes.shared_words import FRAMEWORKS, GRADE_STATUSES, HOUR_KINDS, KINDS, STATES

NAMESPACE = "https://github.com/emrex-eu/elmo-schemas/tree/v1"
OWN_NAMESPACE = "urn:credit-exchange:v1"
_PREFIXES: Any = {None: NAMESPACE, "ce": OWN_NAMESPACE}
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"

_TYPES = {
    pb.RECORD_KIND_DEGREE: "Degree Programme",
    pb.RECORD_KIND_GRADUATION: "Degree Programme",
    pb.RECORD_KIND_COURSE: "Course",
    pb.RECORD_KIND_MODULE: "Module",
}
_STATUSES = {
    pb.GRADE_STATUS_PASSED: "passed",
    pb.GRADE_STATUS_FAILED: "failed",
    pb.GRADE_STATUS_IN_PROGRESS: "in-progress",
}
_DECIMAL = re.compile(r"\d+(\.\d+)?", re.ASCII)
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TWO_CHARACTER_SURNAMES = re.compile(
    "欧阳|上官|司马|诸葛|东方|皇甫|尉迟|公孙|慕容|司徒|令狐|夏侯|端木|百里|南宫|宇文|长孙|轩辕|申屠|呼延"
)


def elmo_transcript(
    records: Sequence[LearningRecord], issuer: Issuer, signer: DocumentSigner, now: datetime
) -> bytes:
    """Return the signed transcript of one learner's records."""
    from lxml import etree

    root = etree.Element(f"{{{NAMESPACE}}}elmo", nsmap=_PREFIXES)
    _add(root, "generatedDate", timestamp(now))
    _add_learner(root, next((each.holder_name for each in records if each.holder_name), ""))
    for group in _by_institution(records):
        _add_report(root, group, issuer, now)
    return bytes(etree.tostring(_signed(root, signer), xml_declaration=True, encoding="UTF-8"))


def _signed(root: Any, signer: DocumentSigner) -> Any:
    from cryptography.hazmat.primitives.serialization import Encoding
    from signxml.algorithms import DigestAlgorithm, SignatureMethod
    from signxml.signer import XMLSigner

    chain = [each.public_bytes(Encoding.PEM).decode() for each in signer.chain]
    return XMLSigner(
        signature_algorithm=SignatureMethod.ECDSA_SHA256, digest_algorithm=DigestAlgorithm.SHA256
    ).sign(root, key=signer.key, cert=chain)


def _by_institution(records: Sequence[LearningRecord]) -> list[list[LearningRecord]]:
    groups: dict[tuple[str, str], list[LearningRecord]] = {}
    for record in records:
        name = text_in(record.issuers[0].names) if record.issuers else ""
        groups.setdefault((record.source_node, name), []).append(record)
    return list(groups.values())


def _add_learner(root: Any, name: str) -> None:
    learner = _add(root, "learner")
    family, given = split_name(name)
    _add(learner, "givenNames", given)
    _add(learner, "familyName", family)


def split_name(name: str) -> tuple[str, str]:
    """Return family and given names, which ELMO wants apart; ``-`` where there is nothing to tell.

    A Chinese name begins with the family name, of one character but for a known few. The whole name
    stands unsplit with each record.
    """
    name = " ".join(name.split())
    if re.match(r"[\u3400-\u9fff\U00020000-\U000323af]", name) and " " not in name:
        length = 2 if _TWO_CHARACTER_SURNAMES.match(name) and len(name) > len("欧阳") else 1
        return name[:length], name[length:] or "-"
    given, _, family = name.rpartition(" ")
    return family or "-", given or "-"


def _add_report(root: Any, records: Sequence[LearningRecord], issuer: Issuer, now: datetime) -> None:
    report = _add(root, "report")
    stated = _add(report, "issuer")
    _add(stated, "country", "CN")
    first = records[0]
    codes = [(code.scheme, code.value) for each in first.issuers[:1] for code in each.identifiers]
    for scheme, code in codes or [("node", first.source_node)]:
        _add(stated, "identifier", code, type=scheme)
    names = by_language(first.issuers[0].names) if first.issuers else {}
    for language, name in (names or {"en": first.source_node}).items():
        _add(stated, "title", name, language)
    address = f"https://{issuer.domain}/" if issuer.domain else f"urn:credit-exchange:node:{issuer.node_id}"
    _add(stated, "url", address)
    ids = {record.record_id for record in records}
    parts: dict[str, list[LearningRecord]] = {}
    wholes = []
    for record in records:
        whole = _whole_of(record)
        if whole and whole in ids and whole != record.record_id:
            parts.setdefault(whole, []).append(record)
        else:
            wholes.append(record)
    for record in wholes:
        _add_specification(report, record, parts)
    for left_over in parts.values():  # a ring of parts has no whole to stand in
        for record in left_over:
            _add_specification(report, record, {})
    _add(report, "issueDate", timestamp(now))


def _whole_of(record: LearningRecord) -> str:
    for relation in record.relations:
        if relation.role == pb.RELATION_ROLE_PART_OF:
            return str(relation.record_id)
    return ""


def _add_specification(parent: Any, record: LearningRecord, parts: dict[str, list[LearningRecord]]) -> None:
    each = _add(parent, "learningOpportunitySpecification")
    if record.specification.code:
        _add(each, "identifier", record.specification.code, type="local")
    _add(each, "identifier", f"{record.source_node}/{record.record_id}", type="credit-exchange")
    for language, title in (by_language(record.titles) or {"und": record.record_id}).items():
        _add(each, "title", title, language)
    if record.kind in _TYPES:
        _add(each, "type", _TYPES[record.kind])
    if record.specification.field_code:
        _add(each, "subjectArea", record.specification.field_code)
    _add_instance(_add(each, "specifies"), record)
    for part in parts.pop(record.record_id, ()):
        _add_specification(_add(each, "hasPart"), part, parts)


def _add_instance(specifies: Any, record: LearningRecord) -> None:
    each = _add(specifies, "learningOpportunityInstance")
    if record.certificate.number:
        _add(each, "identifier", record.certificate.number, type="certificate-number")
    for name, date in (("start", record.start_date), ("date", record.award_date)):
        if _is_day(date):
            _add(each, name, date_text(date))
    if record.grade.status in _STATUSES:
        _add(each, "status", _STATUSES[record.grade.status])
    if record.grade.as_issued:
        _add(each, "resultLabel", record.grade.as_issued)
    for credit in record.credits:
        stated = _add(each, "credit")
        _add(stated, "scheme", credit.unit or "unstated")
        if _DECIMAL.fullmatch(credit.amount):
            _add(stated, "value", credit.amount)
    for level in record.levels:
        stated = _add(each, "level")
        _add(stated, "type", FRAMEWORKS.word(level.framework) or "unstated")
        _add(stated, "value", level.as_issued)
    if record.specification.teaching_language:
        _add(each, "languageOfInstruction", record.specification.teaching_language)
    _add_extension(each, record)


def _is_day(date: PartialDate) -> bool:
    return bool(date.year and date.month and date.day)


def _add_extension(parent: Any, record: LearningRecord) -> None:
    """Add what ELMO cannot say, exactly."""
    from lxml import etree

    members = [
        ("recordKind", KINDS.word(record.kind)),
        ("recordState", STATES.word(record.status.state)),
        ("holderName", record.holder_name),
        ("titleInEnglish", title_of(record, "en")),
        ("startedOn", date_text(record.start_date)),
        ("endedOn", date_text(record.end_date)),
        ("awardedOn", date_text(record.award_date)),
        ("expiresOn", date_text(record.certificate.expire_date)),
        ("gradeStatus", GRADE_STATUSES.word(record.grade.status)),
        ("gradeScale", record.grade.scale),
        *(("creditAsIssued", credit.as_issued) for credit in record.credits),
        *(("creditAmount", credit.amount) for credit in record.credits),
        *(("studyHours", credit.study_hours) for credit in record.credits),
        *(("hours", f"{w.as_issued} {HOUR_KINDS.word(w.hour_kind)}".strip()) for w in record.workloads),
    ]
    extension = _add(parent, "extension")
    stated = etree.SubElement(extension, f"{{{OWN_NAMESPACE}}}record")
    for name, value in members:
        if value:
            etree.SubElement(stated, f"{{{OWN_NAMESPACE}}}{name}").text = _NO_XML.sub("\ufffd", value)


def _add(parent: Any, name: str, text: str = "", language: str = "", **attributes: str) -> Any:
    from lxml import etree

    element = etree.SubElement(parent, f"{{{NAMESPACE}}}{name}", attrib=attributes)
    if text:
        element.text = _NO_XML.sub("\ufffd", text)
    if language:
        element.set(_LANGUAGE, language)
    return element
