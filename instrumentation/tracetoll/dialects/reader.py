"""Read a span with its emitter's table: what it is, what it used, which answer it is about."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

from tracetoll.dialects.emitters import EMITTERS, TRACETOLL, UNKNOWN
from tracetoll.reading import LARGEST_COUNT, count
from tracetoll.usage import CACHE_READ, CACHE_WRITE, FEMTO_PER_NANO, INPUT, NANO, OUTPUT, REASONING
from tracetoll_semconv import attributes as a

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tracetoll.dialects.words import Aliases, Emitter, Kind

Fields = dict[str, Any]

CALLS: Final = frozenset({"inference", "embedding"})
_SCOPES_KEPT: Final = 1000
_SHAPES_KEPT: Final = 500
_WIDEST_SHAPE_KEPT: Final = 64
_SAID_KEPT: Final = 200
_LONGEST_DOCUMENT: Final = 10_000
_LARGEST_COST: Final = 1e9

# How other emitters call providers → how upstream and we do.
_PROVIDERS: Final[Mapping[str, str]] = {
    "openai": "openai",
    "anthropic": "anthropic",
    "anthropic_llm": "anthropic",
    "aws": "aws.bedrock",
    "az.ai.inference": "azure.ai.inference",
    "az.ai.openai": "azure.ai.openai",
    "azure": "azure.ai.openai",
    "azure_openai": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "google": "gcp.gemini",
    "google_genai": "gcp.gemini",
    "google-gla": "gcp.gemini",
    "google-vertex": "gcp.vertex_ai",
    "mistralai": "mistral_ai",
    "mistral": "mistral_ai",
    "openai_llm": "openai",
    "openai_responses_llm": "openai",
    "together": "together_ai",
    "vertex_ai": "gcp.vertex_ai",
    "vertexai": "gcp.vertex_ai",
    "voyageai": "voyage_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}


class Told:
    """What one span tells. Counts are normalised: input includes cache, output includes reasoning."""

    __slots__ = ("answer", "cost", "counts", "kind", "missing", "model", "provider", "refused", "trust")

    def __init__(self, kind: Kind, trust: int) -> None:
        self.kind: Kind = kind
        self.trust = trust
        """Whose numbers hold where several tell of the same answer: the higher, the rather. Ours have 2."""
        self.counts: dict[str, int] | None = None
        """Usage by the names of `tracetoll.usage`; None: the span tells none."""
        self.cost: int | None = None
        """In 1e-15 USD, as the emitter states it."""
        self.answer: str | None = None
        """The id of the provider's answer: the same id in a trace is the same call."""
        self.provider = ""
        self.model: str | None = None
        self.refused = False
        """Whether a limit kept the call from being sent."""
        self.missing = False
        """Whether the call has no usage where there should be some."""


T = TypeVar("T", bound=Told)


class _Table:
    """An emitter's table, made ready for use."""

    __slots__ = ("emitter", "kinds", "known", "own", "plain", "usage")

    def __init__(self, emitter: Emitter) -> None:
        self.emitter = emitter
        self.own = emitter is TRACETOLL
        self.plain = self.own or not (emitter.reasoning_beside_output or emitter.zeros_are_missing)
        self.kinds = tuple(
            (
                attribute,
                {value: kind for value, kind in values.items() if "*" not in value},
                tuple((value, kind) for value, kind in values.items() if "*" in value),
            )
            for attribute, values in emitter.kinds.items()
        )
        usage = (alias for name in (INPUT, OUTPUT) for alias in emitter.counts.get(name, ()))
        self.usage = frozenset((*usage, *emitter.documents))
        """A span with none of these tells no usage."""
        self.known = frozenset((*emitter.kinds, *self.usage))
        """A span with none of these is none of this emitter's calls, agents or tools."""

    def normalised(self, found: dict[str, int], provider: str) -> dict[str, int] | None:
        """Return counts as ours are; None where they stand for none."""
        emitter = self.emitter
        if emitter.zeros_are_missing and not found.get(INPUT) and not found.get(OUTPUT):
            return None
        cached = found.get(CACHE_READ, 0) + found.get(CACHE_WRITE, 0)
        # An input smaller than its cached part cannot include it, whatever the emitter usually does.
        if cached and (provider in emitter.cache_beside_input or found.get(INPUT, 0) < cached):
            found[INPUT] = found.get(INPUT, 0) + cached
        if emitter.reasoning_beside_output and found.get(REASONING):
            found[OUTPUT] = found.get(OUTPUT, 0) + found[REASONING]
        return found


class Said(NamedTuple):
    """What a span says beside numbers."""

    kind: Kind | None
    """None where it does not say."""
    provider: str = ""
    model: str | None = None


