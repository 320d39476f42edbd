"""What the provider has reported so far, read from the very bytes that go out.

On purpose it shares no code with `tracetoll.usage`: tests hold one against the other.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import struct
import threading
import zlib
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Final

from tracetoll.local_provider.wire import AWS_STREAM_TYPE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tracetoll.local_provider.wire import Json

_EVENT_END: Final = re.compile(rb"\r?\n\r?\n")
_PRELUDE: Final = struct.Struct(">II")


@dataclass(frozen=True, slots=True)
class HandedOut:
    """Usage that went out: the calls that reported any, and their tokens.

    Input includes what was read from and written to the cache, output includes reasoning.
    """

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0

    def __add__(self, other: HandedOut) -> HandedOut:
        return HandedOut(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))

    def __sub__(self, other: HandedOut) -> HandedOut:
        return HandedOut(*(mine - theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


_INPUTS: Final = (
    *("prompt_tokens", "input_tokens", "prompt_eval_count", "inputTokens", "inputTokenCount"),
    *("num_tokens_prompt_total", "promptTokens"),
    "total_tokens",  # embeddings may have nothing else
)
_OUTPUTS: Final = (
    *("completion_tokens", "output_tokens", "eval_count", "outputTokens", "outputTokenCount"),
    *("num_tokens_generated", "completionTokens"),
)

_CACHED_BY_XAI: Final = "cached_prompt_text_tokens"


def normalised(usage: Mapping[str, Json]) -> HandedOut:
    """Return one call's usage, whichever provider's names it has."""
    if isinstance(usage.get("billed_units"), dict):
        usage = usage["billed_units"]  # what Cohere bills, and not what the model read
    if "promptTokenCount" in usage or "total_input_tokens" in usage:
        return _of_google(usage)

    def first(where: Mapping[str, Json], *names: str) -> int:
        return next((int(where[name]) for name in names if isinstance(where.get(name), int | float)), 0)

    def details(*names: str) -> Mapping[str, Json]:
        return next((usage[name] for name in names if isinstance(usage.get(name), dict)), {})

    inputs = details(
        "prompt_tokens_details",
        "prompt_token_details",
        "input_tokens_details",
        "input_token_details",
        "promptTokensDetails",
    )
    outputs = details(
        "completion_tokens_details", "output_tokens_details", "output_token_details", "completionTokensDetails"
    )
    # Anthropic and Bedrock leave cached tokens out of the input; the others have them in.
    beside_read = first(usage, "cache_read_input_tokens", "cacheReadInputTokens", "cacheReadInputTokenCount")
    beside_write = first(usage, "cache_creation_input_tokens", "cacheWriteInputTokens", "cacheWriteInputTokenCount")
    return HandedOut(
        calls=1,
        input_tokens=first(usage, *_INPUTS) + first(usage, "connector_tokens") + beside_read + beside_write,
        # xAI counts reasoning beside the completion.
        output_tokens=first(usage, *_OUTPUTS) + (first(usage, "reasoning_tokens") if _CACHED_BY_XAI in usage else 0),
        cache_read=beside_read
        or first(inputs, "cached_tokens", "cachedTokens")
        or first(usage, "num_cached_tokens", "cached_tokens", "cached_input_tokens", _CACHED_BY_XAI),
        cache_write=beside_write or first(inputs, "cache_write_tokens"),
        reasoning=first(outputs, "reasoning_tokens", "thinking_tokens", "reasoningTokens")
        or first(usage, "reasoning_tokens"),
    )


def _of_google(usage: Mapping[str, Json]) -> HandedOut:
    """Return one call's usage as Google tells it: thoughts beside the output, what tools brought beside the input."""

    def told(*names: str) -> int:
        return sum(usage.get(name) or 0 for name in names)

    thoughts = told("thoughtsTokenCount", "total_thought_tokens")
    return HandedOut(
        calls=1,
        input_tokens=told("promptTokenCount", "toolUsePromptTokenCount", "total_input_tokens", "total_tool_use_tokens"),
        output_tokens=told("candidatesTokenCount", "total_output_tokens") + thoughts,
        cache_read=told("cachedContentTokenCount", "total_cached_tokens"),
        reasoning=thoughts,
    )


