"""Lets SDKs that speak gRPC ask the local provider, which speaks HTTP: a server between them, for one client each.

A method is asked for at its own path, and messages are told as JSON: a stream's as server-sent events, an error's code
as `{"grpc": …}`.
"""

from __future__ import annotations

import importlib
import json
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.client import HTTPException, IncompleteRead
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


class Bridge:
    """A server of one service, of which the module of its protocol buffers tells; at `address` until it is closed."""

    def __init__(self, url: str, service: Any) -> None:
        self._grpc = importlib.import_module("grpc")
        self._formats = importlib.import_module("google.protobuf.json_format")
        self._kind = importlib.import_module("google.protobuf.message_factory").GetMessageClass
        self._url = url
        self._service = service
        self._server = self._grpc.server(ThreadPoolExecutor(2), handlers=(self,))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def close(self) -> None:
        self._server.stop(0).wait()

    def service(self, details: Any) -> Any:
        """Return what answers a method, as gRPC asks for it."""
        method = self._service.methods_by_name[details.method.rpartition("/")[2]]
        make, how = (
            (self._grpc.unary_stream_rpc_method_handler, self._answers)
            if method.server_streaming
            else (self._grpc.unary_unary_rpc_method_handler, self._answer)
        )
        return make(
            partial(how, self._url + details.method, self._kind(method.output_type)),
            request_deserializer=self._kind(method.input_type).FromString,
            response_serializer=self._kind(method.output_type).SerializeToString,
        )

    def _answer(self, url: str, kind: Any, request: Any, context: Any) -> Any:
        for answer in self._answers(url, kind, request, context):
            return answer
        return context.abort(self._grpc.StatusCode.INTERNAL, "no answer")

    def _answers(self, url: str, kind: Any, request: Any, context: Any) -> Iterator[Any]:
        body = self._formats.MessageToJson(request, preserving_proto_field_name=True).encode()
        asking = urllib.request.Request(url, body, {"content-type": "application/json"})  # noqa: S310  # it is ours
        try:
            with urllib.request.urlopen(asking) as answer:  # noqa: S310  # as above
                for document in _documents(answer):
                    yield self._told(kind, document, context)
        except urllib.error.HTTPError as error:
            with error:
                self._told(kind, _parsed(error.read()), context)
            context.abort(self._grpc.StatusCode.UNKNOWN, f"status {error.code}")
        except (HTTPException, OSError):
            context.abort(self._grpc.StatusCode.UNAVAILABLE, "the connection was cut")

    def _told(self, kind: Any, document: Any, context: Any) -> Any:
        """Return a document as a message; what is none, or is told as an error, ends the call."""
        if isinstance(document, dict) and "grpc" in document:
            context.abort(getattr(self._grpc.StatusCode, document["grpc"]), "No such toll")
        try:
            return self._formats.ParseDict(document, kind(), ignore_unknown_fields=True)
        except (self._formats.ParseError, ValueError, AttributeError, TypeError):
            return context.abort(self._grpc.StatusCode.INTERNAL, "no message")


def _documents(answer: Any) -> Iterator[Any]:
    """Yield the one document of a reply, or those of its events."""
    if "event-stream" not in answer.headers.get("content-type", ""):
        yield _parsed(answer.read())
        return
    for line in answer:
        if not line.endswith(b"\n"):
            raise IncompleteRead(line)
        if line.startswith(b"data:") and b"[DONE]" not in line:
            yield _parsed(line.removeprefix(b"data:"))


def _parsed(document: bytes) -> Any:
    try:
        return json.loads(document)
    except ValueError:
        return None
