"""Run something as soon as a module has been imported, and leave no trace in the module.

Why not wrapt's import hooks: importing wrapt 2 imports asyncio and importlib.metadata, a third of what `import
tracetoll` and instrument() took (measured: instrumentation/README.md). This also takes hooks back.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any, Final

from tracetoll.forks import call_in_child
from tracetoll.safety import contained

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    Hook = Callable[[ModuleType], object]

_RUNNING: Final = contained("doing what was to be done after an import")


class _Finder:
    """Finds nothing itself: asks the other finders, and has the module's loader tell when it is done."""

    def __init__(self) -> None:
        self.waiting: dict[str, list[Hook]] = {}
        self._unlock()
        call_in_child(self, _Finder._unlock)

    def _unlock(self) -> None:
        self._lock = threading.Lock()

    def add(self, name: str, hook: Hook) -> None:
        """Have `hook` run after the import of a module."""
        with self._lock:
            self.waiting.setdefault(name, []).append(hook)
            if self not in sys.meta_path:
                sys.meta_path.insert(0, self)

    def remove(self, name: str, hook: Hook) -> None:
        """Take a hook back, if it is still waiting."""
        with self._lock:
            hooks = self.waiting.get(name, [])
            if hook in hooks:
                hooks.remove(hook)
            if not hooks:
                self.waiting.pop(name, None)

    def taken(self, name: str) -> Sequence[Hook]:
        """Return the hooks of a module, which wait no longer."""
        with self._lock:
            return self.waiting.pop(name, ())

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> Any:
        """Return the spec that the other finders have for a module that is waited for."""
        if name not in self.waiting:
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            if finder is self or find is None:
                continue
            spec: ModuleSpec | None = find(name, path, target)
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):  # else it is a namespace, and nothing of it is run
                    spec.loader = _Loader(spec.loader)  # type: ignore[assignment]  # as with `sys.meta_path`
                return spec
        return None


class _Loader:
    """Stands in for a module's loader until that has loaded the module."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def exec_module(self, module: ModuleType) -> None:
        """Load the module, and run what waited for it."""
        spec: Any = module.__spec__
        if spec is not None and spec.loader is self:
            spec.loader = self._loader
        if getattr(module, "__loader__", None) is self:
            module.__loader__ = self._loader
        self._loader.exec_module(module)
        for hook in _FINDER.taken(module.__name__):
            with _RUNNING:
                hook(module)


_FINDER: Final = _Finder()


def when_imported(name: str, hook: Hook) -> Callable[[], None]:
    """Run `hook` with a module: now if it is imported already, else once, as soon as it is.

    Returns what takes the hook back. What a hook raises is logged: the import has worked. Where an import fails, the
    hook waits for the next one.
    """
    loaded = sys.modules.get(name)
    if loaded is None:
        _FINDER.add(name, hook)
    else:
        with _RUNNING:
            hook(loaded)
    return lambda: _FINDER.remove(name, hook)
