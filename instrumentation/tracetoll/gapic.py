"""Requests of Google's generated clients: a message of protocol buffers, a dict, or its fields as arguments.

They are read by the names that JSON has for the fields, so that the tables of Google's REST hold.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from tracetoll.protos import copied, json_of_message, message_in

if TYPE_CHECKING:
    from tracetoll.providers.waists import Body

_BEFORE_CAPITAL: Final = re.compile(r"(?=[A-Z])")
_AFTER_LINE: Final = re.compile(r"_([a-z])")


def read(body: Body, table: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fields of a request; its model is the last part of a resource's name."""
    told = _plain(_request(body, table))
    model = told.get(body.resource) if isinstance(told, Mapping) else None
    return {**told, "model": model.rpartition("/")[2]} if isinstance(model, str) else {}


def changed(body: Body, table: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments whose request has other values."""
    request = _request(body, table)
    for name, value in changes.items():
        if name == "model":
            asked = str(_plain(request).get(body.resource))
            instead = value if "/" in value else asked[: asked.rfind("/") + 1] + value
            request = _with(request, [body.resource], instead)
        else:
            request = _with(request, _BEFORE_CAPITAL.sub("_", name).lower().split("."), value)
    beside = {where[0] for where in body.beside}
    return {**{name: value for name, value in table.items() if name not in beside}, body.at[0]: request}


def _request(body: Body, table: Mapping[str, Any]) -> Any:
    given = table.get(body.at[0])
    if given is not None:
        return given
    return {where[0]: table[where[0]] for where in body.beside if table.get(where[0]) is not None}


def _plain(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {_AFTER_LINE.sub(_capital, str(name)): _plain(value) for name, value in node.items()}
    if isinstance(node, Sequence) and not isinstance(node, str | bytes):
        return [_plain(one) for one in node]
    found = message_in(node)
    return node if found is None else json_of_message(found)


def _capital(found: re.Match[str]) -> str:
    return found[1].upper()


def _with(node: Any, names: list[str], value: Any) -> Any:
    """Return a copy that has another value at a path."""
    if node is None or isinstance(node, Mapping):
        first, *rest = names
        given = node or {}
        return {**given, first: _with(given.get(first), rest, value) if rest else value}
    held = message_in(node)
    made = inner = copied(held)
    for name in names[:-1]:
        inner = getattr(inner, name)
    setattr(inner, names[-1], value)
    return made if held is node else type(node).wrap(made)
