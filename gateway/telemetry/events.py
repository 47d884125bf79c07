"""Log lines: one JSON object a line on standard error, with nothing about a learner in it."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from io import TextIOBase
from typing import Any, TextIO, cast

import structlog

from gateway.telemetry import tracing

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

_worker: int | None = None


def configure(level: str) -> None:
    """Send events of at least ``level`` to standard error as JSON lines, and what libraries warn of."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _with_origin,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, _StandardError())),
        cache_logger_on_first_use=True,
    )
    logging.getLogger().handlers = [_OfLibraries(logging.WARNING)]


class _StandardError(TextIOBase):
    """What ``sys.stderr`` is when a line is written: loggers are kept for longer than a stream may live."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


class _OfLibraries(logging.Handler):
    """What libraries tell the standard library's logging, as events of ours.

    Neither a traceback nor the values in a message: a line is a line, and nobody knows what is in them.
    """

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        logger("library").warning(str(record.msg), library=record.name, error=error)


def name_worker(number: int) -> None:
    """Put the number of this process among a node's workers into each of its lines from now on."""
    global _worker  # noqa: PLW0603 - one process is one worker
    _worker = number


def logger(part: str) -> Any:
    """Return the logger of one part of the program, for example ``answering``."""
    return structlog.get_logger(part=part)


def _with_origin(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add which worker writes the line, and the id of the trace that it belongs to, if there are such."""
    if _worker is not None:
        event.setdefault("worker", _worker)
    trace = tracing.trace_id()
    if trace is not None:
        event["trace"] = trace
    return event
