"""How large a request is: as many bytes as its JSON would have, found without serialising it."""

from __future__ import annotations

from typing import Any, Final

from tracetoll.reading import view

_ENVELOPE: Final = 64
_TOOLS_ENVELOPE: Final = 512
"""What providers were seen to add to a request that has tools: up to 350 tokens of their own text."""
_MESSAGE: Final = len('{"role":"","content":""}')
_SETTING: Final = len('"":') + 1 + 8
"""Bytes for a setting beside the conversation that is no text, beside its name; no prompt contains it."""
_SETTINGS: Final = frozenset({int, float, bool, type(None)})
_LONG_DATA: Final = 1024
_MEDIA_KEYS: Final = frozenset(
    {"image_url", "file_data", "input_audio", "data", "image", "file_id", "file", "audio", "bytes"}
)
_NOT_SENT: Final = frozenset({"NotGiven", "Omit"})
"""What the SDKs' sentinels for arguments that were not given are called."""
_MOST_NODES: Final = 1_000_000


Size = tuple[int, int, int]
"""How large a request is.

Its bytes as compact JSON in UTF-8, without what is counted as media; a setting that is no text as eight of them. How
many images, files and sounds it has. The most tokens that its text can be: one per byte, and what the provider adds.
"""


def size_of(body: object) -> Size:  # noqa: C901  # in pieces it takes half as long again, on each call
    """Return the size of a request body, without serialising it."""
    fields = body if type(body) is dict else dict(view(body))
    total, media = 2, 0
    nodes: list[Any] = []
    for key, value in fields.items():
        kind = type(value)
        if kind is str:
            if key in _MEDIA_KEYS and _is_media(value):
                media += 1
            else:
                total += len(key) + (len(value) + 6 if value.isascii() else _bytes(value) + 4)
        elif kind in _SETTINGS:
            total += len(key) + _SETTING
        elif kind is list and value and type(value[0]) is dict:
            total += len(key) + 6 + len(value)
            for one in value:
                # Most messages have a role and a text, and nothing else.
                if type(one) is dict and len(one) == 2:
                    role, said = one.get("role"), one.get("content")
                    if type(said) is str and said.isascii() and type(role) is str:
                        total += len(said) + len(role) + _MESSAGE
                        continue
                nodes.append(one)
        elif key in _MEDIA_KEYS and _is_media(value):
            media += 1
        elif kind.__name__ not in _NOT_SENT:
            total += len(key) + 4
            nodes.append(value)
    if nodes:
        more, found = _size_of(nodes)
        total, media = total + more, media + found
    added = _TOOLS_ENVELOPE if fields.get("tools") or fields.get("functions") else 0
    return total, media, total + _ENVELOPE + added


def _size_of(nodes: list[Any]) -> tuple[int, int]:  # noqa: C901, PLR0912  # as above
    """Return the bytes of parts of a request, and how many media there are in them."""
    total = media = 0
    for node in nodes:  # grows as it is gone through
        kind = type(node)
        if kind is dict:
            total += 2
            for key, value in node.items():
                kind = type(value)
                if kind is str and key not in _MEDIA_KEYS:  # most of a conversation
                    total += len(value) + 2 if value.isascii() else _bytes(value)
                elif kind is bool:
                    total += 4
                elif kind is int or kind is float:
                    total += len(repr(value))
                elif key in _MEDIA_KEYS and _is_media(value):
                    media += 1
                    continue
                elif kind.__name__ in _NOT_SENT:
                    continue
                else:
                    nodes.append(value)
                total += len(key) + 4 if type(key) is str else 12
        elif kind is list or kind is tuple:
            if node and type(node[0]) is int:
                total += len(repr(node))  # token ids: many
            else:
                total += 2 + len(node)
                nodes.extend(node)
        else:
            total += _scalar(node, nodes)
        if len(nodes) > _MOST_NODES:
            break  # an object that contains itself
    return total, media


def _scalar(value: Any, nodes: list[Any]) -> int:
    """Return the size of what is no container, and open what an SDK's own object contains."""
    if isinstance(value, str):
        return _bytes(value)
    if value is None or isinstance(value, bool):
        return 4
    if isinstance(value, int | float):
        return len(repr(value))
    fields = view(value)
    if fields:
        nodes.append(dict(fields))
        return 0
    return _bytes(str(value))


def _bytes(text: str) -> int:
    # Quotes included; escapes are not: they are gone again when the provider counts.
    return (len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))) + 2


def _is_media(value: object) -> bool:
    if isinstance(value, str):
        return len(value) > _LONG_DATA or value.startswith(("data:", "http", "file-"))
    return isinstance(value, dict | bytes)
