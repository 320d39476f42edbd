"""Message content, only when the application's owner opts in; and the keyed fingerprint of a prompt.

What leaves is decided by upstream's variable OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT: on spans
(as JSON text), in log events (as structured values), both, or, by default, not at all.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tracetoll.log_events import emit
from tracetoll.reading import get
from tracetoll.safety import contained
from tracetoll_semconv import attributes as a
from tracetoll_semconv import events

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from opentelemetry._logs import Logger

    from tracetoll.call import Call
    from tracetoll.config import Settings
    from tracetoll.emission import Attributes

_KEEPING: Final = contained("keeping message content")
_FINGERPRINT_HEX: Final = 32
_PROMPT_KEYS: Final = ("system", "instructions", "messages", "input", "prompt", "tools")


class Content:
    """What is done with prompts and answers."""

    def __init__(self, settings: Settings, logger: Logger) -> None:
        self.on_spans = settings.content_on_spans
        self.in_events = settings.content_in_events
        self.wanted = self.on_spans or self.in_events
        self._key = settings.prompt_fingerprint_key.encode() if settings.prompt_fingerprint_key else None
        self.reads_requests = self.on_spans or self.in_events or self._key is not None
        self._logger = logger
        # Not even imported where content is not wanted.
        self._messages: Any = _shapes() if self.wanted else None

    def of_request(self, shape: str, body: object, into: Attributes) -> None:
        """Add what a request's content gives to a span: content if it may, a fingerprint if there is a key."""
        if self._key is not None:
            into[a.PROMPT_FINGERPRINT] = fingerprint(body, self._key)
        if self.on_spans:
            with _KEEPING:
                for name, value in self._messages.of_request(shape, body).items():
                    into[name] = _text(value)

    def collector(self, call: Call) -> Callable[[object], None] | None:
        """Return what puts the events of a call's stream together again."""
        if not self.wanted:
            return None
        assembled = self._messages.assembler(call.surface.content or "")
        call.output = assembled

        def collect(event: object) -> None:
            with _KEEPING:
                assembled.add(event)

        return collect

    def of_answer(self, call: Call, into: Attributes) -> None:
        """Add the answer's content to a span."""
        if self.on_spans and call.surface.content is not None:
            with _KEEPING:
                output = self._messages.of_answer(call.surface.content, call.output)
                if output:
                    into[a.GEN_AI_OUTPUT_MESSAGES] = _text(output)

    def write_event(self, call: Call, attributes: Attributes) -> None:
        """Write upstream's event with everything about a call, content included."""
        shape = call.surface.content
        if not self.in_events or shape is None:
            return
        with _KEEPING:
            told: dict[str, Any] = {
                a.GEN_AI_OPERATION_NAME: call.surface.operation,
                a.GEN_AI_PROVIDER_NAME: call.target.provider,
                **attributes,
                **self._messages.of_request(shape, call.body),
            }
            if call.model is not None:
                told[a.GEN_AI_REQUEST_MODEL] = call.model
            output = self._messages.of_answer(shape, call.output)
            if output:
                told[a.GEN_AI_OUTPUT_MESSAGES] = output
            emit(self._logger, events.GEN_AI_CLIENT_INFERENCE_OPERATION_DETAILS, told, call.context)


def _shapes() -> ModuleType:
    from tracetoll import messages  # noqa: PLC0415  # only where content is wanted

    return messages


def fingerprint(body: object, key: bytes) -> str:
    """Return a keyed hash (HMAC-SHA-256, 128 bits in hex) of what a request asks.

    Equal prompts have equal fingerprints under one key; without the key nobody can test a guess.
    """
    import hashlib  # noqa: PLC0415  # only where there is a key
    import hmac  # noqa: PLC0415

    asked = {name: get(body, name) for name in _PROMPT_KEYS if get(body, name) is not None}
    canonical = json.dumps(asked, sort_keys=True, separators=(",", ":"), default=str)
    return hmac.new(key, canonical.encode(), hashlib.sha256).hexdigest()[:_FINGERPRINT_HEX]


def _text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)
