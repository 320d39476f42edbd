"""The contract, one for all: every surface of every SDK, asked in every way."""

from __future__ import annotations

import importlib
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from openai import NotFoundError
from opentelemetry.trace import SpanKind, StatusCode
from surfaces import CHAT, CLAUDE, EMBEDDINGS, MESSAGES, OTHERS, SDKS, SURFACES, Case, both, cases, client, found

from tracetoll.local_provider import HandedOut, Reply
from tracetoll.providers.index import KNOWN
from tracetoll.providers.words import Observed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from conftest import Telemetry
    from opentelemetry.sdk.trace import ReadableSpan

    from tracetoll.local_provider import LocalProvider

USAGE = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cache_read": "gen_ai.usage.cache_read.input_tokens",
    "cache_write": "gen_ai.usage.cache_write.input_tokens",
    "reasoning": "gen_ai.usage.reasoning.output_tokens",
}
COUNTERS = {
    "input_tokens": "gen_ai.client.inference.usage.input_tokens",
    "output_tokens": "gen_ai.client.inference.usage.output_tokens",
    "cache_read": "gen_ai.client.inference.usage.cache_read.input_tokens",
    "cache_write": "gen_ai.client.inference.usage.cache_write.input_tokens",
    "reasoning": "gen_ai.client.inference.usage.reasoning.output_tokens",
}

every_case = pytest.mark.parametrize("case", cases(SURFACES))


def reported(span: ReadableSpan) -> HandedOut:
    """Return the usage that a span reports."""
    told = span.attributes or {}
    counts = {ours: told[name] for ours, name in USAGE.items() if name in told}
    return HandedOut(calls=1 if counts else 0, **counts)


def beginning_with(told: Mapping[str, Any], *prefixes: str) -> dict[str, Any]:
    return {name: value for name, value in told.items() if name.startswith(prefixes)}


def labels(case: Case, url: str) -> dict[str, Any]:
    """Return the attributes that all telemetry of a call has."""
    return {
        "gen_ai.operation.name": case.surface.operation,
        "gen_ai.provider.name": case.surface.of.provider,
        **case.surface.model_told,
        **({"server.address": "127.0.0.1", "server.port": urlsplit(url).port} if case.surface.of.tells_host else {}),
    }


def on_the_wire(reply: Reply, names: tuple[str, ...] | None, otherwise: str | None) -> Any:
    """Return what the first part of a reply that tells it says of the answer; None if none does."""
    parts = [event[1] if isinstance(event, tuple) else event for event in reply.events or [reply.json]]
    wrapped = ("response", "message", "interaction")
    inner = [next((part[one] for one in wrapped if part.get(one)), part) for part in parts if isinstance(part, dict)]
    told = (at(part, name) for part in (*inner, *parts) for name in (names or (otherwise,) if names != () else ()))
    return next((one for one in told if isinstance(one, str)), None)


def at(part: Any, name: str | None) -> Any:
    """Return what stands at a dotted path, in which a number is a place in a list."""
    for key in (name or "").split("."):
        part = part.get(key) if isinstance(part, dict) else part[int(key)] if isinstance(part, list) else None
    return part


def test_every_provider_is_held_to_the_contract() -> None:
    assert set() == KNOWN.keys() - SDKS.keys()


def test_every_seam_that_observes_is_held_as_one() -> None:
    held = {where for sdk in SDKS.values() if sdk.observed for where in sdk.patched}
    files = [importlib.import_module(f"tracetoll.providers.{name}") for name in KNOWN]
    seams = [seam for file in files for seam in file.SEAMS if isinstance(seam, Observed)]

    assert seams
    for seam in seams:
        owners = [f"{name}." for name in seam.classes] or [""]
        places = {f"{module}:{owner}{seam.method}" for module in seam.modules for owner in owners}
        assert places & held


@every_case
def test_each_call_is_one_span_with_the_providers_own_numbers(
    case: Case, provider: LocalProvider, instrumented: Telemetry
) -> None:
    for number in (1, 2):  # the second call finds its prompt in the cache
        before = provider.handed_out

        case.ask(provider.url)

        assert number == len(instrumented.spans)
        assert provider.handed_out - before == reported(instrumented.spans[-1])


@every_case
def test_a_span_says_what_was_asked(case: Case, provider: LocalProvider, instrumented: Telemetry) -> None:
    case.ask(provider.url)

    span = instrumented.only_span()
    told = dict(span.attributes or {})
    asked = {**case.surface.model_told, **case.surface.span}
    if case.streamed:
        asked["gen_ai.request.stream"] = True
    assert " ".join(filter(None, (case.surface.operation, case.surface.model))) == span.name
    assert SpanKind.CLIENT == span.kind
    assert StatusCode.UNSET == span.status.status_code
    assert beginning_with(asked, "gen_ai.request.") == beginning_with(told, "gen_ai.request.")
    assert {**told, **asked, **labels(case, provider.url)} == told


