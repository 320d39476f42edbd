"""Odd answers: bodies and streams that are against a provider's own format, or against JSON, SSE or HTTP.

Each comes with the input and output tokens in it that are to be believed.
"""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tracetoll.local_provider import Reply, sse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Usage = tuple[int | None, int | None]
NONE: Usage = (None, None)
JSON = {"content-type": "application/json"}
SSE = {"content-type": "text/event-stream"}


@dataclass(frozen=True, slots=True)
class Odd:
    """A reply, and the input and output tokens in it that are to be believed.

    Not `sure`: whether they can be found depends on how the reply is read.
    """

    name: str
    reply: Reply
    usage: Usage = NONE
    sure: bool = True

    @property
    def streamed(self) -> bool:
        """Whether the reply is a stream of events."""
        return self.reply.all_headers()["content-type"].startswith("text/event-stream")

    def __str__(self) -> str:
        return self.name


def changed(base: Mapping[str, Any], *without: str, **new: Any) -> dict[str, Any]:
    """Return a copy with other fields, and without some."""
    return {name: value for name, value in {**base, **new}.items() if name not in without}


def whole(name: str, answer: Any, usage: Usage = NONE) -> Odd:
    """Return an answer as JSON, escaped, so that even half a character can be told."""
    return Odd(name, Reply(body=json.dumps(answer).encode(), headers=JSON), usage)


def stream(name: str, events: Sequence[Any], usage: Usage = NONE, *, done: bool = True) -> Odd:
    """Return a stream of events; texts go out as they are."""
    named = [(None, event) if isinstance(event, str) else event for event in events]
    return Odd(name, Reply(body=sse(named, done=done), headers=SSE), usage)


def nested(levels: int) -> Any:
    value: Any = "deep"
    for _ in range(levels):
        value = {"more": [value]}
    return value


def counts(first: str, second: str) -> dict[str, tuple[Any, Usage]]:
    """Return odd usage objects, by the provider's names of input and output."""
    return {
        "usage a text": ("3 and 2", NONE),
        "usage null": (None, NONE),
        "usage a list": ([3, 2], NONE),
        "usage a number": (5, NONE),
        "usage empty": ({}, NONE),
        "counts as texts": ({first: "3", second: "2"}, NONE),
        "counts null": ({first: None, second: None}, NONE),
        "counts negative": ({first: -3, second: -2}, NONE),
        "one count negative": ({first: -3, second: 2}, (None, 2)),
        "counts with fractions": ({first: 3.5, second: 2.25}, NONE),
        "counts as whole floats": ({first: 3.0, second: 2.0}, (3, 2)),
        "counts true and false": ({first: True, second: False}, NONE),
        "counts over 64 bits": ({first: 2**63, second: 10**30}, NONE),
        "floats over 64 bits": ({first: 1e30, second: 1e300}, NONE),
        "counts as objects": ({first: {"value": 3}, second: [2]}, NONE),
        "counts not finite": ({first: float("nan"), second: float("inf")}, NONE),
    }


# --- whole answers ---------------------------------------------------------------------------

