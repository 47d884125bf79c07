"""Below gRPC: floods, resets, bombs and dawdling by an accepted peer. Others must not notice."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import pytest
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
)

from gateway.exchange.messages import GET_CHECKPOINT, QUERY_RECORDS
from tests.attacks.conftest import Target

GROWTH_MIB_MAX = 64
STREAMS_MAX = 64
RESETS = 3_000
HANDSHAKE_S_MAX = 5
CANCEL = 8


@pytest.fixture
def bystander(target: Target) -> grpc.Channel:
    channel = target.anhui.channel_to(target.shanghai)
    target.ask_as_bystander(channel)
    return channel


@contextmanager
def others_are_served(target: Target, channel: grpc.Channel) -> Iterator[None]:
    """During what happens inside, and after it, every call of the bystander is answered; memory stays bounded."""
    before, failures, count = target.forget_peak(), [], [0]
    done = threading.Event()

    def ask() -> None:
        while not done.wait(0.05):
            count[0] += 1
            try:
                target.ask_as_bystander(channel)
            except grpc.RpcError as error:
                failures.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
    finally:
        done.set()
        asking.join()
    target.ask_as_bystander(channel)
    assert not failures
    assert count[0] > 0
    assert target.memory_mib("VmHWM") - before < GROWTH_MIB_MAX


def test_streams_that_are_reset_at_once_cost_others_nothing(target: Target, bystander: grpc.Channel) -> None:
    """Rapid reset, CVE-2023-44487: each stream is free again for the attacker before its work has begun."""
    with others_are_served(target, bystander):
        sent = 0
        for _ in range(20):
            with target.attacker() as attacker:
                for stream in range(1, 2 * RESETS // 20, 2):
                    attacker.send(
                        attacker.headers(stream, GET_CHECKPOINT), RstStreamFrame(stream, error_code=CANCEL)
                    )
                    sent += 1
                attacker.read(0.05)
    assert sent == RESETS


def test_a_connection_has_64_streams_and_no_more(target: Target, bystander: grpc.Channel) -> None:
    with others_are_served(target, bystander), target.attacker() as attacker:
        assert attacker.settings[SettingsFrame.MAX_CONCURRENT_STREAMS] == STREAMS_MAX
        for stream in range(1, 2 * 300, 2):  # none of them ends
            attacker.send(attacker.headers(stream, QUERY_RECORDS))
        attacker.read(2)
        refused = sum(answer.reset is not None for answer in attacker.answers.values())
        assert refused >= 300 - STREAMS_MAX - 1 or attacker.goaway is not None or attacker.is_closed


def test_headers_that_never_end_end_the_connection(target: Target, bystander: grpc.Channel) -> None:
    """CONTINUATION flood, CVE-2024-27316 and its like."""
    with others_are_served(target, bystander), target.attacker() as attacker:
        attacker.send(attacker.headers(1, GET_CHECKPOINT, flags=()))
        literal = b"\x00\x01x\x7f\x80\x7c" + b"y" * (16_000 - 6)  # a header of 16,000 bytes, not indexed
        for _ in range(4_000):
            attacker.send(ContinuationFrame(1, data=literal))
            if attacker.is_closed:
                break
        attacker.read(5, until=1)
        answer = attacker.answers.get(1)
        refused = answer is not None and (
            answer.reset is not None or answer.headers.get("grpc-status") != "0"
        )
        assert attacker.is_closed or attacker.goaway is not None or refused


def test_a_header_that_unfolds_is_refused(target: Target, bystander: grpc.Channel) -> None:
    """HPACK bomb: 3 KB in the dynamic table, named ten thousand times by one byte each."""
    with others_are_served(target, bystander), target.attacker() as attacker:
        first = attacker.headers(1, GET_CHECKPOINT, flags=())
        literal = b"\x40\x01x\x7f\xb9\x16" + b"y" * 3_000  # with incremental indexing: index 62
        block = bytes(first.data) + literal + b"\xbe" * 10_000
        attacker.send(HeadersFrame(1, data=block, flags=["END_HEADERS"]), DataFrame(1, flags=["END_STREAM"]))
        attacker.read(5, until=1)
        answer = attacker.answers.get(1)
        assert attacker.is_closed or attacker.goaway is not None or answer is not None
        assert answer is None or answer.headers.get("grpc-status") != "0"


def test_a_message_that_unpacks_to_200_mib_is_refused_unpacked(
    target: Target, bystander: grpc.Channel
) -> None:
    bomb = gzip.compress(bytes(200 << 20), 9)
    assert len(bomb) < 256 * 1024
    with others_are_served(target, bystander), target.attacker() as attacker:
        attacker.begin(1, QUERY_RECORDS, bomb, ("grpc-encoding", "gzip"), flag=1)
        attacker.read(20, until=1)
        assert attacker.is_closed or attacker.answers[1].headers["grpc-status"] not in ("0", "14")


def test_a_length_of_four_gigabytes_is_not_believed(target: Target, bystander: grpc.Channel) -> None:
    with others_are_served(target, bystander), target.attacker() as attacker:
        attacker.send(
            attacker.headers(1, QUERY_RECORDS), DataFrame(1, data=b"\x00\xff\xff\xff\xff" + bytes(1_000))
        )
        attacker.read(10, until=1)
        assert attacker.answers[1].headers["grpc-status"] == str(grpc.StatusCode.RESOURCE_EXHAUSTED.value[0])


@pytest.mark.parametrize("frame", [PingFrame(0, opaque_data=b"flooding"), SettingsFrame(0, settings={})])
def test_frames_that_demand_an_answer_do_not_pile_up(
    target: Target, bystander: grpc.Channel, frame: PingFrame | SettingsFrame
) -> None:
    """CVE-2019-9512 and CVE-2019-9515; the attacker reads none of the answers."""
    with others_are_served(target, bystander), target.attacker() as attacker:
        attacker.tls.settimeout(2)  # a server that stops reading is as good as one that closes
        for _ in range(300):
            attacker.send(*[frame] * 50)


def test_answers_that_nobody_takes_hold_no_place_for_others(target: Target, bystander: grpc.Channel) -> None:
    """A window of nothing: each answer waits in the node until its deadline."""
    with (
        others_are_served(target, bystander),
        target.attacker({SettingsFrame.INITIAL_WINDOW_SIZE: 0}) as attacker,
    ):
        for stream in range(1, 2 * STREAMS_MAX, 2):
            attacker.begin(stream, GET_CHECKPOINT, b"", ("grpc-timeout", "2S"))
        attacker.read(3)


def test_half_a_handshake_is_cut_off(target: Target, bystander: grpc.Channel) -> None:
    """Slowloris: sockets that say nothing, or begin a handshake and stop."""
    before = target.connections()
    host, port = target.shanghai.config.listen.peers.rsplit(":", 1)
    beginning = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    with others_are_served(target, bystander):
        idle = [socket.create_connection((host, int(port)), timeout=20) for _ in range(100)]
        for number, each in enumerate(idle):
            if number % 2:
                each.sendall(beginning)
        for each in idle:
            each.settimeout(4 * HANDSHAKE_S_MAX)
            assert each.recv(1_000) in (b"", b"\x15\x03\x01\x00\x02\x02\x32") or each.recv(1_000) == b""
            each.close()
    assert target.connections() <= before
