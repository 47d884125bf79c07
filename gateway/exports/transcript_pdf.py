"""The transcript for people: typeset in Chinese and English, with the signed credential inside, and signed.

The PDF carries the CLR 2.0 credential of the same records as an attachment, and its digest as text and
as QR code: paper leads back to what machines verify. The signature is PAdES (ETSI EN 319 142-1, B-B): no
time-stamping service is asked, so that no third party can stop an export.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from importlib import resources
from io import BytesIO
from pathlib import Path
from typing import Any

from gateway.errors import ExportUnavailableError
from gateway.exchange.asking.question import ArchiveEntry
from gateway.exports.document_signer import DocumentSigner
from gateway.exports.issuer import DID_PATH, Issuer
from gateway.exports.transcript_facts import transcript_facts

ATTACHMENT = "archive.clr.json"
SANS = ("Noto Sans CJK SC", "Source Han Sans SC", "Noto Sans SC", "WenQuanYi Zen Hei")
SERIF = ("Noto Serif CJK SC", "Source Han Serif SC", "Noto Serif SC", *SANS)
"""Font families that the template can be set in, the best first; one of them has to be there."""
_TEMPLATE = "transcript.typ"
_SIGNATURE_BYTES = 16_384


def transcript_pdf(
    entries: Sequence[ArchiveEntry],
    notes: Sequence[str],
    issuer: Issuer,
    signer: DocumentSigner,
    attached: bytes,
    now: datetime,
    fonts: Path | None = None,
) -> bytes:
    """Return the signed transcript; ``attached`` is the signed credential of the same records.

    Raises:
        ExportUnavailableError: the extra ``pdf`` or a Chinese font is not installed.
    """
    digest = sha256(attached).hexdigest()
    facts = transcript_facts(entries, notes, issuer, digest, now)
    return _sign(_typeset(facts, _qr_svg(_link(issuer, digest)), attached, now, fonts), signer, issuer)


def _link(issuer: Issuer, digest: str) -> str:
    """Return what the QR code says: whose key, and the digest of the credential. Nothing personal."""
    where = f"https://{issuer.domain}{DID_PATH}" if issuer.domain else issuer.did
    return f"{where}#sha256={digest}"


def _missing() -> ExportUnavailableError:
    return ExportUnavailableError(
        "PDF transcripts need libraries that are not installed.",
        remedy="Install the extra: pip install 'credit-exchange-gateway[pdf]'.",
    )


def _qr_svg(text: str) -> str:
    import segno

    image = BytesIO()
    segno.make_qr(text, error="m").save(image, kind="svg", border=0, xmldecl=False, dark="#1b2a4a")
    return image.getvalue().decode()


def _typeset(facts: dict[str, Any], qr: str, attached: bytes, now: datetime, fonts: Path | None) -> bytes:
    try:
        import typst
    except ImportError as error:
        raise _missing() from error
    paths = [fonts] if fonts is not None and fonts.is_dir() else []
    known = typst.Fonts(include_system_fonts=True, font_paths=paths)
    families = set(known.families())
    chosen = {"serif": _first(SERIF, families), "sans": _first(SANS, families)}
    template = (resources.files("gateway.exports") / _TEMPLATE).read_bytes()
    inputs = {
        "facts": json.dumps(facts | {"fonts": chosen}, ensure_ascii=False),
        "qr": qr,
        "attached": attached.decode(),
        "attachment": ATTACHMENT,
    }
    return typst.compile(
        template,
        format="pdf",
        font_paths=known,
        sys_inputs=inputs,
        timestamp=int(now.timestamp()),
        pdf_standards="a-3u",
    )


def _first(wanted: Sequence[str], families: set[str]) -> str:
    for family in wanted:
        if family in families:
            return family
    raise ExportUnavailableError(
        "no Chinese font is installed, so that a PDF would show boxes.",
        remedy=f"Install fonts-noto-cjk, or put a font into the node's folder fonts/: {', '.join(SANS)}.",
    )


def _sign(content: bytes, signer: DocumentSigner, issuer: Issuer) -> bytes:
    try:
        from asn1crypto import keys, x509
        from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
        from pyhanko.sign import PdfSignatureMetadata, SimpleSigner, sign_pdf
        from pyhanko.sign.fields import MDPPerm, SigSeedSubFilter
        from pyhanko_certvalidator.registry import SimpleCertificateStore
    except ImportError as error:
        raise _missing() from error
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    store = SimpleCertificateStore()  # type: ignore[no-untyped-call]
    for authority in signer.authorities:
        store.register(x509.Certificate.load(authority.public_bytes(Encoding.DER)))
    private = signer.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    pdf_signer = SimpleSigner(
        signing_cert=x509.Certificate.load(signer.certificate.public_bytes(Encoding.DER)),
        signing_key=keys.PrivateKeyInfo.load(private),
        cert_registry=store,
    )
    metadata = PdfSignatureMetadata(
        field_name="CreditBank",
        name=issuer.name(),
        subfilter=SigSeedSubFilter.PADES,
        md_algorithm="sha256",
        certify=True,
        docmdp_permissions=MDPPerm.NO_CHANGES,
    )
    output = sign_pdf(
        IncrementalPdfFileWriter(BytesIO(content)),
        metadata,
        signer=pdf_signer,
        bytes_reserved=_SIGNATURE_BYTES,
    )
    return bytes(output.getbuffer())
