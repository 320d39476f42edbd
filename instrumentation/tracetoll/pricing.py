"""What a call cost: prices of the `genai-prices` library, resolved once per model, then integer arithmetic.

The library's own `calc_price` takes about 70 µs a call; resolving a model once a minute and multiplying
takes about one. Prices are loaded in the background when the first call starts, because loading takes
some 250 ms of CPU. Inside, money is whole nano-dollars (1e-9 USD); rates are whole 1e-15 USD.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from tracetoll import usage as u
from tracetoll.forks import call_in_child
from tracetoll.imports import when_imported
from tracetoll.safety import contained

if TYPE_CHECKING:
    from collections.abc import Mapping

# Our provider names → the library's.
_LIBRARY_PROVIDERS: Final = {
    "openai": "openai",
    "azure.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "anthropic": "anthropic",
    "aws.bedrock": "aws",
    "gcp.gemini": "google",
    "gcp.vertex_ai": "google",
    "gcp.gen_ai": "google",
    "groq": "groq",
    "deepseek": "deepseek",
    "x_ai": "x-ai",
    "mistral_ai": "mistral",
    "perplexity": "perplexity",
    "cohere": "cohere",
    "moonshot_ai": "moonshotai",
    "openrouter": "openrouter",
    "together_ai": "together",
    "cerebras": "cerebras",
    "fireworks_ai": "fireworks",
    "voyage_ai": "voyageai",
    "z_ai": "zai",
}

# The library's usage keys → our counts. A cache write without a TTL of its own is priced by the plain key.
_LIBRARY_COUNTS: Final = {
    "input_tokens": u.INPUT,
    "output_tokens": u.OUTPUT,
    "cache_read_tokens": u.CACHE_READ,
    "cache_write_tokens": u.CACHE_WRITE,
    "cache_write_5m_tokens": u.CACHE_WRITE_5M,
    "cache_write_1h_tokens": u.CACHE_WRITE_1H,
    "input_text_tokens": u.TEXT_INPUT,
    "output_text_tokens": u.TEXT_OUTPUT,
    "input_audio_tokens": u.AUDIO_INPUT,
    "output_audio_tokens": u.AUDIO_OUTPUT,
    "input_image_tokens": u.IMAGE_INPUT,
    "output_image_tokens": u.IMAGE_OUTPUT,
    "input_video_tokens": u.VIDEO_INPUT,
    "cache_text_read_tokens": u.TEXT_CACHE_READ,
    "cache_audio_read_tokens": u.AUDIO_CACHE_READ,
    "cache_image_read_tokens": u.IMAGE_CACHE_READ,
    "output_reasoning_tokens": u.REASONING,
    "output_citation_tokens": u.CITATION_OUTPUT,
    "input_tool_tokens": u.TOOL_USE_INPUT,
    "audio_seconds": u.AUDIO_MILLISECONDS,
    "input_audio_seconds": u.AUDIO_MILLISECONDS,
    "web_searches": u.WEB_SEARCHES,
}

# A provider that nobody named: the library finds one by the model's name.
ANY_PROVIDER: Final = ""

_LOADING_S: Final = 30.0
_FRESH_S: Final = 60.0  # some prices change at a time of day
_MODELS_KEPT: Final = 2048
_KINDS_OF_CALLS_KEPT: Final = 50

Part = Literal["input", "output", "cache_read", "cache_write", "other"]
_PARTS: Final[dict[str, Part]] = {
    "input": "input",
    "output": "output",
    "cache_read": "cache_read",
    "cache_write": "cache_write",
}


@dataclass(slots=True, eq=False)
class Cost:
    """What a call cost, in nano-dollars, and who says so.

    `status` is "priced", "unpriced" (no price is known: `amount` is None, never 0) or "partial" (a part of
    the call has no price). `parts` only has what is known; they add up to `amount` except for rounding.
    """

    amount: int | None
    source: Literal["provider", "local"]
    status: Literal["priced", "unpriced", "partial"]
    parts: Mapping[Part, int]
    price_version: str | None
    context_window: int | None = None
    """How many tokens the model can have before it, where that is known."""


class Asked(NamedTuple):
    """Which prices a call has: whose, which model's, at which service tier, in a batch or not."""

    provider: str
    model: str | None
    tier: str | None = None
    batch: bool = False


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Tier:
    """A rate that holds for the whole call once its input exceeds `above` tokens."""

    above: int
    rate: int


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Unit:
    """One priced count: its rate in 1e-15 USD each, and the priced counts that are subsets of it."""

    count: str
    part: Part
    rate: int
    tiers: tuple[Tier, ...]
    within: tuple[int, ...]
    """Positions, among the units, of the subsets that are to be taken off."""


