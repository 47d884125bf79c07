"""Whether a credential that somebody brings is as its issuer left it. Offline: nothing is looked up.

What cannot be known offline is not claimed: whose key it is (the DID says where to look), and whether it
still holds (the status lists do).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.errors import GatewayError
from gateway.exports.proof import UNNAMED_OBJECTS_MAX
from gateway.exports.published_contexts import shipped_contexts
from gateway.records.transcripts.linked_data import JCS, RDFC
from gateway.records.transcripts.seal import check_proofs
from gateway.records.transcripts.tree import DocumentError


class CredentialError(GatewayError):
    """A credential is malformed, altered, or signed by somebody else than it says."""


@dataclass(frozen=True, slots=True)
class VerifiedCredential:
    """One credential of this project's form whose proofs all verify."""

    credential_id: str
    issuer: str
    """DID."""
    issuer_name: str
    key_name: str
    """The key as multibase: who has the issuer's DID document compares."""
    valid_from: datetime
    valid_until: datetime | None
    record: dict[str, Any]
    """The terms of the own context: the exact values."""
    status: Sequence[dict[str, Any]]
    """Places in status lists; none when the issuer serves none."""


@dataclass(frozen=True, slots=True)
class VerifiedArchive:
    """One Comprehensive Learner Record of this project's form, with the credentials in it."""

    credential_id: str
    issuer: str
    issuer_name: str
    key_name: str
    issued: datetime
    holder_name: str
    notes: Sequence[str]
    credentials: Sequence[VerifiedCredential]


def verify_credential(data: Any) -> VerifiedCredential:
    """Return what a credential of one record says, after its proofs were verified.

    Raises:
        CredentialError: it proves nothing; the text says why.
    """
    key_name = _verify_proofs(data)
    try:
        record = data["credentialSubject"]["learningRecord"]
        if not isinstance(record, dict):
            raise TypeError
        return VerifiedCredential(
            str(data["id"]),
            str(data["issuer"]["id"]),
            str(data["issuer"].get("name", "")),
            key_name,
            _moment(data["validFrom"]),
            _moment(data["validUntil"]) if "validUntil" in data else None,
            record,
            list(data.get("credentialStatus", [])),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CredentialError("the credential holds no record of this project's form.") from error


def verify_archive(data: Any) -> VerifiedArchive:
    """Return what a learner record says, after its proofs and those of every credential in it verified.

    Raises:
        CredentialError: one of them proves nothing; the text says which.
    """
    key_name = _verify_proofs(data)
    try:
        subject = data["credentialSubject"]
        inner = subject["verifiableCredential"]
        holders = subject.get("identifier", [])
        archive = VerifiedArchive(
            str(data["id"]),
            str(data["issuer"]["id"]),
            str(data["issuer"].get("name", "")),
            key_name,
            _moment(data["validFrom"]),
            str(holders[0]["identityHash"]) if holders else "",
            [str(note) for note in data.get("archiveNote", [])],
            [_verify_inner(number, each) for number, each in enumerate(inner, 1)],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CredentialError("the document is no archive of this project's form.") from error
    strangers = {each.issuer for each in archive.credentials} - {archive.issuer}
    if strangers:
        raise CredentialError("a credential in it is by another issuer than the archive itself.")
    return archive


def _verify_inner(number: int, data: Any) -> VerifiedCredential:
    try:
        return verify_credential(data)
    except CredentialError as error:
        raise CredentialError(f"credential {number} of the archive: {error.message}") from error


def _verify_proofs(data: Any) -> str:
    """Verify every proof of a document, of which both kinds must be there; return the key's name."""
    if not isinstance(data, dict) or not isinstance(data.get("issuer"), dict):
        raise CredentialError("the document is no credential.")
    proofs = data.get("proof")
    listed = proofs if isinstance(proofs, list) else [proofs]
    stated = [each for each in listed if isinstance(each, dict)]
    suites = {str(each.get("cryptosuite")) for each in stated}
    if suites != {RDFC, JCS} or len(stated) != len(listed):
        raise CredentialError(f"it does not bear the two proofs {RDFC} and {JCS}.")
    methods = {str(each.get("verificationMethod")) for each in stated}
    issuer = str(data["issuer"].get("id"))
    if len(methods) != 1 or not all(method.startswith(f"{issuer}#") for method in methods):
        raise CredentialError("its proofs are not by a key of the issuer that it names.")
    (method,) = methods
    key_name = method.rpartition("#")[2]
    if issuer.startswith("did:key:") and issuer != f"did:key:{key_name}":
        raise CredentialError("its key is not the one that is the issuer's name.")
    try:
        seen = check_proofs(data, shipped_contexts(), UNNAMED_OBJECTS_MAX)
    except DocumentError as error:
        raise CredentialError(str(error)) from error
    if "not checked" in seen:
        raise CredentialError(f"its proofs cannot be checked: {seen}.")
    return key_name


def _moment(text: Any) -> datetime:
    moment = datetime.fromisoformat(str(text))
    if moment.tzinfo is None:
        raise ValueError("no time zone")
    return moment
