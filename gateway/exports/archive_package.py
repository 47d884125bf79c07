"""What an archive file holds: the signed archive, and the peers' own signed answers as evidence.

The archive is attested by the node that made it. A record of a peer comes with the evidence bundle of
the exchange in which the peer gave it, so that the peer's own signature and log speak for themselves.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import rfc8785

from creditexchange.v1.record_pb2 import LearningRecord
from gateway.audit import EvidenceError, parse_leaf
from gateway.audit.commitment import RECORD
from gateway.errors import CallerError
from gateway.exchange.asking.question import ArchiveEntry
from gateway.exchange.collect_evidence import Collector
from gateway.exchange.evidence_bundle import BundleError, parse_bundle, verify_bundle
from gateway.exports.archive_file import ArchiveFileError
from gateway.exports.proof import timestamp
from gateway.exports.serialising import json_bytes
from gateway.exports.shared_record import shared_record
from gateway.exports.verifying import CredentialError, VerifiedArchive, VerifiedCredential, verify_archive

FORMAT = "credit-exchange/saved-archive/v1"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the evidence bundle about one record proves, provided that the card is the real node's."""

    node_id: str
    """Who gave the record and signed the answer."""
    card_fingerprint: str
    logged_by: str
    """Origin of the log in which the exchange stands."""


@dataclass(frozen=True, slots=True)
class OpenedArchive:
    """An archive file whose signatures all verified."""

    archive: VerifiedArchive
    evidence: dict[str, Evidence]
    """By name of the record (SOURCE/record_id); own records of the issuer need none."""


def archive_package(
    learner_record: dict[str, Any],
    entries: Sequence[ArchiveEntry],
    collector: Collector | None,
    now: datetime,
) -> bytes:
    """Return what is to be encrypted; ``collector`` reads the evidence of what peers gave."""
    evidence = {}
    for entry in entries:
        bundle = _bundle_of(entry, collector) if collector is not None else None
        if bundle is not None:
            evidence[_name(entry.record.source_node, entry.record.record_id)] = json.loads(bundle)
    return json_bytes(
        {
            "format": FORMAT,
            "saved_at": timestamp(now),
            "credential": learner_record,
            "evidence": evidence,
        }
    )


def _bundle_of(entry: ArchiveEntry, collector: Collector) -> bytes | None:
    """Return the evidence of the first peer that gave the record; ``None`` when it is not there."""
    for given in entry.provenance:
        try:
            row = collector.find(given.exchange_id)
            for at, opening in collector.records(row.idx, parse_leaf(row.leaf).draft):
                if opening.item_type == RECORD and LearningRecord.FromString(opening.item) == entry.record:
                    return collector.bundle(row, at).render()
        except (CallerError, EvidenceError):
            continue  # erased meanwhile: the archive itself still says who gave it
    return None


def open_package(content: bytes) -> OpenedArchive:
    """Read and verify a decrypted archive, offline.

    Raises:
        ArchiveFileError: it holds something else.
        CredentialError: a signature does not verify.
    """
    try:
        members = json.loads(content)
        if members["format"] != FORMAT:
            raise ArchiveFileError(f"it is not of the format {FORMAT!r}.", remedy="Use a newer version.")
        stated = dict(members["evidence"])
        credential = members["credential"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ArchiveFileError("the file was opened, but holds no archive.") from error
    archive = verify_archive(credential)
    by_name = {record_name(each): each for each in archive.credentials}
    evidence = {}
    for name, bundle in stated.items():
        if name not in by_name:
            raise CredentialError(f"there is evidence of {name[:80]!r}, which is not in the archive.")
        evidence[name] = _verified_evidence(name, bundle, by_name[name])
    return OpenedArchive(archive, evidence)


def _verified_evidence(name: str, bundle: Any, credential: VerifiedCredential) -> Evidence:
    """Return what a bundle proves, when the record in it is the one of the credential."""
    try:
        report = verify_bundle(parse_bundle(rfc8785.dumps(bundle) + b"\n"))
    except (BundleError, rfc8785.CanonicalizationError) as error:
        raise CredentialError(f"the evidence of {name} does not verify: {error}") from error
    if report.record is None or not _is_same(report.record, credential):
        raise CredentialError(f"the evidence of {name} is about another record.")
    card = report.cards[report.entry.answerer]
    return Evidence(report.entry.answerer, card.fingerprint, report.log_origin)


def _is_same(record: LearningRecord, credential: VerifiedCredential) -> bool:
    beside = ("attestation", "received")
    mine = {k: v for k, v in shared_record(record, (), credential.credential_id).items() if k not in beside}
    stated = {k: v for k, v in credential.record.items() if k not in beside}
    return mine == stated


def record_name(credential: VerifiedCredential) -> str:
    """Return the name of a record within an archive."""
    return _name(str(credential.record.get("sourceNode", "")), str(credential.record.get("recordId", "")))


def _name(source: str, record_id: str) -> str:
    return f"{source}/{record_id}"
