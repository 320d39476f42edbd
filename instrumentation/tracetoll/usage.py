"""What a provider says a call used, normalised: input includes cache, output includes reasoning.

`UsageMap` is how a provider file says which field of the wire is which of ours (a table, no code);
`Usage` is the value that comes out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

from tracetoll.reading import LARGEST_COUNT, count, dig, elements, get, path, text, view

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

INPUT: Final = "input_tokens"
OUTPUT: Final = "output_tokens"
CACHE_READ: Final = "cache_read.input_tokens"
CACHE_WRITE: Final = "cache_write.input_tokens"
CACHE_WRITE_5M: Final = "cache_write.ttl_5m.input_tokens"
CACHE_WRITE_30M: Final = "cache_write.ttl_30m.input_tokens"
CACHE_WRITE_1H: Final = "cache_write.ttl_1h.input_tokens"
CACHE_WRITE_12H: Final = "cache_write.ttl_12h.input_tokens"
REASONING: Final = "reasoning.output_tokens"
TEXT_INPUT: Final = "text.input_tokens"
IMAGE_INPUT: Final = "image.input_tokens"
AUDIO_INPUT: Final = "audio.input_tokens"
TEXT_OUTPUT: Final = "text.output_tokens"
IMAGE_OUTPUT: Final = "image.output_tokens"
AUDIO_OUTPUT: Final = "audio.output_tokens"
TEXT_CACHE_READ: Final = "text.cache_read.input_tokens"
IMAGE_CACHE_READ: Final = "image.cache_read.input_tokens"
AUDIO_CACHE_READ: Final = "audio.cache_read.input_tokens"
VIDEO_INPUT: Final = "video.input_tokens"
DOCUMENT_INPUT: Final = "document.input_tokens"
TOOL_USE_INPUT: Final = "tool_use.input_tokens"
CITATION_OUTPUT: Final = "citation.output_tokens"
ACCEPTED_PREDICTION_OUTPUT: Final = "accepted_prediction.output_tokens"
REJECTED_PREDICTION_OUTPUT: Final = "rejected_prediction.output_tokens"
WEB_SEARCHES: Final = "web_search.count"
WEB_FETCHES: Final = "web_fetch.count"
AUDIO_MILLISECONDS: Final = "audio.milliseconds"
IMAGES: Final = "image.count"
PAGES: Final = "page.count"
SEARCH_UNITS: Final = "search_unit.count"
IMAGE_PIXELS: Final = "image_pixel.count"
VIDEO_PIXELS: Final = "video_pixel.count"

# Fields of the wire that are needed to normalise and to price, and are not counts of ours.
WIRE_TOTAL: Final = "wire.total_tokens"
PROVIDER_COST: Final = "wire.cost_nano_usd"
OUTPUT_SO_FAR: Final = "wire.output_so_far"
"""A running count at the start of a stream: it is the output only if the stream ends without another."""
CONSUMED_INPUT: Final = "wire.consumed_input_tokens"
CONSUMED_OUTPUT: Final = "wire.consumed_output_tokens"
"""What the model read and wrote, where the provider bills another number: that fills the context window, and stands
for the billed number only where there is none."""
WHOLE_INPUT: Final = "wire.whole_input"
"""An input that has the cache inside, with a map whose other inputs have it beside."""

COUNTS: Final = (
    INPUT,
    OUTPUT,
    CACHE_READ,
    CACHE_WRITE,
    CACHE_WRITE_5M,
    CACHE_WRITE_30M,
    CACHE_WRITE_1H,
    CACHE_WRITE_12H,
    REASONING,
    TEXT_INPUT,
    IMAGE_INPUT,
    AUDIO_INPUT,
    TEXT_OUTPUT,
    IMAGE_OUTPUT,
    AUDIO_OUTPUT,
    TEXT_CACHE_READ,
    IMAGE_CACHE_READ,
    AUDIO_CACHE_READ,
    VIDEO_INPUT,
    DOCUMENT_INPUT,
    TOOL_USE_INPUT,
    CITATION_OUTPUT,
    ACCEPTED_PREDICTION_OUTPUT,
    REJECTED_PREDICTION_OUTPUT,
    WEB_SEARCHES,
    WEB_FETCHES,
    AUDIO_MILLISECONDS,
    IMAGES,
    PAGES,
    SEARCH_UNITS,
    IMAGE_PIXELS,
    VIDEO_PIXELS,
)

NANO: Final = 10**9
FEMTO: Final = 10**15
"""How many of what money is counted in make a US dollar: amounts, and prices of a token."""
FEMTO_PER_NANO: Final = FEMTO // NANO


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Scaled:
    """A number of the wire that need not be whole; we keep it as a whole number of a smaller unit."""

    name: str
    factor: Decimal

    def read(self, value: object) -> int | None:
        """Return the scaled number, None where the value is no amount."""
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            return None
        try:
            amount = Decimal(str(value)) * self.factor
            return int(amount.to_integral_value()) if 0 <= amount <= LARGEST_COUNT else None
        except InvalidOperation:
            return None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Either:
    """A field of the wire that is a number with some hosts and an object with others."""

    number: Scaled
    table: dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Length:
    """A list of the wire that has one element per token; an empty one tells nothing."""

    name: str

    def read(self, node: object, seen: dict[str, int]) -> None:
        """Add how long the list is to `seen`."""
        tokens = len(elements(node))
        if tokens:
            seen.setdefault(self.name, tokens)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Parts:
    """A list of the wire whose elements each tell a kind and a number, such as a modality and its tokens.

    `kinds` are our counts by kind, in lower case; where they are told apart by number, that number as text.
    Several elements of one kind add up.
    """

    kind: str
    number: str
    kinds: Mapping[str, str]

    def read(self, node: object, seen: dict[str, int]) -> None:
        """Add what the elements tell to `seen`."""
        told: dict[str, int] = {}
        for element in elements(node):
            kind = get(element, self.kind)
            # not str(): an SDK's enum of texts says its own name then
            name = self.kinds.get(kind.lower() if isinstance(kind, str) else str(kind))
            number = count(get(element, self.number))
            if name is not None and number is not None:
                told[name] = told.get(name, 0) + number
        for name, number in told.items():
            seen.setdefault(name, number)


class Sum:
    """A list of the wire whose elements add up to one count.

    `of` "numbers": each tells a part of the count at a path; "elements": each counts one that has anything there.
    The first of the paths where an element has something is the one that counts.
    """

    __slots__ = ("_of", "_paths", "name")

    def __init__(self, name: str, *dotted: str, of: Literal["numbers", "elements"] = "numbers") -> None:
        self.name = name
        self._paths = tuple(path(one) for one in dotted)
        self._of = of

    def read(self, node: object, seen: dict[str, int]) -> None:
        """Add what the elements come to to `seen`, where any of them tells."""
        told = [
            next((found for at in self._paths if (found := dig(one, at)) is not None), None) for one in elements(node)
        ]
        numbers = [1 if self._of == "elements" else count(one) for one in told if one is not None]
        known = [number for number in numbers if number is not None]
        if known:
            seen.setdefault(self.name, sum(known))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Each:
    """A list of the wire whose elements each tell counts, by the names in `fields`; they add up."""

    fields: Mapping[str, str]

    def read(self, node: object, seen: dict[str, int]) -> None:
        """Add what the elements come to to `seen`, where any of them tells."""
        for wire, name in self.fields.items():
            Sum(name, wire).read(node, seen)


USD: Final = Scaled(PROVIDER_COST, Decimal(NANO))
# OpenRouter states its cost as a number, Perplexity as an object with a total.
USD_OR_TOTAL: Final = Either(USD, {"total_cost": USD})
# xAI states its cost in ticks of 1e-10 USD.
USD_TICKS: Final = Scaled(PROVIDER_COST, Decimal("0.1"))
SECONDS: Final = Scaled(AUDIO_MILLISECONDS, Decimal(1000))


@dataclass(frozen=True, slots=True)
class Side:
    """Tokens of one step that the provider bills beside the call's own numbers, perhaps of another model."""

    kind: str
    model: str | None
    counts: Mapping[str, int]