CHAT_USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
MESSAGE = {"role": "assistant", "content": "Two euros, señora 🍋."}
CHOICE = {"index": 0, "message": MESSAGE, "finish_reason": "stop"}
CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o",
    "choices": [CHOICE],
    "usage": CHAT_USAGE,
}
ODD_IN_ANY: dict[str, dict[str, Any]] = {
    "id null": {"id": None},
    "id a number": {"id": 17},
    "id huge": {"id": "x" * 300_000},
    "model null": {"model": None},
    "model an object": {"model": {"name": "gpt-4o"}},
    "tier a number": {"service_tier": 4, "system_fingerprint": ["a"]},
    "deeply nested extras": {"nested": nested(150)},
    "fields called like ours": {"_open": [], "engine": None, "__dict__": {}, "_iterator": 1},
    "error null": {"error": None},
}
ODD_IN_CHAT: dict[str, dict[str, Any]] = {
    **ODD_IN_ANY,
    "id half a character": {"id": "chat\ud83c"},
    "choices of strings": {"choices": ["a", "b"]},
    "choices null": {"choices": None},
    "choices a number": {"choices": 7},
    "choices a table": {"choices": {"0": CHOICE}},
    "a choice is null": {"choices": [None, CHOICE]},
    "no message": {"choices": [changed(CHOICE, "message")]},
    "message null": {"choices": [changed(CHOICE, message=None)]},
    "message a text": {"choices": [changed(CHOICE, message="Hi")]},
    "content a number": {"choices": [changed(CHOICE, message=changed(MESSAGE, content=7))]},
    "finish reason a number": {"choices": [changed(CHOICE, finish_reason=7)]},
    "finish reason a list": {"choices": [changed(CHOICE, finish_reason=["stop"])]},
    "index a text": {"choices": [changed(CHOICE, index="first")]},
    "tool calls null": {"choices": [changed(CHOICE, message=changed(MESSAGE, tool_calls=None))]},
    "tool calls of strings": {"choices": [changed(CHOICE, message=changed(MESSAGE, tool_calls=["x"]))]},
    "details a text": {"usage": changed(CHAT_USAGE, prompt_tokens_details="3 cached")},
    "details a list": {"usage": changed(CHAT_USAGE, completion_tokens_details=[{"reasoning_tokens": 1}])},
    "details negative": {"usage": changed(CHAT_USAGE, prompt_tokens_details={"cached_tokens": -1})},
}
CHATS = [whole(name, {**CHAT, **new}, (3, 2)) for name, new in ODD_IN_CHAT.items()] + [
    whole(name, {**CHAT, "usage": usage}, believed)
    for name, (usage, believed) in counts("prompt_tokens", "completion_tokens").items()
]

RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "model": "gpt-4o",
    "output": [
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Two euros.", "annotations": []}],
        }
    ],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5},
}
ODD_IN_RESPONSE: dict[str, dict[str, Any]] = {
    **ODD_IN_ANY,
    "output null": {"output": None},
    "output of strings": {"output": ["a"]},
    "output of nulls": {"output": [None]},
    "status a number": {"status": 7},
    "status a list": {"status": ["completed"]},
    "status unknown": {"status": "bored"},
    "incomplete details a text": {"status": "incomplete", "incomplete_details": "too long"},
    "incomplete details null": {"status": "incomplete", "incomplete_details": None},
}
ANSWERED_RESPONSES = [whole(name, {**RESPONSE, **new}, (3, 2)) for name, new in ODD_IN_RESPONSE.items()] + [
    whole(name, {**RESPONSE, "usage": usage}, believed)
    for name, (usage, believed) in counts("input_tokens", "output_tokens").items()
]

CLAUDE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-4-5",
    "content": [{"type": "text", "text": "Two euros."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 2},
}
ODD_IN_CLAUDE: dict[str, dict[str, Any]] = {
    **ODD_IN_ANY,
    "content null": {"content": None},
    "content a text": {"content": "Two euros."},
    "content of nulls": {"content": [None]},
    "stop reason a number": {"stop_reason": 7},
    "stop reason missing": {"stop_reason": None},
    "cache a text": {"usage": changed(CLAUDE["usage"], cache_creation="1h", cache_read_input_tokens="many")},
    "steps a text": {"usage": changed(CLAUDE["usage"], iterations="three")},
    "steps a table": {"usage": changed(CLAUDE["usage"], iterations={"type": "message"})},
    "steps of strings": {"usage": changed(CLAUDE["usage"], iterations=["message", None, 7])},
    "server tools a list": {"usage": changed(CLAUDE["usage"], server_tool_use=[1])},
}
CLAUDES = [whole(name, {**CLAUDE, **new}, (3, 2)) for name, new in ODD_IN_CLAUDE.items()] + [
    whole(name, {**CLAUDE, "usage": usage}, believed)
    for name, (usage, believed) in counts("input_tokens", "output_tokens").items()
]

