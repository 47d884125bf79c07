"""A receiver of OTLP over gRPC, as a collector is one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from tests.ports import free_port


@dataclass(frozen=True)
class Span:
    """One span as it arrived."""

    node: str
    name: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, str]
    seconds: float


@dataclass
class Receiver(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps everything that arrives."""

    endpoint: str = ""
    spans: list[Span] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    _came: threading.Condition = field(default_factory=threading.Condition)

    def Export(self, request, context):  # noqa: N802 - gRPC's name
        with self._came:
            self.raw.append(request.SerializeToString())
            for resource in request.resource_spans:
                facts = {a.key: a.value.string_value for a in resource.resource.attributes}
                for scope in resource.scope_spans:
                    self.spans += [_read(span, facts["service.instance.id"]) for span in scope.spans]
            self._came.notify_all()
        return trace_service_pb2.ExportTraceServiceResponse()

    def wait_for(self, *names: str, timeout_s: float = 60) -> None:
        """Wait until spans of all these names have come."""
        with self._came:
            assert self._came.wait_for(lambda: set(names) <= {span.name for span in self.spans}, timeout_s), {
                span.name for span in self.spans
            }


def _read(span, node: str) -> Span:
    return Span(
        node,
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        {a.key: a.value.string_value or str(a.value.int_value) for a in span.attributes},
        (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
    )


@contextmanager
def receiver() -> Iterator[Receiver]:
    port = free_port()
    keeping = Receiver(f"http://127.0.0.1:{port}")
    server = grpc.server(ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(keeping, server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield keeping
    finally:
        server.stop(None).wait()
