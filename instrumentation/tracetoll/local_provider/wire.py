"""What goes over the wire: the request that came in and the reply that goes out."""

from __future__ import annotations

import base64
import json as json_format
import struct
import uuid
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from email import message_from_bytes
from typing import Any, Final, Self, TypeAlias

# A parsed JSON value: json.loads knows no more about it either.
Json: TypeAlias = Any
Event: TypeAlias = Mapping[str, Json] | tuple[str | None, Json]

DONE: Final = "[DONE]"
JSON_TYPE: Final = "application/json"
SSE_TYPE: Final = "text/event-stream; charset=utf-8"
LINES_TYPE: Final = {"ollama": "application/x-ndjson", "cohere": "application/stream+json"}
"""What those call a document in each line who stream these."""
AWS_STREAM_TYPE: Final = "application/vnd.amazon.eventstream"


def unique(prefix: str) -> str:
    """Return an id that no other answer of any provider has."""
    return prefix + uuid.uuid4().hex


def compact(value: Json) -> str:
    """Return JSON on one line, not escaped, so that UTF-8 is really on the wire."""
    return json_format.dumps(value, ensure_ascii=False, separators=(",", ":"))


def sse(events: Sequence[Event], *, done: bool = True) -> bytes:
    """Return a stream of server-sent events.

    An event is the data alone or (name, data); data alone with a `type` is named after it, as Anthropic
    and the Responses API do. A text as data goes out as it is. `done` ends the stream with OpenAI's
    `[DONE]`, but never after a named event: those streams end without it.
    """
    return b"".join(_blocks(events, done=done))


def _blocks(events: Sequence[Event], *, done: bool = True) -> list[bytes]:
    named = [event if isinstance(event, tuple) else (event.get("type"), event) for event in events]
    if done and not (named and named[-1][0]):
        named.append((None, DONE))
    return [_block(name, data) for name, data in named]


def _block(name: str | None, data: Json) -> bytes:
    line = data if isinstance(data, str) else compact(data)
    return (f"event: {name}\ndata: {line}\n\n" if name else f"data: {line}\n\n").encode()


def aws_message(name: str, data: Json) -> bytes:
    """Return an event as a message of AWS's event streams: two lengths, headers, JSON, and a sum after each half.

    A name that ends in "Exception" makes it an error. What a model says in its own format is packed into a "chunk".
    (AWS's specification "Amazon Event Stream")
    """
    if name == "chunk" and "bytes" not in data:
        data = {"bytes": base64.b64encode(compact(data).encode()).decode(), "p": "abcdef"}
    kind = "exception" if name.endswith("Exception") else "event"
    told = {f":{kind}-type": name, ":content-type": JSON_TYPE, ":message-type": kind}
    headers = b"".join(
        bytes([len(key)]) + key.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        for key, value in told.items()
    )
    payload = compact(data).encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return message + struct.pack(">I", zlib.crc32(message))


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to one request: at most one of `json`, `events` and `body`.

    `events` are server-sent, see `sse`; one in each line, a list, or AWS's messages (see `aws_message`), where the
    content type says so. `headers` win over the content type that follows from that.
    `chunk_bytes` sends pieces of that size, whatever they cut through; without it an event is a piece.
    The first byte waits for `delay_s`, each further piece for `event_delay_s`. `cut_after_bytes` drops
    the connection after that much of the body; 0 drops it before the status line. Without `done` no
    `[DONE]` ends the events.
    """

    status: int = 200
    _: KW_ONLY
    json: Json = None
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    events: Sequence[Event] | None = None
    chunk_bytes: int | None = None
    delay_s: float = 0.0
    event_delay_s: float = 0.0
    cut_after_bytes: int | None = None
    done: bool = True

    def __post_init__(self) -> None:
        if sum(part is not None for part in (self.json, self.body, self.events)) > 1:
            message = "a reply has one of json, body and events"
            raise ValueError(message)
        if self.chunk_bytes is not None and self.chunk_bytes < 1:
            message = f"chunk_bytes is 1 or more, not {self.chunk_bytes}"
            raise ValueError(message)

    @classmethod
    def openai_error(cls, status: int, code: str | None, message: str) -> Self:
        """Return an error in OpenAI's format."""
        kind = "invalid_request_error" if status < 500 else "server_error"
        error = {"message": message, "type": kind, "param": None, "code": code}
        return cls(status, json={"error": error}, headers={"x-request-id": unique("req_")})

    @classmethod
    def anthropic_error(cls, status: int, type: str, message: str) -> Self:  # noqa: A002  # Anthropic's word
        """Return an error in Anthropic's format."""
        request_id = unique("req_")
        error = {"type": "error", "error": {"type": type, "message": message}, "request_id": request_id}
        return cls(status, json=error, headers={"request-id": request_id})

    @classmethod
    def aws_error(cls, status: int, code: str, message: str) -> Self:
        """Return an error in AWS's format."""
        return cls(status, json={"message": message}, headers={"x-amzn-errortype": code})

    @property
    def streamed(self) -> bool:
        """Whether the body goes out in pieces, with chunked transfer encoding."""
        return self.events is not None or self.chunk_bytes is not None

    def pieces(self) -> list[bytes]:
        """Return the body in the pieces in which it is sent."""
        if self.events is not None and self.all_headers()["content-type"] in LINES_TYPE.values():
            blocks = [f"{compact(event)}\n".encode() for event in self.events]
        elif self.events is not None and self.headers.get("content-type") == JSON_TYPE:
            starts = ("[" if place == 0 else ",\r\n" for place in range(len(self.events)))
            blocks = [f"{start}{compact(event)}".encode() for start, event in zip(starts, self.events, strict=True)]
            blocks.append(b"]")
        elif self.events is not None and self.headers.get("content-type") == AWS_STREAM_TYPE:
            named = (event if isinstance(event, tuple) else ("chunk", event) for event in self.events)
            blocks = [aws_message(str(name), data) for name, data in named]
        elif self.events is not None:
            blocks = _blocks(self.events, done=self.done)
        elif self.json is not None:
            blocks = [compact(self.json).encode()]
        else:
            blocks = [self.body or b""]
        if self.chunk_bytes is None:
            return blocks
        whole = b"".join(blocks)
        return [whole[start : start + self.chunk_bytes] for start in range(0, len(whole), self.chunk_bytes)]

    def all_headers(self) -> dict[str, str]:
        """Return the headers in lower case, with the content type that fits the body."""
        kind = (
            SSE_TYPE if self.events is not None else JSON_TYPE if self.json is not None else "application/octet-stream"
        )
        return {"content-type": kind} | {name.lower(): value for name, value in self.headers.items()}


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came in.

    Header names are in lower case; `body` is the parsed JSON, or bytes where it is none; `at` is in
    seconds on the monotonic clock.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Json
    at: float

    @property
    def fields(self) -> Mapping[str, Json]:
        """The fields of a JSON object or of a form, in which files are bytes; else nothing."""
        if isinstance(self.body, dict):
            return self.body
        content_type = self.headers.get("content-type", "")
        if isinstance(self.body, bytes) and content_type.startswith("multipart/form-data"):
            return _form(content_type, self.body)
        return {}


def _form(content_type: str, body: bytes) -> dict[str, Json]:
    form = message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    fields: dict[str, Json] = {}
    for part in form.walk():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            fields[name] = content.decode() if part.get_filename() is None else content
    return fields
