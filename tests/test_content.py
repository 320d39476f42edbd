"""No content leaves unless it is switched on; and then it has upstream's shape."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import openai
import pytest
from surfaces import client

from tracetoll.local_provider import LocalProvider, Reply, ToolCall, ToolCalls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Telemetry

SECRET, ANSWER = "the-secret-question", "the-secret-answer"
MESSAGES: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": SECRET}]
KEY = "a secret of more than sixteen characters"


@pytest.fixture
def provider() -> Iterator[LocalProvider]:
    with LocalProvider(script=lambda _: ANSWER) as running:
        yield running


def everything(telemetry: Telemetry) -> str:
    """Return all that was told, as one text."""
    spans = [
        f"{span.name}{dict(span.attributes or {})}{span.events}{span.status.description}" for span in telemetry.spans
    ]
    logs = [f"{log.body}{dict(log.attributes or {})}" for log in telemetry.logs]
    return "".join([*spans, *logs, str(telemetry.metrics())])


def ask_everything(provider: LocalProvider) -> None:
    with client("openai", provider.url) as of:
        of.chat.completions.create(model="gpt-4o", messages=MESSAGES)
        list(of.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True))
        of.embeddings.create(model="text-embedding-3-small", input=SECRET)
        provider.enqueue(Reply.openai_error(400, "invalid_value", f"Invalid value: '{SECRET}'"))
        with pytest.raises(openai.BadRequestError):
            of.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    with client("anthropic", provider.url) as of:
        of.messages.create(model="claude-haiku-4-5", max_tokens=50, messages=MESSAGES[1:])
        with of.messages.stream(model="claude-haiku-4-5", max_tokens=50, messages=MESSAGES[1:]) as stream:
            stream.until_done()


def test_nothing_of_prompt_or_answer_leaves_by_default(
    provider: LocalProvider, instrument: Callable[..., Telemetry]
) -> None:
    telemetry = instrument(usage_log=True)

    ask_everything(provider)

    told = everything(telemetry)
    assert SECRET not in told
    assert ANSWER not in told
    assert 6 == len(telemetry.spans)


def test_an_error_is_told_by_class_status_and_code(provider: LocalProvider, instrumented: Telemetry) -> None:
    provider.enqueue(Reply.openai_error(400, "invalid_value", "no"))
    with client("openai", provider.url) as of, pytest.raises(openai.BadRequestError):
        of.chat.completions.create(model="gpt-4o", messages=MESSAGES)

    span = instrumented.only_span()
    assert "invalid_value" == dict(span.attributes or {})["error.type"]
    assert "openai.BadRequestError (HTTP 400)" == span.status.description


@pytest.mark.parametrize("mode", ["span_only", "event_only", "span_and_event"])
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_content_goes_where_the_variable_says(
    mode: str, streamed: bool, provider: LocalProvider, instrument: Callable[..., Telemetry]
) -> None:
    telemetry = instrument(content=mode)

    with client("openai", provider.url) as of:
        answer = of.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=streamed)
        _ = list(answer) if streamed else answer

    on_span = dict(telemetry.only_span().attributes or {})
    in_events = [dict(log.attributes or {}) for log in telemetry.logs]
    asked = [
        {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
        {"role": "user", "parts": [{"type": "text", "content": SECRET}]},
    ]
    answered = [{"role": "assistant", "parts": [{"type": "text", "content": ANSWER}]}]
    if mode == "event_only":
        assert "gen_ai.input.messages" not in on_span
    else:
        assert asked == json.loads(on_span["gen_ai.input.messages"])
        assert answered == json.loads(on_span["gen_ai.output.messages"])
    if mode == "span_only":
        assert [] == in_events
    else:
        (event,) = in_events
        assert SECRET in str(event["gen_ai.input.messages"])
        assert ANSWER in str(event["gen_ai.output.messages"])


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_tool_calls_and_thinking_are_parts_of_a_message(streamed: bool, instrument: Callable[..., Telemetry]) -> None:
    telemetry = instrument(content="span_only")
    tools: Any = [{"name": "toll_of", "description": "d", "input_schema": {"type": "object", "properties": {}}}]
    asked: Any = [{"role": "user", "content": [{"type": "text", "text": SECRET}]}]
    calls = ToolCalls((ToolCall("toll_of", {"bridge": "red"}),))

    with LocalProvider(script=lambda _: calls) as provider, client("anthropic", provider.url) as of:
        answer = of.messages.create(
            model="claude-haiku-4-5", max_tokens=50, messages=asked, tools=tools, system="Count.", stream=streamed
        )
        _ = list(answer) if streamed else answer

    told = dict(telemetry.only_span().attributes or {})
    (message,) = json.loads(told["gen_ai.output.messages"])
    (call,) = [part for part in message["parts"] if part["type"] == "tool_call"]
    arguments = call["arguments"]
    assert {"bridge": "red"} == (json.loads(arguments) if isinstance(arguments, str) else arguments)
    assert [{"type": "text", "content": "Count."}] == json.loads(told["gen_ai.system_instructions"])
    assert "toll_of" == json.loads(told["gen_ai.tool.definitions"])[0]["name"]


def test_responses_have_their_content_too(provider: LocalProvider, instrument: Callable[..., Telemetry]) -> None:
    telemetry = instrument(content="span_only")

    with client("openai", provider.url) as of:
        if not hasattr(of, "responses"):
            pytest.skip("this openai has no Responses API")
        of.responses.create(model="gpt-4o", input=SECRET, instructions="Be brief.")
        list(of.responses.create(model="gpt-4o", input=SECRET, stream=True))

    for span in telemetry.spans:
        told = dict(span.attributes or {})
        assert SECRET == json.loads(told["gen_ai.input.messages"])[0]["parts"][0]["content"]
        assert ANSWER in told["gen_ai.output.messages"]


def test_equal_prompts_have_equal_fingerprints_under_one_key(
    provider: LocalProvider, instrument: Callable[..., Telemetry]
) -> None:
    telemetry = instrument(prompt_fingerprint_key=KEY)

    with client("openai", provider.url) as of:
        for question in (SECRET, SECRET, "another"):
            of.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": question}])

    first, second, third = (dict(span.attributes or {})["tracetoll.prompt.fingerprint"] for span in telemetry.spans)
    assert first == second
    assert first != third
    assert SECRET not in everything(telemetry)


def test_there_is_no_fingerprint_without_a_key(provider: LocalProvider, instrumented: Telemetry) -> None:
    with client("openai", provider.url) as of:
        of.chat.completions.create(model="gpt-4o", messages=MESSAGES)

    assert "tracetoll.prompt.fingerprint" not in dict(instrumented.only_span().attributes or {})
