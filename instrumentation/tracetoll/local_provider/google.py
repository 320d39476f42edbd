"""Gemini's REST: contents, whole and streamed, embeddings, images, batches, and the Interactions API."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tracetoll.local_provider import text
from tracetoll.local_provider.answers import compose
from tracetoll.local_provider.wire import JSON_TYPE, Received, Reply, unique

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tracetoll.local_provider.answers import Answer, Memory
    from tracetoll.local_provider.wire import Json

FINISHED: Final = {"stop": "STOP", "length": "MAX_TOKENS", "tools": "STOP"}
COMPLETED: Final = {"stop": "completed", "length": "incomplete", "tools": "requires_action"}
PIECES_PER_CHUNK: Final = 4
HEADERS: Final[dict[str, str]] = {}
"""Google tells no limits and no id of a request."""


def is_google(received: Received) -> bool:
    """Return whether a request is one to Google."""
    return re.search(r":[a-z]\w+\Z|/interactions(/|\Z)", received.path) is not None


def not_found(received: Received) -> Reply:
    """Return what an unknown path gets."""
    return failed(404, "NOT_FOUND", f"{received.path} is not found")


def failed(status: int, code: str, message: str) -> Reply:
    """Return an error in Google's format."""
    return Reply(status, json={"error": {"code": status, "message": message, "status": code}})


def generated(received: Received, memory: Memory) -> Reply:
    """Answer `POST …/models/{model}:generateContent`."""
    return Reply(json=_content(_answers(received, memory), unique("")))


def streamed(received: Received, memory: Memory) -> Reply:
    """Answer `POST …/models/{model}:streamGenerateContent`: a list in JSON, if not asked for events."""
    headers = {} if received.query.get("alt") == "sse" else {"content-type": JSON_TYPE}
    return Reply(events=list(_chunks(_answers(received, memory), unique(""))), done=False, headers=headers)


def embeddings(received: Received, _: Memory) -> Reply:
    """Answer `POST …/models/{model}:batchEmbedContents`."""
    requests = received.fields.get("requests") or []
    counts = {"promptTokenCount": text.count(text.said([one.get("content") for one in requests]))}
    usage = counts | {"promptTokenDetails": [{"modality": "TEXT", "tokenCount": counts["promptTokenCount"]}]}
    return Reply(json={"embeddings": [{"values": [0.5, 0.25]} for _ in requests], "usageMetadata": usage})


def predicted(received: Received, _: Memory) -> Reply:
    """Answer `POST …/models/{model}:predict`: images, and embeddings of Vertex AI."""
    instances = received.fields.get("instances") or []
    if "image" in _model(received):
        number = (received.fields.get("parameters") or {}).get("sampleCount") or 1
        image = base64.b64encode(b"a toll bridge").decode()
        return Reply(json={"predictions": [{"mimeType": "image/png", "bytesBase64Encoded": image}] * number})
    counts = [text.count(text.said(one.get("content"))) for one in instances]
    vectors = [{"values": [0.5], "statistics": {"token_count": one, "truncated": False}} for one in counts]
    return Reply(json={"predictions": [{"embeddings": vector} for vector in vectors]})


def counted(received: Received, _: Memory) -> Reply:
    """Answer `POST …/models/{model}:countTokens`."""
    return Reply(json={"totalTokens": text.count(text.prompt(received.fields))})


def batch(received: Received, memory: Memory) -> Reply:
    """Answer `POST …/models/{model}:batchGenerateContent`: it is done when it is fetched."""
    given = ((received.fields.get("batch") or {}).get("inputConfig") or {}).get("requests") or {}
    answers = [
        {"response": _content(_answers(replace(received, body=one.get("request")), memory), unique(""))}
        for one in given.get("requests") or []
    ]
    name = f"batches/{unique('')}"
    told = {"@type": "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch", "name": name}
    done = {"state": "BATCH_STATE_SUCCEEDED", "model": f"models/{_model(received)}"}
    output = {"inlinedResponses": {"inlinedResponses": answers}}
    memory.keep(name, {"name": name, "metadata": told | done | {"output": output}, "done": True, "response": output})
    return Reply(json={"name": name, "metadata": told | {"state": "BATCH_STATE_PENDING"}})


def fetched_batch(received: Received, memory: Memory) -> Reply:
    """Answer `GET …/batches/{id}`; None here: there is no such batch of Google's."""
    found = memory.look_up("/".join(received.path.rsplit("/", 2)[-2:]))
    return not_found(received) if found is None else Reply(json=found)


def interaction(received: Received, memory: Memory) -> Reply:
    """Answer `POST …/interactions`; one in the background is done when it is fetched."""
    body = received.fields
    config = body.get("generation_config") or {}
    answer = _compose(received, memory, body.get("model") or body.get("agent"), config.get("max_output_tokens"))
    name = unique("v1_")
    whole = {
        "id": name,
        "object": "interaction",
        "model": body.get("model"),
        "status": COMPLETED[answer.finished],
        "service_tier": "standard",
        "usage": _interaction_usage(answer),
        "steps": [{"type": "model_output", "content": [{"type": "text", "text": answer.text}]}],
    }
    started = {name: whole[name] for name in ("id", "object", "model")} | {"status": "in_progress"}
    memory.keep(name, whole)
    if body.get("stream"):
        return Reply(events=list(_interaction_events(whole, started, answer)))
    return Reply(json=started if body.get("background") else whole)


