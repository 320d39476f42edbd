"""What runs between instrument() and uninstrument(): the engine, its instruments, the roll-up.

Apart from the instrumentor, which imports this when somebody is there to use it.
"""

from __future__ import annotations

import atexit
import os
from typing import TYPE_CHECKING, Final, NamedTuple

from opentelemetry import metrics, trace
from opentelemetry._logs import get_logger

from tracetoll import agents
from tracetoll.attribution import send_as_baggage
from tracetoll.content import Content
from tracetoll.engine import Engine
from tracetoll.instruments import Instruments
from tracetoll.ledgers import open_ledger
from tracetoll.limits.sources import Sources
from tracetoll.limits.travelling import ENTRY
from tracetoll.safety import contained
from tracetoll.signals import Signals
from tracetoll.usage_log import UsageLog
from tracetoll.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry._logs import LoggerProvider
    from opentelemetry.metrics import Meter, MeterProvider
    from opentelemetry.trace import TracerProvider

    from tracetoll.config import Settings
    from tracetoll.ledgers.protocol import Ledger
    from tracetoll.limits.sources import Given
    from tracetoll.rollup.processor import RollupProcessor

SCOPE: Final = "tracetoll"
_INSTRUMENTING: Final = contained("instrumenting")
_ROLLING_UP: Final = contained("adding a roll-up to the tracer provider")


class Asked(NamedTuple):
    """What instrument() was given beside settings; None: not given."""

    tracer_provider: TracerProvider | None = None
    meter_provider: MeterProvider | None = None
    logger_provider: LoggerProvider | None = None
    limits: Given | Sequence[Given] | None = None
    ledger: str | Ledger | None = None


class Running:
    """Counts calls, from when it is made until `end`."""

    def __init__(self, settings: Settings, asked: Asked) -> None:
        """Turn everything on but the patches. Raises ValueError for limits or a ledger that cannot mean anything."""
        self.engine: Engine | None = None
        self.rollup: RollupProcessor | None = None
        sources = Sources(asked.limits, settings.policy, os.environ, settings.policy_check_s)
        ledger = open_ledger(asked.ledger or os.environ.get("TRACETOLL_LEDGER"))
        with _INSTRUMENTING:
            self._begin(settings, asked, sources, ledger)

    def _begin(self, settings: Settings, asked: Asked, sources: Sources, ledger: Ledger) -> None:
        tracer = trace.get_tracer(SCOPE, __version__, asked.tracer_provider)
        logger = get_logger(SCOPE, __version__, asked.logger_provider)
        meter = metrics.get_meter(SCOPE, __version__, asked.meter_provider)
        instruments = Instruments(meter, settings.metrics, settings.metric_attributes)
        engine = Engine(
            settings,
            tracer=tracer,
            instruments=instruments,
            usage_log=UsageLog(logger, wanted=settings.usage_log),
            content=Content(settings, logger),
            signals=Signals(logger, meter, settings.metric_attributes),
            ledger=ledger,
        )
        engine.hold_to(sources)
        self.engine = engine
        if settings.rollup:
            self._roll_up(engine, asked.tracer_provider, meter if "traces" in settings.metrics else None)
        send_as_baggage(settings.baggage_out - {ENTRY}, engine.baggage_more)
        runs = instruments if "agents" in settings.metrics else None
        agents.connect(agents.Connection(tracer, runs, engine.baggage_in))
        # Before the exporters' own exit handlers, which were registered earlier.
        atexit.register(engine.settle)

    def end(self) -> None:
        """Turn everything off, and record what was noted."""
        if self.rollup is not None:
            from tracetoll.rollup.attach import detach  # noqa: PLC0415  # it is there

            detach(self.rollup)
        agents.disconnect()
        send_as_baggage(())
        if self.engine is not None:
            atexit.unregister(self.engine.settle)
            self.engine.settle()

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
