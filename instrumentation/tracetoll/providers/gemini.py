"""Gemini's wire format: what Google's own SDKs, on Gemini and on Vertex AI, have in common.

Sources: ai.google.dev/api and the types of google-genai 3.6.1; semconv reference, 5.4. Gemini counts thoughts
beside the candidates, and what its tools brought beside the prompt. Longer than others: it is told by modality.
"""

from __future__ import annotations

from typing import Final

from tracetoll import usage as u
from tracetoll.providers.words import Answer, Choices, Events, Surface, asked, paths
from tracetoll.usage import Parts, UsageMap


def by_modality(*names: str) -> Parts:
    """Return how a list of modalities is read: the counts of text, image, video, audio and documents."""
    modalities = ("text", "image", "video", "audio", "document")
    told = dict(zip(modalities, names, strict=False))
    # Some SDKs hand on the enum's numbers.
    numbered = {str(number): told[name] for number, name in enumerate(modalities, 1) if name in told}
    return Parts("modality", "tokenCount", {**told, **numbered})


INPUTS: Final = by_modality(u.TEXT_INPUT, u.IMAGE_INPUT, u.VIDEO_INPUT, u.AUDIO_INPUT, u.DOCUMENT_INPUT)
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
        "cacheTokensDetails": by_modality(u.TEXT_CACHE_READ, u.IMAGE_CACHE_READ),
        "candidatesTokensDetails": by_modality(u.TEXT_OUTPUT, u.IMAGE_OUTPUT),
    },
    added={u.TOOL_USE_INPUT: u.INPUT, u.REASONING: u.OUTPUT},
    snapshots=True,
)
CONFIG: Final = asked(
    max_tokens="maxOutputTokens",
    temperature="temperature",
    top_p="topP",
    top_k="topK",
    stop="stopSequences",
    seed="seed",
    frequency_penalty="frequencyPenalty",
    presence_penalty="presencePenalty",
    choices="candidateCount",
    output_type="responseMimeType",
    reasoning="thinkingConfig.thinkingLevel",
)
REASONS: Final = {"STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "content_filter", "RECITATION": "content_filter"}
GENERATE: Final = Surface(
    operation="generate_content",
    usage=USAGE,
    request={"generationConfig": CONFIG},
    answer=Answer(
        id="responseId",
        model="modelVersion",
        usage=paths("usageMetadata"),
        finish=Choices("candidates", "finishReason", REASONS),
    ),
    events=Events(),
    output_caps=("generationConfig.maxOutputTokens",),
    choices=("generationConfig", "candidateCount"),
)
COUNT: Final = Surface(operation="count_tokens", metrics=False)
