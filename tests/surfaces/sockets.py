"""Lets SDKs that speak websockets ask the local provider, which speaks HTTP: a server between them, one per client.

A response is asked for at the provider's own path. A session tells it in its API's words: Realtime of an error of the
provider's as of a response that failed; Google's Live ends, where there is no answer.
"""

from __future__ import annotations

import importlib
import json
import threading
import urllib.error
import urllib.request
from contextlib import suppress
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ENDS = {f"response.{state}" for state in ("completed", "incomplete", "failed", "done")} | {"error"}
DETAILS = {"input_tokens_details": "input_token_details", "output_tokens_details": "output_token_details"}


class Sockets:
    """A server of responses and of sessions of Realtime; below `url` until it is closed."""

    def __init__(self, provider: str) -> None:
        serve = importlib.import_module("websockets.sync.server").serve
        self._provider = provider
        self._server = serve(self._session, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join(5)

    def _session(self, connection: Any) -> None:
        """Answer one client, until it leaves, or an answer has no end."""
        _, _, model = connection.request.path.partition("model=")
        said: Any = ""
        closed = importlib.import_module("websockets.exceptions").ConnectionClosed
        with suppress(closed):
            if model:
                session = {"type": "realtime", "model": model}
                connection.send(json.dumps({"type": "session.created", "event_id": "event_0", "session": session}))
            for frame in connection:
                heard = json.loads(frame)
                kind = heard.get("type", next(iter(heard)))
                if kind == "setup":
                    model = heard["setup"]["model"]
                    connection.send(json.dumps({"setupComplete": {}}))
                if kind == "conversation.item.create":
                    said = heard["item"]["content"][0]["text"]
                if kind not in {"response.create", "client_content"}:
                    continue
                ended = False
                for event in self._answer(kind, heard, model, said):
                    connection.send(json.dumps(event))
                    ended = isinstance(event, dict) and (str(event.get("type")) in ENDS or "usageMetadata" in event)
                if not ended:
                    return

    def _answer(self, kind: str, heard: dict[str, Any], model: str, said: Any) -> Iterator[Any]:
        if kind == "client_content":
            return self._live(model, heard["client_content"]["turns"])
        return self._spoken(model, said) if model else self._events(heard)

    def _live(self, model: str, turns: list[Any]) -> Iterator[Any]:
        """Yield what a session of Google's Live tells of an answer."""
        try:
            with self._asked({"contents": turns}, f"v1beta/{model}:generateContent") as answer:
                told = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            error.close()
            return
        except (OSError, HTTPException, ValueError):
            return
        if not isinstance(told, dict) or not told.get("candidates"):
            return
        usage = told.get("usageMetadata")
        if isinstance(usage, dict):
            usage = {name.replace("candidates", "response"): value for name, value in usage.items()}
        yield {"serverContent": {"modelTurn": {"parts": [{"text": "Two euros"}]}}}
        yield {"serverContent": {"turnComplete": True}, "usageMetadata": usage}

    def _events(self, asked: dict[str, Any]) -> Iterator[Any]:
        """Yield the events of a response, of a stream that is cut as many as came."""
        try:
            with self._asked(asked) as answer:
                for line in answer:
                    if line.startswith(b"data:"):
                        with suppress(ValueError):
                            yield json.loads(line.removeprefix(b"data:"))
        except urllib.error.HTTPError as error:
            with error:
                yield {"type": "error", "status": error.code, "error": {"message": error.read().decode()}}
        except (OSError, HTTPException):
            return

    def _spoken(self, model: str, said: Any) -> Iterator[Any]:
        """Yield what a session tells of a response, which has an id."""
        try:
            with self._asked({"model": model, "input": said, "stream": False}) as answer:
                told = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                told = {"id": f"resp_{error.code}", "status": "failed"}
                with suppress(ValueError, TypeError, KeyError):
                    told["status_details"] = {"type": "failed", "error": json.loads(error.read())["error"]}
        except (OSError, HTTPException, ValueError):
            return
        if not isinstance(told, dict) or not isinstance(told.get("id"), str):
            return
        usage = told.get("usage")
        if isinstance(usage, dict):
            usage = {DETAILS.get(name, name): value for name, value in usage.items()}
        given = {name: told[name] for name in ("id", "status", "status_details") if name in told}
        response = {"object": "realtime.response", "output": [], "usage": usage, **given}
        yield {"type": "response.done", "event_id": "event_1", "response": response}

    def _asked(self, body: dict[str, Any], path: str = "v1/responses") -> Any:
        asking = urllib.request.Request(  # noqa: S310  # it is ours
            f"{self._provider}/{path}", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        return urllib.request.urlopen(asking, timeout=20)  # noqa: S310
