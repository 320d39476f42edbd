"""The words a provider file is written in: surfaces, answers, events. Data only; the engine does the work.

A *surface* is one endpoint of a provider: which operation it is, what to read of the request, of the
answer, and of a stream's events. Values are found by dotted paths (`tracetoll.reading`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from tracetoll.reading import Path, count, dig, elements, encodable, get, path, text, view
from tracetoll_semconv import attributes as a

if TYPE_CHECKING:
    from tracetoll.usage import UsageMap

AttributeValue = str | bool | int | float | tuple[str, ...]
Convert = Callable[[Any], AttributeValue | None]


# --- what is read of a request --------------------------------------------------------------


def as_text(value: Any) -> str | None:
    """Return a non-empty string as it is."""
    return text(value)


def as_int(value: Any) -> int | None:
    """Return an integer as it is."""
    return value if type(value) is int else None


def as_count(value: Any) -> int | None:
    """Return a count of tokens, which some providers tell as a float; None for what is none, such as -1 for no cap."""
    return count(value)


def as_float(value: Any) -> float | None:
    """Return a number as a float."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def as_texts(value: Any) -> tuple[str, ...] | None:
    """Return a string, or a list of strings, as a tuple."""
    if isinstance(value, str):
        return (encodable(value),)
    found = tuple(encodable(one) for one in elements(value) if isinstance(one, str))
    return found or None


def as_true(value: Any) -> bool | None:
    """Return True for true; upstream sets such attributes only then."""
    return True if value is True else None


def more_than_one(value: Any) -> int | None:
    """Return an integer unless it is 1, which upstream leaves out."""
    return value if type(value) is int and value != 1 else None


def unless_auto(value: Any) -> str | None:
    """Return a non-empty string unless it is "auto", which upstream leaves out."""
    return text(value) if value != "auto" else None


def as_output_type(value: Any) -> str | None:
    """Return upstream's output type for a response format: text or json; it may be a media type."""
    if not isinstance(value, str):
        return None
    if value.removeprefix("application/").startswith("json"):
        return "json"
    return "text" if value in ("text", "text/plain") else None


# A rule is an attribute and how a value becomes one, or a table for a nested object.
Request = Mapping[str, "tuple[str, Convert] | Request"]

_ASKED: Final[Mapping[str, tuple[str, Convert]]] = {
    "max_tokens": (a.GEN_AI_REQUEST_MAX_TOKENS, as_count),
    "temperature": (a.GEN_AI_REQUEST_TEMPERATURE, as_float),
    "top_p": (a.GEN_AI_REQUEST_TOP_P, as_float),
    "top_k": (a.GEN_AI_REQUEST_TOP_K, as_count),
    "stop": (a.GEN_AI_REQUEST_STOP_SEQUENCES, as_texts),
    "seed": (a.GEN_AI_REQUEST_SEED, as_int),
    "frequency_penalty": (a.GEN_AI_REQUEST_FREQUENCY_PENALTY, as_float),
    "presence_penalty": (a.GEN_AI_REQUEST_PRESENCE_PENALTY, as_float),
    "choices": (a.GEN_AI_REQUEST_CHOICE_COUNT, more_than_one),
    "output_type": (a.GEN_AI_OUTPUT_TYPE, as_output_type),
    "reasoning": (a.GEN_AI_REQUEST_REASONING_LEVEL, as_text),
    "dimensions": (a.GEN_AI_EMBEDDINGS_DIMENSION_COUNT, as_int),
    "encoding_formats": (a.GEN_AI_REQUEST_ENCODING_FORMATS, as_texts),
}


def asked(told: str) -> dict[str, Any]:
    """Return the table of a request from the names that the wire has for what most providers can be asked.

    `told` has words such as `seed`, where the wire has our name, and `max_tokens=config.maxTokens`, where it has
    another, perhaps inside an object. A name of ours may be there several times.
    """
    table: dict[str, Any] = {}
    for word in told.split():
        ours, _, wire = word.partition("=")
        *above, last = path(wire or ours)
        within = table
        for key in above:
            within = within.setdefault(key, {})
        within[last] = _ASKED[ours]
    return table


# --- how a finish reason is told ------------------------------------------------------------


