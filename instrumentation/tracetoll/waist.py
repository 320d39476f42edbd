"""The seam of SDKs whose calls pass through a function of their own, such as google-genai, boto3 or mistralai.

What is particular to an SDK is said in its provider file, in the words of `tracetoll.providers.waists`.
"""

from __future__ import annotations

import functools
import inspect
import sys
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from tracetoll import bodies
from tracetoll.bodies import Parameters, dig_any
from tracetoll.call import current_call
from tracetoll.callers import caller, carrying, handing_on
from tracetoll.errors import LimitExceeded
from tracetoll.held import holding, reading
from tracetoll.own_streams import METHODS, provider_said
from tracetoll.quiet import quiet
from tracetoll.reading import dig, get, text
from tracetoll.routes import Route, Routes
from tracetoll.safety import contained, fault
from tracetoll.tapped import closing
from tracetoll.targets import Targets
from tracetoll.wrappers import Asked, Patched, wrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextvars import Context
    from types import ModuleType

    from tracetoll.engine import Engine
    from tracetoll.patching import Patches, Switch
    from tracetoll.providers.waists import Function, Many, Response, Waist
    from tracetoll.providers.words import Surface
    from tracetoll.targets import Target

_SAID: Final = contained("reading what a provider said")
_RESPONSE: Final = contained("looking at a response")
_CALLER: Final = contained("looking for who called")
_MAKING: Final = contained("wrapping a function that an SDK has made")


