"""Instrument and uninstrument: one object that turns everything on, and everything off again.

What has nothing to do yet is not imported yet: `tracetoll.running` waits for the first SDK, a provider's or
OpenTelemetry's. Until then, instrument() only listens for imports.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import threading
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from tracetoll.config import read_settings
from tracetoll.forks import call_in_child
from tracetoll.imports import when_imported
from tracetoll.patching import Patches
from tracetoll.providers.found import found_providers
from tracetoll.safety import contained

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from types import ModuleType

    from opentelemetry._logs import LoggerProvider
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from tracetoll.config import Settings
    from tracetoll.console.live import TreePrinter
    from tracetoll.engine import Engine
    from tracetoll.ledgers.protocol import Ledger
    from tracetoll.limits.sources import Given
    from tracetoll.providers.found import Announced
    from tracetoll.rollup.processor import RollupProcessor
    from tracetoll.running import Running

log: Final = logging.getLogger("tracetoll")

_INSTRUMENTING: Final = contained("instrumenting")
_UNINSTRUMENTING: Final = contained("uninstrumenting")
_OPENTELEMETRYS_SDK: Final = ("opentelemetry.sdk.trace", "opentelemetry.sdk.metrics")
_OF_LIMITS: Final = ("TRACETOLL_LIMITS", "TRACETOLL_LEDGER")


class Instrumentor:
    """Patch the provider SDKs that the application uses, so that every call is counted.

    There is one per process: `Instrumentor()` always returns it. It keeps the contract of OpenTelemetry's
    `BaseInstrumentor` without deriving from it, because importing that takes longer than all of this.
    """

    _instance: ClassVar[Instrumentor | None] = None
    _creating: ClassVar = threading.RLock()

    patches: Patches | None
    printer: TreePrinter | None
    _make: Callable[[], Running] | None
    _running: Running | None

    def __new__(cls) -> Self:
        """Return the one instrumentor of the process."""
        with cls._creating:
            self = cls.__dict__.get("_instance")
            if self is None:
                self = super().__new__(cls)
                self.patches = self.printer = self._make = self._running = None
                call_in_child(self, Instrumentor._unlock)
                cls._instance = self
            return self

    def _unlock(self) -> None:
        Instrumentor._creating = threading.RLock()

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """Whether instrument() is in force."""
        return self.patches is not None

    @property
    def engine(self) -> Engine | None:
        """What counts calls, made now if need be; None while instrument() is not in force."""
        running = self._started()
        return running.engine if running is not None else None

    @property
    def rollup(self) -> RollupProcessor | None:
        """The roll-up that was added to the tracer provider."""
        return self._running.rollup if self._running is not None else None

    def _started(self) -> Running | None:
        """Return what runs, made now if need be. Raises ValueError, see instrument()."""
        with self._creating:
            if self._running is None and self._make is not None:
                self._running = self._make()
            return self._running

    def _start_with(self, _: ModuleType) -> None:
        self._started()

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
        given = (tracer_provider, meter_provider, logger_provider, limits, ledger)

        def make() -> Running:
            from tracetoll.running import Asked, Running  # noqa: PLC0415  # it takes as long as all that is above

            return Running(found, Asked(*given))

        if any(one is not None for one in given) or _is_needed_now(found):
            self._running = make()
        self._make = make
        with _INSTRUMENTING:
            self.patches = Patches()
            self._patch(found, self.patches)
            for module in _OPENTELEMETRYS_SDK:
                self.patches.when_imported(module, self._start_with)
            if found.console == "tree":
                from tracetoll.console.live import print_trees_of  # noqa: PLC0415  # for whoever wants it

                self.printer = print_trees_of(tracer_provider)

    def uninstrument(self, **_: object) -> None:
        """Put back the very functions that instrument() replaced."""
        if self.patches is None:
            log.warning("tracetoll is not instrumented; there is nothing to undo")
            return
        self.patches.undo()
        self._make = None
        if self._running is not None:
            with _UNINSTRUMENTING:
                self._running.end()
        if self.printer is not None:
            self.printer.silence()
        self.patches = self.printer = self._running = None

    def _patch(self, found: Settings, patches: Patches) -> None:
        """Patch each SDK that is wanted, as soon as it is imported."""
        known = found_providers()
        for name in _wanted(found, known):
            installed: list[str] = []  # a provider is announced by several modules, and installed once

            def install(_: ModuleType, name: str = name, installed: list[str] = installed) -> None:
                if not installed:
                    installed.append(name)
                    engine = self.engine
                    seams = importlib.import_module("tracetoll.seams")  # for whoever uses an SDK
                    for seam in known[name].seams() if engine is not None else ():
                        seams.install(seam, engine, patches)

            for module in known[name].modules:
                patches.when_imported(module, install)


def _is_needed_now(settings: Settings) -> bool:
    """Return whether something has to be told, or to travel, before any SDK is there."""
    return (
        bool(settings.policy or settings.baggage_out)
        or not os.environ.keys().isdisjoint(_OF_LIMITS)
        or not sys.modules.keys().isdisjoint(_OPENTELEMETRYS_SDK)
    )


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
