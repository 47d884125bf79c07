"""A call that failed must not outlive its answer.

gRPC counts a call against ``max_concurrent_streams`` of its connection until the object that stands for it
is gone, not until its answer is (seen with grpcio 1.85: ``tests/rpc/test_let_go.py``). An error holds its
traceback, that the frames of the handler, and one of those the call. If a frame holds the error too, that
is a circle which only the collector of garbage undoes; a serving node lets that look seldom
(``gateway/node/garbage.py``). Until then gRPC refuses every further call of that connection with
``REFUSED_STREAM``: at once, and without asking us.
"""

from __future__ import annotations


def let_go(error: BaseException) -> None:
    """Take the tracebacks off ``error`` and off all that led to it, so that no frame is held by them.

    For whoever has turned it into an answer: it tells what went wrong still, but not where.
    """
    left: list[BaseException | None] = [error]
    known = set()
    while left:
        one = left.pop()
        if one is not None and id(one) not in known:
            known.add(id(one))
            one.__traceback__ = None
            left += [one.__cause__, one.__context__]
