"""The usage log: one log record per call, whatever is sampled, for reconciling with the provider's invoice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tracetoll.log_events import emit
from tracetoll.safety import contained
from tracetoll_semconv import attributes as a
from tracetoll_semconv import events

if TYPE_CHECKING:
    from opentelemetry._logs import Logger

    from tracetoll.call import Call, Ending
    from tracetoll.emission import Attributes

_WRITING: Final = contained("writing the usage log")
_LEFT_OUT: Final = (a.GEN_AI_INPUT_MESSAGES, a.GEN_AI_OUTPUT_MESSAGES, a.GEN_AI_SYSTEM_INSTRUCTIONS)


class UsageLog:
    """Writes the record of each call, when the setting is on."""

    def __init__(self, logger: Logger, *, wanted: bool) -> None:
        self._logger = logger
        self.wanted = wanted

    def write(self, call: Call, ending: Ending, attributes: Attributes) -> None:
        """Write one finished call: who, what, how much, at which price, how long, how it ended, which trace."""
        if not self.wanted:
            return
        with _WRITING:
            told: dict[str, Any] = {
                a.GEN_AI_OPERATION_NAME: call.surface.operation,
                a.GEN_AI_PROVIDER_NAME: call.target.provider,
                **({a.GEN_AI_REQUEST_MODEL: call.model} if call.model is not None else {}),
                **call.attribution,
                **attributes,
                a.CALL_DURATION: ending.seconds,
                a.CALL_OUTCOME: ending.outcome,
            }
            for name in _LEFT_OUT:
                told.pop(name, None)
            emit(self._logger, events.USAGE, told, call.context)
