"""Calls of every kind under several limits at once, opened and closed in any order, compared with a slow model."""

from __future__ import annotations

import contextlib
import logging
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pytest
from admission_model import (
    APIS,
    LEASE_S,
    NANO,
    OPENAI,
    REROUTE,
    Account,
    Ask,
    Block,
    Given,
    Hold,
    Model,
    Part,
    Place,
    Request,
    given_limits,
    granted_output,
    requests,
)
from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, precondition, rule
from ledger_suite import MACHINE_SETTINGS, NOON, Clock
from opentelemetry import context, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider

from tracetoll import Instrumentor, Limit, LimitExceeded, attribution, limits
from tracetoll.ledgers.memory import MemoryLedger
from tracetoll.limits import settling
from tracetoll.limits.scope import current_scopes
from tracetoll.limits.windows import Rolling
from tracetoll.providers.openai import CHAT, FETCHED_RESPONSE, RESPONSES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from conftest import Telemetry

    from tracetoll.call import Call
    from tracetoll.ledgers.protocol import Balance, Line, Output, Reservation

TRACERS: Final = TracerProvider(shutdown_on_exit=False)
LOGGERS: Final = LoggerProvider(shutdown_on_exit=False)
MODELS: Final = tuple((api.target.provider, model) for api in APIS for model in api.models)


class StatusError(Exception):
    """The provider refused the request."""

    status_code = 429


class APIConnectionError(Exception):
    """The connection was lost, after the request had left."""


@dataclass(eq=False)
class Running:
    """A call that was let go ahead."""

    call: Call
    request: Request
    who: dict[str, str]
    span: int | None
    ask: Ask
    place: Place
    holds: list[Hold]
    cap: int | None
    """The cap that the request was sent with."""
    streamed: bool = False
    pending: str | None = None
    settled_at: float = 0.0
    assumed: dict[str, int] = field(default_factory=dict)
    ended: bool = False

    @property
    def most_output(self) -> int:
        """The most that the provider may answer."""
        cap = self.cap if self.cap is not None else self.ask.longest or 6000
        return cap * self.request.choices if self.request.api.caps else 0


RUNNING: Final = Bundle("running")
PORTIONS: Final = st.sampled_from((0.0, 0.1, 0.5, 1.0)) | st.floats(0, 1)
PEOPLE: Final = st.fixed_dictionaries(
    {},
    optional={
        "user_id": st.sampled_from(("u1", "u2")),
        "tenant": st.sampled_from(("t1", "t2,x")),
        "team": st.sampled_from(("a", "b")),
    },
)
NAMES: Final = {"user_id": "user.id", "tenant": "tracetoll.tenant", "team": "tracetoll.team"}
ERRORS: Final = st.sampled_from((StatusError, APIConnectionError, ValueError, KeyboardInterrupt))
SECONDS: Final = st.sampled_from((0.25, 1.0, 7.5, 30.0, 61.0, 400.0, 900.0, 3600.0, 86_400.0))