class Finish(Protocol):
    """Finds the finish reasons of an answer or an event; one per choice, by the choice's position."""

    def read(self, node: object, into: dict[int, str]) -> None:
        """Add the reasons in `node` to `into`."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Choices:
    """A list of choices, each with an `index` and its own reason, in upstream's words where `values` has them."""

    at: str = "choices"
    reason: str = "finish_reason"
    values: Mapping[str, str] = field(default_factory=dict)
    not_yet: str = ""
    """The reason of a choice that goes on."""

    def read(self, node: object, into: dict[int, str]) -> None:
        """Add the reason of each choice that has one."""
        for position, choice in enumerate(elements(get(node, self.at))):
            told = view(choice)
            reason = told.get(self.reason)
            if reason is not None and isinstance(reason, str) and reason != self.not_yet:
                reason = self.values.get(reason) or encodable(reason)
                index = told.get("index")
                into[index if type(index) is int else position] = reason


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Reason:
    """One reason for the whole answer, in upstream's words where `values` has a translation."""

    at: Path
    values: Mapping[str, str] = field(default_factory=dict)

    def read(self, node: object, into: dict[int, str]) -> None:
        """Set the one reason."""
        reason = text(dig(node, self.at))
        if reason is not None:
            into[0] = self.values.get(reason, reason)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Status:
    """A status that tells how the answer ended, with a list of output items that may be tool calls."""

    values: Mapping[str, str]
    status: str = "status"
    reason: Path = ()
    reasons: Mapping[str, str] = field(default_factory=dict)
    output: str = "output"
    tool_calls: frozenset[str] = frozenset()

    def read(self, node: object, into: dict[int, str]) -> None:
        """Set the one reason: the status's translation, or that of the reason beside it."""
        found = self.values.get(text(get(node, self.status)) or "")
        if found is None:
            return
        because = text(dig(node, self.reason)) if self.reason else None
        if because is not None:
            found = self.reasons.get(because, because)
        elif found == "stop" and any(get(item, "type") in self.tool_calls for item in elements(get(node, self.output))):
            found = "tool_calls"
        into[0] = found


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class OneOf:
    """Several ways, of which an answer knows one: a surface that speaks the formats of several providers."""

    ways: tuple[Finish, ...]

    def read(self, node: object, into: dict[int, str]) -> None:
        """Add the reasons that any of the ways finds."""
        for way in self.ways:
            way.read(node, into)


# --- answers and events ---------------------------------------------------------------------

