"""oci: chat and embeddings of Oracle's generative AI. Streams are the SDK's own reader of events, and not read.

Sources: `generative_ai_inference` of the SDK, its client and models (ChatResult, EmbedTextResult, Usage; 2.189.0),
which keep what they hold under a name with an underscore. These methods stand above the SDK's retries.
"""

from __future__ import annotations

from typing import Final

from tracetoll import usage as u
from tracetoll.providers.waists import Body, Function, Waist
from tracetoll.providers.words import Answer, Surface, asked, paths
from tracetoll.usage import UsageMap

USAGE: Final = UsageMap(
    fields={
        "_prompt_tokens": u.INPUT,
        "_completion_tokens": u.OUTPUT,
        "_total_tokens": u.WIRE_TOTAL,
        "_prompt_tokens_details": {"_cached_tokens": u.CACHE_READ},
        "_completion_tokens_details": {"_reasoning_tokens": u.REASONING},
    },
    total_is_input=True,
)
TOLD: Final = Answer(id="", model="", usage=paths("data._chat_response._usage", "data._usage"))
SURFACES: Final = {
    "chat": Surface(
        operation="chat",
        usage=USAGE,
        answer=TOLD,
        request=asked("max_tokens=_max_tokens temperature=_temperature top_p=_top_p seed=_seed"),
    ),
    "embed_text": Surface(operation="embeddings", usage=USAGE, answer=TOLD, inference=False),
}
CLIENT: Final = "oci.generative_ai_inference.generative_ai_inference_client:GenerativeAiInferenceClient."
CHAT, EMBED = (("chat_details", "_serving_mode", "_model_id"), ("embed_text_details", "_serving_mode", "_model_id"))
API: Final = Waist(
    name="oci",
    provider="oci",
    bodies={
        "chat": Body(at=("chat_details", "_chat_request"), model=CHAT),
        "embed_text": Body(at=("embed_text_details",), model=EMBED),
    },
    base_url=("self", "base_client", "endpoint"),
    functions=tuple(Function(at=CLIENT + name, surface=name) for name in SURFACES),
    error_codes=paths("code", "status"),
    surfaces=SURFACES,
)

SEAMS: Final = (API,)
