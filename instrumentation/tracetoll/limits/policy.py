"""Limits as a YAML file, checked as a whole: every problem is told with its file, line and key.

PyYAML is wanted only here, and imported when a file is read or written: `pip install 'tracetoll[policy]'`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tracetoll.limits.limit import Limit, WrongLimitError
from tracetoll.limits.numbers import amount_text, share_text, wait_text
from tracetoll.limits.policy_nodes import Found, is_ambiguous, limits_of
from tracetoll.limits.text import format_limit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from yaml import MarkedYAMLError, Node

_LINE_ENDS: Final = re.compile("[\x85\u2028\u2029]")
_HINT: Final = "indent with spaces, and put text with special characters in quotes"


class Problem(NamedTuple):
    """Something wrong in a policy file. `line` counts from 1; 0 is the file as a whole."""

    path: str
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        return ": ".join(filter(None, (place, self.key, self.message)))


class PolicyError(ValueError):
    """A policy file cannot be used; `problems` are all that is wrong with it, and the text is one line for each."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Policy:
    """The limits of a policy file."""

    limits: tuple[Limit, ...]
    path: str


def read_policy(path: str | Path) -> Policy:
    """Return the limits of a YAML file; PolicyError, with all its problems, if there are any."""
    name = str(path)
    root = _composed(_text_of(name), name)
    found = Found()
    limits = tuple(limit.given_in(f"{name}:{line}") for line, limit in limits_of(root, found))
    if found.problems:
        raise PolicyError([Problem(name, *problem) for problem in sorted(found.problems)])
    return Policy(limits, name)


def write_policy(limits: Iterable[Limit]) -> str:
    """Return YAML that `read_policy` reads as these limits; WrongLimitError if one has a function among its actions."""
    lines: list[str] = []
    names: set[str] = set()
    for limit in limits:
        format_limit(limit)  # refuses what cannot be written
        if limit.name in names:
            raise WrongLimitError(key="name", problem=f"{limit.name!r} is the name of two limits; give each its own")
        names.update(filter(None, [limit.name]))
        lines.extend(f"  {' ' if position else '-'} {line}" for position, line in enumerate(_lines(limit)))
    return "\n".join(("limits:", *lines, "")) if lines else "limits: []\n"


def _text_of(path: str) -> str:
    try:
        content = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PolicyError([Problem(path, 0, "", f"the file cannot be read ({reason}); check its path")]) from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise PolicyError([Problem(path, line, "", "the text is not UTF-8; save the file as UTF-8")]) from error


def _composed(text: str, path: str) -> Node:
    try:
        import yaml  # noqa: PLC0415  # optional
    except ImportError as error:
        problem = "reading YAML takes PyYAML; pip install 'tracetoll[policy]'"
        raise PolicyError([Problem(path, 0, "", problem)]) from error
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        raise PolicyError([_not_yaml(error, path)]) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problem = f"the character {chr(int(error.character))!r} cannot be in YAML; delete it"
        raise PolicyError([Problem(path, line, "", problem)]) from error
    if root is None:
        raise PolicyError([Problem(path, 1, "", "the file is empty; write 'limits:' and a list of limits")])
    return root


def _not_yaml(error: MarkedYAMLError, path: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    reason = " ".join(filter(None, (error.context, error.problem)))
    return Problem(path, mark.line + 1 if mark else 0, "", f"this is not YAML: {reason}; {_HINT}")


def _lines(limit: Limit) -> Iterator[str]:
    told = dict(limit.told())
    if limit.name is not None:
        yield f"name: {_flow(limit.name)}"
    yield f"amount: {amount_text(limit.amount, limit.unit)}"
    yield f"unit: {limit.unit}"
    yield from (f"{key}: {show(told[key])}" for key, show in _SHOWN.items() if key in told)


def _flow(value: object, style: str | None = None) -> str:
    text = _dumped(value, style, allow_unicode=True)
    # PyYAML does not read back the line ends beyond ASCII as it wrote them, unless they are escaped.
    return _dumped(value, style, allow_unicode=False) if _LINE_ENDS.search(text) else text


def _dumped(value: object, style: str | None, *, allow_unicode: bool) -> str:
    import yaml  # noqa: PLC0415  # optional

    # As a list of one: a bare scalar would end with the mark of a document's end.
    text: str = yaml.safe_dump(
        [value],
        default_flow_style=True,
        default_style=style,
        width=math.inf,
        allow_unicode=allow_unicode,
        sort_keys=False,
    )
    return text.strip()[1:-1]


def _per(per: str | tuple[str, ...]) -> str:
    return _flow(list(per)) if isinstance(per, tuple) else _flow(per, '"' if is_ambiguous(per) else None)


def _where(where: Mapping[str, tuple[str, ...]]) -> str:
    return _flow({key: patterns[0] if len(patterns) == 1 else list(patterns) for key, patterns in where.items()})


def _at(at: Mapping[float, str | tuple[str, ...]]) -> str:
    return _flow({share_text(share): list(does) if isinstance(does, tuple) else does for share, does in at.items()})


_SHOWN: Final[Mapping[str, Callable[[Any], str]]] = MappingProxyType(
    {
        "per": _per,
        "window": str,
        "timezone": _flow,
        "where": _where,
        "at": _at,
        "strict": _flow,
        "shadow": _flow,
        "wait": wait_text,
        "unpriced": str,
        "pace": share_text,
    }
)
