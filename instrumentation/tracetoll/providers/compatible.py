"""OpenAI's wire format: what hosts that are compatible with it share with OpenAI, whichever SDK they are asked through.

Sources: OpenAI's API reference and the types of openai 3.54.0, recorded traffic of the hosts; semconv reference, 5.1
and 5.5. Longer than others: no wire format has more surfaces, and each host puts the numbers elsewhere.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from tracetoll import usage as u
from tracetoll.providers.words import (
    Answer,
    Choices,
    Events,
    Part,
    Stainless,
    Status,
    Surface,
    as_text,
    asked,
    paths,
)
from tracetoll.usage import UsageMap
from tracetoll_semconv import attributes as a

# OpenAI-compatible hosts put the same numbers in places of their own; those are the fallbacks.
CHAT_USAGE: Final = UsageMap(
    fields={
        "prompt_tokens": u.INPUT,
        "completion_tokens": u.OUTPUT,
        "total_tokens": u.WIRE_TOTAL,
        "prompt_tokens_details": {
            "cached_tokens": u.CACHE_READ,
            "cache_write_tokens": u.CACHE_WRITE,
            "audio_tokens": u.AUDIO_INPUT,
            "image_tokens": u.IMAGE_INPUT,
            "text_tokens": u.TEXT_INPUT,
            "video_tokens": u.VIDEO_INPUT,  # OpenRouter
        },
        "completion_tokens_details": {
            "reasoning_tokens": u.REASONING,
            "audio_tokens": u.AUDIO_OUTPUT,
            "image_tokens": u.IMAGE_OUTPUT,
            "text_tokens": u.TEXT_OUTPUT,
            "accepted_prediction_tokens": u.ACCEPTED_PREDICTION_OUTPUT,
            "rejected_prediction_tokens": u.REJECTED_PREDICTION_OUTPUT,
        },
        "server_tool_use_details": {"web_search_requests": u.WEB_SEARCHES},  # OpenRouter
        "citation_tokens": u.CITATION_OUTPUT,  # Perplexity
        "num_search_queries": u.WEB_SEARCHES,  # Perplexity
        "cost_in_usd_ticks": u.USD_TICKS,  # xAI: 1e-10 USD
        "cost": u.USD_OR_TOTAL,  # OpenRouter: a number; Perplexity: an object
    },
    fallbacks={
        "prompt_cache_hit_tokens": u.CACHE_READ,  # DeepSeek
        "num_cached_tokens": u.CACHE_READ,  # Mistral
        "cached_tokens": u.CACHE_READ,  # Together
        "cache_read_input_tokens": u.CACHE_READ,  # LiteLLM
        "cache_creation_input_tokens": u.CACHE_WRITE,  # LiteLLM
        "prompt_token_details": {"cached_tokens": u.CACHE_READ, "audio_tokens": u.AUDIO_INPUT},  # Writer, Assistants
        "completion_tokens_detail": {"reasoning_tokens": u.REASONING},  # Writer
        "completion_token_details": {"reasoning_tokens": u.REASONING},
        "reasoning_tokens": u.REASONING,  # Perplexity
        "input_tokens": u.INPUT,
        "output_tokens": u.OUTPUT,
    },
    beside_output=(u.REASONING, u.CITATION_OUTPUT),  # xAI, Perplexity
)
EMBEDDING_USAGE: Final = UsageMap(
    fields={"prompt_tokens": u.INPUT, "total_tokens": u.WIRE_TOTAL, "cost": u.USD_OR_TOTAL}, total_is_input=True
)
RESPONSES_USAGE: Final = UsageMap(
    fields={
        "input_tokens": u.INPUT,
        "output_tokens": u.OUTPUT,
        "input_tokens_details": {
            "cached_tokens": u.CACHE_READ,
            "cache_write_tokens": u.CACHE_WRITE,
            "cache_write_tokens_details": {
                "ttl_30m_tokens": u.CACHE_WRITE_30M,
                "ttl_12h_tokens": u.CACHE_WRITE_12H,
            },
            "audio_tokens": u.AUDIO_INPUT,
            "image_tokens": u.IMAGE_INPUT,
            "text_tokens": u.TEXT_INPUT,
        },
        "output_tokens_details": {
            "reasoning_tokens": u.REASONING,
            "image_tokens": u.IMAGE_OUTPUT,
            "text_tokens": u.TEXT_OUTPUT,
        },
        "cost": u.USD_OR_TOTAL,
        "cost_in_usd_ticks": u.USD_TICKS,
    },
    fallbacks={
        "prompt_tokens": u.INPUT,
        "completion_tokens": u.OUTPUT,
        "input_tokens_details": {  # Perplexity
            "cache_read_input_tokens": u.CACHE_READ,
            "cache_creation_input_tokens": u.CACHE_WRITE,
        },
        "tool_calls_details": {"search_web": {"invocation": u.WEB_SEARCHES}},  # Perplexity
    },
)
AUDIO_USAGE: Final = UsageMap(
    fields={
        "input_tokens": u.INPUT,
        "output_tokens": u.OUTPUT,
        "input_token_details": {"audio_tokens": u.AUDIO_INPUT, "text_tokens": u.TEXT_INPUT},
        "seconds": u.SECONDS,
    },
)

SAMPLING: Final = asked("temperature top_p")
CHAT_REQUEST: Final = {
    **SAMPLING,
    **asked(
        "max_tokens max_tokens=max_completion_tokens frequency_penalty presence_penalty stop seed "
        "choices=n reasoning=reasoning_effort output_type=response_format.type"
    ),
}
RESPONSES_REQUEST: Final[dict[str, Any]] = {
    **SAMPLING,
    **asked("max_tokens=max_output_tokens reasoning=reasoning.effort output_type=text.format.type"),
    "previous_response_id": (a.GEN_AI_REQUEST_PREVIOUS_RESPONSE_ID, as_text),
    "conversation": (a.GEN_AI_CONVERSATION_ID, as_text),
    "prompt": {"id": (a.GEN_AI_PROMPT_NAME, as_text), "version": (a.GEN_AI_PROMPT_VERSION, as_text)},
}


def host(name: str, module: str, provider: str, surfaces: dict[str, Surface]) -> Stainless:
    """Return the seam of a host's own SDK, if Stainless made it: where on an exception the host's own code stands."""
    codes = paths("body.error.code", "body.error.type", "body.code", "body.type", "body.tpe")
    return Stainless(name=name, module=module, provider=provider, error_codes=codes, surfaces=surfaces)


CHAT: Final = Surface(
    operation="chat",
    usage=CHAT_USAGE,
    request=CHAT_REQUEST,
    answer=Answer(usage=paths("usage", "x_groq.usage"), finish=Choices(), error=("error", "code")),
    events=Events(usage_on_request="stream_options"),
    output_caps=("max_completion_tokens", "max_tokens"),
    content="openai.chat",
)
COMPLETIONS: Final = replace(CHAT, operation="text_completion", output_caps=("max_tokens",), content="openai.text")
RESPONSE: Final = Answer(
    finish=Status(
        values={"completed": "stop", "incomplete": "length", "failed": "error", "cancelled": "error"},
        reason=("incomplete_details", "reason"),
        reasons={"max_output_tokens": "length"},
        tool_calls=frozenset({"function_call", "custom_tool_call"}),
    ),
    error=("error", "code"),
    status="status",
)
STARTED: Final = Answer(usage=())  # only who answers; the rest is not final
RESPONSE_EVENTS: Final = Events(
    kind="type",
    parts={
        "response.created": Part(("response",), STARTED),
        **{f"response.{state}": Part(("response",)) for state in ("completed", "incomplete", "failed")},
    },
    errors={"error": ("code",)},
)
RESPONSES: Final = Surface(
    operation="chat",
    usage=RESPONSES_USAGE,
    request=RESPONSES_REQUEST,
    answer=RESPONSE,
    events=RESPONSE_EVENTS,
    output_caps=("max_output_tokens",),
    content="openai.responses",
    billed="later",
)
FETCHED_RESPONSE: Final = Surface(
    operation="fetch_response",
    usage=RESPONSES_USAGE,
    answer=RESPONSE,
    events=RESPONSE_EVENTS,
    billed="fetched",
    inference=False,
)
EMBEDDINGS: Final = Surface(
    operation="embeddings",
    usage=EMBEDDING_USAGE,
    request=asked("dimensions encoding_formats=encoding_format"),
    inference=False,
    content="openai.text",
)
IMAGES: Final = Surface(
    operation="generate_content",
    usage=RESPONSES_USAGE,
    request=asked("choices=n"),
    events=Events(
        kind="type", parts={"image_generation.completed": Part(), "image_edit.completed": Part()}, errors={"error": ()}
    ),
    attributes={a.GEN_AI_OUTPUT_TYPE: "image"},
)
TRANSCRIPTION: Final = Surface(
    operation="generate_content",
    usage=AUDIO_USAGE,
    events=Events(kind="type", parts={"transcript.text.done": Part()}),
    attributes={a.GEN_AI_OUTPUT_TYPE: "text"},
)
SPEECH: Final = Surface(operation="generate_content", attributes={a.GEN_AI_OUTPUT_TYPE: "speech"})
AUDIO: Final = {
    "POST /audio/transcriptions": TRANSCRIPTION,
    "POST /audio/translations": TRANSCRIPTION,
    "POST /audio/speech": SPEECH,
}
BATCHED: Final = Answer(status="status")
BATCH: Final = Surface(
    operation="create_batch", usage=RESPONSES_USAGE, answer=BATCHED, billed="later", batch=True, metrics=False
)
FETCHED_BATCH: Final = Surface(
    operation="fetch_response", usage=RESPONSES_USAGE, answer=BATCHED, billed="fetched", batch=True, inference=False
)
