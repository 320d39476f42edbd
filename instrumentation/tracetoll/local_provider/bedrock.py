"""Amazon Bedrock: Converse, InvokeModel in the formats of several makers of models, agents; whole and streamed.

Everything is answered as Claude would, and told in the format of whoever is asked. Signatures are not looked at.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeAlias

from tracetoll.local_provider import anthropic, text
from tracetoll.local_provider.answers import compose
from tracetoll.local_provider.wire import AWS_STREAM_TYPE, Json, Reply, compact

if TYPE_CHECKING:
    from tracetoll.local_provider.answers import Memory
    from tracetoll.local_provider.wire import Received

Whole: TypeAlias = Mapping[str, Json]
Maker: TypeAlias = tuple[Callable[[Whole], dict[str, Json]], Callable[[Whole], Iterator[dict[str, Json]]] | None]

STREAM: Final = {"content-type": AWS_STREAM_TYPE}
DIMENSIONS: Final = 8
AGENT_MODEL: Final = "anthropic.claude-haiku-4-5-20251001-v1:0"
_MODEL: Final = re.compile(r"/model/(.+)/[^/]+\Z")
_CAPS: Final = ("max_tokens", "max_tokens_to_sample", "max_gen_len", "maxTokens", "max_new_tokens", "maxTokenCount")
_CONFIGS: Final = ("inferenceConfig", "textGenerationConfig")
LENGTH: Final = {"end_turn": "stop", "max_tokens": "length", "tool_use": "stop"}


def spoken(received: Received) -> bool:
    """Return whether a request is one to Bedrock."""
    return _MODEL.search(received.path) is not None or received.path.startswith("/agents/")


def converse(received: Received, memory: Memory) -> Reply:
    """Answer `POST /model/{model}/converse`."""
    return Reply(json=_conversed(_answer(received, memory)))


def converse_stream(received: Received, memory: Memory) -> Reply:
    """Answer `POST /model/{model}/converse-stream`."""
    events = [
        (name, {**data, "p": "abcdef"})
        for event in _converse_events(_answer(received, memory))
        for name, data in event.items()
    ]
    return Reply(events=events, headers=STREAM)


def invoke(received: Received, memory: Memory) -> Reply:
    """Answer `POST /model/{model}/invoke`."""
    whole = _answer(received, memory)
    counts = {name: value for name, value in _metered(whole).items() if name in _HEADERS}
    if _maker(whole)[1] is None:
        del counts["outputTokenCount"]
    headers = {f"x-amzn-bedrock-{_HEADERS[name]}-token-count": str(value) for name, value in counts.items()}
    return Reply(json=_maker(whole)[0](whole), headers=headers)


def invoke_stream(received: Received, memory: Memory) -> Reply:
    """Answer `POST /model/{model}/invoke-with-response-stream`."""
    whole = _answer(received, memory)
    streamed = _maker(whole)[1]
    if streamed is None:
        return Reply.aws_error(400, "ValidationException", "The model is unsupported for streaming.")
    events = list(streamed(whole))
    events[-1] = {**events[-1], "amazon-bedrock-invocationMetrics": _metered(whole)}
    return Reply(events=[("chunk", one) for one in events], headers=STREAM)


def token_count(received: Received, _: Memory) -> Reply:
    """Answer `POST /model/{model}/count-tokens`."""
    return Reply(json={"inputTokens": text.count(text.said(received.fields))})


def agent(received: Received, memory: Memory) -> Reply:
    """Answer `POST /agents/{id}/agentAliases/{id}/sessions/{id}/text`: an agent that asks its model twice."""
    asked = received.fields.get("inputText", "")
    body = {"messages": [{"role": "user", "content": [{"text": asked}]}]}
    model_call = replace(received, path=f"/model/{AGENT_MODEL}/converse", body=body)
    wholes = [_answer(model_call, memory) for _ in (1, 2)]
    events: list[tuple[str | None, Json]] = []
    if received.fields.get("enableTrace"):
        for whole in wholes:
            usage = {name: _usage(whole)[name] for name in ("inputTokens", "outputTokens")}
            output = {"metadata": {"usage": usage, "foundationModel": AGENT_MODEL}, "traceId": "trace-0"}
            events.append(("trace", {"trace": {"orchestrationTrace": {"modelInvocationOutput": output}}}))
    said = base64.b64encode(text.said(wholes[-1]["content"]).encode()).decode()
    session = received.path.rsplit("/", 2)[-2]
    headers = {"x-amzn-bedrock-agent-session-id": session, "x-amzn-bedrock-agent-content-type": "application/json"}
    return Reply(events=[*events, ("chunk", {"bytes": said})], headers=STREAM | headers)


# --- what is asked ---------------------------------------------------------------------------


def _answer(received: Received, memory: Memory) -> Whole:
    """Return the answer as Claude's whole message, with the model that was asked."""
    found = _MODEL.search(received.path)
    model = found.group(1) if found is not None else ""
    body = _as_messages(received.fields, model)
    asked = replace(received, body=body)
    return {**anthropic.made(asked, memory, compose(asked, memory)), "asked": model}


