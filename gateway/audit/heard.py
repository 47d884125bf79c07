"""Heads that peers showed in their messages, until the witness has looked at them.

Hearing one costs the exchange a dictionary access. A peer that shows more heads than are kept gets
some of them dropped by chance, so that it cannot arrange for a certain one to be overlooked.
"""

from __future__ import annotations

import random
from threading import Lock

HEADS_PER_PEER_MAX = 16


class HeardHeads:
    """What was heard since the last :meth:`take`; shared by all threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._heads: dict[str, dict[str, None]] = {}

    def hear(self, node_id: str, note: str) -> None:
        """Remember that ``node_id`` showed ``note`` as its own newest checkpoint."""
        if not note:
            return
        with self._lock:
            heads = self._heads.setdefault(node_id, {})
            if note not in heads and len(heads) >= HEADS_PER_PEER_MAX:
                del heads[random.choice(list(heads))]  # noqa: S311 - nothing secret
            heads[note] = None

    def take(self) -> dict[str, list[str]]:
        """Return the heads by node id, and forget them."""
        with self._lock:
            taken, self._heads = self._heads, {}
        return {node_id: list(heads) for node_id, heads in taken.items()}
