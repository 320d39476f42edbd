"""huggingface_hub 0.30 to 2: InferenceClient on Hugging Face's router, on its own endpoints, on any other's.

Sources: the SDK's clients (0.30.2 to 2.4.0), its types of TGI's answers, recorded traffic; semconv reference, 5.5.
Who serves a chat decides whether a stream has usage without `stream_options`. TGI counts its text only with
`details=True`, and the prompt only with `decoder_input_details=True`. What has no tokens is told without any.
Longer than 80 lines: tasks of several kinds, and TGI beside chats.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tracetoll import usage as u
from tracetoll.providers.compatible import CHAT, CHAT_REQUEST, CHAT_USAGE, EMBEDDINGS
from tracetoll.providers.waists import Body, Function, Response, Waist, first_json
from tracetoll.providers.words import (
    Answer,
    Choices,
    Events,
    OneOf,
    Reason,
    Surface,
    asked,
    paths,
)
from tracetoll.usage import Length
from tracetoll_semconv import attributes as a

REASONS: Final = {"eos_token": "stop", "stop_sequence": "stop"}
TEXT: Final = Surface(
    operation="text_completion",
    usage=replace(
        CHAT_USAGE,
        fields={
            **CHAT_USAGE.fields,
            "generated_tokens": u.OUTPUT,
            "input_length": u.INPUT,
            "prefill": Length(u.INPUT),
        },
    ),
    usage_if=("parameters", "details"),
    request={
        **CHAT_REQUEST,
        "parameters": asked("max_tokens=max_new_tokens temperature top_p top_k seed stop"),
    },
    answer=Answer(
        usage=paths("details", "usage"),
        finish=OneOf((Reason(("details", "finish_reason"), REASONS), Choices())),
        error=("error_type",),
    ),
    events=Events(),
    output_caps=("parameters.max_new_tokens", "max_tokens"),
)
IMAGE: Final = Surface(operation="generate_content", attributes={a.GEN_AI_OUTPUT_TYPE: "image"})
SPEECH: Final = replace(IMAGE, attributes={a.GEN_AI_OUTPUT_TYPE: "speech"})
HEARD: Final = replace(IMAGE, attributes={a.GEN_AI_OUTPUT_TYPE: "text"})
CLIENTS: Final = (
    ("huggingface_hub.inference._client:", "InferenceClient", False),
    ("huggingface_hub.inference._generated._async_client:", "AsyncInferenceClient", True),
)
ASKED: Final = "request_parameters"
NAMED: Final = Body(at=(ASKED, "json"), model=(ASKED, "model"))
SDK: Final = Waist(
    name="huggingface_hub",
    provider="hugging_face",
    functions=tuple(
        Function(at=f"{module}{client}._inner_post", asynchronous=asynchronous, streams=("stream",))
        for module, client, asynchronous in CLIENTS
    ),
    responses=tuple(
        Response(function=Function(at=module + name), at=("response",), given=True)
        for module, _, _ in CLIENTS
        for name in ("hf_raise_for_status", "_async_yield_from")
    ),
    key=((ASKED, "task"),),
    body=NAMED,
    bodies={"conversational": Body(at=(ASKED, "json"))},
    base_url=(ASKED, "url"),
    event=first_json,
    error_codes=paths("response.status_code", "status"),
    surfaces={
        "conversational": replace(CHAT, attributes={}),
        "text-generation": TEXT,
        "feature-extraction": replace(EMBEDDINGS, usage_if=()),
        "text-to-image": IMAGE,
        "image-to-image": IMAGE,
        "text-to-speech": SPEECH,
        "automatic-speech-recognition": HEARD,
    },
)

SEAMS: Final = (SDK,)
