"""What is made now and told later: background responses, runs, batches. Counted once, wherever it is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from surfaces import client

from tracetoll import Instrumentor
from tracetoll.local_provider import Reply

if TYPE_CHECKING:
    from conftest import Telemetry

    from tracetoll.local_provider import LocalProvider

INPUT = "gen_ai.usage.input_tokens"


def inputs(telemetry: Telemetry) -> list[Any]:
    return [dict(span.attributes or {}).get(INPUT) for span in telemetry.spans]


def with_responses(of: Any) -> Any:
    if not hasattr(of, "responses"):
        pytest.skip("this openai has no Responses API")
    return of.responses


def test_a_background_response_is_counted_when_it_is_seen_done(
    provider: LocalProvider, instrumented: Telemetry
) -> None:
    with client("openai", provider.url) as of:
        responses = with_responses(of)
        made = responses.create(model="gpt-4o", input="hi", background=True)
        while made.status in {"queued", "in_progress"}:
            made = responses.retrieve(made.id)
        responses.retrieve(made.id)

    told = inputs(instrumented)
    assert [provider.handed_out.input_tokens] == [count for count in told if count is not None]
    assert told[0] is None
    assert told[-1] is None
    assert {"fetch_response"} == {span.name for span in instrumented.spans[1:]}
    assert "tracetoll.usage.missing" not in instrumented.metrics()


def test_an_answered_response_is_not_counted_again_when_it_is_retrieved(
    provider: LocalProvider, instrumented: Telemetry
) -> None:
    with client("openai", provider.url) as of:
        responses = with_responses(of)
        made = responses.create(model="gpt-4o", input="hi")
        responses.retrieve(made.id)

    assert [made.usage.input_tokens, None] == inputs(instrumented)
    assert made.id == dict(instrumented.spans[1].attributes or {})["gen_ai.response.id"]


def test_a_response_whose_stream_was_left_is_counted_when_it_is_retrieved(
    provider: LocalProvider, instrumented: Telemetry
) -> None:
    with client("openai", provider.url) as of:
        responses = with_responses(of)
        stream = responses.create(model="gpt-4o", input="hi", stream=True)
        created = next(stream)
        stream.close()
        provider.on("/responses/{id}", lambda _: finished(created.response.id))
        responses.retrieve(created.response.id)

    assert [None, 11] == inputs(instrumented)


def finished(identity: str) -> Reply:
    usage = {"input_tokens": 11, "output_tokens": 5, "total_tokens": 16}
    return Reply(
        json={
            "id": identity,
            "object": "response",
            "created_at": 1,
            "status": "completed",
            "model": "gpt-4o",
            "output": [],
            "usage": usage,
        }
    )


@pytest.mark.filterwarnings("ignore:.*Assistants API.*:DeprecationWarning")
def test_an_assistants_run_is_counted_once_however_often_it_is_polled(
    provider: LocalProvider, instrumented: Telemetry
) -> None:
    with client("openai", provider.url) as of:
        run = of.beta.threads.runs.create(thread_id="thread_1", assistant_id="asst_1", model="gpt-4o")
        for _ in range(4):
            run = of.beta.threads.runs.retrieve(run.id, thread_id="thread_1")

    assert "completed" == run.status
    assert [run.usage.prompt_tokens] == [count for count in inputs(instrumented) if count is not None]


def test_a_batch_is_counted_once_when_it_is_seen_completed(provider: LocalProvider, instrumented: Telemetry) -> None:
    with client("openai", provider.url) as of:
        batch = of.batches.create(input_file_id="file_1", endpoint="/v1/chat/completions", completion_window="24h")
        of.batches.retrieve(batch.id)
        of.batches.retrieve(batch.id)

    assert [provider.handed_out.input_tokens] == [count for count in inputs(instrumented) if count is not None]


def test_a_batch_that_was_never_seen_pending_is_not_counted(provider: LocalProvider, instrumented: Telemetry) -> None:
    with client("openai", provider.url) as of:
        of.batches.retrieve(made_elsewhere(provider))

    assert [None] == inputs(instrumented)


def made_elsewhere(provider: LocalProvider) -> str:
    """Return the id of a batch that another process made."""
    patches = Instrumentor().patches
    assert patches is not None
    patches.switch.on = False
    with client("openai", provider.url) as other:
        made: str = other.batches.create(
            input_file_id="file_1", endpoint="/v1/chat/completions", completion_window="24h"
        ).id
    patches.switch.on = True
    return made


def test_each_line_of_a_batchs_results_is_a_call_of_its_own_once(
    provider: LocalProvider, instrumented: Telemetry
) -> None:
    with client("anthropic", provider.url) as of:
        if not hasattr(of.messages, "batches"):
            pytest.skip("this anthropic has no message batches")
        params = {"model": "claude-haiku-4-5", "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}]}
        batch = of.messages.batches.create(requests=[{"custom_id": name, "params": params} for name in "ab"])
        first = list(of.messages.batches.results(batch.id))
        list(of.messages.batches.results(batch.id))

    chats = [span for span in instrumented.spans if span.name.startswith("chat claude-haiku-4-5")]
    assert ["a", "b"] == [line.custom_id for line in first]
    assert 2 == len(chats)
    assert provider.handed_out.input_tokens == sum(dict(span.attributes or {})[INPUT] for span in chats)


def session(total: int | None, status: str = "idle") -> dict[str, Any]:
    usage = None
    if total is not None:
        usage = {
            "input_tokens": total,
            "input_tokens_details": {"cached_tokens": total - 8},
            "output_tokens": 5,
            "output_tokens_details": {"reasoning_tokens": 2},
            "total_tokens": total + 5,
        }
    return {
        "id": "sess_1",
        "object": "agent.session",
        "agent": {"id": "agent_1", "model": "gpt-5"},
        "status": status,
        "usage": usage,
    }


def with_sessions(of: Any) -> Any:
    if not hasattr(of.beta, "agents"):
        pytest.skip("this openai has no agents")
    return of.beta.agents.sessions


def test_a_sessions_usage_is_counted_by_what_is_new_of_it(provider: LocalProvider, instrumented: Telemetry) -> None:
    told = iter([session(None, "in_progress"), session(None, "in_progress"), session(10), session(10), session(31)])
    provider.on("/agents/sessions", lambda _: Reply(json=next(told)))
    provider.on("/agents/sessions/{id}", lambda _: Reply(json=next(told)))
    with client("openai", provider.url) as of:
        sessions = with_sessions(of)
        made = sessions.create(environment={"type": "none"}, agent={"model": "gpt-5"}, input="hi")
        for _ in range(4):
            sessions.retrieve(made.id)

    assert [None, None, 10, None, 21] == inputs(instrumented)
    first, *_, last = [dict(span.attributes or {}) for span in instrumented.spans]
    assert "gpt-5" == first["gen_ai.request.model"] == last["gen_ai.response.model"]
    assert 21 == last["gen_ai.usage.cache_read.input_tokens"]
    assert 0 == last["gen_ai.usage.output_tokens"]
    assert "tracetoll.usage.missing" not in instrumented.metrics()


def test_a_session_that_was_made_elsewhere_is_not_counted(provider: LocalProvider, instrumented: Telemetry) -> None:
    provider.on("/agents/sessions/{id}", lambda _: Reply(json=session(10)))
    with client("openai", provider.url) as of:
        sessions = with_sessions(of)
        sessions.retrieve("sess_1")

    assert [None] == inputs(instrumented)


def test_a_sessions_events_are_counted_once_with_what_is_fetched(
    provider: LocalProvider, instrumented: Telemetry
) -> None:
    def events(*totals: int | None) -> Reply:
        return Reply(
            events=[
                {"type": f"agent.session.{'idle' if total else 'created'}", "event_id": "e", "session": session(total)}
                for total in totals
            ],
            done=False,
        )

    provider.on("/agents/sessions", lambda _: events(None, 10))
    provider.on("/agents/sessions/{id}/events", lambda _: events(10, 15))
    provider.on("/agents/sessions/{id}", lambda _: Reply(json=session(15)))
    with client("openai", provider.url) as of:
        sessions = with_sessions(of)
        made = list(sessions.create(environment={"type": "none"}, agent={"model": "gpt-5"}, input="hi", stream=True))
        list(sessions.events.stream(made[0].session.id))
        sessions.retrieve("sess_1")

    assert [10, 5, None] == inputs(instrumented)
