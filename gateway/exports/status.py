"""Status lists: whether what this node issued still holds (W3C Bitstring Status List 1.0).

Two lists, because they mean different things: a bit for good in ``revocation`` (revoked, superseded,
corrected), and one that may be cleared again in ``suspension`` (suspended, under correction). A place
in a list is drawn at random, so that it says nothing about when or for whom the credential was issued.
"""

from __future__ import annotations

import gzip
import io
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from creditexchange.v1 import record_pb2 as pb
from gateway.exports.issuer import Issuer
from gateway.exports.proof import sign, timestamp
from gateway.exports.published_contexts import CREDENTIALS

LIST_BITS = 131_072
"""Places in a list: the least that the specification allows, for the sake of privacy."""
LIST_FILLED_MAX = LIST_BITS // 2
"""Credentials of one list before the next one is begun: a free place is soon drawn."""
TTL_MS = 300_000
"""How long a verifier may keep a list, milliseconds."""
LIST_VALID = timedelta(days=1)

PURPOSES: Mapping[str, tuple[int, int]] = {
    "revocation": (pb.RECORD_STATE_REVOKED, pb.RECORD_STATE_SUPERSEDED),
    "suspension": (pb.RECORD_STATE_SUSPENDED, pb.RECORD_STATE_UNDER_CORRECTION),
}
"""The lists, and the states of a record that set a bit in each."""


def status_entries(issuer: Issuer, list_number: int, index: int) -> list[dict[str, Any]]:
    """Return the ``credentialStatus`` of a credential; nothing when no list can be looked up."""
    if not issuer.domain:
        return []
    return [
        {
            "id": f"{issuer.status_list(purpose, list_number)}#{index}",
            "type": "BitstringStatusListEntry",
            "statusPurpose": purpose,
            "statusListIndex": str(index),
            "statusListCredential": issuer.status_list(purpose, list_number),
        }
        for purpose in PURPOSES
    ]


def status_list_credential(
    purpose: str, number: int, places: Iterable[int], issuer: Issuer, now: datetime
) -> dict[str, Any]:
    """Return the signed list in which the bits of ``places`` are set."""
    address = issuer.status_list(purpose, number)
    return sign(
        {
            "@context": [CREDENTIALS],
            "id": address,
            "type": ["VerifiableCredential", "BitstringStatusListCredential"],
            "issuer": issuer.did,
            "validFrom": timestamp(now),
            "validUntil": timestamp(now + LIST_VALID),
            "credentialSubject": {
                "id": f"{address}#list",
                "type": "BitstringStatusList",
                "statusPurpose": purpose,
                "encodedList": encoded_list(list(places)),
                "ttl": TTL_MS,
            },
        },
        issuer,
        now,
    )


def encoded_list(places: Sequence[int]) -> str:
    """Return the compressed bitstring, multibase base64url; the first place is the left-most bit."""
    bits = bytearray(LIST_BITS // 8)
    for place in places:
        bits[place // 8] |= 0x80 >> (place % 8)
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as file:
        file.write(bits)
    return "u" + urlsafe_b64encode(packed.getvalue()).rstrip(b"=").decode()
