"""Which path gets which built-in answer, and the headers all answers of a provider have."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Final, Literal, TypeAlias

from tracetoll.local_provider import (
    aleph_alpha,
    anthropic,
    bedrock,
    cohere,
    compatible,
    google,
    letta,
    mistral,
    oci,
    ollama,
    openai_chat,
    openai_jobs,
    openai_media,
    openai_responses,
    reka,
    replicate,
    text,
    voyage,
    watsonx,
    xai,
)
from tracetoll.local_provider.answers import Memory
from tracetoll.local_provider.wire import Received, Reply, unique

BuiltIn: TypeAlias = Callable[[Received, Memory], Reply]
Format: TypeAlias = Literal["anthropic", "bedrock", "google", "openai"]

REQUESTS_PER_MINUTE: Final = 10_000
TOKENS_PER_MINUTE: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class Route:
    """A built-in answer and the end of the paths that get it; `{…}` in it stands for any id.

    `agent` is in the user agent of those who get it, where others get another answer at that path.
    """

    method: str
    suffix: str
    answer: BuiltIn
    agent: str = ""


# The first that fits counts. Paths that several providers have begin with the name of all but OpenAI.
ROUTES: Final = (
    Route("POST", "/mistral/v1/chat/completions", mistral.chat),
    Route("POST", "/mistral/v1/agents/completions", mistral.chat),
    Route("POST", "/mistral/v1/fim/completions", mistral.chat),
    Route("POST", "/mistral/v1/conversations", mistral.conversation),
    Route("POST", "/mistral/v1/conversations/{id}", mistral.conversation),
    Route("POST", "/mistral/v1/embeddings", mistral.embedding),
    Route("POST", "/mistral/v1/ocr", mistral.pages),
    Route("POST", "/mistral/v1/audio/transcriptions", mistral.heard),
    Route("POST", "/voyage/v1/embeddings", voyage.embedding),
    Route("POST", "/voyage/v1/contextualizedembeddings", voyage.contextual),
    Route("POST", "/voyage/v1/multimodalembeddings", voyage.multimodal),
    Route("POST", "/voyage/v1/rerank", voyage.reranking),
    Route("POST", "/ml/v1/text/generation", watsonx.generated),
    Route("POST", "/ml/v1/text/generation_stream", watsonx.streamed),
    Route("POST", "/ml/v1/text/chat", watsonx.chat),
    Route("POST", "/ml/v1/text/chat_stream", watsonx.streamed_chat),
    Route("POST", "/ml/v1/text/embeddings", watsonx.embedding),
    Route("POST", "/ml/v1/text/rerank", watsonx.reranking),
    Route("POST", "/ml/v1/text/tokenization", watsonx.tokenized),
    Route("POST", "/v1/models/{id}/{id}/predictions", replicate.prediction),
    Route("GET", "/v1/predictions/{id}", replicate.fetched),
    Route("POST", "/reka/v1/chat", reka.chat),
    Route("POST", "/v1/agents/{id}/messages", letta.turn),
    Route("POST", "/v1/conversations/{id}/messages", letta.conversation),
    Route("POST", "/20231130/actions/chat", oci.chat),
    Route("POST", "/20231130/actions/embedText", oci.embedding),
    Route("POST", "/xai_api.Chat/GetCompletion", xai.chat),
    Route("POST", "/xai_api.Chat/GetCompletionChunk", xai.streamed),
    Route("POST", "/complete", aleph_alpha.completion),
    Route("POST", "/v2/chat", cohere.chat),
    Route("POST", "/v1/chat", compatible.chat, agent="writer"),
    Route("POST", "/v1/chat", cohere.first_chat),
    Route("POST", "/v1/generate", cohere.generated),
    Route("POST", "/v1/embed", cohere.embedding),
    Route("POST", "/v2/embed", cohere.embedding),
    Route("POST", "/rerank", compatible.rerank, agent="together"),
    Route("POST", "/v1/rerank", cohere.reranking),
    Route("POST", "/v2/rerank", cohere.reranking),
    Route("POST", "/api/chat", ollama.chat),
    Route("POST", "/api/generate", ollama.generated),
    Route("POST", "/api/embed", ollama.embedding),
    Route("POST", "/api/embeddings", ollama.old_embedding),
    Route("POST", "/{id}:generateContent", google.generated),
    Route("POST", "/{id}:streamGenerateContent", google.streamed),
    Route("POST", "/{id}:batchEmbedContents", google.embeddings),
    Route("POST", "/{id}:predict", google.predicted),
    Route("POST", "/{id}:countTokens", google.counted),
    Route("POST", "/{id}:batchGenerateContent", google.batch),
    Route("GET", "/v1beta/batches/{id}", google.fetched_batch),
    Route("POST", "/interactions", google.interaction),
    Route("GET", "/interactions/{id}", google.fetched_interaction),
    Route("POST", "/v1/messages", anthropic.message),
    Route("POST", "/v1/messages/count_tokens", anthropic.token_count),
    Route("POST", "/v1/messages/batches", anthropic.batch),
    Route("GET", "/v1/messages/batches/{id}", anthropic.fetched),
    Route("GET", "/v1/messages/batches/{id}/results", anthropic.results),
    Route("POST", "/converse", bedrock.converse),
    Route("POST", "/converse-stream", bedrock.converse_stream),
    Route("POST", "/invoke", bedrock.invoke),
    Route("POST", "/invoke-with-response-stream", bedrock.invoke_stream),
    Route("POST", "/count-tokens", bedrock.token_count),
    Route("POST", "/agents/{id}/agentAliases/{id}/sessions/{id}/text", bedrock.agent),
    Route("POST", "/v1/completions", compatible.writer_completion, agent="writer"),
    Route("POST", "/chat/completions", compatible.chat),
    Route("POST", "/prompts/{id}/completions", openai_chat.chat),
    Route("POST", "/completions", compatible.completion),
    Route("POST", "/responses", openai_responses.response),
    Route("GET", "/responses/{id}", openai_responses.fetched),
    Route("POST", "/responses/compact", openai_responses.compaction),
    Route("POST", "/responses/input_tokens", openai_responses.input_tokens),
    Route("POST", "/embeddings", openai_media.embedding),
    Route("POST", "/images/embeddings", openai_media.embedding),
    Route("POST", "/moderations", openai_media.moderation),
    Route("POST", "/images/generations", openai_media.image),
    Route("POST", "/audio/transcriptions", openai_media.heard),
    Route("POST", "/audio/translations", openai_media.heard),
    Route("POST", "/audio/speech", openai_media.speech),
    Route("POST", "/threads/{id}/runs", openai_jobs.run),
    Route("POST", "/threads/runs", openai_jobs.run),
    Route("GET", "/threads/{id}/runs/{id}", openai_jobs.fetched),
    Route("POST", "/batches", openai_jobs.batch),
    Route("GET", "/batches/{id}", openai_jobs.fetched),
)


def ends_with(path: str, suffix: str) -> bool:
    """Return whether a path ends with a suffix; `{…}` in it stands for one part of the path."""
    return _pattern(suffix).search(path) is not None


@cache
def _pattern(suffix: str) -> re.Pattern[str]:
    ids = re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(suffix))
    return re.compile(rf"{ids}\Z")


def _spoken(received: Received) -> Format:
    """Return whose headers and errors a request is answered with."""
    if google.is_google(received):
        return "google"
    if _anthropic(received):
        return "anthropic"
    return "bedrock" if bedrock.spoken(received) else "openai"


def built_in(received: Received, memory: Memory) -> Reply:
    """Return the provider's own answer and headers; 404 for a path that has none."""
    spoken = _spoken(received)
    agent = received.headers.get("user-agent", "").lower()
    for route in ROUTES:
        if route.method == received.method and route.agent in agent and ends_with(received.path, route.suffix):
            with memory.lock:
                reply = route.answer(received, memory)
                memory.requests += 1
                memory.tokens += text.count(text.prompt(received.fields))
                headers = HEADERS[spoken](memory)
            return replace(reply, headers={**headers, **reply.headers})
    return NOT_FOUND[spoken](received)


