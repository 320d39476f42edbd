"""What a call will probably take, and what it can take at most. No tokenizer; never reported as usage.

Input: the size of the request as JSON times a ratio learned from the provider's own counts for that model.
Output: the call's own cap, else what that model's answers were seen to have. Both learn the upper edge of what
they see: they rise at once, and sink slowly, because a limit holds as well as its estimates are not too low.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tracetoll.limits.sizes import Size

_FIRST_RATIO: Final = 0.3
"""Tokens per byte before anything is known; 0.08 to 0.25 in recorded chats, more where tools are told."""
_FIRST_OUTPUT: Final = 1024
_SINKS: Final = 0.002
"""How much of the way from the edge to the middle is given up with each call."""
_MARGIN: Final = 1.05
_FIRST_TEXT_RATIO: Final = 0.35
_FIRST_CHUNK: Final = 2.0
_STREAMS_KNOWN: Final = 8
"""After how many streams of a model the text of few alone is counted: the events tell enough of the others."""
_UNMEASURED: Final = 31
"""How many streams there are between those, a power of two less one."""
_MEDIA_TOKENS: Final = 1600
"""For an image, a file or a sound, whose bytes tell nothing; a large image is 1,445 with OpenAI's first models."""
_MIB_BITS: Final = 20
_MODELS_KEPT: Final = 2048
_MOST_NODES: Final = 1_000_000


class Edge:
    """The upper edge of a series of numbers: rises at once, sinks slowly towards the middle."""

    __slots__ = ("_middle", "seen", "top")

    def __init__(self, first: float) -> None:
        self.top = first
        self._middle = first
        self.seen = 0

    def add(self, number: float) -> None:
        """Take one more number."""
        self.seen += 1
        if self.seen == 1:
            self._middle = self.top = number
            return
        self._middle += (number - self._middle) * 0.1
        self.top = max(number, self.top - (self.top - self._middle) * _SINKS)


class Learned:
    """What has been learned of one model on one surface."""

    __slots__ = (
        "_output", "_ratio", "_streams", "answers", "chunk", "nano_per_token", "outputs", "per_mib", "text_ratio",
        "usual_output",
    )  # fmt: skip

    def __init__(self) -> None:
        self._ratio = Edge(_FIRST_RATIO)
        """Input tokens per byte of request."""
        self.per_mib = _per_mib(self._ratio)
        """The same per mebibyte, with a margin: whole numbers are multiplied and shifted faster."""
        self._output = Edge(_FIRST_OUTPUT)
        """Output tokens of an answer."""
        self.usual_output = int(_FIRST_OUTPUT * _MARGIN) + 1
        """The same, with a margin."""
        self.outputs = 0
        """Of how many answers it is known how many they had."""
        self.text_ratio = Edge(_FIRST_TEXT_RATIO)
        """Output tokens per character of streamed text."""
        self.chunk = Edge(_FIRST_CHUNK)
        """Output tokens per event of a stream."""
        self.nano_per_token = Edge(0.0)
        """What a provider that states its costs asked for, in nano-dollars."""
        self.answers = 0
        """How many answers there were."""
        self._streams = 0

    def input_of(self, size: Size) -> int:
        """Return how many tokens a request of some size will probably have."""
        text, media, most = size
        by_text = text * self.per_mib >> _MIB_BITS
        if by_text > most:  # noqa: PLR1730  # min() takes five times as long
            by_text = most
        return by_text + 1 + media * _MEDIA_TOKENS

    def measures(self) -> bool:
        """Return whether to count the text of one more stream."""
        if self.chunk.seen < _STREAMS_KNOWN:
            return True
        self._streams = (self._streams + 1) & _UNMEASURED
        return self._streams == 0

    def learn_input(self, size: Size, input_tokens: int | None) -> None:
        """Take what the provider counted for a request of some size."""
        text, media, _ = size
        if input_tokens is not None and not media and text:
            self._ratio.add(input_tokens / text)
            self.per_mib = _per_mib(self._ratio)

    def learn_output(self, output_tokens: float) -> None:
        """Take how many output tokens an answer had."""
        self._output.add(output_tokens)
        self.outputs += 1
        self.usual_output = int(self._output.top * _MARGIN) + 1

    def learn_cost(self, nano: int | None, tokens: int) -> None:
        """Take what a provider that states its costs asked for so many tokens."""
        if nano is not None and tokens:
            self.nano_per_token.add(nano / tokens)

    def learn_stream(self, characters: int, events: int, output_tokens: int) -> None:
        """Take how many output tokens the provider counted for a stream of some length."""
        if characters:
            self.text_ratio.add(output_tokens / characters)
        if events:
            self.chunk.add(output_tokens / events)


def _per_mib(ratio: Edge) -> int:
    return math.ceil(ratio.top * _MARGIN * (1 << _MIB_BITS))


class Learner:
    """What has been learned, by provider, model and operation. Thread-safe: a lost update costs nothing."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str | None, str], Learned] = {}

    def of(self, provider: str, model: str | None, operation: str) -> Learned:
        """Return what is known of a model."""
        key = (provider, model, operation)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _MODELS_KEPT:
                self._known.clear()
            found = self._known.setdefault(key, Learned())
        return found


# Where a stream's events carry text; counted to know how far an answer has come before the provider says so.
_TEXT_KEYS: Final = frozenset(
    {
        *(
            "content",
            "text",
            "delta",
            "thinking",
            "partial_json",
            "arguments",
            "reasoning_content",
            "reasoning",
            "refusal",
        ),
        *("response", "generation", "outputText", "completion"),  # Ollama, models on Bedrock
    }
)
_NESTED: Final = frozenset(
    {
        *("choices", "delta", "message", "tool_calls", "function", "content", "data", "content_block"),
        *("candidates", "parts", "contentBlockDelta", "reasoningContent", "outputs"),  # Google, models on Bedrock
    }
)


def text_length(event: object) -> int:
    """Return how many characters of an answer an event of a stream carries."""
    total = 0
    nodes: list[Any] = [event]
    for node in nodes:  # grows as it is gone through
        kind = type(node)
        fields = node if kind is dict else getattr(node, "__dict__", None)
        if fields is None:
            continue
        for key in _CARRIERS.get(kind) or _carriers(kind, fields):
            value = fields.get(key)
            if value is None:
                continue
            if type(value) is str:
                if key in _TEXT_KEYS:
                    total += len(value)
            elif key in _NESTED:
                if type(value) is list:
                    nodes.extend(value)
                else:
                    nodes.append(value)
        if len(nodes) > _MOST_NODES:
            break
    return total


_CARRIERS: Final[dict[type, tuple[str, ...]]] = {}
"""The fields that may carry text, a third of all, by class; of models of pydantic 2, which have no others."""


def _carriers(kind: type, fields: Mapping[str, Any]) -> Iterable[str]:
    declared = getattr(kind, "__pydantic_fields__", None)
    if declared is None or len(_CARRIERS) >= _MODELS_KEPT:
        return fields
    found = _CARRIERS[kind] = tuple(name for name in declared if name in _TEXT_KEYS or name in _NESTED) or ("",)
    return found


_TEXT_IN_JSON: Final = re.compile(rb'"(?:%s)"\s*:\s*"((?:[^"\\]|\\.)*)"' % "|".join(sorted(_TEXT_KEYS)).encode())


def text_length_of_bytes(piece: bytes) -> int:
    """Return about how many characters of an answer some bytes of a stream carry; pieces need not end with events."""
    return sum(len(found) for found in _TEXT_IN_JSON.findall(piece))
