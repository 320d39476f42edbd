"""The seam of SDKs made by Stainless: openai, anthropic, groq, together, cerebras, writer.

Every surface of such an SDK passes through `SyncAPIClient.request` or `AsyncAPIClient.request` of its
`_base_client`, above the retry loop; each attempt's response passes through `_process_response`.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal
from weakref import WeakKeyDictionary

from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tracetoll.call import Call, current_call
from tracetoll.errors import LimitExceeded
from tracetoll.reading import get, with_changes
from tracetoll.responses import read_body, watch
from tracetoll.routes import Routes
from tracetoll.safety import contained, fault
from tracetoll.streams import AsyncTap, SyncTap
from tracetoll.targets import Targets

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from tracetoll.engine import Engine
    from tracetoll.patching import Patches, Switch
    from tracetoll.providers.words import Stainless
    from tracetoll.targets import Target

_OPENING: Final = contained("opening a call")
_RESPONSE: Final = contained("looking at a response")
_RAW_HEADER: Final = "x-stainless-raw-response"

Kind = Literal["model", "stream", "lines", "raw", "response"]


class StainlessSeam:
    """Patches one SDK, and turns its requests into calls."""

    def __init__(self, provider: Stainless, engine: Engine, switch: Switch) -> None:
        self.provider = provider
        self.engine = engine
        self.switch = switch
        self._routes = Routes(provider.surfaces)
        self._behind = Targets(provider.error_codes, engine.settings.provider_hosts, provider.renamed)
        self._targets: WeakKeyDictionary[Any, tuple[Any, Target]] = WeakKeyDictionary()
        self._kinds: dict[type, Kind] = {}

    def install(self, patches: Patches) -> None:
        """Patch the SDK when it is imported."""
        patches.when_imported(f"{self.provider.module}._base_client", lambda module: self._patch(module, patches))

    def _patch(self, module: ModuleType, patches: Patches) -> None:
        for name, wrap in (("SyncAPIClient", self._wrap_sync), ("AsyncAPIClient", self._wrap_async)):
            client = getattr(module, name)
            for shadow in _shadows(client, "request"):
                patches.replace(shadow, "request", wrap)
            patches.replace(client, "request", wrap)
            patches.replace(client, "_process_response", self._wrap_process_response)
        if self.provider.own_spans is not None:
            patches.replace(module, self.provider.own_spans, self._wrap_own_spans)

    # --- the wrappers ------------------------------------------------------------------------

    def _wrap_sync(self, request: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(request)
        def wrapper(client: Any, cast_to: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
            call = self._open(client, options, kwargs)
            if call is None:
                return request(client, cast_to, options, *args, **kwargs)
            if call.claim is not None and call.claim.waiting:
                self.engine.wait(call)
            options = self._adjusted(call, options)
            entered = call.enter()
            try:
                result = request(client, cast_to, options, *args, **kwargs)
            except BaseException as error:
                call.fail(error)
                raise
            finally:
                call.leave(entered)
            self._answered(call, result, SyncTap)
            return result

        return wrapper

    def _wrap_async(self, request: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(request)
        async def wrapper(client: Any, cast_to: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
            call = self._open(client, options, kwargs)
            if call is None:
                return await request(client, cast_to, options, *args, **kwargs)
            if call.claim is not None and call.claim.waiting:
                await self.engine.wait_async(call)
            options = self._adjusted(call, options)
            entered = call.enter()
            try:
                result = await request(client, cast_to, options, *args, **kwargs)
            except BaseException as error:
                call.fail(error)
                raise
            finally:
                call.leave(entered)
            self._answered(call, result, AsyncTap)
            return result

        return wrapper

    def _wrap_process_response(self, process: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(process)
        def wrapper(client: Any, *args: Any, **kwargs: Any) -> Any:
            call = current_call.get()
            if call is not None:
                call.saw_response(kwargs.get("response"), kwargs.get("retries_taken"))
            return process(client, *args, **kwargs)

        return wrapper

    def _wrap_own_spans(self, start: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(start)
        def wrapper(tracer: Any, base_url: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
            call = current_call.get()
            if call is None:
                return start(tracer, base_url, options, *args, **kwargs)
            # Our span stands for the SDK's, also towards the server: it sends the trace context on.
            with _OPENING:
                if kwargs.get("propagation", True):
                    carrier: dict[str, Any] = {}
                    TraceContextTextMapPropagator().inject(carrier)
                    given = options.headers if isinstance(options.headers, Mapping) else {}
                    options.headers = {**carrier, **given}
            return None

        return wrapper

    # --- opening -----------------------------------------------------------------------------

    def _open(self, client: Any, options: Any, kwargs: Mapping[str, Any]) -> Call | None:
        """Return the call to make; None if this is none of ours. Raises LimitExceeded."""
        if not self.switch.on:
            return None
        try:
            route = self._routes.find(options.method, options.url)
            if route is None:
                return None
            body = options.json_data
            extra = get(options, "extra_json")
            if extra and isinstance(body, dict):
                body = {**body, **extra}
            streaming = kwargs.get("stream") is True
            return self.engine.open(route.surface, self._target(client), body, streaming=streaming)
        except LimitExceeded:
            raise
        except Exception as error:
            if not fault("opening a call", error):
                raise
            return None

    def _adjusted(self, call: Call, options: Any) -> Any:
        """Return the options to make a call with: with what limits changed, and asking for usage."""
        try:
            if call.claim is not None and call.claim.changes:
                options = self._changed(options, call.claim.changes)
            return self._ask_for_usage(call, options) if call.streaming else options
        except Exception as error:
            if not fault("adjusting a request", error):
                raise
            return options

    @staticmethod
    def _changed(options: Any, changes: Mapping[str, Any]) -> Any:
        """Return options whose body has other values; the application may hold these options and this body."""
        changed = copy.copy(options)
        extra = get(options, "extra_json")
        body = options.json_data if isinstance(options.json_data, Mapping) else {}
        changed.json_data = with_changes(body, changes)
        if extra:  # it would win over the body
            inside = {name: value for name, value in changes.items() if name.partition(".")[0] in extra}
            changed.extra_json = with_changes(extra, inside)
        return changed

    def _target(self, client: Any) -> Target:
        """Return who a client talks to; found anew only when the client's base URL changed."""
        url = client._base_url  # noqa: SLF001  # the public property of openai 3 does more than return it
        known = self._targets.get(client)
        if known is not None and known[0] is url:
            return known[1]
        target = self._behind.at(str(url), self._provider_by_class(client))
        self._targets[client] = (url, target)
        return target

    def _provider_by_class(self, client: Any) -> str:
        for kind in type(client).__mro__:
            for name, provider in self.provider.classes.items():
                if name in kind.__name__:
                    return provider
        return self.provider.provider

    def _ask_for_usage(self, call: Call, options: Any) -> Any:
        """Ask for usage in a stream that would have none, and hide what this adds from the application."""
        field = call.surface.events.usage_on_request if call.surface.events is not None else None
        policy = self.engine.settings.stream_usage
        body = options.json_data
        if (
            field is None
            or policy == "never"
            or (policy == "known" and not call.target.tells_stream_usage)
            or not isinstance(body, dict)
            or field in (get(options, "extra_json") or {})
            or self._is_raw(options)
        ):
            return options
        given = body.get(field)
        if given is not None and (not isinstance(given, dict) or "include_usage" in given):
            return options
        # A copy: the application may hold the options and the body.
        options = copy.copy(options)
        options.json_data = {**body, field: {**(given or {}), "include_usage": True}}
        call.usage_hidden = True
        return options

    @staticmethod
    def _is_raw(options: Any) -> bool:
        headers = options.headers
        return isinstance(headers, Mapping) and any(
            name.lower() == _RAW_HEADER and isinstance(value, str) for name, value in headers.items()
        )

    # --- answering ---------------------------------------------------------------------------

    def _answered(self, call: Call, result: Any, tap: type[SyncTap | AsyncTap]) -> None:
        """Read the SDK's result, or arrange for it to be read when the application does."""
        try:
            # Not type(): another package's proxy of a stream is to be read as the stream that it stands for.
            sort = result.__class__
            kind = self._kinds.get(sort) or self._kinds.setdefault(sort, _kind_of(sort))
            if kind == "model":
                call.answered(result)
            else:
                self._arrange(call, result, kind, tap)
        except Exception as error:
            call.close()
            if not fault("taking an answer", error):
                raise

    def _arrange(self, call: Call, result: Any, kind: Kind, tap: type[SyncTap | AsyncTap]) -> None:
        """Have a stream, or a raw response, read by whoever reads it in the application."""
        if kind in ("stream", "lines"):
            tapped = result._iterator = tap(result._iterator, call)  # noqa: SLF001  # where the SDK keeps what it iterates
            response = call.response
            call.response = None
            self.engine.read_headers(call, response)
            if response is not None:
                tapped.watcher = watch(response, call, raw=False)
        else:
            response = result if kind == "response" else result.http_response
            self.engine.read_headers(call, response)
            call.response = None
            if response.is_closed and response.is_stream_consumed:
                with _RESPONSE:
                    read_body(call, response.content)
                call.close()
            else:
                watch(response, call, raw=True)


def _shadows(client: type, name: str) -> Iterator[type]:
    """Yield the subclasses on which somebody has put a wrapper of the client's own method.

    It calls the function that it found, not the one that stands there now. OpenInference does so with
    `openai.OpenAI.request`.
    """
    found: Any = vars(client).get(name)
    inherited = inspect.unwrap(found)
    below: list[type] = client.__subclasses__()
    while below:
        subclass = below.pop()
        below += subclass.__subclasses__()
        own = vars(subclass).get(name)
        if own is not None and inspect.unwrap(own) is inherited:
            yield subclass


def _kind_of(result: type) -> Kind:
    """Return what a result class of a Stainless SDK is, by what its base classes are called."""
    names = {kind.__name__ for kind in result.__mro__}
    if names & {"Stream", "AsyncStream"}:
        return "stream"
    if names & {"JSONLDecoder", "AsyncJSONLDecoder"}:
        return "lines"
    if names & {"BaseAPIResponse", "LegacyAPIResponse"}:
        return "raw"
    if "Response" in names and result.__module__.startswith("httpx"):
        return "response"
    return "model"
