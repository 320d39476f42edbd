"""Services that others instrument get the same token metrics as ours, and nothing is counted twice."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import kit as parts
import pytest
import stack
from emitter import SERVICES

from tracetoll.local_provider import HandedOut

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stack import Collector

HERE = Path(__file__).parent
ENVIRONMENT = "beside-current"
COUNTERS = {
    "input_tokens": "gen_ai_client_inference_usage_input_tokens_total",
    "output_tokens": "gen_ai_client_inference_usage_output_tokens_total",
    "cache_read": "gen_ai_client_inference_usage_cache_read_input_tokens_total",
    "cache_write": "gen_ai_client_inference_usage_cache_write_input_tokens_total",
}
TWICE = [name for name in SERVICES if name.startswith("ours-beside")]


class Counted:
    """What the collector shows to Prometheus."""

    def __init__(self, collector: Collector) -> None:
        self._url = f"http://{collector.metrics}/metrics"

    def total(self, metric: str, service: str) -> float:
        text = stack.get(self._url).decode()
        lines = re.findall(rf'^{metric}{{[^}}]*job="{service}"[^}}]*}} (\S+)', text, re.MULTILINE)
        return sum(float(value) for value in lines)


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Counted, dict[str, HandedOut]]]:
    """Run all services at the same time through one collector; return what it counted, and what was handed out."""
    parts.need("collector")
    folder = tmp_path_factory.mktemp("others")
    build = [sys.executable, stack.CONFIG.parent / "tools" / "environment.py", ENVIRONMENT]
    python = subprocess.run(build, check=True, capture_output=True, text=True).stdout.strip()
    with parts.collector(folder, KIT_COUNTED_SERVICES="^ours-beside-") as collector:
        commands = {name: [python, HERE / "emitter.py", name, folder / f"{name}.json"] for name in SERVICES}
        parts.run(commands, {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.otlp})
        handed_out = {name: HandedOut(**json.loads((folder / f"{name}.json").read_text())) for name in SERVICES}
        yield Counted(collector), handed_out


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(("count", "counter"), COUNTERS.items())
def test_each_service_is_counted_once(
    counted: tuple[Counted, dict[str, HandedOut]], service: str, count: str, counter: str
) -> None:
    shown, handed_out = counted
    expected = getattr(handed_out[service], count)

    try:
        stack.until(lambda: shown.total(counter, service) == expected, parts.SOON_S / 4, counter)
    except TimeoutError:
        assert expected == shown.total(counter, service)


def test_there_was_something_to_count_in_every_field(counted: tuple[Counted, dict[str, HandedOut]]) -> None:
    _, handed_out = counted

    for service in SERVICES:
        assert 5 == handed_out[service].calls
        assert all(getattr(handed_out[service], count) > 0 for count in COUNTERS)


@pytest.mark.parametrize("service", ["openllmetry", "openinference"])
def test_the_spread_of_others_calls_is_known_as_well(
    counted: tuple[Counted, dict[str, HandedOut]], service: str
) -> None:
    shown, handed_out = counted

    count = shown.total("gen_ai_client_inference_operation_input_tokens_count", service)

    assert handed_out[service].calls == count


@pytest.mark.parametrize("service", TWICE)
def test_a_service_that_counts_itself_is_not_counted_from_its_spans(
    counted: tuple[Counted, dict[str, HandedOut]], service: str
) -> None:
    shown, _ = counted

    assert 0 == shown.total("gen_ai_client_inference_operation_input_tokens_count", service)
