"""mistralai 1, 2 and 3: Mistral's API, and its models on Azure and Vertex AI.

Sources: the SDK's sources and types (1.0 to 3.7), recorded traffic, docs.mistral.ai; semconv reference, 5.5. All its
surfaces but the websockets pass through two methods. Conversations count what connectors brought beside the prompt:
188 + 7112 + 55 = 7355 tokens (docs.mistral.ai/agents/connectors/websearch, read 2026-11).
Longer than 80 lines: ten surfaces.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tracetoll import usage as u
from tracetoll.providers.compatible import CHAT_REQUEST, CHAT_USAGE, RESPONSES
from tracetoll.providers.openai import MODERATION, TOKEN_COUNT
from tracetoll.providers.waists import Body, Function, Waist
from tracetoll.providers.words import Answer, Choices, Events, Part, Surface, as_text, asked, paths
from tracetoll.usage import UsageMap
from tracetoll_semconv import attributes as a

USAGE: Final = UsageMap(fields={**CHAT_USAGE.fields, "prompt_audio_seconds": u.SECONDS}, fallbacks=CHAT_USAGE.fallbacks)
TOLD: Final = {"usage": {"service_tier": (a.SERVICE_TIER, as_text)}}
CHAT: Final = Surface(
    operation="chat",
    usage=USAGE,
    request={
        **CHAT_REQUEST,
        **asked("seed=random_seed"),
        "agent_id": (a.GEN_AI_AGENT_ID, as_text),
        "service_tier": (a.SERVICE_TIER, as_text),
    },
    answer=Answer(finish=Choices(values={"model_length": "length"}), attributes=TOLD),
    events=Events(),
    output_caps=("max_tokens",),
    content="openai.chat",
)
CONVERSATION: Final = Surface(
    operation="chat",
    usage=UsageMap(
        fields={
            **USAGE.fields,
            "connector_tokens": u.TOOL_USE_INPUT,
            "connectors": {"web_search": u.WEB_SEARCHES, "web_search_premium": u.WEB_SEARCHES},
        },
        added={u.TOOL_USE_INPUT: u.INPUT},
    ),
    request={"completion_args": CHAT.request, "agent_id": (a.GEN_AI_AGENT_ID, as_text)},
    answer=Answer(attributes={"conversation_id": (a.GEN_AI_CONVERSATION_ID, as_text)}, id="", model_in="outputs"),
    events=Events(
        kind="type",
        parts={
            "conversation.response.started": Part(),
            "message.output.delta": Part(answer=Answer(id="", usage=())),
            "conversation.response.done": Part(),
        },
        errors={"conversation.response.error": ("code",)},
    ),
    output_caps=("completion_args.max_tokens",),
)
EMBED: Final = Surface(
    operation="embeddings",
    usage=replace(USAGE, total_is_input=True),
    request=asked("dimensions=output_dimension encoding_formats=encoding_format"),
    inference=False,
)
PAGES: Final = Surface(
    operation="generate_content",
    usage=UsageMap(fields={"pages_processed": u.PAGES}),
    answer=Answer(id="", usage=paths("usage_info")),
    attributes={a.GEN_AI_OUTPUT_TYPE: "text"},
)
HEARD: Final = Surface(
    operation="generate_content",
    usage=USAGE,
    events=Events(kind="type", parts={"transcription.done": Part()}),
    attributes={a.GEN_AI_OUTPUT_TYPE: "text"},
)
SPEECH: Final = Surface(
    operation="generate_content",
    events=Events(kind="type", parts={"speech.audio.done": Part(answer=Answer(usage_map=USAGE))}),
    attributes={a.GEN_AI_OUTPUT_TYPE: "speech"},
)
CLASSES: Final = replace(MODERATION, operation="classify")
# mistralai 1 has Azure and Vertex AI in packages of their own.
SDKS: Final = ("mistralai", "mistralai_azure", "mistralai_gcp")
CLIENTS: Final = ("mistralai.client", "mistralai.azure.client", "mistralai.gcp.client")
API: Final = Waist(
    name="mistral",
    provider="mistral_ai",
    renamed={"azure.ai.openai": "azure.ai.inference"},
    functions=tuple(
        Function(at=f"{sdk}.basesdk:BaseSDK.{name}", asynchronous=waits, result="response", streams=("stream",))
        for sdk in (*SDKS, *CLIENTS)
        for name, waits in (("do_request", False), ("do_request_async", True))
    ),
    attempts=tuple(Function(at=f"{sdk}._hooks.sdkhooks:SDKHooks.before_request") for sdk in (*SDKS, *CLIENTS)),
    # mistralai 1.10 to 2.0 tell of calls wherever there is a tracer provider, later ones where they are given one.
    own_tracers=tuple(f"{sdk}._hooks.tracing:get_or_create_otel_tracer" for sdk in (SDKS[0], CLIENTS[0])),
    readers=tuple(f"{sdk}.utils.eventstreaming:stream_events_async" for sdk in (*SDKS, *CLIENTS)),
    key=paths("request.method", "request.url"),
    body=Body(at=("request",), form="request"),
    base_url=("request", "url"),
    error_codes=paths("type", "code"),
    surfaces={
        "POST /chat/completions": CHAT,
        "POST /agents/completions": CHAT,
        "POST /rawPredict": CHAT,
        "POST /streamRawPredict": CHAT,
        "POST /fim/completions": replace(CHAT, operation="text_completion", content="openai.text"),
        "POST /conversations": CONVERSATION,
        "POST /conversations/{id}": CONVERSATION,
        "POST /conversations/{id}/restart": CONVERSATION,
        "POST /responses": replace(RESPONSES, billed="now"),
        "POST /responses/input_tokens": TOKEN_COUNT,
        "POST /embeddings": EMBED,
        "POST /ocr": PAGES,
        "POST /audio/transcriptions": HEARD,
        "POST /audio/speech": SPEECH,
        "POST /moderations": MODERATION,
        "POST /chat/moderations": MODERATION,
        "POST /classifications": CLASSES,
        "POST /chat/classifications": CLASSES,
    },
)

SEAMS: Final = (API,)