class Shape:
    """What spans of one scope that have the same attributes have in common: which of these to read, with which table.

    An emitter's spans have few shapes, and have few of the names that its table knows.
    """

    __slots__ = (
        "_model", "_provider", "_said", "answer", "as_told", "cost", "counts", "documents", "failed", "kinds",
        "own", "saying", "table", "trust", "usual",
    )  # fmt: skip

    def __init__(self, table: _Table | None, fields: Fields) -> None:
        self.table = table
        """None: such spans are about no model, and nothing else is set."""
        self.usual: dict[Any, Any] = {}
        """By what `saying` reads: what somebody who reads many of these spans has made ready."""
        self.saying: Callable[[Fields], Any] = _nothing
        """Reads the values that decide what such a span says beside numbers."""
        if table is None:
            return
        emitter = table.emitter
        self.own = table.own
        self.trust = emitter.trust
        self.kinds = tuple(row for row in table.kinds if row[0] in fields)
        self.failed = a.ERROR_TYPE in fields
        self.answer = _there(emitter.response, fields)
        self.cost: Aliases = ()
        self.counts: tuple[tuple[str, str, Aliases], ...] | None = None
        """What the span tells of usage: counts, and the attributes that have them; None: nothing."""
        self.documents = tuple(emitter.documents.items())
        self.as_told = table.own
        """Whether counts are normalised as they are told."""
        self._provider: Aliases = ()
        self._model: Aliases = ()
        if not table.usage.isdisjoint(fields):
            counts = ((name, _there(aliases, fields)) for name, aliases in emitter.counts.items())
            self.counts = tuple((name, aliases[0], aliases[1:]) for name, aliases in counts if aliases)
            self.cost = _there(emitter.cost, fields)
            if not table.own:
                self._provider, self._model = _there(emitter.provider, fields), _there(emitter.model, fields)
                cached = any(name in {CACHE_READ, CACHE_WRITE} for name, _, _ in self.counts)
                self.as_told = table.plain and not cached and not self.documents
        saying = (*(attribute for attribute, _, _ in self.kinds), *self._provider, *self._model)
        if saying:
            self.saying = itemgetter(*saying)
        self._said: dict[Any, Said] = {}

    @property
    def told_plainly(self) -> bool:
        """Whether such a call's usage is the first of each alias, as it is, and its answer has one id at most."""
        if self.table is None or self.failed or self.documents or len(self.answer) > 1:
            return False
        if self.counts is None:
            return not self.answer and not self.table.emitter.answers_apart
        return self.as_told

    def said(self, fields: Fields) -> Said:
        """Return what a span says beside numbers."""
        key = self.saying(fields)
        try:
            return self._said[key]
        except KeyError:
            if len(self._said) >= _SAID_KEPT:
                self._said.clear()
            self._said[key] = found = self._say(fields)
            return found
        except TypeError:  # a value that is a mapping
            return self._say(fields)

    def _say(self, fields: Fields) -> Said:
        named, model = _first(fields, self._provider), _first(fields, self._model)
        return Said(
            self._kind(fields),
            (_PROVIDERS.get(named) or _provider(named)) if named.__class__ is str else "",
            model if model.__class__ is str else None,
        )

    def _kind(self, fields: Fields) -> Kind | None:
        for attribute, values, patterns in self.kinds:
            told = fields[attribute]
            if told.__class__ is not str:
                continue
            found = values.get(told)
            if found is not None:
                return found
            for pattern, kind in patterns:
                if fnmatchcase(told, pattern):
                    return kind
        return None


class Reader(Generic[T]):
    """Reads spans of any emitter into what `make` makes. Thread-safe."""

    def __init__(self, make: Callable[[Kind, int], T]) -> None:
        self._make = make
        self._tables = tuple(_Table(emitter) for emitter in EMITTERS)
        self._unknown = _Table(UNKNOWN)
        own = _Table(TRACETOLL)
        self._by_scope: dict[str, _Table | None] = {TRACETOLL.name: own}
        self._by_mark = {mark: table for table in reversed(self._tables) for mark in table.emitter.marks}
        self._marks = frozenset(self._by_mark)
        self.telling = frozenset().union(*(table.known for table in (*self._tables, self._unknown, own)))
        """A span with none of these attributes is about no model."""
        self.answers = frozenset(
            alias for table in (*self._tables, self._unknown, own) for alias in table.emitter.response
        )
        self.shapes: dict[tuple[str, ...], Shape] = {}

    def read(self, scope: str, fields: Fields) -> T | None:
        """Return what a span of some scope and attributes tells; None if it is about no model."""
        if self.telling.isdisjoint(fields):
            return None
        shape = self.shape(scope, fields)
        table = shape.table
        if table is None:
            return None
        kind, provider, model = shape.said(fields)
        if kind == "fetch":
            return None  # the numbers of an answer that was counted when it was made
        told = self._make(kind or "none", shape.trust)
        if shape.counts is not None:
            told.provider, told.model = provider, model
            _read_usage(shape, table, fields, told)
        if kind is None:
            if told.counts is None:
                return None
            told.kind = "none" if shape.own else "inference"
        if told.counts is not None or kind in CALLS:
            _read_answer(shape, table, fields, told)
        return told

    def kind(self, scope: str, fields: Fields) -> Kind | None:
        """Return only what a span is, None as long as it does not say."""
        if self.telling.isdisjoint(fields):
            return None
        shape = self.shape(scope, fields)
        return shape.said(fields).kind if shape.table is not None else None

    def shape(self, scope: str, fields: Fields) -> Shape:
        """Return the shape of a span of some scope and attributes."""
        return self.shapes.get((scope, *fields)) or self._shape(scope, fields)

    def _shape(self, scope: str, fields: Fields) -> Shape:
        """Return the shape of a span that has not been seen before."""
        shape = Shape(self._table(scope, fields), fields)
        if len(fields) <= _WIDEST_SHAPE_KEPT:  # some emitters number their attributes
            if len(self.shapes) >= _SHAPES_KEPT:
                self.shapes.clear()
            self.shapes[(scope, *fields)] = shape
        return shape

    def _table(self, scope: str, fields: Fields) -> _Table | None:
        """Return the table to read a span with; None if it is about no model."""
        try:
            table = self._by_scope[scope]
        except KeyError:
            table = self._of_scope(scope)
        if table is None:
            if not self._marks.isdisjoint(fields):
                return next(self._by_mark[mark] for mark in self._by_mark if mark in fields)
            table = self._unknown
        return None if table.known.isdisjoint(fields) else table

    def _of_scope(self, scope: str) -> _Table | None:
        """Return the table of a scope, None if spans have to be told apart by their attributes."""
        found = next((table for table in self._tables if _is_of(scope, table.emitter)), None)
        if len(self._by_scope) < _SCOPES_KEPT:
            self._by_scope[scope] = found
        return found


