"""What a call will probably take, and what it can take at most. No tokenizer; never reported as usage.

Input: the size of the request as JSON times a ratio learned from the provider's own counts for that model.
Output: the call's own cap, else what that model's answers were seen to have. Both learn the upper edge of what
they see: they rise at once, and sink slowly, because a limit holds as well as its estimates are not too low.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tracetoll.reading import view

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_FIRST_RATIO: Final = 0.3
"""Tokens per byte before anything is known; 0.08 to 0.25 in recorded chats, more where tools are told."""
_FIRST_OUTPUT: Final = 1024
_SINKS: Final = 0.005
"""How much of the way from the edge to the middle is given up with each call."""
_MARGIN: Final = 1.05
_FIRST_TEXT_RATIO: Final = 0.35
_FIRST_CHUNK: Final = 2.0
_MEDIA_TOKENS: Final = 1600
"""For an image, a file or a sound, whose bytes tell nothing; a large image is 1,445 with OpenAI's first models."""
_ENVELOPE: Final = 64
_TOOLS_ENVELOPE: Final = 512
"""What providers were seen to add to a request that has tools: up to 350 tokens of their own text."""
_LONG_DATA: Final = 1024
_MODELS_KEPT: Final = 2048
_MEDIA_KEYS: Final = frozenset({"image_url", "file_data", "input_audio", "data", "image", "file_id", "file", "audio"})
_DEEPEST: Final = 40


class Size(NamedTuple):
    """How large a request is."""

    bytes: int
    """As compact JSON in UTF-8, without what is counted as media."""
    media: int = 0
    """Images, files and sounds."""
    tools: bool = False

    @property
    def bound(self) -> int:
        """The most tokens that its text can be: one per byte, and what the provider adds."""
        return self.bytes + _ENVELOPE + (_TOOLS_ENVELOPE if self.tools else 0)


def size_of(body: object) -> Size:
    """Return the size of a request body, without serialising it."""
    fields = body if isinstance(body, dict) else view(body)
    media: list[int] = []
    length = _length(fields, media, 0)
    return Size(length, len(media), bool(fields.get("tools") or fields.get("functions")))


def _length(value: Any, media: list[int], depth: int) -> int:
    kind = type(value)
    if kind is str:
        return _bytes(value)
    if kind is dict:
        return _dict_length(value, media, depth + 1) if depth < _DEEPEST else 0
    if kind is list or kind is tuple:
        return _list_length(value, media, depth + 1) if depth < _DEEPEST else 0
    if value is None or kind is bool:
        return 4
    if kind is int or kind is float:
        return len(repr(value))
    fields = view(value) if not isinstance(value, str) else None
    return _length(dict(fields), media, depth + 1) if fields else _bytes(str(value))


def _dict_length(value: Mapping[Any, Any], media: list[int], depth: int) -> int:
    total = 2
    for key, one in value.items():
        if key in _MEDIA_KEYS and _is_media(one):
            media.append(1)
        else:
            total += (len(key) if type(key) is str else 8) + 4 + _length(one, media, depth)
    return total


def _list_length(value: Sequence[Any], media: list[int], depth: int) -> int:
    if value and type(value[0]) is int:
        return len(repr(value))  # token ids: many
    return 2 + len(value) + sum(_length(one, media, depth) for one in value)


def _bytes(text: str) -> int:
    # Quotes included; escapes are not: they are gone again when the provider counts.
    return (len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))) + 2


def _is_media(value: object) -> bool:
    if isinstance(value, str):
        return len(value) > _LONG_DATA or value.startswith(("data:", "http", "file-"))
    return isinstance(value, dict | bytes)


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

    __slots__ = ("chunk", "nano_per_token", "output", "ratio", "text_ratio")

    def __init__(self) -> None:
        self.ratio = Edge(_FIRST_RATIO)
        """Input tokens per byte of request."""
        self.output = Edge(_FIRST_OUTPUT)
        """Output tokens of an answer."""
        self.text_ratio = Edge(_FIRST_TEXT_RATIO)
        """Output tokens per character of streamed text."""
        self.chunk = Edge(_FIRST_CHUNK)
        """Output tokens per event of a stream."""
        self.nano_per_token = Edge(0.0)
        """What a provider that states its costs asked for, in nano-dollars."""

    def input(self, size: Size) -> int:
        """Return how many input tokens a request of some size will probably be."""
        by_text = min(size.bytes * self.ratio.top * _MARGIN, size.bound)
        return int(by_text) + 1 + size.media * _MEDIA_TOKENS

    def usual_output(self) -> int:
        """Return how many output tokens an answer without a cap will probably have."""
        return int(self.output.top * _MARGIN) + 1

    def learn_input(self, size: Size, input_tokens: int | None) -> None:
        """Take what the provider counted for a request of some size."""
        if input_tokens is not None and not size.media and size.bytes:
            self.ratio.add(input_tokens / size.bytes)

    def learn_text(self, characters: int, output_tokens: int | None) -> None:
        """Take how many output tokens the provider counted for a stream of some length."""
        if output_tokens is not None and characters:
            self.text_ratio.add(output_tokens / characters)


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
    {"content", "text", "delta", "thinking", "partial_json", "arguments", "reasoning_content", "reasoning", "refusal"}
)
_NESTED: Final = frozenset(
    {"choices", "delta", "message", "tool_calls", "function", "content", "data", "content_block"}
)


def text_length(event: object, depth: int = 0) -> int:
    """Return how many characters of an answer an event of a stream carries."""
    fields: Mapping[str, Any] = event if type(event) is dict else view(event)
    total = 0
    for key, value in fields.items():
        kind = type(value)
        if kind is str:
            if key in _TEXT_KEYS:
                total += len(value)
        elif value is not None and key in _NESTED and depth < _DEEPEST:
            for one in value if kind is list else (value,):
                total += text_length(one, depth + 1)
    return total
