"""Give agents and tools spans of their own, so that the trace says which of them a call was made for."""

import asyncio

from _provider import local_unless_key
from _telemetry import spans_in_memory
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from tracetoll import Instrumentor, agent, tool
from tracetoll.console import print_trace


@tool("toll_of")
def toll_of(bridge: str) -> str:
    """Return what a lorry pays: an ordinary function."""
    return f"a lorry pays 2.80 EUR at the {bridge} bridge"


@agent("critic")
async def criticise(draft: str) -> str:
    """Return what another model thinks of a draft."""
    async with AsyncAnthropic() as client:
        answer = await client.messages.create(
            model="claude-haiku-4-5", max_tokens=200, messages=[{"role": "user", "content": f"Criticise: {draft}"}]
        )
    return "".join(block.text for block in answer.content if block.type == "text")


@agent("planner")
async def plan(question: str) -> str:
    """Return an answer that a critic has seen."""
    known = toll_of("harbour")
    async with AsyncOpenAI() as client:
        draft = await client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": f"{question} Known: {known}."}]
        )
        critique = await criticise(str(draft.choices[0].message.content))
        answer = await client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": f"{question} Mind this: {critique}"}]
        )
    return str(answer.choices[0].message.content)


spans = spans_in_memory()
Instrumentor().instrument()
local_unless_key()
asyncio.run(plan("What do three lorries pay?"))

print_trace(spans.get_finished_spans())
