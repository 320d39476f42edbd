"""No content and no secret comes through, whoever wrote it where; what is needed to count stays."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anthropic
import kit as parts
import openai
import pytest
import stack
from opentelemetry._logs import LogRecord, SeverityNumber
from receivers import GrpcReceiver
from senders import application

from tracetoll import agent, tool
from tracetoll.local_provider import LocalProvider, Reply, ToolCall, ToolCalls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from senders import Application

    from tracetoll.local_provider import Received

CONTENT = "the bishop crosses at midnight"
KEYS = {
    "OpenAI": "sk-proj-AbCdEfGhIjKlMnOpQrStUvWx0123",
    "Anthropic": "sk-ant-api03-ZyXwVuTsRqPoNmLkJiHgFeDc",
    "Bearer": "Bearer abcdef0123456789abcdef",
    "Amazon": "AKIAABCDEFGHIJKLMNOP",
    "Google": "AIzaSyA0123456789abcdefghijklmnopqrstu",
    "GitHub": "ghp_0123456789abcdefghijABCDEFGHIJ456789",
    "JWT": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ0b2xsIn0.c2lnbmF0dXJlLWlzLWhlcmU",
}
# Where other packages put content, by what they call it; a part of each name's family.
ELSEWHERE = {
    "OpenLLMetry": ["gen_ai.prompt.0.content", "gen_ai.completion.0.content", "traceloop.entity.input", "llm.prompts"],
    "OpenInference": [
        "input.value",
        "output.value",
        "llm.input_messages.0.message.content",
        "llm.output_messages.0.message.contents.1.message_content.text",
        "llm.tools.0.tool.json_schema",
        "llm.invocation_parameters",
        "llm.prompt_template.variables",
        "retrieval.documents.0.document.content",
        "embedding.embeddings.0.embedding.text",
        "tool.parameters",
    ],
    "upstream": ["gen_ai.tool.call.arguments", "gen_ai.tool.call.result", "gen_ai.prompt.variable.name"],
    "Langfuse": ["langfuse.observation.input", "langfuse.trace.output"],
    "Logfire": ["request_data", "response_data", "all_messages_events", "prompt"],
    "Pydantic AI": ["pydantic_ai.all_messages", "final_result", "tool_arguments", "tool_response"],
    "Vercel": ["ai.prompt", "ai.prompt.messages", "ai.response.text", "ai.response.toolCalls", "ai.toolCall.args"],
    "MLflow": ["mlflow.spanInputs", "mlflow.spanOutputs"],
    "exceptions": ["exception.message", "exception.stacktrace"],
}
USAGE: Any = {"include_usage": True}
KEPT = {"gen_ai.prompt.name": "crossing", "gen_ai.prompt.version": "7", "llm.model_name": "gpt-4o", "input_tokens": 7}


# An agent, a tool and five calls; one span of each other package, one that raises, one for each key, and a URL.
SPANS = 7 + len(ELSEWHERE) + 1 + len(KEYS) + 1


@dataclass(frozen=True, slots=True)
class Through:
    """What came through: all bytes of all ways out, and the spans and log records."""

    everything: bytes
    spans: list[dict[str, Any]]
    logs: list[dict[str, Any]]


def say(received: Received) -> str | ToolCalls:
    if received.fields.get("tools") and received.fields["messages"][-1]["role"] == "user":
        return ToolCalls((ToolCall("search", {"query": CONTENT}),))
    return f"I say that {CONTENT}."


def talk(provider: LocalProvider) -> None:
    """Have content in prompts, answers, tools, instructions, streams and errors."""
    asked: list[Any] = [{"role": "system", "content": CONTENT}, {"role": "user", "content": CONTENT}]
    search: list[Any] = [{"type": "function", "function": {"name": "search", "description": CONTENT}}]
    with (
        openai.OpenAI(base_url=f"{provider.url}/v1", api_key=KEYS["OpenAI"], max_retries=0) as one,
        anthropic.Anthropic(base_url=provider.url, api_key=KEYS["Anthropic"], max_retries=0) as other,
    ):
        one.chat.completions.create(model="gpt-4o", messages=asked, tools=search)
        list(one.chat.completions.create(model="gpt-4o", messages=asked, stream=True, stream_options=USAGE))
        one.responses.create(model="gpt-4o", instructions=CONTENT, input=CONTENT)
        other.messages.create(model="claude-haiku-4-5", max_tokens=99, system=CONTENT, messages=asked[1:])
        provider.enqueue(Reply.openai_error(400, "bad_request", f"cannot answer {CONTENT} with key {KEYS['OpenAI']}"))
        with suppress(openai.BadRequestError):
            one.chat.completions.create(model="gpt-4o", messages=asked)


def by_others(made: Application) -> None:
    """Write content and secrets by hand under the names of others: attributes, events, log records, statuses."""
    tracer = made.tracer_provider.get_tracer("somebody.else")
    logger = made.logger_provider.get_logger("somebody.else")
    for names in ELSEWHERE.values():
        with tracer.start_as_current_span("else", attributes=dict.fromkeys(names, CONTENT) | KEPT) as span:
            span.add_event("gen_ai.user.message", {"content": CONTENT})
            span.add_event("gen_ai.content.prompt", {"gen_ai.prompt": CONTENT})
    with suppress(RuntimeError), tracer.start_as_current_span("raises"):
        raise RuntimeError(CONTENT)
    for owner, key in KEYS.items():
        headers = {"note": f"{owner} {key} it is", "http.request.header.authorization": "opaque-" + key}
        with tracer.start_as_current_span("secret", attributes=headers):
            pass
    with tracer.start_as_current_span("url", attributes={"url.full": "https://u:hunter2@h/v1?key=opensesame&x=1"}):
        pass
    for event in ("gen_ai.user.message", "gen_ai.choice"):
        body: Any = {"content": CONTENT}
        logger.emit(LogRecord(body=body, event_name=event, severity_number=SeverityNumber.INFO))
    logger.emit(
        LogRecord(body=f"key {KEYS['GitHub']}", severity_number=SeverityNumber.INFO, attributes={"kept": "yes"})
    )


@pytest.fixture(scope="module")
def through(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Through]:
    parts.need("collector")
    folder = tmp_path_factory.mktemp("redaction")
    with GrpcReceiver() as receiver, LocalProvider(script=say) as provider:
        settings = {"KIT_JAEGER": receiver.url.removeprefix("http://"), "KIT_KEEP_PERCENT": 100}
        collector = parts.collector(folder, **settings)
        with collector:
            with (
                pytest.MonkeyPatch.context() as patch,
                application(collector, "chatty", content="span_and_event", usage_log=True) as made,
            ):
                patch.setenv("NO_PROXY", "*")
                with agent("gossip"), tool("listen"):
                    talk(provider)
                by_others(made)
            stack.until(lambda: len(parts.spans(folder / "traces.jsonl")) == SPANS, parts.SOON_S, "spans")
            stack.until(lambda: parts.lines(folder / "logs.jsonl"), parts.SOON_S, "log records")
            metrics = stack.get(f"http://{collector.metrics}/metrics")
        sent_on = b"".join(request.SerializeToString() for request in receiver.received.traces)
        files = b"".join((folder / name).read_bytes() for name in ("traces.jsonl", "logs.jsonl"))
        records = [
            record
            for line in parts.lines(folder / "logs.jsonl")
            for resource in line["resourceLogs"]
            for scope in resource["scopeLogs"]
            for record in scope["logRecords"]
        ]
        log = collector.log.read_bytes()
        yield Through(sent_on + files + metrics + log, parts.spans(folder / "traces.jsonl"), records)


def test_content_was_there_to_be_removed(instrument: Any) -> None:
    telemetry = instrument(content="span_and_event", usage_log=True)
    with LocalProvider(script=say) as provider:
        talk(provider)

    assert sum(CONTENT in str(dict(span.attributes or {})) for span in telemetry.spans) >= 4
    assert sum(CONTENT in str(record.attributes) for record in telemetry.logs) >= 4


def test_no_content_comes_through(through: Through) -> None:
    assert b"bishop" not in through.everything
    assert CONTENT.encode() not in through.everything


@pytest.mark.parametrize("owner", KEYS)
def test_no_key_comes_through(through: Through, owner: str) -> None:
    secret = KEYS[owner].removeprefix("Bearer ")

    assert secret.encode() not in through.everything


@pytest.mark.parametrize("secret", ["hunter2", "opensesame", "opaque-"])
def test_no_password_comes_through(through: Through, secret: str) -> None:
    assert secret.encode() not in through.everything


def test_what_is_needed_to_count_stays(through: Through) -> None:
    told = [parts.attributes(span) for span in through.spans]

    calls = [one for one in told if "gen_ai.usage.input_tokens" in one]
    assert 4 == len(calls)
    assert {"gen_ai.response.model", "tracetoll.cost.amount"} <= set(calls[0])
    assert len(ELSEWHERE) == sum(set(KEPT.items()) <= set(one.items()) for one in told if "llm.model_name" in one)
    assert ["bad_request"] == [
        one["error.type"] for one in told if one.get("error.type", "RuntimeError") != "RuntimeError"
    ]


def test_log_records_stay_without_their_content(through: Through) -> None:
    names = [record.get("eventName") for record in through.logs]

    assert 5 == names.count("tracetoll.usage")
    assert 5 == names.count("gen_ai.client.inference.operation.details")
    assert "gen_ai.choice" in names
