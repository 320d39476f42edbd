"""Beside other instrumentation: one call is counted once."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest
import wrapt
from opentelemetry import context, trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from surfaces import client

from tracetoll import Instrumentor, Limit, LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Telemetry

    from tracetoll.local_provider import LocalProvider

MESSAGES: Any = [{"role": "user", "content": "hi"}]


def hook(of: Any, run: Callable[[object], None]) -> None:
    """Have something run when a client sends a request."""
    of._client.event_hooks = {"request": [run]}  # noqa: SLF001  # the HTTP client underneath


def chat(provider: LocalProvider) -> None:
    with client("openai", provider.url) as of:
        of.chat.completions.create(model="gpt-4o", messages=MESSAGES)


@pytest.mark.parametrize("key", ["suppress_instrumentation", "opentelemetry.genai.client.inference.context"])
def test_what_somebody_else_accounts_for_is_left_to_them(
    key: str, provider: LocalProvider, instrumented: Telemetry
) -> None:
    token = context.attach(context.set_value(key, value=True))

    chat(provider)
    context.detach(token)

    assert () == instrumented.spans
    assert {} == instrumented.metrics()


def test_what_somebody_else_tells_of_is_held_to_limits_all_the_same(
    provider: LocalProvider, instrument: Callable[..., Telemetry]
) -> None:
    telemetry = instrument(limits=[Limit(2, "calls"), Limit(10_000, "tokens")])
    token = context.attach(context.set_value("opentelemetry.genai.client.inference.context", value=True))

    chat(provider)
    chat(provider)
    with pytest.raises(LimitExceeded):
        chat(provider)
    context.detach(token)

    engine = Instrumentor().engine
    assert engine is not None
    handed_out = provider.handed_out
    spent = {2, handed_out.input_tokens + handed_out.output_tokens}
    assert spent == {balance.spent for _, balance in engine.admission.ledger.balances()}
    assert 2 == len(provider.requests)
    assert () == telemetry.spans
    assert "gen_ai.client.operation.duration" not in telemetry.metrics()


def test_an_operation_of_another_kind_is_counted_inside(provider: LocalProvider, instrumented: Telemetry) -> None:
    token = context.attach(context.set_value("opentelemetry.genai.client.embedding.context", value=True))

    chat(provider)
    context.detach(token)

    assert "chat gpt-4o" == instrumented.only_span().name


def skip_without_spans_of_its_own() -> None:
    if not hasattr(import_module("anthropic._base_client"), "start_api_call_span"):
        pytest.skip(f"anthropic {anthropic.__version__} has no spans of its own")


def test_our_span_stands_for_the_one_of_the_anthropic_sdk(provider: LocalProvider, telemetry: Telemetry) -> None:
    skip_without_spans_of_its_own()
    Instrumentor().instrument(**telemetry.providers)
    with client("anthropic", provider.url, open_telemetry={"tracer_provider": telemetry.tracer_provider}) as of:
        of.messages.create(model="claude-haiku-4-5", max_tokens=9, messages=MESSAGES)
        with of.messages.stream(model="claude-haiku-4-5", max_tokens=9, messages=MESSAGES) as stream:
            stream.until_done()
    Instrumentor().uninstrument()

    assert ["tracetoll", "tracetoll"] == [span.instrumentation_scope.name for span in telemetry.spans]
    sent = [request.headers["traceparent"].split("-")[2] for request in provider.requests]
    assert [trace.format_span_id(span.context.span_id) for span in telemetry.spans] == sent


def test_the_span_of_the_anthropic_sdk_is_back_after_uninstrument(
    provider: LocalProvider, telemetry: Telemetry
) -> None:
    skip_without_spans_of_its_own()
    Instrumentor().instrument(**telemetry.providers)
    Instrumentor().uninstrument()
    with client("anthropic", provider.url, open_telemetry={"tracer_provider": telemetry.tracer_provider}) as of:
        of.messages.create(model="claude-haiku-4-5", max_tokens=9, messages=MESSAGES)

    assert "com.anthropic.sdk.python" == telemetry.only_span().instrumentation_scope.name


def test_a_call_inside_a_call_belongs_to_the_outer_one(provider: LocalProvider, instrumented: Telemetry) -> None:
    """An SDK that calls another one, here made by a hook of the HTTP client, counts once."""
    with client("openai", provider.url) as of, client("openai", provider.url) as inner:
        asked = []

        def ask_once(_: object) -> None:
            if not asked:
                asked.append(inner.chat.completions.create(model="gpt-4o", messages=MESSAGES))

        hook(of, ask_once)
        of.chat.completions.create(model="gpt-4o", messages=MESSAGES)

    assert 2 == len(provider.requests)
    assert "chat gpt-4o" == instrumented.only_span().name


def test_calls_that_are_not_sampled_are_in_the_metrics(provider: LocalProvider, telemetry: Telemetry) -> None:
    telemetry.tracer_provider.sampler = ALWAYS_OFF
    Instrumentor().instrument(**telemetry.providers)
    chat(provider)
    metrics = telemetry.metrics()
    Instrumentor().uninstrument()

    assert () == telemetry.spans
    (point,) = metrics["gen_ai.client.inference.usage.input_tokens"]
    assert provider.handed_out.input_tokens == point.value
    assert 1 == metrics["gen_ai.client.operation.duration"][0].count


@contextmanager
def wrapped_by_another(owner: type, answer: Callable[[Any], Any] = lambda got: got) -> Iterator[list[object]]:
    """Have another package wrap a client's method, as OpenInference does; give the instances that it sees."""
    seen: list[object] = []

    def wrapper(wrapped: Callable[..., Any], instance: object, args: Any, kwargs: Any) -> Any:
        seen.append(instance)
        return answer(wrapped(*args, **kwargs))

    own = vars(owner).get("request")
    wrapt.wrap_function_wrapper(owner, "request", wrapper)
    yield seen
    if own is None:
        delattr(owner, "request")
    else:
        type.__setattr__(owner, "request", own)


