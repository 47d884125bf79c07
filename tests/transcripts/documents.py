"""Transcripts of our own in each format, of learners that nobody is."""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha256
from typing import Any
from xml.sax.saxutils import escape

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ELMO_1 = "https://github.com/emrex-eu/elmo-schemas/tree/v1"
ELMO_2 = "https://github.com/emrex-eu/elmo-schemas/tree/v2"
STUDENT = "urn:schac:personalUniqueCode:int:esi:university.example:4711-0815"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def course(
    number: int = 1,
    *,
    value: str = "7.5",
    status: str = "passed",
    grade: str = "5",
    extra: str = "",
    parts: str = "",
) -> str:
    return f"""<learningOpportunitySpecification>
  <identifier type="local">CS-{number}</identifier>
  <title xml:lang="no">Kryptografi {number}</title><title xml:lang="en">Cryptography {number}</title>
  <type>Course</type><iscedCode>0612</iscedCode>
  <specifies><learningOpportunityInstance>
    <start>2023-08-15</start><date>2023-12-20</date><status>{status}</status>
    <gradingSchemeLocalId>A</gradingSchemeLocalId><resultLabel>{escape(grade)}</resultLabel>
    <credit><scheme>ECTS</scheme><level>Bachelor</level><value>{value}</value></credit>
    <languageOfInstruction>en</languageOfInstruction><engagementHours>60</engagementHours>{extra}
  </learningOpportunityInstance></specifies>{parts}
</learningOpportunitySpecification>"""


