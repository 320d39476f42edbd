"""together 1, 2 and 3: Together AI.

Sources: the SDK's own code (1.6.0, 3.1.1), recorded traffic; semconv reference, 5.5. A stream tells usage in its last
chunk without being asked to. together 1 has a transport of its own, whose answers are pairs of an answer and more.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tracetoll.providers import compatible
from tracetoll.providers.waists import Body, Function, Response, Waist, at
from tracetoll.providers.words import Surface, asked, paths

CHAT: Final = replace(
    compatible.CHAT, request={**compatible.CHAT_REQUEST, **asked("top_k")}, output_caps=("max_tokens",)
)
SURFACES: Final = {
    "POST /chat/completions": CHAT,
    "POST /completions": replace(compatible.COMPLETIONS, request=CHAT.request),
    "POST /rerank": Surface(operation="rerank", usage=compatible.CHAT_USAGE, inference=False),
    "POST /embeddings": compatible.EMBEDDINGS,
    "POST /images/generations": compatible.IMAGES,
    **compatible.AUDIO,
}
SDK: Final = compatible.host("together", "together", "together_ai", SURFACES)
REQUESTOR: Final = "together.abstract.api_requestor:APIRequestor."
ONE: Final = Waist(
    name="together",
    provider="together_ai",
    functions=(
        Function(at=REQUESTOR + "request", result="first", streams=("stream",)),
        Function(at=REQUESTOR + "arequest", asynchronous=True, result="first", streams=("stream",)),
    ),
    key=paths("options.method", "options.url"),
    body=Body(at=("options", "params")),
    base_url=("self", "api_base"),
    event=at("data"),
    responses=(
        Response(function=Function(at=REQUESTOR + "request_raw"), headers=True),
        Response(function=Function(at=REQUESTOR + "arequest_raw", asynchronous=True), headers=True),
    ),
    attempts=(Function(at=REQUESTOR + "_prepare_request_raw"),),
    error_codes=paths("api_response.code", "api_response.type_", "http_status"),
    surfaces=SURFACES,
)

SEAMS: Final = (SDK, ONE)