# Words of which one is in a document that tells its usage beside everything else.
_AT_THE_TOP: Final = frozenset({"num_tokens_generated", "prompt_eval_count", "step_count"})


class Tally:
    """The sum over all answers; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._total = HandedOut()
        self._reported: set[str] = set()

    @property
    def total(self) -> HandedOut:
        """The sum so far."""
        with self._lock:
            return self._total

    def replace(self, before: HandedOut, after: HandedOut) -> None:
        """Put what an answer reports now in the place of what it reported before."""
        with self._lock:
            self._total = self._total - before + after

    def first_time(self, name: str | None, method: str) -> bool:
        """Return whether the object of that id is to be counted; one fetched again (GET) is not."""
        if name is None:
            return True
        with self._lock:
            if method == "GET" and name in self._reported:
                return False
            self._reported.add(name)
            return True


class Meter:
    """Reads the usage of one answer while it goes out."""

    def __init__(self, tally: Tally, method: str, headers: Mapping[str, str]) -> None:
        self._tally = tally
        self._method = method
        self._packed = headers.get("content-encoding") == "gzip"
        self._events = headers["content-type"].startswith("text/event-stream")
        self._messages = headers["content-type"] == AWS_STREAM_TYPE
        self._metered = _metered(headers)
        self._pending = bytearray()
        self._usage: dict[str, Json] = {}
        self._counted = HandedOut()

    def feed(self, piece: bytes, *, last: bool) -> None:
        """Count what becomes readable with this piece.

        Called before the piece is sent, so that no client knows more than the tally.
        """
        self._pending += piece
        if self._packed and not last:
            return
        if self._packed:
            self._pending = bytearray(_unpacked(self._pending))
        if self._messages:
            self._take_messages()
        elif self._events:
            *blocks, rest = _EVENT_END.split(self._pending)
            self._pending = bytearray(rest)
            for block in blocks:
                self._event(block)
        elif last:
            self._documents()

    def _take_messages(self) -> None:
        """Take the whole messages of AWS's event stream that have come in."""
        while len(self._pending) >= _PRELUDE.size:
            size = max(_PRELUDE.unpack_from(self._pending)[0], _PRELUDE.size)
            if len(self._pending) < size:
                return
            message, self._pending = self._pending[:size], self._pending[size:]
            document = _parsed(message[12 + _PRELUDE.unpack_from(message)[1] : -4])
            inner = document.get("bytes") if isinstance(document, dict) else None
            self._report(_parsed(base64.b64decode(inner)) if isinstance(inner, str) else document)

    def _event(self, block: bytes) -> None:
        for line in block.splitlines():
            self._report(_parsed(line.removeprefix(b"data:")) if line.startswith(b"data:") else None)

    def _report(self, document: Json) -> None:
        """Take an event of a stream."""
        for name, usage in _reports(document):
            if self._usage or self._tally.first_time(name, self._method):
                # Counts are cumulative; a field that a later event leaves out or has as null keeps its value.
                self._usage |= {field: value for field, value in usage.items() if value is not None}
                self._settle(normalised(self._usage))

    def _documents(self) -> None:
        whole = _parsed(self._pending)
        if isinstance(whole, list):  # what Google streams where nobody asks for events
            for part in whole:
                self._report(part)
            return
        documents = [whole] if whole is not None else map(_parsed, self._pending.splitlines())
        counted = HandedOut()
        for document in documents:
            for name, usage in _reports(document):
                if self._tally.first_time(name, self._method):
                    counted += normalised(usage)
        if self._metered and not counted.calls:
            counted = normalised(self._metered)
        self._settle(counted)

    def _settle(self, counted: HandedOut) -> None:
        self._tally.replace(self._counted, counted)
        self._counted = counted


