"""google-cloud-aiplatform 1 and 2: the generated client of predictions, and `vertexai` above it, by REST."""

from __future__ import annotations

import functools
import importlib
import warnings
from typing import Any

from surfaces.sdks.google_genai import rejected
from surfaces.ways import LONG, QUESTION, Sdk, Surface, closing, closing_async

SERVICE = "google.cloud.aiplatform_v1.services.prediction_service"
PLACE = "projects/toll/locations/europe-west4"
MODEL = "gemini-2.5-flash"
CONTENTS = [{"role": "user", "parts": [{"text": QUESTION}]}]


class Asked:
    """Asks a generated client for models by their short names."""

    def __init__(self, plain: Any) -> None:
        self.plain = plain

    def generate_content(self, *, model: str, **fields: Any) -> Any:
        return self.plain.generate_content({"model": f"{PLACE}/publishers/google/models/{model}", **fields})

    def stream_generate_content(self, *, model: str, **fields: Any) -> Any:
        return self.plain.stream_generate_content({"model": f"{PLACE}/publishers/google/models/{model}", **fields})

    def predict(self, *, model: str, **fields: Any) -> Any:
        return self.plain.predict(endpoint=f"{PLACE}/publishers/google/models/{model}", **fields)


class Models:
    """Asks as an application of `vertexai` does, which makes an object for each model."""

    def __init__(self, url: str, use_async: bool) -> None:
        warnings.filterwarnings("ignore", "This feature is deprecated", UserWarning)  # by google-genai
        vertexai, of = importlib.import_module("vertexai"), importlib.import_module("vertexai.generative_models")
        anonymous = importlib.import_module("google.auth.credentials").AnonymousCredentials()
        settings = {"project": "toll", "location": "europe-west4", "credentials": anonymous}
        vertexai.init(**settings, api_transport="rest", api_endpoint=url)
        if use_async:
            initializer = importlib.import_module("google.cloud.aiplatform.initializer")
            initializer._set_async_rest_credentials(_anonymous())  # noqa: SLF001  # there is no other way
        self._async = use_async
        self._made = of.GenerativeModel(MODEL)

    def generate_content(self, *, model: str, contents: Any, stream: bool = False, **settings: Any) -> Any:
        assert model == MODEL
        of = self._made
        return (of.generate_content_async if self._async else of.generate_content)(contents, stream=stream, **settings)

    def close(self) -> Any:
        made = vars(self._made)
        name = "_prediction_async_client" if self._async else "_prediction_client"
        return made[name].transport.close() if name in made else None

    async def aclose(self) -> None:
        closed = self.close()
        if closed is not None:
            await closed


def _anonymous() -> Any:
    return importlib.import_module("google.auth.aio.credentials").AnonymousCredentials()


def generated(url: str, use_async: bool, **options: Any) -> Any:  # `Sdk.client` says so
    """Make a generated client that speaks REST."""
    if use_async:
        sdk = importlib.import_module(SERVICE)
        rest = importlib.import_module(f"{SERVICE}.transports.rest_asyncio").AsyncPredictionServiceRestTransport
        transport = rest(credentials=_anonymous(), host=url, **options)
        session = transport._session  # noqa: SLF001  # which has retries of its own, beside the client's
        session.post = functools.partial(session.post, total_attempts=1)
        return closing_async(Asked(sdk.PredictionServiceAsyncClient(transport=transport)), transport.close)
    sdk = importlib.import_module(SERVICE)
    rest = importlib.import_module(f"{SERVICE}.transports").PredictionServiceRestTransport
    credentials = importlib.import_module("google.auth.credentials").AnonymousCredentials()
    transport = rest(credentials=credentials, host=url, **options)
    return closing(Asked(sdk.PredictionServiceClient(transport=transport)), transport.close)


def application(url: str, use_async: bool, **_: Any) -> Any:  # `Sdk.client` says so
    """Make what asks through `vertexai`."""
    made = Models(url, use_async)
    return closing_async(made, made.aclose) if use_async else closing(made, made.close)


CLIENTS = ("client:PredictionServiceClient", "async_client:PredictionServiceAsyncClient")
METHODS = ("generate_content", "stream_generate_content", "embed_content", "predict")
SDK = Sdk(
    name="vertexai",
    module="google.cloud.aiplatform_v1",
    client=generated,
    provider="gcp.vertex_ai",
    patched=(
        *(f"{SERVICE}.{client}.{method}" for client in CLIENTS for method in METHODS),
        "google.api_core.grpc_helpers:_StreamingResponseIterator.__next__",
        "google.api_core.rest_streaming:ResponseIterator.__next__",
        "google.api_core.rest_streaming_async:AsyncResponseIterator.__anext__",
        "vertexai.generative_models._generative_models:_GenerativeModel._generate_content_streaming_async",
    ),
    error="google.api_core.exceptions:GoogleAPICallError",
    rejected=rejected,
    error_type="{}",
    answer_id="responseId",
    answer_model="modelVersion",
    stream_can=frozenset(),
    leaves_sockets=True,
    apart=True,
)
SPAN = {
    "gen_ai.request.max_tokens": 500,
    "gen_ai.request.temperature": 0.5,
    "gen_ai.request.top_p": 0.75,
    "gen_ai.request.top_k": 20,
    "gen_ai.request.stop_sequences": ("END",),
    "gen_ai.request.seed": 7,
    "tracetoll.service_tier": "ON_DEMAND",
}
CONFIG = {
    "max_output_tokens": 500,
    "temperature": 0.5,
    "top_p": 0.75,
    "top_k": 20,
    "stop_sequences": ["END"],
    "seed": 7,
}
GENERATE = Surface(
    sdk="vertexai",
    method="generate_content",
    path=f"/models/{MODEL}:generateContent",
    arguments={
        "model": MODEL,
        "contents": CONTENTS,
        "system_instruction": {"parts": [{"text": LONG}]},
        "generation_config": CONFIG,
    },
    operation="generate_content",
    span=SPAN,
    finish=("stop",),
    streams="stream_generate_content",
    question={"model": MODEL, "contents": CONTENTS},
    cap=lambda tokens: {"generation_config": {"max_output_tokens": tokens}},
    sent_cap="generationConfig.maxOutputTokens",
)
APPLICATION = Surface(
    sdk="vertexai",
    method="generate_content",
    path=f"/models/{MODEL}:generateContent",
    arguments={"model": MODEL, "contents": QUESTION, "generation_config": CONFIG},
    operation="generate_content",
    span=SPAN,
    finish=("stop",),
    streams=True,
    client=application,
)
EMBED = Surface(
    sdk="vertexai",
    method="predict",
    path="/models/text-embedding-005:predict",
    arguments={
        "model": "text-embedding-005",
        "instances": [{"content": "one"}, {"content": "two words"}],
        "parameters": {"outputDimensionality": 1},
    },
    operation="embeddings",
    span={"gen_ai.embeddings.dimension.count": 1},
    in_counters=False,
    priced=False,
)
SURFACES = (GENERATE, APPLICATION, EMBED)
