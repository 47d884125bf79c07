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
from gateway.records.transcripts.tree import DocumentError
from gateway.records.transcripts.xml_tree import SIGNATURE_NAMESPACE

NONE = "none"
PROOFS_MAX = 8
UNNAMED_OBJECTS_MAX = 512
"""Objects without id. Canonical form of a graph of many can take for ever; a transcript has a few hundred."""

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE58_CHARACTERS_MAX = 200
_ED25519_PREFIX = b"\xed\x01"
"""Multicodec of an Ed25519 public key."""
_UNDEFINED = "urn:x-undefined:"

_CERTIFICATE = f".//{{{SIGNATURE_NAMESPACE}}}X509Certificate"

RDFC, JCS = "eddsa-rdfc-2022", "eddsa-jcs-2022"


def check_proofs(data: dict[str, Any], contexts: Contexts) -> str:
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
    results = [_check_proof(document, proof, contexts) for proof in proofs]
    return "; ".join(dict.fromkeys(results))


def _check_proof(document: dict[str, Any], proof: Any, contexts: Contexts) -> str:
    if not isinstance(proof, dict):
        raise DocumentError("/proof is no object.")
    suite = proof.get("cryptosuite")
    if proof.get("type") != "DataIntegrityProof" or suite not in (RDFC, JCS):
        return f"not checked: unknown kind of proof {str(suite or proof.get('type'))[:40]!r}"
    missing = _missing_contexts(document, contexts) if suite == RDFC else []
    if missing:
        return f"not checked: the contexts are not there: {', '.join(missing)}"
    key, name = _key_of(proof)
    options = {member: value for member, value in proof.items() if member != "proofValue"}
    if suite == RDFC:
        _refuse_undefined(document, contexts)
        options["@context"] = document.get("@context")
        digest = (
            sha256(_canonical(options, contexts)).digest() + sha256(_canonical(document, contexts)).digest()
        )
    else:
        digest = sha256(_jcs(options)).digest() + sha256(_jcs(document)).digest()
    try:
        key.verify(_base58(str(proof.get("proofValue"))), digest)
    except InvalidSignature as error:
        raise DocumentError(
            "its signature does not fit: it was altered, or another key signed it."
        ) from error
    return f"unaltered since it was signed with key {name}; whose key that is, is not shown"


def _missing_contexts(document: dict[str, Any], contexts: Contexts) -> list[str]:
    stated = [document.get("@context")]
    found: list[str] = []
    while stated:
        item = stated.pop()
        if isinstance(item, list):
            stated += item
        elif isinstance(item, str) and item not in contexts:
            found.append(item[:100])
    return sorted(found)


def _key_of(proof: dict[str, Any]) -> tuple[Ed25519PublicKey, str]:
    """Return the key that a proof names as multibase, after ``#`` or ``did:key:``."""
    method = str(proof.get("verificationMethod"))
    name = method.rpartition("#")[2].removeprefix("did:key:")
    content = _base58(name)
    if not content.startswith(_ED25519_PREFIX) or len(content) != len(_ED25519_PREFIX) + 32:
        raise DocumentError("/proof/verificationMethod names no Ed25519 key.")
    return Ed25519PublicKey.from_public_bytes(content[2:]), name


def _base58(text: str) -> bytes:
    """Return the bytes of multibase base58btc (``z…``)."""
    if not text.startswith("z") or len(text) > _BASE58_CHARACTERS_MAX or set(text[1:]) - set(_ALPHABET):
        raise DocumentError("/proof holds a value that is no base58.")
    number = 0
    for character in text[1:]:
        number = number * 58 + _ALPHABET.index(character)
    zeros = len(text[1:]) - len(text[1:].lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def _canonical(document: dict[str, Any], contexts: Contexts) -> bytes:
    """Return the document's RDF dataset in canonical form (RDFC-1.0)."""
    from pyld import jsonld

    plain = _with_floats(document)
    if _unnamed(plain) > UNNAMED_OBJECTS_MAX:
        raise DocumentError(f"it has more than {UNNAMED_OBJECTS_MAX} objects without id.")
    options = {"algorithm": "URDNA2015", "format": "application/n-quads", "documentLoader": contexts.load}
    try:
        return str(jsonld.normalize(plain, options)).encode()
    except (jsonld.JsonLdError, LookupError, ValueError, TypeError, RecursionError) as error:
        raise DocumentError("it is no right JSON-LD, so its signature cannot fit.") from error


def _refuse_undefined(document: dict[str, Any], contexts: Contexts) -> None:
    """Refuse terms that the contexts do not define: they are dropped before signing, so nobody did sign."""
    from pyld import jsonld

    stated = document.get("@context")
    open_ended = [{"@vocab": _UNDEFINED}, *(stated if isinstance(stated, list) else [stated])]
    try:
        expanded = jsonld.expand(
            _with_floats(document | {"@context": open_ended}), {"documentLoader": contexts.load}
        )
    except (jsonld.JsonLdError, LookupError, ValueError, TypeError, RecursionError) as error:
        raise DocumentError("it is no right JSON-LD, so its signature cannot fit.") from error
    names = sorted(_undefined_in(expanded))
    if names:
        shown = ", ".join(name[:40] for name in names[:5])
        raise DocumentError(f"it is signed, but no signature covers {shown}: anybody could have added it.")


def _undefined_in(value: Any) -> set[str]:
    found: set[str] = set()
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting += item
        elif isinstance(item, dict):
            found.update(name.removeprefix(_UNDEFINED) for name in item if name.startswith(_UNDEFINED))
            waiting += item.values()
    return found


def _with_floats(value: Any) -> Any:
    """Return a document as JSON-LD takes it, whose numbers are xsd:double; only a signature sees these."""
    from gateway.records.transcripts.json_tree import Number

    if isinstance(value, dict):
        return {name: _with_floats(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_with_floats(item) for item in value]
    if isinstance(value, Number):
        return float(value) if set(value) & set(".eE") else int(value)
    return value


def _unnamed(value: Any) -> int:
    count, waiting = 0, [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting += item
        elif isinstance(item, dict):
            count += "id" not in item and "@id" not in item
            waiting += item.values()
    return count


def _jcs(document: dict[str, Any]) -> bytes:
    import rfc8785

    try:
        return rfc8785.dumps(_with_floats(document))
    except (rfc8785.CanonicalizationError, ValueError) as error:
        raise DocumentError("it has no canonical form (RFC 8785), so its signature cannot fit.") from error


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
