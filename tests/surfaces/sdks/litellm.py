"""LiteLLM 1: its functions, which it has no clients for, to OpenAI through its SDK and to Anthropic by itself."""

from __future__ import annotations

import importlib
import os
from contextlib import asynccontextmanager, contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

from surfaces.ways import LONG, MESSAGES, QUESTION, Sdk, Surface

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

# It would fetch the newest one.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")


class Functions:
    """Stands for a client: LiteLLM's functions, which are told with each call where to ask."""

    def __init__(self, module: str, settings: Mapping[str, Any]) -> None:
        self._settings = settings
        self._of = importlib.import_module(module)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = getattr(self._of, name)

        @wraps(function)
        def ask(**given: Any) -> Any:
            return function(**self._settings, **given)

        return ask


@contextmanager
def entered(made: Functions) -> Iterator[Functions]:
    yield made


@asynccontextmanager
async def entered_async(made: Functions) -> AsyncIterator[Functions]:
    yield made


def log_nothing() -> None:
    """Have LiteLLM's worker drop what it would log: it keeps that for later event loops, which are others' tests."""
    worker = importlib.import_module("litellm.litellm_core_utils.logging_worker").GLOBAL_LOGGING_WORKER
    worker.ensure_initialized_and_enqueue = lambda async_coroutine: async_coroutine.close()


def functions(module: str, base: str) -> Callable[..., Any]:
    """Return what makes the functions of a module that ask at a path below the provider's URL."""

    def make(url: str, use_async: bool, **options: Any) -> Any:  # `Sdk.client` says so
        log_nothing()
        made = Functions(module, {"api_base": url + base, "api_key": "none", "max_retries": 0, **options})
        return entered_async(made) if use_async else entered(made)

    return make


NAMES = ("completion", "text_completion", "embedding", "image_generation", "responses")
STREAM = "litellm.litellm_core_utils.streaming_handler:CustomStreamWrapper"
SDK = Sdk(
    name="litellm",
    module="litellm",
    client=functions("litellm", "/v1"),
    provider="openai",
    patched=(
        *(f"litellm:{kind}{name}" for name in NAMES for kind in ("", "a")),
        f"{STREAM}.chunk_creator",
        f"{STREAM}.__next__",
        f"{STREAM}.__anext__",
        "litellm.responses.streaming_iterator:_load_json_value",
    ),
    error="openai:OpenAIError",
    async_name="a{}",
    stream_can=frozenset(),
    cut="500",
    leaves_sockets=True,
    untidy=True,
    keeps_streams_s=5.0,  # to log it, which takes a few milliseconds
    invents=frozenset({"id", "created"}),
    warns=(
        "ignore:Items? .* on TypedDict class:UserWarning",  # by pydantic
        "ignore:Pydantic serializer warnings:UserWarning",
    ),
    apart=True,
)
PLAIN = {"model": "gpt-4o-mini", "messages": MESSAGES}
COMPLETION = Surface(
    sdk="litellm",
    method="completion",
    path="/chat/completions",
    arguments={
        **PLAIN,
        "messages": [{"role": "system", "content": LONG}, *MESSAGES],
        "max_tokens": 500,
        "temperature": 0.5,
        "top_p": 0.75,
        "seed": 7,
        "stop": ["END"],
    },
    span={
        "gen_ai.request.max_tokens": 500,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.75,
        "gen_ai.request.seed": 7,
        "gen_ai.request.stop_sequences": ("END",),
    },
    finish=("stop",),
    streams=True,
    stream_arguments={"stream_options": {"include_usage": True}},
    question=PLAIN,
    cap=lambda tokens: {"max_tokens": tokens},
    sent_cap="max_tokens",
)
EMBEDDING = Surface(
    sdk="litellm",
    method="embedding",
    path="/embeddings",
    arguments={"model": "text-embedding-3-small", "input": ["one", "two words"], "dimensions": 4},
    operation="embeddings",
    span={"gen_ai.embeddings.dimension.count": 4},
    in_counters=False,
)
RESPONSES = Surface(
    sdk="litellm",
    method="responses",
    path="/responses",
    arguments={"model": "o4-mini", "instructions": LONG, "input": QUESTION, "max_output_tokens": 500},
    span={"gen_ai.request.max_tokens": 500},
    finish=("stop",),
    streams=True,
    own_ids=True,
)
IMAGES = Surface(
    sdk="litellm",
    method="image_generation",
    path="/images/generations",
    arguments={"model": "gpt-image-1", "prompt": QUESTION, "n": 2},
    operation="generate_content",
    span={"gen_ai.output.type": "image", "gen_ai.request.choice.count": 2},
)
SURFACES = (COMPLETION, EMBEDDING, RESPONSES, IMAGES)
