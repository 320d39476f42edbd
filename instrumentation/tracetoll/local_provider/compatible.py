"""Hosts that speak OpenAI's format and tell usage in ways of their own, and what only they have.

They are told by the SDK that asks; another client gets what OpenAI says.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal

from tracetoll.local_provider import openai_chat, text
from tracetoll.local_provider.answers import asked_model
from tracetoll.local_provider.wire import Reply, unique

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tracetoll.local_provider.answers import Memory
    from tracetoll.local_provider.wire import Json, Received


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a host tells usage: its names for OpenAI's (None: it does not tell), and where a stream has it."""

    names: Mapping[str, str | None] = field(default_factory=dict)
    streams: Literal["asked", "last chunk", "every chunk"] = "last chunk"
    under: str | None = None
    """The object of a chunk that has the usage, where that is not the chunk."""

    def retold(self, usage: Mapping[str, Json]) -> dict[str, Json]:
        """Return OpenAI's usage in this host's words."""
        flat = {"prompt_tokens_details.cached_tokens": 0, **_flat(usage)}
        told: dict[str, Json] = {}
        for name, value in flat.items():
            known = self.names.get(name, name)
            if known is not None:
                above, _, last = known.rpartition(".")
                (told.setdefault(above, {}) if above else told)[last] = value
        return told


def _flat(usage: Mapping[str, Json]) -> dict[str, Json]:
    plain = {name: value for name, value in usage.items() if not isinstance(value, dict)}
    return plain | {
        f"{above}.{name}": value
        for above, details in usage.items()
        if isinstance(details, dict)
        for name, value in details.items()
    }


CACHED: Final = "prompt_tokens_details.cached_tokens"
REASONING: Final = "completion_tokens_details.reasoning_tokens"
UNTOLD: Final[Mapping[str, None]] = dict.fromkeys(
    (
        "prompt_tokens_details.audio_tokens",
        "completion_tokens_details.audio_tokens",
        "completion_tokens_details.accepted_prediction_tokens",
        "completion_tokens_details.rejected_prediction_tokens",
    )
)
# By what is in the user agent.
DIALECTS: Final[Mapping[str, Dialect]] = {
    "groq": Dialect(UNTOLD, under="x_groq"),
    "together": Dialect({**UNTOLD, CACHED: "cached_tokens", REASONING: None}),
    "writer": Dialect({**UNTOLD, CACHED: "prompt_token_details.cached_tokens"}, streams="asked"),
    "cerebras": Dialect(UNTOLD),
    "fireworks": Dialect({**UNTOLD, REASONING: None}),
    "perplexity": Dialect({**UNTOLD, CACHED: None, REASONING: None}, streams="every chunk"),
}


def chat(received: Received, memory: Memory) -> Reply:
    """Answer `POST …/chat/completions`, as the host does whose SDK asks."""
    return _in_dialect(openai_chat.chat, received, memory)


def completion(received: Received, memory: Memory) -> Reply:
    """Answer `POST …/completions`, as the host does whose SDK asks."""
    return _in_dialect(openai_chat.completion, received, memory)


def rerank(received: Received, _: Memory) -> Reply:
    """Answer `POST …/rerank`: the documents in the order they came."""
    body = received.fields
    documents = body.get("documents") or []
    tokens = sum(text.count(str(one)) for one in (body.get("query"), *documents))
    results = [
        {"index": index, "relevance_score": 1 / (index + 1), "document": {"text": str(one)}}
        for index, one in enumerate(documents)
    ]
    usage = {"prompt_tokens": tokens, "completion_tokens": 0, "total_tokens": tokens}
    head = {"id": unique("rerank-"), "object": "rerank", "model": asked_model(received)}
    return Reply(json=head | {"results": results, "usage": usage})


def writer_completion(received: Received, memory: Memory) -> Reply:
    """Answer Writer's `POST …/completions`, which tells no usage."""
    whole = openai_chat.completion(replace(received, body={**received.fields, "stream": False}), memory).json
    said = [choice["text"] for choice in whole["choices"]]
    if received.fields.get("stream"):
        return Reply(events=[{"value": piece} for piece in text.pieces(said[0])])
    return Reply(json={"model": whole["model"], "choices": [{"text": one, "log_probs": None} for one in said]})


def _in_dialect(answer: Callable[[Received, Memory], Reply], received: Received, memory: Memory) -> Reply:
    agent = received.headers.get("user-agent", "").lower()
    dialect = next((one for name, one in DIALECTS.items() if name in agent), None)
    if dialect is None:
        return answer(received, memory)
    asked = received.fields
    if asked.get("stream") and dialect.streams != "asked":
        received = replace(received, body={**asked, "stream_options": {"include_usage": True}})
    reply = answer(received, memory)
    if reply.json is not None:
        return replace(reply, json={**reply.json, "usage": dialect.retold(reply.json["usage"])})
    chunks = [dict(chunk) for chunk in reply.events or () if isinstance(chunk, dict)]
    if not chunks[-1].get("usage"):
        return reply
    usage = dialect.retold(chunks[-1]["usage"])
    if dialect.streams == "asked":
        chunks[-1]["usage"] = usage
        return replace(reply, events=chunks)
    del chunks[-1]
    for place, chunk in enumerate(chunks):
        del chunk["usage"]
        if dialect.streams == "every chunk":
            so_far = usage["completion_tokens"] * place // (len(chunks) - 1)
            total = usage["prompt_tokens"] + so_far
            chunk["usage"] = {**usage, "completion_tokens": so_far, "total_tokens": total}
    if dialect.streams == "last chunk":
        (chunks[-1].setdefault(dialect.under, {}) if dialect.under else chunks[-1])["usage"] = usage
    return replace(reply, events=chunks)
