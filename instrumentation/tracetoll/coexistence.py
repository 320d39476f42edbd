"""Live with other instrumentation: who else accounts for a call, and how they learn that we do.

Upstream's GenAI packages mark a live operation in the context, under plain string keys that can be read
without them (semconv reference, 7.1). They take a mark for one only if it is an instance of their class.
"""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
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


class HeldSilently:
    """The calls that others tell of and that we have held to limits, so that they are not charged again. Bounded."""

    def __init__(self, kept: int = 10_000) -> None:
        self._kept = kept
        self._calls: OrderedDict[object, list[list[object]]] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, *names: object) -> None:
        """Remember a call by everything that it may be recognised by."""
        entry = list(names)
        with self._lock:
            for name in names:
                self._calls.setdefault(name, []).append(entry)
            while len(self._calls) > self._kept:
                self._calls.popitem(last=False)

    def take(self, *names: object) -> bool:
        """Return whether there is a call of one of these names, the first that fits; each is found once."""
        if not self._calls:
            return False
        with self._lock:
            for name in names:
                found = self._calls.get(name)
                if found:
                    entry = found[0]
                    for other in entry:
                        same = self._calls.get(other)
                        if same is not None and entry in same:
                            same.remove(entry)
                            if not same:
                                del self._calls[other]
                    return True
        return False
