"""Ask all chosen peers at once; one that is slow or dead delays no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

from gateway.exchange.asking.question import PeerResult, Progress

PEERS_AT_ONCE_MAX = 64

Tell = Callable[[Progress], None]
"""Takes note of where asking a peer stands; called from any thread."""


def dispatch(asks: Sequence[Callable[[Tell], PeerResult]]) -> Iterator[Progress | PeerResult]:
    """Run ``asks``, one a peer, and yield what each tells and its result, as it comes."""
    news: SimpleQueue[Progress | Future[PeerResult]] = SimpleQueue()
    with ThreadPoolExecutor(min(len(asks), PEERS_AT_ONCE_MAX) or 1, "asking") as pool:
        for one in asks:
            pool.submit(one, news.put).add_done_callback(news.put)
        pending = len(asks)
        while pending:
            item = news.get()
            if isinstance(item, Future):
                pending -= 1
                yield item.result()
            else:
                yield item
