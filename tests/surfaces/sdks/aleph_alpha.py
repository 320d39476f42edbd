"""aleph-alpha-client 11: chats and completions. What it streams, asynchronously only, is not counted."""

from __future__ import annotations

import importlib
from typing import Any

from surfaces.ways import LONG, MESSAGES, QUESTION, Sdk, Surface


class Client:
    """Takes a request's fields, of which this SDK makes an object of its own for each method."""

    def __init__(self, made: Any) -> None:
        self._made = made
        self._sdk = importlib.import_module("aleph_alpha_client")
        self.close = made.close if hasattr(made, "close") else made.session.close

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        method = getattr(self._made, name)
        return lambda model, **asked: method(getattr(self, f"_{name}_request")(model, asked), model=model)

    def _chat_request(self, model: str, asked: dict[str, Any]) -> Any:
        role, message = self._sdk.chat.Role, self._sdk.Message
        said = [message(role=role(one["role"]), content=one["content"]) for one in asked.pop("messages")]
        return self._sdk.ChatRequest(model=model, messages=said, **asked)

    def _complete_request(self, _: str, asked: dict[str, Any]) -> Any:
        return self._sdk.CompletionRequest(prompt=self._sdk.Prompt.from_text(asked.pop("prompt")), **asked)


def client(url: str, use_async: bool, **options: Any) -> Any:  # `Sdk.client` says so
    sdk = importlib.import_module("aleph_alpha_client")
    kind = sdk.AsyncClient if use_async else sdk.Client
    return Client(kind(token="none", host=url, **{"total_retries": 0, **options}))  # noqa: S106  # nobody looks at it


MODEL = "llama-3.1-8b-instruct"
PLAIN = {"model": MODEL, "messages": MESSAGES}
CLIENT = "aleph_alpha_client.aleph_alpha_client:"
SDK = Sdk(
    name="aleph_alpha",
    module="aleph_alpha_client",
    client=client,
    provider="aleph_alpha",
    patched=tuple(f"{CLIENT}{kind}._post_request" for kind in ("Client", "AsyncClient")),
    error="builtins:Exception",
    error_type="{kind}",
    ways=("whole",),
    request_id=(),
    apart=True,
)
CHAT = Surface(
    sdk="aleph_alpha",
    method="chat",
    path="/chat/completions",
    arguments={
        "model": MODEL,
        "messages": [{"role": "system", "content": LONG}, *MESSAGES],
        "maximum_tokens": 500,
        "temperature": 0.5,
        "top_p": 0.75,
    },
    span={"gen_ai.request.max_tokens": 500, "gen_ai.request.temperature": 0.5, "gen_ai.request.top_p": 0.75},
    finish=("stop",),
    question=PLAIN,
    priced=False,
)
COMPLETION = Surface(
    sdk="aleph_alpha",
    method="complete",
    path="/complete",
    arguments={
        "model": MODEL,
        "prompt": QUESTION,
        "maximum_tokens": 8,
        "temperature": 0.5,
        "top_k": 7,
        "top_p": 0.75,
        "stop_sequences": ["END"],
    },
    operation="text_completion",
    span={
        "gen_ai.request.max_tokens": 8,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_k": 7,
        "gen_ai.request.top_p": 0.75,
        "gen_ai.request.stop_sequences": ("END",),
    },
    finish=("length",),
    answer_id=(),
    answer_model=("model_version",),
    priced=False,
)
SURFACES = (CHAT, COMPLETION)
