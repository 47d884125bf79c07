"""What docs/protocol.md says of bytes, written once more from that page alone.

A fault that the node's own code had on both sides would be invisible to a kit that shared it.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Sequence
from hashlib import sha256

from creditexchange.v1.envelope_pb2 import Header, Opening
from creditexchange.v1.exchange_pb2 import Purpose


def payload_type(name: str) -> str:
    """Return the media type of the payload ``name`` (section 2)."""
    return f"application/vnd.creditexchange.{name}.v1+protobuf"


def signed_bytes(type_: str, payload: bytes) -> bytes:
    """Return the pre-authentication encoding, which signatures cover (section 2)."""
    kind = type_.encode()
    return b" ".join((b"DSSEv1", str(len(kind)).encode(), kind, str(len(payload)).encode(), payload))


def signed_digest(type_: str, payload: bytes) -> bytes:
    """Return the signed digest of a message, 32 bytes (section 2)."""
    return sha256(signed_bytes(type_, payload)).digest()


def commitment(opening: Opening) -> bytes:
    """Return the commitment to an item, 32 bytes (section 4). A key of any length is taken."""
    text = b"credit-exchange/item/v1\n" + opening.item_type.encode() + b"\0" + opening.item
    return hmac.new(opening.key, text, sha256).digest()


def commitments_root(openings: Sequence[Opening]) -> bytes:
    """Return the RFC 6962 tree hash over the commitments of ``openings`` (section 4)."""
    return _tree_hash([sha256(b"\0" + commitment(opening)).digest() for opening in openings])


def _tree_hash(leaves: Sequence[bytes]) -> bytes:
    if not leaves:
        return sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\1" + _tree_hash(leaves[:split]) + _tree_hash(leaves[split:])).digest()


def purpose_word(purpose: int) -> str:
    """Return the purpose as an audit leaf states it (section 5, audit leaf)."""
    if purpose == 0 or purpose not in Purpose.values():
        return "unknown"
    return Purpose.Name(purpose).removeprefix("PURPOSE_").lower().replace("_", "-")  # type: ignore[arg-type]


def leaf_of_exchange(
    asked: Header,
    *,
    answerer: str,
    method: str,
    purpose: int,
    request_digest: bytes,
    answer_body: bytes,
    outcome: str,
    count: int,
    logged_at_ms: int,
    chunk: int = 0,
) -> bytes:
    """Return the answerer's log entry of an exchange, rebuilt by the asker (section 5, audit leaf)."""
    members: dict[str, object] = {
        "answer_digest": sha256(answer_body).hexdigest(),
        "answerer": answerer,
        "asker": asked.sender,
        "count": count,
        "exchange_id": asked.exchange_id.hex(),
        "kind": "exchange",
        "logged_at": logged_at_ms,
        "method": method,
        "outcome": outcome,
        "peer_seq": asked.pair_sequence,
        "purpose": purpose_word(purpose),
        "request_digest": request_digest.hex(),
        "role": "answerer",
        "v": 1,
    }
    if chunk:
        members["chunk"] = chunk
    return json.dumps(members, sort_keys=True, separators=(",", ":")).encode("ascii")
