"""OpenAI's APIs whose answer is fetched later: Assistants runs and batches."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final

from tracetoll.local_provider.answers import compose
from tracetoll.local_provider.wire import DONE, Reply, unique

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tracetoll.local_provider.answers import Answer, Memory
    from tracetoll.local_provider.wire import Event, Json, Received

REQUESTS_IN_A_BATCH: Final = 3
BATCH_INPUT_TOKENS: Final = 120
BATCH_OUTPUT_TOKENS: Final = 45


def run(received: Received, memory: Memory) -> Reply:
    """Answer `POST …/threads/{id}/runs`.

    The run is completed when it is fetched for the second time, or streamed to its end at once.
    """
    body = received.fields
    answer = compose(received, memory)
    queued = _run(received, answer)
    running = queued | {"status": "in_progress", "started_at": queued["created_at"]}
    # The details of the input have another name here than in chat completions: token, not tokens.
    counts = {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.output_tokens,
        "prompt_token_details": {"cached_tokens": answer.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
    }
    completed = running | {"status": "completed", "completed_at": queued["created_at"], "usage": counts}
    if body.get("stream"):
        memory.keep(queued["id"], completed)
        return Reply(events=list(_run_events(queued, running, completed, answer)))
    memory.keep(queued["id"], running, completed)
    return Reply(json=queued)


def batch(received: Received, memory: Memory) -> Reply:
    """Answer `POST …/batches`: completed when it is fetched for the first time."""
    now = int(time.time())
    started = {
        "id": unique("batch_"),
        "object": "batch",
        "endpoint": received.fields.get("endpoint"),
        "errors": None,
        "input_file_id": received.fields.get("input_file_id"),
        "completion_window": received.fields.get("completion_window", "24h"),
        "status": "validating",
        "output_file_id": None,
        "error_file_id": None,
        "created_at": now,
        "expires_at": now + 86_400,
        "request_counts": {"total": 0, "completed": 0, "failed": 0},
        "metadata": received.fields.get("metadata"),
        "usage": None,
    }
    counts = {
        "input_tokens": BATCH_INPUT_TOKENS,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": BATCH_OUTPUT_TOKENS,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": BATCH_INPUT_TOKENS + BATCH_OUTPUT_TOKENS,
    }
    completed = started | {
        "status": "completed",
        "model": "gpt-4o-mini-2024-07-18",
        "output_file_id": unique("file-"),
        "in_progress_at": now,
        "finalizing_at": now,
        "completed_at": now,
        "request_counts": {"total": REQUESTS_IN_A_BATCH, "completed": REQUESTS_IN_A_BATCH, "failed": 0},
        "usage": counts,
    }
    memory.keep(started["id"], completed)
    return Reply(json=started)


def fetched(received: Received, memory: Memory) -> Reply:
    """Answer the GET of a run or of a batch."""
    name = received.path.rsplit("/", 1)[-1]
    found = memory.look_up(name)
    if found is None:
        return Reply.openai_error(404, None, f"No object found with id '{name}'.")
    return Reply(json=found)


def _run(received: Received, answer: Answer) -> dict[str, Json]:
    body = received.fields
    thread = re.search(r"/threads/([^/]+)/runs", received.path)
    now = int(time.time())
    return {
        "id": unique("run_"),
        "object": "thread.run",
        "created_at": now,
        "assistant_id": body.get("assistant_id"),
        "thread_id": thread.group(1) if thread else unique("thread_"),
        "status": "queued",
        "started_at": None,
        "expires_at": now + 600,
        "cancelled_at": None,
        "failed_at": None,
        "completed_at": None,
        "required_action": None,
        "last_error": None,
        "model": answer.model,
        "instructions": body.get("instructions") or "",
        "tools": body.get("tools") or [],
        "metadata": body.get("metadata") or {},
        "temperature": 1.0,
        "top_p": 1.0,
        "max_completion_tokens": body.get("max_completion_tokens"),
        "max_prompt_tokens": None,
        "truncation_strategy": {"type": "auto", "last_messages": None},
        "incomplete_details": None,
        "usage": None,
        "response_format": "auto",
        "tool_choice": "auto",
        "parallel_tool_calls": True,
    }


def _run_events(
    queued: Mapping[str, Json], running: Mapping[str, Json], completed: Mapping[str, Json], answer: Answer
) -> Iterator[Event]:
    yield "thread.run.created", queued
    yield "thread.run.queued", queued
    yield "thread.run.in_progress", running
    message_id = unique("msg_")
    belongs = {name: completed[name] for name in ("assistant_id", "thread_id", "created_at", "completed_at")}
    belongs["run_id"] = completed["id"]
    step = belongs | {
        "id": unique("step_"),
        "object": "thread.run.step",
        "type": "message_creation",
        "status": "in_progress",
        "step_details": {"type": "message_creation", "message_creation": {"message_id": message_id}},
        "usage": None,
    }
    message = belongs | {"id": message_id, "object": "thread.message", "role": "assistant", "metadata": {}}
    yield "thread.run.step.created", step
    yield "thread.message.created", message | {"status": "in_progress", "content": []}
    for piece in answer.pieces:
        content = [{"index": 0, "type": "text", "text": {"value": piece}}]
        yield (
            "thread.message.delta",
            {"id": message_id, "object": "thread.message.delta", "delta": {"content": content}},
        )
    whole = [{"type": "text", "text": {"value": answer.text, "annotations": []}}]
    yield "thread.message.completed", message | {"status": "completed", "content": whole}
    yield "thread.run.step.completed", step | {"status": "completed", "usage": completed["usage"]}
    yield "thread.run.completed", completed
    yield "done", DONE
