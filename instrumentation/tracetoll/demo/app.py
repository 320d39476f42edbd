"""The application: which way three lorries take over the river, and what that costs them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tracetoll import agent
from tracetoll.demo.tools import DESCRIPTIONS, run_tool

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic
    from openai import AsyncOpenAI

QUESTION: Final = "Three lorries have to cross the river today. Which bridge is the cheapest way, all in all?"

PLANNER_MODEL: Final = "gpt-4.1-mini"
SURVEYOR_MODEL: Final = "gpt-5-mini"
CLERK_MODEL: Final = "claude-sonnet-4-6"
CRITIC_MODEL: Final = "claude-haiku-4-5"

ROUNDS: Final = 4  # of tool calls; a model that wants more has to answer with what it has
OUTPUT_CAP: Final = 400

# Long enough for every Claude to cache it: the longest minimum is 4,096 tokens (docs, prompt caching, 2026-11).
TARIFF: Final = "The tariff of the river, line by line.\n" + "\n".join(
    f"Line {line}: at gate {line % 12 + 1} a cart pays {line * 7 % 90 / 10 + 0.5:.2f} EUR, a lorry "
    f"{line * 13 % 140 / 10 + 2:.2f} EUR, and after sunset half of it, {line % 5} crossings a day at most."
    for line in range(1, 161)
)


@dataclass(frozen=True, slots=True)
class Models:
    """The clients of the two providers."""

    openai: AsyncOpenAI
    anthropic: AsyncAnthropic


@agent("planner")
async def plan(models: Models, question: str) -> str:
    """Return the answer to a question: tools first, then colleagues, then a critic."""
    notes = await _look_up(models, question)
    prices, route = await asyncio.gather(ask_clerk(models, notes), ask_surveyor(models, notes))
    draft = f"{question}\n\nNotes: {notes}\n\nPrices: {prices}\n\nRoute: {route}"
    critique = await criticise(models, draft)
    return await _write(models, f"{draft}\n\nA colleague says: {critique}")


async def _look_up(models: Models, question: str) -> str:
    """Return what the tools know about a question; the model says which tools to call."""
    system = "You plan crossings. Call find_bridges, toll_of and way_over before you answer, then answer briefly."
    messages: list[Any] = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    for _ in range(ROUNDS):
        answer = await models.openai.chat.completions.create(
            model=PLANNER_MODEL, messages=messages, tools=DESCRIPTIONS, max_tokens=OUTPUT_CAP
        )
        message: Any = answer.choices[0].message
        messages.append(message.model_dump(include={"role", "content", "tool_calls"}, exclude_none=True))
        if not message.tool_calls:
            break
        for call in message.tool_calls:
            told = run_tool(call.function.name, call.function.arguments)
            messages.append({"role": "tool", "tool_call_id": call.id, "content": told})
    return "\n".join(str(message["content"]) for message in messages[2:] if message.get("content"))


@agent("clerk")
async def ask_clerk(models: Models, notes: str) -> str:
    """Return what the tariff says. It is long, and the same in both calls: the second one reads it from the cache."""
    system: list[Any] = [{"type": "text", "text": TARIFF, "cache_control": {"type": "ephemeral"}}]
    answers = []
    for question in ("What does a lorry pay at gate 3?", "And what does it pay after sunset?"):
        answer = await models.anthropic.messages.create(
            model=CLERK_MODEL,
            max_tokens=OUTPUT_CAP,
            system=system,
            messages=[{"role": "user", "content": f"{notes}\n\n{question} One sentence."}],
        )
        answers.append(_text(answer.content))
    return " ".join(answers)


@agent("surveyor")
async def ask_surveyor(models: Models, notes: str) -> str:
    """Return which way is the cheapest; a model that reasons works it out."""
    answer = await models.openai.chat.completions.create(
        model=SURVEYOR_MODEL,
        messages=[{"role": "user", "content": f"{notes}\n\nFuel is 0.40 EUR per km. Which bridge? One sentence."}],
        # openai < 1.58 has no parameter for it
        extra_body={"reasoning_effort": "medium"},
    )
    return answer.choices[0].message.content or ""


@agent("critic")
async def criticise(models: Models, draft: str) -> str:
    """Return what is wrong with a draft."""
    answer = await models.anthropic.messages.create(
        model=CRITIC_MODEL,
        max_tokens=OUTPUT_CAP,
        messages=[{"role": "user", "content": f"{draft}\n\nName the weakest point of this plan in one sentence."}],
    )
    return _text(answer.content)


async def _write(models: Models, draft: str) -> str:
    """Return the answer, which comes as a stream."""
    stream = await models.openai.chat.completions.create(
        model=PLANNER_MODEL,
        messages=[{"role": "user", "content": f"{draft}\n\nWrite the answer in three sentences."}],
        max_tokens=OUTPUT_CAP,
        stream=True,
        # tracetoll asks for it itself, but only at hosts that are known to take it.
        stream_options={"include_usage": True},
    )
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])


def _text(blocks: list[Any]) -> str:
    return "".join(block.text for block in blocks if block.type == "text")
