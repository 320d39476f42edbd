"""LiteLLM 1: by function and by router; the SDKs below are a part of its calls.

Sources: litellm 1.110.2; semconv reference, 5.5. LiteLLM states usage like OpenAI whoever answers. The numbers of its
streams are read where it takes a provider's chunk, because where a provider sends none it makes its own estimate
later; `response_cost` is computed from its own list of prices, so ours is as good.
Longer than 80 lines: the names of the providers that it calls, and the places where its functions stand.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tracetoll.providers import anthropic, compatible
from tracetoll.providers.waists import Body, Function, Many, Response, Tap, Waist, with_hidden
from tracetoll.providers.words import Answer, Part, Provider, paths

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
CODES: Final = paths("body.code", "code", "status_code")
CAPS: Final = ("max_tokens", "max_completion_tokens")
CHAT_USAGE: Final = replace(compatible.CHAT_USAGE, zeros_are_missing=True)
CHAT_ANSWER: Final = replace(compatible.CHAT.answer, provider=TOLD_BY)
RESPONSES_USAGE: Final = replace(compatible.RESPONSES_USAGE, zeros_are_missing=True)
SURFACES: Final = {
    "completion": replace(compatible.CHAT, usage=CHAT_USAGE, attributes={}, answer=CHAT_ANSWER, output_caps=CAPS),
    "text_completion": replace(compatible.COMPLETIONS, usage=CHAT_USAGE, answer=CHAT_ANSWER),
    "embedding": replace(
        compatible.EMBEDDINGS,
        usage=replace(compatible.EMBEDDING_USAGE, zeros_are_missing=True),
        answer=Answer(provider=TOLD_BY),
    ),
    "image_generation": replace(compatible.IMAGES, usage=RESPONSES_USAGE),
    "responses": replace(
        compatible.RESPONSES,
        usage=RESPONSES_USAGE,
        answer=replace(compatible.RESPONSE, provider=TOLD_BY),
        # Where LiteLLM asks for a completion instead, what its chunks say.
        events=replace(compatible.RESPONSE_EVENTS, otherwise=Part((), replace(CHAT_ANSWER, usage_map=CHAT_USAGE))),
        billed="now",
    ),
}
# The functions stand in several modules; those that were imported from `litellm` earlier look up `_PYTHON_…`.
PLACES: Final = {
    "litellm:{}": tuple(SURFACES),
    "litellm.main:{}": ("completion", "text_completion", "embedding"),
    "litellm.images.main:{}": ("image_generation",),
    "litellm.responses.main:{}": ("responses",),
    **{
        f"litellm.{module}.dispatch:{name}": (surface,)
        for module, surface in (
            ("chat_completions", "completion"),
            ("embeddings", "embedding"),
            ("responses", "responses"),
        )
        for name in ("{}", "_PYTHON_{upper}")
    },
    "litellm.router:Router.{}": tuple(SURFACES),
}
STREAMS: Final = "litellm.litellm_core_utils.streaming_handler:CustomStreamWrapper"
RESPONSES: Final = "litellm.responses.streaming_iterator:"
MANY: Final = Many(
    names=NAMES, argument=("custom_llm_provider",), table="litellm:model_cost", in_table="litellm_provider"
)
SDK: Final = Waist(
    name="litellm",
    provider="litellm",
    many=MANY,
    surfaces=SURFACES,
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
    base_url=("api_base",),
    event=with_hidden(HIDDEN, {"model": "provider_response_model"}),  # it writes its own name over a stream's
    headers=(HIDDEN, "additional_headers"),
    streams=(
        STREAMS,
        "litellm.text_completions.streaming_iterator:TextCompletionStreamWrapper",
        "litellm.responses.litellm_completion_transformation.streaming_iterator:LiteLLMCompletionStreamingIterator",
        *(f"{RESPONSES}{kind}ResponsesAPIStreamingIterator" for kind in ("", "Sync", "Mock", "Cached")),
    ),
    said=(f"{STREAMS}.chunk_creator", f"{RESPONSES}_load_json_value"),
    error_codes=CODES,
    elsewhere=tuple(f"litellm.{module}:run_async_function" for module in ("litellm_core_utils.asyncify", "router")),
)
# What it asks in Anthropic's format; what it asks for such a request in another one is counted as that.
HTTP: Final = "litellm.llms.custom_httpx.llm_http_handler:BaseLLMHTTPHandler."
MESSAGE_STREAM: Final = "litellm.llms.anthropic.messages.native.streaming_iterator:AnthropicMessagesStreamingResponse"
MESSAGES: Final = Waist(
    name="litellm",
    provider="litellm",
    functions=(
        Function(
            at=f"{HTTP}async_anthropic_messages_handler", asynchronous=True, streams=("stream",), surface="messages"
        ),
    ),
    surfaces={"messages": anthropic.MESSAGES},
    body=Body(at=("anthropic_messages_optional_request_params",), model=("model",), beside=(("messages",),)),
    base_url=("api_base",),
    responses=(
        Response(
            function=Function(at=f"{HTTP}_async_post_anthropic_messages_with_http_error_retry", asynchronous=True),
            headers=True,
        ),
    ),
    tap=Tap(at="completion_stream", pieces=True, closes=(f"{MESSAGE_STREAM}.aclose",)),
    many=MANY,
    error_codes=CODES,
)

SEAMS: Final = (SDK, MESSAGES)
# Seen by hand, not by tests.
NOTES: Final = (
    "1.80: the model that answered may be missing of a stream, and an error has the HTTP status for its code.",
    "1.80: a stream of messages that is asked as a completion tells no usage.",
)
