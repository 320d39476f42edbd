"""anthropic 0, 1 and 2."""

from __future__ import annotations

from surfaces.ways import LONG, MESSAGES, STAINLESS_WAYS, Sdk, Surface, Toll, stainless, stainless_patched, tells_error
from tracetoll.local_provider import Reply

SDK = Sdk(
    name="anthropic",
    module="anthropic",
    client=stainless("anthropic", "Anthropic", "AsyncAnthropic"),
    provider="anthropic",
    patched=stainless_patched("anthropic"),
    error="anthropic:APIStatusError",
    rejected=lambda status: Reply.anthropic_error(status, "bad_toll", "No such toll"),
    retrying={"max_retries": 2},
    ways=STAINLESS_WAYS,
)
MESSAGES_SPAN = {"gen_ai.request.max_tokens": 500, "gen_ai.request.stop_sequences": ("END",)}
CLAUDE = Surface(
    sdk="anthropic",
    method="messages.create",
    path="/v1/messages",
    arguments={
        "model": "claude-haiku-4-5",
        "system": [{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral"}}],
        "messages": MESSAGES,
        "max_tokens": 500,
        "stop_sequences": ["END"],
        # anthropic 0.34 does not know the argument, and later ones warn of it with some models
        "extra_body": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
    },
    span=MESSAGES_SPAN,
    finish=("stop",),
    helper="messages.stream",
    streams=True,
    question={"model": "claude-haiku-4-5", "messages": MESSAGES, "max_tokens": 60},
    cap=lambda tokens: {"max_tokens": tokens},
    sent_cap="max_tokens",
    broken=tells_error({"type": "error", "error": {"type": "bad_toll", "message": "Closed"}}),
)
BETA_CLAUDE = Surface(
    sdk="anthropic",
    method="beta.messages.create",
    path=CLAUDE.path,
    arguments=CLAUDE.arguments,
    span=CLAUDE.span,
    finish=CLAUDE.finish,
    helper="beta.messages.stream",
    streams=True,
)
PARSED_CLAUDE, PARSED_BETA_CLAUDE = (
    Surface(
        sdk="anthropic",
        method=method,
        path=CLAUDE.path,
        arguments={**CLAUDE.arguments, "output_format": Toll},
        span=CLAUDE.span,
        finish=CLAUDE.finish,
    )
    for method in ("messages.parse", "beta.messages.parse")
)
CACHING_CLAUDE = Surface(
    sdk="anthropic",
    method="beta.prompt_caching.messages.create",
    path=CLAUDE.path,
    arguments=CLAUDE.arguments,
    span=CLAUDE.span,
    finish=CLAUDE.finish,
    helper="beta.prompt_caching.messages.stream",
    streams=True,
)
TOKEN_COUNT = Surface(
    sdk="anthropic",
    method="messages.count_tokens",
    path="/v1/messages/count_tokens",
    arguments={"model": "claude-haiku-4-5", "messages": MESSAGES},
    operation="count_tokens",
    in_metrics=False,
)
SURFACES = (
    CLAUDE,
    BETA_CLAUDE,
    PARSED_CLAUDE,
    PARSED_BETA_CLAUDE,
    CACHING_CLAUDE,
    TOKEN_COUNT,
)
