"""The seam of events that an SDK hands out, some of which are whole answers.

They come in over a connection that lives on, or from a process that asks for us.
"""

from __future__ import annotations

import functools
import inspect
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from tracetoll.reading import dig, get, text
from tracetoll.safety import contained
from tracetoll.targets import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

    from tracetoll.engine import Engine
    from tracetoll.patching import Patches, Switch
    from tracetoll.providers.words import Observed

_OBSERVING: Final = contained("observing an event")
_SESSIONS_KEPT: Final = 1024


class ObservedSeam:
    """Patches what events pass through, and makes a call of each that is an answer."""

    def __init__(self, seam: Observed, engine: Engine, switch: Switch) -> None:
        self.seam = seam
        self.engine = engine
        self.switch = switch
        self._target = Target(seam.provider, None, None)
        self._models: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
        self._asked: ContextVar[str | None] = ContextVar("tracetoll_asked_model", default=None)
        self._named: dict[str, str] = {}

    def install(self, patches: Patches) -> None:
        """Patch the SDK when it is imported, wherever this version has the classes."""

        def patch(module: ModuleType) -> None:
            if not self.seam.classes:
                patches.replace(module, self.seam.method, self._wrap)
            for name in self.seam.classes:
                owner = getattr(module, name, None)
                if owner is not None and owner.__module__ == module.__name__:
                    patches.replace(owner, self.seam.method, self._wrap)
                    if self.seam.connects:
                        patches.replace(owner, "__init__", self._wrap_made)
            connecting, _, name = self.seam.connects.partition(".")
            if name and hasattr(module, connecting):
                patches.replace(getattr(module, connecting), name, self._wrap_connect)

        for module in self.seam.modules:
            patches.when_imported(module, patch)

    def _wrap_connect(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            self._asked.set(text(kwargs.get("model")))
            return method(*args, **kwargs)

        return wrapper

    def _wrap_made(self, method: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(method)
        def wrapper(connection: Any, *args: Any, **kwargs: Any) -> None:
            method(connection, *args, **kwargs)
            model = self._asked.get()
            if model is not None:
                self._models[connection] = model

        return wrapper

    def _wrap(self, method: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(method):

            @functools.wraps(method)
            async def wrapper_async(*args: Any, **kwargs: Any) -> Any:
                self._given(args, kwargs)
                event = await method(*args, **kwargs)
                self._returned(args, event)
                return event

            return wrapper_async

        @functools.wraps(method)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            self._given(args, kwargs)
            event = method(*args, **kwargs)
            self._returned(args, event)
            return event

        return wrapper

    def _given(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """See an event before it is worked on, in the context that it is worked on in."""
        if self.seam.reads == "argument" and self.switch.on:
            with _OBSERVING:
                self._observe(args[0] if args else None, args[-1] if not kwargs else next(iter(kwargs.values())))

    def _returned(self, args: tuple[Any, ...], event: object) -> None:
        """See an event that the method has made."""
        if self.seam.reads == "result" and self.switch.on:
            with _OBSERVING:
                self._observe(args[0], event)

    def _observe(self, connection: Any, event: object) -> None:
        if self.seam.typed:
            kind = get(event, "type")
        else:
            kind = next((name for name in self.seam.answers if get(event, name) is not None), None)
        if kind in self.seam.models:
            model = text(dig(event, self.seam.models[kind]))
            if model is not None:
                self._knows(connection, event, model)
        elif kind in self.seam.answers:
            where, surface = self.seam.answers[kind]
            answer = dig(event, where) if where else event
            self.engine.past_call(surface, self._target, answer, self._model(connection, event))

    def _knows(self, connection: Any, event: object, model: str) -> None:
        if not self.seam.session:
            self._models[connection] = model
            return
        session = text(dig(event, self.seam.session))
        if session is not None:
            self._named.pop(session, None)
            self._named[session] = model
            if len(self._named) > _SESSIONS_KEPT:
                with suppress(StopIteration, KeyError, RuntimeError):  # another thread's turn
                    del self._named[next(iter(self._named))]

    def _model(self, connection: Any, event: object) -> str | None:
        if self.seam.session:
            return self._named.get(text(dig(event, self.seam.session)) or "")
        return self._models.get(connection) if self.seam.classes else None
