"""openai 1, 2 and 3: OpenAI, Azure OpenAI, and every OpenAI-compatible host called through this SDK.

Sources: the SDK's own types (3.57.0), recorded traffic; semconv reference, 5.1 and 5.5. Longer than others: no
provider has more surfaces, some of them only OpenAI's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tracetoll import usage as u
from tracetoll.providers import compatible
from tracetoll.providers.words import Answer, Events, Observed, Part, Stainless, Surface, as_text, paths, unless_auto
from tracetoll.usage import UsageMap
from tracetoll_semconv import attributes as a

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

SERVED_BY: Final = {"service_tier": (a.OPENAI_REQUEST_SERVICE_TIER, unless_auto)}
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

CHAT: Final = replace(
    compatible.CHAT,
    request={**compatible.CHAT_REQUEST, **SERVED_BY},
    answer=replace(compatible.CHAT.answer, attributes=TOLD),
    attributes={a.OPENAI_API_TYPE: "chat_completions"},
    longest_answers=LONGEST,
)
COMPLETIONS: Final = replace(compatible.COMPLETIONS, request=CHAT.request, answer=CHAT.answer)
RESPONSES: Final = replace(
    compatible.RESPONSES,
    request={**compatible.RESPONSES_REQUEST, **SERVED_BY},
    answer=replace(compatible.RESPONSE, attributes={"service_tier": TOLD["service_tier"]}),
    attributes={a.OPENAI_API_TYPE: "responses"},
    longest_answers=LONGEST,
)
FETCHED_RESPONSE: Final = replace(compatible.FETCHED_RESPONSE, answer=RESPONSES.answer, attributes=RESPONSES.attributes)
COMPACTION: Final = Surface(
    operation="chat", usage=RESPONSES.usage, request=RESPONSES.request, attributes=RESPONSES.attributes
)
MODERATION: Final = Surface(operation="moderation", metrics=False)
TOKEN_COUNT: Final = Surface(operation="count_tokens", metrics=False)

# A run's steps carry usage too; the run's own is their sum.
RUN: Final = Answer(error=("last_error", "code"), status="status")
RUN_EVENTS: Final = Events(
    kind="event",
    parts={
        "thread.run.created": Part(("data",), compatible.STARTED),
        **{
            f"thread.run.{state}": Part(("data",))
            for state in ("completed", "incomplete", "failed", "cancelled", "expired", "requires_action")
        },
    },
    errors={"error": ("data", "code")},
)
RUNS: Final = Surface(
    operation="chat", usage=CHAT.usage, request=CHAT.request, answer=RUN, events=RUN_EVENTS, billed="later"
)
FETCHED_RUN: Final = Surface(
    operation="fetch_response", usage=CHAT.usage, answer=RUN, events=RUN_EVENTS, billed="fetched", inference=False
)
# A session's usage is that of all its turns so far. A turn's own, which comes earlier, leaves out subagents.
SESSION: Final = Answer(
    model_in="agent", status="status", pending=frozenset({"idle", "in_progress", "requires_action"})
)
SESSION_EVENTS: Final = Events(
    kind="type",
    parts={
        f"agent.session.{state}": Part(("session",))
        for state in ("created", "in_progress", "requires_action", "idle", "budget_reached", "failed")
    },
    errors={"error": ("error", "code")},
)
SESSIONS: Final = Surface(
    operation="invoke_agent",
    usage=RESPONSES.usage,
    request={
        "agent": {
            "model": (a.GEN_AI_REQUEST_MODEL, as_text),
            "reasoning": {"effort": (a.GEN_AI_REQUEST_REASONING_LEVEL, as_text)},
        },
        "agent_id": (a.GEN_AI_AGENT_ID, as_text),
    },
    answer=SESSION,
    events=SESSION_EVENTS,
    billed="later",
    grows=True,
)
FETCHED_SESSION: Final = Surface(
    operation="fetch_response",
    usage=RESPONSES.usage,
    answer=SESSION,
    events=SESSION_EVENTS,
    billed="fetched",
    grows=True,
    inference=False,
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
        "POST /responses/{id}/cancel": FETCHED_RESPONSE,
        "POST /responses/compact": COMPACTION,
        "POST /responses/input_tokens": TOKEN_COUNT,
        "POST /embeddings": compatible.EMBEDDINGS,
        "POST /images/generations": compatible.IMAGES,
        "POST /images/edits": compatible.IMAGES,
        "POST /images/variations": compatible.IMAGES,
        **compatible.AUDIO,
        "POST /moderations": MODERATION,
        "POST /threads/runs": RUNS,
        "POST /threads/{id}/runs": RUNS,
        "POST /threads/{id}/runs/{id}/submit_tool_outputs": RUNS,
        "GET /threads/{id}/runs/{id}": FETCHED_RUN,
        "POST /threads/{id}/runs/{id}/cancel": FETCHED_RUN,
        "POST /batches": compatible.BATCH,
        "GET /batches/{id}": compatible.FETCHED_BATCH,
        "POST /batches/{id}/cancel": compatible.FETCHED_BATCH,
        "POST /agents/sessions": SESSIONS,
        "GET /agents/sessions/{id}": FETCHED_SESSION,
        "GET /agents/sessions/{id}/events": FETCHED_SESSION,
        "POST /decisions": Surface(operation="generate_content", usage=RESPONSES.usage),
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
            Surface(
                operation="generate_content",
                usage=REALTIME_USAGE,
                answer=replace(RESPONSES.answer, model="", error=("status_details", "error", "code")),
            ),
        ),
        "conversation.item.input_audio_transcription.completed": (
            (),
            replace(compatible.TRANSCRIPTION, answer=Answer(id="item_id", model="")),
        ),
    },
    models={"session.created": ("session", "model"), "session.updated": ("session", "model")},
)

SEAMS: Final = (SDK, REALTIME)
