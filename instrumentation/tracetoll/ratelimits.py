"""Rate-limit headers of the providers, in one form: limit and remaining as counts, reset in seconds.

Formats: semconv reference, 5.6. `retry-after` is not read: Anthropic sends it with successful answers too.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

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
    table: dict[bytes, tuple[str, str]] = {}
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


def read(headers: Iterable[tuple[bytes, bytes]], *, bare_reset_is_seconds: bool = True) -> Limits:
    """Return {(kind, what): value} of the rate-limit headers among `headers`.

    kind: requests, tokens, input_tokens, output_tokens; what: limit, remaining (counts), reset (seconds).
    `bare_reset_is_seconds`: Azure's plain numbers have no known unit, and are left out.
    """
    found: Limits = {}
    for name, value in headers:
        meaning = _HEADERS.get(name) or _HEADERS.get(name.lower())
        if meaning is None:
            continue
        number = _seconds(value.decode("latin-1"), bare=bare_reset_is_seconds) if meaning[1] == "reset" else _int(value)
        if number is not None:
            found[meaning] = number
    return found


def _int(value: bytes) -> int | None:
    return int(value) if value.isdigit() else None


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
