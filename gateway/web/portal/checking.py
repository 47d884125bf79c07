"""What a document that somebody shows proves: read, verified, and held against what its issuer says now.

Nothing a document names is fetched unless node.toml knows its issuer: whoever brings a document must not
make this program call addresses of their choice.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2

from gateway.clock import Clock
from gateway.errors import CallerError, GatewayError
from gateway.exports.archive_file import decrypt
from gateway.exports.archive_package import open_package
from gateway.exports.issuer import DID_PATH
from gateway.exports.proof import UNNAMED_OBJECTS_MAX
from gateway.exports.published_contexts import shipped_contexts
from gateway.exports.status import LIST_BITS
from gateway.exports.verifying import (
    VerifiedArchive,
    VerifiedCredential,
    verify_archive,
    verify_credential,
)
from gateway.records.transcripts.seal import check_proofs
from gateway.records.transcripts.tree import DocumentError

CALL_S = 3.0
LIST_BYTES_MAX = 512 * 1024
CREDENTIALS_MAX = 500
_AGE = b"age-encryption.org/v1\n"

VALID, REVOKED, SUSPENDED, EXPIRED, UNKNOWN = "valid", "revoked", "suspended", "expired", "unknown"
"""Whether a record still holds. ``unknown``: its issuer's list could not be read, or there is none."""


@dataclass(frozen=True, slots=True)
class KnownIssuer:
    """An issuer of node.toml."""

    node_id: str
    domain: str
    page: str
    """Where its open page is reached, without a path."""

    @property
    def did(self) -> str:
        """``did:web`` of the domain."""
        return f"did:web:{quote(self.domain, safe='')}"


@dataclass(frozen=True, slots=True)
class CheckedRecord:
    """One record of a document, and whether it holds now."""

    record: Mapping[str, Any]
    """The terms of the own context: the exact values that were signed."""
    issued: datetime
    state: str

    def text(self, name: str) -> str:
        """Return a term as text; empty when it is not stated."""
        return str(self.record.get(name, ""))

    def title(self, language: str) -> str:
        """Return the title in the reader's language, else in the first that there is."""
        return _in_language(self.record.get("title"), language) or self.text("recordId")

    def institution(self, language: str) -> str:
        """Return the institution's name; empty when it is not stated."""
        stated = self.record.get("institution")
        first = stated[0] if isinstance(stated, list) and stated else stated
        names = first.get("institutionName", first.get("name")) if isinstance(first, Mapping) else None
        return _in_language(names, language)


def _in_language(stated: Any, language: str) -> str:
    if isinstance(stated, Mapping):
        fitting = [str(text) for tag, text in stated.items() if str(tag).split("-")[0] == language]
        return (fitting or [str(text) for text in stated.values()] or [""])[0]
    return stated if isinstance(stated, str) else ""


@dataclass(frozen=True, slots=True)
class Checked:
    """A document whose signatures all verify."""

    issuer: str
    issuer_name: str
    known_as: str
    """Node id, when the operator knows the issuer and it publishes the key that signed; else empty."""
    is_known: bool
    """Whether node.toml knows the issuer."""
    is_key_published: bool | None
    """Whether the issuer publishes the key; ``None`` when it could not be asked or is not known."""
    issued: datetime
    holder: str
    notes: Sequence[str]
    records: Sequence[CheckedRecord]


@dataclass(frozen=True)
class Checker:
    """Checks documents."""

    issuers: Sequence[KnownIssuer]
    clock: Clock

    def check(self, content: bytes, passphrase: str) -> Checked:
        """Return what a document proves.

        Raises:
            CallerError: it is no document of a form that is known here.
            CredentialError, ArchiveFileError: it does not verify, or does not open.
        """
        archive = _read(content, passphrase)
        if len(archive.credentials) > CREDENTIALS_MAX:
            raise CallerError("the document holds too many records.")
        known = next((each for each in self.issuers if each.did == archive.issuer), None)
        lists = StatusLists(known, self.clock) if known is not None else None
        published = lists.publishes(archive.key_name) if lists is not None else None
        return Checked(
            archive.issuer,
            archive.issuer_name,
            known.node_id if known is not None and published else "",
            known is not None,
            published,
            archive.issued,
            archive.holder_name,
            archive.notes,
            [self._record(each, lists if published else None) for each in archive.credentials],
        )

    def _record(self, credential: VerifiedCredential, lists: StatusLists | None) -> CheckedRecord:
        state = lists.state_of(credential) if lists is not None else UNKNOWN
        if state in (VALID, UNKNOWN):
            if credential.valid_until is not None and credential.valid_until <= self.clock():
                state = EXPIRED
            stated = str(credential.record.get("recordState", VALID))
            state = stated if stated not in (VALID, "") else state
        return CheckedRecord(credential.record, credential.valid_from, state)


