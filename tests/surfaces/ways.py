"""How any SDK is asked: sync and async, whole and streamed, raw and by helpers; what is asked is data, in `sdks`.

What an application can read of an answer comes back as a `Seen`, which two runs can be compared by.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import importlib.util
import inspect
import itertools
import operator
import re
from collections.abc import Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import pytest
from pydantic import BaseModel

from tracetoll.local_provider import Reply
from tracetoll.providers.index import KNOWN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence


How = Literal["whole", "stream", "helper", "raw", "streaming response", "raw stream", "streaming response stream"]
StreamCan = Literal["close", "with", "response"]

LONG = "The keeper writes every crossing into a blue book. " * 140
QUESTION = "What does the bridge cost?"
MESSAGES = [{"role": "user", "content": QUESTION}]
MADE_AT: frozenset[str] = frozenset({"date"})
"""What two answers to the same request differ in."""


class Toll(BaseModel):
    cents: int


def itself(value: Any) -> Any:
    return value


def rejected(status: int) -> Reply:
    """Return an error as OpenAI and its relatives tell it."""
    return Reply.openai_error(status, "bad_toll", "No such toll")


def tells_error(event: Any) -> Callable[[Reply], Reply]:
    """Return what puts an event of an error into the middle of server-sent events."""
    return lambda whole: replace(whole, events=[*(whole.events or ())[:3], event])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sdk:
    """What the contract has to know of an SDK. Nothing of it is imported before it is asked."""

    name: str
    module: str
    """What is imported; where it is not installed, all of its tests are skipped."""
    client: Callable[..., Any]
    """Make a client: (url, asynchronous, **options). It asks once, whatever the answer is."""
    provider: str
    """`gen_ai.provider.name` where the host tells nothing."""
    patched: tuple[str, ...]
    """The functions that are replaced, as `module:Class.name`."""
    error: str | None
    """The SDK's class of errors for a status of 400 and above, as `module:name`; None: it hands out what tells it."""
    rejected: Callable[[int], Reply] | None = rejected
    """A reply of a status, in the provider's format; None: no answer tells of an error."""
    error_type: str = "bad_toll"
    """What is told of it; `{}` stands for the HTTP status, `{kind}` for the exception's class."""
    error_in_stream: str | None = None
    """What is told of an error in a stream, if not the same."""
    retrying: Mapping[str, Any] | None = None
    """Options of a client that asks three times; None if the SDK never asks again."""
    retrying_async: bool = True
    """Whether an asynchronous client with these asks again too."""
    ways: tuple[How, ...] = ("whole", "stream")
    synchronous: bool = True
    asynchronous: bool = True
    """Whether it can be asked synchronously, and asynchronously."""
    async_name: str = "{}"
    """What an asynchronous client calls a method: `{}_async`, `aio.{}`."""
    observed: bool = False
    """Only answers that are there already are seen: what comes to none is no call, and none can be refused."""
    model: str | None = "model"
    """The argument that names the model; None: it is not asked for by name."""
    answer_id: str | None = "id"
    answer_model: str | None = "model"
    """Where in an answer on the wire its id and model stand; None: it has none."""
    request_id: tuple[str, ...] = ("x-request-id", "request-id")
    tells_host: bool = True
    """Whether it is known whom a client asks."""
    stream_can: frozenset[StreamCan] = frozenset({"close", "with", "response"})
    """What a stream has beside being iterated."""
    lazy_streams: bool = False
    """A stream asks when the first part of it is read."""
    abandoned: str = "abandoned"
    """How a call ended whose stream is forgotten: a generator is closed then."""
    leaves_sockets: bool = False
    """A stream that is forgotten leaves its socket open, with or without us, and the garbage collection warns of it."""
    binds_early: bool = False
    """A client keeps the functions that are there when it is made."""
    drops_what_is_closed: bool = False
    """A synchronous stream that is closed lets go of its response and does not close it."""
    cut: str | None = None
    """What a connection that is cut in a stream is told as; None: by the SDK's own exception."""
    belongs_to: Literal["asking", "reading"] = "asking"
    """Whose a lazy stream is: what asks may be known only when it is read."""
    keeps_streams_s: float = 0.0
    """How long, at most, threads of its own keep a synchronous stream that was begun and forgotten."""
    invents: frozenset[str] = frozenset()
    """What it makes up, anew each time, where an answer does not tell it."""
    untidy: bool = False
    """It keeps loops and clients, and lets go of them in any later test: its tests run by themselves."""
    warns: tuple[str, ...] = ()
    """Filters for warnings that it gives with or without us."""
    apart: bool = False
    """It cannot be installed beside the others, or takes long to import: `make test-apart` runs its tests, or, where it
    is a version that is early, `make test-early`."""
    tests: str = ""
    """The file with its own tests, if not `test_` and its name."""

    @property
    def installed(self) -> bool:
        """Whether the SDK is there, in a version that is counted."""
        known = KNOWN.get(self.name)
        try:
            there = importlib.util.find_spec(self.module) is not None
        except ModuleNotFoundError:
            return False
        return there and (known is None or version_of(known.distribution) >= known.oldest)


