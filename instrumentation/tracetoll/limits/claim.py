"""A claim: what one call asks of the limits that apply to it, from before it is sent until it has settled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tracetoll.limits.rules import Asked, Need

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tracetoll.call import Call
    from tracetoll.ledgers.protocol import Line, Output
    from tracetoll.limits.estimate import Size
    from tracetoll.limits.kinds import Kind, Wants
    from tracetoll.limits.rules import Ruled
    from tracetoll.pricing import TextRates
    from tracetoll.signals import Standing

    Event = tuple[str, Standing, Mapping[str, Any]]

EXACT_UNTIL: Final = 16
"""How many events of a stream are looked at one by one, where no limit may cut it: nobody has to know exactly then."""
SKIPPED: Final = 7
"""After that, an event whose number has none of these bits stands for those that were skipped before it."""
_NOTHING: Final[Mapping[str, Any]] = {}


class Claim:
    """The state of one call's limits. Nothing of it that changes is shared between calls."""

    __slots__ = (
        "applied",
        "before",
        "body",
        "call",
        "cap",
        "cap_field",
        "changes",
        "characters",
        "choices",
        "chunks",
        "exact_until",
        "fits",
        "fullest",
        "granted_output",
        "input",
        "kind",
        "later",
        "lines",
        "output",
        "own",
        "rates",
        "renewed",
        "rerouted_from",
        "reservation",
        "settled",
        "size",
        "tightest",
        "usual_output",
        "waited_s",
        "waiting",
        "wants",
        "watching",
        "window",
    )

    # What is empty for nearly every call is a shared empty value, to be replaced rather than added to.
    def __init__(self, call: Call, body: Any) -> None:
        self.call = call
        self.body = body
        self.kind: Kind
        self.own: Sequence[Ruled] = ()
        """Limits of this call alone."""
        self.fits = False
        """Whether it is known already that the call fits into those of this call alone."""
        self.applied: Sequence[Ruled] = ()
        """Limits with accounts, in the order of `lines`."""
        self.lines: Sequence[Line] = ()
        self.wants: Wants
        """What these limits want of the call, beside being asked."""
        self.size: Size
        self.input: int
        """How many tokens the input will probably be."""
        self.before: int
        """How many of them the provider keeps of earlier answers."""
        self.usual_output: int
        """How many tokens answers usually have."""
        self.choices: int
        self.rates: TextRates | None
        """None: the price is unknown, or nobody asked for it."""
        self.window: int | None
        """How many tokens the model's context window has."""
        self.output: Output
        self.cap: int | None
        """The cap that the application gave the answer."""
        self.cap_field: str | None
        """The field of the request that caps the output; None: there is none."""
        self.changes = _NOTHING
        """Fields of the request to be sent with other values."""
        self.rerouted_from: str | None = None
        self.later: Sequence[Event] = ()
        """Events to tell as soon as the call has a span."""
        self.reservation: int | str | None = None
        self.granted_output = 0
        self.waiting = False
        """Whether the call has to wait for room."""
        self.waited_s = 0.0
        self.watching = False
        """Whether a limit may cut this call's stream."""
        self.characters = self.chunks = 0
        """Characters in the events of a stream, or pieces of its bytes, that were looked at; how many came."""
        self.exact_until: float = EXACT_UNTIL
        self.renewed = call.started
        self.settled = False
        self.tightest: Standing | None = None
        """The limit that did something about this call."""
        self.fullest: tuple[Ruled, int] | None = None
        """The limit whose account is fullest, and what is spent of it; told where no limit did anything."""

    @property
    def need(self) -> Need:
        """Return what the call takes, as far as it can be known before."""
        bound = self.size.bound + self.before
        return Need(self.input, bound, self.usual_output, self.choices, self.rates, self.window)

    @property
    def asked(self) -> Asked:
        """Return what the application asked for, as far as it decides how the call can be held."""
        return Asked(self.cap is not None, self.cap_field is not None, self.call.streaming)

    @property
    def text(self) -> int:
        """Return how many characters of text a stream has brought; of a long one about how many."""
        chunks = self.chunks
        if chunks <= self.exact_until:
            return self.characters
        step = SKIPPED + 1
        return self.characters * chunks // (EXACT_UNTIL + chunks // step - EXACT_UNTIL // step)

    def change(self, field: str, value: object) -> None:
        """Have a field of the request sent with another value."""
        self.changes = {**self.changes, field: value}

    def tell(self, event: str, standing: Standing, more: Mapping[str, Any]) -> None:
        """Note an event to be told as soon as the call has a span."""
        self.later = (*self.later, (event, standing, more))
