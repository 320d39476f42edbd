"""openai 1, 2 and 3."""

from __future__ import annotations

from surfaces.ways import (
    LONG,
    MESSAGES,
    QUESTION,
    STAINLESS_WAYS,
    Sdk,
    Surface,
    Toll,
    stainless,
    stainless_patched,
    tells_error,
)

SDK = Sdk(
    name="openai",
    module="openai",
    client=stainless("openai", "OpenAI", "AsyncOpenAI", "/v1"),
    provider="openai",
    patched=stainless_patched("openai"),
    error="openai:APIStatusError",
    retrying={"max_retries": 2},
    ways=STAINLESS_WAYS,
)
PLAIN = {"model": "gpt-4o-mini", "messages": MESSAGES}
CHAT_SPAN = {
    "openai.api.type": "chat_completions",
    "gen_ai.request.max_tokens": 500,
    "gen_ai.request.temperature": 0.5,
    "gen_ai.request.top_p": 0.75,
    "gen_ai.request.frequency_penalty": 0.25,
    "gen_ai.request.presence_penalty": 0.125,
    "gen_ai.request.seed": 7,
    "gen_ai.request.stop_sequences": ("END",),
    "gen_ai.request.choice.count": 2,
}
CHAT = Surface(
    sdk="openai",
    method="chat.completions.create",
    path="/chat/completions",
    arguments={
        "model": "o4-mini",
        "messages": [{"role": "system", "content": LONG}, *MESSAGES],
        "max_tokens": 500,
        "temperature": 0.5,
        "top_p": 0.75,
        "frequency_penalty": 0.25,
        "presence_penalty": 0.125,
        "seed": 7,
        "stop": ["END"],
        "n": 2,
    },
    span=CHAT_SPAN,
    finish=("stop", "stop"),
    stream_arguments={"stream_options": {"include_usage": True}},
    helper="chat.completions.stream",
    streams=True,
    question=PLAIN,
    cap=lambda tokens: {"max_tokens": tokens},
    sent_cap="max_tokens",
    broken=tells_error({"error": {"message": "Closed", "code": "bad_toll"}}),
)
# openai 1.40 has these under `beta` only.
BETA_CHAT = Surface(
    sdk="openai",
    method="beta.chat.completions.parse",
    path=CHAT.path,
    arguments={**CHAT.arguments, "response_format": Toll},
    span={**CHAT_SPAN, "gen_ai.output.type": "json"},
    finish=CHAT.finish,
    stream_arguments=CHAT.stream_arguments,
    helper="beta.chat.completions.stream",
    question=PLAIN,
    cap=CHAT.cap,
    sent_cap=CHAT.sent_cap,
)
PARSED_CHAT = Surface(
    sdk="openai",
    method="chat.completions.parse",
    path=CHAT.path,
    arguments=BETA_CHAT.arguments,
    span=BETA_CHAT.span,
    finish=CHAT.finish,
)
COMPLETIONS = Surface(
    sdk="openai",
    method="completions.create",
    path="/completions",
    arguments={"model": "gpt-3.5-turbo-instruct", "prompt": QUESTION, "max_tokens": 8, "stop": "END"},
    operation="text_completion",
    span={"gen_ai.request.max_tokens": 8, "gen_ai.request.stop_sequences": ("END",)},
    finish=("length",),
    stream_arguments=CHAT.stream_arguments,
    streams=True,
)
RESPONSES = Surface(
    sdk="openai",
    method="responses.create",
    path="/responses",
    arguments={
        "model": "o4-mini",
        "instructions": LONG,
        "input": QUESTION,
        "max_output_tokens": 500,
        "temperature": 0.5,
        "top_p": 0.75,
        "reasoning": {"effort": "low"},
        "previous_response_id": "resp_before",
        "service_tier": "flex",
    },
    span={
        "openai.api.type": "responses",
        "openai.request.service_tier": "flex",
        "gen_ai.request.max_tokens": 500,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.75,
        "gen_ai.request.reasoning.level": "low",
        "gen_ai.request.previous_response.id": "resp_before",
    },
    finish=("stop",),
    helper="responses.stream",
    streams=True,
    question={"model": "gpt-4o-mini", "input": QUESTION},
    cap=lambda tokens: {"max_output_tokens": tokens},
    sent_cap="max_output_tokens",
)
PARSED_RESPONSES = Surface(
    sdk="openai",
    method="responses.parse",
    path=RESPONSES.path,
    arguments={**RESPONSES.arguments, "text_format": Toll},
    span={**RESPONSES.span, "gen_ai.output.type": "json"},
    finish=RESPONSES.finish,
)
COMPACTION = Surface(
    sdk="openai",
    method="responses.compact",
    path="/responses/compact",
    arguments={"model": "o4-mini", "input": QUESTION},
    span={"openai.api.type": "responses"},
)
EMBEDDINGS = Surface(
    sdk="openai",
    method="embeddings.create",
    path="/embeddings",
    arguments={
        "model": "text-embedding-3-small",
        "input": ["one", "two words"],
        "dimensions": 4,
        "encoding_format": "float",
    },
    operation="embeddings",
    span={"gen_ai.embeddings.dimension.count": 4, "gen_ai.request.encoding_formats": ("float",)},
    in_counters=False,
)
IMAGES = Surface(
    sdk="openai",
    method="images.generate",
    path="/images/generations",
    arguments={"model": "gpt-image-1", "prompt": QUESTION, "n": 2},
    operation="generate_content",
    span={"gen_ai.output.type": "image", "gen_ai.request.choice.count": 2},
    streams=True,
)
TRANSCRIPTION = Surface(
    sdk="openai",
    method="audio.transcriptions.create",
    path="/audio/transcriptions",
    arguments={"model": "gpt-4o-transcribe", "file": ("toll.wav", b"RIFF" * 20_000)},
    operation="generate_content",
    span={"gen_ai.output.type": "text"},
    streams=True,
)
SPEECH = Surface(
    sdk="openai",
    method="audio.speech.create",
    path="/audio/speech",
    arguments={"model": "gpt-4o-mini-tts", "voice": "alloy", "input": QUESTION},
    operation="generate_content",
    span={"gen_ai.output.type": "speech"},
)
MODERATION = Surface(
    sdk="openai",
    method="moderations.create",
    path="/moderations",
    arguments={"model": "omni-moderation-latest", "input": QUESTION},
    operation="moderation",
    in_metrics=False,
)
SURFACES = (
    CHAT,
    BETA_CHAT,
    PARSED_CHAT,
    COMPLETIONS,
    RESPONSES,
    PARSED_RESPONSES,
    COMPACTION,
    EMBEDDINGS,
    IMAGES,
    TRANSCRIPTION,
    SPEECH,
    MODERATION,
)
