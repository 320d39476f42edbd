"""Traces as data: how they are acted out with OpenTelemetry, and, slowly, what their roll-up has to say."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

Total = dict[str, int]

CALLS = "inference_call.count"
EMBEDDINGS = "embedding_call.count"
TOOLS = "tool_call.count"
ERRORS = "error.count"
MISSING = "usage_missing.count"
USAGE = ("input_tokens", "output_tokens", "cache_read.input_tokens", "reasoning.output_tokens")

# Each dialect: its scope, and what it calls a call and its counts.
UPSTREAM = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cache_read.input_tokens": "gen_ai.usage.cache_read.input_tokens",
    "reasoning.output_tokens": "gen_ai.usage.reasoning.output_tokens",
}
OPENINFERENCE = {
    "input_tokens": "llm.token_count.prompt",
    "output_tokens": "llm.token_count.completion",
    "cache_read.input_tokens": "llm.token_count.prompt_details.cache_read",
    "reasoning.output_tokens": "llm.token_count.completion_details.reasoning",
}
OPENLLMETRY = {
    **UPSTREAM,
    "input_tokens": "gen_ai.usage.prompt_tokens",
    "output_tokens": "gen_ai.usage.completion_tokens",
    "reasoning.output_tokens": "llm.usage.reasoning_tokens",
}
DIALECTS: Mapping[str, tuple[str, Mapping[str, str], Mapping[str, str]]] = {
    "upstream": ("somebody.else", UPSTREAM, {"gen_ai.operation.name": "chat"}),
    "openinference": ("openinference.instrumentation.x", OPENINFERENCE, {"openinference.span.kind": "LLM"}),
    "openllmetry": ("opentelemetry.instrumentation.openai.v1", OPENLLMETRY, {"llm.request.type": "chat"}),
}


@dataclass
class Made:
    """One span to be made."""

    kind: str
    parent: int | None
    dialect: str = "upstream"
    usage: Total = field(default_factory=dict)
    answer: str | None = None
    failed: bool = False

    @property
    def is_call(self) -> bool:
        return self.kind in {"call", "embedding"}

    def own(self) -> Total:
        """Return what the span itself comes to."""
        if self.is_call:
            counted = CALLS if self.kind == "call" else EMBEDDINGS
            gap = {ERRORS: 1} if self.failed else {MISSING: 1} if not self.usage else {}
            return {**self.usage, counted: 1, **gap}
        if self.kind == "tool":
            return {TOOLS: 1, **({ERRORS: 1} if self.failed else {})}
        return {}

    def starts_with(self) -> dict[str, Any]:
        if self.kind == "agent":
            return {"gen_ai.operation.name": "invoke_agent"}
        return {"gen_ai.operation.name": "execute_tool"} if self.kind == "tool" else {}

    def ends_with(self) -> dict[str, Any]:
        told: dict[str, Any] = {"error.type": "500"} if self.failed else {}
        if self.is_call:
            _, names, what = DIALECTS[self.dialect]
            told |= what
            if self.kind == "embedding":
                told |= {
                    key: {"chat": "embeddings", "LLM": "EMBEDDING"}.get(value, value) for key, value in what.items()
                }
                if self.dialect == "openllmetry":
                    told["llm.request.type"] = "embedding"
            told |= {names[name]: amount for name, amount in self.usage.items()}
            if self.answer is not None:
                told["gen_ai.response.id"] = self.answer
        return told


@dataclass
class Story:
    """Spans, and in which order they start and end: (True, position) or (False, position)."""

    spans: list[Made]
    steps: list[tuple[bool, int]]

    def act_out(self, provider: TracerProvider, run: Any = lambda step: step()) -> list[Span]:
        """Make the spans, each step by `run`; return them."""
        made: dict[int, Span] = {}

        def start(place: int, now: int) -> None:
            told = self.spans[place]
            context = None if told.parent is None else set_span_in_context(made[told.parent])
            tracer = provider.get_tracer(DIALECTS[told.dialect][0] if told.is_call else "application")
            name = f"invoke_agent {place}" if told.kind == "agent" else f"{told.kind} {place}"
            made[place] = tracer.start_span(name, context, attributes=told.starts_with(), start_time=now)

        def end(place: int, now: int) -> None:
            made[place].set_attributes(self.spans[place].ends_with())
            made[place].end(now)

        for now, (starts, place) in enumerate(self.steps, start=1):
            run(lambda act=start if starts else end, place=place, now=now: act(place, now))
        return [made[place] for place in sorted(made)]

    # --- the slow model ----------------------------------------------------------------------

    def expected(self) -> dict[int, tuple[Total, bool]]:
        """Return, per span that is to say so, its totals and whether they are complete."""
        when = {place: step for step, (starts, place) in enumerate(self.steps) if not starts}
        begun = {place: step for step, (starts, place) in enumerate(self.steps) if starts}
        children: dict[int, list[int]] = {place: [] for place in range(len(self.spans))}
        for place in sorted(when, key=when.__getitem__):
            above = self._open_above(place, when[place], when)
            if above is not None:
                children[above].append(place)
        totals = self._totals(children, begun, when)
        told = {}
        for place, span in enumerate(self.spans):
            # A span that starts when all above it have ended is a local root; one alone needs no totals.
            top = self._open_above(place, begun[place], when) is None
            alone = not any(totals[child] for child in children[place])
            if span.kind != "agent" and (not top or alone or not totals[place]):
                continue
            running = any(
                place in self._ancestors(other)
                and begun[other] < when[place] < when[other]
                and self._open_above(other, when[place], when, including=place) == place
                for other in range(len(self.spans))
            )
            total = totals[place]
            told[place] = (total, not running and total.get(MISSING, 0) <= 0)
        return told

    def _ancestors(self, place: int) -> list[int]:
        found = []
        above = self.spans[place].parent
        while above is not None:
            found.append(above)
            above = self.spans[above].parent
        return found

    def _open_above(self, place: int, step: int, when: Mapping[int, int], including: int | None = None) -> int | None:
        """Return the nearest ancestor that is open at some step."""
        return next((above for above in self._ancestors(place) if when[above] > step or above == including), None)

    def _call_passed(self, place: int, begun: Mapping[int, int], when: Mapping[int, int]) -> list[int]:
        """Return the ancestors that were open when a span started, and are not when it ends, the nearest first.

        After each come those that it has passed itself.
        """
        open_then = [above for above in self._ancestors(place) if when[above] > begun[place]]
        found: list[int] = []
        for above in takewhile(lambda above: when[above] < when[place], open_then):
            found += [above, *self._call_passed(above, begun, when)]
        return found

    @staticmethod
    def _call_of(span: Made, passed: Iterable[Counted | None]) -> Counted | None:
        """Return the call that a span is, because it ends after the one above that told of it."""
        known = next((one for one in passed if one is not None), None) if span.is_call else None
        # Two ids are two calls.
        return None if known is not None and span.answer is not None and known.answer is not None else known

    def _totals(
        self, children: Mapping[int, Sequence[int]], begun: Mapping[int, int], when: Mapping[int, int]
    ) -> dict[int, Total]:
        totals: dict[int, Total] = {}
        answers: dict[str, Counted] = {}
        calls: dict[int, Counted] = {}
        open_spans = 0
        for starts, place in self.steps:
            if starts:
                if not open_spans:
                    answers.clear()  # nothing is kept of a trace that has no open span
                open_spans += 1
                continue
            open_spans -= 1
            span, own = self.spans[place], self.spans[place].own()
            below: Total = {}
            for child in children[place]:
                below = added(below, totals[child])
            passed = self._call_passed(place, begun, when)
            known = answers.get(span.answer or "") or self._call_of(span, (calls.get(above) for above in passed))
            if known is None:
                totals[place] = over(span, below)
                if span.is_call and (span.usage or span.answer or passed):
                    known = Counted(own, place, span.answer)
            else:
                inside = known.place in _subtree(place, children)
                totals[place] = added(below, more(own, known.total)) if inside else more(over(span, below), known.total)
                gap = min(own.get(MISSING, 0), known.total.get(MISSING, 0))
                known.total = {**{name: max(own.get(name, 0), known.total.get(name, 0)) for name in own | known.total}}
                known.total[MISSING] = gap
            if known is not None and span.is_call:
                calls[place] = known
                known.answer = known.answer or span.answer
                if span.answer is not None:
                    answers[span.answer] = known
        return totals


@dataclass
class Counted:
    """What was counted of a call, and where first."""

    total: Total
    place: int
    answer: str | None


def more(total: Total, counted: Total) -> Total:
    """Return what a total has beyond what was counted, and the gap that it fills."""
    found = {
        name: n - counted.get(name, 0) for name, n in total.items() if name != MISSING and n > counted.get(name, 0)
    }
    if counted.get(MISSING) and total.keys() & {"input_tokens", "output_tokens"}:
        found[MISSING] = -1
    return found


def _subtree(place: int, children: Mapping[int, Sequence[int]]) -> set[int]:
    found = {place}
    for child in children[place]:
        found |= _subtree(child, children)
    return found


def added(one: Total, other: Total) -> Total:
    return {name: one.get(name, 0) + other.get(name, 0) for name in one.keys() | other.keys()}


def over(span: Made, below: Total) -> Total:
    """Return the larger of what a span and those below it tell, per field; a tool is beside its calls."""
    own = span.own()
    if not span.is_call:
        return added(own, below)
    found = {name: max(own.get(name, 0), below.get(name, 0)) for name in own.keys() | below.keys()}
    if CALLS in below or EMBEDDINGS in below:
        found[MISSING] = 0 if span.usage else below.get(MISSING, 0)
    return found


def rolled_up(span: Any) -> tuple[Total, bool] | None:
    """Return the totals that a span says, and whether it says that they are complete."""
    told = span.attributes or {}
    if "tracetoll.rollup.complete" not in told:
        return None
    names = (*USAGE, CALLS, EMBEDDINGS, TOOLS, ERRORS, MISSING)
    found = {name: told[f"tracetoll.rollup.{name}"] for name in names if told.get(f"tracetoll.rollup.{name}")}
    return found, told["tracetoll.rollup.complete"]


def remote_context() -> Any:
    """Return a context whose current span is one of another process."""
    return set_span_in_context(NonRecordingSpan(SpanContext(0xA, 0xB, is_remote=True, trace_flags=TraceFlags(1))))


AMOUNT = st.integers(0, 5000)


@st.composite
def usages(draw: st.DrawFn, place: int, *, alike: bool = False) -> Total:
    """Draw a usage, one that no other span has; fields may be missing, all of them too, unless calls are `alike`."""
    names = set(USAGE[:2]) if alike else draw(st.sets(st.sampled_from(USAGE)))
    if not names & {"input_tokens", "output_tokens"}:
        return {}
    found = {name: draw(AMOUNT) + 10_000 * place for name in sorted(names)}
    for part, whole in (("cache_read.input_tokens", "input_tokens"), ("reasoning.output_tokens", "output_tokens")):
        if part in found:
            found[part] = min(found[part], found.get(whole, 0))
    return found


RARELY = st.integers(0, 7).map(lambda number: number == 7)
KINDS = ["plain", "agent", "tool", "call", "call", "call", "embedding"]


@st.composite
def stories(draw: st.DrawFn, *, late: bool = True, alike: bool = False) -> Story:
    """Draw a trace: its tree, what each span is, and the order in which they start and end.

    Calls that are `alike` are nearly all told of by the same scope, by the same attributes, and did not fail.
    """
    spans = [Made(draw(st.sampled_from(["plain", "agent"])), None)]
    told_again: set[int] = set()
    dialects = st.sampled_from(sorted(DIALECTS))
    usual, odd = draw(dialects), RARELY if alike else st.booleans()
    for place in range(draw(st.integers(1, 20 if alike else 12))):
        parent = draw(st.integers(0, place))
        kind = draw(st.sampled_from([*KINDS, *["call"] * 6] if alike else KINDS))
        made = Made(kind, parent, failed=draw(odd) if kind != "plain" else False)
        if made.is_call:
            made.dialect = usual if alike and not draw(RARELY) else draw(dialects)
            made.usage = draw(usages(place, alike=alike and not draw(RARELY)))
            made.answer = draw(st.sampled_from([None, f"answer {place}"]))
            above = spans[parent]
            if above.is_call and parent not in told_again and draw(odd):
                # Two tell of the same call, one over the other, with the same id or without.
                told_again.add(parent)
                made.kind, made.usage, made.failed = above.kind, dict(above.usage), above.failed
                made.answer = above.answer
        spans.append(made)
    return Story(spans, draw(_orders(spans, late=late)))


@st.composite
def _orders(draw: st.DrawFn, spans: Sequence[Made], *, late: bool) -> list[tuple[bool, int]]:
    steps: list[tuple[bool, int]] = [(True, 0)]
    started, ended = {0}, set[int]()
    while len(ended) < len(spans):
        may_start = [
            place for place in range(len(spans))
            if place not in started and spans[place].parent in started and (late or spans[place].parent not in ended)
        ]  # fmt: skip
        may_end = [
            place for place in sorted(started - ended)
            if late or not any(other not in ended and spans[other].parent == place for other in range(len(spans)))
        ]  # fmt: skip
        starts = bool(may_start) and (not may_end or draw(st.booleans()))
        place = draw(st.sampled_from(may_start if starts else may_end))
        (started if starts else ended).add(place)
        steps.append((starts, place))
    return steps
