"""What is peculiar to pydo: its streams can be iterated anew, and it has functions below those that are called."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import pytest
from surfaces import MESSAGES, client

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Telemetry

    from tracetoll.local_provider import LocalProvider

pytest.importorskip("pydo")
ASKED = {"model": "gpt-4o-mini", "messages": MESSAGES}


def iterated_again(url: str) -> tuple[Any, ...]:
    """Return the exception of a stream that is read to its end, and then once more."""
    with client("pydo", url) as of:
        stream = of.chat.completions.create(**ASKED, stream=True)
        list(stream)
        with pytest.raises(Exception) as again:  # noqa: PT011  # whichever it is without us
            list(stream)
    return again.type, again.value.args


def test_a_stream_that_is_iterated_again_does_what_it_does_without_us(
    provider: LocalProvider, instrument: Callable[..., Telemetry]
) -> None:
    without = iterated_again(provider.url)
    telemetry = instrument()

    assert without == iterated_again(provider.url)
    assert 1 == len(telemetry.spans)


@pytest.mark.parametrize("stream", [False, True])
def test_the_generated_functions_are_counted_too(
    stream: bool, provider: LocalProvider, instrumented: Telemetry
) -> None:
    body = {**ASKED, "stream": stream, **({"stream_options": {"include_usage": True}} if stream else {})}
    with client("pydo", provider.url) as of:
        answer = of.inference.create_chat_completion(body)
        list(answer)

    assert provider.handed_out.input_tokens == instrumented.told()["gen_ai.usage.input_tokens"]


def test_what_calls_no_model_is_no_call(provider: LocalProvider, instrumented: Telemetry) -> None:
    with client("pydo", provider.url) as of, pytest.raises(importlib.import_module("azure.core.exceptions").AzureError):
        of.models.list()

    assert () == instrumented.spans
