"""The leaf: RFC 8785, closed, and the same for both sides."""

import json
from dataclasses import replace

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit import (
    EntryDraft,
    EntryError,
    PeerCheckpoint,
    PeerReceipt,
    leaf_bytes,
    management_entry,
    parse_leaf,
    rebuild_leaf,
)
from gateway.audit.entry import INTEGER_MAX, LOGGED_AT_MS_MAX
from gateway.clock import from_unix_ms
from tests.audit.drafts import METHOD, answered

AT = 1_790_000_000_000
FIXED = answered(exchange_id=b"\x01" * 16, request_digest=b"\x02" * 32, answer_digest=b"\x03" * 32)
RECEIPT = PeerReceipt("audit.zhejiang.example/2026", 41)
CHECKPOINT = PeerCheckpoint(42, b"\x04" * 32)

nodes = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,62}", fullmatch=True)
digests = st.binary(min_size=32, max_size=32)
drafts = st.builds(
    answered,
    asker=nodes,
    answerer=nodes,
    exchange_id=st.binary(min_size=16, max_size=16),
    peer_seq=st.integers(1, INTEGER_MAX),
    method=st.from_regex(r"/[A-Za-z0-9_.]{1,120}/[A-Za-z0-9_]{1,60}", fullmatch=True),
    purpose=st.from_regex(r"[a-z0-9-]{1,64}", fullmatch=True),
    outcome=st.from_regex(r"[A-Z][A-Z0-9_]{1,62}", fullmatch=True),
    count=st.integers(0, INTEGER_MAX),
    request_digest=digests,
    answer_digest=digests,
)


def test_the_leaf_to_the_byte() -> None:
    assert leaf_bytes(FIXED, AT) == (
        b'{"answer_digest":"' + b"03" * 32 + b'","answerer":"shanghai","asker":"zhejiang","count":2,'
        b'"exchange_id":"' + b"01" * 16 + b'","kind":"exchange","logged_at":1790000000000,'
        b'"method":"' + METHOD.encode() + b'","outcome":"OK","peer_seq":7,"purpose":"employment",'
        b'"request_digest":"' + b"02" * 32 + b'","role":"answerer","v":1}'
    )


@given(drafts, st.integers(0, LOGGED_AT_MS_MAX))
def test_leaves_are_rfc_8785_and_come_back(draft: EntryDraft, at: int) -> None:
    leaf = leaf_bytes(draft, at)
    assert leaf.isascii()
    assert leaf == rfc8785.dumps(json.loads(leaf))
    entry = parse_leaf(leaf)
    assert (entry.draft, entry.logged_at_ms) == (draft, at)


@pytest.mark.parametrize("at", [-1, LOGGED_AT_MS_MAX + 1, INTEGER_MAX])
def test_a_time_that_no_calendar_has_is_refused(at: int) -> None:
    """It could not be shown; what cannot be shown must not come in, whoever signed it."""
    leaf = leaf_bytes(FIXED, AT).replace(str(AT).encode(), str(at).encode())
    with pytest.raises(EntryError, match="time"):
        parse_leaf(leaf)
    assert from_unix_ms(LOGGED_AT_MS_MAX).year == 9999


def asked() -> EntryDraft:
    return replace(FIXED, role="asker", peer_receipt=RECEIPT, peer_checkpoint=CHECKPOINT)


@pytest.mark.parametrize(
    "draft",
    [
        asked(),
        replace(FIXED, role="asker"),
        replace(FIXED, kind="no-answer", role="asker", answer_digest=b"", count=0, outcome="TIMED_OUT"),
        management_entry("erasure", reason="request-of-learner", count=3),
        management_entry("evidence-opened", reason="audit", exchange_id=b"\x05" * 16),
        management_entry("card-change", reason="renewal", peer="zhejiang", count=1),
    ],
)
def test_every_kind_comes_back(draft: EntryDraft) -> None:
    leaf = leaf_bytes(draft, AT)
    assert parse_leaf(leaf).draft == draft
    assert leaf == rfc8785.dumps(json.loads(leaf))


def test_the_asker_rebuilds_the_answerers_leaf() -> None:
    assert rebuild_leaf(asked(), AT) == leaf_bytes(FIXED, AT)


