"""Response headers: rate limits in one form for every provider, the request's id, the model that served.

Limit and remaining are counts, reset is in seconds.
Formats: semconv reference, 5.6. `retry-after` is not read: Anthropic sends it with successful answers too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_KINDS: Final = {
    b"requests": "requests",
    b"tokens": "tokens",
    b"input-tokens": "input_tokens",
    b"output-tokens": "output_tokens",
}
_WHATS: Final = (b"limit", b"remaining", b"reset")


def _header_table() -> dict[bytes, tuple[str, str]]:
    table: dict[bytes, tuple[str, str]] = {
        b"x-request-id": ("", "request_id"),
        b"request-id": ("", "request_id"),
        b"x-ms-served-model": ("", "served_model"),
    }
    for wire, kind in _KINDS.items():
        for what in _WHATS:
            table[b"x-ratelimit-%s-%s" % (what, wire)] = (kind, what.decode())
            table[b"anthropic-ratelimit-%s-%s" % (wire, what)] = (kind, what.decode())
    for what in _WHATS:  # Together
        table[b"x-ratelimit-%s" % what] = ("requests", what.decode())
    return table


_HEADERS: Final = _header_table()
_GO_DURATION: Final = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:([\d.]+)s)?(?:([\d.]+)ms)?")

Limits = dict[tuple[str, str], int | float]


@dataclass(slots=True, eq=False)
class Headers:
    """What the headers of one response tell. `limits`: {(kind, what): value}.

    kind: requests, tokens, input_tokens, output_tokens; what: limit, remaining (counts), reset (seconds).
    """

    request_id: str | None = None
    served_model: str | None = None
    limits: Limits = field(default_factory=dict)


def pairs(headers: Any) -> Iterable[tuple[bytes, bytes]]:
    """Return raw headers: those of httpx, or what another library keeps as text by name; none of what is neither."""
    raw: Iterable[tuple[bytes, bytes]] | None = getattr(headers, "raw", None)
    if raw is not None:
        return raw
    items = headers.items() if hasattr(headers, "items") else ()
    return [(str(name).encode("latin-1", "replace"), str(value).encode("latin-1", "replace")) for name, value in items]


def read(headers: Iterable[tuple[bytes, bytes]], provider: str) -> Headers:
    """Return what the raw headers of a response tell."""
    found = Headers()
    for name, value in headers:
        meaning = _HEADERS.get(name.lower())
        if meaning is None:
            continue
        what = meaning[1]
        if what == "request_id":
            found.request_id = value.decode("latin-1")
        elif what == "served_model":
            found.served_model = value.decode("latin-1")
        elif what == "reset":
            # The unit of Azure's plain numbers is not known.
            seconds = _seconds(value.decode("latin-1"), bare=provider != "azure.ai.openai")
            if seconds is not None:
                found.limits[meaning] = seconds
        elif value.isdigit():
            found.limits[meaning] = int(value)
    return found


def _seconds(value: str, *, bare: bool) -> float | None:
    if value.replace(".", "", 1).isdigit():
        return float(value) if bare else None
    duration = _GO_DURATION.fullmatch(value)
    if duration is not None and value:
        hours, minutes, seconds, millis = (float(part or 0) for part in duration.groups())
        return hours * 3600 + minutes * 60 + seconds + millis / 1000
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    now = datetime.now(UTC)
    return max(0.0, round((at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds(), 3))
