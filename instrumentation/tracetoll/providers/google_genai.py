"""google-genai 1, 2 and 3: Gemini and Vertex AI; every hop of automatic function calling is a call of its own.

Sources: the SDK's `_api_client` (1.75 to 3.6.1), recorded traffic; semconv reference, 5.4. All its surfaces but
interactions and the Live API pass through these four functions, which speak REST.
"""

from __future__ import annotations

from typing import Final

from tracetoll import usage as u
from tracetoll.providers.gemini import COUNT, GENERATE, INPUTS
from tracetoll.providers.waists import Body, Function, Response, Waist, json_at
from tracetoll.providers.words import Answer, Surface, paths
from tracetoll.usage import UsageMap

EMBED: Final = Surface(
    operation="embeddings",
    usage=UsageMap(fields={"promptTokenCount": u.INPUT, "promptTokenDetails": INPUTS, "promptTokensDetails": INPUTS}),
    answer=Answer(usage=paths("usageMetadata")),
    inference=False,
)
CLIENT: Final = "google.genai._api_client:BaseApiClient."
API: Final = Waist(
    provider="gcp.gemini",
    name="google_genai",
    functions=(
        Function(at=CLIENT + "request"),
        Function(at=CLIENT + "async_request", asynchronous=True),
        Function(at=CLIENT + "request_streamed", result="lazy", streams=True),
        Function(at=CLIENT + "async_request_streamed", asynchronous=True, streams=True),
    ),
    key=paths("http_method", "path"),
    body=Body(at=("request_dict",)),
    base_url=("self", "_http_options", "base_url"),
    event=json_at(("body",)),
    headers=("headers",),
    responses=(
        Response(function=Function(at=CLIENT + "_request"), at=("response_stream",)),
        Response(function=Function(at=CLIENT + "_async_request", asynchronous=True), at=("response_stream",)),
    ),
    error_codes=paths("status", "code"),
    surfaces={
        "POST /{model}:generateContent": GENERATE,
        "POST /{model}:streamGenerateContent": GENERATE,
        "POST /{model}:batchEmbedContents": EMBED,
        "POST /{model}:embedContent": EMBED,
        "POST /{model}:countTokens": COUNT,
    },
)

SEAMS: Final = (API,)
