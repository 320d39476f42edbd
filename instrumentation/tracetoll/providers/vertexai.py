"""google-cloud-aiplatform 1 and 2: `vertexai`, and the generated clients below it, by gRPC and by REST.

Sources: the generated prediction clients (1.60 to 2.7.0), google.api_core's streams; semconv reference, 5.4. The
messages have the fields of Gemini's REST; a count that was not told is 0 in them.
"""

from __future__ import annotations

from typing import Final

from tracetoll.providers.gemini import EMBED, GENERATE, IMAGES
from tracetoll.providers.waists import Body, Family, Function, Tap, Waist, json_message
from tracetoll.providers.words import Surface, paths

VERSIONS: Final = ("aiplatform_v1", "aiplatform_v1beta1")
CLIENTS: Final = (("client:PredictionServiceClient", False), ("async_client:PredictionServiceAsyncClient", True))
METHODS: Final = ("generate_content", "stream_generate_content", "embed_content", "predict")
PREDICTION: Final = Waist(
    name="vertexai",
    provider="gcp.vertex_ai",
    functions=tuple(
        Function(
            at=f"google.cloud.{version}.services.prediction_service.{client}.{method}",
            asynchronous=asynchronous,
            result="own stream",
            streams=method.startswith("stream"),
            surface=method,
        )
        for version in VERSIONS
        for client, asynchronous in CLIENTS
        for method in METHODS
    ),
    surfaces={
        "generate_content": GENERATE,
        "stream_generate_content": GENERATE,
        "embed_content": EMBED,
        "predict": Surface(operation=""),  # models of all kinds, mostly the application's own
    },
    families={
        "predict": (Family(surface=EMBED, models=("*embedding*",)), Family(surface=IMAGES, models=("image*",))),
    },
    body=Body(at=("request",), form="gapic", beside=paths("model", "contents", "content")),
    bodies={
        "predict": Body(
            at=("request",), form="gapic", beside=paths("endpoint", "instances", "parameters"), resource="endpoint"
        ),
    },
    base_url=("self", "transport", "host"),
    event=json_message,
    streams=(
        "google.api_core.grpc_helpers:_StreamingResponseIterator",
        "google.api_core.rest_streaming:ResponseIterator",
        "google.api_core.rest_streaming_async:AsyncResponseIterator",
    ),
    tap=Tap(at="_call"),
    held=(
        Function(
            at="vertexai.generative_models._generative_models:_GenerativeModel._generate_content_streaming_async",
            asynchronous=True,
        ),
    ),
    # Of gRPC, of grpc.aio before the SDK has made its own of it, too, and of REST.
    error_codes=paths(
        "_response._state.code._name_",
        "_response._code._name_",
        "_code._name_",
        "_response.status_code",
        "_response._response.status",
    ),
)

SEAMS: Final = (PREDICTION,)