@dataclass(slots=True, eq=False, repr=False)
class Reading:
    """What has been read of one call's usage so far; a stream adds to it event by event."""

    counts: dict[str, int] = field(default_factory=dict)
    spare: dict[str, int] = field(default_factory=dict)
    """What stands for counts that the answer itself did not tell."""
    sides: tuple[Side, ...] = ()
    last_step: Mapping[str, int] | None = None


class Usage:
    """An immutable set of counts, as the provider reported them and normalised.

    A count that the provider did not report is None, never 0. All are tokens but `web_searches`,
    `web_fetches`, `images`, pages, search units and pixels (units) and `audio_milliseconds`.
    """

    __slots__ = ("_counts", "context_tokens", "cost_nano_usd", "sides")

    def __init__(
        self,
        counts: Mapping[str, int] = MappingProxyType({}),
        sides: tuple[Side, ...] = (),
        cost_nano_usd: int | None = None,
        context_tokens: int | None = None,
    ) -> None:
        """Take counts by the names in COUNTS; other keys raise ValueError.

        `sides` are the steps billed beside these counts; `cost_nano_usd` is the cost in billionths of a
        US dollar where the provider itself states one; `context_tokens` is how many tokens the model had
        before it at the end, where that is not the total (a call of several steps).
        """
        if not counts.keys() <= _KNOWN:
            names = ", ".join(sorted(counts.keys() - _KNOWN))
            msg = f"unknown usage field {names}; known are: {', '.join(COUNTS)}"
            raise ValueError(msg)
        self.take(dict(counts), sides, cost_nano_usd, context_tokens)

    def take(
        self, counts: dict[str, int], sides: tuple[Side, ...], cost_nano_usd: int | None, context_tokens: int | None
    ) -> None:
        """Set everything, unchecked: `counts` is ours from now on."""
        self._counts: Mapping[str, int] = counts
        self.sides = sides
        self.cost_nano_usd = cost_nano_usd
        self.context_tokens = context_tokens if context_tokens is not None else self.total_tokens

    @property
    def counts(self) -> Mapping[str, int]:
        """Return every count that was reported, by the names in COUNTS."""
        return MappingProxyType(self._counts)

    @property
    def input_tokens(self) -> int | None:
        """Return all input tokens: uncached, cached and of every modality."""
        return self._counts.get(INPUT)

    @property
    def output_tokens(self) -> int | None:
        """Return all output tokens, reasoning included."""
        return self._counts.get(OUTPUT)

    @property
    def total_tokens(self) -> int | None:
        """Return input plus output; None if neither was reported."""
        counts = self._counts
        if INPUT not in counts and OUTPUT not in counts:
            return None
        return counts.get(INPUT, 0) + counts.get(OUTPUT, 0)

    @property
    def cache_read_tokens(self) -> int | None:
        """Return the part of the input that came from the provider's cache."""
        return self._counts.get(CACHE_READ)

    @property
    def cache_write_tokens(self) -> int | None:
        """Return the part of the input that was written to the provider's cache."""
        return self._counts.get(CACHE_WRITE)

    @property
    def reasoning_tokens(self) -> int | None:
        """Return the part of the output that was reasoning."""
        return self._counts.get(REASONING)

    @property
    def audio_input_tokens(self) -> int | None:
        """Return the part of the input that was audio."""
        return self._counts.get(AUDIO_INPUT)

    @property
    def audio_output_tokens(self) -> int | None:
        """Return the part of the output that was audio."""
        return self._counts.get(AUDIO_OUTPUT)

    def __bool__(self) -> bool:
        return bool(self._counts) or bool(self.sides)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Usage) and self._counts == other._counts and self.sides == other.sides

    def __hash__(self) -> int:
        return hash((frozenset(self._counts.items()), self.sides))

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return iter(self._counts.items())

    def __add__(self, other: Usage) -> Usage:
        """Return the sum of both, per count; a count is None only where it is None in both."""
        if not isinstance(other, Usage):
            return NotImplemented
        counts = dict(self._counts)
        for name, value in other._counts.items():
            counts[name] = counts.get(name, 0) + value
        costs = [cost for cost in (self.cost_nano_usd, other.cost_nano_usd) if cost is not None]
        return Usage(counts, self.sides + other.sides, sum(costs) if costs else None)

    def __repr__(self) -> str:
        return f"Usage({dict(self._counts)!r})"


