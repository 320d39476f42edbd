"""cohere 5, 6 and 7, both APIs."""

from __future__ import annotations

import importlib
import inspect
from functools import partial
from typing import Any

from surfaces.ways import LONG, MESSAGES, QUESTION, Sdk, Surface
from tracetoll.local_provider import Reply


def client(url: str, asynchronous: bool, *, api: str = "V2", **options: Any) -> Any:  # `Sdk.client` says so
    sdk, httpx = importlib.import_module("cohere"), importlib.import_module("httpx")
    made = getattr(sdk, f"{'Async' if asynchronous else ''}Client{api}")
    # Nothing is encrypted here, and loading certificates takes longer than all the rest.
    transport = (httpx.AsyncClient if asynchronous else httpx.Client)(verify=False)
    once = {"max_retries": 0} if "max_retries" in inspect.signature(made).parameters else {}
    return made(api_key="none", base_url=url, httpx_client=transport, **{**once, **options})


KINDS = ("", "Async")
HTTP = "cohere.core.http_client"
SDK = Sdk(
    name="cohere",
    module="cohere",
    client=client,
    provider="cohere",
    patched=(
        *(f"{HTTP}:{kind}HttpClient.{name}" for kind in KINDS for name in ("request", "stream")),
        f"{HTTP}:_should_retry",
        "cohere.client:Client.embed",
        *(f"cohere.base_client:{kind}BaseCohere.{name}_stream" for kind in KINDS for name in ("chat", "generate")),
        *(f"cohere.v2.client:{kind}V2Client.chat_stream" for kind in KINDS),
    ),
    error="cohere.core.api_error:ApiError",
    rejected=lambda status: Reply(status, json={"id": "no toll", "message": "No such toll"}),
    error_type="{}",
    answer_model=None,
    stream_can=frozenset({"close"}),
    lazy_streams=True,
    abandoned="closed",
)
OPTIONS = {
    "max_tokens": 500,
    "temperature": 0.5,
    "p": 0.75,
    "k": 7,
    "seed": 7,
    "stop_sequences": ["END"],
    "frequency_penalty": 0.25,
}
OPTIONS_SPAN = {
    "gen_ai.request.max_tokens": 500,
    "gen_ai.request.temperature": 0.5,
    "gen_ai.request.top_p": 0.75,
    "gen_ai.request.top_k": 7,
    "gen_ai.request.seed": 7,
    "gen_ai.request.stop_sequences": ("END",),
    "gen_ai.request.frequency_penalty": 0.25,
}
CHAT = Surface(
    sdk="cohere",
    method="chat",
    path="/v2/chat",
    arguments={
        "model": "command-r-08-2024",
        "messages": [{"role": "system", "content": LONG}, *MESSAGES],
        **OPTIONS,
    },
    span=OPTIONS_SPAN,
    finish=("stop",),
    streams="chat_stream",
    question={"model": "command-r-08-2024", "messages": MESSAGES},
    cap=lambda tokens: {"max_tokens": tokens},
    sent_cap="max_tokens",
)
FIRST = partial(client, api="")
FIRST_CHAT = Surface(
    sdk="cohere",
    method="chat",
    path="/v1/chat",
    arguments={"model": "command-r-08-2024", "message": QUESTION, **OPTIONS},
    span=OPTIONS_SPAN,
    finish=("stop",),
    streams="chat_stream",
    client=FIRST,
    answer_id=("generation_id",),
)
EMBEDDINGS = Surface(
    sdk="cohere",
    method="embed",
    path="/v2/embed",
    arguments={
        "model": "embed-english-v3.0",
        "texts": ["one", "two words"],
        "input_type": "search_query",
        "embedding_types": ["float"],
    },
    operation="embeddings",
    span={"gen_ai.request.encoding_formats": ("float",)},
    in_counters=False,
    priced=False,
)
FIRST_EMBEDDINGS = Surface(
    sdk="cohere",
    method="embed",
    path="/v1/embed",
    arguments={**EMBEDDINGS.arguments, "batching": False},
    operation="embeddings",
    span=EMBEDDINGS.span,
    client=FIRST,
    in_counters=False,
    priced=False,
)
RERANK = Surface(
    sdk="cohere",
    method="rerank",
    path="/v2/rerank",
    arguments={"model": "rerank-v3.5", "query": QUESTION, "documents": ["Two euros", "Nothing"]},
    operation="rerank",
    span={"tracetoll.usage.search_unit.count": 1},
    in_counters=False,
)
SURFACES = (CHAT, FIRST_CHAT, EMBEDDINGS, FIRST_EMBEDDINGS, RERANK)