@pytest.mark.parametrize("owner", [openai.OpenAI, openai.OpenAI.__mro__[1]], ids=lambda owner: owner.__name__)
def test_a_wrapper_that_was_there_before_is_called_and_hides_nothing(
    owner: type, provider: LocalProvider, telemetry: Telemetry
) -> None:
    with wrapped_by_another(owner) as seen:
        Instrumentor().instrument(**telemetry.providers)
        with client("openai", provider.url) as of:
            of.chat.completions.create(model="gpt-4o", messages=MESSAGES)
        Instrumentor().uninstrument()

    assert [of] == seen
    assert "chat gpt-4o" == telemetry.only_span().name


def test_a_stream_is_read_through_the_proxy_that_another_wrapper_made_of_it(
    provider: LocalProvider, telemetry: Telemetry
) -> None:
    with wrapped_by_another(openai.OpenAI, wrapt.ObjectProxy):
        Instrumentor().instrument(**telemetry.providers)
        with client("openai", provider.url) as of:
            usage = {"include_usage": True}
            list(of.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True, stream_options=usage))
        Instrumentor().uninstrument()

    assert provider.handed_out.output_tokens == telemetry.told()["gen_ai.usage.output_tokens"]


@pytest.mark.parametrize("ours", ["Instrumentor().instrument()", "RollupProcessor()"])
def test_what_openai_looks_for_is_never_found_half_imported(ours: str) -> None:
    """openai 2.5x takes a module that it finds in sys.modules for a whole one; our price list imports it."""
    if find_spec("openai._httpx2") is None:
        pytest.skip(f"openai {openai.__version__} does not look for httpx2")
    program = f"import sys, tracetoll; tracetoll.{ours}; import openai; print('httpx2' in sys.modules)"

    printed = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, encoding="utf-8").stdout

    assert "True" == printed.strip()


def test_the_request_is_made_inside_the_span(provider: LocalProvider, instrumented: Telemetry) -> None:
    seen = []
    with client("openai", provider.url) as of:
        hook(of, lambda _: seen.append(trace.get_current_span().get_span_context()))
        of.chat.completions.create(model="gpt-4o", messages=MESSAGES)

    assert [instrumented.only_span().context] == seen
    assert not trace.get_current_span().get_span_context().is_valid


class Unusable:
    """A meter provider that has no meters."""

    def get_meter(self, *_: object, **__: object) -> None:
        raise ZeroDivisionError


def test_where_we_cannot_begin_calls_go_through_as_if_we_were_not_there(
    provider: LocalProvider, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("TRACETOLL_RAISE_FAULTS")
    Instrumentor().instrument(meter_provider=Unusable())  # type: ignore[arg-type]  # nothing is right with it
    try:
        with client("openai", provider.url) as of:
            answer = of.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
    finally:
        Instrumentor().uninstrument()

    assert provider.handed_out.input_tokens == answer.usage.prompt_tokens
    assert "tracetoll failed while instrumenting" in caplog.text
