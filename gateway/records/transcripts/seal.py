"""Whether a document is as its signer left it. Whose key that is, no document can say of itself.

A signature that does not fit refuses the document. One that fits shows that nothing was changed since
somebody signed with the named key; that it is the issuer's key, the operator has to know. What cannot
be checked here is said so, and never called verified.
"""

from __future__ import annotations

from base64 import b64decode
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.records.transcripts.contexts import Contexts
from gateway.records.transcripts.linked_data import (
    JCS,
    RDFC,
    UNNAMED_OBJECTS_MAX,
    missing_contexts,
    proof_digest,
)
from gateway.records.transcripts.tree import DocumentError
from gateway.records.transcripts.xml_tree import SIGNATURE_NAMESPACE
from gateway.signing.multibase import decode_base58, key_of_multikey

NONE = "none"
PROOFS_MAX = 8
_CERTIFICATE = f".//{{{SIGNATURE_NAMESPACE}}}X509Certificate"


def check_proofs(data: dict[str, Any], contexts: Contexts, unnamed_max: int = UNNAMED_OBJECTS_MAX) -> str:
    """Return what the Data Integrity proofs of a credential show (W3C VC-DI-EDDSA).

    Raises:
        DocumentError: a proof does not fit, or the document has terms that no proof covers.
    """
    stated = data.get("proof")
    if stated is None:
        return NONE
    proofs = stated if isinstance(stated, list) else [stated]
    if len(proofs) > PROOFS_MAX:
        raise DocumentError(f"it has more than {PROOFS_MAX} proofs.")
    document = {name: value for name, value in data.items() if name != "proof"}
    results = [_check_proof(document, proof, contexts, unnamed_max) for proof in proofs]
    return "; ".join(dict.fromkeys(results))


def _check_proof(document: dict[str, Any], proof: Any, contexts: Contexts, unnamed_max: int) -> str:
    if not isinstance(proof, dict):
        raise DocumentError("/proof is no object.")
    suite = proof.get("cryptosuite")
    if proof.get("type") != "DataIntegrityProof" or suite not in (RDFC, JCS):
        return f"not checked: unknown kind of proof {str(suite or proof.get('type'))[:40]!r}"
    missing = missing_contexts(document, contexts) if suite == RDFC else []
    if missing:
        return f"not checked: the contexts are not there: {', '.join(missing)}"
    key, name = _key_of(proof)
    options = {member: value for member, value in proof.items() if member != "proofValue"}
    digest = proof_digest(suite, document, options, contexts, unnamed_max)
    try:
        key.verify(_signature_of(proof), digest)
    except InvalidSignature as error:
        raise DocumentError(
            "its signature does not fit: it was altered, or another key signed it."
        ) from error
    return f"unaltered since it was signed with key {name}; whose key that is, is not shown"


def _key_of(proof: dict[str, Any]) -> tuple[Ed25519PublicKey, str]:
    """Return the key that a proof names as multibase, after ``#`` or ``did:key:``."""
    method = str(proof.get("verificationMethod"))
    name = method.rpartition("#")[2].removeprefix("did:key:")
    try:
        return key_of_multikey(name), name
    except ValueError as error:
        raise DocumentError("/proof/verificationMethod names no Ed25519 key.") from error


def _signature_of(proof: dict[str, Any]) -> bytes:
    try:
        return decode_base58(str(proof.get("proofValue")))
    except ValueError as error:
        raise DocumentError("/proof holds a value that is no base58.") from error


def check_xml_signature(root: Any) -> str:
    """Return what the XML signature over the whole document shows (XML-DSig, enveloped).

    Raises:
        DocumentError: it does not fit, or covers less than the document.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.x509 import load_der_x509_certificate
    from lxml import etree
    from signxml.exceptions import InvalidInput
    from signxml.exceptions import InvalidSignature as BadXmlSignature
    from signxml.verifier import SignatureConfiguration, XMLVerifier

    signatures = root.findall(f".//{{{SIGNATURE_NAMESPACE}}}Signature")
    if not signatures:
        return NONE
    doubt = _find_doubt(root, signatures)
    if doubt:
        return f"not checked: {doubt}"
    text = signatures[0].findtext(_CERTIFICATE)
    try:
        certificate = load_der_x509_certificate(b64decode("".join(text.split()), validate=True))
        verified = XMLVerifier().verify(
            root, x509_cert=certificate, expect_config=SignatureConfiguration(expect_references=1)
        )
    except (
        BadXmlSignature,
        InvalidInput,
        InvalidSignature,
        UnsupportedAlgorithm,
        etree.LxmlError,
        ValueError,
    ) as error:
        raise DocumentError(
            "its signature does not fit: it was altered, or another key signed it."
        ) from error
    assert not isinstance(verified, list)  # one reference was asked for
    signed = verified.signed_xml
    if signed is None or signed.tag != root.tag or _count(signed) + _count(signatures[0]) != _count(root):
        raise DocumentError("its signature covers only a part of it.")
    fingerprint = sha256(certificate.public_bytes(_der())).hexdigest()
    return f"unaltered since it was signed with certificate sha256:{fingerprint}; whose it is, is not shown"


def _find_doubt(root: Any, signatures: list[Any]) -> str:
    """Return why signatures cannot be checked, ``""`` when they can."""
    names = (f"{{{SIGNATURE_NAMESPACE}}}SignatureMethod", f"{{{SIGNATURE_NAMESPACE}}}DigestMethod")
    methods = [str(node.get("Algorithm")) for node in signatures[0].iter(*names)]
    if any(method.endswith("sha1") for method in methods):
        return "it uses SHA-1, which proves nothing any more"
    if (
        len(signatures) > 1
        or signatures[0].getparent() is not root
        or signatures[0].find(_CERTIFICATE) is None
    ):
        return "not one signature of the whole document with its certificate"
    return ""


def _count(element: Any) -> int:
    return sum(1 for each in element.iter() if isinstance(each.tag, str))


def _der() -> Any:
    from cryptography.hazmat.primitives.serialization import Encoding

    return Encoding.DER
