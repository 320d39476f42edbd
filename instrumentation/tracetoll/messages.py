"""Prompts and answers in upstream's message shape, from the providers' own shapes.

Upstream's shape: a list of `{role, parts}`; parts are `text`, `reasoning`, `tool_call`,
`tool_call_response`, `uri`, `blob`, `file`, or any other `{type, …}`. Only used when content is wanted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from tracetoll.reading import elements, get, items
from tracetoll_semconv import attributes as a

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Message = dict[str, Any]
Part = dict[str, Any]


class Assembler(Protocol):
    """Puts the events of a stream together into an answer of the provider's own shape."""

    def add(self, event: object) -> None:
        """Take one event."""

    @property
    def answer(self) -> object:
        """Return the answer so far."""


def of_request(shape: str, body: object) -> dict[str, Any]:
    """Return the content attributes of a request, as structured values."""
    return _REQUESTS[shape](body) if shape in _REQUESTS else {}


def of_answer(shape: str, answer: object) -> list[Message]:
    """Return the messages of an answer, or of what an assembler put together."""
    if answer is None or shape not in _ANSWERS:
        return []
    return _ANSWERS[shape](getattr(answer, "answer", answer) if hasattr(type(answer), "add") else answer)


def assembler(shape: str) -> Assembler:
    """Return a new assembler for streams of a shape."""
    return _ASSEMBLERS[shape]() if shape in _ASSEMBLERS else _LastAnswer()


# --- OpenAI chat ----------------------------------------------------------------------------


