"""Read values out of what SDKs hand around: dicts, pydantic models of either major, plain objects.

SDK types are never imported. A value that is missing, null, or of another type than expected reads as None:
providers and proxies answer with nearly everything, and none of it may raise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_EMPTY: Final[Mapping[str, Any]] = {}

# Sums of such counts still fit into the 64-bit integers of OTLP.
LARGEST_COUNT: Final = 2**53

Path = tuple[str, ...]


def path(dotted: str) -> Path:
    """Split a dotted path once, so that reading along it does not have to."""
    return tuple(dotted.split(".")) if dotted else ()


def get(node: object, key: str) -> Any:
    """Return the value of `key` in a dict or on an object, None if there is none; in a list, `key` is a position.

    Reads `__dict__` rather than the attribute: a missing attribute of a pydantic model costs 2 µs, and
    a property or a `__getattr__` of the application's own class must not run.
    """
    if isinstance(node, dict):
        return node.get(key)
    fields = getattr(node, "__dict__", _EMPTY)
    value = fields.get(key)
    if value is None and node is not None:
        if type(node) is list and key.isdecimal():
            return node[int(key)] if int(key) < len(node) else None
        # pydantic 2 keeps what the model does not declare apart
        extra = getattr(node, "__pydantic_extra__", None)
        if extra:
            return extra.get(key)
        held = fields.get("_data")
        if held is not None and isinstance(held, dict) and isinstance(node, Mapping):
            return held.get(key)  # the models of Azure's SDKs
    return value


def view(node: object) -> Mapping[str, Any]:
    """Return everything that a dict or an object holds as one mapping; an empty one for anything else."""
    if type(node) is dict:
        return node
    fields: Mapping[str, Any] = getattr(node, "__dict__", _EMPTY)
    extra = getattr(node, "__pydantic_extra__", None) if fields is not _EMPTY else None
    if extra:
        return {**extra, **fields}
    if "_data" in fields and isinstance(node, Mapping):
        held = fields["_data"]  # the models of Azure's SDKs
        return held if isinstance(held, dict) else _EMPTY
    return node if isinstance(node, dict) else fields


def dig(node: object, parts: Path) -> Any:
    """Return the value at a path, None as soon as a step is missing."""
    for part in parts:
        node = get(node, part)
        if node is None:
            return None
    return node


def with_changes(body: object, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a body whose fields, named by dotted paths, have other values; what it shares stays as it is."""
    changed = dict(view(body))
    for name, value in changes.items():
        first, _, rest = name.partition(".")
        changed[first] = with_changes(changed.get(first), {rest: value}) if rest else value
    return changed


def items(node: object) -> Iterable[tuple[str, Any]]:
    """Return the (key, value) pairs of a dict or an object; none for anything else."""
    return view(node).items()


def convert_all(node: object, table: Mapping[str, Any], found: dict[str, Any]) -> None:
    """Add the attributes that a table (`tracetoll.providers.words.Request`) finds in a dict or an SDK object."""
    for key, value in items(node):
        rule = table.get(key)
        if rule is None or value is None:
            continue
        if type(rule) is tuple:
            name, convert = rule
            converted = convert(value)
            if converted is not None:
                found[name] = converted
        else:
            convert_all(value, rule, found)


def convert_found(told: Mapping[str, Any], table: Mapping[str, Any], found: dict[str, Any]) -> None:
    """Do as `convert_all`, for a short table and a long object."""
    convert_all({key: told.get(key) for key in table}, table, found)


def elements(node: object) -> list[Any] | tuple[Any, ...]:
    """Return a list or tuple as it is, and an empty one for anything else."""
    return node if isinstance(node, list | tuple) else ()


def count(value: object) -> int | None:
    """Return a token count, None for what is none: text, booleans, fractions, negative or absurd numbers.

    Cohere sends its counts as floats, so a whole float is a count.
    """
    if type(value) is int:
        return value if 0 <= value <= LARGEST_COUNT else None
    if type(value) is float and 0 <= value <= LARGEST_COUNT and value.is_integer():
        return int(value)
    return None


def text(value: object) -> str | None:
    """Return a string that is not empty, fit for export, else None."""
    return encodable(value) if isinstance(value, str) and value else None


def encodable(value: str) -> str:
    """Return a string that UTF-8 can say: JSON may carry half a surrogate pair, which stops an exporter."""
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
