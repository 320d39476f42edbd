"""Instrument and uninstrument: one object that turns everything on, and everything off again."""

from __future__ import annotations

import atexit
import importlib
import logging
import os
import threading
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from opentelemetry import metrics, trace
from opentelemetry._logs import get_logger

from tracetoll import agents
from tracetoll.attribution import send_as_baggage
from tracetoll.config import read_settings
from tracetoll.content import Content
from tracetoll.engine import Engine
from tracetoll.imports import when_imported
from tracetoll.instruments import Instruments
from tracetoll.ledgers import open_ledger
from tracetoll.limits.sources import Sources
from tracetoll.limits.travelling import ENTRY
from tracetoll.patching import Patches
from tracetoll.providers.found import found_providers
from tracetoll.safety import contained
from tracetoll.signals import Signals
from tracetoll.usage_log import UsageLog
from tracetoll.version import __version__

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from types import ModuleType

    from opentelemetry._logs import LoggerProvider
    from opentelemetry.metrics import Meter, MeterProvider
    from opentelemetry.trace import TracerProvider

    from tracetoll.config import Settings
    from tracetoll.console.live import TreePrinter
    from tracetoll.ledgers.protocol import Ledger
    from tracetoll.limits.sources import Given
    from tracetoll.providers.found import Announced
    from tracetoll.rollup.processor import RollupProcessor

log: Final = logging.getLogger("tracetoll")

SCOPE: Final = "tracetoll"
_INSTRUMENTING: Final = contained("instrumenting")
_UNINSTRUMENTING: Final = contained("uninstrumenting")
_ROLLING_UP: Final = contained("adding a roll-up to the tracer provider")