def observed(**said: Any) -> Sdk:
    """Return an SDK of which only the answers of a connection are seen: whole ones, without headers or a host."""
    return Sdk(ways=("whole",), observed=True, request_id=(), tells_host=False, **said)


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
    streams: bool | str = False
    """Whether it streams with `stream=True`, or the method that streams."""
    stream_arguments: Mapping[str, Any] = field(default_factory=dict)
    whole_in: Callable[[Any], Any] = itself
    stream_in: Callable[[Any], Any] = itself
    """Where in what the method returns the answer, or what is iterated, stands."""
    client: Callable[..., Any] | None = None
    """A client of its own, where the SDK has several."""
    question: Mapping[str, Any] | None = None
    """The arguments of a plain question, for limits; None: limits have nothing to do here."""
    cap: Callable[[int], Mapping[str, Any]] | None = None
    """The arguments that cap the answer at so many tokens; None: there is no cap that a limit may lower."""
    sent_cap: str | None = None
    """Where in a request on the wire the cap stands, by a dotted path; None: there is none."""
    broken: Callable[[Reply], Reply] | None = None
    """Make a stream tell of an error in its middle, where the provider has a way to (see `tells_error`)."""
    in_counters: bool = True
    in_metrics: bool = True
    priced: bool = True
    own_ids: bool = False
    """The SDK gives its answers ids of its own."""
    answer_id: tuple[str, ...] | None = None
    answer_model: tuple[str, ...] | None = None
    """Where in an answer of this surface its id and model stand, if not where the SDK's others have them: dotted
    paths, of which the first that is there counts."""

    @property
    def name(self) -> str:
        return f"{self.sdk} {self.method}"

    @property
    def of(self) -> Sdk:
        return SDKS[self.sdk]

    @property
    def model(self) -> str | None:
        return None if self.of.model is None else str(self.arguments[self.of.model])

    @property
    def model_told(self) -> Mapping[str, str]:
        """The attribute that names the model, if that is asked for by name."""
        return {} if self.model is None else {"gen_ai.request.model": self.model}


SDKS: dict[str, Sdk] = {}
"""By name; `sdks` fills it."""


# --- clients ---------------------------------------------------------------------------------


def stainless(module: str, sync: str, asynchronous: str, base: str = "", **always: Any) -> Callable[..., Any]:
    """Return what makes the clients of an SDK made by Stainless, from the names of its two client classes."""

    def make(url: str, use_async: bool, **options: Any) -> Any:  # `Sdk.client` says so
        sdk = importlib.import_module(module)
        transport = sdk.DefaultAsyncHttpxClient if use_async else sdk.DefaultHttpxClient
        kind = getattr(sdk, asynchronous if use_async else sync)
        known = inspect.signature(kind).parameters  # older ones have fewer options
        settings = {"api_key": "none", "base_url": url + base, "max_retries": 0, **options}
        settings |= {name: value for name, value in always.items() if name in known}
        # Nothing is encrypted here, and loading certificates takes longer than all the rest.
        settings.setdefault("http_client", transport(verify=False))
        return kind(**settings)

    return make


def stainless_patched(module: str) -> tuple[str, ...]:
    """Return what is patched of an SDK made by Stainless."""
    clients = ("SyncAPIClient", "AsyncAPIClient")
    return tuple(f"{module}._base_client:{name}.{one}" for name in clients for one in ("request", "_process_response"))


