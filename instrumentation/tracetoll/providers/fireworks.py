"""fireworks-ai 1: Fireworks AI.

Sources: the SDK's own types (1.2.30), which also speak Anthropic's format; docs.fireworks.ai/api-reference. A stream
tells usage in its last chunk. Embeddings and reranking have no methods of their own; `client.post` reaches them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tracetoll.providers import anthropic, compatible
from tracetoll.providers.words import Surface, asked

CHAT: Final = replace(compatible.CHAT, request={**compatible.CHAT_REQUEST, **asked("top_k")})
SURFACES: Final = {
    "POST /chat/completions": CHAT,
    "POST /completions": replace(CHAT, operation="text_completion", content="openai.text"),
    "POST /messages": anthropic.MESSAGES,
    "POST /embeddings": compatible.EMBEDDINGS,
    "POST /rerank": Surface(operation="rerank", usage=compatible.CHAT_USAGE, inference=False),
}
SDK: Final = compatible.host("fireworks", "fireworks", "fireworks_ai", SURFACES)

SEAMS: Final = (SDK,)