EMBEDDING = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
    "model": "text-embedding-3-small",
    "usage": {"prompt_tokens": 3, "total_tokens": 3},
}
EMBEDDINGS = [
    whole("data null", {**EMBEDDING, "data": None}, (3, None)),
    whole("data of strings", {**EMBEDDING, "data": ["a"]}, (3, None)),
    whole("no usage", changed(EMBEDDING, "usage")),
    whole("only a total", {**EMBEDDING, "usage": {"total_tokens": 3}}, (3, None)),
    *(
        whole(name, {**EMBEDDING, "usage": usage}, (believed[0], None))
        for name, (usage, believed) in counts("prompt_tokens", "total").items()
    ),
]

# --- streams of chat completions -------------------------------------------------------------


def chunk(*without: str, **new: Any) -> dict[str, Any]:
    delta = {"index": 0, "delta": {"role": "assistant", "content": "Two 🍋 "}, "finish_reason": None}
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o", "choices": [delta]}
    return changed(base, *without, **new)


def choice(*without: str, **new: Any) -> dict[str, Any]:
    base = {"index": 0, "delta": {"content": "euros."}, "finish_reason": None}
    return chunk(choices=[changed(base, *without, **new)])


LAST = choice(delta={}, finish_reason="stop")
TOTAL = chunk(choices=[], usage=CHAT_USAGE)
FULL = [chunk(), choice(), LAST, TOTAL]
CALL = {"id": "call_1", "type": "function", "function": {"name": "toll", "arguments": "{}"}}
ODD_CHUNKS: dict[str, Any] = {
    "no choices": chunk("choices"),
    "choices null": chunk(choices=None),
    "choices a number": chunk(choices=7),
    "choices of strings": chunk(choices=["a"]),
    "choices a table": chunk(choices={"0": "a"}),
    "a choice is null": chunk(choices=[None]),
    "no index": choice("index"),
    "index a text": choice(index="first"),
    "index huge": choice(index=10**6),
    "no delta": choice("delta"),
    "delta null": choice(delta=None),
    "delta a text": choice(delta="euros"),
    "content a number": choice(delta={"content": 7}),
    "finish reason a number": choice(finish_reason=7),
    "tool call without index": choice(delta={"tool_calls": [CALL]}),
    "tool call index null": choice(delta={"tool_calls": [{**CALL, "index": None}]}),
    "tool calls of strings": choice(delta={"tool_calls": ["toll"]}),
    "usage a text": chunk(usage="3 and 2"),
    "usage of texts": chunk(usage={"prompt_tokens": "7"}),
    "usage a list": chunk(usage=[3]),
    "usage so far": chunk(usage={"prompt_tokens": 3, "completion_tokens": 1}),
    "a text": '"Two euros"',
    "a number": "7",
    "null": "null",
    "true": "true",
    "a list": "[1, 2]",
    "an empty object": "{}",
    "a named event": ("bridge.opened", {"by": "the keeper"}),
    "a named thread event": ("thread.message.delta", {"by": "the keeper"}),
    "id and model null": chunk(id=None, model=None),
    "id half a character": chunk(id="chat\\ud83c"),
    "deeply nested extras": chunk(nested=nested(150)),
    "error null": chunk(error=None),
}
# The first chunk of a stream is read in another way than the others.
CHAT_STREAMS = [
    *(stream(f"{name}, first", [one, *FULL], (3, 2)) for name, one in ODD_CHUNKS.items()),
    *(stream(name, [FULL[0], one, *FULL[1:]], (3, 2)) for name, one in ODD_CHUNKS.items()),
    stream("usage told twice", [*FULL, TOTAL], (3, 2)),
    stream("usage grows", [chunk(usage={"prompt_tokens": 3, "completion_tokens": n}) for n in (1, 2, 9)], (3, 9)),
    stream("usage before the end", [chunk(), TOTAL, choice(), LAST], (3, 2)),
    stream("usage with the last choice", [chunk(), {**LAST, "usage": CHAT_USAGE}], (3, 2)),
    stream("usage over 64 bits", [*FULL[:3], chunk(choices=[], usage={"prompt_tokens": 2**63})]),
    stream("two ends", [*FULL, "[DONE]", chunk()], (3, 2)),
    stream("no end", FULL, (3, 2), done=False),
    stream("an error object", [chunk(), {"error": {"message": "The bridge is closed", "code": "closed"}}]),
    stream("an error text", [chunk(), {"error": "The bridge is closed"}]),
    stream("an error event", [chunk(), ("error", {"error": {"message": "Closed", "code": "closed"}})]),
    stream("an error event without an error", [chunk(), ("error", {"message": "Closed"})]),
    stream("not JSON", [chunk(), "{Two euros", LAST]),
    stream("NaN", [chunk(), '{"choices": [NaN]}', *FULL[1:]], (3, 2)),
]