class AdmissionMachine(RuleBasedStateMachine):
    """Any run of an engine that holds calls to limits."""

    @initialize(given=st.lists(given_limits(), min_size=1, max_size=5), start=st.integers(0, 3600))
    def begin(self, given: list[Given], start: int) -> None:
        self.clock = Clock(NOON + start)
        self.ledger = MemoryLedger(wall=lambda: self.clock.wall, ticks=lambda: self.clock.ticks)
        self.patches = pytest.MonkeyPatch()
        self.patches.setattr(settling, "monotonic", lambda: self.clock.ticks)
        self.meters = MeterProvider(shutdown_on_exit=False)
        Instrumentor().instrument(
            tracer_provider=TRACERS,
            meter_provider=self.meters,
            logger_provider=LOGGERS,
            limits=[one.limit for one in given],
            ledger=self.ledger,
        )
        engine = Instrumentor().engine
        assert engine is not None
        self.engine = engine
        self.model = Model(self.clock, engine, given)
        tracer = TRACERS.get_tracer("test")
        self.spans = [tracer.start_span("work") for _ in range(2)]
        self.blocks: list[tuple[limits, Block]] = []
        self.left: list[Block] = []
        self.running: list[Running] = []
        self.fetched = 0
        self.names = 0

    def teardown(self) -> None:
        if not hasattr(self, "meters"):
            return
        try:
            if sys.exc_info()[0] is None:  # or else the run has failed already
                self.everything_is_given_back_in_the_end()
        finally:
            while self.blocks:
                self.leave_block()
            for span in self.spans:
                span.end()
            Instrumentor().uninstrument()
            self.meters.shutdown()
            self.patches.undo()

    def everything_is_given_back_in_the_end(self) -> None:
        for running in self.running:
            if not running.ended:
                self.end_without_usage(running, lambda call: call.close("abandoned"))
        self.every_account_is_as_the_model_has_it()
        assert all(not found.reserved for found in self.standing().values())

    # --- looking -----------------------------------------------------------------------------

    def standing(self) -> dict[str, Balance]:
        """Return every account that was ever used."""
        return {found.account: found for _, found in self.ledger.balances() if found.spent or found.reserved}

    def stands(self, account: Account) -> tuple[int, int]:
        found = self.standing().get(self.key(account))
        return (found.spent, found.reserved) if found is not None else (0, 0)

    def key(self, account: Account) -> str:
        return next(key for key, one in self.model.accounts.items() if one is account)

    def place(self, who: dict[str, str], span: int | None) -> Place:
        within = self.spans[span].get_span_context() if span is not None else None
        named = {NAMES[key]: value for key, value in who.items()}
        blocks = tuple(block for _, block in self.blocks)
        return Place(named, format(within.trace_id, "032x") if within is not None else None, blocks)

    @contextlib.contextmanager
    def in_trace(self, span: int | None) -> Iterator[None]:
        token = context.attach(trace.set_span_in_context(self.spans[span])) if span is not None else None
        try:
            yield
        finally:
            if token is not None:
                context.detach(token)

    # --- opening -----------------------------------------------------------------------------

    @rule(
        target=RUNNING, request=requests(), who=PEOPLE, span=st.sampled_from((None, 0, 0, 1)), times=st.integers(1, 6)
    )
    def open(self, request: Request, who: dict[str, str], span: int | None, times: int) -> Any:
        opened = [self.opened(request, who, span) for _ in range(times)]
        return multiple(*(running for running in opened if running is not None))

    @rule(target=RUNNING, like=RUNNING)
    def open_another(self, like: Running) -> Any:
        running = self.opened(like.request, like.who, like.span)
        return running if running is not None else multiple()

    def opened(self, request: Request, who: dict[str, str], span: int | None) -> Running | None:
        """Open a call; None if it is refused."""
        place = self.place(who, span)
        self.model.look()
        ask = self.rerouted(request, place)
        before = self.standing()
        keys = [self.key(account) for _, account in ask.lines]
        assert len(set(keys)) == len(keys), "a call is counted twice on one account"
        fits, output = self.expected(ask)

        try:
            with attribution(**who), self.in_trace(span):
                call = self.engine.open(
                    request.api.surface, request.api.target, request.body, streaming=request.streaming
                )
                assert call is not None
                if call.claim is not None and call.claim.waiting:
                    self.engine.wait(call)
        except LimitExceeded as error:
            assert before == self.standing()
            self.check_refusal(error, ask, may_be_granted=fits)
            for block in place.blocks:
                block.refused += 1
            return None

        note(f"granted {output} of {ask.wanted}")
        assert fits, "what does not fit was granted"
        call.sent = request.sent
        self.check_admission(call, request, ask, output)
        holds = [
            Hold(account, account.period, part.fixed + part.rate * output, self.clock.ticks + LEASE_S)
            for part, account in ask.lines
        ]
        for hold in holds:
            hold.account.holds.append(hold)
        sent_cap = request.cap
        if call.claim is not None and request.cap_field is not None:
            sent_cap = call.claim.changes.get(request.cap_field, request.cap)
        running = Running(call, request, who, span, ask, place, holds, sent_cap)
        self.running.append(running)
        return running

    def rerouted(self, request: Request, place: Place) -> Ask:
        """Return what is asked of the limits after another model was chosen, where one of them says so."""
        ask = self.model.ask(request, request.model, place)
        if request.model != REROUTE[0]:
            return ask
        for part in ask.parts:
            share = part.given.form.reroutes_at
            spent, reserved = self.stands(part.account) if part.account is not None else (0, 0)
            fixed, rate = part.by_itself
            need = fixed + rate * ask.wanted
            if share is None or part.given.limit.shadow or spent + reserved + need <= part.given.whole(share):
                continue
            return self.model.ask(request, REROUTE[1], place)
        return ask

    def expected(self, ask: Ask) -> tuple[bool, int]:
        """Return whether a call is to be granted, and with how much output."""
        if ask.unpriced:
            return False, 0
        most = ask.alone()
        if most is None:
            return False, 0
        output, fits = granted_output(ask, ((part, *self.stands(account)) for part, account in ask.lines), most)
        return fits, output

    def check_admission(self, call: Call, request: Request, ask: Ask, output: int) -> None:
        """Check that a call is sent as its limits want it."""
        claim = call.claim
        assert ask.model == call.model
        if claim is None:
            assert not ask.parts
            return
        assert output == claim.granted_output
        changes = dict(claim.changes)
        assert changes.pop("model", request.model) == ask.model
        cap = changes.pop(request.cap_field, None) if request.cap_field is not None else None
        assert not changes
        if request.cap is not None:
            sent = request.cap if cap is None else cap
            assert sent == output
            assert sent <= request.cap
            assert sent == request.cap or ask.clamps
        elif ask.caps:
            assert output == cap or (cap is None and output == ask.longest)
            sent = output
        else:
            assert cap is None
            return
        assert sent >= ask.least
        for part in ask.parts:
            if part.bound is not None and part.gives:
                spent, reserved = self.stands(part.account) if part.account is not None else (0, 0)
                mine = part.fixed + part.rate * sent if part.account is not None else 0
                assert spent + reserved - mine + part.fixed + part.rate * sent <= part.bound

    def check_refusal(self, error: LimitExceeded, ask: Ask, *, may_be_granted: bool) -> None:
        """Check that a refusal tells the truth, and that there is a reason for it."""
        if ask.unpriced:
            assert error.limit in [given.limit for given in ask.unpriced]
            return
        told = [round(number * error.limit.scale) for number in (error.spent, error.reserved, error.wanted)]
        culprit = next((part for part in ask.parts if self.is_meant(error, part, told)), None)
        assert culprit is not None, "no account stands as it was told"
        assert culprit.bound is not None
        assert culprit.fixed + culprit.rate * ask.least <= told[2] <= culprit.fixed + culprit.rate * ask.wanted
        assert sum(told) > culprit.bound
        if may_be_granted:
            # A limit that does not give way is held against the answer that one which does would give way to once
            # nothing is in flight.
            assert any(self.stands(account)[1] for _, account in ask.lines)
            assert any(part.gives and part.rate for part, _ in ask.lines)
            assert culprit.rate
            assert not culprit.gives
            assert told[0] + told[2] > culprit.bound

    def is_meant(self, error: LimitExceeded, part: Part, told: list[int]) -> bool:
        spent, reserved = self.stands(part.account) if part.account is not None else (0, 0)
        subject = part.account.subject if part.account is not None else "call"
        standing = [spent, reserved] == told[:2] and error.account.startswith(subject)
        return standing and part.bound is not None and part.given.limit == error.limit

    # --- closing -----------------------------------------------------------------------------

    @rule(running=RUNNING, into=PORTIONS, out=PORTIONS, cached=PORTIONS, model=st.booleans())
    def answer(self, running: Running, into: float, out: float, cached: float, *, model: bool) -> None:
        request = running.request
        tokens = [int(request.most_input * into), int(running.most_output * out)]
        cache = int(tokens[0] * cached)
        answer: dict[str, Any] = {"id": self.name(), "usage": usage_of(request, tokens, cache)}
        if model:
            answer["model"] = running.ask.model
        if running.ended:
            self.again(running, lambda call: call.answered(answer))
            return
        running.call.sent = True
        before = self.standing()

        running.call.answered(answer)

        nano = self.price(request, running.ask.model, tokens, cache)
        self.settled(running, before, units(tokens, nano))
        self.tell_blocks(running, tokens, nano)

    @rule(running=RUNNING)
    def answer_without_usage(self, running: Running) -> None:
        if running.ended:
            self.again(running, lambda call: call.answered({}))
            return
        running.call.sent = True
        self.end_without_usage(running, lambda call: call.answered({}))

    @precondition(lambda self: any(one.request.api.surface is RESPONSES for one in self.running))
    @rule(running=RUNNING)
    def answer_later(self, running: Running) -> None:
        if running.request.api.surface is not RESPONSES or running.ended or running.request.streaming:
            return
        running.call.sent = True
        running.pending = self.name()
        self.end_without_usage(
            running, lambda call: call.answered({"id": running.pending, "status": "queued"}), missing=False
        )

    @precondition(lambda self: any(one.pending is not None for one in self.running))
    @rule(into=PORTIONS, out=PORTIONS)
    def fetch(self, into: float, out: float) -> None:
        running = next(one for one in self.running if one.pending is not None)
        in_time = all(hold.period == hold.account.period for hold in running.holds)
        if not in_time or not running.holds:
            # Which calendar period it belongs to is not promised, nor what it is without an account from before.
            running.pending = None
            return
        tokens = [int(running.request.most_input * into), int(running.most_output * out)]
        answer = {
            "id": running.pending,
            "status": "completed",
            "model": running.ask.model,
            "usage": usage_of(running.request, tokens, 0),
        }
        before = self.standing()
        for _ in range(2):
            call = self.engine.open(FETCHED_RESPONSE, running.request.api.target, {}, streaming=False)
            assert call is not None
            assert call.claim is None
            call.sent = True

            call.answered(answer)

        nano = self.price(running.request, running.ask.model, tokens, 0)
        after = self.standing()
        for part, account in running.ask.lines:
            key = self.key(account)
            change = spent_of(after, key) - spent_of(before, key)
            amount = 0 if part.given.limit.unit == "calls" else units(tokens, nano)[part.given.limit.unit]
            was = running.assumed[key] if part.given.limit.unit != "calls" else 0
            expected, window = amount - was, account.given.limit.period
            if expected < 0 and isinstance(window, Rolling) and self.clock.ticks >= running.settled_at + window.seconds:
                expected = 0  # others have spent since what it would give back
            assert (account.given.limit.unit, change) == (account.given.limit.unit, expected)
            account.spent.append((self.clock.ticks if change > 0 else running.settled_at, change))
            account.over |= change > 0
        running.pending = None
        for _, block in self.blocks:
            block.input, block.output, block.nano_usd = (
                block.input + tokens[0],
                block.output + tokens[1],
                block.nano_usd + (nano or 0),
            )

    @rule(running=RUNNING, error=ERRORS)
    def fail(self, running: Running, error: type[BaseException]) -> None:
        if running.ended:
            self.again(running, lambda call: call.fail(error()))
            return
        took = None
        if running.call.sent and error in {StatusError, ValueError} and not running.streamed:
            took = dict.fromkeys(units([0, 0], 0), 0) | {"calls": 1}
        self.end_without_usage(running, lambda call: call.fail(error()), missing=error is KeyboardInterrupt, took=took)

    @rule(running=RUNNING, how=st.sampled_from(("abandoned", "closed")))
    def leave(self, running: Running, how: Any) -> None:
        if running.ended:
            self.again(running, lambda call: call.close(how))
            return
        self.end_without_usage(running, lambda call: call.close(how))

    @precondition(lambda self: any(one.request.streaming for one in self.running))
    @rule(running=RUNNING, text=st.integers(0, 400))
    def stream(self, running: Running, text: int) -> None:
        if running.ended or not running.request.streaming:
            return
        running.call.sent = running.call.received = running.streamed = True
        claim = running.call.claim
        if claim is not None:
            claim.chunks += 1
            if claim.chunks >= claim.look_at:
                assert self.engine.admission.saw(claim, {"choices": [{"delta": {"content": "x" * text}}]}) is None

    def again(self, running: Running, end: Any) -> None:
        """End a call that has ended."""
        before = self.standing()

        end(running.call)

        assert before == self.standing()

    def end_without_usage(
        self, running: Running, end: Any, *, missing: bool = True, took: dict[str, int] | None = None
    ) -> None:
        before = self.standing()
        if not running.call.sent:
            took = dict.fromkeys(units([0, 0], 0), 0)

        end(running.call)

        self.settled(running, before, took)
        for block in running.place.blocks:
            block.calls += running.call.sent
            block.missing += missing and running.call.sent

    def settled(self, running: Running, before: dict[str, Balance], took: dict[str, int] | None) -> None:
        """Check what a call has spent; `took` None: the provider has not told."""
        running.ended = True
        running.settled_at = self.clock.ticks
        self.model.look()
        after = self.standing()
        for (part, account), hold in zip(running.ask.lines, running.holds, strict=True):
            key, limit = self.key(account), part.given.limit
            spent = spent_of(after, key) - spent_of(before, key)
            account.holds.remove(hold)
            running.assumed[key] = spent
            if hold.period != account.period:
                assert 0 == spent
                continue
            if took is not None:
                assert (limit.unit, took[limit.unit]) == (limit.unit, spent)
            elif limit.unit == "calls":
                assert 1 == spent
            else:
                assert spent >= 0
                # Nothing was promised of a stream without a cap, nor of a limit that only tells.
                longer = running.streamed and running.cap is None and not part.given.proves
                assert spent <= hold.amount or longer or part.bound is None
                assert spent == hold.amount or not part.given.proves, "a strict limit takes the worst for granted"
            account.spent.append((self.clock.ticks, spent))
            account.over |= spent > (hold.amount if hold.counts(self.clock.ticks) else 0)
            if limit.strict and part.given.bound is not None and (limit.unit != "usd" or part.fixed):
                assert spent <= hold.amount
        for part in running.ask.own:
            limit = part.given.limit
            if took is not None and limit.strict and part.bound is not None and (limit.unit != "usd" or part.fixed):
                assert took[limit.unit] <= part.bound

    def tell_blocks(self, running: Running, tokens: list[int], nano: int | None) -> None:
        for block in running.place.blocks:
            block.calls += 1
            block.input += tokens[0]
            block.output += tokens[1]
            block.nano_usd += nano or 0

    def price(self, request: Request, model: str, tokens: list[int], cache: int) -> int | None:
        """Return what an answer costs in nano-dollars; None: nobody knows."""
        found = self.engine.prices.rates(request.api.target.provider, model)
        if found is None or not found.units:
            return None
        femto = {unit.count: unit.rate for unit in found.units}
        reading = femto.get("cache_read.input_tokens", femto["input_tokens"])
        total = (tokens[0] - cache) * femto["input_tokens"] + cache * reading
        total += tokens[1] * femto.get("output_tokens", 0)
        return (total + 500_000) // 1_000_000

    def name(self) -> str:
        self.names += 1
        return f"answer-{self.names}"

    # --- around calls ------------------------------------------------------------------------

    @rule(given=st.lists(given_limits(), max_size=2), same=st.booleans())
    def enter_block(self, given: list[Given], *, same: bool) -> None:
        if len(self.blocks) == 3:
            return
        if same:
            given = [*given, self.model.given[0]]
        block = limits(*(one.limit for one in given))
        spend = block.__enter__()
        scope = current_scopes.get()[-1]
        self.blocks.append((block, Block(scope.id, given, scope.limits, spend)))

    @precondition(lambda self: self.blocks)
    @rule()
    def leave_block(self) -> None:
        block, told = self.blocks.pop()
        block.__exit__(None, None, None)
        self.left.append(told)

    @rule(seconds=SECONDS)
    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    # --- what always holds -------------------------------------------------------------------

    @invariant()
    def every_account_is_as_the_model_has_it(self) -> None:
        self.model.look()
        now, standing = self.clock.ticks, self.standing()
        assert standing.keys() <= self.model.accounts.keys()
        for key, account in self.model.accounts.items():
            found = standing.get(key)
            spent, reserved = (found.spent, found.reserved) if found is not None else (0, 0)
            least, most = account.between(now)
            assert least <= spent <= most, key
            assert account.reserved(now) == reserved, key

    @invariant()
    def no_bound_is_exceeded_by_what_was_reserved(self) -> None:
        for key, account in self.model.accounts.items():
            bound, found = account.given.bound, self.standing().get(key)
            if bound is None or found is None or found.spent + found.reserved <= bound:
                account.over = False
            else:
                assert account.over, found

    @invariant()
    def blocks_add_up_their_calls(self) -> None:
        for block in (*(block for _, block in self.blocks), *self.left):
            spend = block.spend
            assert (block.calls, block.refused, block.missing) == (spend.calls, spend.refused, spend.missing)
            assert block.input == (spend.usage.input_tokens or 0)
            assert block.output == (spend.usage.output_tokens or 0)
            assert block.nano_usd == round(spend.cost * NANO)


