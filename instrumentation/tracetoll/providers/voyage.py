"""voyageai: embeddings and reranking.

Sources: the SDK's sources (0.3 to 0.5); semconv reference, 5.5. These methods stand above the SDK's retries. Models
that run in the application's own process are no calls. No header of an answer reaches the application, nor us.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tracetoll import usage as u
from tracetoll.providers.waists import Asks, Function, Waist
from tracetoll.providers.words import Answer, Surface, asked, paths
from tracetoll.usage import UsageMap

EMBED: Final = Surface(
    operation="embeddings",
    usage=UsageMap(
        fields={
            "total_tokens": u.INPUT,
            "text_tokens": u.TEXT_INPUT,
            "image_pixels": u.IMAGE_PIXELS,
            "video_pixels": u.VIDEO_PIXELS,
        }
    ),
    request=asked("dimensions=output_dimension encoding_formats=output_dtype"),
    answer=Answer(id="", usage=paths("")),
    inference=False,
)
RERANK: Final = replace(EMBED, operation="rerank", usage=UsageMap(fields={"total_tokens": u.INPUT}), request={})
SURFACES: Final = {"embed": EMBED, "multimodal_embed": EMBED, "contextualized_embed": EMBED, "rerank": RERANK}
API: Final = Waist(
    name="voyage",
    provider="voyage_ai",
    functions=tuple(
        Function(at=f"{client}.{name}", asynchronous=waits, surface=name)
        for client, waits in (("voyageai.client:Client", False), ("voyageai.client_async:AsyncClient", True))
        for name in SURFACES
    ),
    attempts=(
        Function(at="voyageai.api_resources.api_requestor:APIRequestor.request"),
        Function(at="voyageai.api_resources.api_requestor:APIRequestor.arequest", asynchronous=True),
    ),
    local=Asks(at="voyageai.local.helpers:is_local_model", of=("model",)),
    base_url=("self", "_params", "base_url"),
    error_codes=paths("http_status"),
    surfaces=SURFACES,
)

SEAMS: Final = (API,)
