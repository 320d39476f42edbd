"""Every surface of the SDKs, and every way to ask it: sync and async, whole and streamed, raw and by helpers.

What an application can read of an answer comes back as a `Seen`, which two runs can be compared by.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import operator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import anthropic
import openai
import pytest
from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence


How = Literal["whole", "stream", "helper", "raw", "streaming response", "raw stream", "streaming response stream"]

SDKS = {
    "openai": (openai, openai.OpenAI, openai.AsyncOpenAI, "/v1"),
    "anthropic": (anthropic, anthropic.Anthropic, anthropic.AsyncAnthropic, ""),
}
LONG = "The keeper writes every crossing into a blue book. " * 140
QUESTION = "What does the bridge cost?"
MESSAGES = [{"role": "user", "content": QUESTION}]


class Toll(BaseModel):
    cents: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surface:
    """One method of an SDK: how to ask it, and what its span must say."""

    sdk: str
    method: str
    path: str
    arguments: Mapping[str, Any]
    operation: str = "chat"
    span: Mapping[str, Any] = field(default_factory=dict)
    finish: tuple[str, ...] | None = None
    helper: str | None = None
    stream_arguments: Mapping[str, Any] = field(default_factory=dict)
    in_counters: bool = True
    in_metrics: bool = True

    @property
    def name(self) -> str:
        return f"{self.sdk} {self.method}"

    @property
    def model(self) -> str:
        return str(self.arguments["model"])


CHAT_SPAN = {
    "openai.api.type": "chat_completions",
    "gen_ai.request.max_tokens": 500,
    "gen_ai.request.temperature": 0.5,
    "gen_ai.request.top_p": 0.75,
    "gen_ai.request.frequency_penalty": 0.25,
    "gen_ai.request.presence_penalty": 0.125,
    "gen_ai.request.seed": 7,
    "gen_ai.request.stop_sequences": ("END",),
    "gen_ai.request.choice.count": 2,
}
CHAT = Surface(
    sdk="openai",
    method="chat.completions.create",
    path="/chat/completions",
    arguments={
        "model": "o4-mini",
        "messages": [{"role": "system", "content": LONG}, *MESSAGES],
        "max_tokens": 500,
        "temperature": 0.5,
        "top_p": 0.75,
        "frequency_penalty": 0.25,
        "presence_penalty": 0.125,
        "seed": 7,
        "stop": ["END"],
        "n": 2,
    },
    span=CHAT_SPAN,
    finish=("stop", "stop"),
    stream_arguments={"stream_options": {"include_usage": True}},
    helper="chat.completions.stream",
)
# openai 1.40 has these under `beta` only.
BETA_CHAT = Surface(
    sdk="openai",
    method="beta.chat.completions.parse",
    path=CHAT.path,
    arguments={**CHAT.arguments, "response_format": Toll},
    span={**CHAT_SPAN, "gen_ai.output.type": "json"},
    finish=CHAT.finish,
    stream_arguments=CHAT.stream_arguments,
    helper="beta.chat.completions.stream",
)
PARSED_CHAT = Surface(
    sdk="openai",
    method="chat.completions.parse",
    path=CHAT.path,
    arguments=BETA_CHAT.arguments,
    span=BETA_CHAT.span,
    finish=CHAT.finish,
)
COMPLETIONS = Surface(
    sdk="openai",
    method="completions.create",
    path="/completions",
    arguments={"model": "gpt-3.5-turbo-instruct", "prompt": QUESTION, "max_tokens": 8, "stop": "END"},
    operation="text_completion",
    span={"gen_ai.request.max_tokens": 8, "gen_ai.request.stop_sequences": ("END",)},
    finish=("length",),
    stream_arguments=CHAT.stream_arguments,
)
RESPONSES = Surface(
    sdk="openai",
    method="responses.create",
    path="/responses",
    arguments={
        "model": "o4-mini",
        "instructions": LONG,
        "input": QUESTION,
        "max_output_tokens": 500,
        "temperature": 0.5,
        "top_p": 0.75,
        "reasoning": {"effort": "low"},
        "previous_response_id": "resp_before",
        "service_tier": "flex",
    },
    span={
        "openai.api.type": "responses",
        "openai.request.service_tier": "flex",
        "gen_ai.request.max_tokens": 500,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.75,
        "gen_ai.request.reasoning.level": "low",
        "gen_ai.request.previous_response.id": "resp_before",
    },
    finish=("stop",),
    helper="responses.stream",
)
PARSED_RESPONSES = Surface(
    sdk="openai",
    method="responses.parse",
    path=RESPONSES.path,
    arguments={**RESPONSES.arguments, "text_format": Toll},
    span={**RESPONSES.span, "gen_ai.output.type": "json"},
    finish=RESPONSES.finish,
)
COMPACTION = Surface(
    sdk="openai",
    method="responses.compact",
    path="/responses/compact",
    arguments={"model": "o4-mini", "input": QUESTION},
    span={"openai.api.type": "responses"},
)
EMBEDDINGS = Surface(
    sdk="openai",
    method="embeddings.create",
    path="/embeddings",
    arguments={
        "model": "text-embedding-3-small",
        "input": ["one", "two words"],
        "dimensions": 4,
        "encoding_format": "float",
    },
    operation="embeddings",
    span={"gen_ai.embeddings.dimension.count": 4, "gen_ai.request.encoding_formats": ("float",)},
    in_counters=False,
)
IMAGES = Surface(
    sdk="openai",
    method="images.generate",
    path="/images/generations",
    arguments={"model": "gpt-image-1", "prompt": QUESTION, "n": 2},
    operation="generate_content",
    span={"gen_ai.output.type": "image", "gen_ai.request.choice.count": 2},
)
TRANSCRIPTION = Surface(
    sdk="openai",
    method="audio.transcriptions.create",
    path="/audio/transcriptions",
    arguments={"model": "gpt-4o-transcribe", "file": ("toll.wav", b"RIFF" * 20_000)},
    operation="generate_content",
    span={"gen_ai.output.type": "text"},
)
SPEECH = Surface(
    sdk="openai",
    method="audio.speech.create",
    path="/audio/speech",
    arguments={"model": "gpt-4o-mini-tts", "voice": "alloy", "input": QUESTION},
    operation="generate_content",
    span={"gen_ai.output.type": "speech"},
)
MODERATION = Surface(
    sdk="openai",
    method="moderations.create",
    path="/moderations",
    arguments={"model": "omni-moderation-latest", "input": QUESTION},
    operation="moderation",
    in_metrics=False,
)
MESSAGES_SPAN = {"gen_ai.request.max_tokens": 500, "gen_ai.request.stop_sequences": ("END",)}
CLAUDE = Surface(
    sdk="anthropic",
    method="messages.create",
    path="/v1/messages",
    arguments={
        "model": "claude-haiku-4-5",
        "system": [{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral"}}],
        "messages": MESSAGES,
        "max_tokens": 500,
        "stop_sequences": ["END"],
        # anthropic 0.34 does not know the argument, and later ones warn of it with some models
        "extra_body": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
    },
    span=MESSAGES_SPAN,
    finish=("stop",),
    helper="messages.stream",
)
BETA_CLAUDE = Surface(
    sdk="anthropic",
    method="beta.messages.create",
    path=CLAUDE.path,
    arguments=CLAUDE.arguments,
    span=CLAUDE.span,
    finish=CLAUDE.finish,
    helper="beta.messages.stream",
)
PARSED_CLAUDE, PARSED_BETA_CLAUDE = (
    Surface(
        sdk="anthropic",
        method=method,
        path=CLAUDE.path,
        arguments={**CLAUDE.arguments, "output_format": Toll},
        span=CLAUDE.span,
        finish=CLAUDE.finish,
    )
    for method in ("messages.parse", "beta.messages.parse")
)
CACHING_CLAUDE = Surface(
    sdk="anthropic",
    method="beta.prompt_caching.messages.create",
    path=CLAUDE.path,
    arguments=CLAUDE.arguments,
    span=CLAUDE.span,
    finish=CLAUDE.finish,
    helper="beta.prompt_caching.messages.stream",
)
TOKEN_COUNT = Surface(
    sdk="anthropic",
    method="messages.count_tokens",
    path="/v1/messages/count_tokens",
    arguments={"model": "claude-haiku-4-5", "messages": MESSAGES},
    operation="count_tokens",
    in_metrics=False,
)
SURFACES = (
    CHAT,
    BETA_CHAT,
    PARSED_CHAT,
    COMPLETIONS,
    RESPONSES,
    PARSED_RESPONSES,
    COMPACTION,
    EMBEDDINGS,
    IMAGES,
    TRANSCRIPTION,
    SPEECH,
    MODERATION,
    CLAUDE,
    BETA_CLAUDE,
    PARSED_CLAUDE,
    PARSED_BETA_CLAUDE,
    CACHING_CLAUDE,
    TOKEN_COUNT,
)


# --- clients ---------------------------------------------------------------------------------


def client(sdk: str, url: str, *, asynchronous: bool = False, **options: Any) -> Any:
    """Return a client that asks the provider at `url`, once."""
    module, sync_class, async_class, base = SDKS[sdk]
    transport = module.DefaultAsyncHttpxClient if asynchronous else module.DefaultHttpxClient
    settings = {"api_key": "none", "base_url": url + base, "max_retries": 0, **options}
    # Nothing is encrypted here, and loading certificates takes longer than all the rest.
    settings.setdefault("http_client", transport(verify=False))
    return (async_class if asynchronous else sync_class)(**settings)


def resource(of: Any, method: str) -> tuple[Any, str]:
    """Return the resource that a method's dotted name is on, and the method's own name."""
    where, _, name = method.rpartition(".")
    return operator.attrgetter(where)(of), name


# --- sync and async at once ------------------------------------------------------------------


def run(work: Coroutine[Any, Any, Any], *, asynchronous: bool) -> Any:
    """Return what `work` returns; without an event loop if it does nothing asynchronous."""
    if asynchronous:
        return asyncio.run(work)
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    message = "a synchronous client waited"
    raise AssertionError(message)


async def settled(value: Any) -> Any:
    """Return a value that may have to be awaited."""
    return await value if inspect.isawaitable(value) else value


async def each(of: Any) -> AsyncIterator[Any]:
    """Yield what any kind of iterable has."""
    if hasattr(of, "__aiter__"):
        async for one in of:
            yield one
    else:
        for one in of:
            yield one


@asynccontextmanager
async def inside(manager: Any) -> AsyncIterator[Any]:
    """Enter any kind of context manager."""
    if hasattr(manager, "__aenter__"):
        async with manager as entered:
            yield entered
    else:
        with manager as entered:
            yield entered


# --- asking ----------------------------------------------------------------------------------


@dataclass(slots=True)
class Seen:
    """What the application saw: the types and contents of what it got, in order, and the exception."""

    told: list[Any] = field(default_factory=list)
    error: tuple[Any, ...] | None = None

    def add(self, value: Any) -> None:
        self.told.append((type(value), picture(value)))


def picture(value: Any) -> Any:
    """Return the content of anything as plain data."""
    if isinstance(value, BaseModel):
        return value.model_dump(warnings=False)
    content = getattr(value, "content", None)
    return content if isinstance(content, bytes) else value


def _causes(error: BaseException | None) -> tuple[Any, ...]:
    if error is None:
        return ()
    return (type(error), str(error), getattr(error, "body", None), *_causes(error.__cause__))


async def _whole(ask: Callable[..., Any], surface: Surface, seen: Seen) -> None:
    seen.add(await settled(ask(**surface.arguments)))


async def _stream(ask: Callable[..., Any], surface: Surface, seen: Seen) -> None:
    stream = await settled(ask(**surface.arguments, **surface.stream_arguments, stream=True))
    seen.told.append((type(stream), stream.response.status_code))
    async for chunk in each(stream):
        seen.add(chunk)


async def _helper(ask: Callable[..., Any], surface: Surface, seen: Seen) -> None:
    async with inside(ask(**surface.arguments, **surface.stream_arguments)) as stream:
        seen.told.append(type(stream))
        async for event in each(stream):
            seen.add(event)
        final = next(name for name in dir(stream) if name in FINALS)
        seen.add(await settled(getattr(stream, final)()))


FINALS = ("get_final_completion", "get_final_message", "get_final_response")


def _of_raw(response: Any) -> tuple[Any, ...]:
    headers = {name: value for name, value in response.headers.items() if name != "date"}
    return type(response), response.status_code, headers


async def _raw(ask: Callable[..., Any], surface: Surface, seen: Seen) -> None:
    response = await settled(ask(**surface.arguments))
    seen.told += [_of_raw(response), response.http_response.text]
    seen.add(await settled(response.parse()))


async def _raw_stream(ask: Callable[..., Any], surface: Surface, seen: Seen) -> None:
    response = await settled(ask(**surface.arguments, **surface.stream_arguments, stream=True))
    seen.told.append(_of_raw(response))
    async for chunk in each(await settled(response.parse())):
        seen.add(chunk)


async def _streaming_response(ask: Callable[..., Any], surface: Surface, seen: Seen) -> None:
    async with inside(ask(**surface.arguments)) as response:
        seen.told += [_of_raw(response), await settled(response.read())]


async def _streaming_response_stream(ask: Callable[..., Any], surface: Surface, seen: Seen) -> None:
    async with inside(ask(**surface.arguments, **surface.stream_arguments, stream=True)) as response:
        seen.told.append(_of_raw(response))
        async for line in each(response.iter_lines()):
            seen.told.append(line)


WAYS: Mapping[How, tuple[str | None, Callable[[Any, Surface, Seen], Awaitable[None]]]] = {
    "whole": (None, _whole),
    "stream": (None, _stream),
    "helper": (None, _helper),
    "raw": ("with_raw_response", _raw),
    "raw stream": ("with_raw_response", _raw_stream),
    "streaming response": ("with_streaming_response", _streaming_response),
    "streaming response stream": ("with_streaming_response", _streaming_response_stream),
}


def both(*hows: str) -> tuple[str, ...]:
    """Return each way to ask, synchronously and asynchronously."""
    return tuple(f"{kind}{how}" for how in hows for kind in ("", "async "))


ALL_WAYS = both(*WAYS)
STREAMS: tuple[How, ...] = ("stream", "helper", "raw stream", "streaming response stream")


@dataclass(frozen=True, slots=True)
class Case:
    """One surface, asked in one way."""

    surface: Surface
    how: How = "whole"
    asynchronous: bool = False

    @property
    def method(self) -> str:
        return (self.surface.helper or "") if self.how == "helper" else self.surface.method

    @property
    def streamed(self) -> bool:
        return self.how in STREAMS

    def __str__(self) -> str:
        return f"{'async ' if self.asynchronous else ''}{self.surface.sdk} {self.method} {self.how}"

    def ask(self, url: str, **options: Any) -> Seen:
        """Return what an application sees; no exception of the SDK's leaves."""
        return run(self._ask(url, options), asynchronous=self.asynchronous)

    async def _ask(self, url: str, options: Mapping[str, Any]) -> Seen:
        wrapper, way = WAYS[self.how]
        seen = Seen()
        async with inside(client(self.surface.sdk, url, asynchronous=self.asynchronous, **options)) as asked:
            where, name = resource(asked, self.method)
            where = getattr(where, wrapper) if wrapper is not None else where
            try:
                await way(getattr(where, name), self.surface, seen)
            except Exception as error:  # noqa: BLE001  # whatever it is, it is to be the same twice
                seen.error = _causes(error)
        return seen

    @property
    def missing(self) -> str | None:
        """What the installed SDK lacks for this, None if it has everything."""
        with client(self.surface.sdk, "http://unused") as asked:
            try:
                where, name = resource(asked, self.method)
                wrapper, _ = WAYS[self.how]
                method = getattr(getattr(where, wrapper) if wrapper is not None else where, name)
            except AttributeError:
                return f"this {self.surface.sdk} has no {self.method} ({self.how})"
        if self.streamed and self.how != "helper" and "stream" not in inspect.signature(method).parameters:
            return f"{self.method} of this {self.surface.sdk} does not stream"
        return None

    @property
    def makes_sense(self) -> bool:
        """Whether any version of the SDK has this."""
        if self.how == "helper":
            return self.surface.helper is not None
        return not self.streamed or self.surface in STREAMING


STREAMING = (CHAT, COMPLETIONS, RESPONSES, IMAGES, TRANSCRIPTION, CLAUDE, BETA_CLAUDE, CACHING_CLAUDE)


def cases(surfaces: Sequence[Surface] = SURFACES, ways: Sequence[str] = ALL_WAYS) -> list[Any]:
    """Return a parameter for each surface in each way; what this version of an SDK lacks is skipped.

    A way is a `How`, or one with "async " before it.
    """
    every = (
        Case(surface, way.removeprefix("async "), way.startswith("async "))  # type: ignore[arg-type]
        for surface, way in itertools.product(surfaces, ways)
    )
    return [
        pytest.param(case, id=str(case), marks=[pytest.mark.skip(reason=case.missing)] if case.missing else [])
        for case in every
        if case.makes_sense
    ]
