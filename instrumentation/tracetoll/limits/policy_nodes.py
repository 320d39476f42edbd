"""From the nodes of a YAML file to limits; every problem is kept with its line and key, and reading goes on."""

from __future__ import annotations

from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tracetoll.limits.grammar import taken_for
from tracetoll.limits.limit import SUBJECTS, Limit, WrongLimitError, parse_action, suggestion
from tracetoll.limits.numbers import Amount, parse_share, parse_wait, read_amount
from tracetoll.limits.text import parse_limit
from tracetoll.limits.windows import CALENDAR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from yaml import Node

_TAG: Final = "tag:yaml.org,2002:"
_READ_AS: Final[Mapping[str, str]] = MappingProxyType(
    {"bool": "true or false", "int": "a number", "float": "a number", "timestamp": "a date"}
)
_FORM: Final = "write 'limits:' and below it a list of limits"
_EACH: Final = "a limit is a mapping with an amount, or a text such as '50000 tokens per trace'"
# These are checked entry by entry, or once the limit is complete.
_NOT_ALONE: Final = frozenset({"amount", "unit", "where", "at"})


class Found:
    """The problems found so far, as (line, key, message)."""

    def __init__(self) -> None:
        self.problems: list[tuple[int, str, str]] = []

    def add(self, node: Node, key: str, message: str) -> None:
        """Keep a problem, at the line where a node begins."""
        self.problems.append((node.start_mark.line + 1, key, message))

    def read(self, nodes: Iterable[tuple[str, Node, Callable[[], Any]]]) -> Iterator[Any]:
        """Yield what each reads, given as (key, node, function); where it raises WrongLimitError, keep that."""
        for key, node, function in nodes:
            try:
                yield function()
            except WrongLimitError as error:
                self.add(node, key, error.problem)


class _Pair(NamedTuple):
    name: str
    key: Node
    value: Node


def limits_of(root: Node, found: Found) -> Iterator[tuple[int, Limit]]:
    """Yield the limits that are well-formed, each with its line; what is wrong goes to `found`."""
    if _kind(root) != "map":
        found.add(root, "", f"the file is not a mapping; {_FORM}")
        return
    before = len(found.problems)
    pairs = list(_pairs(root, "", ("limits",), found))
    if not pairs and len(found.problems) == before:
        found.add(root, "", f"there are no limits; {_FORM}")
    names: dict[str, str] = {}
    for pair in pairs:
        if _kind(pair.value) != "seq":
            found.add(pair.value, "limits", f"this is not a list; {_FORM}")
            continue
        for position, node in enumerate(pair.value.value):
            limit = _entry(node, f"limits[{position}]", names, found)
            if limit is not None:
                yield node.start_mark.line + 1, limit


def is_ambiguous(per: str) -> bool:
    """Tell whether a subject must be in quotes to be taken for an attribution key."""
    return per not in SUBJECTS and (per.lower() in SUBJECTS or bool(taken_for(per.lower())))


def _entry(node: Node, key: str, names: dict[str, str], found: Found) -> Limit | None:
    kind = _kind(node)
    if kind == "map":
        return _limit(node, key, names, found)
    if kind in {"seq", "null"}:
        found.add(node, key, f"there is no limit here; {_EACH}")
        return None
    try:
        limit = parse_limit(node.value)
    except WrongLimitError as error:
        found.add(node, f"{key}.{error.key}", error.problem)
        return None
    if limit.name is not None:
        _check_name(limit.name, names, node, key, found)
    return limit


def _limit(node: Node, key: str, names: dict[str, str], found: Found) -> Limit | None:
    before = len(found.problems)
    nodes = {pair.name: pair.value for pair in _pairs(node, key, tuple(_READERS), found)}
    if "amount" not in nodes and len(found.problems) == before:
        found.add(node, f"{key}.amount", "there is none; write for example 'amount: 50000'")
    values = {name: _field(name, value, f"{key}.{name}", found) for name, value in nodes.items()}
    if isinstance(values.get("name"), str):
        _check_name(values["name"], names, nodes["name"], key, found)
    if len(found.problems) > before:
        return None
    amount: Amount = values.pop("amount")
    try:
        return Limit(amount.value, amount.unit(values.pop("unit", "")), **values)
    except WrongLimitError as error:
        found.add(nodes.get(error.key.partition(".")[0], node), f"{key}.{error.key}", error.problem)
        return None


def _check_name(name: str, names: dict[str, str], node: Node, key: str, found: Found) -> None:
    other = names.setdefault(name, key)
    if other != key:
        found.add(node, f"{key}.name", f"{name!r} is the name of {other}, too; give each limit its own")


def _field(name: str, node: Node, key: str, found: Found) -> Any:
    before = len(found.problems)
    try:
        value = _READERS[name](node, key, found)
        if name not in _NOT_ALONE and len(found.problems) == before:
            Limit(1, **{name: value})
    except WrongLimitError as error:
        found.add(node, key, error.problem)
        return None
    return value


def _kind(node: Node) -> str:
    return node.tag.removeprefix(_TAG)


