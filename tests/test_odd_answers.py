"""Answers that no provider should give, and all give one day: the application sees what it sees without us."""

from __future__ import annotations

import gc
import itertools
from typing import TYPE_CHECKING, Any

import odd
import pytest
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from surfaces import CHAT, CLAUDE, COMPLETIONS, EMBEDDINGS, IMAGES, OTHERS, RESPONSES, TRANSCRIPTION, both, cases

from tracetoll.local_provider import LocalProvider, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from conftest import Telemetry
    from odd import Odd
    from opentelemetry.sdk.trace import ReadableSpan
    from surfaces import Case, Seen, Surface

    from tracetoll.local_provider import Received

ANY_WAYS = ("whole", "async whole", "streaming response", "stream", "async stream", "raw stream")
PARSED = ("stream", "async stream", "helper", "streaming response stream")
STREAM_WAYS = (*both("stream", "streaming response stream"), "helper", "raw stream")
GOOD = ((CHAT, odd.CHAT), (RESPONSES, odd.RESPONSE), (CLAUDE, odd.CLAUDE))
GOOD_WHOLE = (
    (COMPLETIONS, {**odd.CHAT, "choices": [{"index": 0, "text": "Two euros.", "finish_reason": "stop"}]}, (3, 2)),
    (EMBEDDINGS, odd.EMBEDDING, (3, None)),
    (IMAGES, {"created": 1, "data": [], "usage": {"input_tokens": 3, "output_tokens": 2}}, (3, 2)),
    (TRANSCRIPTION, {"text": "Two.", "usage": {"type": "tokens", "input_tokens": 3, "output_tokens": 2}}, (3, 2)),
)
GOOD_STREAMS = (
    (CHAT, odd.FULL, (None, None), True),
    (RESPONSES, [odd.CREATED, odd.COMPLETED], (None, None), False),
    (CLAUDE, [odd.START, *odd.BLOCK, odd.DELTA, odd.STOP], (3, 2), False),
)


def each(answers: Iterable[Odd], surface: Surface, ways: Sequence[str]) -> list[Any]:
    """Return a parameter for each answer, to each way to ask."""
    return [
        pytest.param(*case.values, answer, id=f"{case.id}: {answer}", marks=case.marks)
        for answer, case in itertools.product(answers, cases((surface,), ways))
    ]


# What is odd in the provider's own format is read the same way, synchronously or not.
ODD_ANSWERS = [
    *each(odd.CHATS, CHAT, ("whole", "raw")),
    *each(odd.ANSWERED_RESPONSES, RESPONSES, ("whole", "raw")),
    *each(odd.CLAUDES, CLAUDE, ("whole", "raw")),
    *each(odd.EMBEDDINGS, EMBEDDINGS, ("whole",)),
    *each(odd.CHAT_STREAMS, CHAT, PARSED),
    *each(odd.RESPONSE_STREAMS, RESPONSES, PARSED),
    *each(odd.CLAUDE_STREAMS, CLAUDE, PARSED),
]
ODD_BODIES = [
    *(one for surface, good in GOOD for one in each(odd.for_any(good, (3, 2)), surface, ANY_WAYS)),
    *(one for surface, good, usage in GOOD_WHOLE for one in each(odd.for_any(good, usage), surface, ("whole",))),
]
ODD_STREAMS = [
    one
    for surface, good, cut, done in GOOD_STREAMS
    for one in each(odd.for_streams(good, (3, 2), cut, done=done), surface, STREAM_WAYS)
]


def reported(span: ReadableSpan) -> tuple[Any, Any]:
    told = span.attributes or {}
    return told.get("gen_ai.usage.input_tokens"), told.get("gen_ai.usage.output_tokens")


@pytest.fixture(scope="module")
def provider() -> Iterator[LocalProvider]:
    with LocalProvider() as running:
        yield running


