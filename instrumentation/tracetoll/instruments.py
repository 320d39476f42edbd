"""The metrics of a call: upstream's two families, cost, missing usage, rate limits.

Histograms are recorded call by call, and cost 8 µs each with OpenTelemetry 1.45. Counters and gauges are
kept here and read out when the application's reader collects, which costs a dictionary update: on the wire
they are the same monotonic sums.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.metrics import Observation

from tracetoll import usage as u
from tracetoll.usage import NANO
from tracetoll_semconv import attributes as a
from tracetoll_semconv import metrics as m

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from opentelemetry.context import Context
    from opentelemetry.metrics import CallbackOptions, Histogram, Meter
    from opentelemetry.util.types import AttributeValue

    from tracetoll.call import Call, Ending
    from tracetoll.headers import Limits
    from tracetoll_semconv.metrics import Metric

_SERIES_KEPT: Final = 2000  # as many as OpenTelemetry 1.45 keeps per instrument
_OVERFLOW: Final[Mapping[str, AttributeValue]] = {"otel.metric.overflow": True}

# count → the counter it adds to, and its parts by modality
_COUNTERS: Final[Mapping[str, tuple[Metric, tuple[tuple[str, str], ...]]]] = {
    u.INPUT: (
        m.GEN_AI_CLIENT_INFERENCE_USAGE_INPUT_TOKENS,
        ((u.TEXT_INPUT, "text"), (u.IMAGE_INPUT, "image"), (u.AUDIO_INPUT, "audio")),
    ),
    u.OUTPUT: (
        m.GEN_AI_CLIENT_INFERENCE_USAGE_OUTPUT_TOKENS,
        ((u.TEXT_OUTPUT, "text"), (u.IMAGE_OUTPUT, "image"), (u.AUDIO_OUTPUT, "audio")),
    ),
    u.CACHE_READ: (
        m.GEN_AI_CLIENT_INFERENCE_USAGE_CACHE_READ_INPUT_TOKENS,
        ((u.TEXT_CACHE_READ, "text"), (u.IMAGE_CACHE_READ, "image"), (u.AUDIO_CACHE_READ, "audio")),
    ),
    u.CACHE_WRITE: (m.GEN_AI_CLIENT_INFERENCE_USAGE_CACHE_WRITE_INPUT_TOKENS, ()),
    u.REASONING: (m.GEN_AI_CLIENT_INFERENCE_USAGE_REASONING_OUTPUT_TOKENS, ()),
}
_UNSPLIT: Final = {count: (metric.name, "unknown") for count, (metric, _) in _COUNTERS.items()}
_SPLIT: Final = frozenset(part for _, parts in _COUNTERS.values() for part, _ in parts)


class Series:
    """What has been counted under one set of metric attributes."""

    __slots__ = ("attributes", "cells", "input", "output")

    def __init__(self, attributes: Mapping[str, AttributeValue]) -> None:
        self.attributes = attributes
        self.input = {**attributes, a.GEN_AI_TOKEN_TYPE: "input"}
        self.output = {**attributes, a.GEN_AI_TOKEN_TYPE: "output"}
        self.cells: dict[tuple[str, str], int] = {}
        """(metric name, value of its own label: modality, cost source, reason) → total"""


class Instruments:
    """Every instrument of the package, made once per meter."""

    def __init__(self, meter: Meter, families: frozenset[str]) -> None:
        self._standard = "standard" in families
        self._counters = "counters" in families
        self._cost = "cost" in families
        self._distributions = "distributions" in families
        self._lock = threading.Lock()
        self._series: dict[tuple[Any, ...], Series] = {}
        self._limits: dict[tuple[str, str, str, str], tuple[Mapping[str, AttributeValue], float]] = {}
        if self._standard:
            self.duration = _histogram(meter, m.GEN_AI_CLIENT_OPERATION_DURATION)
            self.tokens = _histogram(meter, m.GEN_AI_CLIENT_TOKEN_USAGE)
            self.first_chunk = _histogram(meter, m.GEN_AI_CLIENT_OPERATION_TIME_TO_FIRST_CHUNK)
        if self._distributions:
            self.call_cost = _histogram(meter, m.OPERATION_COST)
            self.utilization = _histogram(meter, m.CONTEXT_UTILIZATION)
        if self._counters:
            for metric, _ in _COUNTERS.values():
                self._observed(meter, metric, a.GEN_AI_TOKEN_MODALITY)
        if self._cost:
            self._observed(meter, m.COST, a.COST_SOURCE, scale=NANO)
        self._observed(meter, m.USAGE_MISSING, a.USAGE_MISSING_REASON)
        for metric, what in ((m.RATE_LIMIT_REMAINING, "remaining"), (m.RATE_LIMIT_LIMIT, "limit")):
            meter.create_observable_gauge(metric.name, [self._read_limits(what)], metric.unit, metric.description)

    def series(self, key: tuple[Any, ...], attributes: Callable[[], Mapping[str, AttributeValue]]) -> Series:
        """Return the series of a key; `attributes` makes its metric attributes the first time.

        Past the number of series that a reader would keep, all new ones fold into one overflow series.
        """
        known = self._series.get(key)
        if known is not None:
            return known
        with self._lock:
            if len(self._series) >= _SERIES_KEPT:
                return self._series.setdefault(("overflow",), Series(_OVERFLOW))
            return self._series.setdefault(key, Series(attributes()))

    def record(self, series: Series, call: Call, ending: Ending) -> None:
        """Record one finished call."""
        if self._standard:
            self._record_standard(series, call, ending)
        added: list[tuple[tuple[str, str], int]] = []
        if self._counters and call.surface.inference and ending.usage is not None:
            _count(ending.usage.counts, added)
        amount = ending.cost.amount if ending.cost is not None else None
        if amount is not None and ending.cost is not None:
            if self._cost:
                added.append(((m.COST.name, ending.cost.source), amount))
            if self._distributions:
                self.call_cost.record(amount / NANO, series.attributes, call.context)
        if ending.missing is not None:
            added.append(((m.USAGE_MISSING.name, ending.missing), 1))
        if added:
            cells = series.cells
            with self._lock:
                for cell, more in added:
                    cells[cell] = cells.get(cell, 0) + more

    def _record_standard(self, series: Series, call: Call, ending: Ending) -> None:
        context, error = call.context, ending.error
        attributes = series.attributes if error is None else {**series.attributes, a.ERROR_TYPE: error}
        self.duration.record(ending.seconds, attributes, context)
        counts = ending.usage.counts if ending.usage is not None else {}
        if u.INPUT in counts:
            self.tokens.record(counts[u.INPUT], series.input, context)
        if u.OUTPUT in counts:
            self.tokens.record(counts[u.OUTPUT], series.output, context)
        if call.first_chunk_s is not None:
            self.first_chunk.record(call.first_chunk_s, series.attributes, context)

    def record_utilization(self, series: Series, share: float, context: Context | None) -> None:
        """Record how much of the model's context window a call used."""
        if self._distributions:
            self.utilization.record(share, series.attributes, context)

    def rate_limits(self, provider: str, model: str, limits: Limits) -> None:
        """Keep the latest rate limits of a provider's model for the gauges."""
        for (kind, what), value in limits.items():
            if what == "reset":
                continue
            key = (provider, model, kind, what)
            if key in self._limits or len(self._limits) < _SERIES_KEPT:
                known = self._limits.get(key)
                attributes = known[0] if known is not None else {
                    a.GEN_AI_PROVIDER_NAME: provider, a.GEN_AI_REQUEST_MODEL: model, a.RATE_LIMIT_KIND: kind,
                }  # fmt: skip
                self._limits[key] = (attributes, value)

    def _observed(self, meter: Meter, metric: Metric, label: str, scale: int = 1) -> None:
        def read(_: CallbackOptions) -> Iterable[Observation]:
            with self._lock:
                found = [
                    (series.attributes, own, amount)
                    for series in self._series.values()
                    for (name, own), amount in series.cells.items()
                    if name == metric.name
                ]
            for attributes, own, amount in found:
                yield Observation(amount / scale if scale != 1 else amount, {**attributes, label: own})

        meter.create_observable_counter(metric.name, [read], metric.unit, metric.description)

    def _read_limits(self, what: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def read(_: CallbackOptions) -> Iterable[Observation]:
            for key, (attributes, value) in list(self._limits.items()):
                if key[-1] == what:
                    yield Observation(value, attributes)

        return read


def _histogram(meter: Meter, metric: Metric) -> Histogram:
    return meter.create_histogram(
        metric.name, metric.unit, metric.description, explicit_bucket_boundaries_advisory=metric.boundaries
    )


def _count(counts: Mapping[str, int], added: list[tuple[tuple[str, str], int]]) -> None:
    """Split each count by modality; what the provider did not split is "unknown", never guessed to be text."""
    if _SPLIT.isdisjoint(counts):
        added.extend((_UNSPLIT[name], amount) for name, amount in counts.items() if name in _UNSPLIT)
        return
    for name, whole in counts.items():
        if name not in _COUNTERS:
            continue
        metric, modalities = _COUNTERS[name]
        split = [(modality, counts[part]) for part, modality in modalities if counts.get(part)]
        rest = whole - sum(amount for _, amount in split)
        if rest < 0:  # the parts exceed the whole: the whole is what is billed
            split, rest = [], whole
        added.extend(((metric.name, modality), amount) for modality, amount in split)
        if rest or not split:
            added.append((_UNSPLIT[name], rest))