def _plain(value: object) -> Any:
    """Return a JSON-able picture of a request's or an SDK's object."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return {key: _plain(one) for key, one in items(value) if one is not None} or str(type(value).__name__)


def _chat_part(part: object) -> Part:
    kind = get(part, "type")
    if isinstance(part, str):
        return {"type": "text", "content": part}
    if kind in ("text", "input_text", "output_text"):
        return {"type": "text", "content": get(part, "text")}
    if kind in ("image_url", "input_image"):
        found = get(part, "image_url")
        return {"type": "uri", "modality": "image", "uri": found if isinstance(found, str) else get(found, "url")}
    if kind == "refusal":
        return {"type": "text", "content": get(part, "refusal")}
    plain = _plain(part)
    return plain if isinstance(plain, dict) else {"type": "unknown"}


def _parts(content: object) -> list[Part]:
    if content is None:
        return []
    if isinstance(content, str):
        return [{"type": "text", "content": content}]
    return [_chat_part(part) for part in elements(content)]


def _tool_call(call: object) -> Part:
    function = get(call, "function")
    part: Part = {"type": "tool_call", "name": get(function, "name"), "arguments": get(function, "arguments")}
    if get(call, "id") is not None:
        part["id"] = get(call, "id")
    return part


def _chat_message(message: object) -> Message:
    role = get(message, "role") or "user"
    if role == "tool":
        response = get(message, "content")
        parts: list[Part] = [
            {"type": "tool_call_response", "id": get(message, "tool_call_id"), "response": _plain(response)}
        ]
        return {"role": role, "parts": parts}
    parts = []
    reasoning = get(message, "reasoning_content")
    if isinstance(reasoning, str) and reasoning:
        parts.append({"type": "reasoning", "content": reasoning})
    parts += _parts(get(message, "content"))
    parts += [_tool_call(call) for call in elements(get(message, "tool_calls"))]
    return {"role": role, "parts": parts}


def _tools(body: object) -> list[Part]:
    found = []
    for tool in elements(get(body, "tools")):
        function = get(tool, "function") or tool
        entry: Part = {"type": get(tool, "type") or "function", "name": get(function, "name")}
        description = get(function, "description")
        if description is not None:
            entry["description"] = description
        found.append(entry)
    return found


def _with_tools(body: object, found: dict[str, Any]) -> dict[str, Any]:
    tools = _tools(body)
    if tools:
        found[a.GEN_AI_TOOL_DEFINITIONS] = tools
    return found


def _chat_request(body: object) -> dict[str, Any]:
    told = [_chat_message(message) for message in elements(get(body, "messages"))]
    return _with_tools(body, {a.GEN_AI_INPUT_MESSAGES: told})


def _chat_answer(answer: object) -> list[Message]:
    return [
        {"role": "assistant", **_chat_message(get(choice, "message"))} for choice in elements(get(answer, "choices"))
    ]


class _Chat:
    def __init__(self) -> None:
        self._choices: dict[int, dict[str, Any]] = {}

    def add(self, event: object) -> None:
        for position, choice in enumerate(elements(get(event, "choices"))):
            index = get(choice, "index")
            message = self._choices.setdefault(
                index if type(index) is int else position, {"role": "assistant", "content": "", "tool_calls": []}
            )
            delta = get(choice, "delta")
            text = get(delta, "content") or get(choice, "text")
            if isinstance(text, str):
                message["content"] += text
            for call in elements(get(delta, "tool_calls")):
                _add_tool_call(message["tool_calls"], call)

    @property
    def answer(self) -> object:
        return {"choices": [{"message": message} for _, message in sorted(self._choices.items())]}


def _add_tool_call(calls: list[dict[str, Any]], delta: object) -> None:
    index = get(delta, "index")
    position = index if type(index) is int and 0 <= index <= len(calls) else len(calls)
    if position == len(calls):
        calls.append({"id": None, "function": {"name": "", "arguments": ""}})
    call = calls[position]
    call["id"] = call["id"] or get(delta, "id")
    function = get(delta, "function")
    for key in ("name", "arguments"):
        piece = get(function, key)
        if isinstance(piece, str):
            call["function"][key] += piece


# --- OpenAI completions, embeddings, images, speech: one text in -----------------------------


def _text_request(body: object) -> dict[str, Any]:
    asked = get(body, "prompt") if get(body, "prompt") is not None else get(body, "input")
    texts = [asked] if isinstance(asked, str) else [one for one in elements(asked) if isinstance(one, str)]
    return {a.GEN_AI_INPUT_MESSAGES: [{"role": "user", "parts": _parts(text)} for text in texts]}


def _text_answer(answer: object) -> list[Message]:
    choices = elements(get(answer, "choices"))
    found = [get(choice, "text") or get(get(choice, "message"), "content") for choice in choices]
    return [{"role": "assistant", "parts": _parts(text)} for text in found if isinstance(text, str)]


# --- OpenAI Responses -----------------------------------------------------------------------


def _item(item: object) -> Message:
    kind = get(item, "type")
    if kind in ("function_call", "custom_tool_call"):
        arguments = get(item, "arguments") if kind == "function_call" else get(item, "input")
        call = {"type": "tool_call", "id": get(item, "call_id"), "name": get(item, "name"), "arguments": arguments}
        return {"role": "assistant", "parts": [call]}
    if kind in ("function_call_output", "custom_tool_call_output"):
        response = {"type": "tool_call_response", "id": get(item, "call_id"), "response": _plain(get(item, "output"))}
        return {"role": "tool", "parts": [response]}
    if kind == "reasoning":
        told = [get(part, "text") for part in elements(get(item, "summary"))]
        return {"role": "assistant", "parts": [{"type": "reasoning", "content": text} for text in told if text]}
    if kind in (None, "message"):
        return {"role": get(item, "role") or "assistant", "parts": _parts(get(item, "content"))}
    plain = _plain(item)
    return {"role": "assistant", "parts": [plain] if isinstance(plain, dict) else []}


def _responses_request(body: object) -> dict[str, Any]:
    asked = get(body, "input")
    told = (
        [{"role": "user", "parts": _parts(asked)}]
        if isinstance(asked, str)
        else [_item(one) for one in elements(asked)]
    )
    found: dict[str, Any] = {a.GEN_AI_INPUT_MESSAGES: told}
    instructions = get(body, "instructions")
    if isinstance(instructions, str) and instructions:
        found[a.GEN_AI_SYSTEM_INSTRUCTIONS] = _parts(instructions)
    return _with_tools(body, found)


def _responses_answer(answer: object) -> list[Message]:
    parts = [part for item in elements(get(answer, "output")) for part in _item(item)["parts"]]
    return [{"role": "assistant", "parts": parts}] if parts else []


class _LastAnswer:
    """Takes the whole answer that a stream's last event carries."""

    def __init__(self) -> None:
        self._answer: object = None

    def add(self, event: object) -> None:
        carried = get(event, "response")
        if carried is not None:
            self._answer = carried

    @property
    def answer(self) -> object:
        return self._answer


