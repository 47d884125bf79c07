"""Messages that are all structure: what they cost must be bounded by their size."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from creditexchange.v1.envelope_pb2 import SignedMessage
from gateway.errors import RefusedError
from gateway.exchange.answering.answer import answer_query
from gateway.exchange.messages import RECORD_QUERY_TYPE
from gateway.signing.envelope import seal
from tests.federation.simulator import Federation, incoming, make_federation

MESSAGE_BYTES = 256 * 1024 - 64
MEMORY_MIB_MAX = 64
CPU_S_MAX = 3


@pytest.fixture
def federation(tmp_path: Path) -> Iterator[Federation]:
    made = make_federation(tmp_path, "zhejiang", "shanghai")
    yield made
    for node in made.nodes.values():
        node.log.close()
        node.log._database.dispose()


def nested(depth: int, field: int = 15) -> bytes:
    """Groups in groups: one byte opens each, one closes it."""
    return bytes([field << 3 | 3]) * depth + bytes([field << 3 | 4]) * depth


def request(payload: bytes, openings: bytes, federation: Federation) -> bytes:
    message = seal(payload, RECORD_QUERY_TYPE, [federation["zhejiang"].province.message_key])
    content = message.SerializeToString()
    length = len(content)
    varint = (
        bytes([length & 127 | 128, length >> 7 & 127 | 128, length >> 14])
        if length > 127
        else bytes([length])
    )
    return b"\x0a" + varint + content + openings


SHAPES = {
    "empty openings": lambda: (b"\x0a\x00", b"\x12\x00" * (MESSAGE_BYTES // 2 - 200)),
    "nested groups beside": lambda: (b"\x0a\x00", nested(MESSAGE_BYTES // 2 - 200)),
    "nested groups inside": lambda: (nested(MESSAGE_BYTES // 2 - 200), b""),
    "empty headers": lambda: (b"\x0a\x00" * (MESSAGE_BYTES // 2 - 200), b""),
    "bad UTF-8": lambda: (b"\x0a\x06\x2a\x04\xff\xfe\xfd\xfc", b""),
    "a length beyond the end": lambda: (b"\x0a\xff\xff\xff\xff\x07", b""),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_message_that_is_all_structure_costs_little(federation: Federation, shape: str) -> None:
    shanghai = federation["shanghai"]
    payload, openings = SHAPES[shape]()
    sent = request(payload, openings, federation)
    assert len(sent) <= 256 * 1024
    tracemalloc.start()
    began = time.process_time()
    try:
        with pytest.raises(RefusedError) as refused:
            answer_query(sent, incoming(shanghai, "zhejiang"), shanghai.snapshot, shanghai.answering)
        elapsed, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refused.value.reason == "MALFORMED_MESSAGE"
    assert elapsed < CPU_S_MAX
    assert peak < MEMORY_MIB_MAX << 20
    assert "creditexchange" not in str(refused.value)


def test_a_plain_message_of_that_size_is_parsed(federation: Federation) -> None:
    """The measure is of structure, not of size."""
    message = SignedMessage(payload=b"x" * 200_000, payload_type=RECORD_QUERY_TYPE)
    assert SignedMessage.FromString(message.SerializeToString()) == message
