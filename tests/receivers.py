"""Real OTLP receivers on 127.0.0.1, and what they got, decoded from the protobuf that was sent."""

from __future__ import annotations

import gzip
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

import grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import (
    MetricsServiceServicer,
    add_MetricsServiceServicer_to_server,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.proto.common.v1.common_pb2 import AnyValue
    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
    from opentelemetry.proto.trace.v1.trace_pb2 import Span


def plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(one) for one in value.array_value.values]
    return getattr(value, kind) if kind else None


def attributes(owner: Any) -> dict[str, Any]:
    return {one.key: plain(one.value) for one in owner.attributes}


@dataclass
class Received:
    """What came in so far, request by request."""

    traces: list[ExportTraceServiceRequest] = field(default_factory=list)
    metrics: list[ExportMetricsServiceRequest] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def spans(self) -> list[Span]:
        return [
            span
            for request in self.traces
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def service_names(self) -> set[str]:
        resources = [one.resource for request in self.traces for one in request.resource_spans]
        resources += [one.resource for request in self.metrics for one in request.resource_metrics]
        return {attributes(resource)["service.name"] for resource in resources}

    def exports_of(self, name: str) -> Iterator[Metric]:
        """Yield a metric of each export that has it, in the order of their arrival."""
        for request in self.metrics:
            for resource in request.resource_metrics:
                for scope in resource.scope_metrics:
                    yield from (metric for metric in scope.metrics if metric.name == name)


class HttpReceiver:
    """OTLP over HTTP, protobuf, gzip or not. `status` is what it answers."""

    protocol = "http/protobuf"

    def __init__(self, status: int = 200) -> None:
        self.received = received = Received()
        lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                answer: Any = ExportTraceServiceResponse()
                with lock:
                    received.headers.append({name.lower(): value for name, value in self.headers.items()})
                    if status == 200 and self.path == "/v1/traces":
                        received.traces.append(ExportTraceServiceRequest.FromString(body))
                    elif status == 200 and self.path == "/v1/metrics":
                        received.metrics.append(ExportMetricsServiceRequest.FromString(body))
                        answer = ExportMetricsServiceResponse()
                content = answer.SerializeToString()
                self.send_response(status)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class GrpcReceiver:
    """OTLP over gRPC, without TLS."""

    protocol = "grpc"

    def __init__(self, port: int = 0) -> None:
        self.received = received = Received()
        lock = threading.Lock()

        def keep(into: list[Any], request: Any, context: grpc.ServicerContext) -> None:
            with lock:
                into.append(request)
                received.headers.append(dict(context.invocation_metadata()))

        class Traces(TraceServiceServicer):
            def Export(self, request: Any, context: grpc.ServicerContext) -> ExportTraceServiceResponse:  # noqa: N802
                keep(received.traces, request, context)
                return ExportTraceServiceResponse()

        class Metrics(MetricsServiceServicer):
            def Export(self, request: Any, context: grpc.ServicerContext) -> ExportMetricsServiceResponse:  # noqa: N802
                keep(received.metrics, request, context)
                return ExportMetricsServiceResponse()

        self._server = grpc.server(ThreadPoolExecutor(4))
        add_TraceServiceServicer_to_server(Traces(), self._server)
        add_MetricsServiceServicer_to_server(Metrics(), self._server)
        self.url = f"http://127.0.0.1:{self._server.add_insecure_port(f'127.0.0.1:{port}')}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(None).wait()
