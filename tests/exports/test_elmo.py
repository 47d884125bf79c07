"""ELMO transcripts: valid by the schema, signed over the whole, and read again as what they were."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import xmlschema
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree
from signxml.exceptions import InvalidSignature
from signxml.verifier import XMLVerifier

from creditexchange.v1 import record_pb2 as pb
from gateway.exports.elmo import NAMESPACE, split_name
from gateway.records.transcripts.elmo import read_elmo
from gateway.records.transcripts.seal import check_xml_signature
from gateway.records.transcripts.tree import DocumentError
from gateway.records.transcripts.xml_tree import parse_xml, tree_of
from tests.exports.documents import Office, record
from tests.transcripts.samples import find_samples

NAMES = {"e": NAMESPACE, "ce": "urn:credit-exchange:v1"}


def schema() -> xmlschema.XMLSchema | None:
    """The published schema of ELMO 1.7 where somebody put it: its licence keeps it out of the repository."""
    samples = find_samples()
    if samples is None:
        return None
    folder = samples / "elmo"
    xml = Path(xmlschema.__file__).parent / "schemas" / "XML" / "xml.xsd"
    places = {
        "http://www.w3.org/XML/1998/namespace": str(xml),
        "http://www.w3.org/2000/09/xmldsig#": str(folder / "references" / "xmldsig-core-schema.xsd"),
        "http://europass.cedefop.europa.eu/Europass/V2.0": str(
            folder / "references" / "EUROPASS_ISOCountries_V1.1.xsd"
        ),
        "https://github.com/erasmus-without-paper/ewp-specs-types-address/tree/stable-v1": str(
            folder / "references" / "ewp-types-address.xsd"
        ),
        "https://github.com/erasmus-without-paper/ewp-specs-architecture/blob/stable-v1/common-types.xsd": str(
            folder / "references" / "ewp-common-types.xsd"
        ),
    }
    return xmlschema.XMLSchema(str(folder / "v1.7.0" / "schema.xsd"), locations=places, allow="local")


def programme() -> list[pb.LearningRecord]:
    whole = record(1, kind=pb.RECORD_KIND_GRADUATION)
    part = record(2)
    part.relations.add(record_id="ZJ1", role=pb.RELATION_ROLE_PART_OF)
    skill = record(3, kind=pb.RECORD_KIND_SKILL_LEVEL, source_node="anhui")
    odd = record(4, award_date=pb.PartialDate(year=2024, month=6))
    odd.credits[0].amount = "8/3"
    odd.grade.Clear()
    return [whole, part, skill, odd]


@pytest.fixture
def document(desk: Office) -> bytes:
    return desk.export("elmo", *programme())


def test_it_is_valid_by_the_published_schema(document: bytes) -> None:
    published = schema()
    if published is not None:
        published.validate(etree.fromstring(document))
        broken = document.replace(b"<type>Course</type>", b"<type>Kurs</type>")
        assert not published.is_valid(etree.fromstring(broken)), "the schema does look"
    root = parse_xml(document)
    assert len(read_elmo(tree_of(root), NAMESPACE, []).drafts) == 4, "by our own table of its rules too"


def test_its_signature_covers_the_whole_document(desk: Office, document: bytes) -> None:
    certificate = desk.signer.certificate.public_bytes(Encoding.PEM).decode()
    XMLVerifier().verify(document, x509_cert=certificate)
    assert check_xml_signature(parse_xml(document)).startswith("unaltered since it was signed")
    ca = desk.signer.authorities[0]
    desk.signer.certificate.verify_directly_issued_by(ca)


ALTERATIONS = [
    (b"<value>2.5</value>", b"<value>3.5</value>"),
    (b"<resultLabel>89.5</resultLabel>", b"<resultLabel>99.5</resultLabel>"),
    (b"<ce:studyHours>40</ce:studyHours>", b"<ce:studyHours>400</ce:studyHours>"),
    (b"<ce:recordState>valid</ce:recordState>", b"<ce:recordState>revoked</ce:recordState>"),
    ("<familyName>欧阳".encode(), "<familyName>欧".encode()),
]


@pytest.mark.parametrize(("old", "new"), ALTERATIONS)
def test_what_is_altered_does_not_verify(desk: Office, document: bytes, old: bytes, new: bytes) -> None:
    assert old in document
    forged = document.replace(old, new, 1)
    certificate = desk.signer.certificate.public_bytes(Encoding.PEM).decode()
    with pytest.raises(InvalidSignature):
        XMLVerifier().verify(forged, x509_cert=certificate)
    with pytest.raises(DocumentError):
        check_xml_signature(parse_xml(forged))


def found(document: bytes, path: str) -> list[Any]:
    return list(etree.fromstring(document).xpath(path, namespaces=NAMES))


def test_a_programme_holds_its_parts_and_each_source_has_its_report(document: bytes) -> None:
    assert len(found(document, "//e:report")) == 2
    assert len(found(document, "//e:hasPart/e:learningOpportunitySpecification")) == 1


def test_what_the_format_cannot_say_is_not_made_up(document: bytes) -> None:
    """A date cut to the month, a fraction and a missing grade have no place, and stand in the extension."""
    (odd,) = found(document, "//e:learningOpportunitySpecification[e:title[contains(., '高等数学 4')]]")
    inside = {re.sub("{.*}", "", each.tag): each.text for each in odd.iter() if isinstance(each.tag, str)}
    assert "date" not in inside
    assert "value" not in inside or inside["value"] != "2.67"
    assert (inside["awardedOn"], inside["creditAmount"]) == ("2024-06", "8/3")
    assert "resultLabel" not in inside
    types = found(document, "//e:learningOpportunitySpecification/e:type/text()")
    assert types.count("Course") == 2, "a skill certificate is none of the format's types"


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("林思雨", ("林", "思雨")),
        ("欧阳思雨", ("欧阳", "思雨")),
        ("司马", ("司", "马")),
        ("Siyu Lin", ("Lin", "Siyu")),
        ("林", ("林", "-")),
        ("", ("-", "-")),
        ("𠮷田", ("𠮷", "田")),
    ],
)
def test_names_are_split_because_the_format_wants_it(name: str, parts: tuple[str, str]) -> None:
    assert split_name(name) == parts


def test_a_character_that_xml_has_no_place_for_breaks_nothing(desk: Office) -> None:
    made = record(holder_name="A\x00B \x1f C")
    made.titles[0].text = "\x0b<&>"
    document = desk.export("elmo", made)
    assert "\ufffd<&>" in found(document, "//e:title/text()")
