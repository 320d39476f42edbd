"""aleph-alpha-client: completions, chat, embeddings, reranking, translations; by one function of each client.

Sources: the SDK's `aleph_alpha_client`, `completion`, `chat` and `embedding` (11.5.1). These functions return the JSON
of an answer, above what retries in the HTTP session. A request is the SDK's own object, in which no cap is set.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from tracetoll import usage as u
from tracetoll.providers import compatible
from tracetoll.providers.waists import Body, Function, Waist
from tracetoll.providers.words import Answer, Choices, Surface, asked, paths
from tracetoll.usage import UsageMap

USAGE: Final = UsageMap(
    fields={
        "num_tokens_prompt_total": u.INPUT,
        "num_tokens_generated": u.OUTPUT,
        "usage": {"prompt_tokens": u.INPUT, "completion_tokens": u.OUTPUT, "total_tokens": u.WIRE_TOTAL},
    }
)
REASONS: Final = Choices("completions", values={"maximum_tokens": "length", "end_of_text": "stop"})
ANSWER: Final = Answer(id="", model="model_version", usage=paths(""), finish=REASONS)
SAME: Final = "temperature top_p top_k max_tokens=maximum_tokens stop=stop_sequences"


def asking(operation: str, **more: Any) -> Surface:
    """Return a surface that tells its tokens at the top of its answer."""
    return Surface(operation=operation, usage=USAGE, answer=ANSWER, **more)


EMBED: Final = asking("embeddings", inference=False)
CLIENT: Final = "aleph_alpha_client.aleph_alpha_client:"
API: Final = Waist(
    name="aleph_alpha",
    provider="aleph_alpha",
    key=paths("endpoint"),
    base_url=("self", "host"),
    body=Body(at=("request",), model=("model",)),
    functions=(
        Function(at=CLIENT + "Client._post_request"),
        Function(at=CLIENT + "AsyncClient._post_request", asynchronous=True),
    ),
    surfaces={
        "complete": asking("text_completion", request=asked(SAME)),
        "chat/completions": replace(compatible.CHAT, request=asked(SAME), output_caps=()),
        "embed": EMBED,
        "embeddings": compatible.EMBEDDINGS,
        "semantic_embed": EMBED,
        "batch_semantic_embed": EMBED,
        "instructable_embed": EMBED,
        "rerank": asking("rerank", inference=False),
        "translate": asking("generate_content"),
        "evaluate": asking("generate_content"),
    },
)

SEAMS: Final = (API,)
