"""The local provider, as the providers' own SDKs see it."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from anthropic import Anthropic, APIStatusError
from openai import (
    APIConnectionError,
    AsyncOpenAI,
    AzureOpenAI,
    BadRequestError,
    InternalServerError,
    OpenAI,
    RateLimitError,
)

from tracetoll.local_provider import HandedOut, LocalProvider, Received, Reply, ToolCall, ToolCalls, sse
from tracetoll.local_provider.routes import ROUTES, go_duration
from tracetoll.local_provider.text import SENTENCES, count, passage, pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WEATHER_TOOL = {"name": "weather", "description": "Tell the weather of a place", "parameters": {"type": "object"}}
CHAT_TOOL = {"type": "function", "function": WEATHER_TOOL}
CLAUDE_TOOL = {"name": "weather", "description": "Tell the weather of a place", "input_schema": {"type": "object"}}
USAGE = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}

needs_responses = pytest.mark.skipif(not hasattr(OpenAI, "responses"), reason="this openai has no Responses API")


@pytest.fixture
def provider() -> Iterator[LocalProvider]:
    with LocalProvider() as running:
        yield running


@pytest.fixture(scope="module")
def openai_client() -> Iterator[OpenAI]:
    with OpenAI(api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def anthropic_client() -> Iterator[Anthropic]:
    with Anthropic(api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def openai(provider: LocalProvider, openai_client: OpenAI) -> OpenAI:
    return openai_client.with_options(base_url=f"{provider.url}/v1")


@pytest.fixture
def anthropic(provider: LocalProvider, anthropic_client: Anthropic) -> Anthropic:
    return anthropic_client.with_options(base_url=provider.url)


def ask(client: OpenAI, question: str = "What does the bridge cost?", model: str = "gpt-4o", **options: Any) -> Any:
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": question}], **options)


def ask_claude(client: Anthropic, question: str = "What does the bridge cost?", **options: Any) -> Any:
    settings = {"model": "claude-sonnet-4-6", "max_tokens": 2000} | options
    return client.messages.create(messages=[{"role": "user", "content": question}], **settings)


def streamed_text(chunks: Any) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def streamed_claude_text(events: Any) -> str:
    return "".join(event.delta.text for event in events if event.type == "content_block_delta")


def cached_system(ttl: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": "Be brief. " * 30, "cache_control": {"type": "ephemeral", "ttl": ttl}}]


def in_pieces_of(size: int, provider: LocalProvider) -> Callable[[Received], Reply]:
    return lambda received: replace(provider.built_in(received), chunk_bytes=size)


def test_a_chat_answer_counts_its_words(openai: OpenAI) -> None:
    answer = ask(openai, "one two three four five six")

    assert (11, len(pieces(answer.choices[0].message.content))) == (
        answer.usage.prompt_tokens,
        answer.usage.completion_tokens,
    )


def test_the_same_question_gets_the_same_answer_under_another_id(openai: OpenAI) -> None:
    first = ask(openai)

    second = ask(openai)

    assert first.choices[0].message.content == second.choices[0].message.content
    assert first.id != second.id


def test_models_answer_under_the_name_of_their_snapshot(openai: OpenAI) -> None:
    assert "gpt-4o-2024-08-06" == ask(openai, model="gpt-4o").model


def test_both_providers_count_the_same_text_alike(openai: OpenAI, anthropic: Anthropic) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is due at the bridge?"}]
    ours = openai.chat.completions.create(model="gpt-4o", messages=messages)

    theirs = ask_claude(anthropic, "What is due at the bridge?", system="Be brief.")

    assert ours.usage.prompt_tokens == theirs.usage.input_tokens


def test_a_streamed_chat_says_what_the_whole_one_says(openai: OpenAI) -> None:
    whole = ask(openai).choices[0].message.content

    streamed = streamed_text(ask(openai, stream=True))

    assert whole == streamed


def test_a_stream_has_usage_in_one_more_chunk_when_it_is_asked_for(openai: OpenAI) -> None:
    whole = ask(openai).usage

    *chunks, last = ask(openai, stream=True, stream_options={"include_usage": True})

    assert {None} == {chunk.usage for chunk in chunks}
    assert ([], whole) == (last.choices, last.usage)


def test_a_stream_has_no_usage_when_it_is_not_asked_for(openai: OpenAI) -> None:
    chunks = list(ask(openai, stream=True))

    assert all(chunk.choices and chunk.usage is None for chunk in chunks)


def test_all_choices_count_as_output(openai: OpenAI) -> None:
    answer = ask(openai, n=3)

    texts = [choice.message.content for choice in answer.choices]
    assert 3 == len(texts)
    assert sum(len(pieces(text)) for text in texts) == answer.usage.completion_tokens


def test_a_streamed_choice_says_what_the_whole_one_says(openai: OpenAI) -> None:
    whole = [choice.message.content for choice in ask(openai, n=2).choices]

    texts = ["", ""]
    for chunk in ask(openai, n=2, stream=True):
        texts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""

    assert whole == texts


@pytest.mark.parametrize("cap", [1, 5, 70])
def test_no_answer_is_longer_than_its_cap(openai: OpenAI, anthropic: Anthropic, cap: int) -> None:
    answer = ask(openai, model="o3-mini", max_completion_tokens=cap)

    message = ask_claude(anthropic, max_tokens=min(cap, 5))

    assert (cap, "length") == (answer.usage.completion_tokens, answer.choices[0].finish_reason)
    assert (min(cap, 5), "max_tokens") == (message.usage.output_tokens, message.stop_reason)


@pytest.mark.parametrize(("model", "reasoning"), [("gpt-4o", 0), ("o3-mini", 64), ("gpt-5.1", 64)])
def test_reasoning_models_report_reasoning_inside_the_output(openai: OpenAI, model: str, reasoning: int) -> None:
    usage = ask(openai, model=model).usage

    assert reasoning == usage.completion_tokens_details.reasoning_tokens
    assert usage.completion_tokens > reasoning


def test_a_long_system_prompt_is_cached_by_openai_from_the_second_call_on(openai: OpenAI) -> None:
    messages = [{"role": "system", "content": "word " * 800}, {"role": "user", "content": "Hello"}]
    usages = [openai.chat.completions.create(model="gpt-4o", messages=messages).usage for _ in range(2)]

    assert [0, 1024] == [usage.prompt_tokens_details.cached_tokens for usage in usages]


def test_a_user_can_ask_for_a_tool(openai: OpenAI) -> None:
    answer = ask(openai, 'Please call weather {"place": "Köln"}, not call other.', tools=[CHAT_TOOL])

    calls = [(call.function.name, call.function.arguments) for call in answer.choices[0].message.tool_calls]
    assert [("weather", '{"place":"Köln"}')] == calls
    assert "tool_calls" == answer.choices[0].finish_reason


def test_a_tool_call_is_streamed_in_pieces(openai: OpenAI) -> None:
    chunks = list(ask(openai, 'call weather {"place": "Köln"}', tools=[CHAT_TOOL], stream=True))

    parts = [chunk.choices[0].delta.tool_calls[0] for chunk in chunks if chunk.choices[0].delta.tool_calls]
    assert "weather" == parts[0].function.name
    assert '{"place":"Köln"}' == "".join(part.function.arguments for part in parts)


def test_claude_can_be_asked_for_a_tool(anthropic: Anthropic) -> None:
    message = ask_claude(anthropic, 'call weather {"place": "Köln"}', tools=[CLAUDE_TOOL])

    assert [("weather", {"place": "Köln"})] == [(block.name, block.input) for block in message.content]
    assert "tool_use" == message.stop_reason


def test_a_tool_result_is_answered_with_text(anthropic: Anthropic) -> None:
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "call weather"}

    message = ask_claude(anthropic, [result], tools=[CLAUDE_TOOL])

    assert ["text"] == [block.type for block in message.content]


def test_a_script_decides_what_every_format_says() -> None:
    def script(received: Received) -> str | ToolCalls | None:
        question = received.body["messages"][-1]["content"]
        return {"text": "Two coins.", "tool": ToolCalls((ToolCall("weather", {"place": "Bonn"}),))}.get(question)

    with (
        LocalProvider(script=script) as provider,
        OpenAI(base_url=provider.url, api_key="none") as openai,
        Anthropic(base_url=provider.url, api_key="none") as anthropic,
    ):
        texts = [ask(openai, "text").choices[0].message.content, ask_claude(anthropic, "text").content[0].text]
        tools = [
            ask(openai, "tool").choices[0].message.tool_calls[0].function.name,
            ask_claude(anthropic, "tool").content[0].name,
        ]
        default = ask_claude(anthropic, "neither").content[0].text

    assert ["Two coins.", "Two coins."] == texts
    assert ["weather", "weather"] == tools
    assert default.startswith(SENTENCES)


@needs_responses
def test_a_response_is_streamed_in_the_full_sequence(openai: OpenAI) -> None:
    events = list(openai.responses.create(model="gpt-4o", input="Hello", max_output_tokens=2, stream=True))

    assert [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.incomplete",
    ] == [event.type for event in events]
    assert list(range(10)) == [event.sequence_number for event in events]
    assert (4, 2) == (events[-1].response.usage.input_tokens, events[-1].response.usage.output_tokens)


@needs_responses
def test_a_streamed_response_ends_with_what_the_whole_one_says(openai: OpenAI) -> None:
    whole = openai.responses.create(model="o3-mini", input="Hello")

    *_, last = openai.responses.create(model="o3-mini", input="Hello", stream=True)

    assert "response.completed" == last.type
    assert (whole.output_text, whole.usage) == (last.response.output_text, last.response.usage)


@needs_responses
def test_a_response_can_ask_for_a_tool(openai: OpenAI) -> None:
    tools = [{"type": "function", "strict": False, **WEATHER_TOOL}]

    response = openai.responses.create(model="gpt-4o", input='call weather {"place": "Köln"}', tools=tools)

    assert [("weather", '{"place":"Köln"}')] == [(item.name, item.arguments) for item in response.output]


@needs_responses
def test_a_response_in_the_background_is_completed_at_the_second_look(openai: OpenAI, provider: LocalProvider) -> None:
    looks = [openai.responses.create(model="gpt-4o", input="Hello", background=True)]

    looks += [openai.responses.retrieve(looks[0].id) for _ in range(3)]

    assert ["queued", "in_progress", "completed", "completed"] == [look.status for look in looks]
    assert [True, True, False, False] == [look.usage is None for look in looks]
    assert 1 == provider.handed_out.calls


@pytest.mark.filterwarnings("ignore:The Assistants API:DeprecationWarning")
def test_a_run_is_completed_at_the_second_look(openai: OpenAI, provider: LocalProvider) -> None:
    runs = openai.beta.threads.runs
    looks = [runs.create("thread_1", assistant_id="asst_1", instructions="Be brief")]

    looks += [runs.retrieve(looks[0].id, thread_id="thread_1") for _ in range(3)]

    assert ["queued", "in_progress", "completed", "completed"] == [look.status for look in looks]
    assert [True, True, False, False] == [look.usage is None for look in looks]
    assert (1, 5) == (provider.handed_out.calls, looks[2].usage.prompt_tokens)


@pytest.mark.filterwarnings("ignore:The Assistants API:DeprecationWarning")
def test_a_streamed_run_counts_once_though_its_step_repeats_the_usage(openai: OpenAI, provider: LocalProvider) -> None:
    events = list(openai.beta.threads.runs.create("thread_1", assistant_id="asst_1", stream=True))

    reported = [event.event for event in events if getattr(event.data, "usage", None)]
    assert ["thread.run.step.completed", "thread.run.completed"] == reported
    assert HandedOut(1, 3, events[-1].data.usage.completion_tokens) == provider.handed_out


def test_a_batch_has_usage_when_it_is_completed(openai: OpenAI) -> None:
    batch = openai.batches.create(input_file_id="file-1", endpoint="/v1/embeddings", completion_window="24h")

    fetched = openai.get(f"/batches/{batch.id}", cast_to=object)

    assert ("completed", 165) == (fetched["status"], fetched["usage"]["total_tokens"])


def test_older_completions_have_one_choice_for_each_prompt(openai: OpenAI) -> None:
    answer = openai.completions.create(model="davinci-002", prompt=["one", "two"], max_tokens=3)

    assert [3, 3] == [len(pieces(choice.text)) for choice in answer.choices]
    assert (5, 6) == (answer.usage.prompt_tokens, answer.usage.completion_tokens)


def test_older_completions_are_streamed(openai: OpenAI) -> None:
    whole = openai.completions.create(model="davinci-002", prompt="one").choices[0].text

    *chunks, last = openai.completions.create(
        model="davinci-002", prompt="one", stream=True, stream_options={"include_usage": True}
    )

    assert whole == "".join(chunk.choices[0].text for chunk in chunks)
    assert 16 == last.usage.completion_tokens


def test_embeddings_are_of_the_length_that_was_asked_for(openai: OpenAI) -> None:
    answer = openai.embeddings.create(model="text-embedding-3-small", input=["one", "two words"], dimensions=5)

    assert [5, 5] == [len(item.embedding) for item in answer.data]
    assert count("one") + count("two words") == answer.usage.prompt_tokens


def test_moderations_flag_nothing(openai: OpenAI) -> None:
    answer = openai.moderations.create(input=["one", "two"])

    assert [False, False] == [result.flagged for result in answer.results]


@pytest.mark.parametrize(
    ("model", "usage"),
    [("gpt-image-1", {"input_tokens": 5, "output_tokens": 2112, "total_tokens": 2117}), ("dall-e-3", {})],
)
def test_only_gpt_images_report_tokens(openai: OpenAI, model: str, usage: dict[str, int]) -> None:
    body = {"model": model, "prompt": "A gull", "n": 2}

    answer = openai.post("/images/generations", body=body, cast_to=object)

    assert 2 == len(answer["data"])
    assert usage.items() <= answer.get("usage", {}).items()


@pytest.mark.parametrize(
    ("model", "usage"),
    [
        ("whisper-1", {"type": "duration", "seconds": 3}),
        ("gpt-4o-transcribe", {"type": "tokens", "input_token_details": {"audio_tokens": 30, "text_tokens": 0}}),
    ],
)
def test_transcriptions_report_seconds_or_tokens(openai: OpenAI, model: str, usage: dict[str, Any]) -> None:
    raw = openai.audio.transcriptions.with_raw_response.create(model=model, file=("talk.wav", bytes(range(250)) * 192))

    assert usage.items() <= raw.http_response.json()["usage"].items()


def test_speech_is_bytes(openai: OpenAI) -> None:
    answer = openai.audio.speech.create(model="tts-1", voice="alloy", input="Hello")

    assert answer.content.startswith(b"ID3")


def test_a_streamed_message_ends_with_what_the_whole_one_says(anthropic: Anthropic) -> None:
    whole = ask_claude(anthropic)

    with anthropic.messages.stream(
        model="claude-sonnet-4-6", max_tokens=2000, messages=[{"role": "user", "content": "What does the bridge cost?"}]
    ) as stream:
        final = stream.get_final_message()

    assert whole.content[0].text == final.content[0].text
    assert (whole.usage.input_tokens, whole.usage.output_tokens) == (
        final.usage.input_tokens,
        final.usage.output_tokens,
    )


def test_a_message_is_streamed_in_the_full_sequence(provider: LocalProvider, anthropic: Anthropic) -> None:
    ask_claude(anthropic)

    sent = sse(
        provider.built_in(replace(provider.requests[0], body=provider.requests[0].body | {"stream": True})).events
    )

    names = [line.removeprefix("event: ") for line in sent.decode().splitlines() if line.startswith("event: ")]
    assert ["message_start", "content_block_start", "ping", "content_block_delta"] == names[:4]
    assert ["content_block_delta", "content_block_stop", "message_delta", "message_stop"] == names[-4:]
    assert b"[DONE]" not in sent


def test_thinking_is_inside_the_output(anthropic: Anthropic, provider: LocalProvider) -> None:
    message = ask_claude(anthropic, thinking={"type": "enabled", "budget_tokens": 1024})

    assert ["thinking", "text"] == [block.type for block in message.content]
    assert 48 == provider.handed_out.reasoning
    assert 48 + len(pieces(message.content[1].text)) == message.usage.output_tokens


@pytest.mark.parametrize(("ttl", "split"), [("5m", (83, 0)), ("1h", (0, 83))])
def test_a_cached_prompt_is_written_once_and_read_afterwards(
    anthropic: Anthropic, ttl: str, split: tuple[int, int]
) -> None:
    first, second = (ask_claude(anthropic, "Hello", system=cached_system(ttl)).usage for _ in range(2))

    # The SDK's types know the split only in newer versions; the wire has it always.
    written = first.to_dict()["cache_creation"]
    assert split == (written["ephemeral_5m_input_tokens"], written["ephemeral_1h_input_tokens"])
    assert (83, 0) == (first.cache_creation_input_tokens, first.cache_read_input_tokens)
    assert (0, 83) == (second.cache_creation_input_tokens, second.cache_read_input_tokens)
    assert [1, 1] == [first.input_tokens, second.input_tokens]


def test_caches_belong_to_a_model(anthropic: Anthropic) -> None:
    ask_claude(anthropic, "Hello", system=cached_system("5m"))

    other = ask_claude(anthropic, "Hello", system=cached_system("5m"), model="claude-haiku-4-5").usage

    assert 0 == other.cache_read_input_tokens


def test_a_longer_prompt_reads_what_is_known_of_it_and_writes_the_rest(
    anthropic: Anthropic, provider: LocalProvider
) -> None:
    ask_claude(anthropic, "Hello", system=cached_system("1h"))
    more = {"type": "text", "text": "six more words to be cached", "cache_control": {"type": "ephemeral"}}

    usage = ask_claude(anthropic, [more], system=cached_system("1h")).usage

    assert (83, 8, 0) == (usage.cache_read_input_tokens, usage.cache_creation_input_tokens, usage.input_tokens)
    assert (83, 91) == (provider.handed_out.cache_read, provider.handed_out.cache_write)


def test_tokens_are_counted_without_a_call(anthropic: Anthropic, provider: LocalProvider) -> None:
    counted = anthropic.post(
        "/v1/messages/count_tokens", body={"messages": [{"role": "user", "content": "one two"}]}, cast_to=object
    )

    assert {"input_tokens": count("one two")} == counted
    assert HandedOut() == provider.handed_out


def test_the_results_of_a_batch_are_messages_of_their_own(anthropic: Anthropic, provider: LocalProvider) -> None:
    params = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]}
    body = {"requests": [{"custom_id": name, "params": params} for name in "ab"]}
    batch = anthropic.post("/v1/messages/batches", body=body, cast_to=object)

    results = [anthropic.get(f"/v1/messages/batches/{batch['id']}/results", cast_to=str).splitlines() for _ in range(2)]

    assert [2, 2] == [len(lines) for lines in results]
    assert HandedOut(calls=2, input_tokens=8, output_tokens=18) == provider.handed_out


@pytest.mark.parametrize("size", [1, 7])
def test_streams_survive_pieces_that_cut_through_everything(
    openai: OpenAI, anthropic: Anthropic, provider: LocalProvider, size: int
) -> None:
    question = next(str(number) for number in range(100) if "🍋" in passage(f"0gpt-4o{number}"))
    whole = ask(openai, question).choices[0].message.content
    claude_whole = ask_claude(anthropic).content[0].text
    provider.on("/chat/completions", in_pieces_of(size, provider))
    provider.on("/v1/messages", in_pieces_of(size, provider))

    streamed = streamed_text(ask(openai, question, stream=True))
    claude_streamed = streamed_claude_text(ask_claude(anthropic, stream=True))

    assert (whole, claude_whole) == (streamed, claude_streamed)


def test_what_was_handed_out_is_what_the_sdks_report(
    openai: OpenAI, anthropic: Anthropic, provider: LocalProvider
) -> None:
    chats = [ask(openai, f"question {number}", model="o3-mini").usage for number in range(3)]
    chats += [list(ask(openai, stream=True, stream_options={"include_usage": True}))[-1].usage]
    chats += [openai.embeddings.create(model="text-embedding-3-small", input="one").usage]
    claudes = [ask_claude(anthropic, system=cached_system("1h")).usage for _ in range(3)]
    with anthropic.messages.stream(
        model="claude-sonnet-4-6",
        max_tokens=90,
        system=cached_system("1h"),
        messages=[{"role": "user", "content": "Hello"}],
    ) as stream:
        claudes += [stream.get_final_message().usage]

    read = sum(usage.cache_read_input_tokens for usage in claudes)
    written = sum(usage.cache_creation_input_tokens for usage in claudes)
    assert (
        HandedOut(
            calls=9,
            input_tokens=sum(usage.prompt_tokens for usage in chats)
            + sum(usage.input_tokens for usage in claudes)
            + read
            + written,
            output_tokens=sum(usage.total_tokens - usage.prompt_tokens for usage in chats)
            + sum(usage.output_tokens for usage in claudes),
            cache_read=read,
            cache_write=written,
            reasoning=3 * 64,
        )
        == provider.handed_out
    )


def test_a_stream_that_is_cut_hands_out_what_was_sent(anthropic: Anthropic, provider: LocalProvider) -> None:
    provider.on("/v1/messages", lambda received: replace(provider.built_in(received), cut_after_bytes=600))

    with pytest.raises(Exception, match=r"incomplete|peer closed"):
        list(ask_claude(anthropic, stream=True))

    assert HandedOut(calls=1, input_tokens=9, output_tokens=1) == provider.handed_out


def test_the_usage_of_any_reply_is_handed_out(openai: OpenAI, provider: LocalProvider) -> None:
    packed = gzip.compress(b'{"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}')
    provider.enqueue(
        Reply(json={"choices": [], "usage": USAGE}),
        Reply(events=[{"choices": [], "usage": None}, {"choices": [], "usage": USAGE}]),
        Reply(body=packed, headers={"Content-Type": "application/json", "Content-Encoding": "gzip"}),
    )

    ask(openai)
    list(ask(openai, stream=True))
    ask(openai)

    assert HandedOut(calls=3, input_tokens=29, output_tokens=12) == provider.handed_out


def test_replies_go_to_the_next_request_or_to_the_next_of_a_path(openai: OpenAI, provider: LocalProvider) -> None:
    provider.enqueue("/embeddings", Reply(json={"data": [], "model": "for embeddings"}))
    provider.enqueue(Reply(json={"choices": [], "model": "for any"}))

    models = [ask(openai).model, openai.post("/embeddings", body={}, cast_to=object)["model"], ask(openai).model]

    assert ["for any", "for embeddings", "gpt-4o-2024-08-06"] == models


def test_a_handler_takes_the_place_of_the_built_in_answer(openai: OpenAI, provider: LocalProvider) -> None:
    provider.on("/completions", lambda _: Reply.openai_error(400, None, "not this one"))
    provider.on("/chat/completions", lambda received: Reply(json={"choices": [], "model": received.path}))

    assert "/v1/chat/completions" == ask(openai).model


def test_handlers_may_block_and_do_not_hold_up_others(openai: OpenAI, provider: LocalProvider) -> None:
    asked = threading.Event()
    provider.on("/slow", lambda _: Reply(json={"others": asked.wait(5)}))
    answers: list[Any] = []
    waiting = threading.Thread(target=lambda: answers.append(openai.post("/slow", cast_to=object)))
    waiting.start()

    ask(openai)
    asked.set()
    waiting.join()

    assert [{"others": True}] == answers


def test_a_fault_of_a_handler_is_told_to_the_client(openai: OpenAI, provider: LocalProvider) -> None:
    provider.on("/chat/completions", lambda received: Reply(status=received.body["nowhere"]))

    with pytest.raises(InternalServerError, match="KeyError: 'nowhere'"):
        ask(openai)


def test_azure_has_the_model_in_the_path(provider: LocalProvider) -> None:
    with AzureOpenAI(azure_endpoint=provider.url, api_key="none", api_version="2025-01-01") as azure:
        answer = ask(azure, model="gpt-4o-mini")

    assert "gpt-4o-mini-2024-07-18" == answer.model
    assert "/openai/deployments/gpt-4o-mini/chat/completions" == provider.requests[0].path


def test_requests_are_kept_as_they_came_in(openai: OpenAI, provider: LocalProvider) -> None:
    before = time.monotonic()
    openai.post("/chat/completions?version=2", body={"messages": [], "n": 1}, cast_to=object)

    received = provider.requests[0]

    assert ("POST", "/v1/chat/completions", {"version": "2"}) == (received.method, received.path, received.query)
    assert ("Bearer none", {"messages": [], "n": 1}) == (received.headers["authorization"], received.body)
    assert before <= received.at <= time.monotonic()


def test_errors_of_openai_have_its_format(openai: OpenAI, provider: LocalProvider) -> None:
    provider.enqueue(Reply.openai_error(400, "context_length_exceeded", "too long"))

    with pytest.raises(BadRequestError, match="too long") as raised:
        ask(openai)

    assert ("context_length_exceeded", True) == (raised.value.code, raised.value.request_id.startswith("req_"))


def test_errors_of_anthropic_have_its_format(anthropic: Anthropic, provider: LocalProvider) -> None:
    provider.enqueue(Reply.anthropic_error(529, "overloaded_error", "busy"))

    with pytest.raises(APIStatusError) as raised:
        ask_claude(anthropic)

    assert (529, "overloaded_error") == (raised.value.status_code, raised.value.body["error"]["type"])


def test_unknown_paths_are_not_found_in_the_format_of_the_provider(openai: OpenAI, anthropic: Anthropic) -> None:
    bodies = []
    for client in (openai, anthropic):
        with pytest.raises(Exception, match="404") as raised:
            client.get("/nowhere", cast_to=object)
        bodies.append(raised.value.response.json())

    assert "Invalid URL (GET /v1/nowhere)" == bodies[0]["error"]["message"]
    assert "not_found_error" == bodies[1]["error"]["type"]


def test_headers_of_a_reply_reach_the_client(openai: OpenAI, provider: LocalProvider) -> None:
    error = Reply.openai_error(429, "rate_limit_exceeded", "slow down")
    provider.enqueue(replace(error, headers={"retry-after-ms": "20"}))

    with pytest.raises(RateLimitError) as raised:
        ask(openai)

    assert "20" == raised.value.response.headers["retry-after-ms"]


def test_rate_limits_have_the_form_of_each_provider(openai: OpenAI, anthropic: Anthropic) -> None:
    messages = [{"role": "user", "content": "Hello"}]
    ours = openai.chat.completions.with_raw_response.create(model="gpt-4o", messages=messages).headers

    theirs = anthropic.messages.with_raw_response.create(
        model="claude-haiku-4-5", max_tokens=9, messages=messages
    ).headers

    assert ("10000", "9999", "6ms") == tuple(
        ours[f"x-ratelimit-{what}-requests"] for what in ("limit", "remaining", "reset")
    )
    assert ("2000000", "1999992") == tuple(
        theirs[f"anthropic-ratelimit-input-tokens-{what}"] for what in ("limit", "remaining")
    )
    assert time.strptime(theirs["anthropic-ratelimit-requests-reset"], "%Y-%m-%dT%H:%M:%SZ")
    assert ours["x-request-id"] != theirs["request-id"]


@pytest.mark.parametrize(
    ("milliseconds", "expected"), [(0, "0s"), (6, "6ms"), (17_400, "17.4s"), (90_000, "1m30s"), (360_000, "6m0s")]
)
def test_resets_of_openai_are_durations_of_go(milliseconds: int, expected: str) -> None:
    assert expected == go_duration(milliseconds)


@pytest.mark.parametrize("after", [0, 10])
def test_a_cut_connection_is_an_error_of_the_client(openai: OpenAI, provider: LocalProvider, after: int) -> None:
    provider.enqueue(Reply(json={"choices": []}, cut_after_bytes=after))

    with pytest.raises(APIConnectionError):
        ask(openai)

    assert provider.wait_idle()
    assert 0 == provider.disconnects


def test_other_bodies_go_out_as_they_are(openai: OpenAI, provider: LocalProvider) -> None:
    provider.enqueue(Reply(body=b"<html>", headers={"Content-Type": "text/html"}))

    answer = openai.chat.completions.with_raw_response.create(model="gpt-4o", messages=[])

    assert (200, "text/html", b"<html>") == (answer.status_code, answer.headers["content-type"], answer.content)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        b'{"usage": [1], "id": [], "result": "", "message": 7}',
        b'{"usage": {"prompt_tokens": "12", "prompt_tokens_details": null}, "id": {}}',
    ],
)
@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream"])
def test_broken_bodies_go_out_as_they_are(
    openai: OpenAI, provider: LocalProvider, body: bytes, content_type: str
) -> None:
    provider.enqueue(Reply(body=body, headers={"content-type": content_type}))

    answer = openai.chat.completions.with_raw_response.create(model="gpt-4o", messages=[])

    assert body == answer.content
    assert 0 == provider.handed_out.input_tokens


def test_a_broken_compression_is_left_to_the_client(openai: OpenAI, provider: LocalProvider) -> None:
    packed = gzip.compress(b'{"usage": {"prompt_tokens": 7}}')[:-9]
    provider.enqueue(Reply(body=b"no gzip", headers={"content-encoding": "gzip"}))
    provider.enqueue(Reply(body=packed, headers={"content-encoding": "gzip"}))

    for _ in range(2):
        with contextlib.suppress(Exception):
            ask(openai)

    assert (2, HandedOut()) == (len(provider.requests), provider.handed_out)


def test_a_client_that_closes_its_stream_is_seen(openai: OpenAI, provider: LocalProvider) -> None:
    provider.on("/chat/completions", lambda received: replace(provider.built_in(received), event_delay_s=0.05))
    stream = ask(openai, stream=True)
    next(iter(stream))

    stream.close()

    assert provider.wait_idle()
    assert 1 == provider.disconnects


def test_a_client_that_does_not_wait_is_seen(openai: OpenAI, provider: LocalProvider) -> None:
    provider.enqueue(Reply(json={}, delay_s=60))

    with pytest.raises(APIConnectionError):
        ask(openai, timeout=0.05)

    assert provider.wait_idle()
    assert 1 == provider.disconnects


def test_a_reply_takes_the_time_it_is_told(openai: OpenAI, provider: LocalProvider) -> None:
    provider.enqueue(Reply(events=[{"choices": []}] * 3, delay_s=0.05, event_delay_s=0.02))
    start = time.monotonic()

    list(ask(openai, stream=True))

    assert 0.05 + 3 * 0.02 <= time.monotonic() - start


def test_many_clients_are_served_at_once(provider: LocalProvider) -> None:
    provider.on("/chat/completions", lambda received: replace(provider.built_in(received), delay_s=0.3))

    async def crowd() -> list[Any]:
        async with AsyncOpenAI(base_url=provider.url, api_key="none", max_retries=0) as client:
            messages = [{"role": "user", "content": "Hello"}]
            calls = (client.chat.completions.create(model="gpt-4o", messages=messages) for _ in range(100))
            return await asyncio.gather(*calls)

    start = time.monotonic()
    answers = asyncio.run(crowd())

    assert (100, 100) == (len({answer.id for answer in answers}), provider.handed_out.calls)
    assert time.monotonic() - start < 5


def test_closing_drops_what_is_under_way(provider: LocalProvider, openai: OpenAI) -> None:
    provider.enqueue(Reply(json={}, delay_s=60))
    failures: list[BaseException] = []

    def wait() -> None:
        try:
            ask(openai)
        except APIConnectionError as error:
            failures.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    while not provider.requests:
        time.sleep(0.001)

    provider.close()
    provider.close()
    waiting.join()

    assert (1, 0) == (len(failures), provider.disconnects)


def test_a_reply_has_one_kind_of_body() -> None:
    with pytest.raises(ValueError, match="one of json, body and events"):
        Reply(json={}, body=b"")


def test_events_are_named_after_their_type_and_only_others_end_with_done() -> None:
    plain = sse([{"id": 1}])

    named = sse([{"type": "ping"}, (None, {"type": "unnamed"}), ("end", "bye")])

    assert b'data: {"id":1}\n\ndata: [DONE]\n\n' == plain
    assert b'event: ping\ndata: {"type":"ping"}\n\ndata: {"type":"unnamed"}\n\nevent: end\ndata: bye\n\n' == named


def test_every_route_is_reached_by_a_path_that_ends_like_it(provider: LocalProvider) -> None:
    found = {route.suffix: provider.built_in(received_for(route.method, route.suffix, route.agent)) for route in ROUTES}

    assert [] == [suffix for suffix, reply in found.items() if "Invalid URL" in str(reply.json)]


def received_for(method: str, suffix: str, agent: str = "") -> Received:
    path = f"/proxy{suffix.replace('{id}', 'made_up')}"
    return Received(
        method, path, {}, {"host": "localhost", "user-agent": agent}, {"input": "Hello", "messages": []}, 0.0
    )
