"""Amazon Bedrock through boto3 and aioboto3: Converse, InvokeModel, and what else has to do with models.

Sources: botocore 1.35 to 1.44 and its service models, recorded traffic; semconv reference, 5.3.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tracetoll.providers.bedrock_agents import AGENTS
from tracetoll.providers.bedrock_models import (
    CHAT,
    FAMILIES,
    GUARDRAIL,
    IMAGE,
    INFERENCE,
    STOP_REASON,
    STREAMED_STOP,
    TOKENS,
)
from tracetoll.providers.waists import Body, json_inside
from tracetoll.providers.words import Answer, Events, Surface, as_text, paths
from tracetoll.usage import UsageMap
from tracetoll_semconv import attributes as a

TIER: Final = {"serviceTier": {"type": (a.SERVICE_TIER, as_text)}}
CONVERSE: Final = Surface(
    operation="chat",
    usage=UsageMap(fields=TOKENS, cache="beside"),
    request={"inferenceConfig": INFERENCE, "guardrailConfig": GUARDRAIL},
    answer=Answer(id="", model="", finish=STOP_REASON, attributes=TIER),
    output_caps=("inferenceConfig.maxTokens",),
)
CONVERSE_STREAM: Final = replace(
    CONVERSE,
    answer=Answer(id="", model="", usage=paths("metadata.usage"), finish=STREAMED_STOP, attributes={"metadata": TIER}),
    events=Events(),
)
PARAMETERS: Final = ("api_params",)
NAMED: Final = ("api_params", "modelId")
ARGUMENTS: Final = Body(at=PARAMETERS, model=NAMED)
RUNTIME: Final = replace(
    AGENTS,
    body=Body(at=("api_params", "body"), form="json", model=NAMED, beside=paths("api_params.guardrailIdentifier")),
    bodies=dict.fromkeys(("Converse", "ConverseStream", "CountTokens", "StartAsyncInvoke"), ARGUMENTS),
    event=json_inside(("chunk", "bytes")),
    streamed=frozenset({"ConverseStream", "InvokeModelWithResponseStream"}),
    families={"InvokeModel": FAMILIES, "InvokeModelWithResponseStream": FAMILIES},
    surfaces={
        "Converse": CONVERSE,
        "ConverseStream": CONVERSE_STREAM,
        "InvokeModel": CHAT,
        "InvokeModelWithResponseStream": CHAT,
        "CountTokens": Surface(operation="count_tokens", metrics=False),
        "StartAsyncInvoke": IMAGE,
    },
)

SEAMS: Final = (RUNTIME, AGENTS)
