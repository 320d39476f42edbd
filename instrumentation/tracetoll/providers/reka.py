"""reka-api: chat.

Sources: the SDK's types (Usage, ChatResponse, ChunkChatResponse) and its `core.http_client` (3.2.0). The usage of a
chunk stands for the whole answer so far. Retries of a request pass through this function again: one call.
"""

from __future__ import annotations

from typing import Final

from tracetoll import usage as u
from tracetoll.providers.waists import Body, Function, Waist
from tracetoll.providers.words import Answer, Choices, Events, Surface, asked, paths
from tracetoll.usage import UsageMap

SAME: Final = "max_tokens temperature top_p top_k stop seed frequency_penalty presence_penalty"
CHAT: Final = Surface(
    operation="chat",
    usage=UsageMap(fields={"input_tokens": u.INPUT, "output_tokens": u.OUTPUT}),
    request=asked(SAME),
    answer=Answer(finish=Choices(at="responses")),
    events=Events(),
    output_caps=("max_tokens",),
)
ASKED: Final = "reka.core.http_client:"
API: Final = Waist(
    name="reka",
    provider="reka",
    surfaces={"POST /chat": CHAT},
    key=paths("method", "url"),
    body=Body(at=("json",)),
    base_url=("url",),
    functions=(
        Function(at=ASKED + "HttpClient.request", result="response"),
        Function(at=ASKED + "HttpClient.stream", streams=True, result="response manager"),
        Function(at=ASKED + "AsyncHttpClient.request", asynchronous=True, result="response"),
        Function(at=ASKED + "AsyncHttpClient.stream", asynchronous=True, streams=True, result="response manager"),
    ),
)

SEAMS: Final = (API,)
