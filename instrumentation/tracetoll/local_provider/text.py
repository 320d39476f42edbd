"""Words: what a request says, what an answer says, and how many tokens either counts for.

The tokens are ours, not a real tokenizer's: they depend on the text alone, so that a test can tell them
beforehand, and they are never more than the bytes of the request.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tracetoll.local_provider.wire import Json

SENTENCES: Final = (
    "The ferry leaves when the tide allows it.",
    "A toll is due at the bridge, never before it.",
    "The café on the quay takes coins up to 2 €.",
    "Nobody has counted the gulls since spring.",
    "Three lorries wait where the road turns north.",
    "The keeper writes every crossing into a blue book.",
    "It costs less to walk, and it takes until noon.",
    "At night the barrier stays open — on trust.",
    "Señora Íñiguez always pays for the cart behind her.",
    "The map shows a river that moved years ago.",
    "Whoever brings 🍋 may pass without a ticket.",
    "The ledger is closed when the lamp goes out.",
)

# Keys whose texts name or address something and are not part of what the model reads.
_NOT_READ: Final = frozenset(
    {"role", "type", "id", "call_id", "tool_call_id", "tool_use_id", "cache_control", "status", "signature"}
)
_READ: Final = (
    "contents",
    "systemInstruction",
    "system_instruction",
    "tools",
    "system",
    "instructions",
    "messages",
    "input",
    "inputs",
    "prompt",
    "additional_messages",
    "preamble",
    "chat_history",
    "message",
)


def count(text: str) -> int:
    """Return how many input tokens a text counts for."""
    return len(text.split()) * 4 // 3 + 3


def pieces(text: str) -> tuple[str, ...]:
    """Return the output tokens of a text; joined they are the text again."""
    return tuple(re.findall(r"\s*\S{1,6}|\s+\Z", text))


def number(seed: str) -> int:
    """Return a number that depends on the seed only, the same in every process."""
    return zlib.crc32(seed.encode())


def passage(seed: str) -> str:
    """Return two to four sentences that depend on the seed only."""
    start = number(seed)
    chosen = (SENTENCES[(start + 5 * place) % len(SENTENCES)] for place in range(2 + start // len(SENTENCES) % 3))
    return " ".join(chosen)


def said(value: Json) -> str:
    """Return all text in a part of a request, in order."""
    return " ".join(_texts(value))


def prompt(body: Mapping[str, Json]) -> str:
    """Return everything in a request that the model reads."""
    return said([body[name] for name in _READ if name in body])


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in _NOT_READ:
                yield from _texts(inner)
    elif isinstance(value, Sequence) and not isinstance(value, bytes):
        for inner in value:
            yield from _texts(inner)
