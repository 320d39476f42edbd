"""How packages are set up that need more than `Instrumentor().instrument()`."""

from __future__ import annotations

import os
import tempfile
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def _plain_provider() -> None:
    trace.set_tracer_provider(TracerProvider(shutdown_on_exit=False))


def _logfire_provider() -> None:
    logfire: Any = import_module("logfire")
    logfire.configure(send_to_logfire=False, console=False, inspect_arguments=False, metrics=False)


def _logfire() -> None:
    logfire: Any = import_module("logfire")
    logfire.instrument_openai()
    logfire.instrument_anthropic()


def _openlit() -> None:
    openlit: Any = import_module("openlit")
    others = set(import_module("openlit._instrumentors").MODULE_NAME_MAP) - {"openai", "anthropic"}
    with tempfile.TemporaryDirectory() as folder:
        # It would fetch a price list.
        prices = Path(folder, "prices.json")
        prices.write_text("{}")
        openlit.init(pricing_json=str(prices), disable_events=True, disabled_instrumentors=sorted(others))


def _pydantic_ai() -> None:
    import_module("pydantic_ai").Agent.instrument_all()


def _openai_agents() -> None:
    # It would send its traces to OpenAI.
    import_module("agents").set_trace_processors([])


def _litellm() -> None:
    import_module("litellm").callbacks = ["otel"]


def _litellm_own_spans() -> None:
    os.environ["USE_OTEL_LITELLM_REQUEST_SPAN"] = "true"
    _litellm()


PROVIDERS: Mapping[str, Callable[[], None]] = {"plain": _plain_provider, "logfire": _logfire_provider}
ARRANGEMENTS: Mapping[str, Callable[[], None]] = {
    "logfire": _logfire,
    "openlit": _openlit,
    "pydantic-ai": _pydantic_ai,
    "openai-agents": _openai_agents,
    "litellm": _litellm,
    "litellm, own spans": _litellm_own_spans,
}
