"""Signals: what is worth an event.

A limit that was crossed, or that refused, held up, lowered, cut or rerouted a call; a nearly full context
window; a task that uses many times what is usual. Each is a log event and a counter, so that it survives the
sampling of traces. On metrics stand the limit and the kind of its subject, never the subject itself, unless its
attribute is listed in the settings.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from opentelemetry._logs import SeverityNumber
from opentelemetry.metrics import Observation

from tracetoll.log_events import emit
from tracetoll.safety import contained
from tracetoll_semconv import attributes as a
from tracetoll_semconv import events
from tracetoll_semconv import metrics as m

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from opentelemetry._logs import Logger
    from opentelemetry.context import Context
    from opentelemetry.metrics import CallbackOptions, Meter

    from tracetoll.call import Call
    from tracetoll.ledgers.protocol import Balance
    from tracetoll.limits.rules import Ruled
    from tracetoll_semconv.metrics import Metric

    Attributes = Mapping[str, Any]

_NO_HARM: Final = frozenset({events.BUDGET_WAITED, events.BUDGET_CLAMPED, events.BUDGET_REROUTED})
_TELLING: Final = contained("telling a signal")
_TASKS_KEPT: Final = 10_000
_TASKS_BEFORE: Final = 10
"""How many tasks of a name are needed before one can be unusual."""
_TASKS_REMEMBERED: Final = 200
_SUBJECTS_TOLD: Final = 500


class Standing:
    """How a limit's account stands, as signals and spans tell it."""

    __slots__ = ("account", "action", "refused", "reserved", "ruled", "spent", "state")

    def __init__(self, ruled: Ruled, account: str, spent: int, reserved: int = 0, *, action: str = "none") -> None:
        self.ruled = ruled
        self.account = account
        self.spent = spent
        self.reserved = reserved
        self.action = action
        self.refused = False
        self.state = _state(ruled, spent)

    def attributes(self) -> dict[str, Any]:
        """Return what a span or an event says of it."""
        return {
            **self.on_span(),
            a.BUDGET_STATE: self.state,
            a.BUDGET_ACTION: self.action,
            a.BUDGET_REFUSED: self.refused,
        }

    def on_span(self) -> dict[str, Any]:
        """Return what every span says of it; what is as usual is left out, because each attribute costs 1 µs."""
        found: dict[str, Any] = {}
        add_standing(self.ruled, self.spent, found)
        if self.state != "ok":
            found[a.BUDGET_STATE] = self.state
        if self.action != "none":
            found[a.BUDGET_ACTION] = self.action
            found[a.BUDGET_REFUSED] = self.refused
        return found


def add_standing(ruled: Ruled, spent: int, found: dict[str, Any]) -> None:
    """Add what every span says of how a limit's account stands."""
    found.update(ruled.stands)
    found[a.BUDGET_CONSUMED] = spent / ruled.scale
    found[a.BUDGET_UTILIZATION] = spent / ruled.whole if ruled.whole else float(bool(spent))
    if spent >= ruled.first_alarm:
        found[a.BUDGET_STATE] = _state(ruled, spent)


def _utilization(ruled: Ruled, spent: int) -> float:
    """Return the share of the amount that is spent; 0 where the amount is 0 and nothing is."""
    return spent / ruled.whole if ruled.whole else float(bool(spent))


def _state(ruled: Ruled, spent: int) -> str:
    if spent >= ruled.whole:
        return "exceeded"
    return "warning" if spent >= ruled.first_alarm else "ok"


