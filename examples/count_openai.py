"""Count calls of the openai SDK: one span each, with the provider's own numbers and what they cost."""

from _provider import local_unless_key
from _telemetry import spans_in_memory
from openai import OpenAI

from tracetoll import Instrumentor
from tracetoll.console import print_trace

spans = spans_in_memory()
Instrumentor().instrument()

local_unless_key()
client = OpenAI()
client.chat.completions.create(
    model="gpt-4o-mini",
    messages=[{"role": "user", "content": "Why does a bridge cost a toll?"}],
)
client.chat.completions.create(
    model="o4-mini",
    messages=[{"role": "user", "content": "Three lorries pay 2.80 each. What do they pay together?"}],
)
client.embeddings.create(model="text-embedding-3-small", input="a toll is due at the bridge")

print_trace(spans.get_finished_spans())
