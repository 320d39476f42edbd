"""perplexityai 0.10 and later: Perplexity's Sonar chat, responses, decisions, embeddings and search.

Sources: the SDK's own types (0.46.1); semconv reference, 5.5. Every chunk of a chat has the usage so far; the cost is
told beside it. Reasoning and citations are counted beside the output.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tracetoll.providers import compatible
from tracetoll.providers.words import Answer, Surface, paths

CHAT: Final = replace(compatible.CHAT, output_caps=("max_tokens",))
STARTED: Final = Surface(
    operation="chat", usage=CHAT.usage, answer=Answer(usage=paths("response.usage"), status="status"), billed="later"
)
FETCHED: Final = replace(STARTED, operation="fetch_response", billed="fetched", inference=False)
SURFACES: Final = {
    "POST /async/chat/completions": STARTED,
    "GET /async/chat/completions/{id}": FETCHED,
    "POST /chat/completions": CHAT,
    "POST /responses": compatible.RESPONSES,
    "GET /responses/{id}": compatible.FETCHED_RESPONSE,
    "POST /responses/{id}/cancel": compatible.FETCHED_RESPONSE,
    "POST /decisions": Surface(operation="generate_content", usage=compatible.RESPONSES_USAGE),
    "POST /embeddings": compatible.EMBEDDINGS,
    "POST /contextualizedembeddings": compatible.EMBEDDINGS,
    "POST /search": Surface(operation="retrieval", answer=Answer(model=""), inference=False),
}
SDK: Final = compatible.host("perplexity", "perplexity", "perplexity", SURFACES)

SEAMS: Final = (SDK,)
