"""Steady load: local applications that ask their own nodes, and a peer that writes its own messages.

Clients note what they were told in a :class:`Ledger`. They never give up: what fails is asked again, which is
what makes an exchange arrive twice, and old messages are sent again byte for byte, which is an attack.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from creditexchange.v1 import archive_pb2
from gateway.clock import monotonic_s, system_clock
from gateway.errors import GatewayError, PeerFaultError
from gateway.exchange.asking.compose import Composed, compose, compose_again, token_for
from gateway.exchange.asking.verify import verify_answer
from gateway.exchange.messages import QUERY_RECORDS
from gateway.node.assemble import Node, assemble
from gateway.node.lock import find_announced
from gateway.peers.node_ca import tls_name
from gateway.policy.purposes import LEGAL_BASES, PURPOSES
from gateway.rpc.local_clients import ArchiveClient
from tests.chaos.acknowledged import Answered, Ledger, Told
from tests.chaos.federation import SERVING, Federation, Province
from tests.processes.provinces import DEMO_LEARNER, question_to

CALL_S = 4.0
ATTEMPTS_MAX = 4
PAUSE_S = 0.2
"""Between two exchanges of one client: steady, not as fast as it goes."""
REPLAYS_KEPT = 200
BUGS = ("INTERNAL", "UNKNOWN")


class Load:
    """All clients of a run. :meth:`resting` holds them still for the checker."""

    def __init__(self, federation: Federation, ledger: Ledger, seed: int) -> None:
        self._federation = federation
        self._ledger = ledger
        self._over = threading.Event()
        self._rest = threading.Event()
        self._lock = threading.Condition()
        self._busy = 0
        self._identity = assemble(federation.identity.folder, system_clock)
        self._sequences = {node_id: itertools.count(1) for node_id in SERVING}
        self._threads = [
            threading.Thread(
                target=self._ask_through, args=(province,), name=f"application-{node_id}", daemon=True
            )
            for node_id, province in federation.provinces.items()
        ] + [
            threading.Thread(
                target=self._ask_as_peer,
                args=(node_id, random.Random(f"{seed} {node_id}")),
                name=f"peer-{node_id}",
                daemon=True,
            )
            for node_id in SERVING
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._over.set()
        self._rest.clear()
        for thread in self._threads:
            thread.join(60)
        self._identity.close()

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Nothing is under way meanwhile; every client knows what became of what it asked."""
        self._rest.set()
        with self._lock:
            assert self._lock.wait_for(lambda: self._busy == 0, timeout=90), "a call of the load never ends"
        try:
            yield
        finally:
            self._rest.clear()

    @contextmanager
    def _turn(self) -> Iterator[bool]:
        """One exchange; false while the load rests."""
        with self._lock:
            may = not self._rest.is_set()
            self._busy += may
        try:
            yield may
        finally:
            with self._lock:
                self._busy -= may
                self._lock.notify_all()

    def _ask_through(self, province: Province) -> None:
        """A local application: it asks its own node for a learner's records at all other nodes."""
        others = [node_id for node_id in SERVING if node_id != province.node_id]
        request = archive_pb2.SearchRecordsRequest(
            learner_identifier=DEMO_LEARNER,
            purpose=PURPOSES["employment"],  # type: ignore[arg-type]
            legal_basis=LEGAL_BASES["statutory-duty"],  # type: ignore[arg-type]
            peers=others,
            deadline_ms=round(CALL_S * 1000),
        )
        announced, client = None, None
        while not self._over.wait(PAUSE_S):
            with self._turn() as may:
                found = find_announced(province.node.folder) if may else None
                if found is None:
                    continue
                if client is None or found != announced:
                    if client is not None:
                        client.close()
                    announced, client = found, ArchiveClient(found[0].operator, found[1])
                self._search(client, province.node_id, request)
        if client is not None:
            client.close()

    def _search(self, client: ArchiveClient, asker: str, request: archive_pb2.SearchRecordsRequest) -> None:
        try:
            response = client.search(request)
        except GatewayError as error:
            self._ledger.note_unavailable(asker, str(error))
            if "incident" in str(error):
                self._ledger.note_defect(f"a local application of {asker} was told: {error}")
            return
        self._ledger.note_outcomes(result.outcome for result in response.peers)
        for result in response.peers:
            if result.outcome == "OK":
                self._ledger.note_told(
                    Told(
                        asker, result.node_id, result.exchange_id, result.record_count, result.peer_leaf_index
                    )
                )
            elif result.outcome in BUGS:
                self._ledger.note_defect(
                    f"{asker} was told {result.outcome} by {result.node_id}: {result.explanation}"
                )

    def _ask_as_peer(self, target: str, chance: random.Random) -> None:
        """A peer with a stack of its own, which asks one node."""
        peer = PeerClient(self._identity, target, self._ledger, self._over)
        try:
            while not self._over.wait(PAUSE_S):
                with self._turn() as may:
                    if may:
                        peer.exchange(next(self._sequences[target]), chance)
        finally:
            peer.close()


