"""premai: chat, in OpenAI's words.

Source: the SDK's `types.chat_completions_response` (Usage; 0.18.0).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tracetoll.providers import compatible
from tracetoll.providers.words import Stainless, paths

SDK: Final = Stainless(
    name="premai",
    module="premai",
    provider="premai",
    error_codes=paths("body.error.code"),
    surfaces={"POST /api/v1/chat/completions": replace(compatible.CHAT, output_caps=("max_completion_tokens",))},
)

SEAMS: Final = (SDK,)
