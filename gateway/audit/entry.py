"""The leaf of the audit log: one RFC 8785 JSON object with a closed set of members.

Nothing in it is personal: no subject, no token, no user, no address. Keys and values are ASCII,
numbers are integers, bytes are lower-case hexadecimal. The stored bytes *are* the leaf; they are
never serialised again. Members by kind (docs/protocol.md, "Audit leaf"):

``exchange``
    ``answer_digest answerer asker count exchange_id kind logged_at method outcome peer_seq purpose
    request_digest role v``; with role ``asker`` also ``peer_receipt`` {index, origin} and
    ``peer_checkpoint`` {root, size}; in bulk also ``chunk``.
``no-answer``
    The same without ``answer_digest``, ``peer_receipt`` and ``peer_checkpoint``; role ``asker``.
``management``
    ``action count kind logged_at reason v``, and ``peer`` and ``exchange_id`` where there is one.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import rfc8785

from gateway.audit.merkle import HASH_BYTES
from gateway.clock import ID_BYTES
from gateway.errors import GatewayError

LEAF_VERSION = 1
LEAF_BYTES_MAX = 4 * 1024
"""Larger than any leaf; the length of a leaf in a tlog-tiles bundle is below 64 KiB."""
INTEGER_MAX = 2**53 - 1
"""Largest integer that RFC 8785 knows."""
LOGGED_AT_MS_MAX = 253_402_300_799_999
"""Last millisecond of the year 9999: no later one can be shown (RFC 3339)."""

Kind = Literal["exchange", "no-answer", "management"]
Role = Literal["asker", "answerer", ""]
Action = Literal[
    "",
    "erasure",
    "evidence-opened",
    "key-change",
    "card-change",
    "grant-change",
    "scheme-change",
    "restore",
    "log-change",
    "erasure-notice",
    "change-notice",
    "subject-access",
    "consent-grant",
    "consent-revocation",
    "code-issue",
    "code-redemption",
    "code-refusal",
    "code-revocation",
]

_NODE = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_METHOD = re.compile(r"/[A-Za-z0-9_.]{1,120}/[A-Za-z0-9_]{1,60}")
_WORD = re.compile(r"[a-z0-9-]{1,64}")
_OUTCOME = re.compile(r"[A-Z][A-Z0-9_]{1,62}")
_ORIGIN = re.compile(r"[\x21-\x2a\x2c-\x7e]{1,255}")


class EntryError(GatewayError):
    """An entry of the audit log has a member that is missing, unknown or malformed."""


@dataclass(frozen=True, slots=True)
class PeerReceipt:
    """Where the peer says it logged the exchange: the origin of its log and the entry's index."""

    origin: str
    index: int


@dataclass(frozen=True, slots=True)
class PeerCheckpoint:
    """The peer's checkpoint to which its receipt led: so the two logs entangle."""

    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class EntryDraft:
    """An entry before it is logged: everything but the time.

    Raises:
        EntryError: a member is missing, superfluous or malformed.
    """

    kind: Kind
    role: Role = ""
    asker: str = ""
    answerer: str = ""
    exchange_id: bytes = b""
    """16 bytes; empty only in management entries."""
    peer_seq: int = 0
    """The pair's sequence number, from 1."""
    method: str = ""
    """Full gRPC method."""
    purpose: str = ""
    """The purpose's word, ``unknown`` for one that is not listed."""
    outcome: str = ""
    """``OK``, a refusal's reason, or the asking side's own outcome."""
    count: int = 0
    """How many records were given, or things managed."""
    request_digest: bytes = b""
    """SHA-256 over the request's signed bytes."""
    answer_digest: bytes = b""
    """SHA-256 over the answer's or refusal's body; empty when none came."""
    peer_receipt: PeerReceipt | None = None
    peer_checkpoint: PeerCheckpoint | None = None
    chunk: int = 0
    """In bulk: which chunk of the answer, from 1, or in the place of which one there is something else."""
    action: Action = ""
    """Management only: what was done."""
    reason: str = ""
    """Management only: why, as one lower-case word with hyphens."""
    peer: str = ""
    """Management only: the peer it was about, if any."""

    @property
    def other_node(self) -> str:
        """The other node of an exchange, or the peer that a management entry is about; may be empty."""
        if self.kind == "management":
            return self.peer
        return self.answerer if self.role == "asker" else self.asker

    def __post_init__(self) -> None:
        """Refuse what has no place in a leaf of this kind."""
        if not 0 <= self.count <= INTEGER_MAX:
            raise EntryError("the entry's count is out of range.")
        if self.kind == "management":
            _check_management(self)
        else:
            _check_exchange(self)


