"""Live sessions of google-genai 1, 2 and 3."""

from __future__ import annotations

import importlib
from typing import Any

from surfaces.sdks.google_genai import EARLY
from surfaces.sockets import Sockets
from surfaces.ways import QUESTION, Surface, observed


class Sessions:
    """Stands for a client: it asks in a session of its own, and returns all that it hears until the turn is over."""

    def __init__(self, url: str) -> None:
        self._sockets = Sockets(url)
        self._client = importlib.import_module("google.genai").Client(api_key="none")

    async def turn(self, *, model: str, text: str) -> list[Any]:
        live = importlib.import_module("google.genai.live")
        connect = live.ws_connect
        # The SDK encrypts, whatever its base URL says.
        live.ws_connect = lambda *_, **__: connect(f"{self._sockets.url}/live")
        try:
            async with self._client.aio.live.connect(model=model) as session:
                await session.send_client_content(turns={"role": "user", "parts": [{"text": text}]})
                return [message async for message in session.receive()]
        finally:
            live.ws_connect = connect

    def close(self) -> None:
        self._sockets.close()


SDK = observed(
    name="google_live",
    module="google.genai.live",
    client=lambda url, _: Sessions(url),
    provider="gcp.gemini",
    patched=("google.genai.live:AsyncSession._receive", "google.genai.live:AsyncLive.connect"),
    error="google.genai.errors:APIError",
    rejected=None,
    synchronous=False,
    answer_id=None,
    answer_model=None,
    apart=EARLY,
)
TURN = Surface(
    sdk="google_live",
    method="turn",
    path=":generateContent",
    arguments={"model": "gemini-2.5-flash", "text": QUESTION},
    operation="generate_content",
)
SURFACES = (TURN,)
