"""A claim: what one call asks of the limits that apply to it, from before it is sent until it has settled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tracetoll.call import Call
    from tracetoll.ledgers.protocol import Line, Output
    from tracetoll.limits.claiming import Kind
    from tracetoll.limits.estimate import Learned, Size
    from tracetoll.limits.rules import Asked, Need, Ruled
    from tracetoll.limits.scope import Scope
    from tracetoll.signals import Standing
    from tracetoll.usage import Usage


class Claim:
    """The state of one call's limits. Nothing of it is shared between calls."""

    __slots__ = (
        "applied",
        "asked",
        "body",
        "call",
        "cap",
        "cap_field",
        "changes",
        "characters",
        "chunks",
        "granted_output",
        "kind",
        "later",
        "learned",
        "lines",
        "need",
        "output",
        "own",
        "renewed",
        "rerouted_from",
        "reservation",
        "scopes",
        "settled",
        "size",
        "special",
        "tightest",
        "trace",
        "waited_s",
        "waiting",
        "watching",
    )

    def __init__(self, call: Call, body: Any, trace: str | None, scopes: tuple[Scope, ...]) -> None:
        self.call = call
        self.body = body
        self.trace = trace
        """The trace that the call is made in, None outside of any."""
        self.scopes = scopes
        self.kind: Kind
        self.own: list[Ruled] = []
        """Limits of this call alone."""
        self.applied: list[Ruled] = []
        """Limits with accounts, in the order of `lines`."""
        self.lines: list[Line] = []
        self.size: Size
        self.learned: Learned
        self.need: Need
        self.output: Output
        self.asked: Asked
        self.cap: int | None = None
        """The cap that the application gave the answer."""
        self.cap_field: str | None = None
        """The field of the request that caps the output; None: there is none."""
        self.changes: dict[str, Any] = {}
        """Fields of the request to be sent with other values."""
        self.rerouted_from: str | None = None
        self.special = False
        """Whether some limit wants more than to be asked: it reroutes, only tells, or minds unknown prices."""
        self.later: list[tuple[str, Standing, Mapping[str, Any]]] = []
        """Events to tell as soon as the call has a span."""
        self.reservation: int | str | None = None
        self.granted_output = 0
        self.waiting = False
        """Whether the call has to wait for room."""
        self.waited_s = 0.0
        self.watching = False
        """Whether a limit may cut this call's stream."""
        self.characters = 0
        self.chunks = 0
        self.renewed = 0.0
        self.settled = False
        self.tightest: Standing | None = None

    def estimates(self, usage: Usage) -> Iterator[tuple[str, int, int]]:
        """Yield (token type, what was estimated, what it was); output only where no cap took its place."""
        if usage.input_tokens is not None:
            yield "input", self.need.input, usage.input_tokens
        if usage.output_tokens is not None and self.cap is None and not self.changes:
            yield "output", self.need.usual_output * self.need.choices, usage.output_tokens
