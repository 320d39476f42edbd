"""Print the traces of an application as trees, each when it ends."""

from __future__ import annotations

import atexit
import io
import logging
import threading
import time
from collections import deque
from functools import partial
from typing import IO, TYPE_CHECKING, Final

from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor

from tracetoll.console.amounts import is_call, read
from tracetoll.console.gather import Gatherer
from tracetoll.console.nodes import Node
from tracetoll.console.tree import Tree, console_for
from tracetoll.console.writer import Writer
from tracetoll.forks import call_in_child
from tracetoll.safety import contained

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span
    from opentelemetry.trace import SpanContext, TracerProvider

    from tracetoll.console.gather import Gathered
    from tracetoll.console.nodes import SpanKey

log: Final = logging.getLogger("tracetoll")

LINES: Final = 60
GRACE_S: Final = 1.0
EXIT_S: Final = 5.0  # for a tree that another thread is writing while the process ends

_GATHERING: Final = contained("gathering spans for the console")
_STOPPING: Final = contained("printing the last traces")


class TreePrinter(SpanProcessor):
    """A span processor that prints each trace with model calls as a tree, when its local root ends.

    A local root is a span without a parent, with a parent in another process, or with one that is not known here.
    Where spans below it still run, the tree waits for them for up to `grace_s` seconds, and shows them as running then;
    what ends later is printed as a tree of its own. `force_flush` does not wait; `shutdown`, and the end of the
    process, also print what has not ended.

    The file is standard error by default. Each tree is written in one piece, by a thread of its own, and
    has about so many `lines`; the spans that cost least are summed up. Where traces end faster than they
    can be written, some are counted only. Needs rich (the extra `cli`); without it, one warning says so.
    """

    def __init__(self, file: IO[str] | None = None, *, lines: int = LINES, grace_s: float = GRACE_S) -> None:
        self._writer = Writer(file, lines)
        self._gatherer = Gatherer(grace_s, self._print)
        # Spans end in any thread, and in finalisers that strike while this thread is at work here. So nobody waits:
        # what happened is put in line, and whoever has the lock works it off.
        self._events: deque[Callable[[], None]] = deque()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._deadline: float | None = None
        self._is_on = False
        call_in_child(self, TreePrinter._forked)
        self.resume()

    @property
    def is_on(self) -> bool:
        """Whether trees are printed."""
        return self._is_on

    def resume(self) -> None:
        """Print what starts from now on."""
        if self._is_on:
            return
        try:
            _import_all_of_rich()
        except ImportError:
            log.warning("traces cannot be printed as trees without rich: pip install 'tracetoll[cli]'")
            return
        self._events.clear()
        self._is_on = True
        atexit.register(self.shutdown)

    def silence(self) -> None:
        """Print the traces whose roots have ended, and nothing from now on."""
        self._stop(self._gatherer.leave)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002  # as the SDK calls it
        """Take in a span that has started."""
        if self._is_on:
            with _GATHERING:
                call = is_call(span)
                start = partial(self._gatherer.start, _key(span.context), _local(span.parent), span.name)
                self._tell(partial(start, span.start_time or 0, is_call=call))

    def on_end(self, span: ReadableSpan) -> None:
        """Take in a span that has ended."""
        if self._is_on:
            with _GATHERING:
                ended = Node(_key(span.context), span.name, span.start_time, end=span.end_time, reading=read(span))
                self._tell(partial(self._gatherer.end, ended, _local(span.parent), time.monotonic()))

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Print the traces whose roots have ended; return whether that was done in time."""
        with _STOPPING:
            return self._settle(self._gatherer.flush, timeout_millis / 1e3)
        return False

    def shutdown(self) -> None:
        """Print all traces as they stand, and nothing from now on."""
        self._stop(self._gatherer.close)

    def _print(self, tree: Gathered) -> None:
        self._writer.put(tree)
        self._wake.set()

    def _tell(self, event: Callable[[], None]) -> None:
        self._events.append(event)
        while self._events and self._lock.acquire(blocking=False):
            try:
                self._work_off()
            finally:
                self._lock.release()

    def _work_off(self) -> None:
        while self._events:
            self._events.popleft()()
        deadline = self._gatherer.deadline
        if deadline is not None and self._deadline is None:
            self._wake.set()
        self._deadline = deadline
        if self._thread is None and self._is_on and self._wake.is_set():
            self._start_thread()

    def _start_thread(self) -> None:
        self._thread = threading.Thread(target=self._print_until_off, name="tracetoll-console", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # no thread starts while the interpreter ends; shutdown() prints then
            self._thread = None

    def _print_until_off(self) -> None:
        wake, this = self._wake, threading.current_thread()
        while self._thread is this:
            deadline = self._deadline
            wake.wait(None if deadline is None else max(deadline - time.monotonic(), 0))
            wake.clear()
            with _GATHERING:
                self._tell(partial(self._gatherer.due, time.monotonic()))
                self._writer.drain()

    def _settle(self, step: Callable[[], None], timeout_s: float) -> bool:
        until = time.monotonic() + timeout_s
        if not self._lock.acquire(timeout=max(timeout_s, 0)):
            return False
        try:
            self._events.append(step)
            self._work_off()
        finally:
            self._lock.release()
        return self._writer.drain(max(until - time.monotonic(), 0))

    def _stop(self, step: Callable[[], None]) -> None:
        if not self._is_on:
            return
        self._is_on = False
        with _STOPPING:
            atexit.unregister(self.shutdown)
            self._settle(step, EXIT_S)
            self._thread = None
            self._wake.set()

    def _forked(self) -> None:
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread = self._deadline = None
        self._events.clear()
        self._gatherer.forget()
        self._writer.forked()


def print_trees_of(provider: TracerProvider | None) -> TreePrinter | None:
    """Return what prints the traces of a tracer provider from now on, of the global one where None is given.

    None: something prints them already, or it cannot be done, which is logged.
    """
    provider = trace.get_tracer_provider() if provider is None else provider
    add = getattr(provider, "add_span_processor", None)
    if add is None:
        log.warning(
            "console=tree needs a tracer provider of the OpenTelemetry SDK, and there is only a %s: set one before "
            "instrument(), or give it add_span_processor(tracetoll.console.TreePrinter()) later",
            type(provider).__name__,
        )
        return None
    # Processors cannot be removed: one that was silenced by uninstrument() is still there.
    added = getattr(getattr(provider, "_active_span_processor", None), "_span_processors", ())
    known = next((one for one in added if isinstance(one, TreePrinter)), None)
    if known is not None and known.is_on:
        return None
    printer = known or TreePrinter()
    if known is not None:
        known.resume()
    if printer.is_on and known is None:
        add(printer)
    return printer if printer.is_on else None


def _import_all_of_rich() -> None:
    """Import here and now what printing imports: a child that is forked in the middle of an import waits for ever."""
    sample = Tree([Node((0, 0), "\N{BRIDGE AT NIGHT}", 0, end=0)])  # a wide sign needs a table that rich loads late
    console_for(io.StringIO(), sample).print(sample)


def _key(context: SpanContext) -> SpanKey:
    return context.trace_id, context.span_id


def _local(parent: SpanContext | None) -> SpanKey | None:
    return None if parent is None or parent.is_remote else (parent.trace_id, parent.span_id)
