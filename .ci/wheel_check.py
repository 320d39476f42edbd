"""Count one call with the installed wheel, and nothing but what a user installs beside it."""

# ruff: noqa: INP001  # a script, not a package

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from openai import OpenAI
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tracetoll import Instrumentor, __version__

ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_760_000_000,
    "model": "gpt-4o-2024-08-06",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "2.80 EUR"}, "finish_reason": "stop"}],
    "usage": {
        "prompt_tokens": 1200,
        "completion_tokens": 100,
        "total_tokens": 1300,
        "prompt_tokens_details": {"cached_tokens": 1024},
    },
}
WANTED = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.usage.input_tokens": 1200,
    "gen_ai.usage.output_tokens": 100,
    "gen_ai.usage.cache_read.input_tokens": 1024,
    "tracetoll.usage.total_tokens": 1300,
    "tracetoll.cost.currency": "USD",
}


class Provider(BaseHTTPRequestHandler):
    """Says the same to everybody."""

    def do_POST(self) -> None:
        """Answer."""
        self.rfile.read(int(self.headers["content-length"]))
        content = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


server = HTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
spans = InMemorySpanExporter()
trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(spans))

Instrumentor().instrument()
client = OpenAI(api_key="none", base_url=f"http://127.0.0.1:{server.server_port}/v1")
client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "What is the toll?"}])

(span,) = spans.get_finished_spans()
told = dict(span.attributes or {})
if {name: told.get(name) for name in WANTED} != WANTED or not told.get("tracetoll.cost.amount", 0) > 0:
    sys.exit(f"the span says {told}, and should say {WANTED} and a cost")
sys.stdout.write(
    f"tracetoll {__version__}: {span.name} has the right tokens, and costs ${told['tracetoll.cost.amount']}\n"
)
