"""The interactions of google-genai 1, 2 and 3."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from surfaces.sdks.google_genai import EARLY, google
from surfaces.sdks.google_genai import SDK as GEMINI
from surfaces.ways import LONG, QUESTION, Surface, stainless_patched, tells_error, version_of
from tracetoll.local_provider import Reply

if TYPE_CHECKING:
    import httpx


def _once(request: httpx.Request) -> None:
    request.headers["user-agent"] = request.headers.get_list("user-agent")[-1]


async def _once_async(request: httpx.Request) -> None:
    _once(request)


HOOKS = {
    "client_args": {"event_hooks": {"request": [_once]}},
    "async_client_args": {"event_hooks": {"request": [_once_async]}},
}


def early(url: str, use_async: bool, **options: Any) -> Any:  # `Sdk.client` says so
    """Make a client of google-genai 1, which names its user agent once: twice is refused by a strict server."""
    # It warns once, whoever asks, that they are experimental.
    importlib.import_module("google.genai.client")._interactions_experimental_warned = True  # noqa: SLF001
    return google(api_key="none")(url, use_async, **HOOKS, **options)


SDK = replace(
    GEMINI,
    name="google_interactions",
    client=early if EARLY else GEMINI.client,
    patched=stainless_patched("google.genai._interactions") if EARLY else (),
    ways=("whole", "stream", "raw", "raw stream"),
    error="builtins:Exception",  # the class has moved between versions
    rejected=lambda status: Reply(status, json={"error": {"code": "bad_toll", "message": "No such toll"}}),
    retrying=None,
    answer_id="id",
    answer_model="model",
    stream_can=frozenset({"close", "with", "response"}),
    lazy_streams=False,
    abandoned="abandoned",
    drops_what_is_closed=not EARLY,
    leaves_sockets=version_of("google-genai") < (3, 6),
    cut="RemoteProtocolError",
    belongs_to="asking",
    warns=("ignore:Async interactions client cannot use aiohttp:UserWarning",),
)
INTERACTION = Surface(
    sdk="google_interactions",
    method="interactions.create",
    path="/interactions",
    arguments={
        "model": "gemini-2.5-flash",
        "system_instruction": LONG,
        "input": QUESTION,
        "previous_interaction_id": "v1_before",
        "generation_config": {
            "max_output_tokens": 500,
            "temperature": 0.5,
            "top_p": 0.75,
            "seed": 7,
            "stop_sequences": ["END"],
            "thinking_level": "low",
        },
    },
    operation="generate_content",
    span={
        "gen_ai.request.max_tokens": 500,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.75,
        "gen_ai.request.seed": 7,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.request.reasoning.level": "low",
        "gen_ai.request.previous_response.id": "v1_before",
        "tracetoll.service_tier": "standard",
    },
    finish=("stop",),
    streams=True,
    question={"model": "gemini-2.5-flash", "input": QUESTION},
    cap=lambda tokens: {"generation_config": {"max_output_tokens": tokens}},
    sent_cap="generation_config.max_output_tokens",
    broken=tells_error(("error", {"event_type": "error", "error": {"code": "bad_toll", "message": "Closed"}})),
)
SURFACES = (INTERACTION,)
