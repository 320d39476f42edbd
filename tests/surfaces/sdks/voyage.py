"""voyageai 0."""

from __future__ import annotations

import importlib
from typing import Any

from surfaces.ways import QUESTION, Sdk, Surface, closing
from tracetoll.local_provider import Reply


def client(url: str, asynchronous: bool, **options: Any) -> Any:  # `Sdk.client` says so
    sdk = importlib.import_module("voyageai")
    made = (sdk.AsyncClient if asynchronous else sdk.Client)(api_key="none", base_url=f"{url}/voyage/v1", **options)
    return made if asynchronous else closing(made, close)


def close() -> None:
    """Close what the SDK keeps open for a thread."""
    threads = importlib.import_module("voyageai.api_resources.api_requestor")._thread_context  # noqa: SLF001
    if hasattr(threads, "session"):
        threads.session.close()


METHODS = ("embed", "multimodal_embed", "contextualized_embed", "rerank")
SDK = Sdk(
    name="voyage",
    module="voyageai",
    client=client,
    provider="voyage_ai",
    patched=(
        *(f"voyageai.client:Client.{name}" for name in METHODS),
        *(f"voyageai.client_async:AsyncClient.{name}" for name in METHODS),
        *(f"voyageai.api_resources.api_requestor:APIRequestor.{name}" for name in ("request", "arequest")),
    ),
    error="voyageai.error:VoyageError",
    rejected=lambda status: Reply(status, json={"detail": "No such toll"}),
    error_type="{}",
    answer_id=None,
    answer_model=None,
    request_id=(),
)
EMBED = Surface(
    sdk="voyage",
    method="embed",
    path="/embeddings",
    arguments={"texts": ["one", "two words"], "model": "voyage-3-lite", "output_dimension": 512},
    operation="embeddings",
    span={"gen_ai.embeddings.dimension.count": 512},
    in_counters=False,
)
MULTIMODAL = Surface(
    sdk="voyage",
    method="multimodal_embed",
    path="/multimodalembeddings",
    arguments={
        "inputs": [
            {
                "content": [
                    {"type": "text", "text": "A bridge"},
                    {"type": "image_url", "image_url": "https://example.org/bridge.jpeg"},
                ]
            }
        ],
        "model": "voyage-multimodal-3",
    },
    operation="embeddings",
    span={"gen_ai.usage.text.input_tokens": 5, "tracetoll.usage.image_pixel.count": 40_000},
    in_counters=False,
    priced=False,
)
CONTEXTUAL = Surface(
    sdk="voyage",
    method="contextualized_embed",
    path="/contextualizedembeddings",
    arguments={"inputs": [["one", "two words"], ["three"]], "model": "voyage-context-3"},
    operation="embeddings",
    in_counters=False,
)
RERANK = Surface(
    sdk="voyage",
    method="rerank",
    path="/rerank",
    arguments={"query": QUESTION, "documents": ["Two euros", "Nothing"], "model": "rerank-2.5"},
    operation="rerank",
    in_counters=False,
    priced=False,
)
SURFACES = (EMBED, MULTIMODAL, CONTEXTUAL, RERANK)
