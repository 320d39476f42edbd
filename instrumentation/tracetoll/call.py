"""One call to a model: what is known of it, from its start until it closes, exactly once.

A call is one logical operation of the application, with all of the SDK's retries. It closes when the answer
is there, the stream has ended, or it failed, was cancelled, closed, or forgotten; whichever comes first.
"""

from __future__ import annotations

import sys
from collections import deque
from contextvars import ContextVar
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, Literal

from opentelemetry.context import attach, detach

from tracetoll.reading import convert_found, dig, elements, encodable, get, text, view
from tracetoll.safety import fault
from tracetoll.usage import Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.trace import Span

    from tracetoll.engine import Engine
    from tracetoll.limits.claim import Claim
    from tracetoll.limits.scope import Scope
    from tracetoll.pricing import Cost
    from tracetoll.providers.words import Answer, AttributeValue, Surface
    from tracetoll.runs import Run
    from tracetoll.targets import Target
    from tracetoll.usage import Usage

Outcome = Literal["done", "failed", "cancelled", "closed", "abandoned", "refused", "cut"]

_NOBODY: Final[Mapping[str, str]] = {}

current_call: ContextVar[Call | None] = ContextVar("tracetoll_call", default=None)

# Calls that could not be closed where a garbage collection struck; see `Call.close_safely`.
_forgotten: Final[deque[tuple[Call, Outcome]]] = deque()
# What holds locks. Not all of opentelemetry: its middleware is on the stack of every request of a web application.
_UNSAFE_TO_INTERRUPT: Final = (
    "opentelemetry.sdk",
    "opentelemetry.exporter",
    "tracetoll.engine",
    "tracetoll.instruments",
    "tracetoll.ledgers",
    "tracetoll.limits",
    "tracetoll.pricing",
    "tracetoll.signals",
    "queue",
    "logging",
)


@dataclass(slots=True, eq=False)
class Ending:
    """How a call ended, and what it comes to. `missing` says why there is no usage where there should be."""

    outcome: Outcome
    seconds: float
    usage: Usage | None = None
    cost: Cost | None = None
    error: str | None = None
    missing: str | None = None
    input_error: int | None = None
    """By how many tokens limits had estimated too much; None: they had nothing to estimate."""
    output_error: int | None = None


