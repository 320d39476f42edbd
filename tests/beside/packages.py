"""The packages that are run beside ours: how each is set up, and what its own spans are known to be off by.

Each runs in three configurations. `before` and `after`: our instrumentor, set up before and after the package.
`alone`: only a `RollupProcessor`, so that the package's spans are all that the totals are made of.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Configuration = Literal["before", "after", "alone"]
CONFIGURATIONS: tuple[Configuration, ...] = ("before", "after", "alone")


@dataclass(frozen=True, slots=True, kw_only=True)
class Off:
    """What the totals of one step are off by, and why nothing can be done about it here."""

    why: str
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One package, or one way to set it up."""

    environment: str
    shown: tuple[str, ...]
    """The distributions whose versions are shown as the package's."""
    beside: tuple[str, ...] = ("openai", "anthropic")
    """The distributions whose calls are counted."""
    steps: str = "sdk_steps:STEPS"
    """Where the steps are that it is run with."""
    instrumentors: tuple[str, ...] = ()
    arrangement: str | None = None
    provider: str = "plain"
    late: str | None = None
    """The name of the span by which it tells of a call later, from a thread of its own."""
    off: Mapping[Configuration, Mapping[str, Off]] = field(default_factory=dict)


TRACEAI_CACHE = "it leaves cached input out, and does not tell how much that is, nor reasoning"
LITELLM_STREAMS = Off(
    why="it tells of synchronous streams in a trace of their own", calls=-1, input_tokens=-9, output_tokens=-28
)
LITELLM_OVERWRITES = "it has no spans for calls, and writes what they used on the span around them, each over the last"
LITELLM_DETAILS = "it tells neither cached input nor reasoning"

