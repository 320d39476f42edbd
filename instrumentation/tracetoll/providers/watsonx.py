"""ibm-watsonx-ai: models, deployments and the gateway of IBM watsonx; text, chats, embeddings, reranking.

Sources: the SDK's sources (1.3 to 1.8); semconv reference, 5.5. Up to 1.5 methods of a model try again, later ones
functions that are made with it, so a model made before is not counted; what neither passes goes through the clients.
In a stream of text only the first event tells the input, and the output grows with each.
Longer than 80 lines: its own formats beside OpenAI's, and another seam in each of two generations.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tracetoll import usage as u
from tracetoll.providers.compatible import CHAT, COMPLETIONS, EMBEDDINGS
from tracetoll.providers.waists import Body, Function, Waist
from tracetoll.providers.words import Answer, Choices, Events, Surface, asked, paths
from tracetoll.usage import Each, UsageMap

REASONS: Final = {"eos_token": "stop", "stop_sequence": "stop", "max_tokens": "length", "token_limit": "length"}
TEXT: Final = Surface(
    operation="text_completion",
    usage=UsageMap(
        fields={"results": Each({"input_token_count": u.INPUT, "generated_token_count": u.OUTPUT})}, growing=True
    ),
    request={
        "parameters": asked("max_tokens=max_new_tokens temperature top_p top_k stop=stop_sequences seed=random_seed")
    },
    answer=Answer(
        id="",
        model="model_id",
        usage=paths(""),
        finish=Choices("results", reason="stop_reason", values=REASONS, not_yet="not_finished"),
    ),
    events=Events(),
    output_caps=("parameters.max_new_tokens",),
    adds_cap=False,  # without one an answer has 20 tokens: a cap could only make it longer
)
TALK: Final = replace(CHAT, answer=replace(CHAT.answer, model="model_id"), events=Events())
COUNTED: Final = Answer(id="", model="model_id", usage=paths(""))
EMBED: Final = Surface(
    operation="embeddings", usage=UsageMap(fields={"input_token_count": u.INPUT}), answer=COUNTED, inference=False
)
MODELS: Final = "ibm_watsonx_ai.foundation_models."
WRAPPERS: Final = "ibm_watsonx_ai._wrappers."
MAKER: Final = WRAPPERS + "httpx.rate_limited_retry.rate_limited_retry_decorator:RateLimitedRetryDecorator"
PLACES: Final = (
    (MODELS + "inference.base_model_inference:BaseModelInference", False, ("_post", "_stream")),
    (MODELS + "inference.base_model_inference:BaseModelInference", True, ("_apost", "_astream")),
    (MODELS + "embeddings.embeddings:Embeddings", False, ("_post",)),
    (MODELS + "embeddings.embeddings:Embeddings", True, ("_apost",)),
    (MAKER, False, ("rate_limited_retry", "rate_limited_retry_stream")),
    (MAKER, True, ("rate_limited_async_retry", "rate_limited_async_retry_stream")),
    *((f"{WRAPPERS}{module}:HTTPXClient", False, ("post", "post_stream")) for module in ("requests", "httpx_wrapper")),
    *(
        (f"{WRAPPERS}{module}:HTTPXAsyncClient", True, ("post", "post_stream"))
        for module in ("requests", "httpx_wrapper")
    ),
    (WRAPPERS + "httpx.client.httpx_client:HTTPXClient", False, ("post", "stream")),
    (WRAPPERS + "httpx.client.httpx_async_client:HTTPXAsyncClient", True, ("post", "stream")),
)
SDK: Final = Waist(
    name="ibm-watsonx-ai",
    provider="ibm.watsonx.ai",
    functions=tuple(
        Function(
            at=f"{place}.{name}",
            asynchronous=waits,
            result="response manager" if name.endswith("stream") else "response",
            streams=name.endswith("stream"),
            makes=place == MAKER,
            method="POST",
        )
        for place, waits, names in PLACES
        for name in names
    ),
    attempts=(Function(at=MAKER + "._is_backoff_required"),),
    key=paths("method", "url"),
    body=Body(at=("json",), model=("json", "model_id")),
    base_url=("url",),
    error_codes=paths("errors.0.code", "error.code"),
    surfaces={
        "POST /text/generation": TEXT,
        "POST /text/generation_stream": TEXT,
        "POST /text/chat": TALK,
        "POST /text/chat_stream": TALK,
        "POST /text/embeddings": EMBED,
        "POST /text/rerank": replace(EMBED, operation="rerank"),
        "POST /text/tokenization": Surface(operation="count_tokens", metrics=False),
        "POST /gateway/v1/chat/completions": CHAT,
        "POST /gateway/v1/completions": COMPLETIONS,
        "POST /gateway/v1/embeddings": EMBEDDINGS,
    },
)

SEAMS: Final = (SDK,)