# --- streams of responses --------------------------------------------------------------------

CREATED = {
    "type": "response.created",
    "sequence_number": 0,
    "response": {**RESPONSE, "status": "in_progress", "usage": None, "output": []},
}
COMPLETED = {"type": "response.completed", "sequence_number": 9, "response": RESPONSE}
ODD_EVENTS: dict[str, Any] = {
    "an unknown type": {"type": "response.bridge.opened", "by": "the keeper"},
    "no type": ("response.bridge", {"by": "the keeper"}),
    "type a number": (None, {"type": 7}),
    "type a list": (None, {"type": ["response.completed"]}),
    "a text": '"Two euros"',
    "a number": "7",
    "null": "null",
    "a list": "[1]",
    "created without response": {"type": "response.created"},
    "created with null": {"type": "response.created", "response": None},
    "created with a text": {"type": "response.created", "response": "resp_1"},
    "a delta of nothing": {"type": "response.output_text.delta", "output_index": 4, "delta": None},
}
RESPONSE_STREAMS = [
    *(stream(f"{name}, first", [one, CREATED, COMPLETED], (3, 2)) for name, one in ODD_EVENTS.items()),
    *(stream(name, [CREATED, one, COMPLETED], (3, 2)) for name, one in ODD_EVENTS.items()),
    stream("completed without response", [CREATED, {"type": "response.completed"}]),
    stream("completed with null", [CREATED, {"type": "response.completed", "response": None}]),
    stream("completed with usage null", [CREATED, {**COMPLETED, "response": {**RESPONSE, "usage": None}}]),
    stream("completed before created", [COMPLETED, CREATED], (3, 2)),
    stream("completed twice", [CREATED, COMPLETED, COMPLETED], (3, 2)),
    stream("nothing completed", [CREATED]),
    stream("an error event", [CREATED, {"type": "error", "code": "closed", "message": "The bridge is closed"}]),
    stream("an error without a code", [CREATED, {"type": "error", "code": None, "message": None}]),
    stream("not JSON", [CREATED, ("response.completed", "{Two euros")]),
]

# --- streams of messages ---------------------------------------------------------------------