def spent_of(standing: dict[str, Balance], key: str) -> int:
    found = standing.get(key)
    return found.spent if found is not None else 0


def units(tokens: list[int], nano: int | None) -> dict[str, int]:
    total = sum(tokens)
    return {
        "tokens": total,
        "input_tokens": tokens[0],
        "output_tokens": tokens[1],
        "usd": nano or 0,
        "calls": 1,
        "context_window": total,
    }


def usage_of(request: Request, tokens: list[int], cache: int) -> dict[str, Any]:
    """Return a usage object with so many tokens of input, some of them from the provider's cache, and of output."""
    into, out = request.api.usage
    if request.api.target.provider == "anthropic":
        return {into: tokens[0] - cache, out: tokens[1], "cache_read_input_tokens": cache}
    told: dict[str, Any] = {into: tokens[0], f"{into}_details": {"cached_tokens": cache}}
    return {**told, out: tokens[1]} if out else {into: tokens[0]}


TestAdmission = AdmissionMachine.TestCase
TestAdmission.settings = settings(MACHINE_SETTINGS, stateful_step_count=30)


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "tracetoll")  # limits without their subject are many here


# --- what the machine has found ------------------------------------------------------------------


@pytest.mark.parametrize("held", [{"at": {1.0: "clamp"}}, {"strict": True}], ids=["clamp", "strict"])
def test_a_limit_per_call_caps_a_call_without_a_cap_of_a_model_whose_longest_answer_is_known(
    instrument: Callable[..., Telemetry], held: dict[str, Any]
) -> None:
    instrument(limits=[Limit(200, per="call", **held)])

    claim = opened("gpt-4o-mini").claim

    assert claim is not None
    assert {"max_completion_tokens": claim.granted_output} == claim.changes
    assert claim.granted_output < 200