_KNOWN: Final = frozenset(COUNTS)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class UsageMap:
    """Which field of a provider's usage object is which count of ours.

    `fields` maps wire names to counts; a nested table follows a nested object. `fallbacks` has the names
    that count only where no name of `fields` gave that count. The switches say how the provider's numbers
    become ours:

    - `cache`: "inside" the wire's input, or "beside" it and to be added;
    - `beside_output`: counts that the wire's output lacks when the wire's own total says so;
    - `added`: counts that the wire leaves out of another one, and which that is;
    - `snapshots`: in a stream, each usage object that has the wire's total stands for itself, and those before
      it count for nothing;
    - `growing`: in a stream the highest number of each count is the last one, and a lower one says nothing;
    - `steps`: each usage object is that of one step of several, and they add up;
    - `total_is_input`: the total stands for a missing input (embeddings);
    - `zeros_are_missing`: the SDK tells 0 of everything where the provider told nothing;
    - `sides`: the list of steps; each whose `type` is not in `own_steps` is billed beside the rest.
    """

    fields: Mapping[str, Any]
    fallbacks: Mapping[str, Any] = field(default_factory=dict)
    cache: Literal["inside", "beside"] = "inside"
    beside_output: tuple[str, ...] = ()
    added: Mapping[str, str] = field(default_factory=dict)
    snapshots: bool = False
    growing: bool = False
    steps: bool = False
    total_is_input: bool = False
    zeros_are_missing: bool = False
    sides: str | None = None
    own_steps: frozenset[str] = frozenset()
    _table: dict[str, Any] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # One table, so that a usage object is gone through once.
        object.__setattr__(self, "_table", _merged(self.fields, self.fallbacks))

    def read(self, node: object, into: Reading) -> None:
        """Add one usage object of the wire to `into`: per count, the last one reported wins.

        Counts over a stream are cumulative with every provider, so only those of several steps are summed.
        """
        counts = self._counts(node)
        if self.steps:
            counts = {name: into.counts.get(name, 0) + number for name, number in counts.items()}
        if self.growing:
            counts = {name: max(into.counts.get(name, 0), number) for name, number in counts.items()}
        if self.snapshots:
            if WIRE_TOTAL in counts:
                into.counts.clear()
            elif WIRE_TOTAL in into.counts:
                return
        into.counts.update(counts)
        if self.sides is not None:
            steps = elements(get(node, self.sides))
            if steps:
                read = [self._side(step) for step in steps]
                into.sides = tuple(side for side in read if side.kind not in self.own_steps)
                own = [side.counts for side in read if side.kind in self.own_steps]
                into.last_step = own[-1] if own else None

    def read_spare(self, node: object, into: Reading) -> None:
        """Add to `into` what is to stand for counts that the answer itself does not tell."""
        into.spare.update(self._counts(node))

    def _side(self, step: object) -> Side:
        counts = self._normalised(self._counts(step))
        return Side(text(get(step, "type")) or "unknown", text(get(step, "model")), counts)

    def _counts(self, node: object) -> dict[str, int]:
        seen: dict[str, int] = {}
        spare: dict[str, int] = {}
        _read(node, self._table, seen, spare)
        for name, value in spare.items():
            seen.setdefault(name, value)
        if self.zeros_are_missing and not any(seen.values()):
            return {}
        return seen

    def usage(self, reading: Reading, *, complete: bool = True, hidden_reasoning: bool = False) -> Usage:
        """Return the normalised usage of a whole call.

        `complete`: the answer came to its end, so that a running count is the final one.
        `hidden_reasoning`: this host counts reasoning in its total only (Gemini's OpenAI endpoint).
        """
        counts = self._normalised({**reading.spare, **reading.counts})
        total = counts.pop(WIRE_TOTAL, None)
        cost = counts.pop(PROVIDER_COST, None)
        so_far = counts.pop(OUTPUT_SO_FAR, None)
        if complete and so_far is not None:
            counts.setdefault(OUTPUT, so_far)
        context = _consumed(counts)
        if hidden_reasoning and total is not None and INPUT in counts and OUTPUT in counts:
            hidden = total - counts[INPUT] - counts[OUTPUT]
            if hidden > 0:
                counts[OUTPUT] += hidden
                counts[REASONING] = counts.get(REASONING, 0) + hidden
        step = reading.last_step
        if step and INPUT in step:
            context = step[INPUT] + step.get(OUTPUT, 0)
        made = Usage.__new__(Usage)
        made.take(counts, reading.sides, cost, context)
        return made

    def _normalised(self, counts: dict[str, int]) -> dict[str, int]:
        total = counts.get(WIRE_TOTAL)
        if self.total_is_input and total is not None:
            counts.setdefault(INPUT, total)
        if self.cache == "beside" and INPUT in counts:
            counts[INPUT] += counts.get(CACHE_READ, 0) + counts.get(CACHE_WRITE, 0)
        if WHOLE_INPUT in counts:
            counts[INPUT] = counts.pop(WHOLE_INPUT)
        for name, whole in self.added.items():
            if name in counts:
                counts[whole] = counts.get(whole, 0) + counts[name]
        if self.beside_output and total is not None and INPUT in counts and OUTPUT in counts:
            missing = 0
            for name in self.beside_output:
                missing += counts.get(name, 0)
                if missing and total == counts[INPUT] + counts[OUTPUT] + missing:
                    counts[OUTPUT] += missing
                    break
        return counts


