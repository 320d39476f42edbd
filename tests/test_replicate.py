"""Replicate's predictions that are fetched until they are there. The rest is as with all SDKs: `surfaces`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from surfaces import client, inside, run

if TYPE_CHECKING:
    from conftest import Telemetry

    from tracetoll.local_provider import LocalProvider

pytest.importorskip("replicate")


def test_a_prediction_that_is_polled_counts_once_when_it_is_done(
    provider: LocalProvider, instrumented: Telemetry
) -> None:
    async def poll() -> None:
        async with inside(client("replicate", provider.url)) as replicate:
            replicate.poll_interval = 0.001
            made: Any = replicate.models.predictions.create(model=("meta", "llama-4"), input={"prompt": "What?"})
            made.wait()
            made.reload()

    run(poll(), asynchronous=False)

    told = [(span.name, (span.attributes or {}).get("gen_ai.usage.output_tokens")) for span in instrumented.spans]
    assert [
        ("generate_content meta/llama-4", None),
        ("fetch_response", None),
        ("fetch_response", provider.handed_out.output_tokens),
        ("fetch_response", None),
    ] == told
