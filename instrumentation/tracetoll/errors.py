"""The low-cardinality class of an error, and the public exception of the package's own limits."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tracetoll.reading import dig, text

if TYPE_CHECKING:
    from tracetoll.reading import Path

_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}")


def code(value: object) -> str | None:
    """Return a provider's error code as text, None for what cannot be one (a sentence, an object)."""
    if type(value) is int:
        return str(value)
    found = text(value)
    return found if found is not None and _CODE.fullmatch(found) else None


def class_name(error: BaseException) -> str:
    """Return the qualified name of an exception's class, bare for built-in ones."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def error_type(error: BaseException, paths: tuple[Path, ...]) -> str:
    """Return the provider's own code where the exception has one at `paths`, else its class name."""
    for where in paths:
        found = code(dig(error, where))
        if found is not None:
            return found
    return class_name(error)


def description(error: BaseException) -> str:
    """Return what may be told about an error without telling content.

    Messages of providers and of pydantic quote the prompt or the answer, so they are left out; see the
    content setting.
    """
    status = getattr(error, "status_code", None)
    return f"{class_name(error)} (HTTP {status})" if type(status) is int else class_name(error)
