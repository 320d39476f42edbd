"""Cap what a task, a user and a minute may spend; what does not fit is refused before anything is sent."""

from _provider import local_unless_key
from _telemetry import spans_in_memory
from openai import OpenAI

from tracetoll import Instrumentor, Limit, LimitExceeded, agent, attribution, limits

spans_in_memory()
Instrumentor().instrument(
    limits=[
        Limit(50_000, "tokens", per="trace"),
        Limit(1.50, "usd", per="user.id", window="day", at={0.8: "warn", 1.0: "block"}),
        "2M tokens per gen_ai.request.model per minute throttle",  # the same as text
    ]
)
local_unless_key()
client = OpenAI()


def ask(question: str) -> None:
    """Make a call; it knows nothing of limits."""
    client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": question}], max_tokens=100)


with agent("clerk"), attribution(user_id="ada"):
    # For this block, whatever spans exist.
    with limits(Limit(400, "tokens"), Limit(0.25, "usd")) as spend:
        try:
            while True:
                ask("Is the harbour bridge open at night?")
        except LimitExceeded as stopped:
            print(f"stopped by {stopped}")
    print(f"{spend.calls} calls, {spend.usage.total_tokens} tokens, ${spend.cost:.6f}, {spend.refused} refused")

    with limits(Limit(120, "tokens", at={1.0: "clamp"})):
        ask("Tell me everything about bridges.")  # is sent with a lower cap
