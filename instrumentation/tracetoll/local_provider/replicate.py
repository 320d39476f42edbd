"""Replicate's predictions: done at once where that is waited for, else when they are fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracetoll.local_provider.answers import compose
from tracetoll.local_provider.wire import Reply, unique

if TYPE_CHECKING:
    from tracetoll.local_provider.answers import Memory
    from tracetoll.local_provider.wire import Received


def prediction(received: Received, memory: Memory) -> Reply:
    """Answer `POST /v1/models/{owner}/{name}/predictions`; what a model reads is in the request's `input`."""
    owner, name = received.path.split("/")[-3:-1]
    asked = received.fields.get("input") or {}
    answer = compose(received, memory)
    own_id = unique("")
    head = {"id": own_id, "model": f"{owner}/{name}", "version": "hidden", "input": asked, "logs": ""}
    counts = {"input_token_count": answer.input_tokens, "output_token_count": answer.output_tokens}
    done = {"status": "succeeded", "output": list(answer.pieces), "metrics": {**counts, "predict_time": 0.5}}
    pending = {"status": "starting", "output": None, "metrics": None}
    memory.keep(own_id, head | pending | {"status": "processing"}, head | done)
    # Who waits, has to say so: https://replicate.com/docs/topics/predictions/create-a-prediction#sync-mode
    return Reply(201, json=head | (done if "wait" in received.headers.get("prefer", "") else pending))


def fetched(received: Received, memory: Memory) -> Reply:
    """Answer `GET /v1/predictions/{id}`."""
    found = memory.look_up(received.path.rpartition("/")[2])
    return Reply(404, json={"title": "Not found", "status": 404}) if found is None else Reply(json=found)
