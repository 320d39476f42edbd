"""Response headers: rate limits in one form for every provider, the request's id, the model that served.

Limit and remaining are counts, reset is in seconds.
Formats: semconv reference, 5.6; RFC 9110, 10.2.3 for `retry-after`. Hugging Face says so when the window ends.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from tracetoll.reading import elements, get, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_KINDS: Final = {
    b"requests": "requests",
    b"tokens": "tokens",
    b"input-tokens": "input_tokens",
    b"output-tokens": "output_tokens",
    b"input-images": "input_images",
    b"project-requests": "project_requests",
    b"project-tokens": "project_tokens",
    b"tokens_usage_based": "usage_based_tokens",
    # Mistral names the window.
    b"req-10-second": "requests",
    b"req-minute": "requests",
    b"tokens-minute": "tokens",
    b"tokens-month": "monthly_tokens",
}
_WHATS: Final = (b"limit", b"remaining", b"reset")
_THROUGH: Final = b"llm_provider-"
"""What LiteLLM's proxy puts before the names of headers that it got itself."""


def _header_table() -> dict[bytes, tuple[str, str]]:
    table: dict[bytes, tuple[str, str]] = {
        b"x-request-id": ("", "request_id"),
        b"request-id": ("", "request_id"),
        b"x-amzn-requestid": ("", "request_id"),
        b"x-ms-served-model": ("", "served_model"),
        b"retry-after": ("", "retry_after"),
        b"retry-after-ms": ("", "retry_after_ms"),  # OpenAI, Azure
        b"x-ms-retry-after-ms": ("", "retry_after_ms"),
        # Cohere, with trial keys
        b"x-trial-endpoint-call-limit": ("requests", "limit"),
        b"x-trial-endpoint-call-remaining": ("requests", "remaining"),
        b"x-endpoint-monthly-call-limit": ("monthly_requests", "limit"),
    }
    for wire, kind in _KINDS.items():
        for what in _WHATS:
            table[b"x-ratelimit-%s-%s" % (what, wire)] = (kind, what.decode())
            table[b"anthropic-ratelimit-%s-%s" % (wire, what)] = (kind, what.decode())
        table[b"x-ratelimit-renewalperiod-%s" % wire] = (kind, "period")  # Azure
    for what in _WHATS:
        table[b"x-ratelimit-%s" % what] = ("requests", what.decode())  # Together
        table[b"ratelimitbysize-%s" % what] = ("tokens", what.decode())  # Mistral, until 2025
    return table | {_THROUGH + name: meaning for name, meaning in table.items() if meaning[0]}


_HEADERS: Final = _header_table()
_GO_DURATION: Final = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:([\d.]+)s)?(?:([\d.]+)ms)?")

Limits = dict[tuple[str, str], int | float]


@dataclass(slots=True, eq=False)
class Headers:
    """What the headers of one response tell. `limits`: {(kind, what): value}.

    kind: requests, tokens, input_tokens, output_tokens and narrower ones; what: limit, remaining (counts), reset,
    period (seconds).
    """

    request_id: str | None = None
    served_model: str | None = None
    retry_after_s: float | None = None
    """When to ask again. Anthropic and Hugging Face say it with good answers too."""
    limits: Limits = field(default_factory=dict)


def read(headers: Iterable[tuple[bytes, bytes]], provider: str) -> Headers:
    """Return what the raw headers of a response tell."""
    found = Headers()
    through: Limits = {}
    for told, value in headers:
        name = told.lower()
        meaning = _HEADERS.get(name)
        if meaning is None:
            continue
        what = meaning[1]
        if not meaning[0]:
            _note(found, what, value.decode("latin-1"))
            if what != "retry_after" or provider != "hugging_face":
                continue
            meaning, what = ("requests", "reset"), "reset"
        limits = through if name.startswith(_THROUGH) else found.limits
        if what == "reset":
            # The unit of Azure's plain numbers is not known.
            seconds = _seconds(value.decode("latin-1"), bare=provider != "azure.ai.openai")
            if seconds is not None:
                limits[meaning] = seconds
        elif value.isdigit():
            limits[meaning] = int(value)
    found.limits = {**through, **found.limits} if through else found.limits
    return found


def _note(found: Headers, what: str, value: str) -> None:
    """Take what is no rate limit."""
    if what == "request_id":
        found.request_id = value
    elif what == "served_model":
        found.served_model = value
    elif what == "retry_after_ms":  # more exact than the other, and sent beside it
        millis = _seconds(value, bare=True)
        found.retry_after_s = millis / 1000 if millis is not None else found.retry_after_s
    elif found.retry_after_s is None:
        found.retry_after_s = _seconds(value, bare=True)


def retry_delay_s(details: object) -> float | None:
    """Return when to ask again by the details of an error of Google's, which stand in the body: `retryDelay: 21s`."""
    told = (text(get(detail, "retryDelay")) for detail in elements(details))
    return next((_seconds(delay, bare=True) for delay in told if delay is not None), None)


def pairs_of(headers: Any) -> Sequence[tuple[bytes, bytes]]:
    """Return response headers as bytes: httpx keeps them so, other libraries have a mapping of texts."""
    raw: Sequence[tuple[bytes, bytes]] | None = getattr(headers, "raw", None)
    if raw is not None:
        return raw
    told = headers.items() if hasattr(headers, "items") else ()
    return [(str(name).encode("latin-1", "replace"), str(value).encode("latin-1", "replace")) for name, value in told]


def _seconds(value: str, *, bare: bool) -> float | None:
    if value.replace(".", "", 1).isdigit():
        return float(value) if bare else None
    duration = _GO_DURATION.fullmatch(value)
    if duration is not None and value:
        hours, minutes, seconds, millis = (float(part or 0) for part in duration.groups())
        return hours * 3600 + minutes * 60 + seconds + millis / 1000
    at = _moment(value)
    if at is None:
        return None
    now = datetime.now(UTC)
    return max(0.0, round((at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds(), 3))


def _moment(value: str) -> datetime | None:
    """Return a time in the form of RFC 3339 or of HTTP."""
    with suppress(ValueError):
        return datetime.fromisoformat(value)
    from email.utils import parsedate_to_datetime  # noqa: PLC0415  # it imports as long as a tenth of all of ours

    with suppress(ValueError):
        return parsedate_to_datetime(value)
    return None
