"""pydo: DigitalOcean's serverless inference, and the agents that it serves; the rest of the SDK calls no model.

Sources: the SDK's generated operations and its `custom_extensions` (0.44.0). When a client is made, it
wraps the generated functions. What streams is known by the function that builds its request.
Response headers, and rate limits with them, are not to be seen here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tracetoll.providers import anthropic, compatible
from tracetoll.providers.waists import Body, Function, Tap, Waist
from tracetoll.providers.words import Surface, paths

SURFACES: Final[dict[str, Surface]] = {
    "build_inference_create_chat_completion_request": compatible.CHAT,
    "build_agent_inference_create_chat_completion_request": compatible.CHAT,
    "build_inference_create_messages_request": anthropic.MESSAGES,
    # Nothing is fetched later.
    "build_inference_create_response_request": replace(compatible.RESPONSES, billed="now"),
    "build_inference_create_embedding_request": compatible.EMBEDDINGS,
    "build_inference_create_image_request": compatible.IMAGES,
}
OPERATIONS: Final = (
    ("InferenceOperations.create_chat_completion", "build_inference_create_chat_completion_request"),
    ("AgentInferenceOperations.create_chat_completion", "build_agent_inference_create_chat_completion_request"),
    ("InferenceOperations.create_messages", "build_inference_create_messages_request"),
    ("InferenceOperations.create_response", "build_inference_create_response_request"),
    ("InferenceOperations.create_embedding", "build_inference_create_embedding_request"),
    ("InferenceOperations.create_image", "build_inference_create_image_request"),
)
STREAMED: Final = "pydo.custom_extensions:"
SDK: Final = Waist(
    name="pydo",
    provider="digitalocean",
    functions=(
        *(
            Function(at=module + method, asynchronous=asynchronous, surface=surface)
            for module, asynchronous in (
                ("pydo.operations._operations:", False),
                ("pydo.aio.operations._operations:", True),
            )
            for method, surface in OPERATIONS
        ),
        Function(at=STREAMED + "StreamingMixin._auto_streaming_call", streams=True),
        Function(at=STREAMED + "AsyncStreamingMixin._auto_streaming_call", streams=True, asynchronous=True),
    ),
    key=paths("builder.__name__"),
    surfaces=SURFACES,
    body=Body(at=("body",)),
    base_url=("self", "_client", "_base_url"),
    tap=Tap(
        at="_iter_events",
        made=True,
        response="_response",
        closes=(STREAMED + "SSEStream.close", STREAMED + "AsyncSSEStream.close"),
    ),
    error_codes=paths("error.code", "status_code"),
)

SEAMS: Final = (SDK,)
NOTES: Final = ("A client that was made before `instrument()` keeps its functions: only its streams are counted.",)
