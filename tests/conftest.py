"""What the tests share: a provider to ask, somewhere to see what was told, and the instrumentation between."""

from __future__ import annotations

import gc
import logging
import os
import ssl
from collections import defaultdict
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import HealthCheck, settings
from opentelemetry.sdk import _logs as sdk_logs
from opentelemetry.sdk._logs import export as log_export
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from surfaces import SDKS, Case, Sdk, Toll

from tracetoll import Instrumentor
from tracetoll.local_provider import LocalProvider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.sampling import Sampler

    from tracetoll.local_provider import Received, Reply

# No test may depend on how fast the machine is.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# The names of OpenTelemetry 1.39 and later, and before.
MEMORY_EXPORTER = getattr(log_export, "InMemoryLogRecordExporter", None) or log_export.InMemoryLogExporter


def _no_authorities(*_: object, **__: object) -> None:
    """Stand in for reading all certificate authorities, a third of a test's time: nothing here is asked by TLS."""


ssl.SSLContext.load_verify_locations = _no_authorities  # type: ignore[method-assign]
ssl.SSLContext.load_default_certs = _no_authorities  # type: ignore[method-assign]

TESTS: Final = count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--apart",
        choices=("tidy", "untidy"),
        help="only tests of SDKs that have an environment of their own: those that leave nothing to later tests, or do",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if leaves_sockets(item):
            item.add_marker(pytest.mark.filterwarnings("ignore:(?i)unclosed (<socket|connection):ResourceWarning"))
        sdk = asked(item)
        for warning in sdk.warns if sdk is not None else ():
            item.add_marker(pytest.mark.filterwarnings(warning))
    wanted = config.getoption("--apart")
    if wanted is not None:
        sdks = [sdk for sdk in SDKS.values() if sdk.apart and sdk.untidy is (wanted == "untidy") and sdk.installed]
        items[:] = [item for item in items if any(_is_of(sdk, item) for sdk in sdks)]
    if wanted == "untidy":
        for item in items:
            item.add_marker(pytest.mark.filterwarnings("ignore:(?i)unclosed :ResourceWarning"))


def pytest_collection_finish() -> None:
    collect_garbage()


def collect_garbage() -> None:
    """Collect garbage, and never look again at what is left.

    To look at all modules of all SDKs takes a second, and many tests have to.
    """
    gc.collect()
    gc.freeze()


def _is_of(sdk: Sdk, item: pytest.Item) -> bool:
    """Return whether a test is of an SDK: of a case, of a function that is patched, or of its own file."""
    given = item.callspec.params if hasattr(item, "callspec") else {}
    case, where = given.get("case"), given.get("where")
    return (
        where in sdk.patched
        or (case is not None and case.surface.of is sdk)
        or item.path.stem == (sdk.tests or f"test_{sdk.name}")
    )


class Telemetry:
    """OpenTelemetry providers of one test, and what they were told."""

    def __init__(self, sampler: Sampler | None = None) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracer_provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meter_provider = MeterProvider([self.reader], shutdown_on_exit=False)
        self.log_exporter = MEMORY_EXPORTER()
        self.logger_provider = sdk_logs.LoggerProvider(shutdown_on_exit=False)
        self.logger_provider.add_log_record_processor(log_export.SimpleLogRecordProcessor(self.log_exporter))

    @property
    def providers(self) -> dict[str, Any]:
        return {
            "tracer_provider": self.tracer_provider,
            "meter_provider": self.meter_provider,
            "logger_provider": self.logger_provider,
        }

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    @property
    def logs(self) -> list[Any]:
        return [data.log_record for data in self.log_exporter.get_finished_logs()]

    def only_span(self) -> ReadableSpan:
        (span,) = self.spans
        return span

    def told(self) -> dict[str, Any]:
        return dict(self.only_span().attributes or {})

    def metrics(self) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = defaultdict(list)
        data = self.reader.get_metrics_data()
        for resource in data.resource_metrics if data is not None else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    found[metric.name] += metric.data.data_points
        return found

    def shutdown(self) -> None:
        for provider in self.providers.values():
            provider.shutdown()


@pytest.fixture(scope="session", autouse=True)
def _faults_are_raised() -> None:
    os.environ["TRACETOLL_RAISE_FAULTS"] = "1"


def toll_as_json(received: Received) -> str | None:
    """Answer in JSON where that is asked for."""
    wanted = ("response_format", "output_format", "output_config")
    body = received.fields
    format_of_text = (
        (body.get("text") or {}).get("format", {}).get("type") if isinstance(body.get("text"), dict) else ""
    )
    if format_of_text == "json_schema" or any(isinstance(body.get(name), dict) for name in wanted):
        return Toll(cents=250).model_dump_json()
    return None


@pytest.fixture
def provider() -> Iterator[LocalProvider]:
    with LocalProvider(script=toll_as_json) as running:
        yield running


def asked(item: pytest.Item) -> Sdk | None:
    """Return the SDK that a test asks through, if it is of a case."""
    case = getattr(getattr(item, "callspec", None), "params", {}).get("case")
    return case.surface.of if isinstance(case, Case) else None


def leaves_sockets(item: pytest.Item) -> bool:
    sdk = asked(item)
    return sdk is not None and sdk.leaves_sockets


@pytest.fixture(autouse=True)
def _left_open(request: pytest.FixtureRequest) -> Iterator[None]:
    """Collect what an SDK leaves to the garbage collection, while its warnings are expected; else now and then."""
    yield
    if leaves_sockets(request.node) or next(TESTS) % 20 == 0:
        collect_garbage()


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what we or OpenTelemetry logged as wrong, such as a span that is ended twice."""
    return [
        f"{record.name}: {record.getMessage()}"
        for record in caplog.get_records("call")
        if record.levelno >= logging.WARNING and record.name.startswith(("tracetoll", "opentelemetry"))
    ]


@pytest.fixture
def telemetry(caplog: pytest.LogCaptureFixture) -> Iterator[Telemetry]:
    made = Telemetry()
    yield made
    made.shutdown()
    assert [] == complaints(caplog)


@pytest.fixture
def instrument(telemetry: Telemetry) -> Iterator[Callable[..., Telemetry]]:
    """Return what instruments everything, with settings."""

    def instrumented(**settings: Any) -> Telemetry:
        Instrumentor().instrument(**{**telemetry.providers, **settings})
        return telemetry

    yield instrumented
    if Instrumentor().is_instrumented_by_opentelemetry:
        Instrumentor().uninstrument()


@pytest.fixture
def instrumented(instrument: Callable[..., Telemetry]) -> Telemetry:
    return instrument()


@pytest.fixture
def replies(provider: LocalProvider) -> list[Reply]:
    """Return the provider's reply to the first request, which from now on is its reply to all others too."""
    kept: list[Reply] = []

    def same_again(received: Received) -> Reply:
        if not kept:
            kept.append(provider.built_in(received))
        return kept[0]

    provider.on("", same_again)
    return kept
