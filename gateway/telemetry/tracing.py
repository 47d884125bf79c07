"""Spans by OpenTelemetry, from the asking node to the answering node, its steps and its commits.

Optional (extra ``tracing``) and off by default: then every function here returns at once. A trace's
context travels as W3C ``traceparent`` in the metadata of a call. It is not signed, and whoever calls
may send anything: only the exact form of version 00 is read, and it decides nothing but which spans
belong together. Whether a trace is kept follows from its id and this node's own ratio, never from
the caller's flag.

The present span is kept by thread. A thread that works for several calls by turns says for which one
(:func:`go_on_with`). Nothing about a learner is ever an attribute.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from gateway.errors import ConfigError

HEADER = "traceparent"
_FORM = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-0[0-9a-f]", re.ASCII)
EXPORT_TIMEOUT_S = 5
QUEUE_SPANS_MAX = 2_048
"""Spans that wait for export; more are dropped, and nothing else is held up."""


@dataclass(slots=True)
class Place:
    """What is being done: a span, and the notes within its present step."""

    span: Any
    notes: list[tuple[str, float, dict[str, Any]]] = field(default_factory=list)


class _Here(threading.local):
    """What this thread is doing; ``None`` when nobody follows it."""

    place: Place | None = None


_here = _Here()
_tracer: Any = None


def start(endpoint: str, sample_ratio: float, node_id: str) -> Callable[[], None]:
    """Begin to send spans to ``endpoint`` (OTLP over gRPC); return what sends the last ones and ends it.

    Raises:
        ConfigError: the extra ``tracing`` is not installed.
    """
    global _tracer  # noqa: PLW0603 - one exporter a process
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
    except ImportError as error:
        raise ConfigError(
            "telemetry.otlp_endpoint: OpenTelemetry is not installed.",
            remedy="Install it: pip install 'credit-exchange-gateway[tracing]', or empty that key.",
        ) from error
    resource = Resource.create({"service.name": "credit-gateway", "service.instance.id": node_id})
    provider = TracerProvider(TraceIdRatioBased(sample_ratio), resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint, insecure=endpoint.startswith("http://"), timeout=EXPORT_TIMEOUT_S)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=QUEUE_SPANS_MAX))
    _tracer = provider.get_tracer("gateway")

    def stop() -> None:
        global _tracer  # noqa: PLW0603
        _tracer = None
        provider.shutdown()

    return stop


def trace_id() -> str | None:
    """Return the id of the trace that this thread works for, 32 hexadecimal digits, if there is one."""
    place = _here.place
    return None if place is None else f"{place.span.get_span_context().trace_id:032x}"


def outgoing() -> tuple[tuple[str, str], ...]:
    """Return the metadata by which the called node continues this thread's trace."""
    place = _here.place
    if place is None:
        return ()
    context = place.span.get_span_context()
    kept = int(context.trace_flags.sampled)
    return ((HEADER, f"00-{context.trace_id:032x}-{context.span_id:016x}-{kept:02x}"),)


def present() -> Place | None:
    """Return what this thread is doing, to go on with it elsewhere."""
    return _here.place


def go_on_with(place: Place | None) -> None:
    """Do from now on, on this thread, what ``place`` names: its steps lie in its span."""
    _here.place = place


def begin(name: str, **attributes: str | int) -> Any:
    """Return a span that encloses the work of several threads; hand it to :func:`client` and :func:`end`."""
    return None if _tracer is None else _tracer.start_span(name, attributes=attributes)


def end(span: Any) -> None:
    """End a span of :func:`begin`."""
    if span is not None:
        span.end()


@contextmanager
def client(name: str, parent: Any, **attributes: str | int) -> Iterator[Any]:
    """Enclose one call to a peer."""
    if _tracer is None:
        yield None
        return
    from opentelemetry.trace import SpanKind

    with _entered(_tracer.start_span(name, _under(parent), SpanKind.CLIENT, attributes)) as span:
        yield span


@contextmanager
def server(name: str, metadata: Sequence[tuple[str, str | bytes]], **attributes: str | int) -> Iterator[None]:
    """Enclose the answer to one call, as part of the trace that its metadata names, if it is well-formed."""
    if _tracer is None:
        yield
        return
    from opentelemetry.trace import SpanKind

    with _entered(_tracer.start_span(name, _remote(metadata), SpanKind.SERVER, attributes)):
        yield


def step(name: str, seconds: float) -> None:
    """Note a step that has just ended after ``seconds``; what was noted meanwhile lies inside it."""
    place = _here.place
    if place is None:
        return
    now_ns = time.time_ns()
    span = _tracer_or_none(name, place.span, now_ns - round(seconds * 1e9))
    notes, place.notes = place.notes, []
    if span is None:
        return
    for inner, inner_seconds, attributes in notes:
        ended_ns = attributes.pop("ended_ns")
        child = _tracer_or_none(inner, span, ended_ns - round(inner_seconds * 1e9))
        child.set_attributes(attributes)
        child.end(ended_ns)
    span.end(now_ns)


def note(name: str, seconds: float, **attributes: str | int) -> None:
    """Note something that this thread has just done within its present step, and how long it took."""
    if _here.place is not None:
        _here.place.notes.append((name, seconds, {**attributes, "ended_ns": time.time_ns()}))


def outcome(word: str) -> None:
    """State how the present call ended."""
    if _here.place is not None:
        _here.place.span.set_attribute("credit_gateway.outcome", word)


def _tracer_or_none(name: str, parent: Any, started_ns: int) -> Any:
    return None if _tracer is None else _tracer.start_span(name, _under(parent), start_time=started_ns)


@contextmanager
def _entered(span: Any) -> Iterator[Any]:
    before = _here.place
    _here.place = Place(span)
    try:
        yield span
    finally:
        _here.place = before
        span.end()


def _under(parent: Any) -> Any:
    if parent is None:
        return None
    from opentelemetry.trace import set_span_in_context

    return set_span_in_context(parent)


def _remote(metadata: Sequence[tuple[str, str | bytes]]) -> Any:
    """Return the context that exactly one well-formed ``traceparent`` names."""
    values = [value for key, value in metadata if key == HEADER]
    match = _FORM.fullmatch(values[0]) if len(values) == 1 and isinstance(values[0], str) else None
    if match is None:
        return None
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

    context = SpanContext(int(match[1], 16), int(match[2], 16), is_remote=True, trace_flags=TraceFlags(0))
    return _under(NonRecordingSpan(context))