PACKAGES: Mapping[str, Package] = {
    "anthropic's own spans": Package(
        environment="beside-current", shown=("anthropic",), beside=("anthropic",), steps="sdk_steps:ANTHROPIC"
    ),
    "official GenAI packages": Package(
        environment="beside-current",
        shown=("opentelemetry-instrumentation-genai-openai", "opentelemetry-instrumentation-genai-anthropic"),
        instrumentors=(
            "opentelemetry.instrumentation.genai.openai:OpenAIInstrumentor",
            "opentelemetry.instrumentation.genai.anthropic:AnthropicInstrumentor",
        ),
    ),
    "OpenLLMetry": Package(
        environment="beside-current",
        shown=("opentelemetry-instrumentation-openai", "opentelemetry-instrumentation-anthropic"),
        instrumentors=(
            "opentelemetry.instrumentation.openai:OpenAIInstrumentor",
            "opentelemetry.instrumentation.anthropic:AnthropicInstrumentor",
        ),
    ),
    "OpenInference": Package(
        environment="beside-current",
        shown=("openinference-instrumentation-openai", "openinference-instrumentation-anthropic"),
        instrumentors=(
            "openinference.instrumentation.openai:OpenAIInstrumentor",
            "openinference.instrumentation.anthropic:AnthropicInstrumentor",
        ),
    ),
    "Logfire": Package(
        environment="beside-current",
        shown=("logfire",),
        arrangement="logfire",
        provider="logfire",
    ),
    "traceAI": Package(
        environment="beside-older",
        shown=("traceAI-openai", "traceAI-anthropic"),
        instrumentors=("traceai_openai:OpenAIInstrumentor", "traceai_anthropic:AnthropicInstrumentor"),
        off={
            "alone": {
                "chat, cached, reasoning": Off(
                    why="it tells cached input and reasoning for the Responses API only",
                    cache_read=-1664,
                    reasoning=-128,
                ),
                "messages, cache written": Off(why=TRACEAI_CACHE, input_tokens=-1683, cache_write=-1683, reasoning=-48),
                "messages, cache read, async": Off(
                    why=TRACEAI_CACHE, input_tokens=-1683, cache_read=-1683, reasoning=-48
                ),
                "messages, streamed": Off(why=TRACEAI_CACHE, input_tokens=-1683, cache_read=-1683, reasoning=-48),
                "messages.stream(), async": Off(
                    why="it has no span for the helper",
                    calls=-1,
                    input_tokens=-1689,
                    output_tokens=-78,
                    cache_read=-1683,
                    reasoning=-48,
                ),
            }
        },
    ),
    "OpenLIT": Package(
        environment="beside-older",
        shown=("openlit",),
        arrangement="openlit",
        off={
            "alone": {
                step: Off(why="it tells reasoning for the Responses API only", reasoning=-reasoning)
                for step, reasoning in {
                    "chat, cached, reasoning": 128,
                    "messages, cache written": 48,
                    "messages, cache read, async": 48,
                    "messages, streamed": 48,
                    "messages.stream(), async": 48,
                }.items()
            }
        },
    ),
    "Pydantic AI": Package(
        environment="beside-current",
        shown=("pydantic-ai-slim",),
        steps="pydantic_ai_steps:STEPS",
        arrangement="pydantic-ai",
    ),
    "LangGraph under OpenInference": Package(
        environment="beside-current",
        shown=("openinference-instrumentation-langchain",),
        beside=("langgraph", "langchain-openai", "langchain-anthropic"),
        steps="langgraph_steps:STEPS",
        instrumentors=("openinference.instrumentation.langchain:LangChainInstrumentor",),
    ),
    "LangGraph under OpenLLMetry": Package(
        environment="beside-current",
        shown=("opentelemetry-instrumentation-langchain",),
        beside=("langgraph", "langchain-openai", "langchain-anthropic"),
        steps="langgraph_steps:STEPS",
        instrumentors=("opentelemetry.instrumentation.langchain:LangchainInstrumentor",),
        off={
            "alone": {
                step: Off(why="it does not tell reasoning", reasoning=-128)
                for step in ("agent on chat", "agent on chat, streamed", "agent on responses")
            }
        },
    ),
    "OpenAI Agents under OpenInference": Package(
        environment="beside-current",
        shown=("openinference-instrumentation-openai-agents",),
        beside=("openai-agents", "openai"),
        steps="openai_agents_steps:STEPS",
        arrangement="openai-agents",
        instrumentors=("openinference.instrumentation.openai_agents:OpenAIAgentsInstrumentor",),
        off={
            "alone": {
                "agent on chat": Off(
                    why="it tells cached input and reasoning for the Responses API only",
                    cache_read=-1664,
                    reasoning=-128,
                )
            }
        },
    ),
    "OpenAI Agents under OpenLLMetry": Package(
        environment="beside-current",
        shown=("opentelemetry-instrumentation-openai-agents",),
        beside=("openai-agents", "openai"),
        steps="openai_agents_steps:STEPS",
        arrangement="openai-agents",
        instrumentors=("opentelemetry.instrumentation.openai_agents:OpenAIAgentsInstrumentor",),
        off={
            "alone": {
                "agent on chat": Off(
                    why="its spans of chat completions have no usage",
                    input_tokens=-3411,
                    output_tokens=-153,
                    cache_read=-1664,
                    reasoning=-128,
                )
            }
        },
    ),
    "LlamaIndex under OpenInference": Package(
        environment="beside-older",
        shown=("openinference-instrumentation-llama-index",),
        beside=("llama-index-core", "openai", "anthropic"),
        steps="llama_index_steps:STEPS",
        instrumentors=("openinference.instrumentation.llama_index:LlamaIndexInstrumentor",),
    ),
    # Its LlamaIndex package leaves chat completions to its openai package.
    "LlamaIndex under OpenLLMetry": Package(
        environment="beside-older",
        shown=("opentelemetry-instrumentation-llamaindex", "opentelemetry-instrumentation-openai"),
        beside=("llama-index-core", "openai", "anthropic"),
        steps="llama_index_steps:STEPS",
        instrumentors=(
            "opentelemetry.instrumentation.llamaindex:LlamaIndexInstrumentor",
            "opentelemetry.instrumentation.openai:OpenAIInstrumentor",
        ),
    ),
    "LiteLLM under OpenInference": Package(
        environment="beside-older",
        shown=("openinference-instrumentation-litellm",),
        beside=("litellm", "openai"),
        steps="litellm_steps:STEPS",
        instrumentors=("openinference.instrumentation.litellm:LiteLLMInstrumentor",),
    ),
    "LiteLLM's own callback": Package(
        environment="beside-older",
        shown=("litellm",),
        beside=("openai",),
        steps="litellm_steps:STEPS",
        arrangement="litellm",
        late="raw_gen_ai_request",
        off={
            "alone": {
                "completion, cached, reasoning": Off(
                    why=LITELLM_OVERWRITES,
                    calls=-2,
                    input_tokens=-1689,
                    output_tokens=-94,
                    cache_read=-1664,
                    reasoning=-128,
                ),
                "acompletion": Off(why=LITELLM_OVERWRITES, calls=-1),
                "completion, streamed": LITELLM_STREAMS,
                "acompletion, streamed": Off(why=LITELLM_OVERWRITES, calls=-1),
                "embedding": Off(why=LITELLM_OVERWRITES, calls=-1),
                "aembedding": Off(why=LITELLM_OVERWRITES, calls=-1),
                "responses": Off(why=LITELLM_OVERWRITES, calls=-1, reasoning=-64),
                "aresponses": Off(why=LITELLM_OVERWRITES, calls=-1, reasoning=-64),
                "messages": Off(why=LITELLM_OVERWRITES, calls=-1),
                "image_generation": Off(why=LITELLM_OVERWRITES, calls=-1),
            }
        },
    ),
    "LiteLLM's own callback, own spans": Package(
        environment="beside-older",
        shown=("litellm",),
        beside=("openai",),
        steps="litellm_steps:STEPS",
        arrangement="litellm, own spans",
        late="litellm_request",
        off={
            "alone": {
                "completion, cached, reasoning": Off(why=LITELLM_DETAILS, cache_read=-1664, reasoning=-128),
                "completion, streamed": LITELLM_STREAMS,
                "responses": Off(why=LITELLM_DETAILS, reasoning=-64),
                "aresponses": Off(why=LITELLM_DETAILS, reasoning=-64),
            }
        },
    ),
}