@dataclass(frozen=True, slots=True)
class Entry:
    """A leaf that was read: the draft and when it was logged (milliseconds since 1970, UTC)."""

    draft: EntryDraft
    logged_at_ms: int


def management_entry(
    action: Action, *, reason: str, count: int = 0, peer: str = "", exchange_id: bytes = b""
) -> EntryDraft:
    """Return the entry of an operator's act: an erasure, a key change, evidence that was opened …

    Raises:
        EntryError: ``action`` is not on the list, or ``reason`` is not one lower-case word.
    """
    return EntryDraft(
        kind="management", action=action, reason=reason, count=count, peer=peer, exchange_id=exchange_id
    )


def leaf_bytes(draft: EntryDraft, logged_at_ms: int) -> bytes:
    """Return the leaf: RFC 8785 JSON, ASCII, about 450 bytes.

    Every member is checked ASCII without quotes or an integer within 2**53, and then RFC 8785 is
    what the standard library writes with sorted keys and no spaces; that costs a fifth of the
    rfc8785 package, which :func:`parse_leaf` and the tests compare it with.
    """
    return _ENCODE(_members(draft, logged_at_ms)).encode()


def parse_leaf(leaf: bytes) -> Entry:
    """Read a leaf; only the exact form that :func:`leaf_bytes` writes is accepted.

    Raises:
        EntryError: it is anything else.
    """
    if len(leaf) > LEAF_BYTES_MAX:
        raise EntryError("the leaf is too long.")
    try:
        members = json.loads(leaf)
        canonical = rfc8785.dumps(members) == leaf
    except (ValueError, RecursionError, TypeError) as error:
        raise EntryError("the leaf is not JSON.") from error
    if not isinstance(members, dict) or not canonical:
        raise EntryError("the leaf is not an RFC 8785 object.")
    try:
        entry = _entry(members)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise EntryError("a member of the leaf is missing or of the wrong type.") from error
    if leaf_bytes(entry.draft, entry.logged_at_ms) != leaf:
        raise EntryError("the leaf has a member that does not belong there.")
    return entry


def rebuild_leaf(answered: EntryDraft, logged_at_ms: int) -> bytes:
    """Return the *answerer's* leaf of an exchange, rebuilt by the asker from what it holds.

    ``answered`` names the exchange as either side knows it; ``logged_at_ms`` comes from the
    receipt. A receipt for a leaf that cannot be rebuilt proves nothing.
    """
    return leaf_bytes(
        replace(answered, role="answerer", peer_receipt=None, peer_checkpoint=None), logged_at_ms
    )


_ENCODE = json.JSONEncoder(sort_keys=True, separators=(",", ":"), check_circular=False).encode


def _members(draft: EntryDraft, logged_at_ms: int) -> dict[str, Any]:
    if not 0 <= logged_at_ms <= LOGGED_AT_MS_MAX:
        raise EntryError("the entry's time is out of range.")
    members: dict[str, Any] = {
        "v": LEAF_VERSION,
        "kind": draft.kind,
        "count": draft.count,
        "logged_at": logged_at_ms,
    }
    if draft.exchange_id:
        members["exchange_id"] = draft.exchange_id.hex()
    if draft.kind == "management":
        members |= {"action": draft.action, "reason": draft.reason}
        if draft.peer:
            members["peer"] = draft.peer
        return members
    members |= {
        "role": draft.role,
        "asker": draft.asker,
        "answerer": draft.answerer,
        "peer_seq": draft.peer_seq,
        "method": draft.method,
        "purpose": draft.purpose,
        "outcome": draft.outcome,
        "request_digest": draft.request_digest.hex(),
    }
    if draft.chunk:
        members["chunk"] = draft.chunk
    if draft.answer_digest:
        members["answer_digest"] = draft.answer_digest.hex()
    if draft.peer_receipt is not None:
        members["peer_receipt"] = {"origin": draft.peer_receipt.origin, "index": draft.peer_receipt.index}
    if draft.peer_checkpoint is not None:
        members["peer_checkpoint"] = {
            "size": draft.peer_checkpoint.size,
            "root": draft.peer_checkpoint.root.hex(),
        }
    return members


def _entry(members: dict[str, Any]) -> Entry:
    if members["v"] != LEAF_VERSION:
        raise EntryError("the leaf is of another version.")
    fields: dict[str, Any] = {key: _text(members[key]) for key in members.keys() & _TEXTS}
    fields |= {key: _number(members[key]) for key in members.keys() & _NUMBERS}
    fields |= {key: bytes.fromhex(_text(members[key])) for key in members.keys() & _BINARIES}
    receipt, checkpoint = members.get("peer_receipt"), members.get("peer_checkpoint")
    draft = EntryDraft(
        **fields,
        peer_receipt=receipt and PeerReceipt(_text(receipt["origin"]), _number(receipt["index"])),
        peer_checkpoint=checkpoint
        and PeerCheckpoint(_number(checkpoint["size"]), bytes.fromhex(_text(checkpoint["root"]))),
    )
    return Entry(draft, _number(members["logged_at"]))


