"""Realtime sessions of openai, where it has `realtime`: what else is told in one is in tests/test_realtime.py."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from surfaces.sdks.openai import SDK as OPENAI
from surfaces.sockets import Sockets
from surfaces.ways import QUESTION, Surface, observed, settled

if TYPE_CHECKING:
    from collections.abc import Callable


def said(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


class Sessions:
    """Stands for a client: it asks for a response in a session of its own, and returns all that it hears until then."""

    def __init__(self, url: str, *, use_async: bool) -> None:
        sdk = importlib.import_module("openai")
        self._sockets = Sockets(url)
        self._asynchronous = use_async
        kind = sdk.AsyncOpenAI if use_async else sdk.OpenAI
        self._client = kind(api_key="none", websocket_base_url=self._sockets.url)

    @property
    def response(self) -> Callable[..., Any]:
        connect = self._client.realtime.connect

        def heard(model: str, text: str) -> list[Any]:
            with connect(model=model) as connection:
                connection.conversation.item.create(item=said(text))
                connection.response.create()
                events = [connection.recv()]
                while events[-1].type != "response.done":
                    events.append(connection.recv())
                return events

        async def heard_async(model: str, text: str) -> list[Any]:
            async with connect(model=model) as connection:
                await connection.conversation.item.create(item=said(text))
                await connection.response.create()
                events = [await connection.recv()]
                while events[-1].type != "response.done":
                    events.append(await connection.recv())
                return events

        return heard_async if self._asynchronous else heard

    async def close(self) -> None:
        await settled(self._client.close())
        self._sockets.close()


SDK = observed(
    name="openai_realtime",
    module="openai.resources.realtime",
    client=lambda url, use_async: Sessions(url, use_async=use_async),
    provider="openai",
    patched=tuple(f"openai.resources.realtime.realtime:{kind}RealtimeConnection.parse_event" for kind in ("", "Async")),
    error=None,
    rejected=OPENAI.rejected,
    answer_model=None,
    # openai enters websockets' connection by itself, which websockets 17.1 warns about
    warns=("ignore:connect\\(\\) must be used as a context manager:DeprecationWarning",),
)
RESPONSE = Surface(
    sdk="openai_realtime",
    method="response",
    path="/responses",
    arguments={"model": "gpt-realtime", "text": QUESTION},
    operation="generate_content",
    finish=("stop",),
)
SURFACES = (RESPONSE,)
