"""The call engine: opens calls, closes them, and says what each one was (design: one call, walked)."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import replace
from functools import cache
from time import monotonic, perf_counter, time_ns
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from opentelemetry import context as otel_context
from opentelemetry.trace import INVALID_SPAN, SpanKind, StatusCode, get_current_span, set_span_in_context

from tracetoll import emission, errors, headers
from tracetoll.attribution import current as current_attribution
from tracetoll.call import Call, Ending, close_forgotten, current_call
from tracetoll.coexistence import HeldSilently, live_operation, suppressed, told_elsewhere
from tracetoll.errors import LimitExceeded
from tracetoll.limits import travelling
from tracetoll.limits.admission import Admission
from tracetoll.limits.limit import Limit
from tracetoll.limits.rules import ruled
from tracetoll.limits.scope import current_scopes
from tracetoll.pricing import Asked, Prices
from tracetoll.reading import convert_all, dig, elements, get, text, with_changes
from tracetoll.runs import running_agent
from tracetoll.safety import contained, fault
from tracetoll.signals import add_standing
from tracetoll.targets import Target
from tracetoll.writing import are_plain, set_attributes
from tracetoll_semconv import attributes as a

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.context import Context
    from opentelemetry.trace import Tracer

    from tracetoll.call import Outcome
    from tracetoll.config import Settings
    from tracetoll.content import Content
    from tracetoll.instruments import Instruments, Series
    from tracetoll.ledgers.protocol import Ledger
    from tracetoll.limits.claim import Claim
    from tracetoll.limits.scope import Scope
    from tracetoll.limits.sources import Sources
    from tracetoll.pricing import Cost
    from tracetoll.providers.words import AttributeValue, Surface
    from tracetoll.signals import Signals
    from tracetoll.usage import Usage
    from tracetoll.usage_log import UsageLog

_HEADERS: Final = contained("reading response headers")
_CHECKING: Final = contained("looking at the policy file")
_PENDING_KEPT: Final = 10_000
_STARTS_KEPT: Final = 2048
_RECEIVED: Final = frozenset({"done", "closed", "abandoned"})
_FAILED: Final = frozenset({"failed", "expired", "FAILED"})
# Bedrock's answers name the model only; prices differ by the region that the name asked begins with.
_PRICED_AS_ASKED: Final = frozenset({"aws.bedrock"})
_WITH_ERROR: Final = frozenset({"failed", "refused", "cut"})


class ElsewhereCall(NamedTuple):
    """A call that only somebody else has told of."""

    kind: Literal["inference", "embedding"]
    provider: str
    model: str | None
    answer: str | None
    """The id of the provider's answer."""
    context: Context
    """Its current span is the one that told."""
    attribution: Mapping[str, str]
    scopes: tuple[Scope, ...]


@cache
def _elsewhere(kind: Literal["inference", "embedding"]) -> Surface:
    """Return what stands for the surface of a call that only somebody else has told of."""
    from tracetoll.providers.words import Surface  # noqa: PLC0415  # with the first call: it takes 4 ms

    return Surface(operation="chat" if kind == "inference" else "embeddings")


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


class Grown:
    """What was counted so far of totals that grow, by id; bounded, the oldest is forgotten first. Thread-safe."""

    def __init__(self, kept: int = _PENDING_KEPT) -> None:
        self._kept = kept
        self._counted: OrderedDict[str, dict[str, int]] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, one: str) -> None:
        """Count what grows under an id from now on."""
        with self._lock:
            self._counted.setdefault(one, {})
            if len(self._counted) > self._kept:
                self._counted.popitem(last=False)

    def take(self, one: str, counts: Mapping[str, int]) -> dict[str, int]:
        """Return what is new in the counts of an id; nothing where it is unknown, or they have not grown."""
        with self._lock:
            known = self._counted.get(one)
            if known is None:
                return {}
            new = {name: max(0, number - known.get(name, 0)) for name, number in counts.items()}
            for name, number in new.items():
                known[name] = known.get(name, 0) + number
            return new if any(new.values()) else {}