def fetched_interaction(received: Received, memory: Memory) -> Reply:
    """Answer `GET …/interactions/{id}`."""
    found = memory.look_up(received.path.rsplit("/", 1)[-1])
    return not_found(received) if found is None else Reply(json=found)


def _model(received: Received) -> str:
    return received.path.rpartition("/")[2].partition(":")[0]


def _answers(received: Received, memory: Memory) -> list[Answer]:
    config = received.fields.get("generationConfig") or {}
    return [
        _compose(
            received, memory, _model(received), config.get("maxOutputTokens"), config.get("thinkingConfig"), choice
        )
        for choice in range(config.get("candidateCount") or 1)
    ]


def _compose(  # noqa: PLR0917  # what a request says of its answer
    received: Received, memory: Memory, model: Json, cap: Json, thinking: Json = None, choice: int = 0
) -> Answer:
    """Return what is said to a request, which is put in words that the other providers have too."""
    budget = (thinking or {}).get("thinkingBudget")
    asked = {**received.fields, "model": model, "max_tokens": cap}
    if isinstance(budget, int):
        asked["thinking"] = {"type": "enabled", "budget_tokens": budget}
    return compose(replace(received, body=asked), memory, choice=choice)


def _content(answers: list[Answer], name: str) -> dict[str, Json]:
    candidates = [_candidate(index, answer, answer.text, ended=True) for index, answer in enumerate(answers)]
    return {"candidates": candidates, **_told(answers, name), "usageMetadata": _usage(answers)}


def _told(answers: list[Answer], name: str) -> dict[str, Json]:
    return {"modelVersion": answers[0].model, "responseId": name}


def _candidate(index: int, answer: Answer, said: str, *, ended: bool) -> dict[str, Json]:
    calls = [{"functionCall": {"name": call.name, "args": dict(call.arguments)}} for call in answer.tool_calls]
    parts = [{"text": said}] if said or not calls else []
    told: dict[str, Json] = {"content": {"role": "model", "parts": parts + (calls if ended else [])}, "index": index}
    return told | ({"finishReason": FINISHED[answer.finished]} if ended else {})


def _chunks(answers: list[Answer], name: str) -> Iterator[dict[str, Json]]:
    """Yield chunks; each tells what was used until then, the last one all of it."""
    size = PIECES_PER_CHUNK
    longest = max(len(answer.pieces) for answer in answers)
    for start in range(0, max(longest, 1), size):
        ended = start + size >= longest
        said = [
            _candidate(i, one, "".join(one.pieces[start : start + size]), ended=ended) for i, one in enumerate(answers)
        ]
        usage = _usage(answers) if ended else {"promptTokenCount": answers[0].input_tokens}
        yield {"candidates": said, "usageMetadata": usage, **_told(answers, name)}


def _usage(answers: list[Answer]) -> dict[str, Json]:
    thoughts = sum(answer.reasoning_tokens for answer in answers)
    told = {
        "promptTokenCount": answers[0].input_tokens,
        "candidatesTokenCount": sum(answer.output_tokens for answer in answers) - thoughts,
        "totalTokenCount": answers[0].input_tokens + sum(answer.output_tokens for answer in answers),
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": answers[0].input_tokens}],
        "trafficType": "ON_DEMAND",
    }
    more = {"thoughtsTokenCount": thoughts, "cachedContentTokenCount": answers[0].cached_tokens}
    return told | {name: number for name, number in more.items() if number}


def _interaction_usage(answer: Answer) -> dict[str, Json]:
    return {
        "total_tokens": answer.input_tokens + answer.output_tokens,
        "total_input_tokens": answer.input_tokens,
        "input_tokens_by_modality": [{"modality": "text", "tokens": answer.input_tokens}],
        "total_cached_tokens": answer.cached_tokens,
        "total_output_tokens": answer.output_tokens - answer.reasoning_tokens,
        "total_tool_use_tokens": 0,
        "total_thought_tokens": answer.reasoning_tokens,
    }


def _interaction_events(
    whole: Mapping[str, Json], started: Mapping[str, Json], answer: Answer
) -> Iterator[tuple[str, Json]]:
    def event(kind: str, **told: Json) -> tuple[str, Json]:
        return kind, {**told, "event_type": kind}

    yield event("interaction.created", interaction=started)
    yield event("step.start", index=0, step={"type": "model_output"})
    for start in range(0, len(answer.pieces), PIECES_PER_CHUNK):
        said = "".join(answer.pieces[start : start + PIECES_PER_CHUNK])
        yield event("step.delta", index=0, delta={"type": "text", "text": said})
    yield event("step.stop", index=0)
    told = {name: value for name, value in whole.items() if name != "steps"}
    yield event("interaction.completed", interaction=told)
    yield "done", "[DONE]"