@dataclass
class StatusLists:
    """What one known issuer publishes now; each list is fetched and verified once."""

    issuer: KnownIssuer
    clock: Clock
    _read: dict[str, bytes | None] = field(default_factory=dict)
    _key_names: frozenset[str] | None = None

    def publishes(self, key_name: str) -> bool | None:
        """Whether the issuer's DID document holds a key; ``None`` when it cannot be read."""
        try:
            document = json.loads(self._get(DID_PATH))
            if document["id"] != self.issuer.did:
                return False
            asserting = set(document["assertionMethod"])
            methods = [each for each in document["verificationMethod"] if each["id"] in asserting]
            self._key_names = frozenset(str(each["publicKeyMultibase"]) for each in methods)
        except (httpx2.HTTPError, ValueError, KeyError, TypeError):
            return None
        return key_name in self._key_names

    def state_of(self, credential: VerifiedCredential) -> str:
        """Return whether a credential holds now, as its issuer's lists say."""
        if not credential.status:
            return UNKNOWN
        states = []
        for entry in credential.status:
            bits, at = self._bits(entry), str(entry.get("statusListIndex", ""))
            if bits is None or not at.isdecimal() or int(at[:9]) >= LIST_BITS:
                return UNKNOWN
            is_set = bits[int(at) // 8] >> (7 - int(at) % 8) & 1
            states.append((str(entry.get("statusPurpose")), bool(is_set)))
        if ("revocation", True) in states:
            return REVOKED
        return SUSPENDED if ("suspension", True) in states else VALID

    def _bits(self, entry: Mapping[str, Any]) -> bytes | None:
        address = str(entry.get("statusListCredential", ""))
        if address not in self._read:
            try:
                self._read[address] = self._fetch(address, str(entry.get("statusPurpose")))
            except (httpx2.HTTPError, DocumentError, ValueError, KeyError, TypeError, OSError, EOFError):
                self._read[address] = None
        return self._read[address]

    def _fetch(self, address: str, purpose: str) -> bytes:
        parts = urlsplit(address)
        if (parts.scheme, parts.netloc) != ("https", self.issuer.domain):
            raise ValueError("a list of somebody else")
        document = json.loads(self._get(parts.path))
        subject, proofs = document["credentialSubject"], document["proof"]
        stated = proofs if isinstance(proofs, list) else [proofs]
        methods = {str(each["verificationMethod"]) for each in stated}
        named = {f"{self.issuer.did}#{name}" for name in self._key_names or ()}
        seen = check_proofs(document, shipped_contexts(), UNNAMED_OBJECTS_MAX)
        if "not checked" in seen or not stated or not methods <= named or document["id"] != address:
            raise ValueError("not signed by the issuer")
        if subject["statusPurpose"] != purpose:
            raise ValueError("a list for another purpose")
        if datetime.fromisoformat(document["validUntil"]) <= self.clock():
            raise ValueError("an old list")
        return _unpacked(str(subject["encodedList"]))

    def _get(self, path: str) -> bytes:
        with httpx2.stream(
            "GET", self.issuer.page + path, timeout=CALL_S, trust_env=False, follow_redirects=False
        ) as response:
            response.raise_for_status()
            content = b""
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > LIST_BYTES_MAX:
                    raise ValueError("too large")
        return content


def _unpacked(encoded: str) -> bytes:
    from base64 import urlsafe_b64decode

    if not encoded.startswith("u"):
        raise ValueError("not multibase base64url")
    packed = urlsafe_b64decode(encoded[1:] + "=" * (-len(encoded[1:]) % 4))
    with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
        bits = file.read(LIST_BITS // 8 + 1)
    if len(bits) != LIST_BITS // 8:
        raise ValueError("a list of another length")
    return bits


def _read(content: bytes, passphrase: str) -> VerifiedArchive:
    if content.startswith(_AGE):
        if not passphrase:
            raise CallerError("the file is encrypted.", remedy="Type its passphrase beside it.")
        return open_package(decrypt(content, passphrase)).archive
    if content.startswith(b"%PDF-"):
        content = _attached(content)
    try:
        data = json.loads(content)
        types = data["type"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CallerError(
            "this is no document that can be checked here.",
            remedy="Bring a credential or archive (JSON), the PDF transcript, or an encrypted archive file.",
        ) from error
    if "ClrCredential" in types:
        return verify_archive(data)
    one = verify_credential(data)
    return VerifiedArchive(
        one.credential_id, one.issuer, one.issuer_name, one.key_name, one.valid_from, "", (), [one]
    )


def _attached(content: bytes) -> bytes:
    """Return the credential that a PDF transcript carries.

    Raises:
        CallerError: it carries none.
    """
    try:
        from pyhanko.pdf_utils.misc import PdfError
        from pyhanko.pdf_utils.reader import PdfFileReader
    except ImportError as error:
        raise GatewayError(
            "this node cannot read PDF.", remedy="Install the extra: credit-exchange-gateway[pdf]."
        ) from error
    try:
        catalogue = PdfFileReader(io.BytesIO(content)).root
        listed = catalogue["/Names"]["/EmbeddedFiles"]["/Names"]
        return bytes(listed[1]["/EF"]["/F"].data)
    except (PdfError, KeyError, IndexError, ValueError, TypeError, AttributeError) as error:
        raise CallerError("this PDF carries no credential.") from error