class Engine:
    """Makes calls and accounts for them. One per instrument(); thread-safe."""

    def __init__(
        self,
        settings: Settings,
        *,
        tracer: Tracer,
        instruments: Instruments,
        usage_log: UsageLog,
        content: Content,
        signals: Signals,
        ledger: Ledger,
    ) -> None:
        self.settings = settings
        self.prices = Prices()
        self.signals = signals
        self.admission = Admission(ledger, self.prices, signals, close_forgotten)
        self._tracer = tracer
        self._instruments = instruments
        self._usage_log = usage_log
        self._content = content
        self.keeps_content = content.wanted
        self._details = settings.cost_details or usage_log.wanted or "traceai" in settings.aliases
        self.next_check = float("inf")
        self.before_call: Callable[[], bool] | None = None
        """What to do before each call until it returns True: there was no tracer provider to add to yet."""
        self._sources: Sources
        self._aliases = emission.alias_pairs(settings.aliases)
        self.baggage_in = settings.baggage_in - {travelling.ENTRY}
        self.travel = travelling.Travelling(self.admission.claims, ledger, settings)
        self.baggage_more = self.travel.left if travelling.ENTRY in settings.baggage_out else None
        """What puts limits into the baggage of a block; None: they do not travel."""
        self._scopes_in = self.travel.scopes if travelling.ENTRY in settings.baggage_in else None
        self._pending = Seen()
        self._grown = Grown()
        self._past = Seen()
        self._silent = HeldSilently()
        self._elsewhere: dict[str, Target] = {}
        self._answered_by: dict[tuple[Target, str], Target] = {}
        self._starts: dict[tuple[int, int, str | None], tuple[Target, str, Mapping[str, AttributeValue]]] = {}

    # --- opening -----------------------------------------------------------------------------

    def open(
        self, surface: Surface, target: Target, body: object, *, streaming: bool, model: str | None = None
    ) -> Call | None:
        """Open a call; None if somebody else accounts for it. `model` is the one asked, where the body does not tell.

        That is so inside another call of ours (an SDK that calls another SDK), and where instrumentation is
        suppressed. Inside an operation of upstream's own packages a call is only held to limits. Raises
        LimitExceeded. Where the call's claim is waiting, `wait` or `wait_async` comes next.
        """
        call = self._new(surface, target, body, streaming=streaming, model=model)
        if call is None:
            return None
        if surface.metrics and surface.billed != "fetched":
            self._claim(call)
            if call.claim is not None and call.claim.waiting:
                return call
        try:
            self._begin(call)
        except BaseException:
            self.admission.drop(call)
            raise
        return call

    def wait(self, call: Call) -> None:
        """Wait until the limits let a call go ahead. Raises LimitExceeded."""
        try:
            if call.claim is not None:
                self.admission.wait(call.claim)
        except BaseException as error:
            if not self._stopped_waiting(call, error):
                raise
        self._begin_late(call)

    async def wait_async(self, call: Call) -> None:
        """Wait until the limits let a call go ahead. Raises LimitExceeded."""
        try:
            if call.claim is not None:
                await self.admission.wait_async(call.claim)
        except BaseException as error:
            if not self._stopped_waiting(call, error):
                raise
        self._begin_late(call)

    def _begin_late(self, call: Call) -> None:
        """Start the span of a call that has waited; where that fails, nothing is told of the call."""
        try:
            call.started = perf_counter()
            self._begin(call)
        except Exception as error:
            self.admission.drop(call)
            call.span = INVALID_SPAN
            if not fault("opening a call", error):
                raise

    def _new(
        self, surface: Surface, target: Target, body: object, *, streaming: bool, model: str | None = None
    ) -> Call | None:
        close_forgotten()
        current = otel_context.get_current()
        if current_call.get() is not None:
            return None
        agent = running_agent.get()
        if agent is not None and not (surface.inference and surface.metrics and not surface.batch):
            agent = None
        silent = bool(current) and (suppressed(current) or told_elsewhere(current, surface.operation))
        scopes = self.scopes(current)
        if silent and not self.admission.claims.rules and not scopes:
            if agent is not None:
                agent.called_model()
            return None
        if monotonic() > self.next_check:
            self._check_policy()
        if self.before_call is not None and self.before_call():
            self.before_call = None
        self.prices.preload()
        call = Call(self, surface, target, model or text(get(body, "model")), streaming=streaming)
        call.context = current
        call.silent = silent
        call.run = agent
        call.body = body
        call.attribution = current_attribution(self.baggage_in, current)
        call.scopes = scopes
        return call

    def scopes(self, within: Context) -> tuple[Scope, ...]:
        """Return the blocks of limits(...) that are around, and the request where its limits came with it."""
        return current_scopes.get() if self._scopes_in is None else self._scopes_in(within)

    def _begin(self, call: Call) -> None:
        """Start a call's span, with everything that samplers may want to see."""
        claim = call.claim
        _, name, fixed = self._start(call.surface, call.target, call.model)
        attributes = dict(fixed)
        try:
            self._describe(call, attributes)
        except Exception as error:
            if not fault("reading a request", error):
                raise
        current = call.context
        if call.silent:
            call.span = INVALID_SPAN
        else:
            call.span = self._tracer.start_span(name, current, SpanKind.CLIENT, attributes)
            call.context = live_operation(call.surface.operation, set_span_in_context(call.span, current))
        if claim is not None and claim.later:
            self.admission.told(claim)

    def _describe(self, call: Call, attributes: dict[str, AttributeValue]) -> None:
        """Add what the request says, as it will be sent."""
        surface, claim, body = call.surface, call.claim, call.body
        call.body = None
        if claim is not None and claim.changes:
            body = with_changes(body, claim.changes)
            if claim.rerouted_from is not None:
                attributes[a.REROUTE_FROM_MODEL] = claim.rerouted_from
        if surface.usage_if is not None:
            call.usage_wanted = bool(surface.usage_if and dig(body, surface.usage_if))
        convert_all(body, surface.request, attributes)
        if call.streaming:
            attributes[a.GEN_AI_REQUEST_STREAM] = True
        if call.attribution:
            attributes.update(call.attribution)
        if self._content.reads_requests and surface.content is not None:
            self._content.of_request(surface.content, body, attributes)
            call.body = body if self.keeps_content else None

    # --- limits ------------------------------------------------------------------------------

    def _claim(self, call: Call) -> None:
        """Ask the limits. Raises LimitExceeded."""
        try:
            self.admission.claim(call, call.body)
        except LimitExceeded as error:
            self._refuse(call, error)
            raise
        except BaseException as error:
            self.admission.drop(call)
            if not isinstance(error, Exception) or not fault("asking the limits", error):
                raise

    def _stopped_waiting(self, call: Call, error: BaseException) -> bool:
        """End a call that does not go ahead; return whether it does, because only we have failed."""
        if isinstance(error, LimitExceeded):
            self._refuse(call, error)
            return False
        self.admission.drop(call)
        if isinstance(error, Exception) and fault("waiting for a limit", error):
            return True
        self._begin(call)
        call.fail(error)
        return False

    def _refuse(self, call: Call, error: LimitExceeded) -> None:
        """Tell of a call that a limit has refused: it has a span, and no request."""
        try:
            self._begin(call)
            call.error = error
            call.close("refused")
        except Exception as failure:
            if not fault("refusing a call", failure):
                raise

    def past_call(self, surface: Surface, target: Target, answer: object, model: str | None = None) -> None:
        """Account for a call that was made earlier, and whose answer is only seen now (a batch's line).

        Each answer counts once, by its id, where it has one. `model` is the one asked, where the answer does not
        tell.
        """
        if surface.answer.id:
            identity = text(get(answer, surface.answer.id)) if answer is not None else None
            if identity is None or not self._past.add(identity):
                return
        call = self._new(surface, target, {"model": model or get(answer, surface.answer.model)}, streaming=False)
        if call is not None:
            self._begin(call)
            call.go()
            call.answered(answer)

    def past_calls(self, surface: Surface, target: Target, lines: object) -> None:
        """Account for the calls that lines of an answer tell of, which were made earlier."""
        for line in elements(lines):
            if surface.line is not None:
                self.past_call(surface.line, target, dig(line, surface.line_at))

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

    def hold_to(self, sources: Sources) -> None:
        """Hold calls to these limits from now on."""
        self._sources = sources
        self.next_check = sources.next_check
        given = sources.limits
        if self.settings.call_warning is not None:
            own = Limit(self.settings.call_warning, per="call", at={1.0: "warn"}, name="large call")
            given = (*given, own)
        self.admission.claims.use(ruled(given))

    def _check_policy(self) -> None:
        with _CHECKING:
            if self._sources.changed():
                self.hold_to(self._sources)
            self.next_check = self._sources.next_check

    def answered_by(self, call: Call, provider: str) -> None:
        """Take which provider it was that answered, where an SDK calls many."""
        call.attributes[a.GEN_AI_PROVIDER_NAME] = provider
        target = call.target
        if provider == target.provider:
            return
        key = (target, provider)
        found = self._answered_by.get(key)
        if found is None:
            if len(self._answered_by) >= _STARTS_KEPT:
                self._answered_by.clear()
            found = self._answered_by[key] = replace(target, provider=provider)
        call.target = found

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
            self._account(call, ending)
            if call.silent:
                self._note_silent(call, ending)
                return
            if call.surface.metrics and call.sent:
                self._instruments.record(self._series(call), call, ending)
            recording = span.is_recording()
            if recording or self._usage_log.wanted or self._content.in_events:
                plain = recording and are_plain(call.attributes)  # as everything is that is added to them
                attributes = self._attributes(call, ending)
                if recording:
                    set_attributes(span, attributes, plain=plain)
                    if ending.error is not None:
                        span.set_status(StatusCode.ERROR, self._description(call, ending.error))
                if self._usage_log.wanted:
                    self._usage_log.write(call, ending, attributes)
                if self._content.in_events:
                    self._content.write_event(call, attributes)
        finally:
            # The call is kept until its metrics are recorded; what it came from is not ours to keep.
            call.body = call.output = call.stream_of = call.error = None
            self.admission.drop(call)
            call.claim = None  # each has the other: together they would wait for the garbage collector
            span.end(ended_ns)

    def _account(self, call: Call, ending: Ending) -> None:
        """Tell the limits and the blocks what a call came to."""
        if call.claim is not None:
            settle = self.admission.settle  # an attribute; called as a method it would be looked up anew each time
            settle(call.claim, ending)
        elif self.admission.claims.rules or call.scopes:
            self.admission.charge(call, ending)
        for scope in call.scopes:
            scope.add(ending, sent=call.sent and call.surface.billed != "fetched")
        self._warn(call, ending)

    def _note_silent(self, call: Call, ending: Ending) -> None:
        usage = ending.usage
        if usage is not None:
            numbers = (_trace(call.context), usage.input_tokens, usage.output_tokens)
            self._silent.add(*((call.response_id, numbers) if call.response_id is not None else (numbers,)))

    def on_behalf(self, context: Context) -> tuple[Mapping[str, str], tuple[Scope, ...]] | None:
        """Return on whose behalf, and in which blocks, a call is made here; None where nothing is limited or summed."""
        scopes = self.scopes(context)
        if not scopes and not self.admission.claims.rules:
            return None
        return current_attribution(self.baggage_in, context), scopes

    def charge_elsewhere(self, call: ElsewhereCall, ending: Ending) -> None:
        """Spend what a call came to that only somebody else has told of: an SDK that is not patched."""
        usage = ending.usage
        if usage is None:
            return
        if self._silent.take(call.answer, (_trace(call.context), usage.input_tokens, usage.output_tokens)):
            return
        target = self._elsewhere.get(call.provider)
        if target is None:
            if len(self._elsewhere) >= _STARTS_KEPT:
                self._elsewhere.clear()
            target = self._elsewhere[call.provider] = Target(call.provider or "unknown", None, None)
        made = Call(self, _elsewhere(call.kind), target, call.model, streaming=False)
        made.context, made.attribution, made.scopes = call.context, call.attribution, call.scopes
        made.silent = made.sent = True
        made.span = INVALID_SPAN
        self._account(made, ending)

    def _warn(self, call: Call, ending: Ending) -> None:
        """Tell what is worth an event beside limits."""
        usage, cost = ending.usage, ending.cost
        if usage is None:
            return
        share, tokens = self.settings.context_warning, usage.context_tokens
        window = cost.context_window if cost is not None else None
        if share and window and tokens is not None and tokens >= share * window:
            self.signals.context_nearly_full(call, tokens, window)
        if self.settings.task_factor:
            self.signals.task(call, usage.total_tokens or 0, self.settings.task_factor)

    def _ending(self, call: Call, outcome: Outcome, seconds: float) -> Ending:
        """Return what the call comes to: usage, cost, error, or why there is no usage."""
        ending = Ending(outcome, seconds)
        usage = ending.usage = self._billed_usage(call, outcome)
        if outcome in _RECEIVED and (call.error_code is not None or call.status in _FAILED):
            ending.outcome = "failed"
        if usage is not None:
            ending.cost = self._cost(call, usage)
        else:  # an error that came whole has used nothing; a stream that ended with one has
            ending.missing = self._missing(call, ending.outcome if call.rejected or not call.streaming else outcome)
        if ending.outcome in _WITH_ERROR:
            ending.error = self._error(call)
        return ending

    def read_headers(self, call: Call, response: Any) -> None:
        """Take the rate limits and the request id from a response's headers."""
        if response is not None and hasattr(response, "headers"):  # botocore's errors have a dict there
            with _HEADERS:
                self.take_headers(call, headers.pairs_of(response.headers))

    def take_headers(self, call: Call, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        """Take what the headers of a response tell: rate limits, the request's id, token counts."""
        with _HEADERS:
            if call.surface.metered is not None:
                call.read_metered({name.decode("latin-1"): int(value) for name, value in pairs if value.isdigit()})
            seen = headers.read(pairs, call.target.provider)
            if seen.request_id is not None:
                call.request_id = seen.request_id
            if seen.served_model is not None:
                call.response_model = seen.served_model
            call.retry_after_s = seen.retry_after_s
            if seen.limits and self.settings.rate_limits:
                emission.of_rate_limits(seen.limits, call.attributes)
                self._instruments.rate_limits(call.target.provider, call.model or "unknown", seen.limits)

    def _billed_usage(self, call: Call, outcome: Outcome) -> Usage | None:
        """Return what this call is to be billed for, None if the provider reported nothing (here)."""
        usage_map = call.surface.usage
        billed = call.surface.billed
        if usage_map is None:
            return None
        if call.surface.grows:
            self._take_new(call)
        elif billed == "fetched" and call.status not in call.surface.answer.pending:
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

    def _take_new(self, call: Call) -> None:
        """Leave of a call's counts what no earlier call has counted."""
        reading, identity = call.reading, call.response_id
        if identity is not None:
            if call.surface.billed != "fetched":
                self._grown.begin(identity)
            reading.counts = self._grown.take(identity, reading.counts)
        elif call.surface.billed == "fetched":
            reading.counts = {}

    def _cost(self, call: Call, usage: Usage) -> Cost:
        tier = call.attributes.get(a.SERVICE_TIER) or call.attributes.get(a.OPENAI_RESPONSE_SERVICE_TIER)
        batch = tier == "batch" or call.surface.batch
        first, second = call.response_model or call.model, call.model
        if call.target.provider in _PRICED_AS_ASKED:
            first, second = second, first
        asked = Asked(call.target.provider, first, str(tier) if tier else None, batch)
        cost = self.prices.cost(usage, asked, details=self._details)
        if cost.status == "unpriced" and first != second:
            cost = self.prices.cost(usage, asked._replace(model=second), details=self._details)
        return cost

    @staticmethod
    def _missing(call: Call, outcome: Outcome) -> str | None:
        """Return why there is no usage where there should be; None where that is no gap."""
        surface = call.surface
        if (
            not call.sent
            or surface.usage is None
            or surface.billed == "fetched"
            or not call.usage_wanted
            or outcome == "failed"
            or call.status in surface.answer.pending
        ):
            return None
        if outcome != "done":
            return "aborted"
        return "stream_no_usage" if call.streaming else "unsupported"

    def _error(self, call: Call) -> str:
        if isinstance(call.error, LimitExceeded):
            return errors.BUDGET_EXCEEDED
        if call.error is not None:
            return errors.error_type(call.error, call.target.error_codes)
        return errors.code(call.error_code) or call.status or "_OTHER"

    def _description(self, call: Call, error: str) -> str:
        if call.error is None:
            return error
        if isinstance(call.error, LimitExceeded):
            return str(call.error)  # it quotes no content
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
            _of_error(call, ending.error, found, retry_after=self.settings.rate_limits)
        if call.claim is not None:
            _of_claim(call.claim, found)
        for name, alias in self._aliases:
            if name in found:
                found[alias] = found[name]
        if self.keeps_content:
            self._content.of_answer(call, found)
        return found


def _trace(context: Context) -> int:
    return get_current_span(context).get_span_context().trace_id


def _of_claim(claim: Claim, found: dict[str, AttributeValue]) -> None:
    """Add how the limit stands that is closest to being reached, or that did something about this call."""
    if claim.tightest is not None:
        found.update(claim.tightest.on_span())
    elif claim.fullest is not None:
        ruled, spent = claim.fullest
        add_standing(ruled, spent, found)
    if claim.waited_s:
        found[a.BUDGET_WAIT_DURATION] = claim.waited_s


def _of_error(call: Call, error: str, found: dict[str, AttributeValue], *, retry_after: bool) -> None:
    """Add what went wrong and, of a call that was turned away, when the provider wants to be asked again."""
    found[a.ERROR_TYPE] = error
    if not retry_after or call.received or not call.sent:
        return
    seconds = call.retry_after_s
    if seconds is None:
        seconds = headers.retry_delay_s(dig(call.error, ("details", "error", "details")))
    if seconds is not None:
        found[a.RATE_LIMIT_RETRY_AFTER_SECONDS] = seconds


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
