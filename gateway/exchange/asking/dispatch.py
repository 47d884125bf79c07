"""Ask all chosen peers at once, each with its own deadline; one dead peer delays no other answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from gateway.clock import monotonic_s
from gateway.errors import PeerFaultError
from gateway.exchange.asking.compose import Composed
from gateway.peers.caller import PeerCaller

PEERS_AT_ONCE_MAX = 64


@dataclass(frozen=True, slots=True)
class Dispatched:
    """What came back for one query: response bytes, or the fault in their place."""

    composed: Composed
    response: bytes | None
    fault: PeerFaultError | None
    elapsed_s: float


def dispatch(
    queries: Sequence[Composed], caller: PeerCaller, deadline_s: float, run: Callable[[], ThreadPoolExecutor]
) -> Iterator[Dispatched]:
    """Yield each peer's outcome as it comes."""
    with run() as pool:
        futures = [pool.submit(_ask_one, query, caller, deadline_s) for query in queries]
        for future in as_completed(futures):
            yield future.result()


def _ask_one(query: Composed, caller: PeerCaller, deadline_s: float) -> Dispatched:
    started_s = monotonic_s()
    try:
        response = caller.call(query.peer, query.method, query.request, deadline_s)
    except PeerFaultError as fault:
        return Dispatched(query, None, fault, monotonic_s() - started_s)
    return Dispatched(query, response, None, monotonic_s() - started_s)
