"""Realtime sessions of openai-agents 0."""

from __future__ import annotations

import asyncio
import importlib
from dataclasses import replace
from typing import Any

from surfaces.sdks.openai_realtime import RESPONSE as REALTIME_RESPONSE
from surfaces.sdks.openai_realtime import SDK as REALTIME
from surfaces.sockets import Sockets


def get_type(told: Any) -> Any:
    return told.get("type") if isinstance(told, dict) else None


class Sessions:
    """Stands for a client: it asks for a response in a session of its own, and returns all that it hears until then."""

    def __init__(self, url: str) -> None:
        self._sockets = Sockets(url)

    async def response(self, model: str, text: str) -> list[Any]:
        asked = importlib.import_module("agents.realtime.openai_realtime").OpenAIRealtimeWebSocketModel()
        inputs = importlib.import_module("agents.realtime.model_inputs")
        heard: list[Any] = []
        over = asyncio.Event()

        class Listener(importlib.import_module("agents.realtime.model").RealtimeModelListener):  # type: ignore[misc]
            async def on_event(self, event: Any) -> None:
                told = getattr(event, "data", None)
                if not over.is_set():
                    heard.append((event.type, told))
                if getattr(event, "status", None) == "disconnected" or str(get_type(told)) == "response.done":
                    over.set()

        asked.add_listener(Listener())
        settings = {"model_name": model, "tracing": None}
        at = f"{self._sockets.url}/realtime?model={model}"
        await asked.connect({"api_key": "none", "url": at, "initial_model_settings": settings})
        try:
            await asked.send_event(inputs.RealtimeModelSendUserInput(user_input=text))
            await asyncio.wait_for(over.wait(), 20)
        finally:
            await asked.close()
        if get_type(heard[-1][1]) != "response.done":
            raise ConnectionError
        return heard

    def close(self) -> None:
        self._sockets.close()


SDK = replace(
    REALTIME,
    name="openai_agents_realtime",
    module="agents.realtime.openai_realtime",
    client=lambda url, _: Sessions(url),
    patched=("agents.realtime.openai_realtime:OpenAIRealtimeWebSocketModel._handle_ws_event",),
    synchronous=False,
    warns=(),
    apart=True,
)
RESPONSE = replace(REALTIME_RESPONSE, sdk="openai_agents_realtime")
SURFACES = (RESPONSE,)