PENDING: Final = frozenset(
    {
        *("queued", "in_progress", "validating", "finalizing", "requires_action", "cancelling"),
        *("CREATED", "IN_PROGRESS"),  # Fireworks' batches
        *("starting", "processing"),  # Replicate
    }
)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Provider:
    """Where an answer names its provider, and what we call the providers of those names."""

    at: Path
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Answer:
    """Where an answer, or a part of it, says what. An empty name means: not told here.

    `usage` has the paths that are tried in turn; an empty path is the answer itself.
    """

    id: str = "id"
    model: str = "model"
    usage: tuple[Path, ...] = (("usage",),)
    """Where the usage object may be: the first that is there counts; () is the answer itself."""
    usage_map: UsageMap | None = None
    """How to read usage here, where that is not the surface's way."""
    finish: Finish | None = None
    metered: str = ""
    """Where whoever serves the model says what they have metered; see `Surface.metered`."""
    error: Path = ()
    failed: str = ""
    """What is true where the answer is an error; then the first of `codes` that is there tells which."""
    codes: tuple[str, ...] = ()
    status: str = ""
    pending: frozenset[str] = PENDING
    """The statuses of an answer that is not finished."""
    attributes: Request = field(default_factory=dict)
    provider: Provider | None = None
    model_in: str = ""
    """An object, or a list whose elements tell the model under the name `model`; the last one that does counts."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Part:
    """An event that carries (a part of) the answer: where in it, and in which shape (None: the surface's)."""

    at: Path = ()
    answer: Answer | None = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Events:
    """How a stream tells its answer. `kind` names the key of the event's type; None: every chunk is a part."""

    kind: str | None = None
    parts: Mapping[str, Part] = field(default_factory=dict)
    errors: Mapping[str, Path] = field(default_factory=dict)
    otherwise: Part | None = None
    """What an event is whose type is not listed, or that has none."""
    usage_on_request: str | None = None
    """The request field that makes the provider send usage in a stream, as `field.flag`."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Surface:
    """One endpoint. `usage` None: the provider reports no tokens here, which is then no gap.

    `billed`: "now" with this answer; "later": the answer may still be pending, and a later fetch of the
    same id has the usage; "fetched": this is that fetch (upstream: the same numbers are not reported
    again), it counts only what this process saw pending and what then turned out to be done.
    """

    operation: str
    usage: UsageMap | None = None
    metered: UsageMap | None = None
    """How to read what whoever serves the model has metered, in the response's headers or at `Answer.metered`: it
    stands for what the answer itself does not tell."""
    usage_if: Path | None = None
    """The field of a request that makes the provider report usage; where it is not set, missing usage is no gap.
    An empty path: missing usage never is one, whoever serves the model decides."""
    request: Request = field(default_factory=dict)
    answer: Answer = field(default_factory=Answer)
    events: Events | None = None
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    output_caps: tuple[str, ...] = ()
    """Fields of a request that cap its output (dotted paths); the provider's own first, last what hosts know that
    are compatible with it."""
    adds_cap: bool = True
    """Whether a request without a cap may be given one: it is known which of these fields this model takes."""
    choices: Path = ("n",)
    """The field of a request that tells how many answers are wanted, each as long as the cap."""
    longest_answers: Mapping[str, int] = field(default_factory=dict)
    """The longest answer of models, in tokens, by patterns of their names; the first that fits counts."""
    content: str | None = None
    billed: Literal["now", "later", "fetched"] = "now"
    grows: bool = False
    """Usage is that of everything under the answer's id so far, such as a session's: what is new of it is billed, and
    what is fetched counts where this process saw it made."""
    line: Surface | None = None
    """The answer is a file of lines, each a call of its own that was made earlier: its surface."""
    line_at: Path = ()
    """Where in a line its answer stands."""
    lines: Path = ()
    """Where in the answer such lines stand, if it is no file."""
    metrics: bool = True
    """Whether this counts as a model operation in metrics (counting tokens does not)."""
    batch: bool = False
    """Whether these calls are made in a batch, which has prices of its own."""
    inference: bool = True
    """Whether upstream's inference counters apply (they do not to embeddings or moderation)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Stainless:
    """An SDK whose clients pass everything through one `request` method (see design: seams).

    `surfaces` is keyed by "METHOD /path/{placeholder}"; `error_codes` are the paths on an exception where
    the provider's own code may stand; `classes` maps a client class to a provider where the host is silent.
    """

    name: str
    module: str
    provider: str
    surfaces: Mapping[str, Surface]
    error_codes: tuple[Path, ...] = ()
    classes: Mapping[str, str] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    """What a provider is called that is reached through this SDK, where its host has several names."""
    own_spans: str | None = None
    """Function of the client module that starts the SDK's own span for a call: ours replaces it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Observed:
    """A method of an SDK that events of a connection pass through; some of them are answers (see `answers`).

    `modules` are tried in turn: the place has moved between versions. Without `classes`, `method` is a function of
    these modules. An event is what the method returns, or the last argument it is given, as `reads` says. `answers`
    maps an event's `type` to where in it the answer stands, and the answer's surface; `models` does so for the model
    in use, which the provider tells once: per connection, or per `session`, where an event tells that it belongs to
    one. Not `typed`: events have no type, and `answers` maps a field that only such an event has. `connects` is a
    method of the same modules, "Class.method", whose argument `model` names the model of the connections that are
    made in its context, where the provider does not tell it.
    """

    name: str
    modules: tuple[str, ...]
    classes: tuple[str, ...] = ()
    method: str
    provider: str
    answers: Mapping[str, tuple[Path, Surface]]
    models: Mapping[str, Path] = field(default_factory=dict)
    typed: bool = True
    connects: str = ""
    reads: Literal["result", "argument"] = "result"
    session: Path = ()


Seam = Stainless | Observed


def paths(*dotted: str) -> tuple[Path, ...]:
    """Return several paths."""
    return tuple(path(one) for one in dotted)