START = {
    "type": "message_start",
    "message": {**CLAUDE, "content": [], "stop_reason": None, "usage": {"input_tokens": 3, "output_tokens": 1}},
}
BLOCK = [
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Two 🍋"}},
    {"type": "content_block_stop", "index": 0},
]
DELTA = {
    "type": "message_delta",
    "delta": {"stop_reason": "end_turn", "stop_sequence": None},
    "usage": {"output_tokens": 2},
}
STOP = {"type": "message_stop"}
MORE = {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "x"}}
OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Closed"}}
ODD_PARTS: dict[str, Any] = {
    "an unknown type": {"type": "bridge_opened", "by": "the keeper"},
    "no type": ("ping", {}),
    "a name without its type": ("content_block_delta", {"index": 0}),
    "type a number": ("ping", {"type": 7}),
    "a text": ("content_block_delta", '"Two euros"'),
    "null": ("message_delta", "null"),
    "a list": ("message_delta", "[1]"),
    "data without a name": (None, {"type": "ping"}),
    "a block that never started": {**MORE, "index": 7},
    "no index": MORE,
    "delta null": {"type": "content_block_delta", "index": 0, "delta": None},
    "message delta null": {"type": "message_delta", "delta": None, "usage": None},
    "usage a text": {"type": "message_delta", "delta": {"stop_reason": None}, "usage": "many"},
    "counts null": {"type": "message_delta", "delta": {"stop_reason": None}, "usage": {"input_tokens": None}},
}  # fmt: skip
CLAUDE_STREAMS = [
    *(stream(name, [START, one, *BLOCK, DELTA, STOP], (3, 2), done=False) for name, one in ODD_PARTS.items()),
    *(stream(f"{name}, first", [one, START, DELTA, STOP], (3, 2), done=False) for name, one in ODD_PARTS.items()),
    stream("the end before the start", [DELTA, *BLOCK, START, STOP], (3, 2), done=False),
    stream("two starts", [START, START, *BLOCK, DELTA, STOP], (3, 2), done=False),
    stream("two ends", [START, *BLOCK, DELTA, DELTA, STOP, STOP], (3, 2), done=False),
    stream("start without message", [{"type": "message_start"}, *BLOCK, DELTA, STOP], (None, 2), done=False),
    stream("start with a text", [{"type": "message_start", "message": "x"}, DELTA, STOP], (None, 2), done=False),
    stream("usage null", [{**START, "message": {**CLAUDE, "usage": None}}, {**DELTA, "usage": None}, STOP], done=False),
    stream("no usage", [{**START, "message": changed(CLAUDE, "usage")}, changed(DELTA, "usage"), STOP], done=False),
    stream("no delta", [START, *BLOCK, STOP], (3, 1), done=False),
    stream("no stop", [START, *BLOCK, DELTA], (3, 2), done=False),
    stream("pings only", [("ping", {"type": "ping"})] * 3, done=False),
    stream("an error event", [START, OVERLOADED], (3, None), done=False),
    stream("an error text", [START, ("error", "The bridge is closed")], (3, None), done=False),
    stream("an error null", [START, {"type": "error", "error": None}], (3, None), done=False),
    stream("not JSON", [START, ("content_block_delta", "{Two euros")], (3, None), done=False),
    stream("OpenAI's end", [START, DELTA, STOP, "[DONE]"], (3, 2), done=False),
]  # fmt: skip

# --- against JSON, SSE and HTTP --------------------------------------------------------------

HTML = b"<!doctype html><title>504</title><h1>Gateway \xe2\x80\x94 timed out</h1>"


