"""Count calls of the anthropic SDK: the second one reads the long prompt from the cache, which is cheaper."""

from _provider import local_unless_key
from _telemetry import spans_in_memory
from anthropic import Anthropic

from tracetoll import Instrumentor
from tracetoll.console import print_trace

spans = spans_in_memory()
Instrumentor().instrument()

rules = "\n".join(f"Rule {number}: at gate {number} every cart pays {number % 7 + 1} EUR." for number in range(400))

local_unless_key()
client = Anthropic()
for question in ("What does a cart pay at gate 12?", "And at gate 33?"):
    client.messages.create(
        model="claude-sonnet-4-6",
        max_tokens=200,
        system=[{"type": "text", "text": rules, "cache_control": {"type": "ephemeral"}}],
        messages=[{"role": "user", "content": question}],
    )

print_trace(spans.get_finished_spans())
