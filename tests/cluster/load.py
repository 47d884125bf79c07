"""Asks one peer again and again over many connections, and says what became of each exchange.

    python -m tests.cluster.load FOLDER PEER SECONDS CONNECTIONS

One JSON line an exchange on standard output. Each answer is verified as the asking side does. SIGTERM ends
it early, after the exchanges that are under way.
"""

from __future__ import annotations

import itertools
import json
import signal
import sys
import threading
import time
from pathlib import Path

import grpc

from gateway.clock import system_clock
from gateway.exchange.asking.compose import compose, token_for
from gateway.exchange.asking.verify import verify_answer
from gateway.exchange.messages import QUERY_RECORDS
from gateway.node.assemble import Node, assemble
from gateway.node.folder import NodeFolder
from gateway.peers.node_ca import tls_name
from tests.processes.provinces import question_to

CALL_S = 15.0


def channel_to(node: Node, peer_id: str) -> grpc.Channel:
    """A connection of its own, as another process would have."""
    peer = node.snapshot.roster.peers[peer_id]
    leaf, _ = node.tls
    return grpc.secure_channel(
        peer.card.endpoints[0],
        grpc.ssl_channel_credentials(peer.card.ca_pem, leaf.key, leaf.certificate),
        options=[
            ("grpc.ssl_target_name_override", tls_name(peer_id)),
            ("grpc.enable_retries", 0),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.max_reconnect_backoff_ms", 1000),
            ("grpc.enable_http_proxy", 0),
        ],
    )


def main() -> None:
    folder, peer_id, seconds, connections = sys.argv[1:]
    node = assemble(NodeFolder(Path(folder)), system_clock)
    peer = node.snapshot.roster.peers[peer_id]
    question = question_to(peer)
    token = token_for(question, node.snapshot)
    numbers = itertools.count(int(time.time()) * 1000)
    output = threading.Lock()
    end, over = time.time() + float(seconds), threading.Event()
    signal.signal(signal.SIGTERM, lambda _signal, _frame: over.set())

    def ask(call: grpc.UnaryUnaryMultiCallable, connection: int) -> None:
        now = system_clock()
        request = compose(question, peer, token, next(numbers), node.snapshot, checkpoint="", now=now)
        told: dict[str, object] = {"connection": connection, "began": time.time()}
        try:
            answer = call(request.request, timeout=CALL_S, wait_for_ready=True)
            receipt = verify_answer(request, answer, node.snapshot, system_clock()).receipt
            told |= {"outcome": "OK", "index": receipt.leaf_index, "checkpoint": receipt.checkpoint}
        except grpc.RpcError as error:
            told |= {"outcome": error.code().name, "why": error.details()}
        told |= {"ended": time.time(), "exchange": request.header.exchange_id.hex()}
        with output:
            sys.stdout.write(json.dumps(told) + "\n")
            sys.stdout.flush()

    def work(connection: int) -> None:
        with channel_to(node, peer_id) as channel:
            call = channel.unary_unary(QUERY_RECORDS)
            while time.time() < end and not over.is_set():
                ask(call, connection)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(int(connections))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    node.close()


if __name__ == "__main__":
    main()
