"""The call engine: opens calls, closes them, and says what each one was (design: one call, walked)."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context
from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context

from tracetoll import emission, errors, headers
from tracetoll.attribution import current as current_attribution
from tracetoll.call import Call, Ending, close_forgotten, current_call
from tracetoll.coexistence import live_operation, suppressed
from tracetoll.pricing import Asked, Prices
from tracetoll.providers.words import convert_all
from tracetoll.reading import get, text
from tracetoll.safety import contained, fault
from tracetoll_semconv import attributes as a

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.trace import Tracer

    from tracetoll.call import Outcome
    from tracetoll.config import Settings
    from tracetoll.content import Content
    from tracetoll.instruments import Instruments, Series
    from tracetoll.pricing import Cost
    from tracetoll.providers.words import AttributeValue, Surface
    from tracetoll.reading import Path
    from tracetoll.usage import Usage
    from tracetoll.usage_log import UsageLog

_HEADERS: Final = contained("reading response headers")
_PENDING_KEPT: Final = 10_000
_STARTS_KEPT: Final = 2048
_PENDING: Final = frozenset({"queued", "in_progress", "validating", "finalizing", "requires_action", "cancelling"})
_RECEIVED: Final = frozenset({"done", "closed", "abandoned"})
_FAILED: Final = frozenset({"failed", "expired"})


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """Who is called: the provider behind a client's base URL. One per client; compared by identity."""

    provider: str
    host: str | None
    port: int | None
    error_codes: tuple[Path, ...] = ()
    hides_reasoning: bool = False
    """Whether reasoning is counted in the provider's total only."""
    tells_stream_usage: bool = False
    """Whether this host is known to send usage in streams when asked to."""


class Seen:
    """A bounded set of ids; the oldest is forgotten first. Thread-safe."""

    def __init__(self, kept: int = _PENDING_KEPT) -> None:
        self._kept = kept
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, one: str) -> bool:
        """Remember an id; return whether it is new."""
        with self._lock:
            new = one not in self._ids
            self._ids[one] = None
            if len(self._ids) > self._kept:
                self._ids.popitem(last=False)
            return new

    def discard(self, one: str) -> bool:
        """Forget an id; return whether it was there."""
        with self._lock:
            if one not in self._ids:
                return False
            del self._ids[one]
            return True


