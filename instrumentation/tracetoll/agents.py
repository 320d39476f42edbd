"""Spans for the application's own agents and tools, with upstream's names and attributes.

`agent("planner")` makes an `invoke_agent` span and `tool("search")` an `execute_tool` span. Both are a
context manager and a decorator for functions, coroutines, generators and asynchronous generators.
"""

from __future__ import annotations

import functools
import inspect
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TypeVar

from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from tracetoll import errors
from tracetoll.attribution import attribution
from tracetoll.version import __version__
from tracetoll_semconv import attributes as a

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping
    from types import TracebackType

    from opentelemetry.trace import Span, TracerProvider

F = TypeVar("F", bound="Callable[..., Any]")

_SCOPE: Final = "tracetoll"
_entered: ContextVar[tuple[Span, Any, Any] | None] = ContextVar("tracetoll_operations", default=None)
_tracer_provider: TracerProvider | None = None


def use_tracer_provider(provider: TracerProvider | None) -> None:
    """Set where agent and tool spans go; None: the global provider."""
    global _tracer_provider  # noqa: PLW0603  # set once, by instrument()
    _tracer_provider = provider


class Operation:
    """A block or function of the application that is a span of its own."""

    __slots__ = ("_attributes", "_attribution", "_name")

    def __init__(self, name: str, attributes: Mapping[str, str], attribution_keys: Mapping[str, str]) -> None:
        self._name = name
        self._attributes = attributes
        self._attribution = attribution_keys

    def _start(self) -> Span:
        tracer = trace.get_tracer(_SCOPE, __version__, _tracer_provider)
        return tracer.start_span(self._name, kind=SpanKind.INTERNAL, attributes=self._attributes)

    @contextmanager
    def _running(self, span: Span) -> Iterator[Span]:
        """Make the span current, and record what the block raises."""
        with (
            attribution(**self._attribution),
            trace.use_span(span, record_exception=False, set_status_on_exception=False),
        ):
            try:
                yield span
            except Exception as error:
                _fail(span, error)
                raise

    def __enter__(self) -> Span:
        span = self._start()
        running = self._running(span)
        entered = running.__enter__()
        # On a stack in the context, not on self: one object may be entered by many tasks at once.
        _entered.set((span, running, _entered.get()))
        return entered

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_back: TracebackType | None
    ) -> None:
        top = _entered.get()
        if top is None:
            return
        span, running, outer = top
        _entered.set(outer)
        try:
            running.__exit__(kind, error, trace_back)
        finally:
            span.end()

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
            span = self._start()
            try:
                with self._running(span):
                    return function(*args, **kwargs)
            finally:
                span.end()

        return wrapper

    def _wrap_coroutine(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            span = self._start()
            try:
                with self._running(span):
                    return await function(*args, **kwargs)
            finally:
                span.end()

        return wrapper

    def _wrap_generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            span = self._start()
            steps = function(*args, **kwargs)
            sent: Any = None
            thrown: BaseException | None = None
            try:
                while True:
                    # Current only while the generator's own code runs: never across a yield.
                    with self._running(span):
                        try:
                            step = steps.send(sent) if thrown is None else steps.throw(thrown)
                        except StopIteration as stop:
                            return stop.value
                    sent, thrown = None, None
                    try:
                        sent = yield step
                    except GeneratorExit:
                        steps.close()
                        raise
                    except BaseException as error:  # noqa: BLE001  # handed on into the generator
                        thrown = error
            finally:
                span.end()

        return wrapper

    def _wrap_async_generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            span = self._start()
            steps = function(*args, **kwargs)
            sent: Any = None
            thrown: BaseException | None = None
            try:
                while True:
                    with self._running(span):
                        try:
                            step = await (steps.asend(sent) if thrown is None else steps.athrow(thrown))
                        except StopAsyncIteration:
                            return
                    sent, thrown = None, None
                    try:
                        sent = yield step
                    except GeneratorExit:
                        await steps.aclose()
                        raise
                    except BaseException as error:  # noqa: BLE001  # handed on into the generator
                        thrown = error
            finally:
                span.end()

        return wrapper


def _fail(span: Span, error: Exception) -> None:
    limited = isinstance(error, errors.LimitExceeded)
    span.set_attribute(a.ERROR_TYPE, errors.BUDGET_EXCEEDED if limited else errors.class_name(error))
    span.set_status(StatusCode.ERROR, str(error) if limited else errors.description(error))


def agent(name: str) -> Operation:
    """Return an `invoke_agent` span for a block or a function; calls made inside carry the agent's name."""
    attributes = {a.GEN_AI_OPERATION_NAME: "invoke_agent", a.GEN_AI_AGENT_NAME: name}
    return Operation(f"invoke_agent {name}", attributes, {"agent_name": name})


def tool(name: str) -> Operation:
    """Return an `execute_tool` span for a block or a function, a tool of type `function`."""
    attributes = {a.GEN_AI_OPERATION_NAME: "execute_tool", a.GEN_AI_TOOL_NAME: name, a.GEN_AI_TOOL_TYPE: "function"}
    return Operation(f"execute_tool {name}", attributes, {})
