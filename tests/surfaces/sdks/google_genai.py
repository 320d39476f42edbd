"""google-genai 1, 2 and 3, but for its interactions."""

from __future__ import annotations

import importlib
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from surfaces.ways import LONG, QUESTION, Sdk, Surface, major, tells_error
from tracetoll.local_provider import Reply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator


def rejected(status: int) -> Reply:
    """Return an error as Google tells it."""
    return Reply(status, json={"error": {"code": status, "message": "No such toll", "status": "bad_toll"}})


def google(**settings: Any) -> Callable[..., Any]:
    """Return what makes clients with these settings, to be entered: not all versions can be."""

    def make(url: str, use_async: bool, **options: Any) -> Any:  # `Sdk.client` says so
        genai = importlib.import_module("google.genai")
        plain = genai.Client(
            **settings,
            http_options={"base_url": url, "api_version": "v1beta", "retry_options": {"attempts": 1}, **options},
        )
        return _entered_async(plain) if use_async else _entered(plain)

    return make


@contextmanager
def _entered(plain: Any) -> Iterator[Any]:
    yield plain
    if hasattr(plain, "close"):
        plain.close()


@asynccontextmanager
async def _entered_async(plain: Any) -> AsyncIterator[Any]:
    yield plain
    if hasattr(plain.aio, "aclose"):
        await plain.aio.aclose()


EARLY = major("google-genai") == 1
CLIENT = "google.genai._api_client:BaseApiClient."
SDK = Sdk(
    name="google_genai",
    module="google.genai",
    client=google(api_key="none"),
    provider="gcp.gemini",
    patched=(
        *(CLIENT + name for name in ("request", "async_request", "request_streamed", "async_request_streamed")),
        *(CLIENT + name for name in ("_request", "_async_request", "_request_once", "_async_request_once")),
        "google.genai.models:AsyncModels.generate_content_stream",
        "google.genai.chats:AsyncChat.send_message_stream",
    ),
    error="google.genai.errors:APIError",
    rejected=rejected,
    retrying={"retry_options": {"attempts": 3, "initial_delay": 0.001, "max_delay": 0.001}},
    async_name="aio.{}",
    answer_id="responseId",
    answer_model="modelVersion",
    stream_can=frozenset({"close"}),
    lazy_streams=True,
    abandoned="closed",
    belongs_to="reading",
    apart=EARLY,
    tests="test_google",
)
CONFIG = {
    "system_instruction": LONG,
    "max_output_tokens": 500,
    "temperature": 0.5,
    "top_p": 0.75,
    "top_k": 20,
    "stop_sequences": ["END"],
    "seed": 7,
    "thinking_config": {"thinking_budget": 1024},
}
GENERATE = Surface(
    sdk="google_genai",
    method="models.generate_content",
    path="/models/gemini-2.5-flash:generateContent",
    arguments={"model": "gemini-2.5-flash", "contents": QUESTION, "config": CONFIG},
    operation="generate_content",
    span={
        "gen_ai.request.max_tokens": 500,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.75,
        "gen_ai.request.top_k": 20,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.request.seed": 7,
        "tracetoll.service_tier": "ON_DEMAND",
    },
    finish=("stop",),
    streams="models.generate_content_stream",
    question={"model": "gemini-2.5-flash", "contents": QUESTION},
    cap=lambda tokens: {"config": {"max_output_tokens": tokens}},
    sent_cap="generationConfig.maxOutputTokens",
    broken=tells_error({"error": {"code": 503, "message": "Closed", "status": "bad_toll"}}),
)
EMBED = Surface(
    sdk="google_genai",
    method="models.embed_content",
    path="/models/gemini-embedding-001:batchEmbedContents",
    arguments={"model": "gemini-embedding-001", "contents": ["one", "two words"]},
    operation="embeddings",
    in_counters=False,
)
COUNT = Surface(
    sdk="google_genai",
    method="models.count_tokens",
    path="/models/gemini-2.5-flash:countTokens",
    arguments=GENERATE.question or {},
    operation="count_tokens",
    in_metrics=False,
    priced=False,
)
SURFACES = (GENERATE, EMBED, COUNT)