def elmo(
    body: str = "", *, namespace: str = ELMO_1, learner: str = "", report: str = "", tail: str = ""
) -> str:
    born = "bday" if namespace == ELMO_1 else "dateOfBirth"
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<elmo xmlns="{namespace}"><generatedDate>2024-01-31T12:00:00+02:00</generatedDate>
<learner><citizenship>NO</citizenship><identifier type="esi">{STUDENT}</identifier>
<givenNames>Siyu</givenNames><familyName>Lin</familyName><{born}>1990-03-07</{born}>{learner}</learner>
<report><issuer><country>NO</country><identifier type="schac">university.example</identifier>
<title xml:lang="en">Example University</title><url>https://university.example</url></issuer>
{body or course()}<issueDate>2024-01-31T12:00:00Z</issueDate>
<gradingScheme localId="A"><description xml:lang="en">1 is best, 6 is worst</description></gradingScheme>{report}
</report>{tail}</elmo>"""


def achievement_credential(number: int = 1, **subject: Any) -> dict[str, Any]:
    return {
        "@context": [
            "https://www.w3.org/ns/credentials/v2",
            "https://purl.imsglobal.org/spec/ob/v3p0/context-3.0.3.json",
        ],
        "id": f"urn:uuid:00000000-0000-4000-8000-{number:012d}",
        "type": ["VerifiableCredential", "OpenBadgeCredential"],
        "issuer": {
            "id": "https://university.example/issuer",
            "type": ["Profile"],
            "name": "Example University",
        },
        "validFrom": "2023-12-20T08:00:00Z",
        "name": f"Cryptography {number}",
        "credentialSubject": {
            "id": "did:example:learner-4711",
            "type": ["AchievementSubject"],
            "achievement": {
                "id": f"urn:uuid:10000000-0000-4000-8000-{number:012d}",
                "type": ["Achievement"],
                "achievementType": "Course",
                "name": f"Cryptography {number}",
                "humanCode": f"CS-{number}",
                "inLanguage": "en",
                "criteria": {"narrative": "Pass the examination."},
                "description": "Keys and signatures.",
            },
        }
        | subject,
    }


def clr(*credentials: dict[str, Any], **subject: Any) -> dict[str, Any]:
    return {
        "@context": [
            "https://www.w3.org/ns/credentials/v2",
            "https://purl.imsglobal.org/spec/clr/v2p0/context-2.0.1.json",
        ],
        "id": "urn:uuid:20000000-0000-4000-8000-000000000001",
        "type": ["VerifiableCredential", "ClrCredential"],
        "issuer": {
            "id": "https://university.example/issuer",
            "type": ["Profile"],
            "name": "Example University",
        },
        "validFrom": "2024-01-31T08:00:00Z",
        "name": "Transcript",
        "credentialSubject": {
            "id": "did:example:learner-4711",
            "type": ["ClrSubject"],
            "verifiableCredential": list(credentials) or [achievement_credential()],
        }
        | subject,
    }


def learning_model(**claim: Any) -> dict[str, Any]:
    return {
        "@context": [
            "https://www.w3.org/2018/credentials/v1",
            "http://data.europa.eu/snb/model/context/edc-ap",
        ],
        "id": "urn:credential:1",
        "type": ["VerifiableCredential", "EuropeanDigitalCredential"],
        "issuer": {"id": "urn:org:1", "type": "Organisation", "legalName": {"en": "Example University"}},
        "validFrom": "2024-01-31T08:00:00Z",
        "credentialSubject": {
            "id": "urn:person:4711-0815",
            "type": "Person",
            "fullName": {"en": "Siyu Lin"},
            "dateOfBirth": "1990-03-07T00:00:00Z",
            "hasClaim": {
                "id": "urn:claim:1",
                "type": "LearningAchievement",
                "title": {"en": "Cryptography"},
                "awardedBy": {"type": "AwardingProcess", "awardingDate": "2023-12-20T00:00:00Z"},
                "creditReceived": {
                    "point": "7.5",
                    "framework": {"id": "http://data.europa.eu/snb/education-credit/ects"},
                },
            }
            | claim,
        },
    }


def written(document: str | dict[str, Any]) -> bytes:
    return (
        document.encode() if isinstance(document, str) else json.dumps(document, ensure_ascii=False).encode()
    )


def base58(content: bytes) -> str:
    number, text = int.from_bytes(content, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = _ALPHABET[digit] + text
    return "z" + "1" * (len(content) - len(content.lstrip(b"\x00"))) + text


def _options(suite: str) -> dict[str, Any]:
    key = base58(b"\xed\x01" + KEY.public_key().public_bytes_raw())
    return {
        "type": "DataIntegrityProof",
        "cryptosuite": suite,
        "created": "2024-01-31T08:00:00Z",
        "verificationMethod": f"did:key:{key}#{key}",
        "proofPurpose": "assertionMethod",
    }


def signed_jcs(document: dict[str, Any]) -> dict[str, Any]:
    """The document with a proof by eddsa-jcs-2022, made independently of the gateway."""
    options = _options("eddsa-jcs-2022")
    digest = sha256(rfc8785.dumps(options)).digest() + sha256(rfc8785.dumps(document)).digest()
    return document | {"proof": options | {"proofValue": base58(KEY.sign(digest))}}


def signed_rdfc(document: dict[str, Any], load: Any) -> dict[str, Any]:
    """The document with a proof by eddsa-rdfc-2022."""
    from pyld import jsonld

    how = {"algorithm": "URDNA2015", "format": "application/n-quads", "documentLoader": load}
    options = _options("eddsa-rdfc-2022")
    stated = options | {"@context": document["@context"]}
    digest = b"".join(sha256(jsonld.normalize(each, how).encode()).digest() for each in (stated, document))
    return document | {"proof": options | {"proofValue": base58(KEY.sign(digest))}}


def signed_xml(text: str, *, sha1: bool = False) -> bytes:
    """The document with an enveloped XML signature under a certificate made for it."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256
    from lxml import etree
    from signxml import XMLSigner

    assert not sha1
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Example University")])
    now = datetime.now(UTC)
    certificate = x509.CertificateBuilder(
        name, name, key.public_key(), 1, now, now + timedelta(days=30)
    ).sign(key, SHA256())
    root = XMLSigner(signature_algorithm="ecdsa-sha256").sign(
        etree.fromstring(text.encode()), key=key, cert=[certificate]
    )
    return etree.tostring(root)


PDF = "data:application/pdf;base64," + b64encode(bytes(range(256)) * 300).decode()
