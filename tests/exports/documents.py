"""A record in which every field of the shared model says something, and a node that exports it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from creditexchange.v1 import record_pb2 as pb
from gateway.exchange.asking.question import Archive, ArchiveEntry, PeerResult, Provenance
from gateway.exports.document_signer import DocumentSigner
from gateway.exports.exporting import Exporting
from gateway.exports.issuer import Issuer
from gateway.exports.published_contexts import CLR, OPEN_BADGES, own_context
from gateway.peers.node_ca import generate_tls_key, issue_document_certificate, make_ca
from gateway.schemes import load_scheme, present_record
from tests.federation.simulator import EXAMPLES, SimulatedNode

ROOT = Path(__file__).parents[2]
DOMAIN = "credentials.zhejiang.example"
HOLDER = "欧阳思雨"


def record(number: int = 1, **changes: Any) -> pb.LearningRecord:
    """A course of Zhejiang; ``changes`` are members of the message."""
    made = pb.LearningRecord(
        record_id=f"ZJ{number}",
        kind=pb.RECORD_KIND_COURSE,
        source_node="zhejiang",
        scheme=pb.SchemeReference(scheme_id="zhejiang", version="2026.1", digest=bytes(32)),
        issuers=[
            pb.Issuer(
                identifiers=[pb.TypedIdentifier(scheme="moe-school", value="99999")],
                names=[pb.LocalizedText(language="zh-Hans", text="浙江示例大学")],
                region="330000",
                role=pb.ISSUER_ROLE_TAUGHT,
            )
        ],
        titles=[
            pb.LocalizedText(language="zh-Hans", text=f"高等数学 {number}"),
            pb.LocalizedText(language="en", text=f"Advanced Mathematics {number}"),
        ],
        specification=pb.Specification(
            code="GG1020", version="2020", field_scheme="major-catalogue", field_code="080901"
        ),
        holder_name=HOLDER,
        credits=[
            pb.CreditAmount(
                as_issued="2.5学分",
                state=pb.VALUE_STATE_TRANSLATED,
                unit="zhejiang/credit",
                amount="2.5",
                study_hours="40",
                basis=pb.BASIS_STATED,
            )
        ],
        workloads=[
            pb.Workload(
                as_issued="40",
                state=pb.VALUE_STATE_TRANSLATED,
                amount="40",
                hour_kind=pb.HOUR_KIND_CLASS,
                basis=pb.BASIS_STATED,
            )
        ],
        grade=pb.Grade(
            as_issued="89.5",
            state=pb.VALUE_STATE_TRANSLATED,
            scale="zhejiang/percentage",
            status=pb.GRADE_STATUS_PASSED,
            band=pb.GRADE_BAND_GOOD,
            percent_min="89.5",
            percent_max="89.5",
            attempt=1,
        ),
        levels=[
            pb.Level(
                framework=pb.LEVEL_FRAMEWORK_EDUCATION,
                as_issued="本科",
                state=pb.VALUE_STATE_TRANSLATED,
                code="bachelor",
                basis=pb.BASIS_STATED,
            )
        ],
        start_date=pb.PartialDate(year=2023, month=9, day=1),
        end_date=pb.PartialDate(year=2024, month=1),
        award_date=pb.PartialDate(year=2024, month=1, day=15),
        certificate=pb.Certificate(
            number=f"10351120240{number}",
            number_scheme="local",
            catalogue_code="ZJE-103",
            expire_date=pb.PartialDate(year=2090, month=6, day=30),
        ),
        status=pb.RecordStatus(as_issued="有效", state=pb.RECORD_STATE_VALID),
        convertibility=pb.CONVERTIBILITY_ACADEMIC,
        originals=[pb.OriginalField(name="season", value="50")],
        trace=[pb.RuleApplication(path="credits[0].study_hours", original="2.5", result="40", rule="r")],
        warnings=[pb.Warning(code="graduation-number-year", text="the years differ")],
    )
    for name, value in changes.items():
        if isinstance(value, str | int):
            setattr(made, name, value)
        else:
            getattr(made, name).CopyFrom(value)
    return made


GIVEN = Provenance("anhui", f"sha256:{'ab' * 32}", bytes(16))


def archive(*records: pb.LearningRecord, given_by: tuple[Provenance, ...] = (), peers: tuple = ()) -> Archive:
    scheme = load_scheme(EXAMPLES / "zhejiang" / "scheme.toml")
    entries = [ArchiveEntry(each, present_record(each, scheme), given_by) for each in records]
    return Archive([PeerResult(*peer, exchange_id=b"", elapsed_s=0) for peer in peers], entries)


@dataclass
class Office:
    """A node that exports, with keys that are known here."""

    exporting: Exporting
    issuer: Issuer
    signer: DocumentSigner

    def export(self, form: str, *records: pb.LearningRecord, **how: Any) -> bytes:
        return self.exporting.export(archive(*(records or (record(),)), **how), form).content

    def credential(self, made: pb.LearningRecord | None = None) -> dict[str, Any]:
        return json.loads(self.export("vc", made or record()))


def office(node: SimulatedNode, domain: str = DOMAIN, now: datetime | None = None) -> Office:
    issuer = Issuer(
        "zhejiang", {"zh-Hans": "浙江学分银行", "en": "Zhejiang bank"}, Ed25519PrivateKey.generate(), domain
    )
    key, ca_key, made_at = generate_tls_key(), generate_tls_key(), now or node.clock()
    ca = make_ca("zhejiang", ca_key, made_at)
    certificate = issue_document_certificate("zhejiang", key.public_key(), ca, ca_key, now=made_at)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    signer = DocumentSigner(key, certificate, [ca])
    exporting = Exporting(
        node.log, node.clock if now is None else lambda: now, lambda: issuer, lambda: signer
    )
    return Office(exporting, issuer, signer)


def npm_verify(
    jobs: list[dict[str, Any]],
    documents: list[dict[str, Any]],
    folder: Path,
    now: str = "2060-01-01T00:00:00Z",
) -> list[dict[str, Any]]:
    """What npm's libraries say of credentials; they get the published contexts and ``documents`` by id."""
    contexts = {
        OPEN_BADGES: json.loads((ROOT / "gateway/exports/contexts/open-badges-3.0.3.json").read_bytes()),
        CLR: json.loads((ROOT / "gateway/exports/contexts/clr-2.0.1.json").read_bytes()),
    }
    for address in {jobs[0]["credential"]["@context"][-1]}:
        contexts[address] = json.loads(own_context())
    job = {
        "now": now,
        "contexts": contexts,
        "documents": {each["id"]: each for each in documents},
        "credentials": jobs,
    }
    path = folder / "job.json"
    path.write_text(json.dumps(job))
    command = ["node", str(ROOT / "tests/exports/verify.mjs"), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


SUITES = ("eddsa-rdfc-2022", "eddsa-jcs-2022")


def by_both_suites(name: str, credential: dict[str, Any], **how: Any) -> list[dict[str, Any]]:
    return [{"name": name, "credential": credential, "suite": suite, **how} for suite in SUITES]


def places(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """Every place of a document that holds one value, proofs left out."""
    if isinstance(value, dict):
        for name, member in value.items():
            if path or name != "proof":
                yield from places(member, (*path, name))
    elif isinstance(value, list):
        for at, member in enumerate(value):
            yield from places(member, (*path, at))
    else:
        yield path


def at(document: Any, path: tuple) -> Any:
    for step in path:
        document = document[step]
    return document
