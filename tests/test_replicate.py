"""Replicate's predictions: asked for once, fetched until they are there, counted once."""

from __future__ import annotations

import asyncio
import importlib
from typing import TYPE_CHECKING, Any

import pytest

from tracetoll import Limit, LimitExceeded
from tracetoll.local_provider import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Telemetry

    from tracetoll.local_provider import LocalProvider, Received

pytest.importorskip("replicate")
USED = {"gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 9}
METRICS = {"input_token_count": 7, "output_token_count": 9, "predict_time": 1.5}
MODEL = "meta/llama-4"


@pytest.fixture
def replicate(provider: LocalProvider) -> Iterator[Any]:
    """Yield a client; a prediction is there at once if that is waited for, else after three looks."""
    looks: list[Received] = []

    def prediction(status: str) -> dict[str, Any]:
        done = status == "succeeded"
        return {
            "id": "prediction-1",
            "model": MODEL,
            "version": "1",
            "status": status,
            "input": {},
            "output": ["Two."] if done else None,
            "logs": "",
            "error": None,
            "metrics": METRICS if done else None,
            "urls": {"get": f"{provider.url}/v1/predictions/prediction-1"},
        }

    def asked(received: Received) -> Reply:
        return Reply(201, json=prediction("succeeded" if "wait" in received.headers.get("prefer", "") else "starting"))

    def looked(received: Received) -> Reply:
        looks.append(received)
        return Reply(json=prediction("succeeded" if len(looks) > 2 else "processing"))

    provider.on(f"/v1/models/{MODEL}/predictions", asked)
    provider.on("/v1/predictions/prediction-1", looked)
    client = importlib.import_module("replicate.client").Client(base_url=provider.url)
    client.poll_interval = 0.001
    yield client
    client._client.close()  # noqa: SLF001  # it has no method for that


def usage(telemetry: Telemetry) -> list[tuple[str, dict[str, Any]]]:
    told = [(span.name, dict(span.attributes or {})) for span in telemetry.spans]
    return [(name, {key: value for key, value in one.items() if key.startswith("gen_ai.usage.")}) for name, one in told]


def test_a_prediction_that_is_waited_for_is_one_call(replicate: Any, instrumented: Telemetry) -> None:
    assert ["Two."] == replicate.run(MODEL, input={"prompt": "What does it cost?"})

    assert [(f"generate_content {MODEL}", USED)] == usage(instrumented)
    assert "replicate" == instrumented.told()["gen_ai.provider.name"]


def test_asynchronously_too(replicate: Any, instrumented: Telemetry) -> None:
    async def ask() -> None:
        await replicate.async_run(MODEL, input={"prompt": "What does it cost?"})
        await replicate._async_client.aclose()  # noqa: SLF001  # it has no method for that

    asyncio.run(ask())

    assert [(f"generate_content {MODEL}", USED)] == usage(instrumented)


def test_a_prediction_that_is_polled_counts_once_when_it_is_done(replicate: Any, instrumented: Telemetry) -> None:
    made = replicate.models.predictions.create(model=tuple(MODEL.split("/")), input={"prompt": "What?"})
    made.wait()
    made.reload()

    told = usage(instrumented)
    assert [f"generate_content {MODEL}", *["fetch_response"] * 4] == [name for name, _ in told]
    assert [USED] == [counts for _, counts in told if counts]


def test_limits_hold(replicate: Any, provider: LocalProvider, instrument: Callable[..., Telemetry]) -> None:
    instrument(limits=[Limit(1, "calls")])
    replicate.run(MODEL, input={"prompt": "What does it cost?"})

    with pytest.raises(LimitExceeded):
        replicate.run(MODEL, input={"prompt": "And now?"})

    assert 1 == len(provider.requests)


def test_an_error_is_told_by_its_status(replicate: Any, provider: LocalProvider, instrumented: Telemetry) -> None:
    provider.enqueue(Reply(422, json={"title": "Invalid input", "detail": "no prompt", "status": 422}))

    with pytest.raises(Exception, match="no prompt"):
        replicate.run(MODEL, input={})

    assert "422" == instrumented.told()["error.type"]