@every_case
def test_a_span_says_what_was_answered(
    case: Case, provider: LocalProvider, instrumented: Telemetry, replies: list[Reply]
) -> None:
    case.ask(provider.url)

    told = instrumented.told()
    sdk, reply = case.surface.of, replies[0]
    identity = on_the_wire(reply, case.surface.answer_id, sdk.answer_id)
    assert case.surface.own_ids or identity == told.get("gen_ai.response.id")
    assert on_the_wire(reply, case.surface.answer_model, sdk.answer_model) == told.get("gen_ai.response.model")
    assert case.surface.finish == told.get("gen_ai.response.finish_reasons")
    assert {} == beginning_with(told, "error.", "tracetoll.call.outcome", "tracetoll.usage.source")
    request_id = next((reply.headers[name] for name in sdk.request_id if name in reply.headers), None)
    assert request_id == told.get("tracetoll.request.id")


@every_case
def test_metrics_agree_with_the_provider(case: Case, provider: LocalProvider, instrumented: Telemetry) -> None:
    for _ in (1, 2):
        case.ask(provider.url)

    metrics = instrumented.metrics()
    used = provider.handed_out
    durations = metrics["gen_ai.client.operation.duration"]
    assert (2 if case.surface.in_metrics else 0) == sum(point.count for point in durations)
    assert all({**point.attributes, **labels(case, provider.url)} == point.attributes for point in durations)
    by_type = dict.fromkeys(("input", "output"), 0)
    for point in metrics["gen_ai.client.token.usage"]:
        by_type[point.attributes["gen_ai.token.type"]] += point.sum
        assert used.calls == point.count
    assert {"input": used.input_tokens, "output": used.output_tokens} == by_type
    counted = {ours: sum(point.value for point in metrics[name]) for ours, name in COUNTERS.items()}
    assert (asdict(used) if case.surface.in_counters else asdict(HandedOut(calls=used.calls))) == {
        "calls": used.calls,
        **counted,
    }


@every_case
def test_the_time_to_the_first_chunk_is_told_of_streams_only(
    case: Case, provider: LocalProvider, instrumented: Telemetry
) -> None:
    case.ask(provider.url)

    points = instrumented.metrics()["gen_ai.client.operation.time_to_first_chunk"]
    assert case.streamed == ("gen_ai.response.time_to_first_chunk" in instrumented.told())
    assert (1 if case.streamed else 0) == sum(point.count for point in points)


@pytest.mark.parametrize("case", cases(SURFACES, both("whole", "stream", "raw stream")))
def test_the_cost_metric_is_the_sum_of_the_spans_costs(
    case: Case, provider: LocalProvider, instrumented: Telemetry
) -> None:
    for _ in (1, 2):
        case.ask(provider.url)

    costs = [(span.attributes or {}).get("tracetoll.cost.amount", 0) for span in instrumented.spans]
    total = sum(point.value for point in instrumented.metrics()["tracetoll.cost"])
    assert pytest.approx(sum(costs), rel=1e-12) == total
    assert (total > 0) == (case.surface.priced and provider.handed_out.calls > 0)


@every_case
def test_the_application_sees_what_it_sees_without_us(
    case: Case, provider: LocalProvider, instrument: Callable[..., Telemetry], replies: list[Reply]
) -> None:
    without = case.ask(provider.url)
    telemetry = instrument()

    seen = case.ask(provider.url)

    assert replies
    assert without == seen
    assert without.error is None
    assert 1 == len(telemetry.spans)


def test_the_modalities_that_a_provider_tells_are_kept_apart(provider: LocalProvider, instrumented: Telemetry) -> None:
    with client("openai", provider.url) as asked:
        asked.images.generate(model="gpt-image-1", prompt="a toll bridge", quality="low")

    told = instrumented.told()
    assert (7, 272) == (told["gen_ai.usage.text.input_tokens"], told["gen_ai.usage.image.output_tokens"])
    counters = instrumented.metrics()
    assert {"text": 7, "unknown": 0} == by_modality(counters[COUNTERS["input_tokens"]])
    assert {"image": 272, "unknown": 0} == by_modality(counters[COUNTERS["output_tokens"]])


def by_modality(points: list[Any]) -> dict[str, int]:
    return {point.attributes["gen_ai.token.modality"]: point.value for point in points}


