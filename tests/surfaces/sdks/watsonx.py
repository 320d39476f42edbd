"""ibm-watsonx-ai 1: models of IBM watsonx."""

from __future__ import annotations

import base64
import importlib
import json
from dataclasses import replace
from functools import partial
from typing import Any
from unittest import mock

from surfaces.ways import MESSAGES, QUESTION, Sdk, Surface, version_of
from tracetoll.local_provider import Reply

HOST = "https://us-south.ml.cloud.ibm.com"


def _encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


TOKEN = f"{_encoded({'alg': 'none'})}.{_encoded({'iat': 1, 'exp': 4_102_444_800})}.none"


def api(url: str) -> Any:
    """Make a client: it takes known hosts with https only, and is sent to another one afterwards."""
    sdk = importlib.import_module("ibm_watsonx_ai")
    # Up to 1.3 a client looks whether its host is there.
    with mock.patch("ibm_watsonx_ai.spaces.Spaces._connection_validation", create=True):
        made = sdk.APIClient(sdk.Credentials(url=HOST, token=TOKEN, verify=False))
    made.credentials.url = made._href_definitions.url = url  # noqa: SLF001
    # Below what a model's own `max_retries` is for, a transport of the SDK's tries again.
    httpx = importlib.import_module("httpx")
    made.httpx_client._transport = httpx.HTTPTransport(verify=False)  # noqa: SLF001
    if hasattr(made, "async_httpx_client"):
        made.async_httpx_client._transport = httpx.AsyncHTTPTransport(verify=False)  # noqa: SLF001
    made.default_project_id = "bridge"
    return made


NAMES = {"agenerate_text_stream": "agenerate_stream", "agenerate_text": "agenerate"}
"""What a method is called whose name is not the other one's with an "a" before."""


class Client:
    """Has the methods of a model, which belongs to it with this SDK, and takes the model with each."""

    def __init__(self, url: str, kind: str, options: dict[str, Any]) -> None:
        self._api = api(url)
        self._kind = kind
        self._options = options

    def __getattr__(self, name: str) -> Any:
        kind = getattr(importlib.import_module("ibm_watsonx_ai.foundation_models"), self._kind)
        name = NAMES.get(name, name)
        getattr(kind, name)  # what this version lacks
        return lambda model, **asked: getattr(kind(model_id=model, api_client=self._api, **self._options), name)(
            **asked
        )

    def close(self) -> None:
        self._api.httpx_client.close()


def client(url: str, _: bool, *, kind: str = "ModelInference", **options: Any) -> Any:  # `Sdk.client` says so
    own = {"ModelInference": {"validate": False, "max_retries": 0}, "Embeddings": {"max_retries": 0}}
    return Client(url, kind, {**own.get(kind, {}), **options})


def rejected(status: int) -> Reply:
    error = {"code": "bad_toll", "message": "No such toll"}
    return Reply(status, json={"errors": [error], "trace": "none", "status_code": status})


def broken(whole: Reply) -> Reply:
    told = {"errors": [{"code": "bad_toll", "message": "No such toll"}]}
    return replace(whole, events=[*(whole.events or ())[:3], ("error", told)])


MAKER = "ibm_watsonx_ai._wrappers.httpx.rate_limited_retry.rate_limited_retry_decorator:RateLimitedRetryDecorator"
MODEL_CALLS = "ibm_watsonx_ai.foundation_models.inference.base_model_inference:BaseModelInference"
SDK = Sdk(
    name="watsonx",
    module="ibm_watsonx_ai",
    client=client,
    provider="ibm.watsonx.ai",
    patched=tuple(
        f"{MAKER}.rate_limited_{name}" if version_of("ibm-watsonx-ai") >= (1, 6) else f"{MODEL_CALLS}.{earlier}"
        for name, earlier in (
            ("retry", "_post"),
            ("retry_stream", "_stream"),
            ("async_retry", "_apost"),
            ("async_retry_stream", "_astream"),
        )
    ),
    error="ibm_watsonx_ai.wml_client_error:WMLClientError",
    rejected=rejected,
    async_name="a{}",
    answer_model="model_id",
    request_id=("x-request-id",),
    stream_can=frozenset({"close"}),
    lazy_streams=True,
    abandoned="closed",
    belongs_to="reading",
)
MODEL = "ibm/granite-3-8b-instruct"
CHAT = Surface(
    sdk="watsonx",
    method="chat",
    path="/ml/v1/text/chat",
    arguments={
        "model": MODEL,
        "messages": MESSAGES,
        "params": {"max_tokens": 500, "temperature": 0.5, "top_p": 0.75},
    },
    span={
        "gen_ai.request.max_tokens": 500,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.75,
    },
    finish=("stop",),
    streams="chat_stream",
    question={"model": MODEL, "messages": MESSAGES},
    cap=lambda tokens: {"params": {"max_tokens": tokens}},
    sent_cap="max_tokens",
    broken=broken,
    priced=False,
)
TEXT = Surface(
    sdk="watsonx",
    method="generate_text",
    path="/ml/v1/text/generation",
    arguments={
        "model": MODEL,
        "prompt": QUESTION,
        "params": {"max_new_tokens": 400, "temperature": 0.5, "stop_sequences": ["END"], "random_seed": 7},
    },
    operation="text_completion",
    span={
        "gen_ai.request.max_tokens": 400,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.request.seed": 7,
    },
    finish=("stop",),
    streams="generate_text_stream",
    broken=broken,
    priced=False,
    answer_id=(),
)
EMBEDDINGS = Surface(
    sdk="watsonx",
    method="generate",
    path="/ml/v1/text/embeddings",
    arguments={"model": "ibm/slate-125m-english-rtrvr-v2", "inputs": ["one", "two words"]},
    operation="embeddings",
    client=partial(client, kind="Embeddings"),
    in_counters=False,
    priced=False,
    answer_id=(),
)
RERANK = Surface(
    sdk="watsonx",
    method="generate",
    path="/ml/v1/text/rerank",
    arguments={"model": "cross-encoder/ms-marco", "query": QUESTION, "inputs": ["Two euros", "Nothing"]},
    operation="rerank",
    client=partial(client, kind="Rerank"),
    in_counters=False,
    priced=False,
    answer_id=(),
)
SURFACES = (CHAT, TEXT, EMBEDDINGS)  # reranking has no asynchronous method: tests/test_watsonx.py
