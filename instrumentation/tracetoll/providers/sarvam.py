"""sarvamai: chat, responses; what is told in OpenAI's words. Speech and translation report no usage.

Sources: the SDK's types (CompletionUsage, ResponseUsage, ChatStreamOptions) and its `core.http_client` (0.1.39).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tracetoll.providers import compatible
from tracetoll.providers.waists import Body, Function, Waist
from tracetoll.providers.words import paths

HTTP: Final = "sarvamai.core.http_client:"
CHAT: Final = replace(compatible.CHAT, output_caps=("max_tokens",))
RESPONSES: Final = replace(compatible.RESPONSES, billed="now")
API: Final = Waist(
    name="sarvam",
    provider="sarvam",
    functions=(
        Function(at=HTTP + "HttpClient.request", result="response"),
        Function(at=HTTP + "AsyncHttpClient.request", result="response", asynchronous=True),
        Function(at=HTTP + "HttpClient.stream", result="response manager", streams=True),
        Function(at=HTTP + "AsyncHttpClient.stream", result="response manager", streams=True, asynchronous=True),
    ),
    key=paths("method", "path"),
    body=Body(at=("json",)),
    base_url=("base_url",),
    error_codes=paths("error.code"),
    surfaces={
        "POST /v1/chat/completions": CHAT,
        "POST /v2/chat/completions": CHAT,
        "POST /v2/responses": RESPONSES,
    },
)

SEAMS: Final = (API,)