class Call:
    """The state of one call. Made by `Engine.open`; nothing of it is shared between calls."""

    __slots__ = (
        "_open",
        "attempts",
        "attributes",
        "attribution",
        "body",
        "claim",
        "context",
        "engine",
        "error",
        "error_code",
        "finish",
        "first_chunk_s",
        "model",
        "output",
        "reader",
        "reading",
        "received",
        "rejected",
        "request_id",
        "response",
        "response_id",
        "response_model",
        "retry_after_s",
        "run",
        "running",
        "scopes",
        "sent",
        "silent",
        "span",
        "started",
        "status",
        "stream_of",
        "streaming",
        "surface",
        "target",
        "token",
        "tried",
        "usage_hidden",
        "usage_wanted",
    )

    def __init__(self, engine: Engine, surface: Surface, target: Target, model: str | None, *, streaming: bool) -> None:
        self.engine = engine
        self.surface = surface
        self.target = target
        self.model = model
        self.reader: Callable[[object], object] | None = None
        """What reads the parts of which an SDK makes the elements of its stream."""
        self.streaming = streaming
        self.reading = Reading()
        self.finish: dict[int, str] = {}
        self.attributes: dict[str, AttributeValue] = {}
        self.attribution: Mapping[str, str] = _NOBODY
        self.body: Any = None
        self.claim: Claim | None = None
        """What the call asked of its limits; None where none applies."""
        self.scopes: tuple[Scope, ...] = ()
        """The blocks of limits(...) that the call is made in."""
        self.output: Any = None
        self.response: Any = None
        self.silent = False
        """Whether somebody else tells of this call, so that it only counts for limits."""
        self.sent = False
        """Whether the SDK was let do its work."""
        self.received = False
        """Whether the provider has answered with success."""
        self.rejected = False
        """Whether the provider has answered with an error, in a response that the SDK makes an exception of."""
        self.stream_of: Any = None
        """The HTTP response that a stream comes from, where only that can be closed."""
        self.response_id: str | None = None
        self.response_model: str | None = None
        self.request_id: str | None = None
        self.retry_after_s: float | None = None
        """When the provider wants to be asked again; it says so with good answers too."""
        self.status: str | None = None
        self.error: BaseException | None = None
        self.error_code: str | None = None
        self.attempts, self.tried = 1, 0
        """How many attempts there were, and how many were seen to begin."""
        self.first_chunk_s: float | None = None
        self.run: Run | None = None
        """The agent that counts this call as its own."""
        self.running = False
        self.usage_hidden = False
        self.usage_wanted = True
        """Whether usage that is missing is a gap."""
        self.span: Span
        self.context: Context
        self.token: Token[Context] | None = None
        self._open = [None]
        self.started = perf_counter()

    # --- around the SDK's own work -----------------------------------------------------------

    def enter(self) -> Token[Call | None]:
        """Make this the current call and its span the current span, until `leave`."""
        self.go()
        self.token = attach(self.context)
        return current_call.set(self)

    def go(self) -> None:
        """Note that the SDK is let do its work, or has done it."""
        self.sent = True
        if self.surface.billed != "fetched":
            for scope in self.scopes:
                scope.begin()
        if self.run is not None:
            self.run.called_model()

    def leave(self, entered: Token[Call | None]) -> None:
        """Undo `enter`, in the same context."""
        current_call.reset(entered)
        if self.token is not None:
            detach(self.token)
            self.token = None

    def saw_response(self, response: object, retries: object) -> None:
        """Keep the HTTP response that the SDK is about to turn into its answer."""
        self.response = response
        self.received = True
        if type(retries) is int:
            self.attempts = retries + 1

    def tries(self) -> None:
        """Note that the SDK is about to ask, for the first time or again."""
        self.tried += 1
        self.attempts = self.tried

    # --- what the provider says --------------------------------------------------------------

    def read(self, node: object, answer: Answer | None = None) -> None:
        """Take what an answer, or a part of it, says. What is read later wins."""
        answer = answer or self.surface.answer
        told = view(node)
        if not told:
            return
        value = told.get(answer.id)
        if value and isinstance(value, str):
            self.response_id = encodable(value)
        value = told.get(answer.model)
        if value and isinstance(value, str):
            self.response_model = encodable(value)
        self.read_usage(told, answer)
        if answer.model_in or answer.metered:
            self._read_beside(told, answer)
        if answer.finish is not None:
            answer.finish.read(told, self.finish)
        if answer.failed or (answer.error and told.get(answer.error[0]) is not None):
            self._read_error(told, answer)
        if answer.attributes:
            convert_found(told, answer.attributes, self.attributes)
        if answer.status:
            self.status = text(told.get(answer.status)) or self.status
        if answer.provider is not None or self.surface.lines:
            self._read_rare(told, answer)

    def _read_error(self, told: Mapping[str, Any], answer: Answer) -> None:
        """Take the code of an error, if an answer is one."""
        code: object = None
        if answer.failed:
            if told.get(answer.failed) is not True:
                return
            code = next(filter(None, map(told.get, answer.codes)), None)
        else:
            if len(answer.error) > 1 and dig(told, answer.error[:-1]) is None:
                return
            code = dig(told, answer.error)
        self.error_code = str(code or "error")[:64]

    def _read_rare(self, told: Mapping[str, Any], answer: Answer) -> None:
        """Take what few answers say."""
        if answer.provider is not None:
            name = text(dig(told, answer.provider.at))
            if name is not None:
                self.engine.answered_by(self, answer.provider.names.get(name, name))
        if self.surface.lines:
            self.engine.past_calls(self.surface, self.target, dig(told, self.surface.lines))

    def read_usage(self, node: Mapping[str, Any], answer: Answer) -> bool:
        """Take the usage object of an answer if it has one; return whether it had."""
        usage_map = answer.usage_map or self.surface.usage
        if usage_map is None:
            return False
        for where in answer.usage:
            found = node.get(where[0]) if where else node
            if found is not None and len(where) > 1:
                found = dig(found, where[1:])
            if found is not None:
                usage_map.read(found, self.reading)
                return True
        return False

    def _read_beside(self, told: Mapping[str, Any], answer: Answer) -> None:
        """Take what few providers tell elsewhere: the model in parts of the answer, what their host has metered."""
        parts = told.get(answer.model_in)
        for part in elements(parts) or (parts,):
            self.response_model = text(get(part, answer.model)) or self.response_model
        if answer.metered:
            self.read_metered(told.get(answer.metered))

    def read_metered(self, node: object) -> None:
        """Take what whoever serves the model says to have metered."""
        if self.surface.metered is not None and node is not None:
            self.surface.metered.read_spare(node, self.reading)

    # --- the one end -------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether the call has not closed yet."""
        return bool(self._open)

    def close(self, outcome: Outcome = "done") -> None:
        """Close the call, the first time this is called; every other time does nothing."""
        try:
            # Atomic with and without the GIL: exactly one closer gets the token.
            self._open.pop()
        except IndexError:
            return
        try:
            self.engine.close(self, outcome, perf_counter() - self.started)
        except Exception as error:
            self.engine.admission.drop(self)
            if not fault("closing a call", error):
                raise

    def fail(self, error: BaseException) -> None:
        """Close the call with the exception that the application sees."""
        self.error = error
        self.close("failed" if isinstance(error, Exception) else "cancelled")

    def answered(self, result: object) -> None:
        """Close the call with a whole answer."""
        try:
            self.read(result)
            if self.engine.keeps_content:
                self.output = result
        except Exception as error:
            if not fault("reading an answer", error):
                raise
        self.close()

    def close_safely(self, outcome: Outcome, *, collected: Outcome | None = None) -> None:
        """Close the call from where a garbage collection may have brought us.

        `collected` is the outcome where it was a collection of the SDK's own generator that did.

        A collection can strike inside a lock that closing needs as well (a span processor's queue, a
        metric's lock). If such code is on this thread's stack, the call closes with the next one that opens
        or closes.
        """
        if not self._open:
            return
        if collected is not None and sys.exc_info()[0] is GeneratorExit:
            outcome = collected  # a collection may close the HTTP client's own generator before the SDK's
        frame: Any = sys._getframe(1)  # noqa: SLF001  # documented, and the only way to see who is interrupted
        while frame is not None:
            if frame.f_globals.get("__name__", "").startswith(_UNSAFE_TO_INTERRUPT):
                _forgotten.append((self, outcome))
                return
            if collected is not None and frame.f_code.co_name == "__stream__":
                outcome = collected
            frame = frame.f_back
        self.close(outcome)


def close_forgotten() -> None:
    """Close the calls that could not be closed when they were forgotten or their stream was."""
    while _forgotten:
        try:
            call, outcome = _forgotten.popleft()
        except IndexError:
            return
        call.close(outcome)