def _as_messages(fields: Mapping[str, Json], model: str) -> dict[str, Json]:
    """Return any maker's request as one to Claude."""
    configs = [fields, *(fields[name] for name in _CONFIGS if isinstance(fields.get(name), dict))]
    caps = [config[name] for config in configs for name in _CAPS if isinstance(config.get(name), int)]
    tools = (fields.get("toolConfig") or {}).get("tools") or ()
    body = {
        **(fields.get("additionalModelRequestFields") or {}),
        **fields,
        "model": model,
        "messages": [
            {**turn, "content": list(_marked(turn["content"]))} if isinstance(turn.get("content"), list) else turn
            for turn in fields.get("messages") or [{"role": "user", "content": _plain(fields)}]
        ],
        "tools": fields.get("tools") or [tool["toolSpec"] for tool in tools if "toolSpec" in tool],
    }
    body.pop("max_tokens", None)
    if isinstance(fields.get("system"), list):
        body["system"] = list(_marked(fields["system"]))
    return body | ({"max_tokens": caps[0]} if caps else {})


def _plain(fields: Mapping[str, Json]) -> str:
    return text.said([fields[name] for name in ("prompt", "inputText", "texts", "input") if name in fields])


def _marked(blocks: list[Json]) -> Iterator[Json]:
    """Yield blocks of Converse as Claude's: a point to cache up to becomes a mark on the block before it."""
    for block, after in zip(blocks, [*blocks[1:], {}], strict=True):
        if "cachePoint" in block:
            continue
        point = after.get("cachePoint") if isinstance(after, dict) else None
        control = {"cache_control": {"type": "ephemeral", "ttl": point.get("ttl", "5m")}} if point else {}
        yield {"type": "tool_result" if "toolResult" in block else "text", **block, **control}


# --- what is answered ------------------------------------------------------------------------

_HEADERS: Final = {
    "inputTokenCount": "input",
    "outputTokenCount": "output",
    "cacheReadInputTokenCount": "cache-read-input",
    "cacheWriteInputTokenCount": "cache-write-input",
}


def _metered(whole: Whole) -> dict[str, Json]:
    """Return what Bedrock itself says to have metered."""
    usage = whole["usage"]
    return {
        "inputTokenCount": usage["input_tokens"],
        "outputTokenCount": usage["output_tokens"],
        "cacheReadInputTokenCount": usage["cache_read_input_tokens"],
        "cacheWriteInputTokenCount": usage["cache_creation_input_tokens"],
        "invocationLatency": 5,
        "firstByteLatency": 2,
    }


def _usage(whole: Whole) -> dict[str, Json]:
    usage, ttls = whole["usage"], whole["usage"]["cache_creation"]
    counts = {
        "inputTokens": usage["input_tokens"],
        "outputTokens": usage["output_tokens"],
        "cacheReadInputTokens": usage["cache_read_input_tokens"],
        "cacheWriteInputTokens": usage["cache_creation_input_tokens"],
    }
    details = [
        {"ttl": ttl, "inputTokens": ttls[f"ephemeral_{ttl}_input_tokens"]}
        for ttl in ("5m", "1h")
        if ttls[f"ephemeral_{ttl}_input_tokens"]
    ]
    return {**counts, "totalTokens": sum(counts.values()), "cacheDetails": details}


def _conversed(whole: Whole) -> dict[str, Json]:
    return {
        "output": {"message": {"role": "assistant", "content": [_block(block) for block in whole["content"]]}},
        "stopReason": whole["stop_reason"],
        "usage": _usage(whole),
        "metrics": {"latencyMs": 5},
    }


def _block(block: Mapping[str, Json]) -> dict[str, Json]:
    if block["type"] == "thinking":
        return {"reasoningContent": {"reasoningText": {"text": block["thinking"], "signature": block["signature"]}}}
    if block["type"] == "tool_use":
        return {"toolUse": {"toolUseId": block["id"], "name": block["name"], "input": block["input"]}}
    return {"text": block["text"]}


