"""xai-sdk 1, which speaks gRPC: chats. Its other ways to ask one, and its own spans: tests/test_xai.py."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

from surfaces.bridge import Bridge
from surfaces.ways import LONG, MESSAGES, Sdk, Surface, settled, tells_error
from tracetoll.local_provider import Reply


class Client:
    """Has the methods of a chat, of which this SDK makes one for each question, and takes the question with each."""

    def __init__(self, url: str, *, use_async: bool) -> None:
        service = importlib.import_module("xai_sdk.proto").chat_pb2.DESCRIPTOR.services_by_name["Chat"]
        self._bridge = Bridge(url, service)
        kind, channels = ("aio", "grpc.aio") if use_async else ("sync", "grpc")
        self._channel = importlib.import_module(channels).insecure_channel(self._bridge.address)
        self._chats = importlib.import_module(f"xai_sdk.{kind}.chat").Client(self._channel)

    def _chat(self, messages: list[dict[str, str]], **asked: Any) -> Any:
        chat = importlib.import_module("xai_sdk.chat")
        said = [getattr(chat, one["role"])(one["content"]) for one in messages]
        return self._chats.create(messages=said, **asked)

    def sample(self, **asked: Any) -> Any:
        return self._chat(**asked).sample()

    def stream(self, **asked: Any) -> Any:
        return self._chat(**asked).stream()

    async def close(self) -> None:
        await settled(self._channel.close())
        self._bridge.close()


def client(url: str, use_async: bool) -> Any:  # `Sdk.client` says so
    warnings.simplefilter("ignore", PendingDeprecationWarning)  # the SDK's own way to stream is one for some versions
    return Client(url, use_async=use_async)


MODEL = "grok-4"
SDK = Sdk(
    name="xai_sdk",
    module="xai_sdk",
    client=client,
    provider="x_ai",
    patched=tuple(f"xai_sdk.{kind}.chat:Chat.{name}" for kind in ("sync", "aio") for name in ("sample", "stream")),
    error="grpc:RpcError",
    rejected=lambda status: Reply(status, json={"grpc": "RESOURCE_EXHAUSTED"}),
    error_type="RESOURCE_EXHAUSTED",
    tells_host=False,
    request_id=(),
    stream_can=frozenset({"close"}),
    lazy_streams=True,
    abandoned="closed",
    cut="UNAVAILABLE",
)
CHAT = Surface(
    sdk="xai_sdk",
    method="sample",
    path="/xai_api.Chat/GetCompletion",
    arguments={
        "model": MODEL,
        "messages": [{"role": "system", "content": LONG}, *MESSAGES],
        "max_tokens": 500,
        "temperature": 0.5,
        "top_p": 0.75,
        "seed": 7,
        "stop": ["END"],
    },
    span={
        "gen_ai.request.max_tokens": 500,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.75,
        "gen_ai.request.seed": 7,
        "gen_ai.request.stop_sequences": ("END",),
    },
    finish=("stop",),
    streams="stream",
    question={"model": MODEL, "messages": MESSAGES},
    cap=lambda tokens: {"max_tokens": tokens},
    sent_cap="max_tokens",
    broken=tells_error({"grpc": "RESOURCE_EXHAUSTED"}),
)
SURFACES = (CHAT,)
