"""azure-ai-inference 1: models behind Azure AI's and GitHub's endpoints, by the SDK that is called after them.

Sources: the SDK's clients and models (1.0.0b9); semconv reference, 5.5. A stream has usage only if the request's
`model_extras` ask for it (`stream_options`). Response headers, and rate limits with them, are not to be seen here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tracetoll.providers.compatible import CHAT, EMBEDDINGS
from tracetoll.providers.waists import Body, Function, Tap, Waist
from tracetoll.providers.words import Surface, paths

FIELDS: Final = ("model", "max_tokens", "temperature", "top_p", "frequency_penalty", "presence_penalty", "seed", "stop")
BODY: Final = Body(
    whole="body",
    # What the client was made with holds where a call says nothing.
    defaults={name: ("self", f"_{name}") for name in (*FIELDS, "dimensions", "encoding_format")},
    extra=paths("self._model_extras", "model_extras"),
)
SURFACES: Final[dict[str, Surface]] = {
    # The functions have no argument for the other cap, which `model_extras` may hold.
    "chat": replace(CHAT, output_caps=("max_tokens", "max_completion_tokens")),
    "embeddings": EMBEDDINGS,
}
CLIENTS: Final = ("azure.ai.inference._patch:", False), ("azure.ai.inference.aio._patch:", True)
STREAMS: Final = "azure.ai.inference.models._patch:"
SDK: Final = Waist(
    name="azure_ai_inference",
    provider="azure.ai.inference",
    functions=tuple(
        Function(at=module + method, asynchronous=asynchronous, surface=surface, streams=("stream",))
        for module, asynchronous in CLIENTS
        for method, surface in (
            ("ChatCompletionsClient.complete", "chat"),
            ("EmbeddingsClient.embed", "embeddings"),
            ("ImageEmbeddingsClient.embed", "embeddings"),
        )
    ),
    surfaces=SURFACES,
    body=BODY,
    base_url=("self", "_config", "endpoint"),
    tap=Tap(
        at="_bytes_iterator",
        pieces=True,
        response="_response",
        closes=(STREAMS + "StreamingChatCompletions.close", STREAMS + "AsyncStreamingChatCompletions.aclose"),
    ),
    error_codes=paths("error.code", "status_code"),
    renamed={"azure.ai.openai": "azure.ai.inference"},
)

SEAMS: Final = (SDK,)
