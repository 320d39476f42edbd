"""Words for SDKs that pass everything through one function of their own: where it is, and what goes in and comes out.

A *waist* is such a function, or several that stand side by side (sync, async, streamed). Its arguments are
looked at by name, the instance as `self`; what is passed beyond the named ones is `arg0`, `arg1` …
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

from tracetoll.protos import fields_of, json_of_message, message_in
from tracetoll.reading import Path, dig, get, path, view

if TYPE_CHECKING:
    from tracetoll.providers.words import Surface

Event = Callable[[object], object]

ENDED: Final = object()
"""What the provider's own word for the end of a stream is read as."""

Result = Literal["answer", "first", "iterating", "lazy", "inside", "own stream", "response", "response manager", "aws"]
"""What a function gives back.

- "answer": the answer; where it streams, an iterator of events, or an object that has one (see `Tap`);
- "first": a tuple of the answer, or of such an iterator, and something else;
- "iterating": an object that keeps what it iterates in `_iterator`, and `response`; or the answer;
- "lazy": a generator that asks nobody before it is iterated where it streams, else the answer;
- "inside": the answer; where it streams, an iterator of events that the application never gets to see;
- "own stream": the answer; where it streams, an object of the SDK's own with `__next__` or `__anext__`, or one
  that reads a call of grpc.aio (see `Tap`);
- "response": an HTTP response of httpx or httpx2;
- "response manager": a context manager that has one;
- "aws": what botocore makes of a response.
"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Function:
    """A function to patch: "module:Class.function" or "module:function"; a module that is not there is left out.

    `streams` tells whether it streams: always, never, or as an argument says (a path). `surface` is the key of
    its surface where the arguments do not tell (see `Waist.key`), `method` is its HTTP method where they do not.
    `makes`: what it returns is the function, such as one that tries again; those made before stay as they are.
    """

    at: str
    asynchronous: bool = False
    makes: bool = False
    method: str = ""
    result: Result = "answer"
    streams: bool | Path = False
    surface: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Body:
    """Where the request stands among the arguments; () is all of them.

    `form`: "object", a mapping or an SDK's object; "json", a JSON document; "request", an HTTP request of httpx
    whose content is one; "message", one of protocol buffers; "gapic", what Google's generated clients take: a
    message, a dict, or the arguments in `beside`, whose field `resource` has the name of a model. `model` is where
    the model is told, among the arguments, if not in the request. `beside` are arguments that are read as if they
    stood in the request, by the last part of their paths. `whole` is an argument that, where it is a mapping, is the
    request, and the others are not. `defaults` are fields that the arguments may leave out, and where their values
    stand then; `extra` are arguments with more.
    """

    at: Path = ()
    form: Literal["object", "json", "request", "message", "gapic"] = "object"
    model: Path = ()
    beside: tuple[Path, ...] = ()
    whole: str = ""
    defaults: Mapping[str, Path] = field(default_factory=dict)
    extra: tuple[Path, ...] = ()
    resource: str = "model"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Family:
    """The surface of some models, where one function speaks a format of its own for each maker of models.

    A model belongs to it whose name fits one of the patterns, and whose request has something in the field `has`.
    """

    surface: Surface
    models: tuple[str, ...] = ("*",)
    has: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Response:
    """A function in which the SDK's HTTP response can be seen, so that a stream can be closed: where in its result.

    `given`: it is among the arguments instead, and good when the function returns. `answer`: it is the answer
    itself, which counts whatever the SDK then thinks of it. `headers`: its headers are nowhere else to be read.
    """

    function: Function
    at: Path = ()
    given: bool = False
    answer: bool = False
    headers: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Tap:
    """The iterator that an SDK's own stream object reads: the attribute it is in, which gets ours instead.

    `pieces`: it has pieces of server-sent events, as bytes. `made`: it is a method that makes one when the stream is
    iterated. `response` is the attribute with what can be closed;
    `closes` are the functions ("module:Class.function") by which the application closes a stream. A call of grpc.aio
    is tapped whichever way it is read.
    """

    at: str
    pieces: bool = False
    made: bool = False
    response: str = ""
    closes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Many:
    """Who is called through an SDK that calls many providers, and what we call them.

    The first thing that tells is believed: an argument, the model ("provider/model"), the SDK's own table of models
    ("module:table", and where in an entry). None of them: the waist's own provider.
    """

    names: Mapping[str, str]
    argument: Path = ()
    table: str = ""
    in_table: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Asks:
    """Something to ask the SDK's own function `at` ("module:function"), about the argument of a call at `of`."""

    at: str
    of: Path


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Handed:
    """Functions that ask elsewhere than where they are called, where nobody knows on whose behalf.

    They ask from threads of the SDK's own, or when the generator that they return is first iterated. They, and what
    calls pass through, have an argument `options`, a dict that goes from one to the other: the caller's context is
    put into a copy of it.
    """

    functions: tuple[Function, ...]
    options: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Waist:
    """An SDK, or a part of one, whose calls pass through a few functions.

    `key` are the arguments that, joined by a space, name the surface: one is looked up in `surfaces` as it is,
    two are a method and a URL. `streamed` are keys whose calls always stream. `base_url` is where the host can be
    read among the arguments. `event` is what an answer, or an element of a stream, holds to be read; `headers`
    is where on an answer the response's headers are, `retries` how often was tried again, and `error_answer`
    where an exception has what has the same. `families` are looked through first, by key; the first that fits counts;
    where none does, what has no operation is no call.
    `error_codes` are where the provider's code of an error can stand: on an exception, or in the body of an HTTP
    response. `attempts` are functions that the SDK calls once for each of its attempts. `local` tells whether the
    SDK answers by itself, without a provider.
    """

    name: str
    provider: str
    functions: tuple[Function, ...]
    surfaces: Mapping[str, Surface]
    key: tuple[Path, ...] = ()
    streamed: frozenset[str] = frozenset()
    body: Body = field(default_factory=Body)
    bodies: Mapping[str, Body] = field(default_factory=dict)
    """By key, where a surface's request stands elsewhere."""
    base_url: Path = ()
    event: Event | None = None
    headers: Path = ()
    retries: Path = ()
    error_answer: Path = ()
    families: Mapping[str, tuple[Family, ...]] = field(default_factory=dict)
    responses: tuple[Response, ...] = ()
    tap: Tap | None = None
    own_tracers: tuple[str, ...] = ()
    """The tracers ("module:name") that the SDK tells of its calls with; it does not where ours is told of."""
    streams: tuple[str, ...] = ()
    """Classes of streams of the SDK's own, as "module:Class"."""
    said: tuple[str, ...] = ()
    """Functions that return what a provider said while such a stream is read; then its elements themselves, which
    may have numbers of the SDK's own, are not."""
    many: Many | None = None
    flagged: tuple[Path, str] | None = None
    """An argument, and the provider where it is true and nobody knows the host."""
    held: tuple[Function, ...] = ()
    """Coroutine functions that give the application an asynchronous generator, in which streams are read."""
    error_codes: tuple[Path, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    attempts: tuple[Function, ...] = ()
    local: Asks | None = None
    handed: Handed | None = None
    readers: tuple[str, ...] = ()
    """Asynchronous generator functions ("module:function") that read the HTTP response which they are given first."""
    elsewhere: tuple[str, ...] = ()
    """Functions ("module:function") that have a coroutine function, their first argument, run in another thread."""


def at(dotted: str) -> Event:
    """Return what looks at a path of an object."""
    return functools.partial(_at, path(dotted))


def _at(where: Path, of: object) -> object:
    return dig(of, where)


def with_hidden(name: str, better: Mapping[str, str] = MappingProxyType({})) -> Event:
    """Return what reads an object with one of its attributes that its own fields do not have.

    `better`: fields of the object, and the names of what the attribute tells better.
    """

    def event(of: object) -> object:
        hidden = getattr(of, name, None)
        instead = {field: get(hidden, told) for field, told in better.items()}
        return {**view(of), name: hidden, **{field: told for field, told in instead.items() if told is not None}}

    return event


def json_at(where: Path = ()) -> Event:
    """Return what reads a JSON text, or the JSON text at a path of an object."""

    def event(of: object) -> object:
        return json_of(dig(of, where) if where else of)

    return event


def json_inside(where: Path) -> Event:
    """Return what reads the JSON text at a path of an object, and an object that has none there as it is."""

    def event(of: object) -> object:
        told = dig(of, where)
        return of if told is None else json_of(told)

    return event


def first_json(told: object) -> object:
    """Return what a JSON text says; where that is a list, its first element."""
    found = json_of(told)
    return next(iter(found), None) if isinstance(found, list) else found


def message(of: object) -> object:
    """Return the fields of the protocol buffer message that an SDK's object, or the last of several, wraps."""
    found = message_in(of)
    return None if found is None else fields_of(found)


def json_message(of: object) -> object:
    """Return the fields of the protocol buffer message that an SDK's object wraps, as JSON names them."""
    found = message_in(of)
    return None if found is None else json_of_message(found)


def value_at(*where: str) -> Event:
    """Return what reads the value at a path of an object."""

    def event(of: object) -> object:
        return dig(of, where)

    return event


def json_of(told: object) -> Any:
    """Return what a JSON text says, a line of server-sent events too, ENDED for the last; None for anything else."""
    if isinstance(told, bytes | bytearray):
        told = told.decode("utf-8", "replace")
    if not isinstance(told, str):
        return None
    told = told.removeprefix("data:")
    try:
        return json.loads(told)
    except ValueError:
        return ENDED if told.strip() == "[DONE]" else None
