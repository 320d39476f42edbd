"""One table per emitter. Names were read in each emitter's source or seen on its spans; see docs/side-by-side.md."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tracetoll import usage as u
from tracetoll.dialects.words import NAMES_OF_CALLS, OURS, Emitter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tracetoll.dialects.words import Aliases, Kind

_OPERATION: Final = "gen_ai.operation.name"

# Upstream's names, those of today first.
_UPSTREAM: Final[Mapping[str, Aliases]] = {
    u.INPUT: ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
    u.OUTPUT: ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
    u.CACHE_READ: ("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens"),
    u.CACHE_WRITE: (
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
    ),
    u.REASONING: ("gen_ai.usage.reasoning.output_tokens",),
    u.TEXT_INPUT: ("gen_ai.usage.text.input_tokens",),
    u.IMAGE_INPUT: ("gen_ai.usage.image.input_tokens",),
    u.AUDIO_INPUT: ("gen_ai.usage.audio.input_tokens",),
    u.TEXT_OUTPUT: ("gen_ai.usage.text.output_tokens",),
    u.IMAGE_OUTPUT: ("gen_ai.usage.image.output_tokens",),
    u.AUDIO_OUTPUT: ("gen_ai.usage.audio.output_tokens",),
    u.TEXT_CACHE_READ: ("gen_ai.usage.text.cache_read.input_tokens",),
    u.IMAGE_CACHE_READ: ("gen_ai.usage.image.cache_read.input_tokens",),
    u.AUDIO_CACHE_READ: ("gen_ai.usage.audio.cache_read.input_tokens",),
}


def _more(**aliases: Aliases) -> Mapping[str, Aliases]:
    """Return upstream's names with an emitter's own before them."""
    own = {
        "input": u.INPUT,
        "output": u.OUTPUT,
        "cache_read": u.CACHE_READ,
        "cache_write": u.CACHE_WRITE,
        "reasoning": u.REASONING,
        "audio_input": u.AUDIO_INPUT,
        "audio_output": u.AUDIO_OUTPUT,
        "audio_cache_read": u.AUDIO_CACHE_READ,
    }
    return {**_UPSTREAM, **{own[key]: (*names, *_UPSTREAM[own[key]]) for key, names in aliases.items()}}


_OPENINFERENCE_KINDS: Final[Mapping[str, Kind]] = {
    "LLM": "inference",
    "EMBEDDING": "embedding",
    "TOOL": "tool",
    "AGENT": "agent",
    "CHAIN": "agent",
    "*": "wrapper",
}

# Our own calls: a count is as the provider told it, and what a fetch tells is counted nowhere else.
TRACETOLL: Final = Emitter(
    name="tracetoll",
    scopes=("tracetoll",),
    counts={
        **{count: (f"gen_ai.usage.{count}",) for count in _UPSTREAM},
        **{
            count: (f"tracetoll.usage.{count}",)
            for count in (
                u.CACHE_WRITE_5M,
                u.CACHE_WRITE_30M,
                u.CACHE_WRITE_1H,
                u.CACHE_WRITE_12H,
                u.VIDEO_INPUT,
                u.DOCUMENT_INPUT,
                u.TOOL_USE_INPUT,
                u.CITATION_OUTPUT,
                u.ACCEPTED_PREDICTION_OUTPUT,
                u.REJECTED_PREDICTION_OUTPUT,
                u.WEB_SEARCHES,
                u.WEB_FETCHES,
                u.IMAGES,
                u.PAGES,
                u.SEARCH_UNITS,
                u.IMAGE_PIXELS,
                u.VIDEO_PIXELS,
            )
        },
    },
    cost=("tracetoll.cost.amount",),
    kinds={_OPERATION: {**NAMES_OF_CALLS, "fetch_response": "none"}},
    trust=OURS,
)

_OPENINFERENCE: Final = Emitter(
    name="OpenInference",
    scopes=("openinference",),
    marks=("openinference.span.kind",),
    counts={
        u.INPUT: ("llm.token_count.prompt", *_UPSTREAM[u.INPUT]),
        u.OUTPUT: ("llm.token_count.completion", *_UPSTREAM[u.OUTPUT]),
        u.CACHE_READ: (
            "llm.token_count.prompt_details.cache_read",
            "llm.token_count.prompt_details.cache_input",
            *_UPSTREAM[u.CACHE_READ],
        ),
        u.CACHE_WRITE: ("llm.token_count.prompt_details.cache_write", *_UPSTREAM[u.CACHE_WRITE]),
        u.REASONING: ("llm.token_count.completion_details.reasoning", *_UPSTREAM[u.REASONING]),
        u.AUDIO_INPUT: ("llm.token_count.prompt_details.audio", *_UPSTREAM[u.AUDIO_INPUT]),
        u.AUDIO_OUTPUT: ("llm.token_count.completion_details.audio", *_UPSTREAM[u.AUDIO_OUTPUT]),
    },
    cost=("llm.cost.total",),
    kinds={"openinference.span.kind": _OPENINFERENCE_KINDS},
    model=("llm.model_name", "embedding.model_name", "gen_ai.response.model", "gen_ai.request.model"),
    provider=("llm.provider", "llm.system", "gen_ai.provider.name", "gen_ai.system"),
)

EMITTERS: Final = (
    # What prepares a call is a span of the kind LLM, too.
    replace(
        _OPENINFERENCE,
        name="OpenInference LlamaIndex",
        scopes=("openinference.instrumentation.llama_index",),
        marks=(),
        answers_apart=True,
    ),
    _OPENINFERENCE,
    Emitter(
        name="traceAI",
        scopes=("traceai", "fi_instrumentation", "fi"),
        marks=("gen_ai.span.kind", "fi.span.kind"),
        counts=_more(
            cache_read=("gen_ai.usage.input_tokens.cache_read", "gen_ai.usage.cache_read_tokens"),
            cache_write=(
                "gen_ai.usage.input_tokens.cache_write",
                "gen_ai.usage.cache_creation_tokens",
                "gen_ai.usage.cache_write_tokens",
            ),
            reasoning=("gen_ai.usage.output_tokens.reasoning",),
            audio_input=("gen_ai.usage.input_tokens.audio",),
            audio_output=("gen_ai.usage.output_tokens.audio",),
        ),
        cost=("gen_ai.cost.total", "claude_agent.cost.total_usd"),
        kinds={
            "gen_ai.span.kind": _OPENINFERENCE_KINDS,
            "fi.span.kind": _OPENINFERENCE_KINDS,
            _OPERATION: NAMES_OF_CALLS,
        },
        cache_beside_input=frozenset({"anthropic"}),
    ),
    Emitter(
        name="OpenLIT",
        scopes=("openlit",),
        marks=("gen_ai.usage.prompt_tokens_details.cached_tokens", "gen_ai.request.context_window"),
        counts=_more(
            cache_read=("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.prompt_tokens_details.cached_tokens"),
            cache_write=(
                "gen_ai.usage.cache_creation.input_tokens",
                "gen_ai.usage.prompt_tokens_details.cache_creation_tokens",
            ),
            reasoning=(
                "gen_ai.usage.reasoning_tokens",
                "gen_ai.usage.completion_tokens_details.reasoning_tokens",
            ),
            audio_output=("gen_ai.usage.completion_tokens_details.audio_tokens",),
        ),
        cost=("gen_ai.usage.cost",),
        kinds={_OPERATION: NAMES_OF_CALLS},
        cache_beside_input=frozenset({"anthropic"}),
    ),
    Emitter(
        name="Logfire",
        scopes=("logfire",),
        marks=("logfire.msg",),
        counts=_UPSTREAM,
        documents={
            "gen_ai.usage.raw": {
                u.REASONING: (
                    "completion_tokens_details.reasoning_tokens",
                    "output_tokens_details.reasoning_tokens",
                    "output_tokens_details.thinking_tokens",
                )
            }
        },
        cost=("operation.cost",),
        kinds={_OPERATION: NAMES_OF_CALLS},
        answers_apart=True,
    ),
    Emitter(
        name="Pydantic AI",
        scopes=("pydantic-ai", "pydantic_ai"),
        marks=("gen_ai.aggregated_usage.input_tokens", "gen_ai.usage.details.cache_read_tokens"),
        counts=_more(
            cache_read=("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.details.cache_read_tokens"),
            cache_write=("gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.details.cache_write_tokens"),
            reasoning=("gen_ai.usage.details.reasoning_tokens",),
            audio_input=("gen_ai.usage.details.input_audio_tokens",),
            audio_output=("gen_ai.usage.details.output_audio_tokens",),
            audio_cache_read=("gen_ai.usage.details.cache_audio_read_tokens",),
        ),
        cost=("operation.cost",),
        kinds={_OPERATION: NAMES_OF_CALLS},
    ),
    Emitter(
        name="Anthropic SDK",
        scopes=("com.anthropic.sdk.python",),
        counts={
            **_UPSTREAM,
            u.CACHE_WRITE_5M: ("anthropic.usage.cache_creation.ephemeral_5m_input_tokens",),
            u.CACHE_WRITE_1H: ("anthropic.usage.cache_creation.ephemeral_1h_input_tokens",),
        },
        kinds={_OPERATION: NAMES_OF_CALLS},
        trust=1,
    ),
    Emitter(
        name="Mistral SDK",
        scopes=("mistralai_sdk_tracer", "mistralai"),
        counts=_UPSTREAM,
        kinds={_OPERATION: NAMES_OF_CALLS},
        zeros_are_missing=True,
        trust=1,
    ),
    Emitter(
        name="xAI SDK",
        scopes=("xai_sdk",),
        marks=("gen_ai.usage.cached_prompt_text_tokens", "gen_ai.usage.cost_in_usd_ticks"),
        counts=_more(
            cache_read=("gen_ai.usage.cached_prompt_text_tokens",), reasoning=("gen_ai.usage.reasoning_tokens",)
        ),
        kinds={_OPERATION: NAMES_OF_CALLS},
        reasoning_beside_output=True,
        trust=1,
    ),
    Emitter(
        name="LiteLLM",
        scopes=("litellm",),
        marks=("gen_ai.cost.total_cost", "litellm.cost.total", "litellm.call_id"),
        counts=_UPSTREAM,
        cost=("gen_ai.cost.total_cost", "litellm.cost.total"),
        kinds={_OPERATION: {**NAMES_OF_CALLS, "acompletion": "inference", "aembedding": "embedding"}},
    ),
    Emitter(
        name="Langfuse",
        scopes=("langfuse",),
        marks=("langfuse.observation.type", "langfuse.observation.usage_details"),
        # Its buckets are disjoint, so what belongs together is added up.
        documents={
            "langfuse.observation.usage_details": {
                u.INPUT: (
                    "input",
                    "input_cached_tokens",
                    "input_cache_read",
                    "input_cache_creation",
                    "cache_read_input_tokens",
                    "cache_creation_input_tokens",
                    "input_audio_tokens",
                ),
                u.OUTPUT: ("output", "output_reasoning_tokens", "output_audio_tokens"),
                u.CACHE_READ: ("input_cached_tokens", "input_cache_read", "cache_read_input_tokens"),
                u.CACHE_WRITE: ("input_cache_creation", "cache_creation_input_tokens"),
                u.REASONING: ("output_reasoning_tokens",),
                u.AUDIO_INPUT: ("input_audio_tokens",),
                u.AUDIO_OUTPUT: ("output_audio_tokens",),
            }
        },
        kinds={
            "langfuse.observation.type": {
                "generation": "inference",
                "embedding": "embedding",
                "tool": "tool",
                "agent": "agent",
                "chain": "agent",
                "*": "wrapper",
            }
        },
        model=("langfuse.observation.model.name", "gen_ai.response.model", "gen_ai.request.model"),
    ),
    Emitter(
        name="Vercel AI SDK",
        scopes=("ai",),
        marks=("ai.operationId", "ai.usage.promptTokens", "ai.usage.inputTokens"),
        counts={
            u.INPUT: ("ai.usage.inputTokens", "ai.usage.promptTokens", *_UPSTREAM[u.INPUT]),
            u.OUTPUT: ("ai.usage.outputTokens", "ai.usage.completionTokens", *_UPSTREAM[u.OUTPUT]),
            u.CACHE_READ: ("ai.usage.cachedInputTokens", *_UPSTREAM[u.CACHE_READ]),
            u.REASONING: ("ai.usage.reasoningTokens", *_UPSTREAM[u.REASONING]),
        },
        kinds={
            "ai.operationId": {
                "*.doGenerate": "inference",
                "*.doStream": "inference",
                "*.doEmbed": "embedding",
                "ai.toolCall": "tool",
                "*": "wrapper",
            }
        },
        model=("gen_ai.response.model", "ai.response.model", "gen_ai.request.model", "ai.model.id"),
        response=("gen_ai.response.id", "ai.response.id"),
    ),
    Emitter(
        name="Bifrost",
        scopes=("bifrost",),
        counts=_more(
            cache_write=("gen_ai.usage.cache_creation.input_tokens",),
            audio_input=(
                "gen_ai.usage.prompt_token_details.audio_tokens",
                "gen_ai.usage.input_token_details.audio_tokens",
            ),
            audio_output=(
                "gen_ai.usage.completion_token_details.audio_tokens",
                "gen_ai.usage.output_token_details.audio_tokens",
            ),
        ),
        cost=("gen_ai.usage.cost",),
        kinds={_OPERATION: NAMES_OF_CALLS},
    ),
    Emitter(
        name="TraceVerde",
        scopes=("genai_otel",),
        marks=("gen_ai.usage.recorded_by", "gen_ai.usage.cost.total"),
        counts=_more(reasoning=("gen_ai.usage.reasoning_tokens",)),
        cost=("gen_ai.usage.cost.total",),
        kinds={_OPERATION: NAMES_OF_CALLS},
    ),
    Emitter(
        name="AgentOps",
        scopes=("agentops",),
        marks=("agentops.span.kind", "gen_ai.usage.total_cost"),
        counts=_more(reasoning=("gen_ai.usage.reasoning_tokens",)),
        cost=("gen_ai.usage.total_cost",),
        kinds={
            "agentops.span.kind": {
                "llm": "inference",
                "tool": "tool",
                "agent": "agent",
                "workflow": "agent",
                "task": "agent",
                "operation": "agent",
                "session": "agent",
            },
            _OPERATION: NAMES_OF_CALLS,
        },
    ),
    Emitter(
        name="Sentry",
        scopes=("sentry",),
        marks=("gen_ai.usage.input_tokens.cached", "gen_ai.cost.total_tokens"),
        counts=_more(
            cache_read=("gen_ai.usage.input_tokens.cached",),
            cache_write=("gen_ai.usage.input_tokens.cache_write",),
            reasoning=("gen_ai.usage.output_tokens.reasoning",),
        ),
        cost=("gen_ai.cost.total_tokens",),
        kinds={_OPERATION: NAMES_OF_CALLS},
    ),
    Emitter(
        name="OpenTelemetry",
        scopes=(
            "opentelemetry.instrumentation.genai",
            "opentelemetry.util.genai",
            "opentelemetry.instrumentation.openai_v2",
            "opentelemetry.instrumentation.google_genai",
            "opentelemetry.instrumentation.botocore",
        ),
        counts=_UPSTREAM,
        kinds={_OPERATION: NAMES_OF_CALLS},
    ),
    Emitter(
        name="OpenLLMetry",
        scopes=(
            "opentelemetry.instrumentation.openai",
            "opentelemetry.instrumentation.anthropic",
            "opentelemetry.instrumentation.langchain",
            "opentelemetry.instrumentation.llamaindex",
            "opentelemetry.instrumentation.crewai",
            "opentelemetry.instrumentation.cohere",
            "opentelemetry.instrumentation.writer",
            "opentelemetry.instrumentation.bedrock",
            "opentelemetry.instrumentation.groq",
            "opentelemetry.instrumentation.mistralai",
            "opentelemetry.instrumentation.together",
            "opentelemetry.instrumentation.ollama",
            "opentelemetry.instrumentation.google_generativeai",
            "opentelemetry.instrumentation.vertexai",
            "opentelemetry.instrumentation.voyageai",
            "traceloop",
        ),
        marks=("traceloop.span.kind", "llm.request.type", "llm.usage.total_tokens"),
        counts=_more(
            input=("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.usage.prompt_tokens"),
            output=("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.usage.completion_tokens"),
            reasoning=("gen_ai.usage.reasoning_tokens", "llm.usage.reasoning_tokens"),
        ),
        kinds={
            # First: in LlamaIndex a task may be a call.
            _OPERATION: NAMES_OF_CALLS,
            "traceloop.span.kind": {"tool": "tool", "agent": "agent", "workflow": "agent", "task": "agent"},
            "llm.request.type": {
                "chat": "inference",
                "completion": "inference",
                "embedding": "embedding",
                "*": "none",
            },
        },
    ),
)

# Whatever else tells of model calls: every name that is in use, upstream's first.
UNKNOWN: Final = Emitter(
    name="unknown",
    counts={
        u.INPUT: (*_UPSTREAM[u.INPUT], "llm.token_count.prompt", "llm.usage.prompt_tokens"),
        u.OUTPUT: (*_UPSTREAM[u.OUTPUT], "llm.token_count.completion", "llm.usage.completion_tokens"),
        u.CACHE_READ: (
            *_UPSTREAM[u.CACHE_READ],
            "gen_ai.usage.cached_input_tokens",
            "gen_ai.usage.cached_tokens",
            "gen_ai.usage.cache_read_tokens",
            "llm.token_count.prompt_details.cache_read",
        ),
        u.CACHE_WRITE: (
            *_UPSTREAM[u.CACHE_WRITE],
            "gen_ai.usage.cache_write_tokens",
            "llm.token_count.prompt_details.cache_write",
        ),
        u.REASONING: (
            *_UPSTREAM[u.REASONING],
            "gen_ai.usage.reasoning_tokens",
            "llm.token_count.completion_details.reasoning",
        ),
        **{
            count: aliases
            for count, aliases in _UPSTREAM.items()
            if count not in {u.INPUT, u.OUTPUT} and count not in {u.CACHE_READ, u.CACHE_WRITE, u.REASONING}
        },
    },
    cost=(
        "gen_ai.usage.cost.amount",
        "gen_ai.usage.cost",
        "gen_ai.usage.cost_usd",
        "llm.usage.total_cost",
        "gen_ai.cost.total_cost",
        "gen_ai.cost.amount",
        "gen_ai.cost.total",
        "tokenfuse.cost_usd",
    ),
    kinds={_OPERATION: NAMES_OF_CALLS},
    model=("gen_ai.response.model", "gen_ai.request.model", "llm.model_name"),
)