@pytest.mark.parametrize(("case", "answer"), [*ODD_ANSWERS, *ODD_BODIES, *ODD_STREAMS])
def test_an_odd_answer_is_seen_as_without_us(
    case: Case, answer: Odd, provider: LocalProvider, instrument: Callable[..., Telemetry]
) -> None:
    provider.on("", lambda _: answer.reply)
    without = case.ask(provider.url)
    telemetry = instrument()

    seen = case.ask(provider.url)

    assert without == seen
    if not telemetry.spans:
        gc.collect()  # openai 1 does not close a stream that it cannot read
    span = telemetry.only_span()
    told = dict(span.attributes or {})
    if answer.sure and seen.error is None and case.streamed == answer.streamed:
        assert answer.usage == reported(span)
    else:  # what was not received is not made up
        assert all(number in (None, real) for number, real in zip(reported(span), answer.usage, strict=True))
    assert ("tracetoll.cost.amount" in told) == (reported(span) != odd.NONE)
    export(telemetry)


def export(telemetry: Telemetry) -> None:
    """Encode everything that was told, as an exporter does; of what is observed, that may be nothing."""
    if not telemetry.spans:
        return
    encode_spans(telemetry.spans).SerializeToString()
    data = telemetry.reader.get_metrics_data()
    assert data is not None
    encode_metrics(data).SerializeToString()


# --- of every SDK ----------------------------------------------------------------------------

PLAIN = (CHAT, CLAUDE, *OTHERS)
SYNCHRONOUS = [one for one in PLAIN if not one.of.asynchronous]
BELOW = [odd.name for odd in odd.below_the_format(Reply(json={}))]


@pytest.fixture(scope="module")
def good(provider: LocalProvider) -> Callable[[Case], Reply]:
    """Return what finds a good reply to a case."""
    replies: dict[str, Reply] = {}

    def found(case: Case) -> Reply:
        def answer(received: Received) -> Reply:
            replies[str(case)] = provider.built_in(received)
            return replies[str(case)]

        if str(case) not in replies:
            provider.on("", answer)
            case.ask(provider.url)
        return replies[str(case)]

    return found


@pytest.mark.parametrize("case", [*cases(PLAIN, ("async whole", "stream")), *cases(SYNCHRONOUS, ("whole",))])
@pytest.mark.parametrize("name", BELOW)
def test_what_becomes_of_an_answer_on_its_way_is_seen_as_without_us(
    name: str,
    case: Case,
    provider: LocalProvider,
    good: Callable[[Case], Reply],
    instrument: Callable[..., Telemetry],
) -> None:
    (answer,) = (one for one in odd.below_the_format(good(case)) if one.name == name)
    provider.on("", lambda _: answer.reply)
    without = case.ask(provider.url)
    telemetry = instrument()

    seen = case.ask(provider.url)

    assert without == seen
    gc.collect()
    assert len(telemetry.spans) in told_of(case, [seen])
    export(telemetry)


@pytest.mark.parametrize("case", cases(PLAIN, ("whole", "stream")))
def test_an_odd_value_anywhere_is_seen_as_without_us(
    case: Case, provider: LocalProvider, good: Callable[[Case], Reply], instrument: Callable[..., Telemetry]
) -> None:
    answers = odd.with_an_odd_value(good(case))
    if case.surface.of.observed:  # which counts each answer once
        answers = odd.told_apart(answers, good(case))
    coming: list[Reply] = []
    provider.on("", lambda _: coming.pop(0))

    def seen() -> list[Any]:
        coming[:] = answers
        return [case.ask(provider.url) for _ in answers]

    without = seen()
    telemetry = instrument()

    assert without == seen()
    gc.collect()
    assert len(telemetry.spans) in told_of(case, without)
    export(telemetry)


def told_of(case: Case, asked: Sequence[Seen]) -> range:
    """Return how many calls are told of: all, but for what is observed and comes to no answer."""
    least = sum(1 for one in asked if one.error is None) if case.surface.of.observed else len(asked)
    return range(least, len(asked) + 1)
