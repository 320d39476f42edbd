"""An application that knows nothing of tracetoll, or of OpenTelemetry.

    pip install 'tracetoll[otlp]' opentelemetry-distro openai
    OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4317 opentelemetry-instrument python zero_code.py

Without OPENAI_API_KEY it asks a provider on this machine, which the `demo` extra brings. Nobody knows that host, so
the usage of its stream is only counted with TRACETOLL_STREAM_USAGE=always.
"""

import os

from openai import OpenAI

if "OPENAI_API_KEY" not in os.environ:
    from _provider import local_unless_key

    local_unless_key()

client = OpenAI()
answer = client.chat.completions.create(
    model="gpt-4o-mini",
    messages=[{"role": "user", "content": "What is a toll?"}],
)
stream = client.chat.completions.create(
    model="gpt-4o-mini",
    messages=[{"role": "user", "content": "And who pays it?"}],
    stream=True,
)
words = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
print(f"{len(str(answer.choices[0].message.content).split())} words, then {len(words.split())} words")
