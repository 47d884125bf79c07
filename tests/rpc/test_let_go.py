"""Calls that fail are answered, however many: none lives on in garbage, where gRPC would count it for ever.

The collector of garbage is off here, as it nearly is in a serving node (``gateway/node/garbage.py``).
"""

from __future__ import annotations

import gc
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from creditexchange.v1 import archive_pb2
from gateway.clock import system_clock
from gateway.errors import GatewayError, PeerFaultError
from gateway.exchange.messages import QUERY_RECORDS
from gateway.policy.purposes import LEGAL_BASES, PURPOSES
from gateway.rpc.archive import ArchiveServicer
from gateway.rpc.let_go import let_go
from gateway.rpc.local_calls import LocalCalls
from gateway.rpc.local_clients import ArchiveClient
from gateway.rpc.server import ARCHIVE_SERVICE, Health, ServerLimits, operator_server
from tests.federation.real_wire import real_wire
from tests.federation.simulator import ASKED_KINDS, LEARNER, Federation, SimulatedNode, draft, make_federation
from tests.ports import free_port

CALLS = 2 * ServerLimits().streams_per_connection_max
"""More than either port admits at once on one connection."""
ASKED = archive_pb2.SearchRecordsRequest(
    learner_identifier=LEARNER,
    purpose=PURPOSES["employment"],  # type: ignore[arg-type]
    legal_basis=LEGAL_BASES["statutory-duty"],  # type: ignore[arg-type]
    kinds=ASKED_KINDS,  # type: ignore[arg-type]
    peers=["shanghai"],
)


@pytest.fixture
def federation(tmp_path: Path) -> Iterator[Federation]:
    made = make_federation(tmp_path, "zhejiang", "shanghai", born=system_clock())
    made["shanghai"].put(LEARNER, "calculus")
    gc.collect()
    gc.disable()
    yield made
    gc.enable()
    for node in made.nodes.values():
        node.log.close()
        node.log._database.dispose()


@pytest.fixture
def client(federation: Federation) -> Iterator[ArchiveClient]:
    """One connection to the operator port of Zhejiang."""
    zhejiang, calls = federation["zhejiang"], LocalCalls("token")
    exports: Any = None
    servicer = ArchiveServicer(lambda: zhejiang.snapshot, lambda: zhejiang.asking, calls, exports)
    server, port = operator_server({ARCHIVE_SERVICE: servicer.rpcs()}, f"127.0.0.1:{free_port()}", Health())
    server.start()
    made = ArchiveClient(f"127.0.0.1:{port}", "token")
    yield made
    made.close()
    server.stop(None).wait()


def spoil(node: SimulatedNode, *, is_spoilt: bool = True) -> None:
    """Take a table away that the log needs, or put it back."""
    names = ("audit_tree", "gone") if is_spoilt else ("gone", "audit_tree")
    with closing(sqlite3.connect(node.database)) as database:
        database.execute("ALTER TABLE {} RENAME TO {}".format(*names))


def searched(client: ArchiveClient) -> str:
    try:
        return ",".join(result.outcome for result in client.search(ASKED).peers)
    except GatewayError as error:
        return str(error)


def followed(client: ArchiveClient) -> str:
    try:
        return ",".join(result.outcome for event in client.follow(ASKED) for result in event.archive.peers)
    except GatewayError as error:
        return str(error)


@pytest.mark.parametrize("ask", [searched, followed])
def test_every_local_call_is_told_why_while_the_log_fails_and_answered_afterwards(
    federation: Federation, client: ArchiveClient, ask: Any
) -> None:
    zhejiang = federation["zhejiang"]
    assert ask(client) == "OK"
    spoil(zhejiang)
    told = Counter(ask(client) for _ in range(CALLS))
    assert told == {"the node did not do it: the exchange could not be logged durably.": CALLS}
    spoil(zhejiang, is_spoilt=False)
    assert ask(client) == "OK"


def test_every_call_of_a_peer_is_told_why_while_the_log_fails_and_answered_afterwards(
    federation: Federation,
) -> None:
    zhejiang, shanghai = federation["zhejiang"], federation["shanghai"]
    with real_wire(zhejiang, shanghai, free_port()) as wire:

        def outcome() -> str:
            request = draft("zhejiang", "shanghai", shanghai.clock()).signed(zhejiang.province)
            try:
                wire.asking.caller.call(wire.peer, QUERY_RECORDS, request, 5.0)
            except PeerFaultError as fault:
                return fault.outcome
            return "OK"

        assert outcome() == "OK"
        spoil(shanghai)
        assert Counter(outcome() for _ in range(CALLS)) == {"AUDIT_UNAVAILABLE": CALLS}
        spoil(shanghai, is_spoilt=False)
        assert outcome() == "OK"


def test_an_error_lets_go_of_every_frame_that_it_went_through() -> None:
    class Held:
        pass

    def fail() -> None:
        try:
            raise KeyError
        except KeyError as error:
            kept = error
            raise ValueError from kept

    def handle() -> Exception:
        call = Held()
        assert call
        try:
            fail()
        except ValueError as error:
            let_go(error)
            return error
        raise AssertionError

    gc.collect()
    gc.disable()
    error = handle()
    left = [thing for thing in gc.get_objects() if isinstance(thing, Held)]
    gc.enable()
    assert left == []
    assert isinstance(error.__cause__, KeyError)