def version_of(distribution: str) -> tuple[int, ...]:
    """Return which version of an SDK is installed, in numbers; (0,) if none is."""
    try:
        told = importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return (0,)
    return tuple(int(number) for number in re.findall(r"\d+", told)[:3])


def major(distribution: str) -> int:
    """Return which major version of an SDK is installed, 0 if none is."""
    return version_of(distribution)[0]


def client(sdk: str, url: str, *, asynchronous: bool = False, **options: Any) -> Any:
    """Return a client that asks the provider at `url`, once."""
    return SDKS[sdk].client(url, asynchronous, **options)


def client_for(surface: Surface, url: str, *, asynchronous: bool = False, **options: Any) -> Any:
    """Return a client that has the surface's method."""
    return (surface.client or surface.of.client)(url, asynchronous, **options)


def resource(of: Any, method: str) -> tuple[Any, str]:
    """Return the resource that a method's dotted name is on, and the method's own name."""
    where, _, name = method.rpartition(".")
    return operator.attrgetter(where)(of) if where else of, name


def found(where: str) -> tuple[Any, str]:
    """Return the object that `module:Class.name` is on, and the name."""
    module, _, dotted = where.partition(":")
    return resource(importlib.import_module(module), dotted)


def hosted_chat(sdk: str, model: str, **more: Any) -> Surface:
    """Return the chat of a host that is compatible with OpenAI."""
    plain = {"model": model, "messages": MESSAGES}
    asked = {"max_tokens": 500, "temperature": 0.5, "top_p": 0.75, "stop": ["END"]}
    given = {
        "method": "chat.completions.create",
        "path": "/chat/completions",
        "arguments": {**plain, "messages": [{"role": "system", "content": LONG}, *MESSAGES], **asked},
        "span": {
            "gen_ai.request.max_tokens": 500,
            "gen_ai.request.temperature": 0.5,
            "gen_ai.request.top_p": 0.75,
            "gen_ai.request.stop_sequences": ("END",),
        },
        "finish": ("stop",),
        "streams": True,
        "question": plain,
        "cap": lambda tokens: {"max_tokens": tokens},
        "sent_cap": "max_tokens",
    }
    return Surface(sdk=sdk, **{**given, **more})


def hosted_embeddings(sdk: str, model: str, **more: Any) -> Surface:
    """Return the embeddings of a host that is compatible with OpenAI."""
    given = {
        "method": "embeddings.create",
        "path": "/embeddings",
        "arguments": {"model": model, "input": "one toll"},
        "operation": "embeddings",
        "in_counters": False,
    }
    return Surface(sdk=sdk, **{**given, **more})


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


def is_async(of: Any) -> bool:
    """Return whether something is iterated asynchronously; LiteLLM's streams can be either way."""
    if hasattr(of, "__iter__") and asyncio._get_running_loop() is None:  # noqa: SLF001  # the public one raises
        return False
    return hasattr(of, "__aiter__")


async def each(of: Any) -> AsyncIterator[Any]:
    """Yield what any kind of iterable has."""
    if is_async(of):
        async for one in of:
            yield one
    else:
        for one in of:
            yield one


async def read(stream: Any, number: int) -> None:
    """Read so many parts of any kind of stream."""
    if is_async(stream):
        # aiobotocore's stream calls what makes its iterators by the name of what an iterator has.
        own = hasattr(stream, "__anext__") and not inspect.isasyncgenfunction(type(stream).__anext__)
        parts = stream if own else aiter(stream)
        for _ in range(number):
            await anext(parts)
    else:
        parts = stream if hasattr(stream, "__next__") else iter(stream)
        for _ in range(number):
            next(parts)


async def close(stream: Any) -> None:
    """Close any kind of stream."""
    await settled((stream.close if hasattr(stream, "close") else stream.aclose)())


@asynccontextmanager
async def inside(manager: Any) -> AsyncIterator[Any]:
    """Enter any kind of context manager; what is none is closed if it can be."""
    if hasattr(manager, "__aenter__") and not hasattr(manager, "__enter__"):
        async with manager as entered:
            yield entered
    elif hasattr(manager, "__enter__"):
        with manager as entered:
            yield entered
    else:
        try:
            yield manager
        finally:
            if hasattr(manager, "close"):
                await settled(manager.close())


