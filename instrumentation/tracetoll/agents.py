"""Spans for the application's own agents and tools, with upstream's names and attributes.

`agent("planner")` makes an `invoke_agent` span and `tool("search")` an `execute_tool` span. Both are a
context manager and a decorator for functions, coroutines, generators and asynchronous generators, for methods of
every kind, and for objects that can be called.
"""

from __future__ import annotations

import functools
import inspect
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from opentelemetry import context, trace
from opentelemetry.trace import SpanKind, StatusCode

from tracetoll import errors
from tracetoll.attribution import attribution
from tracetoll.attribution import current as current_attribution
from tracetoll.runs import Run, running_agent
from tracetoll.version import __version__
from tracetoll_semconv import attributes as a

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping
    from types import TracebackType

    from opentelemetry.trace import Span, Tracer

    from tracetoll.runs import Kind, Runs

F = TypeVar("F", bound="Callable[..., Any]")

_SCOPE: Final = "tracetoll"
_NOBODY: Final[frozenset[str]] = frozenset()


class Connection(NamedTuple):
    """Where spans and numbers of agents and tools go, as instrument() says."""

    tracer: Tracer | None = None
    """None: one of the global provider."""
    runs: Runs | None = None
    """None: there are no metrics."""
    baggage_in: frozenset[str] = _NOBODY
    """Entries of incoming baggage that are taken as attribution."""


_entered: ContextVar[tuple[Run, Any, Any] | None] = ContextVar("tracetoll_operations", default=None)
_connected = Connection()


def connect(connection: Connection) -> None:
    """Set where spans and numbers of agents and tools go."""
    global _connected  # noqa: PLW0603  # set once, by instrument()
    _connected = connection


def disconnect() -> None:
    """Make no more metrics. Spans still go where they went."""
    connect(Connection(_connected.tracer))


