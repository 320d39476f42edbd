"""openai 1, 2 and 3: OpenAI, Azure OpenAI, and every OpenAI-compatible host called through this SDK.

Sources: the SDK's own types (3.54.0), recorded traffic; semconv reference, 5.1 and 5.5. Longer than others: no
provider has more surfaces, and no other SDK is used for so many hosts that each put the numbers elsewhere.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from tracetoll import usage as u
from tracetoll.providers.words import (
    Answer,
    Choices,
    Events,
    Observed,
    Part,
    Stainless,
    Status,
    Surface,
    as_float,
    as_int,
    as_output_type,
    as_text,
    as_texts,
    more_than_one,
    paths,
    unless_auto,
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
    fallbacks={"prompt_tokens": u.INPUT, "completion_tokens": u.OUTPUT},
)
AUDIO_USAGE: Final = UsageMap(
    fields={
        "input_tokens": u.INPUT,
        "output_tokens": u.OUTPUT,
        "input_token_details": {"audio_tokens": u.AUDIO_INPUT, "text_tokens": u.TEXT_INPUT},
        "seconds": u.SECONDS,
    },
)
REALTIME_USAGE: Final = UsageMap(
    fields={
        "input_tokens": u.INPUT,
        "output_tokens": u.OUTPUT,
        "input_token_details": {
            "cached_tokens": u.CACHE_READ,
            "text_tokens": u.TEXT_INPUT,
            "audio_tokens": u.AUDIO_INPUT,
            "image_tokens": u.IMAGE_INPUT,
            "cached_tokens_details": {
                "text_tokens": u.TEXT_CACHE_READ,
                "audio_tokens": u.AUDIO_CACHE_READ,
                "image_tokens": u.IMAGE_CACHE_READ,
            },
        },
        "output_token_details": {"text_tokens": u.TEXT_OUTPUT, "audio_tokens": u.AUDIO_OUTPUT},
    },
)

SAMPLING: Final[dict[str, Any]] = {
    "temperature": (a.GEN_AI_REQUEST_TEMPERATURE, as_float),
    "top_p": (a.GEN_AI_REQUEST_TOP_P, as_float),
    "service_tier": (a.OPENAI_REQUEST_SERVICE_TIER, unless_auto),
}
CHAT_REQUEST: Final[dict[str, Any]] = {
    **SAMPLING,
    "max_tokens": (a.GEN_AI_REQUEST_MAX_TOKENS, as_int),
    "max_completion_tokens": (a.GEN_AI_REQUEST_MAX_TOKENS, as_int),
    "frequency_penalty": (a.GEN_AI_REQUEST_FREQUENCY_PENALTY, as_float),
    "presence_penalty": (a.GEN_AI_REQUEST_PRESENCE_PENALTY, as_float),
    "stop": (a.GEN_AI_REQUEST_STOP_SEQUENCES, as_texts),
    "seed": (a.GEN_AI_REQUEST_SEED, as_int),
    "n": (a.GEN_AI_REQUEST_CHOICE_COUNT, more_than_one),
    "reasoning_effort": (a.GEN_AI_REQUEST_REASONING_LEVEL, as_text),
    "response_format": {"type": (a.GEN_AI_OUTPUT_TYPE, as_output_type)},
}
RESPONSES_REQUEST: Final[dict[str, Any]] = {
    **SAMPLING,
    "max_output_tokens": (a.GEN_AI_REQUEST_MAX_TOKENS, as_int),
    "previous_response_id": (a.GEN_AI_REQUEST_PREVIOUS_RESPONSE_ID, as_text),
    "conversation": (a.GEN_AI_CONVERSATION_ID, as_text),
    "reasoning": {"effort": (a.GEN_AI_REQUEST_REASONING_LEVEL, as_text)},
    "text": {"format": {"type": (a.GEN_AI_OUTPUT_TYPE, as_output_type)}},
    "prompt": {"id": (a.GEN_AI_PROMPT_NAME, as_text), "version": (a.GEN_AI_PROMPT_VERSION, as_text)},
}
EMBEDDING_REQUEST: Final[dict[str, Any]] = {
    "dimensions": (a.GEN_AI_EMBEDDINGS_DIMENSION_COUNT, as_int),
    "encoding_format": (a.GEN_AI_REQUEST_ENCODING_FORMATS, as_texts),
}
TOLD: Final = {
    "service_tier": (a.OPENAI_RESPONSE_SERVICE_TIER, as_text),
    "system_fingerprint": (a.OPENAI_RESPONSE_SYSTEM_FINGERPRINT, as_text),
}

# Maximum output tokens, by OpenAI's pages of its models (platform.openai.com/docs/models, read 2026-11).
LONGEST: Final = {
    "gpt-5-chat*": 16_384,
    "gpt-5*": 128_000,
    "gpt-4.1*": 32_768,
    "gpt-4.5*": 16_384,
    "gpt-4o*": 16_384,
    "chatgpt-4o*": 16_384,
    "gpt-4-turbo*": 4_096,
    "gpt-4-*preview": 4_096,
    "gpt-3.5-turbo*": 4_096,
    "o1-mini*": 65_536,
    "o1-preview*": 32_768,
    "o1*": 100_000,
    "o3*": 100_000,
    "o4*": 100_000,
}

CHAT: Final = Surface(
    operation="chat",
    usage=CHAT_USAGE,
    request=CHAT_REQUEST,
    answer=Answer(usage=paths("usage", "x_groq.usage"), finish=Choices(), error=("error", "code"), attributes=TOLD),
    events=Events(usage_on_request="stream_options"),
    attributes={a.OPENAI_API_TYPE: "chat_completions"},
    output_caps=("max_completion_tokens", "max_tokens"),
    longest_answers=LONGEST,
    content="openai.chat",
)
COMPLETIONS: Final = Surface(
    operation="text_completion",
    usage=CHAT_USAGE,
    request=CHAT_REQUEST,
    answer=CHAT.answer,
    events=CHAT.events,
    output_caps=("max_tokens",),
    content="openai.text",
)
RESPONSE: Final = Answer(
    finish=Status(
        values={"completed": "stop", "incomplete": "length", "failed": "error", "cancelled": "error"},
        reason=("incomplete_details", "reason"),
        reasons={"max_output_tokens": "length"},
        tool_calls=frozenset({"function_call", "custom_tool_call"}),
    ),
    error=("error", "code"),
    status="status",
    attributes={"service_tier": TOLD["service_tier"]},
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
    attributes={a.OPENAI_API_TYPE: "responses"},
    output_caps=("max_output_tokens",),
    longest_answers=LONGEST,
    content="openai.responses",
    billed="later",
)
FETCHED_RESPONSE: Final = Surface(
    operation="fetch_response",
    usage=RESPONSES_USAGE,
    answer=RESPONSE,
    events=RESPONSE_EVENTS,
    attributes=RESPONSES.attributes,
    billed="fetched",
    inference=False,
)
COMPACTION: Final = Surface(
    operation="chat", usage=RESPONSES_USAGE, request=RESPONSES_REQUEST, attributes=RESPONSES.attributes
)
EMBEDDINGS: Final = Surface(
    operation="embeddings", usage=EMBEDDING_USAGE, request=EMBEDDING_REQUEST, inference=False, content="openai.text"
)
IMAGES: Final = Surface(
    operation="generate_content",
    usage=RESPONSES_USAGE,
    request={"n": (a.GEN_AI_REQUEST_CHOICE_COUNT, more_than_one)},
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
MODERATION: Final = Surface(operation="moderation", metrics=False)
TOKEN_COUNT: Final = Surface(operation="count_tokens", metrics=False)

# A run's steps carry usage too; the run's own is their sum.
RUN: Final = Answer(error=("last_error", "code"), status="status")
RUN_EVENTS: Final = Events(
    kind="event",
    parts={
        "thread.run.created": Part(("data",), STARTED),
        **{
            f"thread.run.{state}": Part(("data",))
            for state in ("completed", "incomplete", "failed", "cancelled", "expired", "requires_action")
        },
    },
    errors={"error": ("data", "code")},
)
RUNS: Final = Surface(
    operation="chat", usage=CHAT_USAGE, request=CHAT_REQUEST, answer=RUN, events=RUN_EVENTS, billed="later"
)
FETCHED_RUN: Final = Surface(
    operation="fetch_response", usage=CHAT_USAGE, answer=RUN, events=RUN_EVENTS, billed="fetched", inference=False
)
BATCHED: Final = Answer(status="status")
BATCH: Final = Surface(
    operation="create_batch", usage=RESPONSES_USAGE, answer=BATCHED, billed="later", batch=True, metrics=False
)
FETCHED_BATCH: Final = Surface(
    operation="fetch_response", usage=RESPONSES_USAGE, answer=BATCHED, billed="fetched", batch=True, inference=False
)

SDK: Final = Stainless(
    name="openai",
    module="openai",
    provider="openai",
    classes={"AzureOpenAI": "azure.ai.openai"},
    error_codes=paths("code", "body.code", "body.error.code", "body.type", "type"),
    surfaces={
        "POST /chat/completions": CHAT,
        "POST /completions": COMPLETIONS,
        "POST /responses": RESPONSES,
        "GET /responses/{id}": FETCHED_RESPONSE,
        "POST /responses/compact": COMPACTION,
        "POST /responses/input_tokens": TOKEN_COUNT,
        "POST /embeddings": EMBEDDINGS,
        "POST /images/generations": IMAGES,
        "POST /images/edits": IMAGES,
        "POST /images/variations": IMAGES,
        "POST /audio/transcriptions": TRANSCRIPTION,
        "POST /audio/translations": TRANSCRIPTION,
        "POST /audio/speech": SPEECH,
        "POST /moderations": MODERATION,
        "POST /threads/runs": RUNS,
        "POST /threads/{id}/runs": RUNS,
        "POST /threads/{id}/runs/{id}/submit_tool_outputs": RUNS,
        "GET /threads/{id}/runs/{id}": FETCHED_RUN,
        "POST /batches": BATCH,
        "GET /batches/{id}": FETCHED_BATCH,
    },
)

# Every response of a session is billed on its own; the transcription of the user's speech is a second model's.
REALTIME: Final = Observed(
    name="openai",
    modules=("openai.resources.realtime.realtime", "openai.resources.beta.realtime.realtime"),
    classes=("RealtimeConnection", "AsyncRealtimeConnection"),
    method="parse_event",
    provider="openai",
    answers={
        "response.done": (
            ("response",),
            Surface(operation="generate_content", usage=REALTIME_USAGE, answer=replace(RESPONSE, model="")),
        ),
        "conversation.item.input_audio_transcription.completed": (
            (),
            replace(TRANSCRIPTION, answer=Answer(id="item_id", model="")),
        ),
    },
    models={"session.created": ("session", "model"), "session.updated": ("session", "model")},
)

SEAMS: Final = (SDK, REALTIME)