class WaistSeam:
    """Patches the functions of one SDK that calls pass through."""

    def __init__(self, waist: Waist, engine: Engine, switch: Switch) -> None:
        self.waist = waist
        self.engine = engine
        self.switch = switch
        self._routes = Routes(waist.surfaces) if len(waist.key) > 1 else None
        self._targets = Targets(waist.error_codes, engine.settings.provider_hosts, waist.renamed)

    def install(self, patches: Patches) -> None:
        """Patch the SDK when it is imported."""
        for place, wrap in self._wrappers():
            _replace(patches, place, wrap)

    def _wrappers(self) -> Iterator[tuple[str, Callable[[Any], Any]]]:
        """Yield the places of what is patched, and how."""
        waist = self.waist
        for function in waist.functions:
            yield function.at, functools.partial(self._wrap_maker if function.makes else self._wrap, function)
        for stream in waist.streams:
            yield from ((f"{stream}.{name}", wrap) for name, wrap in METHODS.items())
        yield from ((place, self._wrap_said) for place in waist.said)
        yield from ((held.at, functools.partial(holding, switch=self.switch)) for held in waist.held)
        yield from ((place, functools.partial(reading, switch=self.switch)) for place in waist.readers)
        for response in waist.responses:
            yield response.function.at, functools.partial(self._wrap_response, response)
        if waist.tap is not None:
            yield from ((place, functools.partial(closing, waist.tap.at)) for place in waist.tap.closes)
        yield from ((place, functools.partial(quiet, self.switch)) for place in waist.own_tracers)
        for function in waist.attempts:
            yield function.at, self._wrap_attempt
        yield from ((place, functools.partial(carrying, self.switch)) for place in waist.elsewhere)
        if waist.handed is not None:
            hand = functools.partial(handing_on, waist.handed.options, self.switch)
            yield from ((function.at, hand) for function in waist.handed.functions)

    def _wrap(self, function: Function, original: Callable[..., Any]) -> Callable[..., Any]:
        return wrapped(self, function, original)

    def _wrap_maker(self, function: Function, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def maker(*args: Any, **kwargs: Any) -> Any:
            made = original(*args, **kwargs)
            if self.switch.on:
                with _MAKING:
                    return wrapped(self, function, made)
            return made

        return maker

    # --- asking ------------------------------------------------------------------------------

    def ask(self, patched: Patched, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Asked | None:
        """Return the call to make; None if this is none of ours. Raises LimitExceeded."""
        if not self.switch.on:
            return None
        try:
            function = patched.function
            table = patched.parameters.table(args, kwargs)
            key, route = self._route(function, table)
            if route is None or self._answers_itself(table):
                return None
            body = self.waist.bodies.get(key, self.waist.body)
            fields = bodies.read(body, table)
            model = route.model or text(bodies.model(body, table)) or text(get(fields, "model"))
            streams = function.streams
            streaming = streams if isinstance(streams, bool) else bool(dig_any(table, streams) or dig(fields, streams))
            surface = self._of_family(key, model, fields) or route.surface
            if not surface.operation:
                return None
            call = self.engine.open(
                surface,
                self._target(table, model),
                fields,
                streaming=streaming or key in self.waist.streamed,
                model=self._plain(model),
            )
            return None if call is None else Asked(call, args, kwargs, table, body, route.model)
        except LimitExceeded:
            raise
        except Exception as error:
            if not fault("opening a call", error):
                raise
            return None

    def lazily(self, patched: Patched, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Return whether a function is going to give a generator that has asked nobody yet."""
        function = patched.function
        if function.result != "lazy" or not self.switch.on:
            return False
        if isinstance(function.streams, bool):
            return function.streams
        return bool(dig_any(patched.parameters.table(args, kwargs), function.streams))

    def _route(self, function: Function, table: bodies.Arguments) -> tuple[str, Route | None]:
        if function.surface:
            return function.surface, Route(self.waist.surfaces[function.surface])
        told = [str(dig_any(table, where)) for where in self.waist.key]
        if self._routes is not None:
            return "", self._routes.find(function.method or told[0], told[1])
        surface = self.waist.surfaces.get(told[0])
        return told[0], None if surface is None else Route(surface)

    def _of_family(self, key: str, model: str | None, fields: Mapping[str, Any]) -> Surface | None:
        """Return the surface of a model's family; None if there are none, or it is of no family."""
        for family in self.waist.families.get(key, ()):
            if family.has and not fields.get(family.has):
                continue
            if any(fnmatchcase(model or "", pattern) for pattern in family.models):
                return family.surface
        return None

    def _target(self, table: bodies.Arguments, model: str | None) -> Target:
        url: Any = dig_any(table, self.waist.base_url) if self.waist.base_url else None
        if callable(url):
            url = url()
        many = self.waist.many
        flagged = self.waist.flagged
        if flagged is not None and dig_any(table, flagged[0]) is True:
            provider = flagged[1]
        else:
            provider = self.waist.provider if many is None else self._one(many, table, model)
        where = str(url or "")
        if "://" not in where:
            where = f"//{where}"  # a host, as gRPC has it
        # Without its path: where that is told too, it may name what there are many of.
        return self._targets.at("/".join(where.split("/", 3)[:3]), provider)

    def _one(self, many: Many, table: bodies.Arguments, model: str | None) -> str:
        """Return which of many providers is called."""
        told = text(dig_any(table, many.argument))
        if told is not None:
            return many.names.get(told, told)
        if model is None:
            return self.waist.provider
        before, slash, _ = model.partition("/")
        if slash and before in many.names:
            return many.names[before]
        module, _, name = many.table.partition(":")
        listed = text(dig(getattr(sys.modules.get(module), name, None), (model, many.in_table)))
        return self.waist.provider if listed is None else many.names.get(listed, listed)

    def _plain(self, model: str | None) -> str | None:
        """Return a model without the name of its provider, by which the SDK tells many apart."""
        many = self.waist.many
        if many is None or model is None:
            return model
        before, _, rest = model.partition("/")
        return rest if rest and before in many.names else model

    def _answers_itself(self, table: bodies.Arguments) -> bool:
        """Return whether the SDK is going to ask no provider."""
        local = self.waist.local
        if local is None:
            return False
        name, _, function = local.at.partition(":")
        told = getattr(sys.modules.get(name), function, None)  # not there: this version always asks
        return told is not None and bool(told(dig_any(table, local.of)))

    def caller(self, patched: Patched, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Context | None:
        """Return the context to ask in, where that is not this one."""
        handed = self.waist.handed
        if handed is None or not self.switch.on:
            return None
        with _CALLER:
            return caller(handed.options, patched.parameters.table(args, kwargs))
        return None

    def adjusted(self, patched: Patched, asked: Asked) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return what to call the SDK's function with: what the application passed, with what limits changed."""
        claim = asked.call.claim
        if claim is None or not claim.changes:
            return asked.args, asked.kwargs
        try:
            table, changes = asked.table, dict(claim.changes)
            if self.waist.many is not None and "model" in changes:
                changes["model"] = _as_asked(text(get(table, "model")), asked.call.model, str(changes["model"]))
            if asked.path_model is not None and "model" in changes:
                table = bodies.in_path(table, self.waist.key[1], asked.path_model, str(changes.pop("model")))
            return patched.parameters.call(bodies.changed(asked.body, table, changes), asked.args)
        except Exception as error:
            if not fault("adjusting a request", error):
                raise
            return asked.args, asked.kwargs

    def _wrap_said(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def said(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            if self.switch.on:
                with _SAID:
                    provider_said(result)
            return result

        return said

    # --- attempts, and the HTTP response -----------------------------------------------------

    def _wrap_attempt(self, original: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(original):
            # Whoever tries again, such as tenacity, looks at what the function is.

            @functools.wraps(original)
            async def trying_async(*args: Any, **kwargs: Any) -> Any:
                self._tries()
                return await original(*args, **kwargs)

            return trying_async

        @functools.wraps(original)
        def trying(*args: Any, **kwargs: Any) -> Any:
            self._tries()
            return original(*args, **kwargs)

        return trying

    def _tries(self) -> None:
        call = current_call.get()
        if call is not None and self.switch.on:
            call.tries()

    def _wrap_response(self, response: Response, original: Callable[..., Any]) -> Callable[..., Any]:
        parameters = Parameters(original) if response.given else None
        if response.function.asynchronous:

            @functools.wraps(original)
            async def seen_async(*args: Any, **kwargs: Any) -> Any:
                result = await original(*args, **kwargs)
                self._saw(response, result if parameters is None else parameters.table(args, kwargs))
                return result

            return seen_async

        @functools.wraps(original)
        def seen(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            self._saw(response, result if parameters is None else parameters.table(args, kwargs))
            return result

        return seen

    def _saw(self, response: Response, result: Any) -> None:
        call = current_call.get()
        if call is not None and self.switch.on:
            with _RESPONSE:
                call.received = True
                found = dig_any(result, response.at)
                if response.headers:
                    call.engine.read_headers(call, found)
                if response.answer:
                    call.read(found if self.waist.event is None else self.waist.event(found))
                if call.streaming and hasattr(found, "close"):
                    call.stream_of = found


def _as_asked(asked: str | None, plain: str | None, instead: str) -> str:
    """Return a model with the name of the provider that the one that was asked for had."""
    if asked is None or plain is None or "/" in instead:
        return instead
    return asked.removesuffix(plain) + instead


def _replace(patches: Patches, at: str, wrap: Callable[[Any], Any]) -> None:
    """Replace a function when its module is imported."""
    name, _, place = at.partition(":")
    owner, _, attribute = place.rpartition(".")

    def patch(module: ModuleType) -> None:
        found = getattr(module, owner, None) if owner else module
        if found is not None:
            patches.replace(found, attribute, wrap)

    patches.when_imported(name, patch)
