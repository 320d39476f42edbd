#!/usr/bin/env python3
"""Stands for the program that claude-agent-sdk starts: it asks a model when it is told something, and tells what came.

It speaks as that does, a JSON document on each line: of the messages that it knows, those of a turn without tools.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
import zlib
from http.client import HTTPException
from typing import Any

SESSION = {"session_id": "session-1"}
NOTHING = {"input_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 0}


def tell(kind: str, **told: Any) -> None:
    print(json.dumps({"type": kind, **told}), flush=True)  # noqa: T201  # how it speaks


def argument(name: str) -> str:
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else ""


def answered(said: Any) -> tuple[int | None, bytes]:
    """Return the status and the body of the model's answer; without a status, it did not come whole."""
    system = [{"type": "text", "text": argument("--system-prompt"), "cache_control": {"type": "ephemeral"}}]
    body = {"model": argument("--model"), "max_tokens": 500, "system": system, "messages": [said]}
    asking = urllib.request.Request(  # noqa: S310  # it is ours
        f"{os.environ['ANTHROPIC_BASE_URL']}/v1/messages",
        json.dumps(body).encode(),
        {"content-type": "application/json", "anthropic-version": "2023-06-01"},
    )
    try:
        with urllib.request.urlopen(asking, timeout=20) as answer:  # noqa: S310
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except (OSError, HTTPException):
        return None, b""


def code(body: bytes) -> Any:
    """Return the provider's own code of an error, if it tells one."""
    try:
        return json.loads(body)["error"]["type"]
    except (ValueError, TypeError, KeyError):
        return None


def turn(said: Any) -> bool:
    """Take a turn; return whether it went well."""
    tell("system", subtype="init", model=argument("--model"), **SESSION)
    status, body = answered(said)
    name = zlib.crc32(body)
    over = {"uuid": f"result-{name}", "duration_ms": 5, "duration_api_ms": 4, "num_turns": 1, **SESSION}
    try:
        message = json.loads(body)
    except ValueError:
        message = None
    well = status == 200 and isinstance(message, dict) and "content" in message
    if well:
        ended = {"terminal_reason": "completed", "result": "", "total_cost_usd": 0.1, "usage": message.get("usage")}
    else:
        told = None if status == 200 else status
        why = f"API Error: {told} {body.decode('utf-8', 'replace')}"
        error = {"api_error_status": told, "api_error_type": code(body), "terminal_reason": "api_error"}
        ended = {"result": why, "total_cost_usd": 0, "usage": NOTHING, **error}
        said_so = {"content": [{"type": "text", "text": why}], "stop_reason": "stop_sequence", "usage": NOTHING}
        message = {"id": f"error-{name}", "model": "<synthetic>", "role": "assistant", "type": "message", **said_so}
    tell("assistant", message=message, parent_tool_use_id=None, uuid=f"message-{name}", **SESSION)
    tell("result", subtype="success", is_error=not well, stop_reason=message.get("stop_reason"), **ended, **over)
    return well


def main() -> int:
    well = True
    for line in sys.stdin:
        heard = json.loads(line)
        if heard["type"] == "control_request":
            response = {"subtype": "success", "request_id": heard["request_id"], "response": {}}
            tell("control_response", response=response)
        elif heard["type"] == "user":
            well = turn(heard["message"])
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