_TEXTS = frozenset(
    {"kind", "role", "asker", "answerer", "method", "purpose", "outcome", "action", "reason", "peer"}
)
_NUMBERS = frozenset({"peer_seq", "count", "chunk"})
_BINARIES = frozenset({"exchange_id", "request_digest", "answer_digest"})
_KINDS = frozenset({"exchange", "no-answer"})
_ROLES = frozenset({"asker", "answerer"})
_ACTIONS = frozenset(get_args(Action)) - {""}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise EntryError("a member of the leaf is not text.")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise EntryError("a member of the leaf is not an integer.")
    return value


def _check_management(draft: EntryDraft) -> None:
    if draft.action not in _ACTIONS:
        raise EntryError("the entry's action is not on the list.")
    if not _WORD.fullmatch(draft.reason):
        raise EntryError("the entry's reason is not one lower-case word with hyphens.")
    if draft.peer and not _NODE.fullmatch(draft.peer):
        raise EntryError("the entry's peer is not a node id.")
    if len(draft.exchange_id) not in (0, ID_BYTES):
        raise EntryError("the entry's exchange_id is not 16 bytes long.")
    foreign = (
        draft.role,
        draft.asker,
        draft.answerer,
        draft.peer_seq,
        draft.method,
        draft.purpose,
        draft.outcome,
        draft.request_digest,
        draft.answer_digest,
        draft.peer_receipt,
        draft.peer_checkpoint,
        draft.chunk,
    )
    if any(foreign):
        raise EntryError("a management entry holds no member of an exchange.")


def _check_exchange(draft: EntryDraft) -> None:
    if draft.kind not in _KINDS or draft.role not in _ROLES:
        raise EntryError("the entry's kind or role is not on the list.")
    if not (_NODE.fullmatch(draft.asker) and _NODE.fullmatch(draft.answerer)):
        raise EntryError("the entry's asker or answerer is not a node id.")
    _require_lengths(
        (draft.exchange_id, ID_BYTES, "exchange_id"),
        (draft.request_digest, HASH_BYTES, "request_digest"),
        (draft.answer_digest, HASH_BYTES if draft.kind == "exchange" else 0, "answer_digest"),
    )
    if not 1 <= draft.peer_seq <= INTEGER_MAX:
        raise EntryError("the entry's peer_seq is out of range.")
    if not 0 <= draft.chunk <= INTEGER_MAX:
        raise EntryError("the entry's chunk is out of range.")
    if not (_METHOD.fullmatch(draft.method) and _WORD.fullmatch(draft.purpose)):
        raise EntryError("the entry's method or purpose is malformed.")
    if not _OUTCOME.fullmatch(draft.outcome):
        raise EntryError("the entry's outcome is not an upper-case word.")
    if draft.action or draft.reason or draft.peer:
        raise EntryError("an exchange holds no member of a management entry.")
    _check_peer_proof(draft)


def _check_peer_proof(draft: EntryDraft) -> None:
    receipt, checkpoint = draft.peer_receipt, draft.peer_checkpoint
    if receipt is None and checkpoint is None:
        return
    if receipt is None or checkpoint is None or draft.kind != "exchange" or draft.role != "asker":
        raise EntryError("the peer's receipt and checkpoint stand together, on the asker's side only.")
    if not _ORIGIN.fullmatch(receipt.origin) or '"' in receipt.origin or "\\" in receipt.origin:
        raise EntryError("the origin of the peer's log is malformed.")
    if not 0 <= receipt.index < checkpoint.size <= INTEGER_MAX:
        raise EntryError("the peer's receipt and checkpoint do not fit each other.")
    _require_lengths((checkpoint.root, HASH_BYTES, "peer_checkpoint"))


def _require_lengths(*fields: tuple[bytes, int, str]) -> None:
    for value, length, name in fields:
        if len(value) != length:
            raise EntryError(f"the entry's {name} is not {length} bytes long.")


__all__ = (
    "LEAF_BYTES_MAX",
    "LOGGED_AT_MS_MAX",
    "Action",
    "Entry",
    "EntryDraft",
    "EntryError",
    "PeerCheckpoint",
    "PeerReceipt",
    "leaf_bytes",
    "management_entry",
    "parse_leaf",
    "rebuild_leaf",
)
