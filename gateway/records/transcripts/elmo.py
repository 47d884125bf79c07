"""ELMO 1.x and 2.x (EMREX), read by a model of our own.

The schemas themselves are not part of this program (their licence, EUPL 1.2, is not ours), so this is
no validation against them: what a transcript must have and which forms its values have is checked by
the tables below, and everything else is carried, known or not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from creditexchange.v1 import record_pb2 as pb
from gateway.records.transcripts import draft as kept
from gateway.records.transcripts.draft import Draft, Transcript, hide_person, make_keys_unique
from gateway.records.transcripts.tree import DocumentError, Element, Node

NAMESPACES = {
    "https://github.com/emrex-eu/elmo-schemas/tree/v1": "ELMO 1",
    "https://github.com/emrex-eu/elmo-schemas/tree/v2": "ELMO 2",
}

PROBLEMS_MAX = 20

_KINDS = {
    "Degree Programme": pb.RECORD_KIND_GRADUATION,
    "Module": pb.RECORD_KIND_MODULE,
    "Course": pb.RECORD_KIND_COURSE,
    "Class": pb.RECORD_KIND_COURSE,
}
_STATUSES = {"passed": "passed", "failed": "failed", "in-progress": "in-progress"}
_NAMES = frozenset({"givenNames", "familyName", "alternativeName", "birthName", "extension"})
"""Children of the learner that are kept as they are: names, and what the format does not define."""

_LOS = "learningOpportunitySpecification"
_LOI = "learningOpportunityInstance"


def _matches(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern, re.ASCII)
    return lambda text: compiled.fullmatch(text) is not None


_any = _matches(r"(?s).*")
_text = _matches(r"(?s).*\S.*")
_date = _matches(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])(Z|[+-]\d\d:\d\d)?")
_moment = _matches(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?")
_decimal = _matches(r"[+-]?(\d+(\.\d*)?|\.\d+)")


class _Rule(NamedTuple):
    least: int
    most: int | None
    is_right: Callable[[str], bool]


_RULES: Mapping[str, Mapping[str, _Rule]] = {
    "elmo": {
        "generatedDate": _Rule(1, 1, _moment),
        "learner": _Rule(1, 1, _any),
        "report": _Rule(1, None, _any),
    },
    "learner": {
        "givenNames": _Rule(1, 1, _text),
        "familyName": _Rule(1, 1, _text),
        "bday": _Rule(0, 1, _date),
        "dateOfBirth": _Rule(0, 1, _date),
    },
    "report": {"issuer": _Rule(1, 1, _any), "issueDate": _Rule(1, 1, _moment)},
    "issuer": {"title": _Rule(1, None, _text), "url": _Rule(1, 1, _text)},
    "identifier": {"@type": _Rule(1, 1, _text)},
    _LOS: {
        "title": _Rule(1, None, _text),
        "type": _Rule(0, 1, _KINDS.__contains__),
        "specifies": _Rule(1, 1, _any),
    },
    "specifies": {_LOI: _Rule(1, 1, _any)},
    _LOI: {
        "start": _Rule(0, 1, _date),
        "date": _Rule(0, 1, _date),
        "status": _Rule(0, 1, _STATUSES.__contains__),
        "resultLabel": _Rule(0, 1, _any),
        "engagementHours": _Rule(0, 1, _decimal),
    },
    "credit": {"scheme": _Rule(1, 1, _text), "value": _Rule(0, 1, _decimal)},
    "hasPart": {_LOS: _Rule(1, 1, _any)},
    "gradingScheme": {"@localId": _Rule(1, 1, _text)},
}


def find_problems(root: Node) -> list[str]:
    """Return where the document breaks the rules above, at most ``PROBLEMS_MAX``; no value is repeated."""
    problems = []
    for node in root.nodes():
        for name, rule in _RULES.get(node.name, {}).items():
            found = node.all(name)
            if len(found) < rule.least:
                problems.append(f"{node.path} has no {name}")
            elif rule.most is not None and len(found) > rule.most:
                problems.append(f"{node.path} has {name} {len(found)} times")
            problems += [
                f"{child.path} has a wrong form" for child in found if not rule.is_right(child.text())
            ]
        if len(problems) >= PROBLEMS_MAX:
            break
    return problems[:PROBLEMS_MAX]


def read_elmo(root: Node, namespace: str, learner: Sequence[str]) -> Transcript:
    """Return the achievements of an ELMO document.

    Raises:
        DocumentError: it breaks the format's rules; each place is named.
    """
    problems = find_problems(root)
    if problems:
        raise DocumentError(f"it is no right {NAMESPACES[namespace]}: {'; '.join(problems)}.")
    person = root.first("learner")
    assert person is not None
    hide_person(root, [child for child in person.children if child.name not in _NAMES], learner)
    drafts = []
    for report in root.all("report"):
        found: list[Draft] = []
        for specification in report.all(_LOS):
            _add(specification, report, None, found)
        for each in found:
            _add_context(each, report, person)
        drafts += found
    make_keys_unique(drafts)
    return Transcript(root, NAMESPACES[namespace], "elmo", drafts)


def _add(specification: Node, report: Node, parent: Draft | None, found: list[Draft]) -> None:
    """Append the draft of a specification and those of its parts."""
    instance = specification.first(f"specifies/{_LOI}")
    issuer = report.first("issuer")
    assert instance is not None
    assert issuer is not None
    ids = [part for node in specification.all("identifier") for part in (node.text("@type"), node.text())]
    key = ids or [specification.text("title"), instance.text("date"), instance.text("start")]
    kind = _KINDS.get(specification.text("type"), pb.RECORD_KIND_UNIT)
    each = Draft(specification, kind, (*issuer.texts("identifier"), *key), parent=parent)
    _add_specification(each, specification)
    _add_instance(each, instance)
    found.append(each)
    for part in specification.all("hasPart"):
        for inner in part.all(_LOS):
            _add(inner, report, each, found)


def _own_text(node: Node | None) -> Element | None:
    return None if node is None else node.element


def _add_specification(each: Draft, node: Node) -> None:
    titles = node.all("title")
    each.put("title", titles[0].element)
    each.note(kept.TITLE_LANGUAGE, titles[0].element_at("@lang"))
    english = next((title for title in titles[1:] if title.text("@lang").startswith("en")), None)
    each.put("title_en", _own_text(english))
    local = next((one for one in node.all("identifier") if one.text("@type") == "local"), None)
    each.put("course_code", _own_text(local))
    field_code = node.element_at("iscedCode")
    if field_code is not None:
        each.put("field_code", field_code)
        each.members["field_scheme"] = "isced-f"


def _add_instance(each: Draft, node: Node) -> None:
    for column, name in (("start_date", "start"), ("award_date", "date")):
        element = node.element_at(name)
        each.put(column, element, element.value.strip()[:10] if element else None)
    status = node.element_at("status")
    each.note(kept.GRADE_STATUS, status)
    each.note(kept.GRADE, node.element_at("resultLabel"))
    each.note(kept.TEACHING_LANGUAGE, node.element_at("languageOfInstruction"))
    each.put("hours", node.element_at("engagementHours"))
    credit = node.first("credit")
    is_earned = status is None or status.value.strip() == "passed"
    if credit is not None and is_earned and credit.element_at("value") is not None:
        each.put("credits", credit.element_at("value"))
        scheme = credit.element_at("scheme")
        each.put("credit_unit", scheme, scheme.value.strip().lower() if scheme else None)


def _full_name(given: str, family: str) -> str:
    """Return the name as it is written: of one in Chinese characters, the family name first."""
    if all("\u3400" <= character <= "\U0003ffff" for character in given + family):
        return family + given
    return f"{given} {family}"


def _add_context(each: Draft, report: Node, person: Node) -> None:
    """Add what the report says of all its achievements, and the scale that this one's grade is on."""
    issuer = report.first("issuer")
    assert issuer is not None
    title = issuer.all("title")[0]
    each.put("issuer_name", title.element)
    each.note(kept.ISSUER_LANGUAGE, title.element_at("@lang"))
    identifier = issuer.first("identifier")
    if identifier is not None:
        each.put("issuer_code", identifier.element)
        each.put("issuer_code_scheme", identifier.element_at("@type"))
    each.members["holder_name"] = _full_name(person.text("givenNames"), person.text("familyName"))
    for name in ("givenNames", "familyName"):
        element = person.element_at(name)
        if element is not None:
            each.keep(element)
            element.places.append("holder_name")
    scale = each.node.text(f"specifies/{_LOI}/gradingSchemeLocalId")
    for grading in report.all("gradingScheme"):
        if scale and grading.text("@localId") == scale:
            for element in grading.elements():
                each.keep(element)