def test_a_strict_limit_of_calls_leaves_the_length_of_answers_alone(instrument: Callable[..., Telemetry]) -> None:
    instrument(limits=[Limit(10, "calls", strict=True), Limit(1000, "input_tokens", strict=True)])

    claim = opened("acme-1").claim

    assert claim is not None
    assert {} == claim.changes


def test_a_ledger_made_from_ours_is_asked_for_every_call(instrument: Callable[..., Telemetry]) -> None:
    asked: list[Sequence[Line]] = []

    class Watched(MemoryLedger):
        def reserve(self, lines: Sequence[Line], output: Output, lease_s: float) -> Reservation:
            asked.append(lines)
            return super().reserve(lines, output, lease_s)

    instrument(limits=[Limit(10, "calls"), Limit(100_000, "tokens")], ledger=Watched())

    opened("gpt-4o-mini")
    opened("gpt-4o-mini")

    assert [2, 2] == [len(lines) for lines in asked]


@pytest.mark.parametrize("per", ["trace", "scope"])
def test_the_same_limit_inside_and_outside_of_a_block_has_two_accounts(
    instrument: Callable[..., Telemetry], caplog: pytest.LogCaptureFixture, per: str
) -> None:
    instrument(limits=[Limit(3, "calls", per=per)])

    with limits(Limit(3, "calls", per=per)):
        claim = opened("gpt-4o-mini").claim

    assert claim is not None
    assert 2 == len({line.account for line in claim.lines})
    caplog.clear()  # it tells that there is no trace


