"""What runs when a module has been imported, and what is left of it."""

from __future__ import annotations

import importlib
import subprocess
import sys
import threading
from importlib.machinery import SourceFileLoader
from typing import TYPE_CHECKING

import pytest
import wrapt

import tracetoll
from tracetoll.imports import when_imported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import ModuleType


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Return what writes a module that can be imported."""
    monkeypatch.syspath_prepend(tmp_path)
    written: list[str] = []

    def write(name: str, source: str) -> None:
        (tmp_path / f"{name}.py").write_text(source)
        importlib.invalidate_caches()
        written.append(name)

    yield write
    for name in written:
        sys.modules.pop(name, None)


def test_a_hook_runs_once_after_the_module_and_leaves_its_loader(module: Callable[[str, str], None]) -> None:
    module("toll_gate", "import sys\nduring = __loader__, sys.modules[__name__].__spec__.loader\nopen_now = True\n")
    seen: list[ModuleType] = []
    when_imported("toll_gate", lambda found: seen.append(found) if found.open_now else None)
    when_imported("toll_gate", seen.append)

    import toll_gate  # type: ignore[import-not-found]  # noqa: PLC0415

    assert [toll_gate, toll_gate] == seen
    assert all(type(loader) is SourceFileLoader for loader in toll_gate.during)
    importlib.reload(toll_gate)
    when_imported("toll_gate", seen.append)
    assert [toll_gate] * 3 == seen


def test_a_hook_that_is_taken_back_does_not_run(module: Callable[[str, str], None]) -> None:
    module("toll_bridge", "")
    seen: list[str] = []
    when_imported("toll_bridge", lambda _: seen.append("kept"))
    take_back = when_imported("toll_bridge", lambda _: seen.append("taken back"))
    take_back()

    importlib.import_module("toll_bridge")
    take_back()

    assert ["kept"] == seen


def test_an_import_that_fails_fails_as_ever_and_the_hook_waits_for_the_next(
    module: Callable[[str, str], None],
) -> None:
    module("toll_road", "raise ZeroDivisionError('under repair')")
    seen: list[ModuleType] = []
    when_imported("toll_road", seen.append)

    with pytest.raises(ZeroDivisionError, match="under repair"):
        importlib.import_module("toll_road")
    assert [] == seen
    module("toll_road", "repaired_at_last = True")

    assert [importlib.import_module("toll_road")] == seen


def test_what_a_hook_raises_does_not_fail_the_import(
    module: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("TRACETOLL_RAISE_FAULTS")
    module("toll_house", "")
    seen: list[ModuleType] = []
    when_imported("toll_house", lambda _: 1 / 0)
    when_imported("toll_house", seen.append)

    assert [importlib.import_module("toll_house")] == seen
    assert "tracetoll failed while doing what was to be done after an import" in caplog.text


def test_hooks_of_wrapt_run_beside_ours(module: Callable[[str, str], None]) -> None:
    seen: list[str] = []
    module("toll_first", "")
    module("toll_second", "")
    when_imported("toll_first", lambda _: seen.append("ours"))
    wrapt.register_post_import_hook(lambda _: seen.append("wrapt's"), "toll_first")
    wrapt.register_post_import_hook(lambda _: seen.append("wrapt's"), "toll_second")
    when_imported("toll_second", lambda _: seen.append("ours"))

    for name in ("toll_first", "toll_second"):
        importlib.import_module(name)

    assert ["ours", "wrapt's"] * 2 == seen


def test_threads_that_import_at_once_see_one_run(module: Callable[[str, str], None]) -> None:
    module("toll_plaza", "import time\ntime.sleep(0.05)\nlanes = 8\n")
    seen: list[int] = []
    when_imported("toll_plaza", lambda found: seen.append(found.lanes))
    threads = [threading.Thread(target=importlib.import_module, args=("toll_plaza",)) for _ in range(8)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [8] == seen


def run(program: str) -> str:
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return told.stdout.strip()


def test_what_takes_long_to_import_waits_for_whoever_uses_it() -> None:
    """Each of these takes as long as much of what is imported; see `tracetoll.imports` and `tracetoll.running`."""
    slow = ("asyncio", "importlib.metadata", "wrapt", "opentelemetry.sdk.trace", "opentelemetry.instrumentation")
    ours = ("tracetoll.engine", "tracetoll.limits.limit", "tracetoll.seams", "tracetoll.usage")

    told = run(
        "import sys, tracetoll; tracetoll.Instrumentor().instrument();"
        f"print(*[name for name in {slow + ours} if name in sys.modules])"
    )

    assert "" == told


LATE = """
import tracetoll

