"""Say on whose behalf calls are made, and add up what each user and each feature costs."""

from collections import Counter

from _provider import local_unless_key
from _telemetry import spans_in_memory
from openai import OpenAI

from tracetoll import Instrumentor, attribution

spans = spans_in_memory()
Instrumentor().instrument()
local_unless_key()
client = OpenAI()


def ask(question: str) -> None:
    """Make a call; it knows nothing of users."""
    client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": question}])


with attribution(user_id="ada", feature="search"):
    ask("Where is the nearest bridge?")
    with attribution(feature="summary"):  # inner blocks win, and leave the rest as it is
        ask("Sum up the tariff of the river in one sentence.")
with attribution(user_id="bob", feature="search", ticket="T-17"):  # keys of your own become attributes
    ask("Is the harbour bridge open at night?")

for key in ("user.id", "tracetoll.feature"):
    tokens: Counter[str] = Counter()
    cost: Counter[str] = Counter()
    for span in spans.get_finished_spans():
        told = dict(span.attributes or {})
        tokens[str(told[key])] += told["gen_ai.usage.input_tokens"] + told["gen_ai.usage.output_tokens"]
        cost[str(told[key])] += told["tracetoll.cost.amount"]
    for name, amount in tokens.items():
        print(f"{key}={name}: {amount} tokens, ${cost[name]:.6f}")
