"""The interactions of google-genai 2 and 3.

Those of 1 name their user agent twice in a request, which the local provider's own HTTP server refuses.
"""

from __future__ import annotations

from dataclasses import replace

from surfaces.sdks.google_genai import SDK as GEMINI
from surfaces.ways import LONG, QUESTION, Surface, tells_error, version_of
from tracetoll.local_provider import Reply

SDK = replace(
    GEMINI,
    name="google_interactions",
    module="google.genai._gaos",
    patched=(),
    ways=("whole", "stream", "raw", "raw stream"),
    error="builtins:Exception",  # the class has moved between versions
    rejected=lambda status: Reply(status, json={"error": {"code": "bad_toll", "message": "No such toll"}}),
    retrying=None,
    answer_id="id",
    answer_model="model",
    stream_can=frozenset({"close", "with", "response"}),
    lazy_streams=False,
    abandoned="abandoned",
    drops_what_is_closed=True,
    leaves_sockets=version_of("google-genai") < (3, 6),
    cut="RemoteProtocolError",
    belongs_to="asking",
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