class PeerClient:
    """One connection of the identity to one node."""

    def __init__(self, node: Node, target: str, ledger: Ledger, over: threading.Event) -> None:
        self._node = node
        self._over = over
        self._peer = node.snapshot.roster.peers[target]
        self._ledger = ledger
        self._old: list[Composed] = []
        self._question = question_to(self._peer, CALL_S)
        self._token = token_for(self._question, node.snapshot)
        leaf, _ = node.tls
        self._channel = grpc.secure_channel(
            self._peer.card.endpoints[0],
            grpc.ssl_channel_credentials(self._peer.card.ca_pem, leaf.key, leaf.certificate),
            options=[
                ("grpc.ssl_target_name_override", tls_name(target)),
                ("grpc.enable_retries", 0),
                ("grpc.use_local_subchannel_pool", 1),
                ("grpc.min_reconnect_backoff_ms", 100),
                ("grpc.max_reconnect_backoff_ms", 500),
                ("grpc.enable_http_proxy", 0),
            ],
        )
        self._call: grpc.UnaryUnaryMultiCallable = self._channel.unary_unary(QUERY_RECORDS)

    def close(self) -> None:
        self._channel.close()

    def exchange(self, sequence: int, chance: random.Random) -> None:
        """One exchange until it was answered or was tried often enough; now and then an old message again."""
        composed = compose(
            self._question,
            self._peer,
            self._token,
            sequence,
            self._node.snapshot,
            checkpoint="",
            now=system_clock(),
        )
        for attempt in range(ATTEMPTS_MAX):
            self._over.wait(PAUSE_S * attempt)
            is_answered = self._send(composed)
            self._old = [*self._old[-REPLAYS_KEPT:], composed]
            if is_answered and chance.random() > 0.05:  # now and then one that needs no retry is retried
                break
            composed = compose_again(
                composed, self._peer, sequence, self._node.snapshot, checkpoint="", now=system_clock()
            )
        if chance.random() < 0.15:
            self._send(chance.choice(self._old))

    def _send(self, composed: Composed) -> bool:
        self._ledger.note_sent(composed.header.exchange_id)
        try:
            response = self._call(composed.request, timeout=CALL_S)
        except grpc.RpcError as error:
            self._note_failure(error)
            return False
        try:
            verify_answer(composed, response, self._node.snapshot, system_clock())
        except PeerFaultError as fault:
            self._ledger.note_outcomes([fault.outcome])
            if fault.outcome != "ANSWER_STALE":  # that is what an answer by a wrong clock is
                self._ledger.note_defect(f"{self._peer.node_id} gave an answer that is none: {fault}")
            return False
        self._ledger.note_outcomes(["OK"])
        self._ledger.note_answered(
            Answered(
                self._node.snapshot.node_id,
                self._peer.node_id,
                composed.header.exchange_id,
                composed.header.message_id,
                composed.message.SerializeToString(),
                response,
            )
        )
        return True

    def _note_failure(self, error: grpc.RpcError) -> None:
        reason = _reason_of(error)
        self._ledger.note_outcomes([reason or error.code().name])
        if reason in BUGS:
            self._ledger.note_defect(f"{self._peer.node_id} answered {reason}: {error.details()}")


def _reason_of(error: grpc.RpcError) -> str:
    """The stable reason that a node states; empty when the status is not a node's."""
    status = rpc_status.from_call(error)
    info = error_details_pb2.ErrorInfo()
    for detail in status.details if status is not None else ():
        if detail.Is(info.DESCRIPTOR):
            detail.Unpack(info)
    return str(info.reason)


def wait_for_everybody(ledger: Ledger, before: dict[tuple[str, str, str], int], over_s: float) -> list[str]:
    """Wait until every client got an answer from every node it asks; return who did not, in words.

    ``before`` are the counts at a moment when nothing went wrong any more.
    """
    wanted = [("application", a, b) for a in SERVING for b in SERVING if a != b]
    wanted += [("peer", "anhui", node_id) for node_id in SERVING]
    pause = threading.Event()
    while True:
        now = ledger.count()
        missing = [key for key in wanted if now.get(key, 0) <= before.get(key, 0)]
        if not missing or monotonic_s() > over_s:
            return [
                f"{kind} of {asker} gets nothing from {answerer}; last words: {ledger.last_words.get(asker)}"
                for kind, asker, answerer in missing
            ]
        pause.wait(0.05)
