"""sarvamai 0.1.39: chats of both versions, responses."""

from __future__ import annotations

import importlib
from typing import Any

from surfaces.ways import LONG, MESSAGES, QUESTION, Sdk, Surface, hosted_chat, tells_error
from tracetoll.local_provider import Reply


def client(url: str, use_async: bool, **options: Any) -> Any:  # `Sdk.client` says so
    sdk, httpx = importlib.import_module("sarvamai"), importlib.import_module("httpx")
    # Nothing is encrypted here, and loading certificates takes longer than all the rest.
    transport = (httpx.AsyncClient if use_async else httpx.Client)(verify=False)
    here = importlib.import_module("sarvamai.environment").SarvamAIEnvironment(base=url, creative=url, production=url)
    kind = sdk.AsyncSarvamAI if use_async else sdk.SarvamAI
    made = kind(environment=here, api_subscription_key="none", httpx_client=transport, **options)
    made.close = transport.aclose if use_async else transport.close  # it has none of its own
    return made


def rejected(status: int) -> Reply:
    """Return an error as Sarvam tells it."""
    return Reply(status, json={"error": {"message": "No such toll", "code": "bad_toll", "request_id": "none"}})


ONCE = {"request_options": {"max_retries": 0}}
HTTP = "sarvamai.core.http_client:"
SDK = Sdk(
    name="sarvam",
    module="sarvamai",
    client=client,
    provider="sarvam",
    patched=tuple(f"{HTTP}{kind}HttpClient.{name}" for kind in ("", "Async") for name in ("request", "stream")),
    error="sarvamai.core.api_error:ApiError",
    rejected=rejected,
    stream_can=frozenset({"close"}),
    lazy_streams=True,
    abandoned="closed",
    belongs_to="reading",
)
MODEL = "gemma4"
ASKED = {"max_tokens": 500, "temperature": 0.5, "top_p": 0.75, "stop": ["END"], "seed": 7}
SPAN = {
    "gen_ai.request.max_tokens": 500,
    "gen_ai.request.temperature": 0.5,
    "gen_ai.request.top_p": 0.75,
    "gen_ai.request.stop_sequences": ("END",),
    "gen_ai.request.seed": 7,
}
CHAT = hosted_chat(
    "sarvam",
    MODEL,
    method="chat.completions_v2",
    arguments={"model": MODEL, "messages": [{"role": "system", "content": LONG}, *MESSAGES], **ASKED, **ONCE},
    span=SPAN,
    stream_arguments={"stream_options": {"include_usage": True}},
    question={"model": MODEL, "messages": MESSAGES, **ONCE},
    broken=tells_error({"error": {"message": "Closed", "code": "bad_toll"}}),
    priced=False,
)
FIRST_CHAT = hosted_chat(
    "sarvam",
    "sarvam-105b",
    method="chat.completions",
    arguments={"model": "sarvam-105b", "messages": MESSAGES, **ASKED, **ONCE},
    span=SPAN,
    streams=False,
    priced=False,
)
RESPONSES = Surface(
    sdk="sarvam",
    method="responses.create",
    path="/v2/responses",
    arguments={"model": MODEL, "input": QUESTION, "max_output_tokens": 500, "temperature": 0.5, **ONCE},
    span={"gen_ai.request.max_tokens": 500, "gen_ai.request.temperature": 0.5},
    finish=("stop",),
    streams="responses.create_stream",
    priced=False,
)
SURFACES = (CHAT, FIRST_CHAT, RESPONSES)