_CONSUMED: Final = ((CONSUMED_INPUT, INPUT), (CONSUMED_OUTPUT, OUTPUT))


def _consumed(counts: dict[str, int]) -> int | None:
    """Take what was consumed out of `counts`, and return its sum; None where the provider tells no such numbers."""
    told = [(name, counts.pop(wire)) for wire, name in _CONSUMED if wire in counts]
    for name, number in told:
        counts.setdefault(name, number)
    return sum(number for _, number in told) if told else None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Fallback:
    """A count that is taken only where no other field of the same object gives it."""

    name: str


def _merged(fields: Mapping[str, Any], fallbacks: Mapping[str, Any]) -> dict[str, Any]:
    table: dict[str, Any] = {key: _merged(rule, {}) if isinstance(rule, dict) else rule for key, rule in fields.items()}
    for key, rule in fallbacks.items():
        if isinstance(rule, dict):
            table[key] = _merged(table.get(key, {}), rule)
        else:
            table[key] = _Fallback(rule)
    return table


def _read(node: object, table: dict[str, Any], seen: dict[str, int], spare: dict[str, int]) -> None:
    fields = node if type(node) is dict else view(node)
    for key, value in fields.items():
        if value is None or key not in table:
            continue
        rule = table[key]
        kind = type(rule)
        if kind is dict:
            _read(value, rule, seen, spare)
        elif kind is str or kind is _Fallback:
            number = value if type(value) is int and 0 <= value <= LARGEST_COUNT else count(value)
            if number is not None:
                if kind is str:
                    seen.setdefault(rule, number)
                else:
                    spare.setdefault(rule.name, number)
        else:
            _read_rare(rule, value, seen, spare)


def _read_rare(
    rule: Parts | Sum | Each | Length | Scaled | Either, value: object, seen: dict[str, int], spare: dict[str, int]
) -> None:
    if isinstance(rule, Parts | Sum | Each | Length):
        rule.read(value, seen)
        return
    scaled = rule.number if isinstance(rule, Either) else rule
    number = scaled.read(value)
    if number is not None:
        seen.setdefault(scaled.name, number)
    elif isinstance(rule, Either):
        _read(value, rule.table, seen, spare)
