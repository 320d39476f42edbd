"""oci 2: chats and embeddings, synchronously only. What it streams is not counted."""

from __future__ import annotations

import importlib
from operator import attrgetter
from typing import Any

from surfaces.ways import LONG, MESSAGES, Sdk, Surface
from tracetoll.local_provider import Reply

# Well-formed, as it is looked at; nothing is signed with it.
CONFIG = {
    "tenancy": "ocid1.tenancy.oc1..none",
    "user": "ocid1.user.oc1..none",
    "fingerprint": ":".join(["00"] * 16),
    "key_file": "none",
    "region": "us-chicago-1",
}


class Client:
    """Takes a request's fields, of which this SDK makes objects of its own."""

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        inference = importlib.import_module("oci.generative_ai_inference")
        once = {
            "retry_strategy": importlib.import_module("oci.retry").NoneRetryStrategy(),
            "circuit_breaker_strategy": importlib.import_module("oci.circuit_breaker").NoCircuitBreakerStrategy(),
        }
        self._kinds = inference.models
        self._made = inference.GenerativeAiInferenceClient(
            CONFIG, service_endpoint=url, signer=lambda request, **_: request, **{**once, **options}
        )

    def close(self) -> None:
        self._made.base_client.session.close()

    def _where(self, model: str) -> dict[str, Any]:
        return {"compartment_id": "bridge", "serving_mode": self._kinds.OnDemandServingMode(model_id=model)}

    def chat(self, model: str, messages: list[dict[str, str]], **asked: Any) -> Any:
        kinds = {"system": self._kinds.SystemMessage, "user": self._kinds.UserMessage}
        said = [kinds[one["role"]](content=[self._kinds.TextContent(text=one["content"])]) for one in messages]
        asking = self._kinds.GenericChatRequest(messages=said, **asked)
        details = self._kinds.ChatDetails(chat_request=asking, **self._where(model))
        return self._made.chat(details, opc_request_id="none")  # it makes one of its own, and tells of it

    def embed_text(self, model: str, **asked: Any) -> Any:
        return self._made.embed_text(self._kinds.EmbedTextDetails(**asked, **self._where(model)))


def client(url: str, _: bool, **options: Any) -> Any:  # `Sdk.client` says so
    return Client(url, options)


def rejected(status: int) -> Reply:
    return Reply(status, json={"code": "bad_toll", "message": "No such toll"})


MODEL = "meta.llama-3.3-70b-instruct"
CLIENT = "oci.generative_ai_inference.generative_ai_inference_client:GenerativeAiInferenceClient."
SDK = Sdk(
    name="oci",
    module="oci",
    client=client,
    provider="oci",
    patched=(f"{CLIENT}chat", f"{CLIENT}embed_text"),
    error="oci.exceptions:ServiceError",
    rejected=rejected,
    ways=("whole",),
    asynchronous=False,
    answer_id=None,
    answer_model=None,
    request_id=(),
    apart=True,
)
CHAT = Surface(
    sdk="oci",
    method="chat",
    path="/20231130/actions/chat",
    arguments={
        "model": MODEL,
        "messages": [{"role": "system", "content": LONG}, *MESSAGES],
        "max_tokens": 500,
        "temperature": 0.5,
        "top_p": 0.75,
        "seed": 7,
    },
    span={
        "gen_ai.request.max_tokens": 500,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.75,
        "gen_ai.request.seed": 7,
    },
    question={"model": MODEL, "messages": MESSAGES},
    whole_in=attrgetter("data"),
    priced=False,
)
EMBEDDINGS = Surface(
    sdk="oci",
    method="embed_text",
    path="/20231130/actions/embedText",
    arguments={"model": "cohere.embed-english-v3.0", "inputs": ["one", "two words"]},
    operation="embeddings",
    in_counters=False,
    whole_in=attrgetter("data"),
    priced=False,
)
SURFACES = (CHAT, EMBEDDINGS)
