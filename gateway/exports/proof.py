"""Signs credentials: both Data Integrity suites for Ed25519, so that verifiers of either kind accept them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from gateway.exports.issuer import Issuer
from gateway.exports.published_contexts import shipped_contexts
from gateway.records.transcripts.linked_data import JCS, RDFC, proof_digest
from gateway.signing.multibase import encode_base58

UNNAMED_OBJECTS_MAX = 50_000
"""Objects without id in what is signed here, and read from a file of the learner's own."""


def sign(credential: dict[str, Any], issuer: Issuer, now: datetime) -> dict[str, Any]:
    """Return ``credential`` with an ``eddsa-rdfc-2022`` and an ``eddsa-jcs-2022`` proof (W3C VC-DI-EDDSA).

    Every term is defined by a shipped context, or nothing is signed: a term that no context defines
    would be dropped from what ``eddsa-rdfc-2022`` covers, and anybody could change it.

    Raises:
        gateway.records.transcripts.tree.DocumentError: a term is not defined: a defect of the writer.
    """
    return credential | {"proof": [_proof(suite, credential, issuer, now) for suite in (RDFC, JCS)]}


def _proof(suite: str, credential: dict[str, Any], issuer: Issuer, now: datetime) -> dict[str, Any]:
    options: dict[str, Any] = {
        "type": "DataIntegrityProof",
        "cryptosuite": suite,
        "created": timestamp(now),
        "verificationMethod": issuer.verification_method,
        "proofPurpose": "assertionMethod",
    }
    if suite == JCS:
        options["@context"] = credential["@context"]
    digest = proof_digest(suite, credential, options, shipped_contexts(), UNNAMED_OBJECTS_MAX)
    return options | {"proofValue": encode_base58(issuer.key.sign(digest))}


def timestamp(moment: datetime) -> str:
    """Return a moment in UTC as XML Schema writes it, to the second."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