instrumentor = tracetoll.Instrumentor()
instrumentor.instrument()
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(exporter))
metrics.set_meter_provider(MeterProvider([reader]))
{use}
print(*sorted(span.name for span in exporter.get_finished_spans()))
(resource,) = reader.get_metrics_data().resource_metrics
print(*sorted(metric.name for scope in resource.scope_metrics for metric in scope.metrics))
instrumentor.uninstrument()
"""


def test_agents_are_measured_where_opentelemetry_comes_after_us() -> None:
    spans, metrics = run(LATE.format(use="with tracetoll.agent('planner'): pass")).splitlines()

    assert "invoke_agent planner" == spans
    assert "gen_ai.invoke_agent.duration" in metrics.split()


def test_calls_are_counted_where_everything_comes_after_us() -> None:
    use = """
from tracetoll.local_provider import LocalProvider
import openai
with LocalProvider() as provider, openai.OpenAI(base_url=provider.url + "/v1", api_key="none") as client:
    with tracetoll.agent("planner"), tracetoll.limits(tracetoll.Limit(9, "calls")) as spend:
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
    assert provider.handed_out.input_tokens == spend.usage.input_tokens
"""
    spans, metrics = run(LATE.format(use=use)).splitlines()

    assert "chat gpt-4o invoke_agent planner" == spans
    assert "gen_ai.client.token.usage" in metrics.split()


def test_traces_are_measured_once_there_is_a_meter_provider() -> None:
    told = run("""
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from tracetoll import RollupProcessor

rollup, reader = RollupProcessor(), InMemoryMetricReader()
provider = TracerProvider()
provider.add_span_processor(rollup)
tracer = provider.get_tracer("application")

def trace(tokens):
    with tracer.start_as_current_span("GET /answer"):
        usage = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": tokens}
        tracer.start_span("chat", attributes=usage).end()

trace(1)
print(len(rollup._metrics._noted))
metrics.set_meter_provider(MeterProvider([reader]))
trace(10)
trace(20)
(resource,) = reader.get_metrics_data().resource_metrics
(scope,) = resource.scope_metrics
for name in ("tokens", "inference_calls"):
    (metric,) = (metric for metric in scope.metrics if metric.name == f"tracetoll.trace.{name}")
    print(name, sum(point.sum for point in metric.data.data_points))
""").splitlines()

    assert ["0", "tokens 30", "inference_calls 2"] == told


def test_nothing_is_left_of_an_instrumentor_that_had_nothing_to_do() -> None:
    told = run(
        "import sys, tracetoll; one = tracetoll.Instrumentor(); one.instrument(); one.uninstrument();"
        "import openai, opentelemetry.sdk.trace; print(one.engine, one.rollup, 'tracetoll.engine' in sys.modules)"
    )

    assert "None None False" == told


def test_what_is_not_imported_at_once_is_there_all_the_same() -> None:
    names = run(
        "import tracetoll; print(*sorted(name for name in dir(tracetoll) if name in tracetoll.__all__));"
        "from tracetoll import *; print(Limit.__name__, RollupProcessor.__name__, Usage.__name__, limits.__name__)"
    ).splitlines()

    assert sorted(tracetoll.__all__) == names[0].split()
    assert "Limit RollupProcessor Usage limits" == names[1]
    with pytest.raises(AttributeError, match="no attribute 'Limits'"):
        tracetoll.Limits  # type: ignore[attr-defined]  # noqa: B018
