"""Replace functions of other libraries, when those are imported, and put the very same ones back."""

from __future__ import annotations

import functools
import logging
import threading
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

from tracetoll.imports import when_imported
from tracetoll.safety import contained

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

log: Final = logging.getLogger("tracetoll")

_PATCHING: Final = contained("patching a library")


def _method(original: Any) -> Any:
    """Return what calls the function of a class with the instance first.

    A wrapper by wrapt that stands there learns its instance from being bound only, and passes for a function.
    """
    if type(original) is FunctionType or not hasattr(original, "__get__"):
        return original

    @functools.wraps(original)
    def method(instance: Any, *args: Any, **kwargs: Any) -> Any:
        return original.__get__(instance, type(instance))(*args, **kwargs)

    return method


class Switch:
    """Whether the wrappers made for one instrument() are in force; they look at it on every call."""

    __slots__ = ("on",)

    def __init__(self) -> None:
        self.on = True


class Patches:
    """What has been replaced, and what waits for its library to be imported."""

    def __init__(self) -> None:
        self.switch = Switch()
        self._lock = threading.Lock()
        self._replaced: list[tuple[Any, str, Any, Any]] = []
        self._take_back: list[Callable[[], None]] = []

    def when_imported(self, module: str, patch: Callable[[ModuleType], None]) -> None:
        """Run `patch` with a module: now if it is imported already, else as soon as it is."""

        def imported(found: ModuleType) -> None:
            if self.switch.on:  # it may be imported in another thread while undo() takes this back
                with _PATCHING:
                    patch(found)

        self._take_back.append(when_imported(module, imported))

    def replace(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """Replace the attribute `name` of a class or module by what `make` makes of the original.

        Does nothing where there is no such attribute: the library is of another version, and other
        patches may still apply.
        """
        original = vars(owner).get(name)
        if original is None:
            log.debug("%s has no %s; it is not patched", getattr(owner, "__name__", owner), name)
            return
        wrapper = make(_method(original) if isinstance(owner, type) else original)
        with self._lock:
            setattr(owner, name, wrapper)
            self._replaced.append((owner, name, original, wrapper))

    def replaced(self) -> list[str]:
        """Return the names of all functions that are replaced now."""
        with self._lock:
            return [
                f"{getattr(owner, '__module__', '') or getattr(owner, '__name__', '')}."
                f"{getattr(owner, '__qualname__', '')}.{name}".replace("..", ".")
                for owner, name, _, _ in self._replaced
            ]

    def undo(self) -> None:
        """Put every original back. Where somebody else has wrapped ours meanwhile, ours only steps aside."""
        self.switch.on = False
        for take_back in self._take_back:
            take_back()
        with self._lock:
            for owner, name, original, wrapper in reversed(self._replaced):
                if vars(owner).get(name) is wrapper:
                    setattr(owner, name, original)
            self._replaced.clear()