def _metered(headers: Mapping[str, str]) -> dict[str, int]:
    """Return what Bedrock's headers tell of an answer's tokens."""
    names = {
        "inputTokenCount": "input",
        "outputTokenCount": "output",
        "cacheReadInputTokenCount": "cache-read-input",
        "cacheWriteInputTokenCount": "cache-write-input",
    }
    told = {name: headers.get(f"x-amzn-bedrock-{wire}-token-count") for name, wire in names.items()}
    return {name: int(value) for name, value in told.items() if value is not None}


def _unpacked(content: bytearray) -> bytes:
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        return b""  # tests send broken bodies too: they report nothing


def _parsed(text: bytes | bytearray) -> Json:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _reports(document: Json) -> Iterator[tuple[str | None, Mapping[str, Json]]]:
    """Yield id and usage of what a document reports on.

    The steps of a run repeat the usage of the run and do not count.
    """
    if not isinstance(document, dict) or document.get("object") == "thread.run.step":
        return
    yield from _reports_of_google(document)
    yield from _reports_of_watsonx(document)
    yield from _reports_of_replicate(document)
    result = document.get("result")
    places = [document, document.get("response"), document.get("message"), document.get("delta")]
    places += [document.get("interaction"), document.get("chatResponse")]
    places += [
        document.get("metadata"),
        document.get("x_groq"),
        result.get("message") if isinstance(result, dict) else None,
    ]
    for place in places:
        if not isinstance(place, dict):
            continue
        name = place.get("id")
        found = [place.get("usage"), place.get("meta"), place if place.keys() & _AT_THE_TOP else None]
        for usage in found:
            if isinstance(usage, dict) and _has_tokens(usage):
                yield name if isinstance(name, str) else None, usage
    if isinstance(document.get("amazon-bedrock-invocationMetrics"), dict):
        yield None, document["amazon-bedrock-invocationMetrics"]


def _reports_of_watsonx(document: Mapping[str, Json]) -> Iterator[tuple[None, Mapping[str, Json]]]:
    """Yield what watsonx tells beside its results, or in one; 0 stands for what an earlier event of a stream told."""
    if "model_id" not in document:
        return
    for told in (document, *(document.get("results") or ())):
        counts = {"input_tokens": told.get("input_token_count"), "output_tokens": told.get("generated_token_count")}
        if any(counts.values()):
            yield None, {name: number for name, number in counts.items() if number}


def _reports_of_replicate(document: Mapping[str, Json]) -> Iterator[tuple[str | None, Mapping[str, Json]]]:
    """Yield what Replicate tells of a prediction that is done."""
    told = document.get("metrics")
    if isinstance(told, dict) and "input_token_count" in told:
        counts = {"input_tokens": told["input_token_count"], "output_tokens": told.get("output_token_count")}
        yield document.get("id"), counts


def _has_tokens(usage: Mapping[str, Json]) -> bool:
    """Return whether a report is of tokens; Cohere also bills other units."""
    billed = usage.get("billed_units")
    return "input_tokens" in billed if isinstance(billed, dict) else "api_version" not in usage


def _reports_of_google(document: Mapping[str, Json]) -> Iterator[tuple[str | None, Mapping[str, Json]]]:
    """Yield what Gemini reports on, in a batch or not, and Vertex AI of embeddings."""
    response = document.get("response")
    batch = response.get("inlinedResponses") if isinstance(response, dict) else None
    lines = batch.get("inlinedResponses") if isinstance(batch, dict) else None
    inside = [line.get("response") for line in lines if isinstance(line, dict)] if isinstance(lines, list) else []
    for place in (document, *inside):
        if isinstance(place, dict) and isinstance(place.get("usageMetadata"), dict):
            name = place.get("responseId")
            yield name if isinstance(name, str) else None, place["usageMetadata"]
    predictions = document.get("predictions")
    vectors = (
        [one.get("embeddings") for one in predictions if isinstance(one, dict)] if isinstance(predictions, list) else []
    )
    counts = [one["statistics"]["token_count"] for one in vectors if isinstance(one, dict) and "statistics" in one]
    if counts:
        yield None, {"promptTokenCount": sum(counts)}
