"""cohere 5, 6 and 7: its first and second API.

Sources: the SDK's sources and types (5.18 to 7.3), recorded traffic; semconv reference, 4.5 and 5.5. What is billed
counts, not what was consumed; `cached_tokens` are a part of the latter, so they are not told as read from a cache.
Longer than 80 lines: two APIs with shapes of their own, and what is billed beside what is consumed.
"""

from __future__ import annotations

from typing import Any, Final

from tracetoll import usage as u
from tracetoll.providers.waists import Body, Function, Handed, Waist
from tracetoll.providers.words import (
    Answer,
    Choices,
    Events,
    Part,
    Reason,
    Surface,
    as_count,
    asked,
    paths,
)
from tracetoll.usage import UsageMap
from tracetoll_semconv import attributes as a

BILLED: Final[dict[str, Any]] = {
    "input_tokens": u.INPUT,
    "output_tokens": u.OUTPUT,
    "text_tokens": u.TEXT_INPUT,
    "image_tokens": u.IMAGE_INPUT,
    "search_units": u.SEARCH_UNITS,
    "images": u.IMAGES,
    "pages": u.PAGES,
}
UNITS: Final = UsageMap(fields={"billed_units": BILLED})
USAGE: Final = UsageMap(
    fields={**UNITS.fields, "tokens": {"input_tokens": u.CONSUMED_INPUT, "output_tokens": u.CONSUMED_OUTPUT}}
)
CONSUMED: Final = {
    "tokens": {
        "input_tokens": (a.USAGE_CONSUMED_INPUT_TOKENS, as_count),
        "output_tokens": (a.USAGE_CONSUMED_OUTPUT_TOKENS, as_count),
    }
}
REQUEST: Final[dict[str, Any]] = asked(
    "max_tokens temperature top_p=p top_k=k stop=stop_sequences seed frequency_penalty "
    "presence_penalty choices=num_generations output_type=response_format.type"
)
REASONS: Final = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "ERROR_LIMIT": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR_TOXIC": "content_filter",
    "ERROR": "error",
}
FINISH: Final = Reason(("finish_reason",), REASONS)
DELTA: Final = Answer(id="", finish=FINISH, attributes={"usage": CONSUMED}, error=("error",))
CHAT: Final = Surface(
    operation="chat",
    usage=USAGE,
    request=REQUEST,
    answer=Answer(finish=FINISH, attributes={"usage": CONSUMED}),
    events=Events(
        kind="type", parts={"message-start": Part(answer=Answer(usage=())), "message-end": Part(("delta",), DELTA)}
    ),
    output_caps=("max_tokens",),
)
FIRST_CHAT: Final = Surface(
    operation="chat",
    usage=USAGE,
    request=REQUEST,
    answer=Answer(id="generation_id", usage=paths("meta"), finish=FINISH, attributes={"meta": CONSUMED}),
    events=Events(
        kind="event_type",
        parts={
            "stream-start": Part(answer=Answer(id="generation_id", usage=())),
            "stream-end": Part(("response",)),
        },
    ),
    output_caps=("max_tokens",),
)
TEXT: Final = Surface(
    operation="text_completion",
    usage=USAGE,
    request=REQUEST,
    answer=Answer(usage=paths("meta"), finish=Choices("generations", values=REASONS), attributes={"meta": CONSUMED}),
    events=Events(kind="event_type", parts={"stream-end": Part(("response",))}),
    output_caps=("max_tokens",),
    choices=("num_generations",),
)
META: Final = Answer(usage=paths("meta"))
EMBED: Final = Surface(
    operation="embeddings",
    usage=USAGE,
    request=asked("dimensions=output_dimension encoding_formats=embedding_types"),
    answer=META,
    inference=False,
)
RERANK: Final = Surface(operation="rerank", usage=UNITS, answer=META, inference=False)
PARSE: Final = Surface(operation="generate_content", usage=UNITS, answer=META)
# The first asks from threads, the others are generators.
ELSEWHERE: Final = (
    "client:Client.embed",
    *(
        f"{client}.{name}"
        for client in ("base_client:BaseCohere", "base_client:AsyncBaseCohere")
        for name in ("chat_stream", "generate_stream")
    ),
    "v2.client:V2Client.chat_stream",
    "v2.client:AsyncV2Client.chat_stream",
)
CLIENT: Final = "cohere.core.http_client:"
API: Final = Waist(
    name="cohere",
    provider="cohere",
    functions=(
        Function(at=CLIENT + "HttpClient.request", result="response"),
        Function(at=CLIENT + "AsyncHttpClient.request", asynchronous=True, result="response"),
        Function(at=CLIENT + "HttpClient.stream", result="response manager", streams=True),
        Function(at=CLIENT + "AsyncHttpClient.stream", asynchronous=True, result="response manager", streams=True),
    ),
    attempts=(Function(at=CLIENT + "_should_retry"),),
    handed=Handed(functions=tuple(Function(at=f"cohere.{name}") for name in ELSEWHERE), options="request_options"),
    key=paths("method", "path"),
    body=Body(at=("json",), model=("data", "model")),
    base_url=("self", "base_url"),
    surfaces={
        "POST /v2/chat": CHAT,
        "POST /v1/chat": FIRST_CHAT,
        "POST /v1/generate": TEXT,
        "POST /v1/summarize": TEXT,
        "POST /v1/embed": EMBED,
        "POST /v2/embed": EMBED,
        "POST /v1/rerank": RERANK,
        "POST /v2/rerank": RERANK,
        "POST /v1/classify": Surface(operation="classify", inference=False),
        "POST /v2/parse": PARSE,
        "POST /v2/audio/transcriptions": Surface(operation="generate_content"),
        "POST /v1/tokenize": Surface(operation="count_tokens", metrics=False),
    },
)

SEAMS: Final = (API,)
