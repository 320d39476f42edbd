"""InvokeModel's formats on Amazon Bedrock: each maker's own requests and answers, and what Bedrock itself metered.

Sources: the parameters of the models in Bedrock's user guide, recorded traffic; semconv reference, 5.3. Longer than
80 lines because there is a format per maker. Answers tell these formats apart by their fields, so one table reads
them all, whatever an ARN hides; what was metered fills the gaps.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from tracetoll import usage as u
from tracetoll.providers.anthropic import EVENTS as CLAUDE_EVENTS
from tracetoll.providers.anthropic import REQUEST as CLAUDE_REQUEST
from tracetoll.providers.anthropic import USAGE as CLAUDE_USAGE
from tracetoll.providers.waists import Family
from tracetoll.providers.words import (
    Answer,
    Choices,
    OneOf,
    Part,
    Reason,
    Surface,
    as_text,
    asked,
    paths,
)
from tracetoll.usage import Parts, Sum, UsageMap
from tracetoll_semconv import attributes as a

TOKENS: Final[dict[str, Any]] = {
    "inputTokens": u.INPUT,
    "outputTokens": u.OUTPUT,
    "cacheReadInputTokens": u.CACHE_READ,
    "cacheReadInputTokenCount": u.CACHE_READ,
    "cacheWriteInputTokens": u.CACHE_WRITE,
    "cacheWriteInputTokenCount": u.CACHE_WRITE,
    "cacheDetails": Parts("ttl", "inputTokens", {"5m": u.CACHE_WRITE_5M, "1h": u.CACHE_WRITE_1H}),
}
BILLED: Final = {"meta": {"billed_units": {"input_tokens": u.INPUT, "output_tokens": u.OUTPUT}}}
USAGE: Final = replace(
    CLAUDE_USAGE,
    fields={
        **CLAUDE_USAGE.fields,
        **TOKENS,  # Nova
        "prompt_tokens": u.WHOLE_INPUT,  # OpenAI, AI21 and imported models
        "completion_tokens": u.OUTPUT,
        "prompt_tokens_details": {"cached_tokens": u.CACHE_READ},
        "completion_tokens_details": {"reasoning_tokens": u.REASONING},
        "prompt_token_count": u.INPUT,  # Llama
        "generation_token_count": u.OUTPUT,
        "inputTextTokenCount": u.INPUT,  # Titan
        "totalOutputTextTokenCount": u.OUTPUT,
        "results": Sum(u.OUTPUT, "tokenCount"),
        **BILLED,  # Cohere
        "response": BILLED,
    },
)
METERED: Final = UsageMap(
    fields={
        "inputTokenCount": u.INPUT,
        "outputTokenCount": u.OUTPUT,
        "cacheReadInputTokenCount": u.CACHE_READ,
        "cacheWriteInputTokenCount": u.CACHE_WRITE,
        "x-amzn-bedrock-input-token-count": u.INPUT,
        "x-amzn-bedrock-output-token-count": u.OUTPUT,
        "x-amzn-bedrock-cache-read-input-token-count": u.CACHE_READ,
        "x-amzn-bedrock-cache-write-input-token-count": u.CACHE_WRITE,
    }
)
INFERENCE: Final = asked(
    "max_tokens=maxTokens max_tokens=max_new_tokens max_tokens=maxTokenCount temperature "
    "top_p=topP top_p top_k=topK top_k stop=stopSequences"
)
GUARDRAIL: Final = {"guardrailIdentifier": (a.AWS_BEDROCK_GUARDRAIL_ID, as_text)}
REQUEST: Final[dict[str, Any]] = {
    **CLAUDE_REQUEST,
    **INFERENCE,
    **asked("top_p=p top_k=k stop max_tokens=max_gen_len max_tokens=max_completion_tokens"),
    "inferenceConfig": INFERENCE,
    "textGenerationConfig": INFERENCE,
    **GUARDRAIL,
}
REASONS: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "FINISH": "stop",
    "COMPLETE": "stop",
    "endoftext": "stop",
    "max_tokens": "length",
    "LENGTH": "length",
    "MAX_TOKENS": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "CONTENT_FILTERED": "content_filter",
    "STOP_CRITERIA_MET": "stop",
    "tool_use": "tool_call",
}
STOP_REASON: Final = Reason(("stopReason",), REASONS)
STREAMED_STOP: Final = Reason(("messageStop", "stopReason"), REASONS)

CHAT: Final = Surface(
    operation="chat",
    usage=USAGE,
    metered=METERED,
    request=REQUEST,
    answer=Answer(
        usage=paths("usage", "metadata.usage", ""),
        metered="amazon-bedrock-invocationMetrics",
        finish=OneOf(
            (
                Choices(values=REASONS),
                Choices("outputs", "stop_reason", REASONS),
                Choices("generations", "finish_reason", REASONS),
                Choices("results", "completionReason", REASONS),
                Reason(("stop_reason",), REASONS),
                Reason(("completionReason",), REASONS),
                Reason(("finish_reason",), REASONS),
                STOP_REASON,
                STREAMED_STOP,
            )
        ),
    ),
    events=replace(CLAUDE_EVENTS, otherwise=Part()),
    output_caps=(
        *("max_tokens_to_sample", "max_gen_len", "maxTokens", "textGenerationConfig.maxTokenCount"),
        *("inferenceConfig.maxTokens", "inferenceConfig.max_new_tokens", "max_completion_tokens", "max_tokens"),
    ),
    adds_cap=False,
)
TEXT: Final = replace(CHAT, operation="text_completion")
EMBED: Final = replace(CHAT, operation="embeddings", output_caps=(), inference=False)
IMAGE: Final = Surface(operation="generate_content", request=REQUEST)
CAPPED, GPT, NOVA, TITAN, LLAMA, JURASSIC = (
    replace(surface, output_caps=caps, adds_cap=True)
    for surface, caps in (
        (CHAT, ("max_tokens",)),
        (CHAT, ("max_tokens", "max_completion_tokens")),
        (CHAT, ("inferenceConfig.max_new_tokens", "inferenceConfig.maxTokens")),
        (TEXT, ("textGenerationConfig.maxTokenCount",)),
        (TEXT, ("max_gen_len",)),
        (TEXT, ("maxTokens",)),
    )
)
# By name where it tells, else by fields that only one maker's requests have.
FAMILIES: Final = (
    Family(surface=EMBED, models=("*embed*",)),
    Family(surface=replace(EMBED, operation="rerank"), models=("*rerank*",)),
    Family(surface=IMAGE, models=("*stability.*", "*.nova-canvas*", "*.titan-image*")),
    Family(surface=replace(TEXT, output_caps=("max_tokens_to_sample",), adds_cap=True), has="max_tokens_to_sample"),
    Family(surface=CAPPED, models=("*anthropic.claude*",)),
    Family(surface=CAPPED, has="anthropic_version"),
    Family(surface=NOVA, models=("*amazon.nova*",)),
    Family(surface=TITAN, models=("*amazon.titan-t*",)),
    Family(surface=TITAN, has="textGenerationConfig"),
    Family(surface=LLAMA, models=("*meta.llama*",)),
    Family(surface=LLAMA, has="max_gen_len"),
    Family(surface=JURASSIC, models=("*ai21.j2*",)),
    Family(surface=replace(CAPPED, operation="text_completion"), models=("*mistral.*", "*cohere.*"), has="prompt"),
    Family(surface=CAPPED, models=("*mistral.*", "*cohere.*", "*ai21.*", "*deepseek.*", "*qwen.*")),
    Family(surface=GPT, models=("*openai.*",)),
    Family(surface=TEXT, has="prompt"),
)
