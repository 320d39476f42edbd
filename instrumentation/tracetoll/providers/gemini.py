"""Gemini's wire format: what Google's own SDKs, on Gemini and on Vertex AI, have in common.

Sources: ai.google.dev/api and the types of google-genai 3.6.1; semconv reference, 5.4. Gemini counts thoughts
beside the candidates, and what its tools brought beside the prompt.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from tracetoll import usage as u
from tracetoll.providers.words import (
    Answer,
    Choices,
    Events,
    Surface,
    as_count,
    as_float,
    as_int,
    as_output_type,
    as_text,
    as_texts,
    more_than_one,
    paths,
)
from tracetoll.reading import path
from tracetoll.usage import Parts, Sum, UsageMap
from tracetoll_semconv import attributes as a


def by_modality(number: str = "tokenCount", **names: str) -> Parts:
    """Return how a list of modalities is read: the counts of text, image, video, audio and document."""
    # Some SDKs hand on the enum's numbers, which stand in the order of its names.
    order = ("text", "image", "video", "audio", "document")
    numbered = {str(place): names[name] for place, name in enumerate(order, 1) if name in names}
    return Parts("modality", number, {**names, **numbered})


INPUT_BY: Final = {
    "text": u.TEXT_INPUT,
    "image": u.IMAGE_INPUT,
    "video": u.VIDEO_INPUT,
    "audio": u.AUDIO_INPUT,
    "document": u.DOCUMENT_INPUT,
}
READ_BY: Final = {"text": u.TEXT_CACHE_READ, "image": u.IMAGE_CACHE_READ, "audio": u.AUDIO_CACHE_READ}
OUTPUT_BY: Final = {"text": u.TEXT_OUTPUT, "image": u.IMAGE_OUTPUT, "audio": u.AUDIO_OUTPUT}
INPUTS: Final = by_modality(**INPUT_BY)
OUTPUTS: Final = by_modality(**OUTPUT_BY)
USAGE: Final = UsageMap(
    fields={
        "promptTokenCount": u.INPUT,
        "toolUsePromptTokenCount": u.TOOL_USE_INPUT,
        "cachedContentTokenCount": u.CACHE_READ,
        "candidatesTokenCount": u.OUTPUT,
        "responseTokenCount": u.OUTPUT,
        "thoughtsTokenCount": u.REASONING,
        "totalTokenCount": u.WIRE_TOTAL,
        "promptTokensDetails": INPUTS,
        "promptTokenDetails": INPUTS,
        "cacheTokensDetails": by_modality(**READ_BY),
        "candidatesTokensDetails": OUTPUTS,
        "responseTokensDetails": OUTPUTS,
    },
    added={u.TOOL_USE_INPUT: u.INPUT, u.REASONING: u.OUTPUT},
    snapshots=True,
)
CONFIG: Final[dict[str, Any]] = {
    "maxOutputTokens": (a.GEN_AI_REQUEST_MAX_TOKENS, as_int),
    "temperature": (a.GEN_AI_REQUEST_TEMPERATURE, as_float),
    "topP": (a.GEN_AI_REQUEST_TOP_P, as_float),
    "topK": (a.GEN_AI_REQUEST_TOP_K, as_count),  # google-genai sends a float
    "stopSequences": (a.GEN_AI_REQUEST_STOP_SEQUENCES, as_texts),
    "seed": (a.GEN_AI_REQUEST_SEED, as_int),
    "frequencyPenalty": (a.GEN_AI_REQUEST_FREQUENCY_PENALTY, as_float),
    "presencePenalty": (a.GEN_AI_REQUEST_PRESENCE_PENALTY, as_float),
    "candidateCount": (a.GEN_AI_REQUEST_CHOICE_COUNT, more_than_one),
    "responseMimeType": (a.GEN_AI_OUTPUT_TYPE, as_output_type),
    "thinkingConfig": {"thinkingLevel": (a.GEN_AI_REQUEST_REASONING_LEVEL, as_text)},
}
DIMENSIONS: Final = (a.GEN_AI_EMBEDDINGS_DIMENSION_COUNT, as_int)
REASONS: Final = {"STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "content_filter", "RECITATION": "content_filter"}
PRICED_BY: Final = {"trafficType": (a.SERVICE_TIER, as_text), "serviceTier": (a.SERVICE_TIER, as_text)}
GENERATE: Final = Surface(
    operation="generate_content",
    usage=USAGE,
    request={"generationConfig": CONFIG},
    answer=Answer(
        id="responseId",
        model="modelVersion",
        usage=paths("usageMetadata"),
        finish=Choices("candidates", "finishReason", REASONS),
        error=("error", "status"),
        attributes={"usageMetadata": PRICED_BY},
    ),
    events=Events(),
    output_caps=("generationConfig.maxOutputTokens",),
    choices=("generationConfig", "candidateCount"),
)
EMBED: Final = Surface(
    operation="embeddings",
    usage=UsageMap(
        fields={
            "usageMetadata": {"promptTokenCount": u.INPUT, "promptTokenDetails": INPUTS, "promptTokensDetails": INPUTS},
            "predictions": Sum(u.INPUT, "embeddings.statistics.token_count"),
        },
    ),
    request={"outputDimensionality": DIMENSIONS, "parameters": {"outputDimensionality": DIMENSIONS}},
    answer=Answer(usage=((),)),
    inference=False,
)
IMAGES: Final = Surface(
    operation="generate_content",
    usage=UsageMap(fields={"predictions": Sum(u.IMAGES, "bytesBase64Encoded", "gcsUri", of="elements")}),
    request={"parameters": {"sampleCount": (a.GEN_AI_REQUEST_CHOICE_COUNT, more_than_one)}},
    answer=Answer(usage=((),)),
    attributes={a.GEN_AI_OUTPUT_TYPE: "image"},
)
VIDEOS: Final = Surface(operation="generate_content")
LIVE_INPUTS: Final = by_modality("token_count", **INPUT_BY)
# What the SDK has made of a message of the Live API; each tells of what was said since the one before it.
LIVE: Final = Surface(
    operation="generate_content",
    usage=UsageMap(
        fields={
            "prompt_token_count": u.INPUT,
            "tool_use_prompt_token_count": u.TOOL_USE_INPUT,
            "cached_content_token_count": u.CACHE_READ,
            "response_token_count": u.OUTPUT,
            "thoughts_token_count": u.REASONING,
            "prompt_tokens_details": LIVE_INPUTS,
            "cache_tokens_details": by_modality("token_count", **READ_BY),
            "response_tokens_details": by_modality("token_count", **OUTPUT_BY),
        },
        added=USAGE.added,
    ),
    answer=Answer(id="", model="", usage=paths("usage_metadata")),
)
COUNT: Final = Surface(operation="count_tokens", metrics=False)
BATCH: Final = Surface(operation="create_batch", metrics=False)
FETCHED_BATCH: Final = Surface(
    operation="fetch_response",
    line=replace(GENERATE, events=None, batch=True),
    line_at=("response",),
    lines=path("response.inlinedResponses.inlinedResponses"),
    metrics=False,
)