def _nothing(_: Fields) -> None:
    return None


def _there(aliases: Iterable[str], fields: Fields) -> Aliases:
    return tuple(alias for alias in aliases if alias in fields)


def _is_of(scope: str, emitter: Emitter) -> bool:
    """Return whether a scope is an emitter's: it is called so, or is below it."""
    return any(
        scope == start or (scope.startswith(start) and not scope[len(start)].isalnum()) for start in emitter.scopes
    )


def _read_usage(shape: Shape, table: _Table, fields: Fields, told: Told) -> None:
    """Read what a span tells of usage and cost."""
    counts: dict[str, int] = {}
    for name, alias, others in shape.counts or ():
        value = fields[alias]
        if value.__class__ is int and 0 <= value <= LARGEST_COUNT:
            counts[name] = value
        elif (number := _first_count(fields, (alias, *others))) is not None:
            counts[name] = number
    for attribute, buckets in shape.documents:
        _read_document(fields.get(attribute), buckets, counts)
    if INPUT not in counts and OUTPUT not in counts:
        return
    told.counts = counts if shape.as_told else table.normalised(counts, told.provider)
    if shape.cost and told.counts is not None:
        told.cost = _femto(_first(fields, shape.cost))
        if not told.cost and not shape.own:
            told.cost = None  # others state 0 where they know no price


def _first_count(fields: Fields, aliases: Aliases) -> int | None:
    numbers = (count(fields[alias]) for alias in aliases)
    return next((number for number in numbers if number is not None), None)


def _read_answer(shape: Shape, table: _Table, fields: Fields, told: Told) -> None:
    """Read which answer a call had, or why there is none."""
    if shape.answer:
        answer = _first(fields, shape.answer)
        if answer.__class__ is str:
            told.answer = answer
    if shape.own:
        told.refused = fields.get(a.CALL_OUTCOME) == "refused"
        told.missing = fields.get(a.USAGE_SOURCE) == "missing"
    elif told.counts is None:
        told.missing = True
        if table.emitter.answers_apart and told.answer is None and not shape.failed:
            told.kind = "none"


def _first(fields: Fields, aliases: Aliases) -> Any:
    for alias in aliases:
        value = fields.get(alias)
        if value is not None:
            return value
    return None


def _provider(told: str) -> str:
    name = told.lower()
    return _PROVIDERS.get(name, name)


def _femto(dollars: object) -> int | None:
    if dollars.__class__ is not float and (isinstance(dollars, bool) or not isinstance(dollars, (int, float))):
        return None
    return round(dollars * NANO) * FEMTO_PER_NANO if 0 <= dollars < _LARGEST_COST else None


def _read_document(document: object, buckets: Mapping[str, tuple[str, ...]], found: dict[str, int]) -> None:
    """Add the counts of a JSON object whose keys are disjoint."""
    if not isinstance(document, str) or len(document) > _LONGEST_DOCUMENT:
        return
    try:
        told = json.loads(document)
    except ValueError:
        return
    if not isinstance(told, dict):
        return
    for name, keys in buckets.items():
        numbers = [number for key in keys if (number := count(_inside(told, key))) is not None]
        if numbers:
            found[name] = sum(numbers)


def _inside(document: Any, path: str) -> Any:
    """Return what stands in a JSON object under a key, or under keys of objects in one another."""
    for key in path.split("."):
        document = document.get(key) if isinstance(document, dict) else None
    return document
