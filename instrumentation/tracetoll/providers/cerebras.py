"""cerebras-cloud-sdk 1: Cerebras.

Sources: the SDK's own types (1.91.0), recorded traffic; semconv reference, 5.5. A stream tells usage in its last chunk
without being asked to.
"""

from __future__ import annotations

from typing import Final

from tracetoll.providers import compatible, groq

SURFACES: Final = {"POST /chat/completions": groq.CHAT, "POST /completions": compatible.COMPLETIONS}
SDK: Final = compatible.host("cerebras", "cerebras.cloud.sdk", "cerebras", SURFACES)

SEAMS: Final = (SDK,)
