"""Foreign transcripts: everything of them ends somewhere, nothing is read as what it is not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from creditexchange.v1 import record_pb2 as pb
from gateway.errors import CallerError, IntakeError
from gateway.learners.subject_token import subject_token
from gateway.records import ImportFacts
from gateway.records.transcripts import json_tree, xml_tree
from gateway.records.transcripts.contexts import load_contexts
from gateway.records.transcripts.draft import ElementPlace
from gateway.records.transcripts.tree import DOCUMENT_BYTES_MAX, DocumentError, Node
from tests.records.conftest import Desk, run
from tests.records.synthetic import RECORDS_KEY, SECRET, learner_id
from tests.transcripts import documents as made
from tests.transcripts.samples import find_samples, sample_files

FACTS = ImportFacts(RECORDS_KEY, learner=learner_id(1))
SAMPLES_DAY = datetime(2024, 6, 1, tzinfo=UTC)
"""A day on which the published samples were valid."""


def take(desk: Desk, content: bytes, name: str = "", **changes: Any) -> list[pb.LearningRecord]:
    """Import a document of its own registry page; return its records, wholes before parts as in the document."""
    name = name or ("t.xml" if content.lstrip().startswith(b"<") else "t.json")
    report = desk.take_text(content, name, **({"facts": FACTS} | changes))
    assert report.kept, desk.seen
    records = [pb.LearningRecord.FromString(record.translated) for record in desk.registry.list_()]
    return sorted(records, key=lambda record: [text.text for text in record.titles])


def originals_of(record: pb.LearningRecord) -> dict[str, str]:
    return {original.name: original.value for original in record.originals}


@pytest.mark.parametrize("namespace", [made.ELMO_1, made.ELMO_2])
def test_a_course_of_elmo(desk: Desk, namespace: str) -> None:
    (record,) = take(desk, made.written(made.elmo(namespace=namespace)))
    assert record.kind == pb.RECORD_KIND_COURSE
    assert [(text.language, text.text) for text in record.titles] == [
        ("no", "Kryptografi 1"),
        ("en", "Cryptography 1"),
    ]
    assert record.holder_name == "Siyu Lin"
    assert record.issuers[0].names[0].text == "Example University"
    assert record.issuers[0].identifiers[0].value == "university.example"
    assert (record.award_date.year, record.award_date.month, record.award_date.day) == (2023, 12, 20)
    assert record.specification.teaching_language == "en"
    assert record.specification.field_code == "0612"
    assert originals_of(record)["transcript.signature"] == "none"
    scale = next(
        value for name, value in originals_of(record).items() if name.endswith("gradingScheme/description")
    )
    assert scale == "1 is best, 6 is worst"
    token = subject_token(SECRET, "resident-id", learner_id(1))
    assert len(desk.registry.find([token], [pb.RECORD_KIND_COURSE])[0]) == 1


def test_a_foreign_grade_and_foreign_credits_are_never_read_by_the_provinces_rules(desk: Desk) -> None:
    """5 is no 5 of 100, and 7.5 ECTS are no 7.5 credits of the province."""
    (record,) = take(desk, made.written(made.elmo()))
    assert record.grade.as_issued == "5"
    assert record.grade.state == pb.VALUE_STATE_UNTRANSLATED
    assert record.grade.status == pb.GRADE_STATUS_PASSED
    assert not record.grade.percent_min
    assert record.credits[0].amount == "7.5"
    assert record.credits[0].unit.endswith("/ects")
    assert record.credits[0].state == pb.VALUE_STATE_UNTRANSLATED
    assert not record.credits[0].study_hours


@pytest.mark.parametrize("status", ["failed", "in-progress"])
def test_what_was_not_passed_earned_no_credits(desk: Desk, status: str) -> None:
    (record,) = take(desk, made.written(made.elmo(made.course(status=status))))
    assert not record.credits
    assert "7.5" in originals_of(record).values()
    assert record.grade.status == pb.GradeStatus.Value(f"GRADE_STATUS_{status.upper().replace('-', '_')}")


def test_a_name_in_chinese_characters_begins_with_the_family(desk: Desk) -> None:
    text = made.elmo().replace("Siyu", "思雨").replace(">Lin<", ">林<")
    (record,) = take(desk, text.encode())
    assert record.holder_name == "林思雨"


def test_parts_of_a_programme(desk: Desk) -> None:
    part = f"<hasPart>{made.course(2)}</hasPart>"
    whole, inner = take(desk, made.written(made.elmo(made.course(1, parts=part))))
    assert inner.titles[1].text == "Cryptography 2"
    assert [(relation.record_id, relation.role) for relation in inner.relations] == [
        (whole.record_id, pb.RELATION_ROLE_PART_OF)
    ]
    assert not whole.relations


def test_the_same_transcript_again_changes_nothing(desk: Desk) -> None:
    content = made.written(made.elmo(made.course(1) + made.course(1) + made.course(2)))
    assert len(take(desk, content)) == 3, "two attempts of one course are two records"
    assert desk.take_text(content, "t.xml", facts=FACTS).unchanged == 3


def test_who_the_person_is_stays_only_as_keyed_digests(desk: Desk) -> None:
    noted = f"<extension><note xmlns='urn:x'>student {made.STUDENT} of {learner_id(1)}</note></extension>"
    content = made.written(made.elmo(made.course(extra=noted)))
    take(desk, content)
    kept = b"".join(record.original + record.translated for record in desk.registry.list_())
    for secret in (made.STUDENT, learner_id(1), "1990-03-07"):
        assert secret.encode() not in kept
    assert kept.count(b"hmac-sha256:") >= 3
    document = made.learning_model() | {"extra": "see urn:person:4711-0815"}
    take(desk, made.written(document))
    assert b"4711-0815" not in b"".join(record.original for record in desk.registry.list_())


def test_a_scan_is_carried_as_its_digest(desk: Desk) -> None:
    report = (
        f"<attachment><title>Diploma</title><type>Diploma</type><content>{made.PDF}</content></attachment>"
    )
    (record,) = take(desk, made.written(made.elmo(report=report)))
    value = originals_of(record)["elmo/report/attachment/content"]
    assert value == f"sha256:{sha256(made.PDF.encode()).hexdigest()} of {len(made.PDF)} bytes"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (made.elmo().replace("7.5", "7,5"), "credit/value has a wrong form"),
        (made.elmo().replace("<date>2023-12-20", "<date>20.12.2023"), "/date has a wrong form"),
        (made.elmo().replace("<status>passed", "<status>ok"), "/status has a wrong form"),
        (made.elmo().replace("<type>Course", "<type>Kurs"), "/type has a wrong form"),
        (re.sub("<familyName>.*</familyName>", "", made.elmo()), "/elmo/learner has no familyName"),
        (re.sub("(?s)<specifies>.*</specifies>", "", made.elmo()), "has no specifies"),
        (made.elmo().replace("tree/v1", "tree/v9"), "no ELMO"),
        (made.elmo() + "<", "no well-formed XML"),
        ("<a/>", "no ELMO"),
    ],
)
def test_what_breaks_the_rules_of_elmo_is_named_by_place(desk: Desk, text: str, reason: str) -> None:
    with pytest.raises(IntakeError, match=re.escape(reason)):
        desk.take_text(text, "t.xml", facts=FACTS)
    assert desk.registry.count() == 0


@pytest.mark.parametrize(
    "prolog",
    [
        '<!DOCTYPE elmo [<!ENTITY a "haha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>',
        '<!DOCTYPE elmo [<!ENTITY x SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE elmo SYSTEM "http://127.0.0.1:9/elmo.dtd">',
        "<!DOCTYPE elmo>",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_and_document_types_are_refused(desk: Desk, prolog: str, encoding: str) -> None:
    text = made.elmo().replace('encoding="UTF-8"?>', f'encoding="{encoding}"?>{prolog}')
    with pytest.raises((IntakeError, DocumentError), match="document type or entities"):
        xml_tree.parse_xml(text.encode(encoding))
    if encoding == "utf-8":
        with pytest.raises(IntakeError, match="document type or entities"):
            desk.take_text(text, "t.xml", facts=FACTS)


def test_limits(desk: Desk) -> None:
    deep = "<a>" * 100 + "</a>" * 100
    with pytest.raises(IntakeError, match="nested more than 64"):
        desk.take_text(made.elmo(made.course(extra=f"<extension>{deep}</extension>")), "t.xml", facts=FACTS)
    with pytest.raises(IntakeError, match="more than 200,000 elements"):
        desk.take_text(made.elmo(made.course(extra="<x/>" * 200_001)), "t.xml", facts=FACTS)
    with pytest.raises(IntakeError, match="larger than 16 MiB"):
        desk.take_text(b" " * (DOCUMENT_BYTES_MAX + 1), "t.xml", facts=FACTS)
    with pytest.raises(IntakeError, match="nested more than"):
        desk.take_text('{"type":' + "[" * 5_000 + "]" * 5_000 + "}", "t.json", facts=FACTS)
    with pytest.raises(IntakeError, match="nested more than"):
        desk.take_text('{"type":' + "[" * 500_000, "t.json", facts=FACTS)
    with pytest.raises(IntakeError, match="a number has more"):
        desk.take_text('{"a":' + "9" * 100 + "}", "t.json", facts=FACTS)


def test_a_badge_and_a_record_of_badges(desk: Desk) -> None:
    (badge,) = take(
        desk, made.written(made.achievement_credential(result=[{"type": ["Result"], "value": "B"}]))
    )
    assert badge.kind == pb.RECORD_KIND_COURSE
    assert (badge.titles[0].language, badge.titles[0].text) == ("en", "Cryptography 1")
    assert badge.specification.code == "CS-1"
    assert badge.grade.as_issued == "B"
    assert badge.grade.state == pb.VALUE_STATE_UNTRANSLATED, (
        "the scheme has a scale of letters, but this is another"
    )
    assert badge.issuers[0].identifiers[0].value == "https://university.example/issuer"
    whole, part = (made.achievement_credential(number) for number in (2, 3))
    tie = {
        "type": "Association",
        "associationType": "isParentOf",
        "sourceId": whole["credentialSubject"]["achievement"]["id"],
        "targetId": part["credentialSubject"]["achievement"]["id"],
    }
    records = take(desk, made.written(made.clr(whole, part, association=[tie])))
    by_title = {record.titles[0].text: record for record in records}
    assert by_title["Cryptography 3"].relations[0].record_id == by_title["Cryptography 2"].record_id


@pytest.mark.parametrize(
    ("literal", "amount"),
    [("2.5", "2.5"), ("3", "3"), ("0.3", "0.3"), ("0.30000000000000004", ""), ("1e1", ""), ("3.0", "3")],
)
def test_credits_are_the_digits_of_the_file_and_of_no_unit(desk: Desk, literal: str, amount: str) -> None:
    """A binary float would make 0.1+0.2 of what nobody wrote; what is no exact amount stays as written."""
    text = json.dumps(made.achievement_credential(creditsEarned=123456)).replace("123456", literal)
    (record,) = take(desk, text.encode())
    assert [credit.amount for credit in record.credits] == ([amount] if amount else [])
    if amount:
        assert record.credits[0].unit.endswith("/unstated")
        assert record.credits[0].state == pb.VALUE_STATE_UNTRANSLATED
    else:
        assert originals_of(record)["credentialSubject/creditsEarned"] == literal


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-1", '"many"'])
def test_amounts_that_are_none(desk: Desk, literal: str) -> None:
    text = json.dumps(made.achievement_credential(creditsEarned=123456)).replace("123456", literal)
    with pytest.raises(IntakeError, match="no number"):
        desk.take_text(text, "t.json", facts=FACTS)


def _without(document: dict[str, Any], name: str) -> dict[str, Any]:
    return {member: value for member, value in document.items() if member != name}


BADGE = made.achievement_credential()


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (_without(BADGE, "issuer"), "/issuer is missing"),
        (BADGE | {"type": ["VerifiableCredential", "OtherCredential"]}, "its type is none of"),
        (BADGE | {"@context": BADGE["@context"][1:]}, "/@context does not begin"),
        (BADGE | {"@context": BADGE["@context"][:1]}, "names no context"),
        (BADGE | {"validUntil": "2024-01-01T00:00:00Z"}, "has expired"),
        (BADGE | {"validFrom": "2999-01-01T00:00:00Z"}, "not valid before"),
        (BADGE | {"validFrom": "yesterday"}, "no date and time"),
        (BADGE | {"validUntil": "2024-13-45T00:00:00Z"}, "no date and time"),
        (made.achievement_credential(type=["ClrSubject"]), "no AchievementSubject"),
        (made.clr(_without(BADGE, "issuer")), "/verifiableCredential/issuer is missing"),
        (made.learning_model() | {"validUntil": "2024-02-01T00:00:00"}, "has expired"),
    ],
)
def test_what_breaks_the_rules_of_credentials_is_named(
    desk: Desk, document: dict[str, Any], reason: str
) -> None:
    with pytest.raises(IntakeError, match=re.escape(reason)):
        desk.take_text(made.written(document), "t.json", facts=FACTS)
    assert desk.registry.count() == 0


def test_a_member_twice_is_refused(desk: Desk) -> None:
    text = json.dumps(BADGE)[:-1] + ', "name": "Another"}'
    with pytest.raises(IntakeError, match="'name' stands twice"):
        desk.take_text(text, "t.json", facts=FACTS)


def test_a_european_credential(desk: Desk) -> None:
    part = {
        "type": "LearningAssessment",
        "title": {"en": "Examination"},
        "grade": {"noteLiteral": {"en": "5"}},
    }
    whole, inner = take(desk, made.written(made.learning_model(provenBy=part)))
    assert whole.titles[0].text == "Cryptography"
    assert whole.holder_name == "Siyu Lin"
    assert (whole.credits[0].amount, whole.credits[0].unit.rpartition("/")[2]) == ("7.5", "ects")
    assert inner.relations[0].record_id == whole.record_id
    assert inner.grade.as_issued == "5"


def test_a_transcript_needs_its_learner_and_its_format(desk: Desk) -> None:
    content = made.written(made.elmo())
    with pytest.raises(IntakeError, match="--learner"):
        desk.take_text(content, "t.xml", facts=ImportFacts(RECORDS_KEY))
    with pytest.raises(IntakeError, match="it is ELMO 1, not what --format clr says"):
        desk.take_text(
            content, "t.xml", facts=ImportFacts(RECORDS_KEY, learner=learner_id(1), format_name="clr")
        )
    assert not desk.take_text(
        content, "t.xml", facts=ImportFacts(RECORDS_KEY, learner="990001199003071230")
    ).kept


def test_with_its_format_named_a_transcript_may_have_any_name(desk: Desk) -> None:
    facts = ImportFacts(RECORDS_KEY, learner=learner_id(1), format_name="elmo")
    utf16 = made.elmo().replace("UTF-8", "UTF-16").encode("utf-16")
    assert desk.take_text(utf16, "transcript.elmo", facts=facts).added == 1


# What signatures show


def test_a_proof_over_the_exact_document(desk: Desk) -> None:
    document = made.signed_jcs(made.achievement_credential(creditsEarned=2.5, unknown={"a": [1, 2]}))
    (record,) = take(desk, made.written(document))
    assert originals_of(record)["transcript.signature"].startswith(
        "unaltered since it was signed with key z6Mk"
    )
    for path, value in (("name", "Another"), ("validFrom", "2023-12-21T08:00:00Z")):
        with pytest.raises(IntakeError, match="signature does not fit"):
            desk.take_text(made.written(document | {path: value}), "t.json", facts=FACTS)
    document["credentialSubject"]["creditsEarned"] = 25
    with pytest.raises(IntakeError, match="signature does not fit"):
        desk.take_text(made.written(document), "t.json", facts=FACTS)


@pytest.fixture
def context_facts(tmp_path: Path) -> ImportFacts:
    """Two contexts of our own at the published addresses, pinned by their digests."""
    terms = {"id": "@id", "type": "@type", "@protected": True}
    own = {
        name: f"https://university.example/vocabulary#{name}"
        for name in [
            "VerifiableCredential",
            "OpenBadgeCredential",
            "Profile",
            "AchievementSubject",
            "Achievement",
            "issuer",
            "validFrom",
            "name",
            "credentialSubject",
            "achievement",
            "achievementType",
            "humanCode",
            "inLanguage",
            "criteria",
            "narrative",
            "description",
            "creditsEarned",
            "proof",
            "DataIntegrityProof",
            "cryptosuite",
            "created",
            "verificationMethod",
            "proofPurpose",
        ]
    }
    folder = tmp_path / "contexts"
    folder.mkdir()
    pins = {}
    for number, address in enumerate(BADGE["@context"]):
        content = json.dumps({"@context": terms if number == 0 else own}).encode()
        (folder / f"{number}.json").write_bytes(content)
        pins[sha256(content).hexdigest()] = (address,)
    (folder / "notes.txt").write_text("not a context")
    return ImportFacts(RECORDS_KEY, learner=learner_id(1), contexts=folder, context_pins=pins)


def test_a_proof_over_the_statements_and_a_term_that_it_does_not_cover(
    desk: Desk, context_facts: ImportFacts
) -> None:
    load = load_contexts(context_facts.contexts, context_facts.context_pins).load
    document = made.signed_rdfc(made.achievement_credential(creditsEarned=2.5), load)
    (record,) = take(desk, made.written(document), facts=context_facts)
    assert originals_of(record)["transcript.signature"].startswith("unaltered")
    with pytest.raises(IntakeError, match="signature does not fit"):
        desk.take_text(made.written(document | {"name": "Another"}), "t.json", facts=context_facts)
    # The hazard: the signature over the statements still fits, though nobody signed the new member.
    with pytest.raises(IntakeError, match="no signature covers creditUnit"):
        desk.take_text(made.written(document | {"creditUnit": "18h"}), "t.json", facts=context_facts)
    nested = json.loads(made.written(document))
    nested["credentialSubject"]["achievement"]["creditUnit"] = "18h"
    with pytest.raises(IntakeError, match="no signature covers creditUnit"):
        desk.take_text(made.written(nested), "t.json", facts=context_facts)


def test_without_the_contexts_a_proof_is_never_called_checked(desk: Desk, context_facts: ImportFacts) -> None:
    load = load_contexts(context_facts.contexts, context_facts.context_pins).load
    document = made.signed_rdfc(made.achievement_credential(), load)
    (record,) = take(desk, made.written(document))
    assert originals_of(record)["transcript.signature"].startswith("not checked: the contexts are not there")
    folder = context_facts.contexts
    assert folder is not None
    (folder / "0.json").write_text(
        '{"@context": {"@vocab": "urn:anything:"}}'
    )  # no longer what was published
    again = load_contexts(folder, context_facts.context_pins)
    assert BADGE["@context"][0] not in again
    assert BADGE["@context"][1] in again


def test_an_xml_signature_over_the_whole(desk: Desk) -> None:
    content = made.signed_xml(made.elmo())
    (record,) = take(desk, content)
    assert originals_of(record)["transcript.signature"].startswith(
        "unaltered since it was signed with certificate"
    )
    for old, new in ((b"7.5", b"9.5"), (b"Cryptography 1", b"Cryptography 9")):
        with pytest.raises(IntakeError, match="signature does not fit"):
            desk.take_text(content.replace(old, new), "t.xml", facts=FACTS)
    # Wrapped: the signed document inside another one.
    inner = content[content.index(b"<elmo") :]
    wrapped = (
        made.elmo(made.course(9, value="60"))
        .encode()
        .replace(b"</elmo>", b"<extension>" + inner + b"</extension></elmo>")
    )
    outer = next(record for record in take(desk, wrapped) if record.titles[1].text == "Cryptography 9")
    assert originals_of(outer)["transcript.signature"].startswith(
        "not checked: not one signature of the whole"
    )


# Nothing is lost

WORDS = st.text("abcdefgh", min_size=1, max_size=8)
VALUES = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Cn"], max_codepoint=0xFFFD), min_size=1, max_size=30
)
EXTRAS = st.recursive(
    VALUES | st.integers(-(10**9), 10**9) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)


def _leaves(root: Node) -> list[tuple[str, str]]:
    return [(element.path, element.value) for element in root.elements()]


def _assert_kept(desk: Desk, root: Node, places: list[ElementPlace]) -> None:
    """Each element of the document is accounted for, and stands where the account says."""
    leaves = _leaves(root)
    assert [path for path, _ in leaves] == [place.path for place in places]
    records = [json.loads(record.original) for record in desk.registry.list_()]
    for (path, value), place in zip(leaves, places, strict=True):
        assert place.places, path
        for where in place.places:
            kind, _, name = where.rpartition("original.")
            if kind in ("digest in ", "keyed digest in "):
                stored = [
                    text for record in records for title, text in record.get("originals", []) if title == name
                ]
                assert any(text.startswith(("sha256:", "hmac-sha256:")) for text in stored), place
            elif name != where:
                stored = [
                    text for record in records for title, text in record.get("originals", []) if title == name
                ]
                assert value in stored, place
            elif not any(other != where for other in place.places):
                assert any(record.get(where) == value for record in records), place


def _xml_of(name: str, value: Any) -> str:
    from xml.sax.saxutils import escape, quoteattr

    if isinstance(value, dict):
        return f"<{name}>{''.join(_xml_of(inner, member) for inner, member in value.items())}</{name}>"
    if isinstance(value, list):
        return "".join(_xml_of(name, item) for item in value)
    return f"<{name} kind={quoteattr(type(value).__name__)}>{escape(str(value))}</{name}>"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(WORDS, EXTRAS, max_size=3), st.sampled_from(["learner", "report", "tail", "course"]))
def test_unexpected_elements_of_elmo_are_kept(desk: Desk, extra: dict[str, Any], where: str) -> None:
    text = "".join(_xml_of(f"x-{name}", value) for name, value in extra.items())
    wrapped = f"<extension>{text}</extension>" if text else ""
    content = made.elmo(made.course(extra=wrapped)) if where == "course" else made.elmo(**{where: wrapped})
    places: list[ElementPlace] = []
    take(desk, content.encode(), replace=True, elements=places.append)
    _assert_kept(desk, xml_tree.tree_of(xml_tree.parse_xml(content.encode())), places)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(WORDS, EXTRAS, max_size=3), st.sampled_from(["badge", "clr", "elm", "inside"]))
def test_unexpected_members_of_credentials_are_kept(desk: Desk, extra: dict[str, Any], where: str) -> None:
    unexpected = {f"x-{name}": value for name, value in extra.items()}
    document: dict[str, Any] = {
        "badge": BADGE | unexpected,
        "clr": made.clr() | unexpected,
        "elm": made.learning_model(**unexpected),
        "inside": made.clr(made.achievement_credential(**unexpected), **unexpected),
    }[where]
    places: list[ElementPlace] = []
    take(desk, made.written(document), replace=True, elements=places.append)
    _assert_kept(desk, json_tree.tree_of(json_tree.parse_json(made.written(document))), places)


# What others published, where it is at hand


def test_every_valid_sample_is_imported_and_nothing_of_it_dropped(
    tmp_path: Path, fresh_desk: Callable[[], Desk]
) -> None:
    samples = find_samples()
    contexts = _gathered_contexts(tmp_path)
    facts = ImportFacts(RECORDS_KEY, learner=learner_id(1), contexts=contexts)
    files = sample_files("elmo/v*/example.xml", "*/examples/*.json", "elm/*Sample*", "elm/*sample*")
    files = [path for path in files if "-err-" not in path.name]
    assert bool(files) == (samples is not None)
    for path in files:
        desk, places = fresh_desk(), list[ElementPlace]()
        name = f"t{'.xml' if path.suffix == '.xml' else '.json'}"
        report = desk.take_text(
            path.read_bytes(), name, facts=facts, clock=lambda: SAMPLES_DAY, elements=places.append
        )
        assert report.kept, (path, desk.seen)
        content = path.read_bytes()
        root = (
            xml_tree.tree_of(xml_tree.parse_xml(content))
            if path.suffix == ".xml"
            else json_tree.tree_of(json_tree.parse_json(content))
        )
        _assert_kept(desk, root, places)


def test_every_sample_that_is_wrong_on_purpose_is_refused(tmp_path: Path, desk: Desk) -> None:
    facts = ImportFacts(RECORDS_KEY, learner=learner_id(1), contexts=_gathered_contexts(tmp_path))
    reasons = {
        "context": "/@context does not begin",
        "proof-value": "signature does not fit",
        "issuer": "/issuer is missing",
        "expired": "has expired",
        "type": "its type is none of",
        "credential-subject-type": "no AchievementSubject",
    }
    for path in sample_files("*/examples/*-err-*.json"):
        with pytest.raises(IntakeError, match=re.escape(reasons[path.stem.partition("-err-")[2]])):
            desk.take_text(path.read_bytes(), "t.json", facts=facts, clock=lambda: SAMPLES_DAY)


def _gathered_contexts(tmp_path: Path) -> Path:
    folder = tmp_path / "gathered"
    folder.mkdir()
    for number, path in enumerate(sample_files("*/contexts/*.json")):
        (folder / f"{number}.json").write_bytes(path.read_bytes())
    return folder


# The command


def test_the_command_keeps_a_transcript_under_the_learner_who_brought_it(opened: Desk) -> None:
    path = opened.folder / "transcript.xml"
    path.write_text(made.elmo())
    for name in ("account.txt", "account.json"):
        result = run(
            "import", path, "--learner", "-", "--report-elements", opened.folder / name, text=learner_id(1)
        )
        assert result.exit_code == 0, result.output
        assert learner_id(1) not in result.output
    assert "/elmo/learner/identifier" in (opened.folder / "account.txt").read_text()
    assert made.STUDENT not in (opened.folder / "account.txt").read_text()
    rows = json.loads((opened.folder / "account.json").read_text())
    (credit,) = [row for row in rows if row["element"].endswith("credit/value")]
    assert credit == {"file": "transcript.xml", "element": credit["element"], "places": ["credits"]}
    assert "keyed digest" in next(row for row in rows if row["element"].endswith("bday"))["places"][0]
    refused = run("import", path)
    assert refused.exit_code == 1
    assert "--learner" in refused.stderr
    with pytest.raises(CallerError, match="--format 'xyz' is unknown"):
        run("import", path, "--learner", learner_id(1), "--format", "xyz")