class Engine:
    """Makes calls and accounts for them. One per instrument(); thread-safe."""

    def __init__(
        self, settings: Settings, tracer: Tracer, instruments: Instruments, usage_log: UsageLog, content: Content
    ) -> None:
        self.settings = settings
        self.prices = Prices()
        self._tracer = tracer
        self._instruments = instruments
        self._usage_log = usage_log
        self._content = content
        self.keeps_content = content.wanted
        self._details = settings.cost_details or usage_log.wanted or "traceai" in settings.aliases
        self._aliases = emission.alias_pairs(settings.aliases)
        self._baggage_in = settings.baggage_in
        self._pending = Seen()
        self._past = Seen()
        self._starts: dict[tuple[int, int, str | None], tuple[Target, str, Mapping[str, AttributeValue]]] = {}

    # --- opening -----------------------------------------------------------------------------

    def open(self, surface: Surface, target: Target, body: object, *, streaming: bool) -> Call | None:
        """Open a call; None if somebody else accounts for it.

        That is so inside another call of ours (an SDK that calls another SDK), inside an operation of
        upstream's own packages, and where instrumentation is suppressed.
        """
        close_forgotten()
        current = otel_context.get_current()
        if current_call.get() is not None or (current and suppressed(current, surface.operation)):
            return None
        self.prices.preload()
        model = text(get(body, "model"))
        call = Call(self, surface, target, model, streaming=streaming)
        _, name, fixed = self._start(surface, target, model)
        attributes = dict(fixed)
        try:
            convert_all(body, surface.request, attributes)
            if streaming:
                attributes[a.GEN_AI_REQUEST_STREAM] = True
            call.attribution = current_attribution(self._baggage_in, current)
            if call.attribution:
                attributes.update(call.attribution)
            if self._content.reads_requests and surface.content is not None:
                self._content.of_request(surface.content, body, attributes)
                call.body = body if self.keeps_content else None
        except Exception as error:
            if not fault("reading a request", error):
                raise
        call.span = self._tracer.start_span(name, current, SpanKind.CLIENT, attributes)
        call.context = live_operation(surface.operation, set_span_in_context(call.span, current))
        return call

    def past_call(self, surface: Surface, target: Target, answer: object, model: str | None = None) -> None:
        """Account for a call that was made earlier, and whose answer is only seen now (a batch's line).

        Each answer counts once, by its id. `model` is the one asked, where the answer does not tell.
        """
        identity = text(get(answer, surface.answer.id)) if answer is not None else None
        if identity is None or not self._past.add(identity):
            return
        call = self.open(surface, target, {"model": model or get(answer, surface.answer.model)}, streaming=False)
        if call is not None:
            call.answered(answer)

    def _start(
        self, surface: Surface, target: Target, model: str | None
    ) -> tuple[Target, str, Mapping[str, AttributeValue]]:
        """Return a span's name, and the attributes that every call of this kind starts with."""
        key = (id(surface), id(target), model)
        known = self._starts.get(key)
        if known is not None and known[0] is target:
            return known
        attributes: dict[str, AttributeValue] = {
            a.GEN_AI_OPERATION_NAME: surface.operation,
            a.GEN_AI_PROVIDER_NAME: target.provider,
            **surface.attributes,
        }
        if model is not None:
            attributes[a.GEN_AI_REQUEST_MODEL] = model
        if target.host is not None:
            attributes[a.SERVER_ADDRESS] = target.host
            if target.port is not None:
                attributes[a.SERVER_PORT] = target.port
        named = model is not None and surface.operation != "fetch_response"
        if len(self._starts) >= _STARTS_KEPT:
            self._starts.clear()
        # The target is kept in the entry, so that its id cannot come to mean another one.
        entry = self._starts[key] = (target, f"{surface.operation} {model}" if named else surface.operation, attributes)
        return entry

    def collector(self, call: Call) -> Callable[[object], None] | None:
        """Return what keeps the content of a stream's events, None where content is not wanted."""
        return self._content.collector(call) if self.keeps_content and call.surface.content is not None else None

    def settle(self) -> None:
        """Close what was forgotten, and record what was noted."""
        close_forgotten()
        self._instruments.flush()

    # --- closing -----------------------------------------------------------------------------

    def close(self, call: Call, outcome: Outcome, seconds: float) -> None:
        """Say everything about a call that has ended, and end its span. Called once per call."""
        if outcome == "done":  # closing a forgotten call must not recurse into the next
            close_forgotten()
        span = call.span
        ended_ns = time_ns()  # now, not after what follows: the first call may wait for the price list
        try:
            response = call.response if call.response is not None else getattr(call.error, "response", None)
            call.response = None
            if response is not None:
                self.read_headers(call, response)
            ending = self._ending(call, outcome, seconds)
            if call.surface.metrics:
                self._instruments.record(self._series(call), call, ending)
            recording = span.is_recording()
            if recording or self._usage_log.wanted or self._content.in_events:
                attributes = self._attributes(call, ending)
                if recording:
                    span.set_attributes(attributes)
                    if ending.error is not None:
                        span.set_status(StatusCode.ERROR, self._description(call, ending.error))
                if self._usage_log.wanted:
                    self._usage_log.write(call, ending, attributes)
                if self._content.in_events:
                    self._content.write_event(call, attributes)
        finally:
            call.body = call.output = None
            span.end(ended_ns)

    def _ending(self, call: Call, outcome: Outcome, seconds: float) -> Ending:
        """Return what the call comes to: usage, cost, error, or why there is no usage."""
        ending = Ending(outcome, seconds)
        usage = ending.usage = self._billed_usage(call, outcome)
        if usage is not None:
            ending.cost = self._cost(call, usage)
        else:
            ending.missing = self._missing(call, outcome)
        if outcome in _RECEIVED and (call.error_code is not None or call.status in _FAILED):
            ending.outcome = "failed"
        if ending.outcome == "failed":
            ending.error = self._error(call)
        return ending

    def read_headers(self, call: Call, response: Any) -> None:
        """Take the rate limits and the request id from a response's headers."""
        if response is None:
            return
        with _HEADERS:
            seen = headers.read(response.headers.raw, call.target.provider)
            if seen.request_id is not None:
                call.request_id = seen.request_id
            if seen.served_model is not None:
                call.response_model = seen.served_model
            if seen.limits and self.settings.rate_limits:
                emission.of_rate_limits(seen.limits, call.attributes)
                self._instruments.rate_limits(call.target.provider, call.model or "unknown", seen.limits)

    def _billed_usage(self, call: Call, outcome: Outcome) -> Usage | None:
        """Return what this call is to be billed for, None if the provider reported nothing (here)."""
        usage_map = call.surface.usage
        billed = call.surface.billed
        if usage_map is None:
            return None
        if billed == "fetched" and call.status not in _PENDING:
            if call.response_id is None or not self._pending.discard(call.response_id):
                return None
        elif billed != "now" and call.response_id is not None and not call.reading.counts:
            # Pending, or its stream was left: whoever fetches it later sees what it used.
            self._pending.add(call.response_id)
            return None
        usage = usage_map.usage(
            call.reading,
            complete=outcome == "done" and call.error_code is None,
            hidden_reasoning=call.target.hides_reasoning,
        )
        return usage or None

    def _cost(self, call: Call, usage: Usage) -> Cost:
        tier = call.attributes.get(a.SERVICE_TIER) or call.attributes.get(a.OPENAI_RESPONSE_SERVICE_TIER)
        batch = tier == "batch" or call.surface.batch
        asked = Asked(call.target.provider, call.response_model or call.model, str(tier) if tier else None, batch)
        cost = self.prices.cost(usage, asked, details=self._details)
        if cost.status == "unpriced" and asked.model != call.model:
            cost = self.prices.cost(usage, asked._replace(model=call.model), details=self._details)
        return cost

    @staticmethod
    def _missing(call: Call, outcome: Outcome) -> str | None:
        """Return why there is no usage where there should be; None where that is no gap."""
        surface = call.surface
        if surface.usage is None or surface.billed == "fetched" or outcome == "failed" or call.status in _PENDING:
            return None
        if outcome != "done":
            return "aborted"
        return "stream_no_usage" if call.streaming else "unsupported"

    def _error(self, call: Call) -> str:
        if call.error is not None:
            return errors.error_type(call.error, call.target.error_codes)
        return errors.code(call.error_code) or call.status or "_OTHER"

    def _description(self, call: Call, error: str) -> str:
        if call.error is None:
            return error
        return str(call.error) if self.keeps_content else errors.description(call.error)

    def _series(self, call: Call) -> Series:
        target = call.target
        allowed = self.settings.metric_attributes
        own: tuple[tuple[str, AttributeValue], ...] = ()
        if allowed:
            told = {**call.attribution, **call.attributes}
            own = tuple((name, told[name]) for name in allowed if name in told)
        key = (call.surface.operation, id(target), call.model, call.response_model, own)

        def attributes() -> Mapping[str, AttributeValue]:
            found = dict(self._start(call.surface, target, call.model)[2])
            for name in call.surface.attributes:
                found.pop(name, None)
            if call.response_model is not None:
                found[a.GEN_AI_RESPONSE_MODEL] = call.response_model
            found.update(own)
            return found

        return self._instruments.series(key, attributes)

    def _attributes(self, call: Call, ending: Ending) -> dict[str, AttributeValue]:
        """Return what the span says at the end of a call."""
        found = call.attributes
        _of_answer(call, found)
        if ending.usage is not None and ending.cost is not None:
            emission.of_usage(ending.usage, found)
            emission.of_cost(ending.cost, found)
            if self._details:
                emission.of_cost_details(ending.cost, found)
            emission.of_context(ending.usage.context_tokens, ending.cost.context_window, found)
        elif ending.missing is not None:
            found[a.USAGE_SOURCE] = "missing"
        if ending.outcome != "done":
            found[a.CALL_OUTCOME] = ending.outcome
        if ending.error is not None:
            found[a.ERROR_TYPE] = ending.error
        for name, alias in self._aliases:
            if name in found:
                found[alias] = found[name]
        if self.keeps_content:
            self._content.of_answer(call, found)
        return found


def _of_answer(call: Call, found: dict[str, AttributeValue]) -> None:
    """Add what the answer said beside its usage."""
    if call.response_id is not None:
        found[a.GEN_AI_RESPONSE_ID] = call.response_id
    if call.response_model is not None:
        found[a.GEN_AI_RESPONSE_MODEL] = call.response_model
    if call.finish:
        reasons = call.finish
        found[a.GEN_AI_RESPONSE_FINISH_REASONS] = tuple(reasons[position] for position in sorted(reasons))
    if call.first_chunk_s is not None:
        found[a.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK] = call.first_chunk_s
    if call.request_id is not None:
        found[a.REQUEST_ID] = call.request_id
    if call.attempts > 1:
        found[a.ATTEMPT_COUNT] = call.attempts
    if call.surface.billed != "now" and call.status is not None:
        found[a.GEN_AI_RESPONSE_STATUS] = call.status
