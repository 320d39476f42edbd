"""A limit: how much of what, for whom, per which window, and what happens then. A value that knows nothing.

`Limit` takes what a person writes, checks it, and keeps it in one form; `tracetoll.limits.text` writes and
reads the same as a line of text, `tracetoll.limits.policy` as YAML.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from tracetoll.attribution import attribute_name
from tracetoll.limits.near import nearest
from tracetoll.limits.windows import Calendar, Rolling, parse_window

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime, timedelta

UNITS: Final = ("tokens", "input_tokens", "output_tokens", "usd", "calls", "context_window")
ACTIONS: Final = ("warn", "block", "throttle", "clamp", "cut", "reroute")
SUBJECTS: Final = ("call", "trace", "scope", "process")
UNPRICED: Final = ("block", "warn", "allow")
WHERE: Final[Mapping[str, str]] = MappingProxyType(
    {"provider": "gen_ai.provider.name", "model": "gen_ai.request.model", "operation": "gen_ai.operation.name"}
)
NANO: Final = 1_000_000_000
DEFAULT_WAIT_S: Final = 60.0

Number = int | float | Decimal
Kind = Literal["warn", "block", "throttle", "clamp", "cut", "reroute", "call"]


class WrongLimitError(ValueError):
    """A limit cannot mean anything as it is written; the message names the field, the value and the way out."""

    def __init__(self, key: str, problem: str) -> None:
        """Take the field at fault, and what is wrong with it."""
        super().__init__(f"{key}: {problem}")
        self.key = key
        self.problem = problem


class Crossing(NamedTuple):
    """What a callback is told: a limit's account went over one of its thresholds."""

    limit: Limit
    account: str
    threshold: float
    """Share of the amount."""
    spent: float
    """In the limit's unit, this call included."""
    resets_at: datetime | None


Callback = Callable[[Crossing], object]


class Action(NamedTuple):
    """One thing to do. `models` (reroute): pairs of a pattern of the model asked, and the model to ask instead."""

    kind: Kind
    models: tuple[tuple[str, str], ...] = ()
    callback: Callback | None = None

    def __str__(self) -> str:
        if self.kind == "reroute":
            return "reroute " + " ".join(to if of == "*" and "=" not in to else f"{of}={to}" for of, to in self.models)
        return self.kind if self.callback is None else getattr(self.callback, "__qualname__", repr(self.callback))


class Threshold(NamedTuple):
    """A share of the amount, and what to do when spending goes over it."""

    share: float
    action: Action