class Operation:
    """A block or function of the application that is a span of its own."""

    __slots__ = ("_attributes", "_attribution", "_kind", "_name")

    def __init__(
        self, kind: Kind, name: str, attributes: Mapping[str, str], attribution_keys: Mapping[str, str]
    ) -> None:
        self._kind: Kind = kind
        self._name = name
        self._attributes = attributes
        self._attribution = attribution_keys

    def _start(self) -> Run:
        connected = _connected
        if connected.runs is not None:
            connected.runs.make_room()
        if self._kind == "tool":
            outer = running_agent.get()
            if outer is not None:
                outer.called_tool()
        tracer = connected.tracer or trace.get_tracer(_SCOPE, __version__)
        told = current_attribution(connected.baggage_in, context.get_current())
        attributes = {**told, **self._attributes} if told else self._attributes
        span = tracer.start_span(self._name, kind=SpanKind.INTERNAL, attributes=attributes)
        return Run(self._kind, self._attributes, told, span)

    @staticmethod
    def _end(run: Run) -> None:
        run.end()
        run.span.end()
        if _connected.runs is not None:
            _connected.runs.ran(run)

    @contextmanager
    def _running(self, run: Run) -> Iterator[Span]:
        """Make the span current, and record what the block raises."""
        outer = running_agent.get()
        if run.kind == "agent":
            running_agent.set(run)
        try:
            with (
                trace.use_span(run.span, record_exception=False, set_status_on_exception=False),
                attribution(**self._attribution),
            ):
                try:
                    yield run.span
                except Exception as error:
                    _fail(run, error)
                    raise
        finally:
            running_agent.set(outer)

    def __enter__(self) -> Span:
        run = self._start()
        running = self._running(run)
        entered = running.__enter__()
        # On a stack in the context, not on self: one object may be entered by many tasks at once.
        _entered.set((run, running, _entered.get()))
        return entered

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_back: TracebackType | None
    ) -> None:
        top = _entered.get()
        if top is None:
            return
        run, running, outer = top
        _entered.set(outer)
        try:
            running.__exit__(kind, error, trace_back)
        finally:
            self._end(run)

    def __call__(self, function: F) -> F:
        """Return `function` with each of its calls in a span; what kind of function it is stays.

        A class whose objects are called stays the class, with its `__call__` in a span. Raises TypeError for a
        class whose objects cannot be called, and where the span has the id of one call.
        """
        if a.GEN_AI_TOOL_CALL_ID in self._attributes:
            msg = "tool(call_id=...) is one call: use it as `with tool(...):`, not as a decorator"
            raise TypeError(msg)
        wrapped: Any
        given: Any = function
        if isinstance(given, classmethod | staticmethod):
            wrapped = type(given)(self(given.__func__))
        elif isinstance(given, type):
            wrapped = self._wrap_class(given)
        else:
            wrapped = self._wrap(given)
        return wrapped  # type: ignore[no-any-return]  # functools.wraps keeps the signature

    def _wrap_class(self, given: Any) -> Any:
        if not any("__call__" in of.__dict__ for of in given.__mro__):
            msg = f"objects of {given.__name__} cannot be called; decorate the method that is to have a span"
            raise TypeError(msg)
        given.__call__ = self._wrap(given.__call__)
        return given

    def _wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        runs = function
        if not inspect.isroutine(function) and not isinstance(function, functools.partial):
            runs = getattr(function, "__call__", function)  # noqa: B004  # an object's own method says what it is
        if inspect.isasyncgenfunction(runs):
            wrapped = self._wrap_async_generator(function)
        elif inspect.iscoroutinefunction(runs):
            wrapped = self._wrap_coroutine(function)
        elif inspect.isgeneratorfunction(runs):
            wrapped = self._wrap_generator(function)
        else:
            wrapped = self._wrap_function(function)
        return _named_like(function, wrapped)

    def _wrap_function(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            run = self._start()
            try:
                with self._running(run):
                    return function(*args, **kwargs)
            finally:
                self._end(run)

        return wrapper

    def _wrap_coroutine(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            run = self._start()
            try:
                with self._running(run):
                    return await function(*args, **kwargs)
            finally:
                self._end(run)

        return wrapper

    def _wrap_generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            run = self._start()
            sent: Any = None
            thrown: BaseException | None = None
            try:
                steps = function(*args, **kwargs)
                while True:
                    # Current only while the generator's own code runs: never across a yield.
                    with self._running(run):
                        try:
                            step = steps.send(sent) if thrown is None else steps.throw(thrown)
                        except StopIteration as stop:
                            return stop.value
                    sent, thrown = None, None
                    try:
                        sent = yield step
                    except GeneratorExit:
                        with self._running(run):
                            steps.close()
                        raise
                    except BaseException as error:  # noqa: BLE001  # handed on into the generator
                        thrown = error
            finally:
                self._end(run)

        return wrapper

    def _wrap_async_generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            run = self._start()
            sent: Any = None
            thrown: BaseException | None = None
            try:
                steps = function(*args, **kwargs)
                while True:
                    with self._running(run):
                        try:
                            step = await (steps.asend(sent) if thrown is None else steps.athrow(thrown))
                        except StopAsyncIteration:
                            return
                    sent, thrown = None, None
                    try:
                        sent = yield step
                    except GeneratorExit:
                        with self._running(run):
                            await steps.aclose()
                        raise
                    except BaseException as error:  # noqa: BLE001  # handed on into the generator
                        thrown = error
            finally:
                self._end(run)

        return wrapper


def _named_like(function: Any, wrapped: Callable[..., Any]) -> Callable[..., Any]:
    """Give `wrapped` a name where functools.wraps() found none: that of what a partial calls, of an object's class."""
    if hasattr(function, "__name__"):
        return wrapped
    named = function
    while isinstance(named, functools.partial):
        named = named.func
    if not hasattr(named, "__name__"):
        named = type(named)
    wrapped.__name__, wrapped.__qualname__, wrapped.__doc__ = named.__name__, named.__qualname__, named.__doc__
    return wrapped


def _fail(run: Run, error: Exception) -> None:
    limited = isinstance(error, errors.LimitExceeded)
    run.error = errors.BUDGET_EXCEEDED if limited else errors.class_name(error)
    run.span.set_attribute(a.ERROR_TYPE, run.error)
    run.span.set_status(StatusCode.ERROR, str(error) if limited else errors.description(error))


def _checked(name: str, what: str) -> str:
    if not isinstance(name, str):
        msg = f"{what}({name!r}): a name is wanted, as in @{what}({what!r})"
        raise TypeError(msg)
    return name


def agent(name: str, *, description: str | None = None) -> Operation:
    """Return an `invoke_agent` span for a block or a function; calls made inside carry the agent's name."""
    attributes = {a.GEN_AI_OPERATION_NAME: "invoke_agent", a.GEN_AI_AGENT_NAME: _checked(name, "agent")}
    if description is not None:
        attributes[a.GEN_AI_AGENT_DESCRIPTION] = description
    return Operation("agent", f"invoke_agent {name}", attributes, {"agent_name": name})


def tool(
    name: str,
    *,
    description: str | None = None,
    type: str = "function",  # noqa: A002  # upstream's name: gen_ai.tool.type
    call_id: str | None = None,
) -> Operation:
    """Return an `execute_tool` span for a block or a function.

    `type` is `function` (run by the client), `extension` (on the agent's side) or `datastore`. `call_id` is the id
    that the model gave to its tool call, for `with` only.
    """
    attributes = {
        a.GEN_AI_OPERATION_NAME: "execute_tool",
        a.GEN_AI_TOOL_NAME: _checked(name, "tool"),
        a.GEN_AI_TOOL_TYPE: type,
    }
    if description is not None:
        attributes[a.GEN_AI_TOOL_DESCRIPTION] = description
    if call_id is not None:
        attributes[a.GEN_AI_TOOL_CALL_ID] = call_id
    return Operation("tool", f"execute_tool {name}", attributes, {})