def test_seconds_of_audio_are_no_tokens(provider: LocalProvider, instrumented: Telemetry) -> None:
    with client("openai", provider.url) as asked:
        asked.audio.transcriptions.create(model="whisper-1", file=("toll.wav", b"RIFF" * 20_000))

    told = instrumented.told()
    assert 5.0 == told["tracetoll.usage.audio.seconds"]
    assert {} == beginning_with(told, "gen_ai.usage.")
    assert 0.0005 == told["tracetoll.cost.amount"]


@pytest.mark.parametrize("case", cases((CHAT, CLAUDE), both("whole", "stream", "raw")))
def test_asking_for_tools_is_told_as_the_reason_to_finish(
    case: Case, provider: LocalProvider, instrumented: Telemetry
) -> None:
    schema = {"type": "object", "properties": {}}
    tools = {
        "openai": [{"type": "function", "function": {"name": "weather", "parameters": schema}}],
        "anthropic": [{"name": "weather", "input_schema": schema}],
    }
    messages = [{"role": "user", "content": "call weather {}"}]
    arguments = {**case.surface.arguments, "messages": messages, "tools": tools[case.surface.sdk]}
    asking = replace(case, surface=replace(case.surface, arguments=arguments))

    asking.ask(provider.url)

    expected = {"openai": ("tool_calls", "tool_calls"), "anthropic": ("tool_call",)}[case.surface.sdk]
    assert expected == instrumented.told()["gen_ai.response.finish_reasons"]


@pytest.mark.parametrize("case", cases((CHAT, CLAUDE), both("whole", "stream")))
def test_what_goes_through_extra_body_was_asked_too(
    case: Case, provider: LocalProvider, instrumented: Telemetry
) -> None:
    arguments = {
        "model": case.surface.model,
        "messages": MESSAGES,
        "max_tokens": 100,
        "extra_body": {"temperature": 0.25, "max_tokens": 50},
    }
    asking = replace(case, surface=replace(case.surface, arguments=arguments))

    asking.ask(provider.url)

    told = instrumented.told()
    assert (0.25, 50) == (told.get("gen_ai.request.temperature"), told["gen_ai.request.max_tokens"])


RETRYING = [one for one in cases((CHAT, EMBEDDINGS, CLAUDE, *OTHERS), both("whole")) if one.values[0].retries]


@pytest.mark.parametrize("case", RETRYING)
def test_all_attempts_are_one_call(case: Case, provider: LocalProvider, instrumented: Telemetry) -> None:
    soon = {"retry-after-ms": "1"}
    provider.enqueue(Reply(500, json={}, headers=soon), Reply(429, json={}, headers=soon))

    case.ask(provider.url, **case.surface.of.retrying or {})

    assert 3 == len(provider.requests)
    assert 3 == instrumented.told()["tracetoll.attempt_count"]
    assert provider.handed_out == reported(instrumented.only_span())


REJECTING = [one for one in (CHAT, CLAUDE, *OTHERS) if one.of.rejected is not None]


@pytest.mark.parametrize("case", cases(REJECTING, both("whole", "stream")))
@pytest.mark.parametrize("status", [400, 429, 500])
def test_an_error_of_the_provider_fails_the_call_and_reaches_the_application(
    status: int, case: Case, provider: LocalProvider, instrument: Callable[..., Telemetry]
) -> None:
    sdk = case.surface.of
    assert sdk.rejected is not None
    rejected = sdk.rejected(status)
    provider.on("", lambda _: rejected)  # as often as an SDK asks that cannot be told to ask once
    without = case.ask(provider.url)
    telemetry = instrument()

    seen = case.ask(provider.url)

    assert without == seen
    raised = None if seen.error is None else seen.error[0]
    assert raised is None if sdk.error is None else issubclass(raised or object, getattr(*found(sdk.error)))
    span, told = telemetry.only_span(), telemetry.told()
    assert StatusCode.ERROR is span.status.status_code
    kind = "" if raised is None else f"{raised.__module__}.{raised.__qualname__}".removeprefix("builtins.")
    assert ("failed", sdk.error_type.format(status, kind=kind)) == (told["tracetoll.call.outcome"], told["error.type"])
    assert HandedOut() == provider.handed_out == reported(span)
    assert "tracetoll.usage.source" not in told


def test_a_request_to_another_endpoint_is_no_call(provider: LocalProvider, instrumented: Telemetry) -> None:
    with client("openai", provider.url) as asked, pytest.raises(NotFoundError):
        asked.models.list()

    assert () == instrumented.spans
