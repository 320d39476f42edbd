"""What ends a command with a message and a way out."""

from __future__ import annotations

import importlib


class TroubleError(Exception):
    """The command cannot do what it was asked to; the message says why, and what to do about it."""


def need(extra: str, *modules: str) -> None:
    """Raise `TroubleError` unless these modules can be imported; `extra` is the extra that brings them."""
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            absent = isinstance(error, ModuleNotFoundError) and error.name == module
            because = f"{module} is not installed" if absent else f"{module} cannot be imported ({error})"
            msg = f"{because}; try: pip install 'tracetoll[{extra}]'"
            raise TroubleError(msg) from error
