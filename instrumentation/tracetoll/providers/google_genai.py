"""google-genai 1, 2 and 3: Gemini and Vertex AI, every hop of automatic function calling a call of its own.

Sources: the SDK's own types (3.6.1), recorded traffic; semconv reference, 5.4. Gemini counts thoughts beside
the candidates and what tools brought beside the prompt.
"""

from __future__ import annotations

from typing import Any, Final

from tracetoll.providers.waists import Function, Response, Waist, json_at
from tracetoll.providers.words import Answer, Surface, as_int, paths
from tracetoll.providers import gemini
from tracetoll_semconv import attributes as a
