"""groq 0.9 and later, 1: Groq.

Sources: the SDK's own types (1.7.0), recorded traffic; semconv reference, 5.5. A stream tells usage in its last chunk
without being asked to, in `x_groq.usage`, newer ones beside it too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tracetoll.providers import compatible

# Groq's `max_tokens` is deprecated.
CHAT: Final = replace(compatible.CHAT, output_caps=("max_tokens", "max_completion_tokens"))
SURFACES: Final = {
    "POST /chat/completions": CHAT,
    "POST /embeddings": compatible.EMBEDDINGS,
    **compatible.AUDIO,
}
SDK: Final = compatible.host("groq", "groq", "groq", SURFACES)

SEAMS: Final = (SDK,)
