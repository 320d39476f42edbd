"""A forked child counts its own calls, and waits for nothing that only its parent has."""

from __future__ import annotations

import gc
import os
import warnings
from typing import TYPE_CHECKING, Any

import pytest
from surfaces import client

from tracetoll import Instrumentor, forks

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Telemetry

    from tracetoll.local_provider import LocalProvider

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
MESSAGES: Any = [{"role": "user", "content": "hi"}]


def in_child(work: Any) -> bool:
    """Return whether some work in a forked child says yes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tests' own threads are not needed in the child
        child = os.fork()
    if child == 0:
        try:
            os._exit(0 if work() else 1)
        finally:
            os._exit(2)
    return os.waitpid(child, 0)[1] == 0


def test_a_child_reports_only_its_own_calls(provider: LocalProvider, instrumented: Telemetry) -> None:
    with client("openai", provider.url) as of:
        of.chat.completions.create(model="gpt-4o", messages=MESSAGES)

    def work() -> bool:
        with client("openai", provider.url) as own:
            own.chat.completions.create(model="gpt-4o", messages=MESSAGES)
        (point,) = instrumented.metrics()["gen_ai.client.inference.usage.input_tokens"]
        return bool(point.value == instrumented.spans[-1].attributes["gen_ai.usage.input_tokens"])

    assert in_child(work)
    assert provider.handed_out.calls == 2


def test_nothing_stays_for_forks_of_what_was_instrumented_before(instrument: Callable[..., Telemetry]) -> None:
    def registered() -> int:
        gc.collect()
        return len(forks._owners)  # noqa: SLF001  # nobody can see it from outside

    found = []
    for _ in range(4):
        instrument()
        Instrumentor().uninstrument()
        found.append(registered())

    assert found[1] == found[2] == found[3]


def test_a_child_of_a_parent_that_is_loading_prices_loads_its_own(
    provider: LocalProvider, instrumented: Telemetry
) -> None:
    engine = Instrumentor().engine
    assert engine is not None
    engine.prices._started = True  # noqa: SLF001  # as if the parent's thread were still at it

    def work() -> bool:
        with client("openai", provider.url) as own:
            own.chat.completions.create(model="gpt-4o", messages=MESSAGES)
        return "tracetoll.cost.amount" in instrumented.told()

    assert in_child(work)
