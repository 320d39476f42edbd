"""LiteLLM 1: completions and texts, by function and by router; the SDKs below are a part of its calls.

Sources: litellm 1.110.2; semconv reference, 5.5. LiteLLM states usage like OpenAI whoever answers. The numbers of its
streams are read where it takes a provider's chunk, because where a provider sends none it makes its own estimate
later; `response_cost` is computed from its own list of prices, so ours is as good.
Longer than 80 lines: the names of the providers that it calls.
Embeddings are left to the SDKs below: they have no id by which the span of LiteLLM's own callback is the same call.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tracetoll.providers import compatible
from tracetoll.providers.waists import Function, Many, Waist, with_hidden
from tracetoll.providers.words import Provider, paths

NAMES: Final = {
    **{name: name for name in ("openai", "anthropic", "cohere", "groq", "deepseek", "perplexity", "openrouter")},
    **{name: name for name in ("together_ai", "fireworks_ai", "cerebras", "ollama", "replicate", "vllm", "ai21")},
    **{name: name for name in ("lm_studio", "snowflake", "writer")},
    "text-completion-openai": "openai",
    "azure": "azure.ai.openai",
    "azure_text": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "bedrock_converse": "aws.bedrock",
    "gemini": "gcp.gemini",
    "vertex_ai": "gcp.vertex_ai",
    "vertex_ai_beta": "gcp.vertex_ai",
    "mistral": "mistral_ai",
    "codestral": "mistral_ai",
    "cohere_chat": "cohere",
    "xai": "x_ai",
    "ollama_chat": "ollama",
    "hosted_vllm": "vllm",
    "huggingface": "hugging_face",
    "watsonx": "ibm.watsonx.ai",
    "watsonx_text": "ibm.watsonx.ai",
    "voyage": "voyage_ai",
    "moonshot": "moonshot_ai",
    "ai21_chat": "ai21",
    "zai": "z_ai",
    "litellm_proxy": "litellm",
}
HIDDEN: Final = "_hidden_params"
TOLD_BY: Final = Provider((HIDDEN, "custom_llm_provider"), NAMES)
CAPS: Final = ("max_tokens", "max_completion_tokens")
SURFACES: Final = {
    "completion": replace(
        compatible.CHAT, attributes={}, answer=replace(compatible.CHAT.answer, provider=TOLD_BY), output_caps=CAPS
    ),
    "text_completion": replace(compatible.COMPLETIONS, answer=replace(compatible.CHAT.answer, provider=TOLD_BY)),
}
# The functions stand in several modules; those that were imported from `litellm` earlier look up `_PYTHON_…`.
PLACES: Final = {
    "litellm:{}": ("completion", "text_completion"),
    "litellm.main:{}": ("completion", "text_completion"),
    "litellm.chat_completions.dispatch:{}": ("completion",),
    "litellm.chat_completions.dispatch:_PYTHON_{upper}": ("completion",),
    "litellm.router:Router.{}": ("completion", "text_completion"),
}
STREAMS: Final = "litellm.litellm_core_utils.streaming_handler:CustomStreamWrapper"
SDK: Final = Waist(
    name="litellm",
    provider="litellm",
    functions=tuple(
        Function(
            at=place.format(f"{kind}{name}", upper=f"{kind}{name}".upper()),
            asynchronous=kind == "a",
            result="own stream",
            streams=("stream",),
            surface=name,
        )
        for place, names in PLACES.items()
        for name in names
        for kind in ("", "a")
    ),
    surfaces=SURFACES,
    base_url=("api_base",),
    event=with_hidden(HIDDEN),
    headers=(HIDDEN, "additional_headers"),
    streams=(STREAMS, "litellm.text_completions.streaming_iterator:TextCompletionStreamWrapper"),
    said=(f"{STREAMS}.chunk_creator",),
    many=Many(names=NAMES, argument=("custom_llm_provider",), table="litellm:model_cost", in_table="litellm_provider"),
    error_codes=paths("code", "status_code"),
)

SEAMS: Final = (SDK,)