def opened(model: str) -> Call:
    engine = Instrumentor().engine
    assert engine is not None
    call = engine.open(CHAT, OPENAI, {"model": model, "messages": []}, streaming=False)
    assert call is not None
    return call


def wanted_by(body: dict[str, Any], *, streaming: bool = False) -> float:
    """Return what a limit that refuses everything was asked for by a call."""
    engine = Instrumentor().engine
    assert engine is not None
    with pytest.raises(LimitExceeded) as refused:
        engine.open(CHAT, OPENAI, {"messages": [], **body}, streaming=streaming)
    return float(refused.value.wanted)


def test_what_a_call_wants_follows_how_many_answers_it_asks_for(instrument: Callable[..., Telemetry]) -> None:
    instrument(limits=[Limit(1, "output_tokens")])

    bodies = [{"model": "gpt-4o", "max_tokens": 100, **more} for more in ({"n": 2}, {"n": 3}, {}, {"n": 2})]
    assert [200, 300, 100, 200] == [wanted_by(body) for body in bodies]
    assert [200, 300, 100, 200] == [wanted_by(body, streaming=True) for body in bodies]


def test_a_call_is_expected_to_cost_what_a_request_of_its_length_does(instrument: Callable[..., Telemetry]) -> None:
    instrument(limits=[Limit(0.000001, "usd")])

    def per_character(characters: int) -> float:
        said = [{"role": "user", "content": "x" * characters}]
        return wanted_by({"model": "gpt-5.4", "max_tokens": 1, "messages": said}) / characters

    short, long = per_character(100_000), per_character(2_000_000)  # other prices hold above 272,000 tokens
    assert pytest.approx(2.0, abs=0.05) == long / short
    assert pytest.approx(short) == per_character(100_000)


