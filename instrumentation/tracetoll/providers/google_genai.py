"""google-genai 1, 2 and 3: Gemini and Vertex AI; every hop of automatic function calling is a call of its own.

Sources: the SDK's `_api_client` (1.0 to 3.6.1), `_gaos.basesdk` (2.34, 3.6.1) and `_interactions` (1.75), recorded
traffic; semconv reference, 5.4. All its surfaces but interactions and the Live API pass through the four functions
of its API client, which speak REST.
Longer than 80 lines: two ways to speak interactions, and the Live API.
"""

from __future__ import annotations

from typing import Final

from tracetoll.providers import interactions
from tracetoll.providers.gemini import BATCH, COUNT, EMBED, FETCHED_BATCH, GENERATE, IMAGES, LIVE, VIDEOS
from tracetoll.providers.waists import Body, Function, Response, Waist, json_at
from tracetoll.providers.words import Observed, Stainless, paths

CLIENT: Final = "google.genai._api_client:BaseApiClient."
API: Final = Waist(
    provider="gcp.gemini",
    name="google_genai",
    functions=(
        Function(at=CLIENT + "request"),
        Function(at=CLIENT + "async_request", asynchronous=True),
        Function(at=CLIENT + "request_streamed", result="lazy", streams=True),
        Function(at=CLIENT + "async_request_streamed", asynchronous=True, result="inside", streams=True),
    ),
    key=paths("http_method", "path"),
    body=Body(at=("request_dict",)),
    base_url=("self", "_http_options", "base_url"),
    flagged=(("self", "vertexai"), "gcp.vertex_ai"),
    event=json_at(("body",)),
    headers=("headers",),
    responses=(
        Response(function=Function(at=CLIENT + "_request"), at=("response_stream",)),
        Response(function=Function(at=CLIENT + "_async_request", asynchronous=True), at=("response_stream",)),
    ),
    attempts=tuple(Function(at=CLIENT + name) for name in ("_request_once", "_async_request_once")),
    held=(
        Function(at="google.genai.models:AsyncModels.generate_content_stream", asynchronous=True),
        Function(at="google.genai.chats:AsyncChat.send_message_stream", asynchronous=True),
    ),
    error_codes=paths("status", "code"),
    surfaces={
        "POST /{model}:generateContent": GENERATE,
        "POST /{model}:streamGenerateContent": GENERATE,
        "POST /{model}:batchEmbedContents": EMBED,
        "POST /{model}:embedContent": EMBED,
        "POST /image{model}:predict": IMAGES,
        "POST /{model}:predict": EMBED,
        "POST /{model}:predictLongRunning": VIDEOS,
        "POST /{model}:countTokens": COUNT,
        "POST /{model}:computeTokens": COUNT,
        "POST /{model}:batchGenerateContent": BATCH,
        "GET /batches/{id}": FETCHED_BATCH,
    },
)
INTERACTIONS: Final = Waist(
    name="google_genai",
    provider="gcp.gemini",
    functions=(
        Function(at="google.genai._gaos.basesdk:BaseSDK.do_request", result="response", streams=("stream",)),
        Function(
            at="google.genai._gaos.basesdk:AsyncBaseSDK.do_request_async",
            asynchronous=True,
            result="response",
            streams=("stream",),
        ),
    ),
    key=paths("request.method", "request.url"),
    body=Body(at=("request",), form="request"),
    base_url=("request", "url"),
    error_codes=paths("body.error.code", "code", "status_code"),
    surfaces=interactions.SURFACES,
)
# google-genai before 2 has a client made by Stainless for them.
OLDER_INTERACTIONS: Final = Stainless(
    name="google_genai",
    module="google.genai._interactions",
    provider="gcp.gemini",
    error_codes=paths("body.error.code", "code", "status_code"),
    surfaces=interactions.SURFACES,
)
# A session of the Live API is one of a model, which only the SDK's own function is told.
LIVE_SESSIONS: Final = Observed(
    name="google_genai",
    modules=("google.genai.live",),
    classes=("AsyncSession",),
    method="_receive",
    provider="gcp.gemini",
    answers={"usage_metadata": ((), LIVE)},
    typed=False,
    connects="AsyncLive.connect",
)

SEAMS: Final = (API, INTERACTIONS, OLDER_INTERACTIONS, LIVE_SESSIONS)
