"""Live with other instrumentation: who else accounts for a call, and how they learn that we do.

Upstream's GenAI packages mark a live operation in the context, under plain string keys that can be read
without them (semconv reference, 7.1). They take a mark for one only if it is an instance of their class.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context

if TYPE_CHECKING:
    from opentelemetry.context import Context

_MODULE: Final = "opentelemetry.util.genai._{}_invocation"
# operation → key in the context, upstream's module and class of the mark
_INFERENCE: Final = ("opentelemetry.genai.client.inference.context", _MODULE.format("inference"), "InferenceData")
_MARKS: Final = {
    "chat": _INFERENCE,
    "generate_content": _INFERENCE,
    "text_completion": _INFERENCE,
    "embeddings": ("opentelemetry.genai.client.embedding.context", _MODULE.format("embedding"), "EmbeddingData"),
    "fetch_response": (
        "opentelemetry.genai.client.fetch_response.context",
        _MODULE.format("fetch_response"),
        "FetchResponseData",
    ),
}
# The one of opentelemetry.context has a random suffix, and a leading underscore all its users ignore.
_SUPPRESSED: Final = ("suppress_instrumentation", getattr(otel_context, "_SUPPRESS_INSTRUMENTATION_KEY", ""))


def suppressed(context: Context) -> bool:
    """Return whether instrumentation is switched off in this context."""
    return bool(context) and bool(context.get(_SUPPRESSED[0]) or context.get(_SUPPRESSED[1]))


def told_elsewhere(context: Context, operation: str) -> bool:
    """Return whether somebody else already tells of a call of this kind in this context."""
    mark = _MARKS.get(operation)
    return mark is not None and context.get(mark[0]) is not None


def live_operation(operation: str, context: Context) -> Context:
    """Return `context` with upstream's mark of a live operation, where upstream's package is in use."""
    mark = _MARKS.get(operation)
    if mark is None:
        return context
    key, module, name = mark
    loaded = sys.modules.get(module)
    made: Any = getattr(loaded, name, None) if loaded is not None else None
    return context if made is None else otel_context.set_value(key, made(), context)