@contextmanager
def closing(made: Any, close: Callable[[], object]) -> Iterator[Any]:
    """Yield a client, and close it in a way of its own."""
    try:
        yield made
    finally:
        close()


@asynccontextmanager
async def closing_async(made: Any, close: Callable[[], Awaitable[object]]) -> AsyncIterator[Any]:
    """Yield a client, and close it in a way of its own."""
    try:
        yield made
    finally:
        await close()


# --- asking ----------------------------------------------------------------------------------


@dataclass(slots=True)
class Seen:
    """What the application saw: the types and contents of what it got, in order, and the exception."""

    told: list[Any] = field(default_factory=list)
    error: tuple[Any, ...] | None = None

    def add(self, value: Any) -> None:
        match self.told[-1:]:
            case [(_, bytes() as before)] if type(value) is bytes:  # pieces of a stream are cut as they come in
                self.told[-1] = (bytes, before + value)
            case _:
                self.told.append((type(value), picture(value)))


def picture(value: Any) -> Any:
    """Return the content of anything as plain data."""
    if isinstance(value, BaseModel):
        return picture(value.model_dump(warnings=False))
    if isinstance(value, Mapping):
        return {key: picture(value[key]) for key in value if str(key).lower() not in MADE_AT}
    if isinstance(value, list | tuple):
        return [picture(one) for one in value]
    for told in (getattr(value, "content", None), getattr(value, "proto", None)):
        if isinstance(told, bytes) or hasattr(told, "SerializeToString"):
            return str(told)
    fields = getattr(value, "__dict__", None)
    if fields is not None and type(value).__eq__ is object.__eq__:
        return {name: picture(one) for name, one in fields.items() if not name.startswith("_")}
    return value


def without(told: Any, names: frozenset[str]) -> Any:
    """Return pictures without some of their fields."""
    if isinstance(told, dict):
        return {name: without(value, names) for name, value in told.items() if name not in names}
    return type(told)(without(one, names) for one in told) if type(told) in (list, tuple) else told


def _causes(error: BaseException | None) -> tuple[Any, ...]:
    if error is None:
        return ()
    # Some SDKs quote headers, or a traceback, in which we stand, or tell when it was, by which connection, or by which
    # id of their own making.
    quoted = r"'(date|timestamp)': '[^']*'|127\.0\.0\.1:\d+|\(Request ID: [-0-9a-f]*\)|Traceback \(most recent.*"
    told = re.sub(quoted, "", str(error), flags=re.DOTALL)
    return (type(error), told, getattr(error, "body", None), *_causes(error.__cause__))


async def _whole(ask: Callable[..., Any], surface: Surface, seen: Seen) -> None:
    answer = await settled(ask(**surface.arguments))
    seen.told.append(type(answer))
    seen.add(await settled(surface.whole_in(answer)))


def _stream_flag(surface: Surface) -> Mapping[str, Any]:
    return {"stream": True} if surface.streams is True else {}


async def _stream(ask: Callable[..., Any], surface: Surface, seen: Seen) -> None:
    answer = await settled(ask(**surface.arguments, **surface.stream_arguments, **_stream_flag(surface)))
    stream = surface.stream_in(answer)
    seen.told.append((type(answer), type(stream), getattr(getattr(stream, "response", None), "status_code", None)))
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
    headers = {name: value for name, value in response.headers.items() if name.lower() not in MADE_AT}
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


