"""writer-sdk 1.2 and later, 2 and 3: Writer.

Sources: the SDK's own types (3.0.0), recorded traffic; semconv reference, 5.5. A stream tells usage only when asked to.
Only chat tells any.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tracetoll.providers import compatible
from tracetoll.providers.words import Answer, Events, Surface, asked

CHAT: Final = replace(compatible.CHAT, output_caps=("max_tokens",))
# An answer has no id, a chunk of a stream nothing but text.
COMPLETIONS: Final = Surface(
    operation="text_completion",
    request=asked("max_tokens temperature top_p stop seed=random_seed"),
    answer=Answer(id=""),
    events=Events(),
    output_caps=("max_tokens",),
)
GENERATED: Final = Surface(operation="generate_content", answer=Answer(id="", model=""), events=Events())
SURFACES: Final = {
    "POST /chat": CHAT,
    "POST /completions": COMPLETIONS,
    "POST /applications/{id}": GENERATED,
    "POST /vision": GENERATED,
    "POST /translation": GENERATED,
}
SDK: Final = compatible.host("writer", "writerai", "writer", SURFACES)

SEAMS: Final = (SDK,)