BAD_DRAFTS = {
    "an unknown kind": {"kind": "gossip"},
    "no role": {"role": ""},
    "a name with a capital": {"asker": "Zhejiang"},
    "a name with a quote": {"answerer": 'x"y'},
    "no exchange id": {"exchange_id": b""},
    "a short digest": {"request_digest": b"\x00" * 31},
    "no answer digest": {"answer_digest": b""},
    "sequence 0": {"peer_seq": 0},
    "a number JSON cannot hold": {"count": 2**53},
    "a negative count": {"count": -1},
    "a method without a service": {"method": "QueryRecords"},
    "a purpose that is a sentence": {"purpose": "for employment"},
    "a lower-case outcome": {"outcome": "ok"},
    "a text in another script": {"purpose": "就业"},
    "a management reason": {"reason": "because"},
    "an action": {"action": "erasure"},
    "the answerer with a peer's receipt": {"peer_receipt": RECEIPT, "peer_checkpoint": CHECKPOINT},
    "a receipt without a checkpoint": {"role": "asker", "peer_receipt": RECEIPT},
    "a receipt beyond its checkpoint": {
        "role": "asker",
        "peer_receipt": PeerReceipt("a.example", 42),
        "peer_checkpoint": CHECKPOINT,
    },
    "an origin with a quote": {
        "role": "asker",
        "peer_receipt": PeerReceipt('a"b', 1),
        "peer_checkpoint": CHECKPOINT,
    },
    "a short root": {"role": "asker", "peer_receipt": RECEIPT, "peer_checkpoint": PeerCheckpoint(42, b"")},
}


@pytest.mark.parametrize("changes", BAD_DRAFTS.values(), ids=BAD_DRAFTS)
def test_malformed_drafts_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(EntryError):
        answered(**changes)


@pytest.mark.parametrize(
    "facts",
    [
        {"action": "party", "reason": "fun"},
        {"action": "erasure", "reason": "Zhang San asked"},
        {"action": "erasure", "reason": ""},
        {"action": "erasure", "reason": "x", "peer": "NOT A NODE"},
        {"action": "erasure", "reason": "x", "exchange_id": b"short"},
    ],
)
def test_malformed_management_entries_are_refused(facts: dict[str, object]) -> None:
    with pytest.raises(EntryError):
        management_entry(**facts)  # type: ignore[arg-type]


def test_a_management_entry_holds_nothing_of_an_exchange() -> None:
    with pytest.raises(EntryError):
        EntryDraft(kind="management", action="erasure", reason="x", outcome="OK")


def test_time_out_of_range_is_refused() -> None:
    with pytest.raises(EntryError):
        leaf_bytes(FIXED, -1)


def _edited(**changes: object) -> bytes:
    members = json.loads(leaf_bytes(FIXED, AT)) | changes
    return rfc8785.dumps({k: v for k, v in members.items() if v is not None})


BAD_LEAVES = {
    "not JSON": b"hello",
    "not UTF-8": b"\xff",
    "a list": b"[]",
    "deep nesting": b"[" * 2000,
    "spaces": leaf_bytes(FIXED, AT).replace(b",", b", "),
    "another order": b'{"v":1,' + leaf_bytes(FIXED, AT)[1:].replace(b',"v":1', b""),
    "a member twice": leaf_bytes(FIXED, AT).replace(b'"count":2', b'"count":2,"count":2'),
    "an unknown member": _edited(subject="somebody"),
    "a missing member": _edited(outcome=None),
    "another version": _edited(v=2),
    "a version that is a truth": _edited(v=True),
    "a count that is text": _edited(count="2"),
    "a count that is a truth": _edited(count=True),
    "a fraction": _edited(count=2.5),
    "a name that is a number": _edited(asker=5),
    "digits in capitals": _edited(exchange_id="AB" * 16),
    "digits that are none": _edited(exchange_id="zz" * 16),
    "a receipt that is a list": _edited(role="asker", peer_receipt=[], peer_checkpoint=[]),
    "a receipt with more": _edited(
        role="asker",
        peer_receipt={"origin": "a", "index": 1, "x": 1},
        peer_checkpoint={"size": 2, "root": "00" * 32},
    ),
    "an empty optional member": _edited(peer=""),
    "too long": _edited(purpose="x" * 5000),
}


@pytest.mark.parametrize("leaf", BAD_LEAVES.values(), ids=BAD_LEAVES)
def test_other_leaves_are_refused(leaf: bytes) -> None:
    with pytest.raises(EntryError):
        parse_leaf(leaf)