def _anthropic(received: Received) -> bool:
    return "anthropic-version" in received.headers or "/v1/messages" in received.path


def _openai_headers(memory: Memory) -> dict[str, str]:
    headers = {
        "openai-processing-ms": "5",
        "openai-version": "2020-10-01",
        "x-request-id": unique("req_"),
    }
    for unit, limit, used in _limits(memory):
        headers |= {
            f"x-ratelimit-limit-{unit}": str(limit),
            f"x-ratelimit-remaining-{unit}": str(limit - used),
            f"x-ratelimit-reset-{unit}": go_duration(60_000 * used // limit),
        }
    return headers


def _anthropic_headers(memory: Memory) -> dict[str, str]:
    headers = {"request-id": unique("req_")}
    for unit, limit, used in _limits(memory):
        for kind in ("tokens", "input-tokens", "output-tokens") if unit == "tokens" else (unit,):
            headers |= {
                f"anthropic-ratelimit-{kind}-limit": str(limit),
                f"anthropic-ratelimit-{kind}-remaining": str(limit - used),
                f"anthropic-ratelimit-{kind}-reset": anthropic.moment(60 * used / limit),
            }
    return headers


def _bedrock_headers(_: Memory) -> dict[str, str]:
    return {"x-amzn-requestid": str(uuid.uuid4())}


def _limits(memory: Memory) -> tuple[tuple[str, int, int], ...]:
    """Return unit, limit and what is used of it; a limit that is used up starts again."""
    return (
        ("requests", REQUESTS_PER_MINUTE, memory.requests % REQUESTS_PER_MINUTE),
        ("tokens", TOKENS_PER_MINUTE, memory.tokens % TOKENS_PER_MINUTE),
    )


def go_duration(milliseconds: int) -> str:
    """Return a duration as Go prints it: `6ms`, `17.4s`, `1m30s`, `0s`."""
    if 0 < milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    seconds = f"{rest / 1000:g}s"
    return f"{minutes}m{seconds}" if minutes else seconds


def _openai_not_found(received: Received) -> Reply:
    return Reply.openai_error(404, None, f"Invalid URL ({received.method} {received.path})")


def _anthropic_not_found(_: Received) -> Reply:
    return Reply.anthropic_error(404, "not_found_error", "Not Found")


def _bedrock_not_found(_: Received) -> Reply:
    return Reply.aws_error(404, "UnknownOperationException", "Not Found")


HEADERS: Final[Mapping[Format, Callable[[Memory], dict[str, str]]]] = {
    "anthropic": _anthropic_headers,
    "bedrock": _bedrock_headers,
    "google": lambda _: google.HEADERS,
    "openai": _openai_headers,
}
NOT_FOUND: Final[Mapping[Format, Callable[[Received], Reply]]] = {
    "anthropic": _anthropic_not_found,
    "bedrock": _bedrock_not_found,
    "google": google.not_found,
    "openai": _openai_not_found,
}
