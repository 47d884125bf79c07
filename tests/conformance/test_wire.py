"""The kit's own reading of docs/protocol.md and the node's agree on every byte, for any input."""

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from creditexchange.v1.envelope_pb2 import Header, Opening
from gateway.audit import EntryDraft, leaf_bytes
from gateway.audit.commitment import commitment, commitments_root
from gateway.audit.entry import LOGGED_AT_MS_MAX
from gateway.conformance import wire
from gateway.policy.purposes import purpose_word
from gateway.signing.dsse import pre_authentication_encoding

OPENINGS = st.lists(
    st.builds(
        Opening,
        item_type=st.sampled_from(["subject-token", "record", "consent", "certificate"]),
        key=st.binary(min_size=32, max_size=32),
        item=st.binary(max_size=64),
    ),
    max_size=20,
)
REASONS = st.sampled_from(["OK", "UNKNOWN_EPOCH", "PURPOSE_NOT_GRANTED"])


@given(st.text(max_size=80), st.binary(max_size=300))
def test_signed_bytes(type_: str, payload: bytes) -> None:
    assert wire.signed_bytes(type_, payload) == pre_authentication_encoding(type_, payload)


@given(OPENINGS)
def test_commitments(openings: list[Opening]) -> None:
    assert [wire.commitment(o) for o in openings] == [commitment(o) for o in openings]
    assert wire.commitments_root(openings) == commitments_root(openings)


@given(
    exchange_id=st.binary(min_size=16, max_size=16),
    sequence=st.integers(1, 2**53 - 1),
    purpose=st.integers(0, 40),
    outcome=REASONS,
    count=st.integers(0, 1000),
    logged_at_ms=st.integers(0, LOGGED_AT_MS_MAX),
    body=st.binary(max_size=50),
)
def test_leaf(exchange_id, sequence, purpose, outcome, count, logged_at_ms, body) -> None:
    header = Header(exchange_id=exchange_id, pair_sequence=sequence, sender="zhejiang")
    made = wire.leaf_of_exchange(
        header,
        answerer="shanghai",
        method="/creditexchange.v1.RecordExchangeService/QueryRecords",
        purpose=purpose,
        request_digest=bytes(32),
        answer_body=body,
        outcome=outcome,
        count=count if outcome == "OK" else 0,
        logged_at_ms=logged_at_ms,
    )
    draft = EntryDraft(
        kind="exchange",
        role="answerer",
        asker="zhejiang",
        answerer="shanghai",
        exchange_id=exchange_id,
        peer_seq=sequence,
        method="/creditexchange.v1.RecordExchangeService/QueryRecords",
        purpose=purpose_word(purpose),
        outcome=outcome,
        count=count if outcome == "OK" else 0,
        request_digest=bytes(32),
        answer_digest=sha256(body).digest(),
    )
    assert made == leaf_bytes(draft, logged_at_ms)
