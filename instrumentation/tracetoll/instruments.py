"""The metrics of a call: upstream's two families, cost, missing usage, rate limits; those of agents and tools.

A call only notes what it comes to. Histograms are recorded from these notes a few dozen at a time, and in any
case before the application's reader collects (our observable instruments are asked then): 8 µs each in a run,
but 20 µs where the processor has been busy with the call itself. Counters and gauges are kept here and read
out when asked; on the wire they are the same monotonic sums.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.context import Context
from opentelemetry.metrics import Observation
from opentelemetry.trace import set_span_in_context

from tracetoll import usage as u
from tracetoll.forks import call_in_child
from tracetoll.safety import contained
from tracetoll.usage import NANO
from tracetoll_semconv import attributes as a
from tracetoll_semconv import metrics as m

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from opentelemetry.metrics import CallbackOptions, Histogram, Meter
    from opentelemetry.util.types import AttributeValue

    from tracetoll.call import Call, Ending
    from tracetoll.headers import Limits
    from tracetoll.runs import Run
    from tracetoll.usage import Usage
    from tracetoll_semconv.metrics import Metric

_RECORDING: Final = contained("recording metrics")
_NOTED_AT_MOST: Final = 64
_SERIES_KEPT: Final = 2000  # as many as OpenTelemetry 1.45 keeps per instrument
_NOWHERE: Final = Context()
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
_SPLIT: Final = {part: (whole, modality) for whole, (_, parts) in _COUNTERS.items() for part, modality in parts}
_INPUT_OVER: Final = (m.ESTIMATE_ERROR.name, "input over")
_INPUT_UNDER: Final = (m.ESTIMATE_ERROR.name, "input under")
_OUTPUT_OVER: Final = (m.ESTIMATE_ERROR.name, "output over")
_OUTPUT_UNDER: Final = (m.ESTIMATE_ERROR.name, "output under")


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

    def __init__(self, meter: Meter, families: frozenset[str], told: frozenset[str] = frozenset()) -> None:
        """Take the families of metrics to record, and which attribution may stand on those of agents and tools."""
        self._standard = "standard" in families
        self._counters = "counters" in families
        self._cost = "cost" in families
        self._distributions = "distributions" in families
        self._told = told
        self._lock = threading.Lock()
        self._noted: deque[tuple[Series, Call, Ending]] = deque()
        self._runs: deque[Run] = deque()
        self._series: dict[tuple[Any, ...], Series] = {}
        self._limits: dict[tuple[str, str, str, str], tuple[Mapping[str, AttributeValue], float]] = {}
        if self._standard:
            self.duration = _histogram(meter, m.GEN_AI_CLIENT_OPERATION_DURATION)
            self.tokens = _histogram(meter, m.GEN_AI_CLIENT_TOKEN_USAGE)
            self.first_chunk = _histogram(meter, m.GEN_AI_CLIENT_OPERATION_TIME_TO_FIRST_CHUNK)
        if self._distributions:
            self.call_cost = _histogram(meter, m.OPERATION_COST)
            self.utilization = _histogram(meter, m.CONTEXT_UTILIZATION)
        if "agents" in families:
            self.agent_duration = _histogram(meter, m.GEN_AI_INVOKE_AGENT_DURATION)
            self.agent_calls = _histogram(meter, m.GEN_AI_INVOKE_AGENT_INFERENCE_CALLS)
            self.agent_tools = _histogram(meter, m.GEN_AI_INVOKE_AGENT_TOOL_CALLS)
            self.tool_duration = _histogram(meter, m.GEN_AI_EXECUTE_TOOL_DURATION)
        if self._counters:
            for metric, _ in _COUNTERS.values():
                self._observed(meter, metric, a.GEN_AI_TOKEN_MODALITY)
        if self._cost:
            self._observed(meter, m.COST, a.COST_SOURCE, scale=NANO)
        self._observed(meter, m.USAGE_MISSING, a.USAGE_MISSING_REASON)
        meter.create_observable_counter(
            m.ESTIMATE_ERROR.name, [self._read_estimates], m.ESTIMATE_ERROR.unit, m.ESTIMATE_ERROR.description
        )
        for metric, what in ((m.RATE_LIMIT_REMAINING, "remaining"), (m.RATE_LIMIT_LIMIT, "limit")):
            meter.create_observable_gauge(metric.name, [self._read_limits(what)], metric.unit, metric.description)

        call_in_child(self, Instruments.forget)

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
        """Note one finished call, to be recorded soon."""
        self._noted.append((series, call, ending))
        if len(self._noted) >= _NOTED_AT_MOST:
            self.flush()

    def ran(self, run: Run) -> None:
        """Note a run of an agent or a tool. A garbage collection can bring it here: nothing is recorded yet."""
        self._runs.append(run)

    def make_room(self) -> None:
        """Record runs, if many are noted."""
        if len(self._runs) >= _NOTED_AT_MOST:
            self._flush_runs()

    def flush(self) -> None:
        """Record every call and run noted so far."""
        self._flush_runs()
        with _RECORDING:
            while True:
                try:
                    series, call, ending = self._noted.popleft()
                except IndexError:
                    return
                if self._standard:
                    self._record_standard(series, call, ending)
                self._add(series, call, ending)
                if self._distributions:
                    self._record_distributions(series, call.context, ending)

    def _flush_runs(self) -> None:
        with _RECORDING:
            while True:
                try:
                    run = self._runs.popleft()
                except IndexError:
                    return
                self._record_run(run)

    def _record_run(self, run: Run) -> None:
        told = {**run.attribution, **run.attributes}
        names = (a.GEN_AI_AGENT_NAME, *self._told)
        if run.kind == "tool":
            names = (*names, a.GEN_AI_TOOL_NAME, a.GEN_AI_TOOL_TYPE)
        attributes = {name: told[name] for name in names if name in told}
        ended = {**attributes, a.ERROR_TYPE: run.error} if run.error is not None else attributes
        within = set_span_in_context(run.span, _NOWHERE)  # for the exemplar
        if run.kind == "tool":
            self.tool_duration.record(run.seconds, ended, within)
            return
        self.agent_duration.record(run.seconds, ended, within)
        self.agent_calls.record(run.inference_calls, attributes)
        self.agent_tools.record(run.tool_calls, attributes)

    def _record_standard(self, series: Series, call: Call, ending: Ending) -> None:
        attributes = series.attributes
        if ending.error is not None:
            attributes = {**attributes, a.ERROR_TYPE: ending.error}
        # With the context, the call's span becomes the exemplar; one histogram with exemplars is enough.
        self.duration.record(ending.seconds, attributes, call.context)
        usage = ending.usage
        if usage is not None:
            if usage.input_tokens is not None:
                self.tokens.record(usage.input_tokens, series.input)
            if usage.output_tokens is not None:
                self.tokens.record(usage.output_tokens, series.output)
        if call.first_chunk_s is not None:
            self.first_chunk.record(call.first_chunk_s, series.attributes)

    def _add(self, series: Series, call: Call, ending: Ending) -> None:
        cells, usage, cost = series.cells, ending.usage, ending.cost
        with self._lock:
            if usage is not None and self._counters and call.surface.inference:
                for name, amount in usage:
                    if name in _UNSPLIT:
                        cell = _UNSPLIT[name]
                        cells[cell] = cells.get(cell, 0) + amount
                    elif name in _SPLIT and amount:
                        _split(usage, name, amount, cells)
            if cost is not None and cost.amount is not None and self._cost:
                cell = (m.COST.name, cost.source)
                cells[cell] = cells.get(cell, 0) + cost.amount
            if ending.input_error is not None:
                cell = _INPUT_OVER if ending.input_error > 0 else _INPUT_UNDER
                cells[cell] = cells.get(cell, 0) + abs(ending.input_error)
            if ending.output_error is not None:
                cell = _OUTPUT_OVER if ending.output_error > 0 else _OUTPUT_UNDER
                cells[cell] = cells.get(cell, 0) + abs(ending.output_error)
            if ending.missing is not None:
                cell = (m.USAGE_MISSING.name, ending.missing)
                cells[cell] = cells.get(cell, 0) + 1

    def _record_distributions(self, series: Series, context: Context, ending: Ending) -> None:
        usage, cost = ending.usage, ending.cost
        if cost is None:
            return
        if cost.amount is not None:
            self.call_cost.record(cost.amount / NANO, series.attributes, context)
        if cost.context_window and usage is not None and usage.context_tokens is not None:
            self.utilization.record(usage.context_tokens / cost.context_window, series.attributes, context)

    def forget(self) -> None:
        """Drop everything noted and counted: in a forked child it is the parent's to report."""
        self._lock = threading.Lock()
        self._noted.clear()
        self._runs.clear()
        self._series.clear()
        self._limits.clear()

    def rate_limits(self, provider: str, model: str, limits: Limits) -> None:
        """Keep the latest rate limits of a provider's model for the gauges."""
        for (kind, what), value in limits.items():
            if what not in ("limit", "remaining"):
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
            self.flush()
            with self._lock:
                found = [
                    (series.attributes, own, amount)
                    for series in self._series.values()
                    for (name, own), amount in series.cells.items()
                    if name == metric.name and (amount or own == "unknown")
                ]
            for attributes, own, amount in found:
                yield Observation(amount / scale if scale != 1 else amount, {**attributes, label: own})

        meter.create_observable_counter(metric.name, [read], metric.unit, metric.description)

    def _read_estimates(self, _: CallbackOptions) -> Iterable[Observation]:
        self.flush()
        with self._lock:
            found = [
                (series.attributes, own.split(), tokens)
                for series in self._series.values()
                for (name, own), tokens in series.cells.items()
                if name == m.ESTIMATE_ERROR.name
            ]
        for attributes, (kind, direction), tokens in found:
            yield Observation(tokens, {**attributes, a.GEN_AI_TOKEN_TYPE: kind, a.ESTIMATE_DIRECTION: direction})

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


def _split(usage: Usage, part: str, amount: int, cells: dict[tuple[str, str], int]) -> None:
    """Move a modality's tokens out of the "unknown" ones; what the provider did not split stays there.

    Where the parts exceed the whole, the whole is what is billed, and nothing is moved.
    """
    whole, modality = _SPLIT[part]
    metric = _COUNTERS[whole][0].name
    parts = sum(usage.counts.get(other, 0) for other, _ in _COUNTERS[whole][1])
    if whole in usage.counts and parts <= usage.counts[whole]:
        for label, moved in (("unknown", -amount), (modality, amount)):
            cells[metric, label] = cells.get((metric, label), 0) + moved
