"""Requests among the arguments of an SDK's function: read, and replaced where a limit changes what is asked.

The application may hold what it passed, so everything that changes is a copy.
"""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any

from tracetoll import gapic
from tracetoll.protos import fields_of, with_values
from tracetoll.providers.waists import json_of
from tracetoll.reading import dig, view, with_changes

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracetoll.providers.waists import Body
    from tracetoll.reading import Path

Arguments = dict[str, Any]


class Parameters:
    """The parameters of a function: turns what it is called with into a table, and back."""

    def __init__(self, function: Callable[..., Any]) -> None:
        found = inspect.signature(function).parameters.values()
        positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        self._names = tuple(one.name for one in found if one.kind in positional)
        self._only = sum(one.kind is inspect.Parameter.POSITIONAL_ONLY for one in found)

    def table(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Arguments:
        """Return the arguments by name, the first ones `arg0`, `arg1` … where they have none."""
        named = dict(zip(self._names, args, strict=False))
        named.update({f"arg{place}": value for place, value in enumerate(args[len(self._names) :])})
        named.update(kwargs)
        return named

    def call(self, table: Arguments, args: tuple[Any, ...]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return what to call the function with, as many of it by position as it was called with at first."""
        names = [*self._names[: len(args)], *(f"arg{place}" for place in range(len(args) - len(self._names)))]
        return tuple(table[name] for name in names), {key: value for key, value in table.items() if key not in names}


def read(body: Body, table: Arguments) -> Mapping[str, Any]:
    """Return the fields of a request."""
    if body.form == "gapic":
        return gapic.read(body, table)
    told = _fields(body, table)
    for where in body.beside:
        found = dig_any(table, where)
        if found is not None:
            told = {where[-1]: found, **told}
    return told


def _fields(body: Body, table: Arguments) -> Mapping[str, Any]:
    """Return what the request itself says."""
    found = dig_any(table, body.at)
    if body.form == "object":
        return view(found) if body.at else _arguments(body, table)
    if body.form == "message":
        return fields_of(found) if hasattr(found, "ListFields") else {}
    if body.form == "request":
        found = getattr(found, "_content", None)  # the public property raises where a body is streamed
    told = json_of(_content(found))
    return told if isinstance(told, dict) else {}


def _content(found: Any) -> Any:
    """Return what a file in memory holds, anything else as it is."""
    return found.getvalue() if isinstance(found, BytesIO) else found


def _arguments(body: Body, table: Arguments) -> Mapping[str, Any]:
    """Return a request whose fields are the arguments themselves, but the instance."""
    whole = table.get(body.whole)
    if isinstance(whole, Mapping):
        return whole
    fields = {name: dig_any(table, where) for name, where in body.defaults.items()}
    fields.update({name: value for name, value in table.items() if value is not None and name != "self"})
    for more in body.extra:
        fields.update(view(dig_any(table, more)))
    return fields


def model(body: Body, table: Arguments) -> Any:
    """Return the model that the arguments name beside the request; the address of a server is none."""
    found = dig_any(table, body.model) if body.model else None
    return None if isinstance(found, str) and "://" in found else found


def changed(body: Body, table: Arguments, changes: Mapping[str, Any]) -> Arguments:
    """Return arguments whose request has other values."""
    if body.form == "gapic":
        return gapic.changed(body, table, changes)
    inside = dict(changes)
    if "model" in inside and model(body, table) is not None:
        table = _table_with(table, body.model, inside.pop("model"))
    if not inside:
        return table
    if body.form == "message":
        return _table_with(table, body.at, with_values(dig_any(table, body.at), inside))
    told = _fields(body, table)
    if not told and body.form != "object":
        return table  # what cannot be read is sent as it is
    fields = with_changes(told, inside)
    if body.form == "object" and not body.at:
        return _arguments_with(body, table, {name.partition(".")[0]: None for name in inside}, fields)
    return _table_with(table, body.at, _as_given(body, dig_any(table, body.at), fields))


def _as_given(body: Body, given: Any, fields: Mapping[str, Any]) -> Any:
    """Return the fields of a request in the form in which it was given."""
    if body.form == "object":
        return fields
    text = json.dumps(fields)
    if body.form == "json":
        return text if isinstance(given, str) else text.encode()
    return _request_with(given, text.encode())


def _arguments_with(body: Body, table: Arguments, names: Mapping[str, None], fields: Mapping[str, Any]) -> Arguments:
    """Return arguments some of which have other values, where they stand: extra ones win with the SDKs."""
    if isinstance(table.get(body.whole), Mapping):
        return {**table, body.whole: fields}
    table = {**table, **{name: fields[name] for name in names}}
    for more in body.extra:
        given = view(dig_any(table, more))
        if given:
            table = _table_with(table, more, {**given, **{name: fields[name] for name in names if name in given}})
    return table


def in_path(table: Arguments, where: Path, old: str, new: str) -> Arguments:
    """Return arguments in whose path another model stands."""
    return _table_with(table, where, str(dig_any(table, where)).replace(old, new, 1))


def dig_any(node: Any, parts: Path) -> Any:
    """Return the value at a path, properties included; for the arguments of an SDK's own functions only."""
    for part in parts:
        found = dig(node, (part,))
        node = found if found is not None or isinstance(node, Mapping) else getattr(node, part, None)
        if node is None:
            return None
    return node


def _table_with(table: Arguments, where: Path, value: object) -> Arguments:
    return {**table, where[0]: _put(table.get(where[0]), where[1:], value)}


def _put(node: Any, where: Path, value: object) -> Any:
    """Return a copy of a dict or an object that has another value at a path."""
    if not where:
        return value
    inner = _put(node.get(where[0]) if isinstance(node, Mapping) else getattr(node, where[0], None), where[1:], value)
    if isinstance(node, Mapping):
        return {**node, where[0]: inner}
    made = copy.copy(node)
    object.__setattr__(made, where[0], inner)
    return made


def _request_with(request: Any, content: bytes) -> Any:
    """Return an HTTP request that says something else."""
    headers = request.headers.copy()
    headers["content-length"] = str(len(content))
    kind: Any = type(request)
    return kind(request.method, request.url, headers=headers, content=content, extensions=request.extensions)