class Instrumentor:
    """Patch the provider SDKs that the application uses, so that every call is counted.

    There is one per process: `Instrumentor()` always returns it. It keeps the contract of OpenTelemetry's
    `BaseInstrumentor` without deriving from it, because importing that takes longer than all of this.
    """

    _instance: ClassVar[Instrumentor | None] = None
    _creating: ClassVar = threading.Lock()

    engine: Engine | None
    patches: Patches | None
    rollup: RollupProcessor | None
    printer: TreePrinter | None

    def __new__(cls) -> Self:
        """Return the one instrumentor of the process."""
        with cls._creating:
            self = cls.__dict__.get("_instance")
            if self is None:
                self = super().__new__(cls)
                self.engine = None
                self.patches = None
                self.rollup = None
                self.printer = None
                cls._instance = self
            return self

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """Whether instrument() is in force."""
        return self.patches is not None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return nothing: which SDKs are there, and which versions, is found out when they are imported."""
        return ()

    def instrument(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        logger_provider: LoggerProvider | None = None,
        skip_dep_check: bool = False,
        raise_exception_on_conflict: bool = False,
        limits: Given | Sequence[Given] | None = None,
        ledger: str | Ledger | None = None,
        **settings: object,
    ) -> None:
        """Count every call from now on, of SDKs imported before or after this, with old clients and new ones.

        The OpenTelemetry providers default to the global ones. `limits` are Limit objects, text, the path of a
        policy file, or several of these; they hold beside those of TRACETOLL_LIMITS and TRACETOLL_POLICY.
        `ledger` is "memory", or an object with the methods of `tracetoll.ledgers.protocol.Ledger`.
        `settings` are the fields of `tracetoll.config.Settings`, such as `providers=["openai"]` or
        `usage_log=True`; each has a TRACETOLL_* variable that it wins over.

        Raises ValueError for limits or a ledger, given here, that cannot mean anything, and does nothing then.
        Never raises otherwise: a wrong setting is named in a warning.
        `skip_dep_check` and `raise_exception_on_conflict` are there for OpenTelemetry's loader.
        """
        del skip_dep_check, raise_exception_on_conflict  # there is nothing to check, see above
        if self.patches is not None:
            log.warning("tracetoll is instrumented already; call uninstrument() first to change its settings")
            return
        found = read_settings(settings)
        sources = Sources(limits, found.policy, os.environ, found.policy_check_s)
        accounts = open_ledger(ledger or os.environ.get("TRACETOLL_LEDGER"))
        with _INSTRUMENTING:
            tracer = trace.get_tracer(SCOPE, __version__, tracer_provider)
            logger = get_logger(SCOPE, __version__, logger_provider)
            meter = metrics.get_meter(SCOPE, __version__, meter_provider)
            instruments = Instruments(meter, found.metrics, found.metric_attributes)
            self.engine = Engine(
                found,
                tracer=tracer,
                instruments=instruments,
                usage_log=UsageLog(logger, wanted=found.usage_log),
                content=Content(found, logger),
                signals=Signals(logger, meter, found.metric_attributes),
                ledger=accounts,
            )
            self.engine.hold_to(sources)
            if found.rollup:
                self._roll_up(self.engine, tracer_provider, meter if "traces" in found.metrics else None)
            send_as_baggage(found.baggage_out - {ENTRY}, self.engine.baggage_more)
            runs = instruments if "agents" in found.metrics else None
            agents.connect(agents.Connection(tracer, runs, self.engine.baggage_in))
            self.patches = Patches()
            self._patch(found, self.engine, self.patches)
            if found.console == "tree":
                from tracetoll.console.live import print_trees_of  # noqa: PLC0415  # for whoever wants it

                self.printer = print_trees_of(tracer_provider)
            # Before the exporters' own exit handlers, which were registered earlier.
            atexit.register(self.engine.settle)

    def uninstrument(self, **_: object) -> None:
        """Put back the very functions that instrument() replaced."""
        if self.patches is None:
            log.warning("tracetoll is not instrumented; there is nothing to undo")
            return
        self.patches.undo()
        if self.engine is not None:
            with _UNINSTRUMENTING:
                if self.rollup is not None:
                    from tracetoll.rollup.attach import detach  # noqa: PLC0415  # it is there

                    detach(self.rollup)
                agents.disconnect()
                send_as_baggage(())
                atexit.unregister(self.engine.settle)
                self.engine.settle()
        if self.printer is not None:
            self.printer.silence()
        self.patches = None
        self.engine = None
        self.rollup = None
        self.printer = None

    @staticmethod
    def _patch(found: Settings, engine: Engine, patches: Patches) -> None:
        """Patch each SDK that is wanted, as soon as it is imported."""
        known = found_providers()
        for name in _wanted(found, known):
            installed: list[str] = []  # a provider is announced by several modules, and installed once

            def install(_: ModuleType, name: str = name, installed: list[str] = installed) -> None:
                if not installed:
                    installed.append(name)
                    seams = importlib.import_module("tracetoll.seams")  # for whoever uses an SDK
                    for seam in known[name].seams():
                        seams.install(seam, engine, patches)

            for module in known[name].modules:
                patches.when_imported(module, install)

    def _roll_up(self, engine: Engine, given: TracerProvider | None, meter: Meter | None) -> None:
        """Add a roll-up to the tracer provider, now or as soon as there is one; `meter` is for metrics of traces."""

        def try_now() -> bool:
            with _ROLLING_UP:
                provider = given if given is not None else trace.get_tracer_provider()
                if not hasattr(provider, "add_span_processor"):
                    return False
                # Whoever has such a provider has imported OpenTelemetry's SDK, which takes as long as all of ours.
                from tracetoll.rollup.attach import attach  # noqa: PLC0415
                from tracetoll.rollup.foreign import Foreign  # noqa: PLC0415
                from tracetoll.rollup.metrics import TraceMetrics  # noqa: PLC0415

                self.rollup = attach(provider)
                if self.rollup is not None:
                    self.rollup.connect(Foreign(engine), engine.prices, TraceMetrics(meter) if meter else None)
                return self.rollup is not None
            return True  # it cannot be done, which was logged; calls are counted all the same

        if not try_now():
            # The application has not set its provider yet; spans that are open when it does are not rolled up.
            engine.before_call = try_now


def _wanted(settings: Settings, known: Mapping[str, Announced]) -> list[str]:
    wanted = settings.providers or known
    for name in wanted:
        if name not in known:
            log.warning("there is no provider %r; known are: %s", name, ", ".join(known))
    return [name for name in known if name in wanted]


def _be_a_base_instrumentor(module: ModuleType) -> None:
    base: Any = module.BaseInstrumentor
    base.register(Instrumentor)


# isinstance(Instrumentor(), BaseInstrumentor) holds as soon as somebody can ask.
when_imported("opentelemetry.instrumentation.instrumentor", _be_a_base_instrumentor)
