"""openai-agents 0: responses by a websocket of its own. All else passes through openai, but for `realtime_agents`."""

from __future__ import annotations

import importlib
from typing import Any

from surfaces.sockets import Sockets
from surfaces.ways import LONG, QUESTION, Surface, observed
from tracetoll.local_provider import Reply


class Model:
    """Stands for a client: each method is a way to ask a model, and returns all that was answered."""

    def __init__(self, url: str) -> None:
        self._sockets = Sockets(url)
        self._client = importlib.import_module("openai").AsyncOpenAI(
            api_key="none", base_url=f"{url}/v1", websocket_base_url=self._sockets.url
        )

    def _asked(self, model: str, *, instructions: str, input: str) -> tuple[Any, dict[str, Any]]:  # noqa: A002  # its
        responses = importlib.import_module("agents.models.openai_responses")
        interface = importlib.import_module("agents.models.interface")
        return responses.OpenAIResponsesWSModel(model, self._client), {
            "system_instructions": instructions,
            "input": input,
            "model_settings": importlib.import_module("agents.model_settings").ModelSettings(),
            "tools": [],
            "output_schema": None,
            "handoffs": [],
            "tracing": interface.ModelTracing.DISABLED,
            "previous_response_id": None,
            "conversation_id": None,
            "prompt": None,
        }

    async def get_response(self, **asked: Any) -> Any:
        """Return a whole answer."""
        model, given = self._asked(**asked)
        try:
            return await model.get_response(**given)
        finally:
            await model.close()

    async def stream_response(self, **asked: Any) -> list[Any]:
        """Return the events of an answer."""
        model, given = self._asked(**asked)
        try:
            return [event async for event in model.stream_response(**given)]
        finally:
            await model.close()

    async def close(self) -> None:
        await self._client.close()
        self._sockets.close()


def failed(_: int) -> Reply:
    """Return a response that failed: of a request that was turned away, a websocket tells no response at all."""
    error = {"code": "bad_toll", "message": "No such toll"}
    told = {"id": "resp_1", "object": "response", "status": "failed", "error": error, "output": [], "usage": None}
    return Reply(events=[{"type": "response.failed", "response": told}])


SDK = observed(
    name="openai_agents",
    module="agents.models.openai_responses",
    client=lambda url, _, **options: Model(url, **options),
    provider="openai",
    patched=("agents.models.openai_responses:_construct_response_stream_event_from_payload",),
    error="agents.exceptions:ModelBehaviorError",
    rejected=failed,
    synchronous=False,
    apart=True,
)
WHOLE, STREAMED = (
    Surface(
        sdk="openai_agents",
        method=method,
        path="/responses",
        arguments={"model": "o4-mini", "instructions": LONG, "input": QUESTION},
        finish=("stop",),
    )
    for method in ("get_response", "stream_response")
)
SURFACES = (WHOLE, STREAMED)