def _pairs(node: Node, key: str, known: tuple[str, ...], found: Found) -> Iterator[_Pair]:
    """Yield the entries of a mapping under known keys (any, if none are known), each key once."""
    seen: set[str] = set()
    for key_node, value in node.value:
        name = str(key_node.value) if _is_scalar(key_node) else ""
        place = f"{key}.{name}" if key else name
        if known and name not in known:
            found.add(key_node, place, f"{name!r} is not known; {suggestion(name, known)}")
        elif not known and _kind(key_node) != "str":
            found.add(key_node, place, _not_a_word(key_node))
        elif name in seen:
            found.add(key_node, place, "this key is given already; drop one of the two")
        else:
            seen.add(name)
            yield _Pair(name, key_node, value)


def _is_scalar(node: Node) -> bool:
    return isinstance(node.value, str)


def _not_a_word(node: Node) -> str:
    kind = _kind(node)
    if kind == "null":
        return "there is no value; give one, or drop this key"
    if not _is_scalar(node):
        return "this is a list or a mapping; give a single value"
    return f"{node.value!r} is read as {_READ_AS.get(kind, kind)} by YAML; put it in quotes if it is meant as a word"


def _word(node: Node, *_: object) -> str:
    if _kind(node) != "str":
        raise WrongLimitError(key="word", problem=_not_a_word(node))
    return str(node.value)


def _number_or_word(node: Node, *_: object) -> str:
    return str(node.value) if _kind(node) in {"int", "float"} else _word(node)


def _amount(node: Node, *_: object) -> Amount:
    amount = read_amount(_number_or_word(node))
    if amount.rest.strip():
        problem = f"{amount.rest.strip()!r} is more than an amount; write the unit as 'unit:', or the whole as one text"
        raise WrongLimitError(key="amount", problem=problem)
    Limit(amount.value)
    return amount


def _unit(node: Node, *_: object) -> str:
    word = _word(node)
    if not word.strip():
        raise WrongLimitError(key="unit", problem="there is no value; give one, or drop this key")
    Amount(1, "", "").unit(word)
    return word


def _per(node: Node, key: str, found: Found) -> str | tuple[str, ...]:
    if _kind(node) == "seq":
        nodes = [(f"{key}[{at}]", one, partial(_word, one)) for at, one in enumerate(node.value)]
        return tuple(found.read(nodes))
    word = _word(node)
    if getattr(node, "style", None) or not is_ambiguous(word):
        return word
    if word.lower() in SUBJECTS:
        return word.lower()
    meant = taken_for(word.lower())
    way_out = f"window: {meant}" if meant in CALENDAR else meant
    problem = f"{word!r} is no subject; did you mean {way_out!r}? (an attribution key of that name goes in quotes)"
    raise WrongLimitError(key="per", problem=problem)


def _window(node: Node, *_: object) -> str | float:
    if _kind(node) in {"int", "float"}:
        return parse_wait(node.value)
    return _word(node)


def _where(node: Node, key: str, found: Found) -> dict[str, Any]:
    if _kind(node) != "map":
        raise WrongLimitError(key="where", problem="this is not a mapping; write {tenant: free-*} or the like")
    pairs = list(_pairs(node, key, (), found))
    return dict(found.read((f"{key}.{pair.name}", pair.value, partial(_patterns, pair)) for pair in pairs))


def _patterns(pair: _Pair) -> tuple[str, list[str]]:
    nodes = pair.value.value if _kind(pair.value) == "seq" else [pair.value]
    patterns = [_word(node) for node in nodes]
    Limit(1, where={pair.name: patterns})
    return pair.name, patterns


def _at(node: Node, key: str, found: Found) -> dict[float, list[str]]:
    if _kind(node) != "map" or not node.value:
        raise WrongLimitError(
            key="at", problem="this is not a mapping of shares to actions; write {80%: warn, 100%: block}"
        )
    at: dict[float, list[str]] = {}
    for key_node, value in node.value:
        place = f"{key}.{key_node.value}" if _is_scalar(key_node) else key
        for share, actions in found.read([(place, key_node, partial(_threshold, key_node, value))]):
            if share in at:
                found.add(key_node, place, "this share is given already; write a list of actions")
            at[share] = actions
    return at


def _threshold(key_node: Node, value: Node) -> tuple[float, list[str]]:
    share = parse_share("at", _number_or_word(key_node))
    actions = [_word(node) for node in (value.value if _kind(value) == "seq" else [value])]
    for action in actions:
        parse_action(action)
    # With a window, so that every action has its sense.
    Limit(1, window=1, at={share: actions})
    return share, actions


def _flag(node: Node, *_: object) -> bool:
    if _kind(node) != "bool":
        raise WrongLimitError(
            key="flag", problem="this is neither true nor false; write one of the two, without quotes"
        )
    return str(node.value).lower() in {"true", "yes", "on"}


_READERS: Final[Mapping[str, Callable[[Any, str, Found], Any]]] = MappingProxyType(
    {
        "name": _word,
        "amount": _amount,
        "unit": _unit,
        "per": _per,
        "window": _window,
        "timezone": _word,
        "where": _where,
        "at": _at,
        "strict": _flag,
        "shadow": _flag,
        "wait": lambda node, *_: parse_wait(_number_or_word(node)),
        "unpriced": _word,
        "pace": lambda node, *_: parse_share("pace", _number_or_word(node)),
    }
)
