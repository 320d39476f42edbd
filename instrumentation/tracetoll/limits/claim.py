"""A claim: what one call asks of the limits that apply to it, from before it is sent until it has settled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tracetoll.ledgers.protocol import Output
from tracetoll.limits.rules import Asked, Need
from tracetoll.reading import dig

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tracetoll.call import Call
    from tracetoll.ledgers.protocol import Line
    from tracetoll.limits.kinds import Kind, Place, Plan, Wants
    from tracetoll.limits.rules import Ruled
    from tracetoll.limits.sizes import Size
    from tracetoll.pricing import TextRates
    from tracetoll.signals import Standing

    Event = tuple[str, Standing, Mapping[str, Any]]

LEAST_OUTPUT: Final = 16
"""The lowest cap that is worth a call; the Responses API takes none below it."""
LONGEST_UNKNOWN: Final = 4096
"""The cap given to an uncapped call of a model whose longest answer is unknown: every chat model takes it."""
_EXACT_UNTIL: Final = 16
"""How many events of a stream are looked at one by one, where no limit may cut it: nobody has to know exactly then."""
_SKIPPED: Final = 8
"""After that, each that is looked at stands for so many."""
_UNMEASURED: Final = 32
"""The same where the text is not counted: often enough to renew the lease of a stream that takes so long."""
_THINKING: Final = ("thinking", "budget_tokens")
_NOTHING: Final[Mapping[str, Any]] = {}


class Claim:
    """The state of one call's limits. Nothing of it that changes is shared between calls.

    What is set here is what most calls leave as it is; `Claims.fill` sets the rest. What not every call needs is
    made when it is asked for.
    """

    __slots__ = (
        "_lines", "_output", "applied", "before", "body", "call", "cap", "cap_field", "changes", "characters",
        "choices", "chunks", "fits", "fullest", "granted_output", "input", "kind", "later", "look_at", "looked",
        "measured", "own", "place", "plan", "raw", "renewed", "rerouted_from", "reservation", "settled", "size",
        "tightest", "usual_output", "waited_s", "waiting", "watching", "window",
    )  # fmt: skip

    kind: Kind
    place: Place
    plan: Plan
    own: Sequence[Ruled]
    """Limits of this call alone."""
    applied: Sequence[Ruled]
    """Limits with accounts, in the order of `lines`."""
    size: Size
    input: int
    """How many tokens the input will probably be."""
    usual_output: int
    """How many tokens answers usually have."""
    choices: int
    cap: int | None
    """The cap that the application gave the answer."""
    cap_field: str | None
    """The field of the request that caps the output; None: there is none."""

    def __init__(self, call: Call, body: Any) -> None:
        self.call = call
        self.body = body
        self.renewed = call.started
        self.fits = True
        """Whether it is known already that the call fits into those of this call alone."""
        self.before = 0
        """How many tokens of the input the provider keeps of earlier answers."""
        self.window: int | None = None
        """How many tokens the model's context window has."""
        self.changes = _NOTHING
        """Fields of the request to be sent with other values. Replaced rather than added to, as `later`."""
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
        self.chunks = 0
        """How many events of a stream have come, or pieces of its bytes."""
        self.look_at = 0
        """Which of them is looked at next."""
        self.measured = False
        """Whether the text in those that are looked at is counted."""
        self.raw = False
        """Whether they are pieces of bytes: how many tokens there are in one tells nothing about the next."""
        self.characters = self.looked = 0
        """How much text there was in how many of them."""
        self.settled = False
        self.tightest: Standing | None = None
        """The limit that did something about this call."""
        self.fullest: tuple[Ruled, int] | None = None
        """The limit whose account is fullest, and what is spent of it; told where no limit did anything."""
        self._lines: Sequence[Line] | None = None
        self._output: Output | None = None

    def start_over(self) -> None:
        """Forget what was made of the call's numbers: they have changed."""
        self._lines = self._output = None

    @property
    def lines(self) -> Sequence[Line]:
        """Return what the call takes of each account."""
        lines = self._lines
        if lines is None:
            _, _, most = self.size
            most += self.before
            lines = self._lines = self.plan.lines(self.place.accounts, self.input, most, self.usual_output)
        return lines

    @lines.setter
    def lines(self, lines: Sequence[Line]) -> None:
        self._lines = lines

    @property
    def output(self) -> Output:
        """Return how many tokens of output the call wants."""
        output = self._output
        if output is None:
            output = self._output = self._wanted()
        return output

    @output.setter
    def output(self, output: Output) -> None:
        self._output = output

    def _wanted(self) -> Output:
        caps = self.wants.caps
        wanted, least = self.usual_output, LEAST_OUTPUT
        if self.cap is not None:
            wanted = self.cap
        elif caps and self.cap_field is not None:
            wanted = self.kind.longest or LONGEST_UNKNOWN
        if caps:
            thinking = dig(self.body, _THINKING)
            if type(thinking) is int:
                least += thinking  # a lower cap than this is refused by the provider
        least = min(least, wanted)
        return Output(wanted, min(wanted, max(self.usual_output, least)), least)

    @property
    def wants(self) -> Wants:
        """Return what these limits want of the call, beside being asked."""
        return self.place.group.wants

    @property
    def rates(self) -> TextRates | None:
        """Return the prices that hold for the call; None: they are unknown, or nobody asked for them."""
        return self.plan.rates

    @property
    def need(self) -> Need:
        """Return what the call takes, as far as it can be known before."""
        _, _, bound = self.size
        return Need(self.input, bound + self.before, self.usual_output, self.choices, self.rates, self.window)

    @property
    def asked(self) -> Asked:
        """Return what the application asked for, as far as it decides how the call can be held."""
        capped, cappable = self.cap is not None, self.cap_field is not None
        return Asked(capped, cappable, self.call.streaming, cappable and not capped and self.wants.caps)

    @property
    def text(self) -> int:
        """Return how many characters of text a stream has brought; of a long one about how many."""
        return self.characters * self.chunks // self.looked if self.looked else 0

    def follow(self, *, measured: bool, watching: bool = False) -> None:
        """Follow the call's stream: count its text, and look at each of its events, if a limit may cut it."""
        self.measured, self.watching = measured, watching
        self.chunks = 0  # an attribute of its own is faster to count with
        self.look_at = 1 if measured else _UNMEASURED

    def follow_bytes(self) -> None:
        """Follow the call's stream by pieces of its bytes."""
        self.raw = True
        self.follow(measured=True, watching=self.watching)

    def look_after(self, chunk: int) -> None:
        """Find out what to look at after an event."""
        if not self.measured:
            self.look_at = chunk + _UNMEASURED
        elif chunk < _EXACT_UNTIL or self.watching:
            self.look_at = chunk + 1
        else:
            self.look_at = chunk + _SKIPPED

    def change(self, field: str, value: object) -> None:
        """Have a field of the request sent with another value."""
        self.changes = {**self.changes, field: value}

    def tell(self, event: str, standing: Standing, more: Mapping[str, Any]) -> None:
        """Note an event to be told as soon as the call has a span."""
        self.later = (*self.later, (event, standing, more))