class TextRates(NamedTuple):
    """What text costs at most, in whole nano-dollars per token: to estimate a call before it is made."""

    input: int
    """Of plain input that has no higher tier."""
    output: int
    highest_input: int
    """Of any text input: written to a cache, in the highest tier."""
    highest_output: int
    tier_above: int | None
    """The number of input tokens from which tiers cost more."""
    per_call: int


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Rates:
    """The prices of one model at one time. `units` come most specific first."""

    units: tuple[Unit, ...]
    per_request: int
    context_window: int | None
    text: TextRates
    _alone: dict[tuple[str, ...], tuple[tuple[str, int], ...]] = field(default_factory=dict)
    """By the counts that a call has: each with its rate, where no price depends on another count, as is so for most."""

    def price(self, counts: Mapping[str, int], parts: dict[Part, int] | None = None) -> int:
        """Return the cost of `counts` in 1e-15 USD; adds what it is made of to `parts`."""
        if parts is None:
            alone = self.alone(tuple(counts))
            if alone:
                total = self.per_request
                for name, rate in alone:
                    total += counts[name] * rate
                return total
        return self._price(counts, parts)

    def alone(self, names: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
        """Return the rates of some counts, in 1e-15 USD, if none depends on another count; else nothing."""
        found = self._alone.get(names)
        return self._priced_alone(names) if found is None else found

    def _priced_alone(self, names: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
        there = [unit for unit in self.units if unit.count in names]
        depend = any(unit.tiers or any(self.units[position] in there for position in unit.within) for unit in there)
        found = () if depend else tuple((unit.count, unit.rate) for unit in there)
        if len(self._alone) < _KINDS_OF_CALLS_KEPT:
            self._alone[names] = found
        return found

    def _price(self, counts: Mapping[str, int], parts: dict[Part, int] | None) -> int:
        total = self.per_request
        if parts is not None and total:
            parts["other"] = parts.get("other", 0) + total
        leaves: list[int] = []
        for unit in self.units:
            leaf = counts.get(unit.count, 0)
            if leaf:
                for position in unit.within:
                    leaf -= leaves[position]
                if leaf > 0:
                    rate = unit.rate
                    if unit.tiers:
                        rate = _tiered(unit, counts.get(u.INPUT, 0))
                    total += leaf * rate
                    if parts is not None:
                        parts[unit.part] = parts.get(unit.part, 0) + leaf * rate
                else:
                    # A subset may be reported larger than its whole (seen with OpenRouter).
                    leaf = 0
            leaves.append(leaf)
        return total


def _tiered(unit: Unit, whole_input: int) -> int:
    rate = unit.rate
    for tier in unit.tiers:
        if whole_input > tier.above:
            rate = tier.rate
    return rate


class Known(NamedTuple):
    """What was found out of a model's prices, None if the library does not know it."""

    rates: Rates | None
    until: float
    """When it has to be found out anew, by the monotonic clock."""


@cache
def complete_httpx2() -> None:
    """Have httpx2, which the price library needs, imported with openai, where that would find it half-imported.

    openai 2.5x looks for it in `sys.modules` with each answer, and fails where a thread has only begun to import it.
    """

    def imported(_: object) -> None:
        with suppress(ImportError):
            import_module("httpx2")

    when_imported("openai._httpx2", imported)


class Prices:
    """Prices and context windows by provider and model. Thread-safe; knows nothing until it is loaded."""

    def __init__(self) -> None:
        self._cache: dict[tuple[str, str, str | None, bool], Known] = {}
        self._snapshot: Any = None
        self._units: Mapping[str, Any] = {}
        complete_httpx2()
        self._start_over()
        call_in_child(self, Prices._after_fork)

    def _start_over(self) -> None:
        self._loaded = threading.Event()
        self._starting = threading.Lock()
        self._started = False

    def _after_fork(self) -> None:
        # The thread that loads is not in the child.
        if not self._loaded.is_set():
            self._start_over()

    def preload(self) -> None:
        """Start loading the library in the background, once."""
        if self._started:
            return
        with self._starting:
            if self._started:
                return
            self._started = True
        threading.Thread(target=self._load, name="tracetoll-prices", daemon=True).start()

    def _load(self) -> None:
        try:
            with contained("loading the price library"):
                from genai_prices import data_snapshot, units  # noqa: PLC0415  # a quarter of a second

                registry = units._get_registry()  # noqa: SLF001  # its table of units has no public name
                self._units = {unit.price_key: unit for unit in registry.units.values()}
                self._snapshot = data_snapshot.get_snapshot()
        finally:
            self._loaded.set()

    def rates(self, provider: str, model: str, tier: str | None = None, *, batch: bool = False) -> Rates | None:
        """Return a model's prices as of now, None if the library does not know the model.

        Waits for the library the first time.
        """
        return self.known(provider, model, tier, batch=batch).rates

    def known(self, provider: str, model: str, tier: str | None = None, *, batch: bool = False) -> Known:
        """Return a model's prices, and for how long they may be kept; see `rates`."""
        key = (provider, model, tier, batch)
        known = self._cache.get(key)
        now = time.monotonic()
        if known is not None and now < known.until:
            return known
        if not self._loaded.is_set():
            self.preload()
            self._loaded.wait(_LOADING_S)
        rates = self._resolve(provider, model, tier, batch=batch)
        if len(self._cache) >= _MODELS_KEPT:
            self._cache.clear()
        known = self._cache[key] = Known(rates, now + _FRESH_S)
        return known

    def _resolve(self, provider: str, model: str, tier: str | None, *, batch: bool) -> Rates | None:
        library_provider = _LIBRARY_PROVIDERS.get(provider)
        if self._snapshot is None or (library_provider is None and provider != ANY_PROVIDER):
            return None
        try:
            _, info = self._snapshot.find_provider_model(model, None, library_provider, None)
        except LookupError:
            return None
        conditions = {key: value for key, value in (("service_tier", tier),) if value}
        if batch:
            conditions["processing"] = "batch"
        prices = info.get_prices(datetime.now(UTC), conditions or None)
        return _compiled(vars(prices), self._units, info.context_window)

    def price(self, provider: str, model: str, counts: Mapping[str, int]) -> int | None:
        """Return what some counts cost in 1e-15 USD; None where no price is known."""
        known = self._cache.get((provider, model, None, False))
        if known is None or time.monotonic() >= known.until:
            known = self.known(provider, model)
        rates = known.rates
        return rates.price(counts) if rates is not None and rates.units else None

    def cost(self, usage: u.Usage, asked: Asked, *, details: bool) -> Cost:
        """Return what a call cost. The provider's own statement wins over the price list.

        `details`: also say what the cost is made of.
        """
        rates = self.rates(asked.provider, asked.model, asked.tier, batch=asked.batch) if asked.model else None
        window = rates.context_window if rates is not None else None
        if usage.cost_nano_usd is not None:
            return Cost(usage.cost_nano_usd, "provider", "priced", {}, None, window)
        if rates is None or not rates.units:
            return Cost(None, "local", "unpriced", {}, None, window)
        parts: dict[Part, int] | None = {} if details else None
        amount = rates.price(usage.counts, parts)
        status: Literal["priced", "partial"] = "priced"
        for side in usage.sides:
            side_rates = rates if side.model in {None, asked.model} else self.rates(asked.provider, str(side.model))
            if side_rates is None:
                status = "partial"
                continue
            amount += side_rates.price(side.counts, parts)
        told = {part: nano(femto) for part, femto in parts.items()} if parts is not None else {}
        return Cost(nano(amount), "local", status, told, _price_version(), window)


def nano(femto: int) -> int:
    """Return an amount of 1e-15 USD in nano-dollars."""
    return (femto + u.FEMTO_PER_NANO // 2) // u.FEMTO_PER_NANO


@cache
def _price_version() -> str:
    from importlib.metadata import version  # noqa: PLC0415  # it takes long to import

    return f"genai-prices {version('genai-prices')}"


def _rate(price: Decimal, per: int) -> int:
    return int((price * u.FEMTO / per).to_integral_value())


def _compiled(prices: Mapping[str, Any], units: Mapping[str, Any], window: int | None) -> Rates:
    """Turn a price list into arithmetic: every unit's own tokens are its count without its priced subsets."""
    per_request = 0
    chosen: list[tuple[Any, Any]] = []
    for price_key, price in prices.items():
        unit = units.get(price_key)
        if unit is None or price is None:
            continue
        if unit.usage_key == "requests":
            per_request = _rate(price, unit.per)
        elif unit.usage_key in _LIBRARY_COUNTS:
            chosen.append((unit, price))
    chosen.sort(key=lambda pair: (-len(pair[0].dimensions), pair[0].usage_key))
    compiled: list[Unit] = []
    for unit, price in chosen:
        subsets = tuple(
            position
            for position, (other, _) in enumerate(chosen[: len(compiled)])
            if unit.dimensions.items() <= other.dimensions.items()
        )
        dimensions = unit.dimensions
        part = _PARTS.get(dimensions.get("token_type", "")) or _PARTS.get(dimensions.get("direction", "")) or "other"
        # A tiered price has a base and tiers; a plain one is a Decimal. Milliseconds stand for seconds.
        per = unit.per * 1000 if unit.usage_key.endswith("seconds") else unit.per
        base = price if isinstance(price, Decimal) else price.base
        tiers = () if isinstance(price, Decimal) else tuple(Tier(t.start, _rate(t.price, per)) for t in price.tiers)
        compiled.append(Unit(_LIBRARY_COUNTS[unit.usage_key], part, _rate(base, per), tiers, subsets))
    return Rates(tuple(compiled), per_request, window, _text_rates(compiled, per_request))


_TEXT_INPUT: Final = frozenset(
    {u.INPUT, u.TEXT_INPUT, u.CACHE_READ, u.CACHE_WRITE, u.CACHE_WRITE_5M, u.CACHE_WRITE_1H, u.TEXT_CACHE_READ}
)
_TEXT_OUTPUT: Final = frozenset({u.OUTPUT, u.TEXT_OUTPUT, u.REASONING})


def _text_rates(units: list[Unit], per_request: int) -> TextRates:
    def ceiling(femto: int) -> int:
        return -(-femto // u.FEMTO_PER_NANO)

    def highest(counts: frozenset[str]) -> int:
        own = (unit for unit in units if unit.count in counts)
        return ceiling(max((max(unit.rate, *(tier.rate for tier in unit.tiers), 0) for unit in own), default=0))

    plain = {unit.count: ceiling(unit.rate) for unit in units}
    tiers = [tier.above for unit in units if unit.count in _TEXT_INPUT | _TEXT_OUTPUT for tier in unit.tiers]
    return TextRates(
        plain.get(u.INPUT, plain.get(u.TEXT_INPUT, 0)),
        plain.get(u.OUTPUT, plain.get(u.TEXT_OUTPUT, 0)),
        highest(_TEXT_INPUT),
        highest(_TEXT_OUTPUT),
        min(tiers, default=None),
        ceiling(per_request),
    )
