"""On whose behalf a call is made: user, session, feature, team, tenant, prompt.

`with attribution(user_id="u1"): ...` puts the keys on every call made inside, across awaits and tasks
(contextvars), and on the calls of another service where the key is listed to travel as W3C baggage.
"""

from __future__ import annotations

from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Self

from opentelemetry import baggage, context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextvars import Token
    from types import TracebackType

    from opentelemetry.context import Context

# Parameter of attribution() → attribute on spans. Upstream's names where it has one.
NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "user_id": "user.id",
        "session_id": "session.id",
        "conversation_id": "gen_ai.conversation.id",
        "agent_name": "gen_ai.agent.name",
        "prompt_name": "gen_ai.prompt.name",
        "prompt_version": "gen_ai.prompt.version",
        "prompt_label": "tracetoll.prompt.label",
        "feature": "tracetoll.feature",
        "team": "tracetoll.team",
        "tenant": "tracetoll.tenant",
        "cost_center": "tracetoll.cost_center",
    }
)

_EMPTY: Final[Mapping[str, str]] = MappingProxyType({})
_current: ContextVar[Mapping[str, str]] = ContextVar("tracetoll_attribution", default=_EMPTY)
_entered: ContextVar[tuple[Mapping[str, str], Token[Context] | None, Any] | None] = ContextVar(
    "tracetoll_attribution_entered", default=None
)
_baggage_out: frozenset[str] = frozenset()
_more_out: Callable[[Context], Context] | None = None


def attribute_name(key: str) -> str:
    """Return the span attribute of an attribution key; one of your own stands as it is."""
    return NAMES.get(key, key)


def send_as_baggage(names: Iterable[str], more: Callable[[Context], Context] | None = None) -> None:
    """Set which attributes `attribution` also puts into W3C baggage, by attribute name.

    `more` adds what else travels on to the context of a block, when the block is entered.
    """
    global _baggage_out, _more_out  # noqa: PLW0603  # set once, by instrument()
    _baggage_out = frozenset(attribute_name(name) for name in names)
    _more_out = more


def travelling(within: Context) -> Context:
    """Return the context of a block that is being entered, with what travels on beside attribution."""
    return within if _more_out is None else _more_out(within)


def current(baggage_in: frozenset[str], within: Context) -> Mapping[str, str]:
    """Return the attribution in force, by attribute name.

    Adds the entries of the W3C baggage in the context `within` that `baggage_in` lists; the own block wins.
    """
    own = _current.get()
    if not within or not baggage_in:
        return own
    carried = baggage.get_all(within)
    if not carried:
        return own
    taken = {name: value for name, value in carried.items() if name in baggage_in and isinstance(value, str)}
    return {**taken, **own} if taken else own


class attribution:  # noqa: N801  # reads as the statement it is used as: with attribution(...)
    """Say on whose behalf the calls of this block are made.

    Known keys are those of `NAMES`; any other key becomes a span attribute of that name. None leaves a
    key as the surrounding block has it. Blocks nest; inner ones win.
    """

    __slots__ = ("_added",)

    def __init__(self, **keys: str | None) -> None:
        added = {attribute_name(key): value for key, value in keys.items() if value is not None}
        for name, value in added.items():
            if not isinstance(value, str):
                msg = f"attribution({name}={value!r}): a string is wanted, got {type(value).__name__}; use str(...)"
                raise TypeError(msg)
        self._added: dict[str, str] = added

    def __enter__(self) -> Self:
        before = _current.get()
        token: Token[Context] | None = None
        _current.set({**before, **self._added})
        outgoing = [name for name in self._added if name in _baggage_out]
        if outgoing or _more_out is not None:
            outer = carried = context.get_current()
            for name in outgoing:
                carried = baggage.set_baggage(name, self._added[name], carried)
            carried = travelling(carried)
            token = context.attach(carried) if carried is not outer else None
        # On a stack in the context, not on self: one block may be entered by many tasks at once.
        _entered.set((before, token, _entered.get()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        entered = _entered.get()
        if entered is None:
            return
        before, token, outer = entered
        if token is not None:
            context.detach(token)
        _current.set(before)
        _entered.set(outer)
