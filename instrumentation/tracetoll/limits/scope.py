"""Limits for a block: `with limits(Limit(20_000, "tokens")) as spend: ...`, whatever spans exist."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from itertools import count
from typing import TYPE_CHECKING, Final, NamedTuple

from opentelemetry import context

from tracetoll.attribution import travelling

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextvars import Token
    from types import TracebackType

    from opentelemetry.context import Context

    from tracetoll.call import Ending
    from tracetoll.limits.limit import Limit
    from tracetoll.limits.rules import Ruled
    from tracetoll.usage import Usage

_NANO: Final = 1_000_000_000
_ids: Final = count(1)
current_scopes: ContextVar[tuple[Scope, ...]] = ContextVar("tracetoll_limits", default=())
_entered: ContextVar[_Entered | None] = ContextVar("tracetoll_limits_entered", default=None)


class _Entered(NamedTuple):
    outer: tuple[Scope, ...]
    before: _Entered | None
    token: Token[Context] | None


class Totals(NamedTuple):
    """What calls came to, all together."""

    usage: Usage
    nano_usd: int | None = None
    """None: no price is known of any of them."""
    calls: int = 0
    refused: int = 0
    unpriced: int = 0
    missing: int = 0


class Spend:
    """What the calls of a block came to so far. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._usage: Usage | None = None
        self._nano_usd = 0
        self._calls = self._refused = self._unpriced = self._missing = 0
        self._begun = 0

    @property
    def usage(self) -> Usage:
        """Return the sum of the usage of all calls that have ended."""
        return self._usage if self._usage is not None else _no_usage()

    @property
    def cost(self) -> float:
        """Return what they cost in US dollars, as far as their prices are known; see `unpriced`."""
        return self._nano_usd / _NANO

    @property
    def calls(self) -> int:
        """Return how many calls have ended, refused ones left out."""
        return self._calls

    @property
    def refused(self) -> int:
        """Return how many calls a limit has refused or cut, a limit of this block or any other."""
        return self._refused

    @property
    def unpriced(self) -> int:
        """Return how many calls have no known price, or not for all of their parts."""
        return self._unpriced

    @property
    def missing(self) -> int:
        """Return how many calls ended without the provider telling their usage."""
        return self._missing

    def __repr__(self) -> str:
        return f"<Spend calls={self.calls} usage={self.usage!r} cost={self.cost:.6f} refused={self.refused}>"


@cache
def _no_usage() -> Usage:
    from tracetoll.usage import Usage  # noqa: PLC0415  # everybody imports this module

    return Usage()


class Scope:
    """One running block: its limits, and what was spent in it."""

    __slots__ = ("id", "limits", "spend")

    def __init__(self, rules: tuple[Ruled, ...] = (), identity: str | None = None) -> None:
        # Accounts carry the block's id, so limits of different blocks never share one.
        self.id = identity or f"scope:{next(_ids)}"
        self.limits = rules
        self.spend = Spend()

    def begin(self) -> None:
        """Note that a call which belongs here was let go ahead."""
        with self.spend._lock:  # noqa: SLF001  # a Spend is ours to fill
            self.spend._begun += 1  # noqa: SLF001

    @property
    def running(self) -> bool:
        """Whether a call that belongs here has not ended."""
        return self.spend._begun > self.spend._calls  # noqa: SLF001

    def totals(self) -> Totals:
        """Return what was spent so far."""
        spend = self.spend
        with spend._lock:  # noqa: SLF001
            unknown = spend._unpriced and not spend._nano_usd  # noqa: SLF001
            return Totals(
                spend.usage,
                None if unknown else spend._nano_usd,  # noqa: SLF001
                spend.calls,
                spend.refused,
                spend.unpriced,
                spend.missing,
            )

    def take(self, totals: Totals) -> None:
        """Take what was spent elsewhere on behalf of this block."""
        spend = self.spend
        with spend._lock:  # noqa: SLF001
            spend._usage = spend.usage + totals.usage  # noqa: SLF001
            spend._nano_usd += totals.nano_usd or 0  # noqa: SLF001
            spend._begun += totals.calls  # noqa: SLF001
            spend._calls += totals.calls  # noqa: SLF001
            spend._refused += totals.refused  # noqa: SLF001
            spend._unpriced += totals.unpriced  # noqa: SLF001
            spend._missing += totals.missing  # noqa: SLF001

    def add(self, ending: Ending, *, sent: bool) -> None:
        """Take what a call came to. `sent`: it was let go ahead."""
        usage, cost = ending.usage, ending.cost
        spend = self.spend
        with spend._lock:  # noqa: SLF001  # a Spend is ours to fill
            spend._refused += ending.outcome in {"refused", "cut"}  # noqa: SLF001
            spend._calls += sent  # noqa: SLF001
            spend._missing += ending.missing is not None  # noqa: SLF001
            if usage is not None:
                spend._usage = spend.usage + usage  # noqa: SLF001
                spend._unpriced += cost is None or cost.status != "priced"  # noqa: SLF001
                if cost is not None and cost.amount is not None:
                    spend._nano_usd += cost.amount  # noqa: SLF001


@contextmanager
def resumed(scope: Scope) -> Iterator[None]:
    """Let calls belong to a block that somebody else has begun and will end."""
    outer = current_scopes.get()
    current_scopes.set((*outer, scope))
    try:
        yield
    finally:
        current_scopes.set(outer)


class limits:  # noqa: N801  # reads as the statement it is used as: with limits(...)
    """Hold the calls of a block, and of everything that it awaits, to some limits; without any, only add them up.

    `with limits(Limit(20_000, "tokens"), Limit(0.25, "usd")) as spend: ...`, or `async with`. A limit without
    `per` is for the block. Blocks nest: a call has to fit into all of them. What runs in other threads belongs
    to the block if it runs in a copy of its context (`asyncio.to_thread`, `contextvars.copy_context().run`).
    Takes Limit objects and the text form; raises WrongLimitError, a ValueError, for anything else.
    """

    __slots__ = ("_rules",)

    def __init__(self, *given: Limit | str) -> None:
        self._rules = _ruled(given) if given else ()

    def __enter__(self) -> Spend:
        scope = Scope(self._rules)
        outer = current_scopes.get()
        current_scopes.set((*outer, scope))
        here = context.get_current()
        carried = travelling(here)
        token = context.attach(carried) if carried is not here else None
        # On a stack in the context, not on self: one object may be entered by many tasks at once.
        _entered.set(_Entered(outer, _entered.get(), token))
        return scope.spend

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        entered = _entered.get()
        if entered is None:
            return
        if entered.token is not None:
            context.detach(entered.token)
        current_scopes.set(entered.outer)
        _entered.set(entered.before)

    async def __aenter__(self) -> Spend:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)


def _ruled(given: Sequence[Limit | str]) -> tuple[Ruled, ...]:
    # With the first limit: everybody imports this module.
    from tracetoll.limits.rules import ruled  # noqa: PLC0415
    from tracetoll.limits.sources import as_limit  # noqa: PLC0415

    return ruled([as_limit(one, "limits(...)") for one in given], default_subject="scope", prefix="block|")