def for_any(answer: Any, usage: Usage) -> list[Odd]:
    """Return replies that are odd below the provider's own format, made of one good answer."""
    good = json.dumps(answer, ensure_ascii=False).encode()
    packed, gzipped = gzip.compress(good), {**JSON, "content-encoding": "gzip"}
    error = {"error": {"message": "Closed", "type": "closed", "code": "closed"}}
    return [
        Odd("HTML", Reply(body=HTML, headers={"content-type": "text/html"})),
        Odd("HTML that calls itself JSON", Reply(body=HTML, headers=JSON)),
        Odd("HTML that calls itself a stream", Reply(body=HTML, headers=SSE)),
        Odd("no body", Reply(body=b"", headers=JSON)),
        Odd("no content", Reply(204)),
        Odd("a list", Reply(json=[answer])),
        Odd("a text", Reply(json="Two euros")),
        Odd("a number", Reply(json=7)),
        Odd("null", Reply(body=b"null", headers=JSON)),
        Odd("an empty object", Reply(json={})),
        Odd("half an answer", Reply(body=good[: len(good) // 2], headers=JSON)),
        Odd("JSON of no type", Reply(body=good), usage, sure=False),
        Odd("JSON that calls itself text", Reply(body=good, headers={"content-type": "text/plain"}), usage, sure=False),
        Odd("JSON after a byte order mark", Reply(body=b"\xef\xbb\xbf" + good, headers=JSON), usage, sure=False),
        Odd("JSON in Latin-1", Reply(body=good.replace(b"{", b'{"by": "\xe9", ', 1), headers=JSON), usage, sure=False),
        Odd("not gzip at all", Reply(body=good, headers=gzipped)),
        Odd("half a gzip", Reply(body=packed[:-9], headers=gzipped), usage, sure=False),
        Odd("a good gzip", Reply(body=packed, headers=gzipped), usage),
        Odd("one byte at a time", Reply(body=good, headers=JSON, chunk_bytes=7), usage),
        Odd("an error with status 200", Reply(json=error)),
        Odd("400 with JSON", Reply.openai_error(400, "bad_toll", "No such toll")),
        Odd("400 with a text", Reply(400, json="No such toll")),
        Odd("400 with an odd error", Reply(400, json={"error": ["No such toll"]})),
        Odd("401 with HTML", Reply(401, body=HTML, headers={"content-type": "text/html"})),
        Odd("429 of Anthropic", Reply.anthropic_error(429, "rate_limit_error", "Slower")),
        Odd("429 without JSON", Reply(429, body=b"Slower")),
        Odd("500 without a body", Reply(500)),
        Odd("503 with null", Reply(503, body=b"null", headers=JSON)),
        Odd("529 of Anthropic", Reply.anthropic_error(529, "overloaded_error", "Full")),
        Odd("cut before the status", Reply(json=answer, cut_after_bytes=0)),
        Odd("cut in the middle", Reply(json=answer, cut_after_bytes=len(good) // 2)),
    ]  # fmt: skip


def for_streams(events: Sequence[Any], usage: Usage, before_the_end: Usage, *, done: bool) -> list[Odd]:
    """Return streams that are odd below the provider's own format, made of good events."""
    good = sse(events, done=done)
    commented = b": welcome\n\n" + good.replace(b"\n\n", b"\n\n: still here\n\n") + b":\n\n"
    not_utf_8 = good.replace("🍋".encode(), b"\xf0\x9f")
    cut = len(sse(events[:-1], done=False)) - 4
    fields = good.replace(b"data:", b"id: 7\nretry: 100\nunknown: x\ndata:")
    return [
        Odd("comments", Reply(body=commented, headers=SSE), usage),
        Odd("other fields", Reply(body=fields, headers=SSE), usage),
        Odd("CRLF", Reply(body=good.replace(b"\n", b"\r\n"), headers=SSE), usage),
        Odd("CR", Reply(body=good.replace(b"\n", b"\r"), headers=SSE), usage),
        Odd("no space after the colon", Reply(body=good.replace(b"data: ", b"data:"), headers=SSE), usage),
        Odd("split within characters", Reply(body=good, headers=SSE, chunk_bytes=1), usage),
        Odd("split within CRLF", Reply(body=good.replace(b"\n", b"\r\n"), headers=SSE, chunk_bytes=3), usage),
        Odd("many empty lines", Reply(body=b"\n\n\n" + good.replace(b"\n\n", b"\n\n\n\n"), headers=SSE), usage),
        Odd("data on two lines", Reply(body=good.replace(b",", b",\ndata: "), headers=SSE), usage),
        Odd("a stream of no type", Reply(body=good), usage, sure=False),
        Odd("no events", Reply(body=b"", headers=SSE)),
        Odd("only the end", Reply(body=b"data: [DONE]\n\n", headers=SSE)),
        Odd("only comments", Reply(body=b": hello\n\n" * 3, headers=SSE)),
        Odd("no empty line at the end", Reply(body=good.rstrip(), headers=SSE), usage, sure=False),
        Odd("cut before the first event", Reply(events=events, cut_after_bytes=5)),
        Odd("cut before the end", Reply(events=events, cut_after_bytes=cut), before_the_end),
        Odd("gzip", Reply(body=gzip.compress(good), headers={**SSE, "content-encoding": "gzip"}), usage),
        Odd("not UTF-8", Reply(body=not_utf_8, headers=SSE), usage, sure=False),
    ]  # fmt: skip


# --- of any answer ---------------------------------------------------------------------------

INSTEAD = (None, "many", 7, [], {}, True, ["a"], -1, 2.5, {"0": "a"})


def below_the_format(good: Reply) -> list[Odd]:
    """Return what becomes of a reply of any format on its way, and what else comes in its place."""
    body = b"".join(good.pieces())
    kind = {"content-type": good.all_headers()["content-type"]}
    return [
        Odd("HTML", Reply(body=HTML, headers={"content-type": "text/html"})),
        Odd("HTML that calls itself an answer", Reply(body=HTML, headers=kind)),
        Odd("no body", Reply(body=b"", headers=kind)),
        Odd("no content", Reply(204)),
        Odd("half an answer", Reply(body=body[: len(body) // 2], headers=kind)),
        Odd("null", Reply(body=b"null", headers=kind)),
        Odd("an empty object", Reply(body=b"{}", headers=kind)),
        Odd("a list", Reply(body=b'["Two euros"]', headers=kind)),
        Odd("one byte at a time", Reply(body=body, headers=kind, chunk_bytes=7)),
        Odd("not gzip at all", Reply(body=body, headers={**kind, "content-encoding": "gzip"})),
        Odd("400 with a text", Reply(400, json="No such toll")),
        Odd("401 with HTML", Reply(401, body=HTML, headers={"content-type": "text/html"})),
        Odd("429 without JSON", Reply(429, body=b"Slower")),
        Odd("500 without a body", Reply(500)),
        Odd("cut before the status", replace(good, cut_after_bytes=0)),
        Odd("cut in the middle", replace(good, cut_after_bytes=len(body) // 2)),
    ]


def with_an_odd_value(good: Reply) -> list[Reply]:
    """Return replies that each have another kind of value in one place; none for a format that is not JSON."""
    document = [event[1] if isinstance(event, tuple) else event for event in good.events or [good.json]]
    names = [event[0] if isinstance(event, tuple) else event.get("type") for event in good.events or [{}]]
    if document == [None]:
        return []
    spots = list(dict.fromkeys(tuple(spot) for spot in _spots(document)))
    made = []
    for number, spot in enumerate(spots):
        changed_one = _changed_at(document, spot, INSTEAD[number % len(INSTEAD)])
        if good.events is None:
            made.append(replace(good, json=changed_one[0]))
        else:
            made.append(replace(good, events=list(zip(names, changed_one, strict=True))))
    return made


def told_apart(answers: Sequence[Reply], good: Reply) -> list[Reply]:
    """Return replies that each have an id of their own, instead of that of the good one."""
    first = re.search(r'"id": "(\w+)"', json.dumps(good.events or good.json))
    identity = "" if first is None else first[1]
    return [_renamed(reply, identity, f"{identity}_{number}") for number, reply in enumerate(answers)]


def _renamed(reply: Reply, before: str, after: str) -> Reply:
    if reply.events is None:
        return replace(reply, json=_with_text(reply.json, before, after))
    events = [(name, _with_text(event, before, after)) for name, event in reply.events]
    return replace(reply, events=events)


def _with_text(value: Any, before: str, after: str) -> Any:
    return json.loads(json.dumps(value).replace(f'"{before}"', f'"{after}"'))


def _spots(document: list[Any]) -> list[Any]:
    """Return the way to each value of the first, second and last two parts of a document."""
    parts = {0, 1, len(document) - 2, len(document) - 1} & set(range(len(document)))
    return [(part, *rest) for part in sorted(parts) for rest in _ways_down(document[part])]


def _ways_down(value: Any) -> list[Any]:
    found = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    return [(key, *rest) for key, inner in found for rest in [(), *_ways_down(inner)]]


def _changed_at(value: Any, spot: Any, instead: Any) -> Any:
    if not spot:
        return instead
    copied = value.copy()
    copied[spot[0]] = _changed_at(value[spot[0]], spot[1:], instead)
    return copied
