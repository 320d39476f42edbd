"""The tools that the planner may call: plain functions, each a span through `@tool`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tracetoll import tool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

BRIDGES: Final[Mapping[str, tuple[float, int]]] = {"north": (4.2, 31), "old town": (2.8, 44), "harbour": (6.5, 12)}
"""Toll for a lorry in euro, and the way in kilometres."""


@tool("find_bridges")
def find_bridges(river: str = "") -> str:
    """Return the bridges over a river."""
    return f"{', '.join(BRIDGES)} cross the {river or 'river'}"


@tool("toll_of")
def toll_of(bridge: str = "north") -> str:
    """Return what a lorry pays at a bridge."""
    return f"{BRIDGES.get(bridge, BRIDGES['north'])[0]:.2f} EUR per lorry"


@tool("way_over")
def way_over(bridge: str = "north") -> str:
    """Return how long the way over a bridge is."""
    return f"{BRIDGES.get(bridge, BRIDGES['north'])[1]} km"


_FUNCTIONS: Final[Mapping[str, tuple[Callable[[str], str], str]]] = {
    "find_bridges": (find_bridges, "river"),
    "toll_of": (toll_of, "bridge"),
    "way_over": (way_over, "bridge"),
}

DESCRIPTIONS: Final[list[Any]] = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": function.__doc__,
            "parameters": {"type": "object", "properties": {parameter: {"type": "string"}}, "required": [parameter]},
        },
    }
    for name, (function, parameter) in _FUNCTIONS.items()
]
"""The tools as OpenAI's API wants them described."""


def run_tool(name: str, arguments: str) -> str:
    """Return what a tool says to a model's call; a call that makes no sense gets an explanation."""
    if name not in _FUNCTIONS:
        return f"there is no tool {name}"
    function, parameter = _FUNCTIONS[name]
    try:
        given = json.loads(arguments)
    except ValueError:
        return "the arguments are not JSON"
    return function(str(given.get(parameter, ""))) if isinstance(given, dict) else "the arguments are not an object"
