"""The wire format of Google's Interactions API, which google-genai speaks in two ways, by its version.

Sources: the types of google-genai 1.75 and 3.6.1, recorded traffic; semconv reference, 5.4. Thoughts stand beside
the output, and what tools brought beside the input. A stream tells what was used so far now and then.
Longer than 80 lines: one format on two wires.
"""

from __future__ import annotations

from typing import Final

from tracetoll import usage as u
from tracetoll.providers.gemini import INPUT_BY, OUTPUT_BY, PRICED_BY, READ_BY, by_modality
from tracetoll.providers.words import Answer, Events, Part, Status, Surface, as_float, as_int, as_text, as_texts, paths
from tracetoll.usage import Parts, UsageMap
from tracetoll_semconv import attributes as a

USAGE: Final = UsageMap(
    fields={
        "total_tokens": u.WIRE_TOTAL,
        "total_input_tokens": u.INPUT,
        "total_output_tokens": u.OUTPUT,
        "total_thought_tokens": u.REASONING,
        "total_reasoning_tokens": u.REASONING,
        "total_cached_tokens": u.CACHE_READ,
        "total_tool_use_tokens": u.TOOL_USE_INPUT,
        "input_tokens_by_modality": by_modality("tokens", **INPUT_BY),
        "cached_tokens_by_modality": by_modality("tokens", **READ_BY),
        "output_tokens_by_modality": by_modality("tokens", **OUTPUT_BY),
        "grounding_tool_count": Parts("type", "count", {"google_search": u.WEB_SEARCHES}),
    },
    added={u.TOOL_USE_INPUT: u.INPUT, u.REASONING: u.OUTPUT},
    snapshots=True,
)
ANSWER: Final = Answer(
    finish=Status(
        values={
            "completed": "stop",
            "incomplete": "length",
            "requires_continuation": "length",
            "budget_exceeded": "length",
            "requires_action": "tool_calls",
            "failed": "error",
            "cancelled": "error",
        },
    ),
    error=("error", "code"),
    status="status",
    pending=frozenset({"queued", "in_progress"}),
    attributes={"service_tier": PRICED_BY["serviceTier"]},
)
STARTED: Final = Part(("interaction",), Answer(usage=()))
SO_FAR: Final = Part((), Answer(id="", model="", usage=paths("metadata.usage")))
WHOLE: Final = Part(("interaction",))
EVENTS: Final = Events(
    kind="event_type",
    parts={
        "interaction.created": STARTED,
        "interaction.start": STARTED,  # google-genai 1
        **{f"step.{moment}": SO_FAR for moment in ("start", "delta", "stop")},
        "interaction.completed": WHOLE,
        "interaction.complete": WHOLE,  # google-genai 1
    },
    errors={"error": ("error", "code")},
)
CREATED: Final = Surface(
    operation="generate_content",
    usage=USAGE,
    request={
        "agent": (a.GEN_AI_AGENT_NAME, as_text),
        "previous_interaction_id": (a.GEN_AI_REQUEST_PREVIOUS_RESPONSE_ID, as_text),
        "generation_config": {
            "max_output_tokens": (a.GEN_AI_REQUEST_MAX_TOKENS, as_int),
            "temperature": (a.GEN_AI_REQUEST_TEMPERATURE, as_float),
            "top_p": (a.GEN_AI_REQUEST_TOP_P, as_float),
            "seed": (a.GEN_AI_REQUEST_SEED, as_int),
            "stop_sequences": (a.GEN_AI_REQUEST_STOP_SEQUENCES, as_texts),
            "thinking_level": (a.GEN_AI_REQUEST_REASONING_LEVEL, as_text),
        },
    },
    answer=ANSWER,
    events=EVENTS,
    output_caps=("generation_config.max_output_tokens",),
    billed="later",
)
FETCHED: Final = Surface(
    operation="fetch_response", usage=USAGE, answer=ANSWER, events=EVENTS, billed="fetched", inference=False
)
SURFACES: Final = {
    "POST /interactions": CREATED,
    "GET /interactions/{id}": FETCHED,
    "POST /interactions/{id}/cancel": FETCHED,
}
