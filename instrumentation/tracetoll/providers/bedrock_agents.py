"""Amazon Bedrock's agents, flows and knowledge bases through boto3 and aioboto3.

Sources: botocore 1.40 and its service model, recorded traffic; semconv reference, 5.3. An agent tells what each
of its model calls used, in its trace only. Flows and answers from knowledge bases tell no tokens at all.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from tracetoll import usage as u
from tracetoll.providers.waists import Body, Family, Function, Waist
from tracetoll.providers.words import Answer, Events, Surface, as_text, paths
from tracetoll.usage import UsageMap
from tracetoll_semconv import attributes as a

STEPS: Final = ("preProcessing", "orchestration", "postProcessing", "routingClassifier")
KNOWLEDGE: Final[dict[str, Any]] = {"knowledgeBaseId": (a.AWS_BEDROCK_KNOWLEDGE_BASE_ID, as_text)}
ANSWERING: Final[dict[str, Any]] = {
    "knowledgeBaseConfiguration": {**KNOWLEDGE, "modelArn": (a.GEN_AI_REQUEST_MODEL, as_text)},
    "externalSourcesConfiguration": {"modelArn": (a.GEN_AI_REQUEST_MODEL, as_text)},
}
AGENT: Final = Surface(
    operation="invoke_agent",
    request={
        "agentId": (a.GEN_AI_AGENT_ID, as_text),
        "agentName": (a.GEN_AI_AGENT_NAME, as_text),
        "sessionId": (a.GEN_AI_CONVERSATION_ID, as_text),
        "foundationModel": (a.GEN_AI_REQUEST_MODEL, as_text),
        "guardrailConfiguration": {"guardrailIdentifier": (a.AWS_BEDROCK_GUARDRAIL_ID, as_text)},
    },
    answer=Answer(
        id="",
        model="",
        usage=paths(*(f"trace.trace.{step}Trace.modelInvocationOutput.metadata.usage" for step in STEPS)),
    ),
    events=Events(),
)
TRACED: Final = Family(
    surface=replace(AGENT, usage=UsageMap(fields={"inputTokens": u.INPUT, "outputTokens": u.OUTPUT}, steps=True)),
    has="enableTrace",
)
GENERATE: Final = Surface(operation="chat", request={"retrieveAndGenerateConfiguration": ANSWERING})
AGENTS: Final = Waist(
    name="bedrock",
    provider="aws.bedrock",
    functions=(
        Function(at="botocore.client:BaseClient._make_api_call", result="aws"),
        Function(at="aiobotocore.client:AioBaseClient._make_api_call", asynchronous=True, result="aws"),
    ),
    key=paths("operation_name"),
    body=Body(at=("api_params",), model=("api_params", "foundationModel")),
    base_url=paths("self.meta.endpoint_url")[0],
    headers=("ResponseMetadata", "HTTPHeaders"),
    retries=("ResponseMetadata", "RetryAttempts"),
    error_answer=("response",),
    error_codes=paths("response.Error.Code"),
    streamed=frozenset({"InvokeAgent", "InvokeInlineAgent", "InvokeFlow", "RetrieveAndGenerateStream"}),
    families={"InvokeAgent": (TRACED,), "InvokeInlineAgent": (TRACED,)},
    surfaces={
        "InvokeAgent": AGENT,
        "InvokeInlineAgent": AGENT,
        "InvokeFlow": Surface(operation="invoke_workflow"),
        "RetrieveAndGenerate": GENERATE,
        "RetrieveAndGenerateStream": GENERATE,
        "Retrieve": Surface(operation="retrieval", request=KNOWLEDGE, metrics=False),
    },
)
