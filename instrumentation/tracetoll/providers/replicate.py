"""replicate 1: predictions, which are asked for once and fetched until they are there.

Sources: the SDK's client and its predictions (1.0.0 to 1.0.7); replicate.com/docs/topics/predictions; semconv
reference, 5.5. Only language models report tokens, in `metrics`; what others report, seconds of computing, is no count
of ours. A prediction whose output is streamed has its metrics only where it is fetched afterwards.
"""

from __future__ import annotations

from typing import Final

from tracetoll import usage as u
from tracetoll.providers.waists import Body, Function, Waist
from tracetoll.providers.words import Answer, Surface, paths
from tracetoll.usage import UsageMap

USAGE: Final = UsageMap(fields={"input_token_count": u.INPUT, "output_token_count": u.OUTPUT})
ANSWER: Final = Answer(usage=paths("metrics"), status="status")
PREDICTION: Final = Surface(operation="generate_content", usage=USAGE, usage_if=(), answer=ANSWER, billed="later")
FETCHED: Final = Surface(
    operation="fetch_response", usage=USAGE, usage_if=(), answer=ANSWER, billed="fetched", inference=False
)
SDK: Final = Waist(
    name="replicate",
    provider="replicate",
    key=paths("method", "path"),
    body=Body(at=("json",), model=("json", "version")),
    base_url=("self", "_base_url"),
    functions=(
        Function(at="replicate.client:Client._request", result="response"),
        Function(at="replicate.client:Client._async_request", asynchronous=True, result="response"),
    ),
    error_codes=paths("status"),
    surfaces={
        "POST /v1/models/{model}/{model}/predictions": PREDICTION,
        "POST /v1/deployments/{model}/{model}/predictions": PREDICTION,
        "POST /v1/predictions": PREDICTION,
        "GET /v1/predictions/{id}": FETCHED,
    },
)

SEAMS: Final = (SDK,)
