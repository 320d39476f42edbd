"""anthropic 0, 1 and 2: Anthropic itself, and Claude on Bedrock, Vertex and Foundry through this SDK.

Sources: the SDK's own types (2.12.0), recorded traffic; semconv reference, 5.2. Anthropic's input leaves
out what was cached. In a stream, input and cache come first and may be told again, the output comes last.
Longer than others: a stream tells usage in two shapes, and steps are billed beside the rest.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tracetoll import usage as u
from tracetoll.providers.words import Answer, Events, Part, Reason, Stainless, Surface, as_text, asked, paths
from tracetoll.usage import UsageMap
from tracetoll_semconv import attributes as a

USAGE: Final = UsageMap(
    fields={
        "input_tokens": u.INPUT,
        "output_tokens": u.OUTPUT,
        "cache_read_input_tokens": u.CACHE_READ,
        "cache_creation_input_tokens": u.CACHE_WRITE,
        "cache_creation": {
            "ephemeral_5m_input_tokens": u.CACHE_WRITE_5M,
            "ephemeral_1h_input_tokens": u.CACHE_WRITE_1H,
        },
        "output_tokens_details": {"thinking_tokens": u.REASONING},
        "server_tool_use": {"web_search_requests": u.WEB_SEARCHES, "web_fetch_requests": u.WEB_FETCHES},
    },
    cache="beside",
    sides="iterations",
    own_steps=frozenset({"message", "fallback_message"}),  # compaction and advisors are billed beside the rest
)
# At the start of a stream, the output is a placeholder of a few tokens.
USAGE_AT_START: Final = replace(USAGE, fields={**USAGE.fields, "output_tokens": u.OUTPUT_SO_FAR})

REQUEST: Final = asked(
    "max_tokens max_tokens=max_tokens_to_sample temperature top_p top_k stop=stop_sequences "
    "reasoning=output_config.effort"
)
REASONS: Final = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_call"}
PRICED_BY: Final = {
    "usage": {
        "service_tier": (a.SERVICE_TIER, as_text),
        "inference_geo": (a.INFERENCE_GEO, as_text),
    },
}
MESSAGE: Final = Answer(finish=Reason(("stop_reason",), REASONS), attributes=PRICED_BY)
DELTA: Final = Answer(id="", model="", finish=Reason(("delta", "stop_reason"), REASONS), attributes=PRICED_BY)

EVENTS: Final = Events(
    kind="type",
    parts={
        "message_start": Part(("message",), replace(MESSAGE, usage_map=USAGE_AT_START)),
        "message_delta": Part((), DELTA),
    },
    errors={"error": ("error", "type")},
)

MESSAGES: Final = Surface(
    operation="chat",
    usage=USAGE,
    request=REQUEST,
    answer=MESSAGE,
    events=EVENTS,
    output_caps=("max_tokens",),
    content="anthropic.messages",
)
COUNT: Final = Surface(operation="count_tokens", metrics=False)
COMPLETE: Final = Surface(
    operation="text_completion", request=REQUEST, answer=Answer(finish=Reason(("stop_reason",), REASONS))
)
BATCH_RESULTS: Final = Surface(
    operation="fetch_response",
    line=replace(MESSAGES, events=None, batch=True),
    line_at=("result", "message"),
    metrics=False,
)

SDK: Final = Stainless(
    name="anthropic",
    module="anthropic",
    provider="anthropic",
    classes={"Bedrock": "aws.bedrock", "Vertex": "gcp.vertex_ai", "Foundry": "azure.ai.inference"},
    renamed={"azure.ai.openai": "azure.ai.inference"},  # Claude is not called OpenAI's
    error_codes=paths("body.error.type", "type"),
    own_spans="start_api_call_span",  # anthropic >= 1.14 emits a span per call of its own
    surfaces={
        "POST /v1/messages": MESSAGES,
        "POST /v1/messages/count_tokens": COUNT,
        "POST /v1/complete": COMPLETE,
        "GET /v1/messages/batches/{id}/results": BATCH_RESULTS,
    },
)

SEAMS: Final = (SDK,)