class Signals:
    """Tells what is worth telling. One per instrument(); thread-safe."""

    def __init__(self, logger: Logger, meter: Meter, told_on_metrics: frozenset[str]) -> None:
        self._logger = logger
        self._told_on_metrics = told_on_metrics
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str, str, str, str], int] = {}
        self._tasks: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._unusual: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._usual: dict[str, tuple[float, float]] = {}
        self._accounts: Callable[[], Iterable[tuple[Ruled, Balance]]] = tuple
        meter.create_observable_counter(
            m.BUDGET_EVENTS.name, [self._read_events], m.BUDGET_EVENTS.unit, m.BUDGET_EVENTS.description
        )
        self._wait = meter.create_histogram(
            m.BUDGET_WAIT_DURATION.name,
            m.BUDGET_WAIT_DURATION.unit,
            m.BUDGET_WAIT_DURATION.description,
            explicit_bucket_boundaries_advisory=m.BUDGET_WAIT_DURATION.boundaries,
        )
        gauges: tuple[tuple[Metric, Callable[[Ruled, Balance], float]], ...] = (
            (m.BUDGET_LIMIT, lambda ruled, _: float(ruled.limit.amount)),
            (m.BUDGET_CONSUMED, lambda ruled, balance: ruled.shown(balance.spent)),
            (m.BUDGET_RESERVED, lambda ruled, balance: ruled.shown(balance.reserved)),
            (m.BUDGET_UTILIZATION, lambda ruled, balance: _utilization(ruled, balance.spent)),
        )
        for metric, value in gauges:
            meter.create_observable_gauge(metric.name, [self._read(value)], metric.unit, metric.description)

    def watch(self, accounts: Callable[[], Iterable[tuple[Ruled, Balance]]]) -> None:
        """Read the gauges from what `accounts` returns: the limits and their accounts."""
        self._accounts = accounts

    # --- limits ------------------------------------------------------------------------------

    def tell(self, event: str, call: Call, standing: Standing, more: Attributes) -> None:
        """Emit an event about a call and a limit, and count it."""
        with _TELLING:
            severity = SeverityNumber.INFO if event in _NO_HARM else SeverityNumber.WARN
            if event == events.BUDGET_WAITED:
                self._wait.record(more[a.BUDGET_WAIT_DURATION], dict(standing.ruled.attributes))
            shadow = {a.BUDGET_SHADOW: True} if standing.ruled.limit.shadow else {}
            told = {**standing.attributes(), a.BUDGET_ACCOUNT: standing.account, **shadow, **more}
            self._count(standing)
            self._emit(event, call, told, severity)

    # --- beside limits -----------------------------------------------------------------------

    def context_nearly_full(self, call: Call, tokens: int, window: int) -> None:
        """Tell that a call filled much of its model's context window."""
        with _TELLING:
            told = {a.CONTEXT_UTILIZATION: tokens / window, a.CONTEXT_WINDOW_SIZE: window}
            self._emit(events.CONTEXT_NEARLY_FULL, call, told, SeverityNumber.WARN)

    def task(self, call: Call, tokens: int, factor: float) -> None:
        """Add to what a task has used; tell, once, when that is `factor` times what tasks of this name use.

        A task is a trace, or a block of limits(...) in one; its name is the agent's or the feature's. The average
        is of the tasks of late, those that still run included.
        """
        with _TELLING, self._lock:
            told = call.attribution
            name = told.get(a.GEN_AI_AGENT_NAME) or told.get(a.FEATURE) or "unnamed"
            trace = call.span.get_span_context().trace_id
            key = (name, call.scopes[0].id if call.scopes else format(trace, "032x"))
            before = self._tasks.get(key)
            total = self._tasks[key] = (before or 0) + tokens
            self._tasks.move_to_end(key)
            number, together = self._usual.get(name, (0.0, 0.0))
            if before is None:
                if number >= _TASKS_REMEMBERED:
                    number, together = number / 2, together / 2
                number += 1
            together += tokens
            self._usual[name] = number, together
            if len(self._tasks) > _TASKS_KEPT:
                self._tasks.popitem(last=False)
            others = number - 1
            usual = (together - total) / others if others >= _TASKS_BEFORE else 0.0
            if not usual or total <= factor * usual or key in self._unusual:
                return
            self._unusual[key] = None
            if len(self._unusual) > _TASKS_KEPT:
                self._unusual.popitem(last=False)
        with _TELLING:
            more = {a.TASK_NAME: name, a.TASK_TOKENS: total, a.TASK_USUAL_TOKENS: usual}
            self._emit(events.TASK_UNUSUAL, call, more, SeverityNumber.WARN)

    # --- how it is told ----------------------------------------------------------------------

    def _emit(self, event: str, call: Call, more: Attributes, severity: SeverityNumber) -> None:
        told: dict[str, Any] = {
            a.GEN_AI_OPERATION_NAME: call.surface.operation,
            a.GEN_AI_PROVIDER_NAME: call.target.provider,
            **({a.GEN_AI_REQUEST_MODEL: call.model} if call.model is not None else {}),
            **(call.attribution or {}),
            **more,
        }
        context: Context = call.context
        emit(self._logger, event, told, context, severity)

    def _count(self, standing: Standing) -> None:
        told = standing.ruled.attributes
        key = (
            told[a.BUDGET_NAME],
            told[a.BUDGET_SCOPE],
            told[a.BUDGET_UNIT],
            standing.state,
            standing.action,
        )
        with self._lock:
            self._counts[key] = self._counts.get(key, 0) + 1

    def _read_events(self, _: CallbackOptions) -> Iterable[Observation]:
        names = (a.BUDGET_NAME, a.BUDGET_SCOPE, a.BUDGET_UNIT, a.BUDGET_STATE, a.BUDGET_ACTION)
        with self._lock:
            counts = list(self._counts.items())
        for key, number in counts:
            yield Observation(number, dict(zip(names, key, strict=True)))

    def _read(self, value: Callable[[Ruled, Balance], float]) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def read(_: CallbackOptions) -> Iterable[Observation]:
            with _TELLING:
                return [
                    Observation(value(ruled, balance), {**ruled.attributes, **told})
                    for ruled, told, balance in self._fullest()
                ]
            return []

        return read

    def _fullest(self) -> Iterable[tuple[Ruled, dict[str, str], Balance]]:
        """Yield each limit with the account that is fullest; with every account, where its subject may be told."""
        fullest: dict[str, tuple[Ruled, dict[str, str], Balance]] = {}
        for ruled, balance in self._accounts():
            told: dict[str, str] = {}
            if len(ruled.keys) == 1 and ruled.keys[0] in self._told_on_metrics:
                told = {ruled.keys[0]: balance.account.partition(":")[2]}
            key = f"{ruled.key}{told}"
            known = fullest.get(key)
            if known is None and told and len(fullest) >= _SUBJECTS_TOLD:
                continue
            if known is None or balance.spent > known[2].spent:
                fullest[key] = (ruled, told, balance)
        return fullest.values()