def _converse_events(whole: Whole) -> Iterator[dict[str, Json]]:
    yield {"messageStart": {"role": "assistant"}}
    for index, block in enumerate(whole["content"]):
        if block["type"] == "tool_use":
            start = {"toolUse": {"toolUseId": block["id"], "name": block["name"]}}
            yield {"contentBlockStart": {"contentBlockIndex": index, "start": start}}
            deltas: list[Json] = [{"toolUse": {"input": compact(block["input"])}}]
        elif block["type"] == "thinking":
            deltas = [{"reasoningContent": {"text": block["thinking"]}}]
        else:
            deltas = [{"text": piece} for piece in _pieces(block["text"])]
        for delta in deltas:
            yield {"contentBlockDelta": {"contentBlockIndex": index, "delta": delta}}
        yield {"contentBlockStop": {"contentBlockIndex": index}}
    yield {"messageStop": {"stopReason": whole["stop_reason"]}}
    yield {"metadata": {"usage": _usage(whole), "metrics": {"latencyMs": 5}}}


def _pieces(words: str) -> list[str]:
    tokens = text.pieces(words)
    return ["".join(tokens[start : start + 4]) for start in range(0, len(tokens), 4)]


def _claude(whole: Whole) -> dict[str, Json]:
    return {name: value for name, value in whole.items() if name != "asked"}


def _claude_events(whole: Whole) -> Iterator[dict[str, Json]]:
    return anthropic.events(_claude(whole))


def _said(whole: Whole) -> str:
    return "".join(block["text"] for block in whole["content"] if block["type"] == "text")


def _llama(whole: Whole) -> dict[str, Json]:
    usage = whole["usage"]
    return {
        "generation": _said(whole),
        "prompt_token_count": usage["input_tokens"],
        "generation_token_count": usage["output_tokens"],
        "stop_reason": LENGTH[whole["stop_reason"]],
    }


def _llama_events(whole: Whole) -> Iterator[dict[str, Json]]:
    last = _llama(whole)
    pieces = _pieces(_said(whole)) or [""]
    for place, piece in enumerate(pieces):
        ended = place == len(pieces) - 1
        yield {
            "generation": piece,
            "prompt_token_count": last["prompt_token_count"] if place == 0 else None,
            "generation_token_count": last["generation_token_count"] if ended else place + 1,
            "stop_reason": last["stop_reason"] if ended else None,
        }


def _mistral(whole: Whole) -> dict[str, Json]:
    return {"outputs": [{"text": _said(whole), "stop_reason": LENGTH[whole["stop_reason"]]}]}


def _mistral_events(whole: Whole) -> Iterator[dict[str, Json]]:
    for piece in _pieces(_said(whole)):
        yield {"outputs": [{"text": piece, "stop_reason": None}]}
    yield {"outputs": [{"text": "", "stop_reason": LENGTH[whole["stop_reason"]]}]}


def _titan(whole: Whole) -> dict[str, Json]:
    usage = whole["usage"]
    reason = {"stop": "FINISH", "length": "LENGTH"}[LENGTH[whole["stop_reason"]]]
    result = {"tokenCount": usage["output_tokens"], "outputText": _said(whole), "completionReason": reason}
    return {"inputTextTokenCount": usage["input_tokens"], "results": [result]}


def _titan_events(whole: Whole) -> Iterator[dict[str, Json]]:
    told = _titan(whole)
    result = told["results"][0]
    count = told["inputTextTokenCount"]
    for piece in _pieces(result["outputText"]):
        yield {"outputText": piece, "index": 0, "totalOutputTextTokenCount": None, "inputTextTokenCount": count}
        count = None
    end = {"totalOutputTextTokenCount": result["tokenCount"], "completionReason": result["completionReason"]}
    yield {"outputText": "", "index": 0, "inputTextTokenCount": count, **end}


def _embedding(whole: Whole) -> dict[str, Json]:
    return {"embedding": [0.5] * DIMENSIONS, "inputTextTokenCount": whole["usage"]["input_tokens"]}


# By what the model's name contains; the first that fits counts. An embedding is no answer, and has no output.
_MAKERS: Final[Mapping[str, Maker]] = {
    "embed": (_embedding, None),
    "claude": (_claude, _claude_events),
    "nova": (_conversed, _converse_events),
    "llama": (_llama, _llama_events),
    "mistral": (_mistral, _mistral_events),
    "titan": (_titan, _titan_events),
    "": (_claude, _claude_events),
}


def _maker(whole: Whole) -> Maker:
    return next(maker for part, maker in _MAKERS.items() if part in whole["asked"])