STAINLESS_WAYS: tuple[How, ...] = tuple(WAYS)
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
        """The method's dotted name on a synchronous client."""
        surface = self.surface
        if self.how == "helper":
            return surface.helper or ""
        return surface.streams if self.streamed and isinstance(surface.streams, str) else surface.method

    @property
    def streamed(self) -> bool:
        return self.how in STREAMS

    def __str__(self) -> str:
        return f"{'async ' if self.asynchronous else ''}{self.surface.sdk} {self.method} {self.how}"

    def client(self, url: str, **options: Any) -> Any:
        """Return a client to ask with, to be entered."""
        return client_for(self.surface, url, asynchronous=self.asynchronous, **options)

    def asker(self, of: Any) -> Callable[..., Any]:
        """Return the client's method."""
        wrapper, _ = WAYS[self.how]
        where, name = resource(of, self.surface.of.async_name.format(self.method) if self.asynchronous else self.method)
        method: Callable[..., Any] = getattr(getattr(where, wrapper) if wrapper is not None else where, name)
        return method

    async def answer(self, of: Any, **arguments: Any) -> Any:
        """Return an answer, what is iterated of it, or the manager of a helper, with other arguments than usual."""
        surface = self.surface
        given = {**surface.arguments, **arguments}
        if not self.streamed:
            return await settled(surface.whole_in(await settled(self.asker(of)(**given))))
        given |= surface.stream_arguments
        if self.how == "helper":
            return self.asker(of)(**given)
        return surface.stream_in(await settled(self.asker(of)(**given, **_stream_flag(surface))))

    def ask(self, url: str, **options: Any) -> Seen:
        """Return what an application sees; no exception of the SDK's leaves."""
        return run(self._ask(url, options), asynchronous=self.asynchronous)

    async def _ask(self, url: str, options: Mapping[str, Any]) -> Seen:
        seen = Seen()
        async with inside(self.client(url, **options)) as of:
            ask = self.asker(of)
            try:
                await WAYS[self.how][1](ask, self.surface, seen)
            except Exception as error:  # noqa: BLE001  # whatever it is, it is to be the same twice
                seen.error = _causes(error)
        if self.surface.of.invents:
            seen.told = without(seen.told, self.surface.of.invents)
        return seen

    @property
    def retries(self) -> bool:
        """Whether its client can be told to ask again."""
        sdk = self.surface.of
        return sdk.retrying is not None and (sdk.retrying_async or not self.asynchronous)

    @property
    def missing(self) -> str | None:
        """What the installed SDK lacks for this, None if it has everything."""
        return _missing(self.surface, self.how)

    async def lacking(self) -> str | None:
        """Return what a client lacks."""
        async with inside(self.client("http://unused")) as of:
            try:
                method = self.asker(of)
            except AttributeError:
                return f"this {self.surface.sdk} has no {self.method} ({self.how})"
        if self.streamed and self.how != "helper" and self.surface.streams is True:
            parameters = inspect.signature(method).parameters
            if "stream" not in parameters and all(one.kind is not one.VAR_KEYWORD for one in parameters.values()):
                return f"{self.method} of this {self.surface.sdk} does not stream"
        return None

    @property
    def makes_sense(self) -> bool:
        """Whether any version of the SDK has this."""
        sdk = self.surface.of
        if self.how not in sdk.ways or not (sdk.asynchronous if self.asynchronous else sdk.synchronous):
            return False
        if self.how == "helper":
            return self.surface.helper is not None
        return not self.streamed or bool(self.surface.streams)


@cache
def _missing(surface: Surface, how: How) -> str | None:
    if not surface.of.installed:
        return f"{surface.of.module} is not installed"
    # A client is made to look at it, and some take long to make.
    asynchronous = not surface.of.synchronous
    return run(Case(surface, how, asynchronous).lacking(), asynchronous=asynchronous)  # type: ignore[no-any-return]


def _possible(surface: Surface, way: str) -> Case:
    sdk, how = surface.of, way.removeprefix("async ")
    if how == "whole" and "whole" not in sdk.ways:
        how = "stream"
    return Case(surface, how, way.startswith("async ") or not sdk.synchronous)  # type: ignore[arg-type]


def cases(surfaces: Sequence[Surface], ways: Sequence[str] = ALL_WAYS) -> list[Any]:
    """Return a parameter for each surface in each way; what this version of an SDK lacks is skipped.

    A way is a `How`, or one with "async " before it. Who cannot be asked synchronously is asked asynchronously instead,
    and who streams always is asked for a stream instead of a whole answer.
    """
    every = dict.fromkeys(_possible(surface, way) for surface, way in itertools.product(surfaces, ways))
    return [
        pytest.param(case, id=str(case), marks=[pytest.mark.skip(reason=case.missing)] if case.missing else [])
        for case in every
        if case.makes_sense
    ]
