"""What the demo spends is found in Jaeger by its tokens, and adds up in Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import kit as parts
import pytest
import stack

if TYPE_CHECKING:
    from conftest import Spent
    from kit import Kit

COUNTERS = {
    "input_tokens": "gen_ai_client_inference_usage_input_tokens_total",
    "output_tokens": "gen_ai_client_inference_usage_output_tokens_total",
    "cache_read": "gen_ai_client_inference_usage_cache_read_input_tokens_total",
    "cache_write": "gen_ai_client_inference_usage_cache_write_input_tokens_total",
    "reasoning": "gen_ai_client_inference_usage_reasoning_output_tokens_total",
}


def settled(kit: Kit, expression: str, expected: float) -> float:
    """Return the value that an expression comes to, after giving it time to become the expected one."""
    try:
        stack.until(lambda: kit.number(expression) == expected, parts.SOON_S, expression)
    except TimeoutError:
        return kit.number(expression)
    return expected


def demo_root(spent: Spent) -> dict[str, Any]:
    (root,) = [span for span in spent.demo if span["parent_id"] is None]
    return root


@pytest.mark.parametrize(("count", "counter"), COUNTERS.items())
def test_prometheus_has_what_the_provider_handed_out_to_the_token(
    kit: Kit, spent: Spent, count: str, counter: str
) -> None:
    expected = getattr(spent.application, count)

    assert expected == settled(kit, f'sum({counter}{{job="river-office"}})', expected) > 0


def test_all_services_together_come_to_all_that_was_handed_out(kit: Kit, spent: Spent) -> None:
    both = f"sum({COUNTERS['input_tokens']}) + sum({COUNTERS['output_tokens']})"

    assert spent.tokens == settled(kit, both, spent.tokens)


def test_prometheus_counts_the_calls(kit: Kit, spent: Spent) -> None:
    counted = 'sum(gen_ai_client_token_usage_count{job="river-office", gen_ai_token_type="input"})'

    assert spent.application.calls == settled(kit, counted, spent.application.calls)


def test_jaeger_finds_a_call_by_its_input_tokens(kit: Kit, spent: Spent) -> None:
    name = "gen_ai.usage.input_tokens"
    call = max((span for span in spent.demo if name in span["attributes"]), key=lambda span: span["attributes"][name])
    tokens = call["attributes"][name]

    traces = stack.until(
        lambda: kit.traces("tracetoll-demo", gen_ai__usage__input_tokens=tokens), parts.SOON_S, "the call in Jaeger"
    )

    (trace,) = traces
    (found,) = [span for span in trace["spans"] if parts.tags(span).get(name) == tokens]
    assert call["context"]["span_id"].removeprefix("0x") == found["spanID"]
    assert call["attributes"]["gen_ai.response.model"] == parts.tags(found)["gen_ai.response.model"]


def test_jaeger_finds_a_trace_by_its_total(kit: Kit, spent: Spent) -> None:
    root = demo_root(spent)
    total = root["attributes"]["tracetoll.rollup.total_tokens"]
    calls = [span["attributes"] for span in spent.demo if "gen_ai.usage.input_tokens" in span["attributes"]]

    traces = stack.until(
        lambda: kit.traces("tracetoll-demo", tracetoll__rollup__total_tokens=total), parts.SOON_S, "the total in Jaeger"
    )

    assert sum(one["gen_ai.usage.input_tokens"] + one["gen_ai.usage.output_tokens"] for one in calls) == total
    assert [root["context"]["trace_id"].removeprefix("0x")] == [trace["traceID"] for trace in traces]
    (found,) = [span for span in traces[0]["spans"] if not span["references"]]
    assert total == parts.tags(found)["tracetoll.rollup.total_tokens"]
    assert root["attributes"]["tracetoll.rollup.cost.amount"] == parts.tags(found)["tracetoll.rollup.cost.amount"]


def test_jaeger_has_every_span_of_the_demo(kit: Kit, spent: Spent) -> None:
    root = demo_root(spent)
    trace_id = root["context"]["trace_id"].removeprefix("0x")

    def spans() -> list[str]:
        trace = stack.get_json(f"{kit.jaeger.url}/api/traces/{trace_id}")["data"][0]
        return sorted(span["spanID"] for span in trace["spans"])

    expected = sorted(span["context"]["span_id"].removeprefix("0x") for span in spent.demo)
    assert stack.until(lambda: spans() == expected, parts.SOON_S, "the demo's spans in Jaeger")


def test_jaeger_finds_the_trace_that_a_limit_ended(kit: Kit, spent: Spent) -> None:
    assert spent.tokens

    found = stack.until(
        lambda: kit.traces("tracetoll-demo", tracetoll__budget__refused="true"), parts.SOON_S, "the refusal in Jaeger"
    )

    assert {"budget_exceeded"} == {
        parts.tags(span).get("error.type")
        for trace in found
        for span in trace["spans"]
        if parts.tags(span).get("tracetoll.budget.refused") is True
    }


def test_the_history_file_has_every_call(kit: Kit, spent: Spent) -> None:
    file = kit.collector.data / "traces.jsonl"

    def tokens() -> int:
        told = [parts.attributes(span) for span in parts.spans(file)]
        both = ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")
        return sum(one.get(name, 0) for one in told for name in both)

    assert stack.until(lambda: tokens() == spent.tokens, parts.SOON_S, "the history")


def test_a_histogram_leads_to_a_trace(kit: Kit, spent: Spent) -> None:
    assert spent.tokens

    def exemplars() -> list[dict[str, Any]]:
        query = "query=gen_ai_client_operation_duration_seconds_bucket&start=0&end=9999999999"
        found: list[dict[str, Any]] = stack.get_json(f"{kit.prometheus.url}/api/v1/query_exemplars?{query}")["data"]
        return found

    found = stack.until(exemplars, parts.SOON_S, "exemplars")

    trace_id = found[0]["exemplars"][0]["labels"]["trace_id"]
    assert stack.get_json(f"{kit.jaeger.url}/api/traces/{trace_id}")["data"]
