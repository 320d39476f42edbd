"""The application that does not stop: an agent whose tool always tells it to look once more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tracetoll import agent, tool
from tracetoll.demo.app import OUTPUT_CAP, PLANNER_MODEL, Models
from tracetoll.demo.tools import DESCRIPTIONS

if TYPE_CHECKING:
    from typing import NoReturn

PAUSE_S: Final = 5.0
"""How long a turn of a real agent takes, for what the night would have cost."""
NIGHT_H: Final = 8


@tool("find_bridges")
def look_again() -> str:
    """Return what sends the model round in circles."""
    return "The list of bridges is being updated. Ask again in a moment."


@agent("night-watch")
async def watch(models: Models) -> NoReturn:
    """Ask until there is an answer; there never is one."""
    messages: list[Any] = [{"role": "user", "content": "Which bridges are open? Keep asking until you know."}]
    while True:
        answer = await models.openai.chat.completions.create(
            model=PLANNER_MODEL, messages=messages, tools=DESCRIPTIONS, max_tokens=OUTPUT_CAP
        )
        message: Any = answer.choices[0].message
        messages.append(message.model_dump(include={"role", "content", "tool_calls"}, exclude_none=True))
        calls = message.tool_calls or ()
        messages += [{"role": "tool", "tool_call_id": call.id, "content": look_again()} for call in calls]
        if not message.tool_calls:
            messages.append({"role": "user", "content": "Are you sure? Look again."})


def night(cost: float) -> tuple[int, float]:
    """Return how many calls a night would have had, and what it would have cost at `cost` dollars a call."""
    calls = int(NIGHT_H * 3600 / PAUSE_S)
    return calls, calls * cost
