"""Spans for the application's own agents and tools, with upstream's names and attributes.

`agent("planner")` makes an `invoke_agent` span and `tool("search")` an `execute_tool` span. Both are a
context manager and a decorator for functions, coroutines, generators and asynchronous generators.
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
        """Return `function` with each of its calls in a span; what kind of function it is stays."""
        wrapped: Any
        if inspect.isasyncgenfunction(function):
            wrapped = self._wrap_async_generator(function)
        elif inspect.iscoroutinefunction(function):
            wrapped = self._wrap_coroutine(function)
        elif inspect.isgeneratorfunction(function):
            wrapped = self._wrap_generator(function)
        else:
            wrapped = self._wrap_function(function)
        return wrapped  # type: ignore[no-any-return]  # functools.wraps keeps the signature

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


def _fail(run: Run, error: Exception) -> None:
    limited = isinstance(error, errors.LimitExceeded)
    run.error = errors.BUDGET_EXCEEDED if limited else errors.class_name(error)
    run.span.set_attribute(a.ERROR_TYPE, run.error)
    run.span.set_status(StatusCode.ERROR, str(error) if limited else errors.description(error))


def agent(name: str) -> Operation:
    """Return an `invoke_agent` span for a block or a function; calls made inside carry the agent's name."""
    attributes = {a.GEN_AI_OPERATION_NAME: "invoke_agent", a.GEN_AI_AGENT_NAME: name}
    return Operation("agent", f"invoke_agent {name}", attributes, {"agent_name": name})


def tool(name: str) -> Operation:
    """Return an `execute_tool` span for a block or a function, a tool of type `function`."""
    attributes = {a.GEN_AI_OPERATION_NAME: "execute_tool", a.GEN_AI_TOOL_NAME: name, a.GEN_AI_TOOL_TYPE: "function"}
    return Operation("tool", f"execute_tool {name}", attributes, {})