def fetch(answer: dict[str, Any]) -> None:
    engine = Instrumentor().engine
    assert engine is not None
    call = engine.open(FETCHED_RESPONSE, OPENAI, {}, streaming=False)
    assert call is not None
    call.sent = True
    call.answered(answer)


def ask_in_background(name: str) -> None:
    engine = Instrumentor().engine
    assert engine is not None
    body = {"model": "gpt-4o", "input": "x", "max_output_tokens": 2000}
    call = engine.open(RESPONSES, OPENAI, body, streaming=False)
    assert call is not None
    call.sent = True
    call.answered({"id": name, "status": "queued"})


def spent() -> list[int]:
    engine = Instrumentor().engine
    assert engine is not None
    return [balance.spent for _, balance in engine.admission.ledger.balances()]


def completed(name: str, tokens: int) -> dict[str, Any]:
    return {"id": name, "status": "completed", "usage": {"input_tokens": 10, "output_tokens": tokens - 10}}


def test_a_pending_answer_corrects_its_own_day_only(instrument: Callable[..., Telemetry]) -> None:
    clock = Clock()
    ledger = MemoryLedger(wall=lambda: clock.wall, ticks=lambda: clock.ticks)
    instrument(limits=[Limit(90_000, "tokens", window="day", strict=True)], ledger=ledger)

    ask_in_background("today")
    fetch(completed("today", 15))
    assert [15] == spent()

    ask_in_background("yesterday")
    clock.advance(86_400)
    ask_in_background("now")
    fetch(completed("now", 1_900))
    fetch(completed("yesterday", 15))
    assert [1_900] == spent()


@pytest.mark.parametrize("where", [{"model": "!gpt-4o"}, {"operation": "!chat"}], ids=["model", "operation"])
def test_a_pending_answer_is_not_charged_to_limits_that_its_call_had_nothing_to_do_with(
    instrument: Callable[..., Telemetry], where: dict[str, str]
) -> None:
    instrument(limits=[Limit(90_000, "tokens", where=where)])

    ask_in_background("one")
    fetch(completed("one", 15))

    assert [] == spent()
