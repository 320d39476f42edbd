"""What LiteLLM 1 asks in Anthropic's format, asynchronously only."""

from __future__ import annotations

from dataclasses import replace

from surfaces.sdks.anthropic import CLAUDE
from surfaces.sdks.litellm import SDK as FUNCTIONS
from surfaces.sdks.litellm import functions
from surfaces.ways import Surface
from tracetoll.local_provider import Reply

HANDLER = "litellm.llms.custom_httpx.llm_http_handler:BaseLLMHTTPHandler"
SDK = replace(
    FUNCTIONS,
    name="litellm_messages",
    client=functions("litellm.anthropic_interface.messages", ""),
    synchronous=False,
    provider="anthropic",
    patched=(
        f"{HANDLER}.async_anthropic_messages_handler",
        f"{HANDLER}._async_post_anthropic_messages_with_http_error_retry",
        "litellm.llms.anthropic.messages.native.streaming_iterator:AnthropicMessagesStreamingResponse.aclose",
    ),
    rejected=lambda status: Reply.anthropic_error(status, "bad_toll", "No such toll"),
    error_type="{}",
    error_in_stream="bad_toll",
    stream_can=frozenset({"close"}),
    cut=None,
    invents=frozenset(),
)
MESSAGE = Surface(
    sdk="litellm_messages",
    method="create",
    path=CLAUDE.path,
    arguments={name: value for name, value in CLAUDE.arguments.items() if name != "extra_body"},
    span=CLAUDE.span,
    finish=CLAUDE.finish,
    streams=True,
    question=CLAUDE.question,
    cap=CLAUDE.cap,
    sent_cap=CLAUDE.sent_cap,
    broken=CLAUDE.broken,
)
SURFACES = (MESSAGE,)
