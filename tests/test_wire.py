"""Recorded provider traffic through the real SDKs: the numbers of the raw bytes, and nothing else.

Runs where a `shared` folder with recordings and their reader lies beside the checkout.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Telemetry

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"
ROWS_PER_KIND = 3  # of each provider, API, way of answering

if not (SHARED / "wire").is_dir() or not (SHARED / "conformance").is_dir():
    pytest.skip("no recorded traffic beside this checkout (../shared/wire)", allow_module_level=True)

sys.path.insert(0, str(SHARED / "conformance"))
import drivers  # noqa: E402  # found where it lies
import oracle  # noqa: E402
import replay  # noqa: E402
import worker  # noqa: E402

# What openai and anthropic say of deprecated models and of objects that a recording never had.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Pydantic serializer:UserWarning")


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


@pytest.mark.parametrize("sdk", ["openai", "azure", "anthropic"])
def test_recorded_answers_are_counted_exactly(
    sdk: str, instrumented: Telemetry, loop: asyncio.AbstractEventLoop
) -> None:
    rows = [row for row in worker.load([str(SHARED / "wire")], sdk, ROWS_PER_KIND) if row["status"] == 200]
    driver = drivers.DRIVERS[sdk](replay.serve(rows))
    wrong: list[Any] = []
    counted = 0
    for row in rows:
        truth = oracle.read(row)
        for mode in driver.modes(row):
            instrumented.exporter.clear()
            try:
                drivers.run(driver, row, mode, loop)
            except Exception:  # noqa: BLE001, S112  # this SDK's version cannot issue or parse it; nothing to compare
                continue
            told = [dict(span.attributes or {}) for span in instrumented.spans]
            seen = [
                (one.get("gen_ai.usage.input_tokens"), one.get("gen_ai.usage.output_tokens") or 0)
                for one in told
                if "gen_ai.usage.input_tokens" in one
            ]
            expected = [(truth["input_tokens"], truth["output_tokens"] or 0)] if truth is not None else []
            counted += 1
            if expected != seen or 1 != len(told):
                wrong.append((row["id"], mode, expected, seen))

    driver.sync.close()
    loop.run_until_complete(driver.asyn.close())
    assert [] == wrong
    assert counted > 10
