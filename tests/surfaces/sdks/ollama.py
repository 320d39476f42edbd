"""ollama 0."""

from __future__ import annotations

import importlib
from typing import Any

from surfaces.ways import LONG, MESSAGES, QUESTION, Sdk, Surface, closing, closing_async
from tracetoll.local_provider import Reply


def client(url: str, asynchronous: bool, **options: Any) -> Any:  # `Sdk.client` says so
    sdk = importlib.import_module("ollama")
    made = (sdk.AsyncClient if asynchronous else sdk.Client)(host=url, verify=False, **options)
    http = made._client  # noqa: SLF001  # 0.4 cannot close its clients
    return closing_async(made, http.aclose) if asynchronous else closing(made, http.close)


SDK = Sdk(
    name="ollama",
    module="ollama",
    client=client,
    provider="ollama",
    patched=tuple(f"ollama._client:{kind}Client._request" for kind in ("", "Async")),
    error="ollama:ResponseError",
    rejected=lambda status: Reply(status, json={"error": "No such toll"}),
    error_type="{}",
    answer_id=None,
    request_id=(),
    stream_can=frozenset({"close"}),
    lazy_streams=True,
    abandoned="closed",
)
OPTIONS = {
    "num_predict": 500,
    "temperature": 0.5,
    "top_p": 0.75,
    "top_k": 7,
    "seed": 7,
    "stop": ["END"],
    "frequency_penalty": 0.25,
    "presence_penalty": 0.125,
}
OPTIONS_SPAN = {
    "gen_ai.request.max_tokens": 500,
    "gen_ai.request.temperature": 0.5,
    "gen_ai.request.top_p": 0.75,
    "gen_ai.request.top_k": 7,
    "gen_ai.request.seed": 7,
    "gen_ai.request.stop_sequences": ("END",),
    "gen_ai.request.frequency_penalty": 0.25,
    "gen_ai.request.presence_penalty": 0.125,
}
CHAT = Surface(
    sdk="ollama",
    method="chat",
    path="/api/chat",
    arguments={
        "model": "llama3.2",
        "messages": [{"role": "system", "content": LONG}, *MESSAGES],
        "options": OPTIONS,
    },
    span=OPTIONS_SPAN,
    finish=("stop",),
    streams=True,
    question={"model": "llama3.2", "messages": MESSAGES},
    cap=lambda tokens: {"options": {"num_predict": tokens}},
    sent_cap="options.num_predict",
    priced=False,
)
GENERATE = Surface(
    sdk="ollama",
    method="generate",
    path="/api/generate",
    arguments={"model": "llama3.2", "prompt": QUESTION, "options": OPTIONS},
    operation="text_completion",
    span=OPTIONS_SPAN,
    finish=("stop",),
    streams=True,
    priced=False,
)
EMBED, OLD_EMBEDDINGS = (
    Surface(
        sdk="ollama",
        method=method,
        path=f"/api/{method}",
        arguments={"model": "all-minilm", name: "two words"},
        operation="embeddings",
        in_counters=False,
        priced=False,
    )
    for method, name in (("embed", "input"), ("embeddings", "prompt"))
)
SURFACES = (CHAT, GENERATE, EMBED, OLD_EMBEDDINGS)
