"""The PDF transcript: text that can be selected, a signature that holds, the credential inside."""

from __future__ import annotations

import json
import subprocess
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pytest
from asn1crypto import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko_certvalidator import ValidationContext

from creditexchange.v1 import record_pb2 as pb
from gateway.errors import ExportUnavailableError
from gateway.exports import transcript_pdf
from gateway.exports.verifying import verify_archive
from tests.exports.documents import Office, archive, record


def text_of(content: bytes, tmp_path: Path) -> str:
    path = tmp_path / "transcript.pdf"
    path.write_bytes(content)
    done = subprocess.run(["pdftotext", "-layout", path, "-"], capture_output=True, check=True, timeout=60)
    return done.stdout.decode()


@pytest.fixture
def document(desk_today: Office) -> bytes:
    skill = record(2, kind=pb.RECORD_KIND_SKILL_LEVEL, status=pb.RecordStatus(state=pb.RECORD_STATE_REVOKED))
    given = archive(record(1), skill, peers=(("jiangsu", "UNREACHABLE", ""),))
    return desk_today.exporting.export(given, "pdf").content


def test_its_text_can_be_selected_in_both_languages(document: bytes, tmp_path: Path) -> None:
    text = text_of(document, tmp_path)
    for expected in ("学习成果档案", "Lifelong-learning transcript", "欧阳思雨", "高等数学 1", "Advanced Mathematics 1",
                     "浙江示例大学", "89.5", "2.5", "已撤销", "revoked", "jiangsu gave nothing: UNREACHABLE"):  # fmt: skip
        assert expected in text, expected


def test_its_signature_is_pades_and_leads_to_the_ca_of_the_nodes_card(
    desk_today: Office, document: bytes
) -> None:
    root = x509.Certificate.load(desk_today.signer.authorities[0].public_bytes(Encoding.DER))
    reader = PdfFileReader(BytesIO(document))
    (signature,) = reader.embedded_signatures
    assert signature.sig_object["/SubFilter"] == "/ETSI.CAdES.detached"
    status = validate_pdf_signature(signature, ValidationContext(trust_roots=[root], allow_fetching=False))
    assert status.bottom_line, status.pretty_print_details()
    stranger = ValidationContext(trust_roots=[], allow_fetching=False)
    assert not validate_pdf_signature(signature, stranger).bottom_line


def test_what_is_altered_or_added_does_not_validate(desk_today: Office, document: bytes) -> None:
    root = x509.Certificate.load(desk_today.signer.authorities[0].public_bytes(Encoding.DER))
    at = document.index(b"/CreationDate")
    altered = document[: at + 20] + bytes([document[at + 20] ^ 1]) + document[at + 21 :]
    context = ValidationContext(trust_roots=[root], allow_fetching=False)
    status = validate_pdf_signature(PdfFileReader(BytesIO(altered)).embedded_signatures[0], context)
    assert not status.bottom_line
    assert not status.intact


def test_the_credential_inside_is_the_one_whose_digest_stands_on_paper(
    desk_today: Office, document: bytes, tmp_path: Path
) -> None:
    text = text_of(document, tmp_path)
    out = tmp_path / "out.json"
    subprocess.run(
        ["pdfdetach", "-save", "1", "-o", out, tmp_path / "transcript.pdf"], check=True, timeout=60
    )
    assert sha256(out.read_bytes()).hexdigest() in text
    inside = verify_archive(json.loads(out.read_bytes()))
    assert [each.record["recordId"] for each in inside.credentials] == ["ZJ1", "ZJ2"]
    assert inside.key_name == desk_today.issuer.key_name


def test_what_does_not_hold_or_was_failed_is_not_counted(desk_today: Office, tmp_path: Path) -> None:
    failed = record(3)
    failed.grade.status = pb.GRADE_STATUS_FAILED
    revoked = record(4, status=pb.RecordStatus(state=pb.RECORD_STATE_REVOKED))
    text = text_of(desk_today.export("pdf", record(1), record(2), failed, revoked), tmp_path)
    total = text.split("学分合计", 1)[1].split("课程、培训", 1)[0]
    assert "5 学分" in total
    assert "10 学分" not in total


def test_without_a_chinese_font_there_is_no_document_of_boxes(
    desk: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcript_pdf, "SERIF", ("No Such Font",))
    with pytest.raises(ExportUnavailableError, match=r"no Chinese font.*fonts-noto-cjk"):
        desk.export("pdf")


def test_markup_in_a_title_is_text(desk_today: Office, tmp_path: Path) -> None:
    made = record()
    made.titles[0].text = '#panic("x") $1$ *b* `r` \\ <a> @b'
    assert '#panic("x") $1$ *b* `r` \\ <a> @b' in text_of(desk_today.export("pdf", made), tmp_path)
