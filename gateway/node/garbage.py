"""How often a process that works hard looks for cycles of garbage."""

from __future__ import annotations

import gc

YOUNG_MAX = 20_000
"""New containers before the youngest are looked at; Python's own default is 700: once an exchange."""


def collect_seldom() -> None:
    """Set apart what was loaded at the start, and look for cycles less often.

    An exchange, or a batch of rows that is imported, makes thousands of short-lived objects and no cycles;
    reference counts free them. What the program itself consists of never becomes garbage, and going through
    it again and again was three parts in a hundred of an exchange, and a tenth of an import. Only errors
    make cycles: ``gateway/rpc/let_go.py``.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_MAX, 20, 20)


def collect_now() -> None:
    """Look for what :func:`collect_seldom` may not have looked at for long: a millisecond, once a minute.

    Where little is allocated nothing would ever be looked at, and what is garbage may hold calls, files
    and connections.
    """
    gc.collect()