Actions = str | Callback | Sequence[str | Callback]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Limit:
    """How much of what, for whom, per which window, and what happens then.

    - `amount`: how much, a number of at least 0; `unit`: one of UNITS. Dollars may be fractions. A share of the
      context window (0.8) is of each call's model.
    - `per`: `call`, `trace`, `process`, any attribution key (`user.id`, `tenant`, `gen_ai.request.model` …), or
      a tuple of keys. None: the block, in `limits(...)`; the process, in `instrument(limits=…)`.
    - `window`: None (the subject's life), a duration that rolls (`"1m"`, `"24h"`, seconds, a timedelta), or a
      calendar period (`"minute"`, `"hour"`, `"day"`, `"week"`, `"month"`) in `timezone`.
    - `where`: which calls, by patterns (`*` and `?`) on `provider`, `model`, `operation` or attribution; a list
      of patterns means any of them, a leading `!` none of them.
    - `at`: shares of the amount, and what to do there: `warn`, `block`, `throttle` (wait for the window to
      move on), `clamp` (lower the output cap to what is left), `cut` (end a running stream), `reroute MODEL`
      (`reroute gpt-4o=gpt-4o-mini …` by the model asked), or a callable that takes a `Crossing`; several in a tuple.
    - `strict`: reserve what a call can provably take at most, instead of what it will probably take.
    - `shadow`: tell what would have been done, and do nothing.
    - `wait`: for how many seconds a call may wait for room, at most.
    - `unpriced`: what a limit in dollars does with a model whose price is unknown: `block`, `warn`, `allow`.
    - `pace`: warn also when one hour spends more than this share of the amount.

    Wrong values raise WrongLimitError, a ValueError.
    """

    amount: Number
    unit: str = "tokens"
    per: str | tuple[str, ...] | None = None
    window: str | float | timedelta | None = None
    where: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    at: Mapping[float, Actions] = field(default_factory=lambda: {1.0: "block"})
    name: str | None = None
    strict: bool = False
    shadow: bool = False
    wait: float = DEFAULT_WAIT_S
    unpriced: str = "warn"
    pace: float | None = None
    timezone: str = "UTC"
    source: str = ""
    """Where the limit was given, for messages; it does not take part in comparisons."""
    period: Rolling | Calendar | None = field(init=False)
    """`window` as a value."""
    thresholds: tuple[Threshold, ...] = field(init=False)
    """`at` as values, by share."""

    def __post_init__(self) -> None:
        def keep(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        _check_amount(self.amount)
        keep("unit", _one_of("unit", self.unit, UNITS))
        keep("per", _subject(self.per))
        keep("period", _period(self.window, self.timezone))
        keep("window", None if self.period is None else str(self.period))
        keep("where", _where(self.where))
        keep("thresholds", _thresholds(self.at))
        keep("at", _at(self.thresholds))
        keep("unpriced", _one_of("unpriced", self.unpriced, UNPRICED))
        keep("wait", _seconds("wait", self.wait))
        if self.name is not None and (not isinstance(self.name, str) or not self.name.strip()):
            raise WrongLimitError(key="name", problem=f"{self.name!r} is not a name; give some text, or leave it out")
        for switch in ("strict", "shadow"):
            if not isinstance(getattr(self, switch), bool):
                raise WrongLimitError(key=switch, problem=f"{getattr(self, switch)!r} is neither true nor false")
        _check_together(self)
        keep("pace", None if self.pace is None else float(self.pace))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Limit) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash((Decimal(str(self.amount)), self.unit, self.per, self.window, self.name))

    def __reduce__(self) -> tuple[Callable[..., Limit], tuple[dict[str, Any]]]:
        given = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in _MADE}
        return _remade, ({**given, "where": dict(self.where), "at": dict(self.at)},)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.told())
        return f"Limit({self.amount!r}, {self.unit!r}{', ' if shown else ''}{shown})"

    def __str__(self) -> str:
        from tracetoll.limits.text import show_limit  # noqa: PLC0415  # it knows limits

        return show_limit(self)

    def _values(self) -> tuple[Any, ...]:
        what = (Decimal(str(self.amount)), self.unit, self.per, self.window, self.timezone, dict(self.where))
        return (*what, self.thresholds, self.name, self.strict, self.shadow, self.wait, self.unpriced, self.pace)

    def told(self) -> Iterator[tuple[str, Any]]:
        """Yield the fields beside amount and unit that are not the default, as (name, value)."""
        defaults = {"where": {}, "at": {1.0: "block"}, "wait": DEFAULT_WAIT_S, "unpriced": "warn", "timezone": "UTC"}
        for name in (
            "name",
            "per",
            "window",
            "timezone",
            "where",
            "at",
            "strict",
            "shadow",
            "wait",
            "unpriced",
            "pace",
        ):
            value = getattr(self, name)
            plain = dict(value) if isinstance(value, Mapping) else value
            if plain != defaults.get(name) and plain is not None and plain is not False:
                yield name, plain

    @property
    def scale(self) -> int:
        """How many of the whole numbers that are counted make one of the unit (dollars: nano-dollars)."""
        return NANO if self.unit == "usd" else 1

    @property
    def whole(self) -> int:
        """The amount as counted, rounded down."""
        return int(Decimal(str(self.amount)) * self.scale)

    def bound(self, share: float) -> int:
        """Return a share of the amount as counted, rounded down."""
        return int(Decimal(str(self.amount)) * Decimal(str(share)) * self.scale)

    def shown(self, counted: int) -> float | int:
        """Return what is counted in the limit's unit."""
        return counted / self.scale if self.scale != 1 else counted

    def given_in(self, source: str) -> Limit:
        """Return the same limit, with where it was given."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in _MADE}
        return Limit(**{**values, "source": source})


_MADE: Final = frozenset({"period", "thresholds"})


def _remade(given: dict[str, Any]) -> Limit:
    return Limit(**given)


def suggestion(word: str, known: Sequence[str]) -> str:
    """Return the known word that is meant, as the end of a message, else all of them."""
    near = nearest(word, known)
    return f"did you mean {near!r}?" if near is not None else f"known are: {', '.join(known)}"


def _one_of(key: str, value: object, known: Sequence[str]) -> str:
    word = value.strip().lower() if isinstance(value, str) else ""
    if word in known:
        return word
    if f"{word}s" in known:
        return f"{word}s"
    raise WrongLimitError(key=key, problem=f"{value!r} is not known; {suggestion(word, known)}")


def _is_number(value: object) -> bool:
    try:
        return isinstance(value, int | float | Decimal) and not isinstance(value, bool) and math.isfinite(value)
    except (OverflowError, ValueError):  # an int beyond every float; a signalling NaN
        return False


def _check_amount(amount: object) -> None:
    if not _is_number(amount) or amount < 0:  # type: ignore[operator]  # it is a number here
        raise WrongLimitError(key="amount", problem=f"{amount!r} is not an amount; give a number of at least 0")


def _seconds(key: str, value: object) -> float:
    if not _is_number(value) or value < 0:  # type: ignore[operator]  # it is a number here
        raise WrongLimitError(key=key, problem=f"{value!r} is not a number of seconds of at least 0")
    return float(value)  # type: ignore[arg-type]  # it is a number here


def _subject(per: object) -> str | tuple[str, ...] | None:
    if per is None:
        return None
    keys = (per,) if isinstance(per, str) else tuple(per) if isinstance(per, Sequence) else ()
    named = tuple(key.strip() for key in keys if isinstance(key, str))
    if not keys or len(named) != len(keys) or not all(named):
        raise WrongLimitError(
            key="per", problem=f"{per!r} is no subject; give {', '.join(SUBJECTS)}, an attribution key, or several"
        )
    if len(named) > 1 and (wrong := set(named) & set(SUBJECTS)):
        raise WrongLimitError(key="per", problem=f"{min(wrong)!r} cannot be part of a tuple; only attribution keys can")
    if any(any(character.isspace() or character in ",;()=" for character in key) for key in named):
        raise WrongLimitError(
            key="per", problem=f"{per!r} is no attribution key; a key has no spaces, commas or brackets"
        )
    found = tuple(key if key in SUBJECTS else attribute_name(WHERE.get(key, key)) for key in named)
    return found[0] if len(found) == 1 else found


def _period(window: object, timezone: object) -> Rolling | Calendar | None:
    try:
        return parse_window(window, timezone)
    except ValueError as error:
        key, _, problem = str(error).partition(": ")
        raise WrongLimitError(key=key, problem=problem) from None


def _where(where: object) -> Mapping[str, tuple[str, ...]]:
    if not isinstance(where, Mapping):
        raise WrongLimitError(
            key="where", problem=f"{where!r} is not a mapping; give {{'model': 'gpt-4o*'}} or the like"
        )
    found: dict[str, tuple[str, ...]] = {}
    for key, patterns in where.items():
        listed = (patterns,) if isinstance(patterns, str) else patterns
        if not isinstance(key, str) or not key:
            raise WrongLimitError(
                key="where", problem=f"{key!r} is not a key; give provider, model, operation or an attribution key"
            )
        if not isinstance(listed, Sequence) or not listed or not all(isinstance(one, str) and one for one in listed):
            raise WrongLimitError(key=f"where.{key}", problem=f"{patterns!r} is not a pattern, nor a list of patterns")
        name = attribute_name(WHERE.get(key, key))
        if name in found:
            raise WrongLimitError(key=f"where.{key}", problem=f"{name} is given twice; give one list of patterns")
        found[name] = tuple(listed)
    return MappingProxyType(found)


def parse_action(word: object, key: str = "at") -> Action:
    """Return the action that a word or a callable means; WrongLimitError names `key`."""
    if callable(word):
        return Action("call", callback=word)
    kind, *rest = word.replace(",", " ").split() if isinstance(word, str) else [""]
    if kind not in ACTIONS:
        raise WrongLimitError(key=key, problem=f"{word!r} is not an action; {suggestion(kind, ACTIONS)}")
    if kind != "reroute":
        if rest:
            raise WrongLimitError(key=key, problem=f"{word!r}: {kind} takes nothing more; drop {' '.join(rest)!r}")
        return Action(kind)  # type: ignore[arg-type]  # it is one of ACTIONS
    pairs = tuple(("*", one) if "=" not in one else (one.partition("=")[0], one.partition("=")[2]) for one in rest)
    if not pairs or not all(of and to for of, to in pairs):
        raise WrongLimitError(
            key=key, problem=f"{word!r} does not say where to; write 'reroute MODEL' or 'reroute PATTERN=MODEL'"
        )
    return Action("reroute", pairs)


def _thresholds(at: object) -> tuple[Threshold, ...]:
    if not isinstance(at, Mapping) or not at:
        raise WrongLimitError(
            key="at", problem=f"{at!r} is not a mapping of shares to actions; give {{1.0: 'block'}} or the like"
        )
    found: list[Threshold] = []
    for share, actions in at.items():
        if not _is_number(share) or share <= 0:
            raise WrongLimitError(
                key="at", problem=f"{share!r} is not a share of the amount; give a number above 0, such as 0.8"
            )
        listed = actions if isinstance(actions, Sequence) and not isinstance(actions, str) else (actions,)
        if not listed:
            raise WrongLimitError(key=f"at.{share:g}", problem="there is no action; " + suggestion("", ACTIONS))
        found.extend(Threshold(float(share), parse_action(one, f"at.{share:g}")) for one in listed)
    return tuple(sorted(found, key=lambda one: (one.share, str(one.action))))


def _at(thresholds: Sequence[Threshold]) -> Mapping[float, Any]:
    found: dict[float, Any] = {}
    for share, action in thresholds:
        word = action.callback or str(action)
        before = found.get(share)
        found[share] = word if before is None else (*before, word) if isinstance(before, tuple) else (before, word)
    return MappingProxyType(found)


def _check_together(limit: Limit) -> None:
    kinds = {threshold.action.kind for threshold in limit.thresholds}
    if "throttle" in kinds and limit.period is None:
        raise WrongLimitError(
            key="at", problem="throttle waits for the window to move on, and there is none; give a window, or block"
        )
    if "throttle" in kinds and limit.per == "call":
        raise WrongLimitError(key="at", problem="throttle cannot help a limit per call; use block, clamp or cut")
    if limit.unit == "context_window" and limit.per not in {"call", None}:
        raise WrongLimitError(
            key="per", problem=f"a share of the context window is of each call, not per {limit.per}; use per call"
        )
    if limit.unit == "context_window" and limit.amount > 1:
        problem = f"{limit.amount!r} is more than the whole context window; give a share up to 1, such as 0.8"
        raise WrongLimitError(key="amount", problem=problem)
    if limit.unit == "context_window" and limit.period is not None:
        raise WrongLimitError(key="window", problem="a share of the context window has no window; drop it")
    if limit.per == "call" and limit.period is not None:
        raise WrongLimitError(
            key="window", problem="a limit per call has no window; drop it, or choose another subject"
        )
    if limit.unit in {"calls", "input_tokens"} and kinds & {"clamp", "cut"}:
        raise WrongLimitError(
            key="at", problem=f"{limit.unit} cannot be had less of by a shorter answer; use block or throttle"
        )
    if limit.pace is not None and (not _is_number(limit.pace) or limit.pace <= 0):
        raise WrongLimitError(
            key="pace", problem=f"{limit.pace!r} is not a share of the amount; give a number above 0, such as 0.1"
        )
    if limit.pace is not None and limit.per == "call":
        raise WrongLimitError(key="pace", problem="a limit per call has no pace; drop it")
