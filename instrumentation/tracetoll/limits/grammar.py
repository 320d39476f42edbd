"""How the text of one limit is read, clause by clause; the grammar stands in tracetoll.limits.text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tracetoll.limits.limit import ACTIONS, SUBJECTS, UNPRICED, WrongLimitError, suggestion
from tracetoll.limits.near import nearest
from tracetoll.limits.numbers import parse_share, parse_wait, read_amount
from tracetoll.limits.windows import CALENDAR, LIFE
from tracetoll.limits.words import Words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tracetoll.limits.words import Word

_FIRST_OF_TWO: Final = frozenset({"input", "output", "context"})

_Found = dict[str, Any]


def read_limit(text: str) -> dict[str, Any]:
    """Return the arguments for Limit that a text gives; WrongLimitError if it is malformed."""
    if not text:
        raise WrongLimitError(key="amount", problem="there is none; write for example '50000 tokens per trace'")
    amount = read_amount(text)
    words = Words(amount.rest)
    unit = _unit(words)
    if not unit and not amount.sign:
        problem = f"there is none after {text!r}" if words.ended else f"there is none before {words.next.text!r}"
        raise WrongLimitError(key="unit", problem=f"{problem}; write for example '50000 tokens per trace'")
    found: _Found = {"amount": amount.value, "unit": amount.unit(unit)}
    while not words.ended:
        _clause(words, found)
    return found


def _unit(words: Words) -> str:
    for filler in ("of", "the"):
        if words.next.keyword == filler:
            words.take()
    if words.ended or words.next.keyword in KEYWORDS:
        return ""
    first = words.take().text
    two = first.lower() in _FIRST_OF_TWO and not words.ended and words.next.keyword not in KEYWORDS
    return f"{first} {words.take().text}" if two else first


def _clause(words: Words, found: _Found) -> None:
    word = words.take()
    read = _CLAUSES.get(word.keyword)
    if read is None:
        hint = "put text with special characters in double quotes" if word.is_mark else suggestion(word.text, KEYWORDS)
        raise WrongLimitError(key="limit", problem=f"{word.text!r} is not expected here; {hint}")
    read(words, found, word.keyword)


def _put(found: _Found, key: str, value: Any) -> None:
    if key in found:
        shown = key if value is True else value
        raise WrongLimitError(key=key, problem=f"{shown!r} is one too many, it is given already; drop one of the two")
    found[key] = value


def _value(words: Words, key: str, example: str) -> Word:
    if words.ended:
        raise WrongLimitError(
            key=key, problem=f"there is nothing at the end of the text; write for example {example!r}"
        )
    word = words.take()
    if word.is_mark or word.keyword in KEYWORDS:
        problem = f"{word.text!r} stands where a value is wanted; write for example {example!r}, or put it in quotes"
        raise WrongLimitError(key=key, problem=problem)
    return word


def _per(words: Words, found: _Found, _: str) -> None:
    example = "per user.id per day"
    if words.next.text == "(" and words.next.is_mark:
        _put(found, "per", _tuple(words))
        return
    word = _value(words, "per", example)
    if _is_window(word) or "per" in found:
        _put(found, "window", _window(word, words))
        return
    keys = [word.text]
    while words.skip(","):
        keys.append(_value(words, "per", "per tenant,team").text)
    _put(found, "per", tuple(keys) if len(keys) > 1 else _subject(word))


def _tuple(words: Words) -> tuple[str, ...]:
    words.take()
    keys = [_value(words, "per", "per (tenant, team)").text]
    while words.skip(","):
        keys.append(_value(words, "per", "per (tenant, team)").text)
    if not words.skip(")"):
        at_fault = "the end of the text" if words.ended else repr(words.next.text)
        raise WrongLimitError(key="per", problem=f"the bracket is not closed before {at_fault}; write (tenant, team)")
    return tuple(keys)


def _is_window(word: Word) -> bool:
    return word.keyword in {*CALENDAR, LIFE} or word.keyword[:1].isdigit()


def _window(word: Word, words: Words) -> str:
    # "5 minutes" as well as "5m"
    spelled = word.keyword[:1].isdigit() and not words.ended and words.next.keyword.isalpha()
    return f"{word.text} {words.take().text}" if spelled and words.next.keyword not in KEYWORDS else word.text


def _subject(word: Word) -> str:
    if word.keyword in SUBJECTS:
        return word.keyword
    meant = taken_for(word.keyword)
    if meant:
        problem = (
            f"{word.text!r} is not known; did you mean {meant!r}? (an attribution key of that name goes in quotes)"
        )
        raise WrongLimitError(key="window" if meant in CALENDAR else "per", problem=problem)
    return word.text


def taken_for(word: str) -> str:
    """Return the subject or calendar word which a misspelt one is taken for, rather than for an attribution key."""
    near = nearest(word, tuple(SUBJECTS), 0.85) or nearest(word, CALENDAR, 0.75)
    return "" if word in SUBJECTS else near or ""


def _where(words: Words, found: _Found, _: str) -> None:
    where: dict[str, list[str]] = {}
    example = "where tenant=free-*"
    more = True
    while more:
        key = _value(words, "where", example)
        if not words.skip("=") or key.keyword.endswith("!"):
            problem = f"{key.text!r} is not followed by a pattern; write {key.text.rstrip('!')}=PATTERN, or =!PATTERN"
            raise WrongLimitError(key="where", problem=problem)
        patterns = [_value(words, f"where.{key.text}", example).text]
        while words.skip("|"):
            patterns.append(_value(words, f"where.{key.text}", "where model=gpt-4o*|gpt-5*").text)
        if key.text in where:
            problem = f"{key.text!r} is given twice; write {key.text}=PATTERN|PATTERN"
            raise WrongLimitError(key="where", problem=problem)
        where[key.text] = patterns
        more = words.skip(",")
    _put(found, "where", where)


def _action(words: Words, found: _Found, kind: str) -> None:
    action = f"reroute {' '.join(_models(words))}" if kind == "reroute" else kind
    share = 1.0
    if not words.ended and words.next.keyword == "at":
        words.take()
        share = parse_share("at", _value(words, "at", f"{kind} at 80%").text)
    found.setdefault("at", {}).setdefault(share, []).append(action)


def _models(words: Words) -> Iterator[str]:
    while not words.ended and not words.next.is_mark and words.next.keyword not in KEYWORDS:
        of, to = "*", _model(words)
        if words.skip("="):
            of, to = to, _model(words)
        if "=" in of:
            raise WrongLimitError(key="at", problem=f"{of!r} is no pattern of a model; it has a '=' in it")
        yield f"{of}={to}"


def _model(words: Words) -> str:
    name = _value(words, "at", "reroute gpt-4o=gpt-4o-mini").text
    if not name or any(character.isspace() or character == "," for character in name):
        raise WrongLimitError(key="at", problem=f"{name!r} is no name of a model; it has spaces or commas, or nothing")
    return name


def _at(words: Words, _: _Found, __: str) -> None:
    share = "80%" if words.ended else words.next.text
    raise WrongLimitError(key="at", problem=f"'at' does not follow an action; write for example 'warn at {share}'")


def _unpriced(words: Words, found: _Found, key: str) -> None:
    # Not _value(): two of these words are actions, too.
    word = "" if words.ended else words.take().keyword
    if word not in UNPRICED:
        raise WrongLimitError(key=key, problem=f"{word!r} is not known; {suggestion(word, UNPRICED)}")
    _put(found, key, word)


def _flag(_: Words, found: _Found, key: str) -> None:
    _put(found, key, value=True)


def _one(key: str, example: str, convert: Callable[[str], Any] = str) -> Callable[[Words, _Found, str], None]:
    def read(words: Words, found: _Found, _: str) -> None:
        _put(found, key, convert(_value(words, key, example).text))

    return read


_CLAUSES: Final[Mapping[str, Callable[[Words, _Found, str], None]]] = {
    "per": _per,
    "in": _one("timezone", "in Europe/Berlin"),
    "where": _where,
    **dict.fromkeys(ACTIONS, _action),
    "at": _at,
    "strict": _flag,
    "shadow": _flag,
    "wait": _one("wait", "wait 30s", parse_wait),
    "unpriced": _unpriced,
    "pace": _one("pace", "pace 10%", lambda text: parse_share("pace", text)),
    "named": _one("name", "named free-tier"),
}
KEYWORDS: Final = tuple(_CLAUSES)