# --- Anthropic messages ---------------------------------------------------------------------


def _block(block: object) -> Part:
    kind = get(block, "type")
    if isinstance(block, str):
        return {"type": "text", "content": block}
    if kind == "text":
        return {"type": "text", "content": get(block, "text")}
    if kind == "thinking":
        return {"type": "reasoning", "content": get(block, "thinking")}
    if kind == "tool_use":
        return {
            "type": "tool_call",
            "id": get(block, "id"),
            "name": get(block, "name"),
            "arguments": get(block, "input"),
        }
    if kind == "tool_result":
        told = _plain(get(block, "content"))
        return {"type": "tool_call_response", "id": get(block, "tool_use_id"), "response": told}
    plain = _plain(block)
    return plain if isinstance(plain, dict) else {"type": "unknown"}


def _blocks(content: object) -> list[Part]:
    return _parts(content) if isinstance(content, str) else [_block(block) for block in elements(content)]


def _anthropic_request(body: object) -> dict[str, Any]:
    told = [
        {"role": get(message, "role") or "user", "parts": _blocks(get(message, "content"))}
        for message in elements(get(body, "messages"))
    ]
    found: dict[str, Any] = {a.GEN_AI_INPUT_MESSAGES: told}
    system = _blocks(get(body, "system"))
    if system:
        found[a.GEN_AI_SYSTEM_INSTRUCTIONS] = [part for part in system if part.get("type") == "text"]
    return _with_tools(body, found)


def _anthropic_answer(answer: object) -> list[Message]:
    parts = _blocks(get(answer, "content"))
    return [{"role": "assistant", "parts": parts}] if parts else []


class _Anthropic:
    def __init__(self) -> None:
        self._blocks: dict[int, dict[str, Any]] = {}

    def add(self, event: object) -> None:
        kind, index = get(event, "type"), get(event, "index")
        if type(index) is not int:
            return
        if kind == "content_block_start":
            block = get(event, "content_block")
            self._blocks[index] = {key: _plain(value) for key, value in items(block) if value is not None}
        elif kind == "content_block_delta" and index in self._blocks:
            block, delta = self._blocks[index], get(event, "delta")
            for key, into in (("text", "text"), ("thinking", "thinking"), ("partial_json", "json")):
                piece = get(delta, key)
                if isinstance(piece, str):
                    block[into] = (block.get(into) or "") + piece
            if "json" in block:
                block["input"] = block["json"]

    @property
    def answer(self) -> object:
        return {"content": [block for _, block in sorted(self._blocks.items())]}


_REQUESTS: Final[Mapping[str, Callable[[object], dict[str, Any]]]] = {
    "openai.chat": _chat_request,
    "openai.responses": _responses_request,
    "openai.text": _text_request,
    "anthropic.messages": _anthropic_request,
}
_ANSWERS: Final[Mapping[str, Callable[[object], list[Message]]]] = {
    "openai.chat": _chat_answer,
    "openai.responses": _responses_answer,
    "openai.text": _text_answer,
    "anthropic.messages": _anthropic_answer,
}
_ASSEMBLERS: Final[Mapping[str, Callable[[], Assembler]]] = {
    "openai.chat": _Chat,
    "openai.text": _Chat,
    "openai.responses": _LastAnswer,
    "anthropic.messages": _Anthropic,
}
