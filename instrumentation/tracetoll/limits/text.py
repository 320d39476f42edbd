"""Limits as lines of text: `1M tokens per user.id per day warn at 80% block; 2 usd per trace`.

    <amount> <unit> [per <subject>] [per <window>] [in <timezone>]
        [where <key>=<pattern>[|<pattern> ...] [, ...]] [<action> [at <share>] ...] [strict] [shadow]
        [wait <duration>] [unpriced block|warn|allow] [pace <share>] [named <name>]

What begins with a word of the grammar, or has spaces or any of `,|=();"` in it, is put in double quotes. This is
the order in which limits are written; they are read in any.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tracetoll.limits.grammar import KEYWORDS, read_limit, taken_for
from tracetoll.limits.limit import DEFAULT_WAIT_S, SUBJECTS, Limit, WrongLimitError
from tracetoll.limits.numbers import amount_text, share_text, wait_text
from tracetoll.limits.windows import CALENDAR, LIFE
from tracetoll.limits.words import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracetoll.limits.limit import Action, Threshold

_PIECE: Final = re.compile(r'"(?:[^"\\\n]|\\.)*"|[^";\n]+|[;\n]|"')
_BLOCK_AT_ALL: Final = ((1.0, "block"),)


def parse_limits(text: str, source: str = "TRACETOLL_LIMITS") -> tuple[list[Limit], list[WrongLimitError]]:
    """Return the limits of a text, separated by `;` or line ends, and one error for each that is malformed."""
    limits: list[Limit] = []
    errors: list[WrongLimitError] = []
    for line in _split(text):
        try:
            limits.append(_parse(line, source))
        except WrongLimitError as error:
            errors.append(error)
    return limits, errors


def parse_limit(text: str, source: str = "") -> Limit:
    """Return the limit that a text means; WrongLimitError tells the word at fault and a way out."""
    lines = _split(text)
    if len(lines) > 1:
        problem = f"there are {len(lines)} limits where one is wanted; give one at a time"
        raise _wrong(WrongLimitError(key="limit", problem=problem), text, source)
    return _parse(lines[0] if lines else "", source)


def format_limit(limit: Limit) -> str:
    """Return the text that `parse_limit` reads as this limit; WrongLimitError if a function is among its actions."""
    for threshold in limit.thresholds:
        if threshold.action.callback is not None:
            problem = f"{threshold.action} is a function, which cannot be written as text; name an action"
            raise WrongLimitError(key="at", problem=problem)
    return show_limit(limit)


def show_limit(limit: Limit) -> str:
    """Return a limit as text for people: as `format_limit` does, and functions by their names."""
    return " ".join(_written(limit))


def _wrong(error: WrongLimitError, text: str, source: str) -> WrongLimitError:
    return WrongLimitError(error.key, f"{error.problem} ({source or 'limit'}: {text!r})")


def _split(text: str) -> list[str]:
    lines = [""]
    for piece in _PIECE.findall(text):
        if piece in {";", "\n"}:
            lines.append("")
        else:
            lines[-1] += piece
    return [line.strip() for line in lines if line.strip()]


def _parse(text: str, source: str) -> Limit:
    try:
        return Limit(**read_limit(text), source=source)
    except WrongLimitError as error:
        raise _wrong(error, text, source) from None


def _written(limit: Limit) -> Iterator[str]:
    yield f"{amount_text(limit.amount, limit.unit)} {limit.unit}"
    if limit.per is not None:
        yield f"per {_subject_text(limit.per)}"
    if limit.window is not None:
        yield f"per {limit.window}"
    if limit.timezone != "UTC":
        yield f"in {_text(limit.timezone)}"
    if limit.where:
        yield "where " + ", ".join(f"{_key(key)}={'|'.join(map(_text, of))}" for key, of in limit.where.items())
    if tuple((share, str(action)) for share, action in limit.thresholds) != _BLOCK_AT_ALL:
        yield from map(_threshold_text, limit.thresholds)
    yield from (flag for flag in ("strict", "shadow") if getattr(limit, flag))
    if limit.wait != DEFAULT_WAIT_S:
        yield f"wait {wait_text(limit.wait)}"
    if limit.unpriced != "warn":
        yield f"unpriced {limit.unpriced}"
    if limit.pace is not None:
        yield f"pace {share_text(limit.pace)}"
    if limit.name is not None:
        yield f"named {_text(limit.name)}"


def _text(value: str) -> str:
    return quoted(value, KEYWORDS)


def _key(key: str) -> str:
    # key!=pattern is a slip of key=!pattern
    return quoted(key, (*KEYWORDS, key.lower()) if key.endswith("!") else KEYWORDS)


def _subject_text(per: str | tuple[str, ...]) -> str:
    if not isinstance(per, str):
        return f"({', '.join(map(_text, per))})"
    if per in SUBJECTS:
        return per
    # What would be read as something else
    others = (*SUBJECTS, *CALENDAR, LIFE) if not per[:1].isdigit() and not taken_for(per.lower()) else (per.lower(),)
    return quoted(per, (*KEYWORDS, *others))


def _threshold_text(threshold: Threshold) -> str:
    action = _action_text(threshold.action)
    return action if threshold.share == 1 else f"{action} at {share_text(threshold.share)}"


def _action_text(action: Action) -> str:
    if action.kind != "reroute":
        return str(action)
    models = (_text(to) if of == "*" else f"{_text(of)}={_text(to)}" for of, to in action.models)
    return " ".join((action.kind, *models))
