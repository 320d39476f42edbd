"""Events as OpenTelemetry log records, for every version of its API that we support."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from opentelemetry._logs import LogRecord, SeverityNumber

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry._logs import Logger
    from opentelemetry.context import Context


def emit(
    logger: Logger,
    name: str,
    attributes: Mapping[str, Any],
    context: Context,
    severity: SeverityNumber = SeverityNumber.INFO,
) -> None:
    """Emit an event; the span of `context` gives the record its trace and span id."""
    # As a record, which every version takes.
    logger.emit(
        LogRecord(
            timestamp=time.time_ns(),
            event_name=name,
            attributes=attributes,
            context=context,
            severity_number=severity,
            severity_text=severity.name,
        )
    )
