"""xai_sdk 1: xAI's own SDK, which speaks gRPC. Every way to ask a chat, deferred ones included, and images.

Sources: the SDK's clients and its protocol buffers (1.0.0 to 1.21.0); semconv reference, 5.5. Reasoning is counted
beside the completion. Chunks of a stream have the usage so far. What server-side tools cost is in the cost only.
Longer than 80 lines: no two of its methods share a waist.
"""

from __future__ import annotations

from typing import Final

from tracetoll import usage as u
from tracetoll.providers.compatible import CHAT_REQUEST
from tracetoll.providers.waists import Body, Function, Response, Waist, message
from tracetoll.providers.words import (
    Answer,
    Choices,
    Events,
    OneOf,
    Surface,
    as_text,
    paths,
)
from tracetoll.usage import UsageMap
from tracetoll_semconv import attributes as a

USAGE: Final = UsageMap(
    fields={
        "prompt_tokens": u.INPUT,
        "completion_tokens": u.OUTPUT,
        "reasoning_tokens": u.REASONING,
        "cached_prompt_text_tokens": u.CACHE_READ,
        "prompt_text_tokens": u.TEXT_INPUT,
        "prompt_image_tokens": u.IMAGE_INPUT,
        "total_tokens": u.WIRE_TOTAL,
        "cost_in_usd_ticks": u.USD_TICKS,
    },
    added={u.REASONING: u.OUTPUT},
)
REASONS: Final = {
    "REASON_STOP": "stop",
    "REASON_MAX_LEN": "length",
    "REASON_MAX_CONTEXT": "length",
    "REASON_TIME_LIMIT": "length",
    "REASON_TOOL_CALLS": "tool_calls",
}
CHAT: Final = Surface(
    operation="chat",
    usage=USAGE,
    request={**CHAT_REQUEST, "previous_response_id": (a.GEN_AI_REQUEST_PREVIOUS_RESPONSE_ID, as_text)},
    # `choices` before 1.3 or so.
    answer=Answer(finish=OneOf(tuple(Choices(at, "finish_reason", REASONS) for at in ("outputs", "choices")))),
    events=Events(),
    output_caps=("max_tokens",),
)
COMPACTION: Final = Surface(operation="chat", usage=USAGE)
# Before 1.5 or so an image's answer had no usage.
IMAGE: Final = Surface(
    operation="generate_content", usage=USAGE, usage_if=(), attributes={a.GEN_AI_OUTPUT_TYPE: "image"}
)
METHODS: Final = (
    ("chat:Chat.sample", "chat", False),
    ("chat:Chat.sample_batch", "chat", False),
    ("chat:Chat.parse", "chat", False),
    ("chat:Chat._defer", "chat", False),
    ("chat:Chat.stream", "chat", True),
    ("chat:Chat.stream_batch", "chat", True),
    ("chat:Chat.compact", "compaction", False),
    ("chat:Client.compact_context", "compaction of messages", False),
    ("image:Client.sample", "image", False),
    ("image:Client.sample_batch", "image", False),
)
KINDS: Final = (("xai_sdk.sync.", False), ("xai_sdk.aio.", True))
SDK: Final = Waist(
    name="xai_sdk",
    provider="x_ai",
    functions=tuple(
        Function(
            at=where + method,
            asynchronous=asynchronous,
            result="lazy" if streams else "answer",
            streams=streams,
            surface=surface,
        )
        for where, asynchronous in KINDS
        for method, surface, streams in METHODS
    ),
    surfaces={"chat": CHAT, "compaction": COMPACTION, "compaction of messages": COMPACTION, "image": IMAGE},
    body=Body(at=("self", "_proto"), form="message"),
    bodies={"image": Body(), "compaction of messages": Body()},
    event=message,
    # What cannot be parsed was answered all the same.
    responses=(
        Response(function=Function(at="xai_sdk.chat:Response.__init__"), at=("response",), given=True, answer=True),
    ),
    own_tracers=tuple(where + module + ":tracer" for where, _ in KINDS for module in ("chat", "image")),
    error_codes=paths("_state.code._name_", "_code._name_"),
)

SEAMS: Final = (SDK,)
