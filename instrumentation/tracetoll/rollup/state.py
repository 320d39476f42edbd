"""What the roll-up keeps while spans are open: a node per span, and per trace what its spans have in common."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final
from weakref import ref

from opentelemetry.sdk.trace import Span

from tracetoll import usage as u
from tracetoll.dialects.reader import Told
from tracetoll.rollup.totals import add

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan

    from tracetoll.dialects.words import Kind
    from tracetoll.rollup.calls import Run
    from tracetoll.rollup.foreign import Behalf
    from tracetoll.rollup.totals import Total

ENDED_KEPT: Final = 128
"""How many ended spans of a trace are remembered at least, and half of how many at most; beside the usual calls."""
_LATEST_KEPT: Final = 64
"""How many of its usual calls are remembered at least."""
_RUNS_COUNTED: Final = 16
"""After how many more spans with such calls below it is looked at how many they are, where each has few."""
_ANSWERS_KEPT: Final = 5_000
"""How many answers of its calls are remembered at least, and half of how many at most; fewer where traces are many."""
_NUMBERS_KEPT: Final = 256
_ALIKE_KEPT: Final = 16
_SCOPES_KEPT: Final = 100
_SEVERAL: Final = "several, and no scope is called so"

_NONE: Final[Total] = {}
_NOTHING: Final[dict[Any, Any]] = {}
"""Stands for a dictionary that nothing has been put into; most traces need few."""

Numbers = tuple[int, int]
"""A call's tokens of input and of output."""
# Usual calls below a span are a tuple; see `Run`.
_USUAL: Final = 0
_WHERE: Final = 1
CALLS: Final = 2
_ANSWERS: Final = 3


class Node(ref[Span]):
    """One span: a weak reference to it, so that a span that is dropped without being ended goes away.

    Whoever makes one sets everything; from then on, all but `trace`, `key` and `top` is only touched under the
    processor's lock.
    """

    __slots__ = (
        "agent",
        "below",
        "call",
        "done",
        "key",
        "open",
        "room",
        "run",
        "said",
        "top",
        "trace",
        "up",
        "watched",
    )

    key: int
    """The span's id."""
    trace: Trace
    up: Node | None
    """The nearest ancestor in this process that was known when this was last looked at; see `nearest`."""
    below: Total | None
    """The totals of the children that have ended, added up; None: nothing yet. Beside what is in `run`."""
    run: Run | None
    """The latest usual calls below, which are still to be added up; None: there are none."""
    room: int
    """How many numbers these may have; 0: no more, because the trace knows nothing of them any longer."""
    open: int
    """How many spans below are still open that have no open ancestor closer than this one."""
    done: bool
    watched: bool
    """Whether the span's end is seen to: totals are written then, or it is one that gets none."""
    top: bool
    """Whether the span is a local root: it has no parent that this process knows of."""
    agent: bool
    """Whether the span said at its start that it is an agent; others write over what it says."""
    said: Ended | None
    """What the span was found to say when its totals were written; None: it has to be read."""
    call: Ended | None
    """The call that the span has told of, once it has ended; else that of the nearest such span passed above."""

    def fold(self) -> None:
        """Add up the calls that are still to be."""
        run, self.run = self.run, None
        if run is None:
            return
        total = run[_USUAL].total(run[CALLS])
        if self.below is None:
            self.below = total
        else:
            add(self.below, total)

    def folded(self) -> Total:
        """Return what is below, and change nothing: a garbage collection may ask for it at any moment."""
        total, run = dict(self.below or {}), self.run
        if run is not None and run[CALLS]:
            add(total, run[_USUAL].total(run[CALLS].copy()))
        return total

    def nearest(self) -> Node | None:
        """Return the nearest ancestor that is still open, and remember it."""
        up = self.up
        if up is not None and up.done:
            self.up = nearest_open(up)
            self.call = self.call or up.call
        return self.up


def nearest_open(node: Node | None) -> Node | None:
    """Return a span, or the nearest ancestor of it, that is still open. Under the lock."""
    found = node
    passed = []
    while found is not None and found.done:
        passed.append(found)
        found = found.up
    # All that were passed lead there from now on, so that no chain is walked twice.
    call = None
    for one in reversed(passed):
        one.up = found
        call = one.call = one.call or call
    return found


def _close(runs: list[Run]) -> None:
    """Have no more calls added to those below a span that are about to be forgotten."""
    for run in runs:
        node = run[_WHERE]
        if node.run is run:
            node.room = 0


class Ended(Told):
    """What a span that has ended tells, and what the roll-up needs beside it."""

    __slots__ = ("behalf", "ended_ns", "remote", "root", "scope", "scopes", "started_ns", "total", "where")

    def __init__(self, kind: Kind, trust: int) -> None:
        # Not by super().__init__(): there is one of these per call, and it takes as long as all that is here.
        self.kind, self.trust = kind, trust
        self.counts = self.cost = self.answer = self.model = None
        self.provider = ""
        self.refused = self.missing = False
        self.total: Total = _NONE
        """What the span itself came to."""
        self.remote: Total | None = None
        """What another process told of itself: never the same as what is below."""
        self.scope = ""
        self.started_ns = self.ended_ns = 0
        self.root: ReadableSpan | None = None
        """The span itself, if it is a local root: the metrics of its trace are told under what it says."""
        self.behalf: Behalf | None = None
        """On whose behalf somebody else's call was made; None: limits need not hear of it."""
        self.where: Node | None = None
        """The span below which a call was counted first, once it is."""
        self.scopes: set[str] | None = None
        """The instrumentation scopes that have told of the same call, if more than one."""


class Trace:
    """What the spans of one trace in this process have in common."""

    __slots__ = (
        "_calls", "_older_calls", "_older_ended",
        "answers", "ended", "epoch", "gone", "key", "latest", "older_answers", "open", "root", "roots",
        "scope", "scopes", "several",
    )  # fmt: skip

    def __init__(self, key: int, epoch: int) -> None:
        self.key = key
        self.epoch = epoch
        """The processor's sweep in which the trace was last heard of."""
        self.open: dict[int, Node] = {}
        self.root: Node | None = None
        """The local root, for spans whose parents have been forgotten; of no use where there are several."""
        self.roots = 0
        self.gone = False
        """Whether the processor has let go of it."""
        # Two generations each: what is not used while one fills up goes with the other.
        self.ended: dict[int, Node | None] = {}
        """The spans above those that have ended, for children of these that are still to come; but for usual calls."""
        self._older_ended: dict[int, Node | None] = _NOTHING
        self.answers: dict[str, Ended | Run] = _NOTHING
        """What has been counted of answers."""
        self.older_answers: dict[str, Ended | Run] = _NOTHING
        self._calls: dict[Numbers, Ended | deque[Ended]] = _NOTHING
        self._older_calls: dict[Numbers, Ended | deque[Ended]] = _NOTHING
        self.latest: list[Run] = []
        """The latest usual calls, which nobody has asked for yet; then they are in the two above."""
        self.several = False
        """Whether a span has ever been below another one."""
        self.scopes: set[str] = set()
        """The instrumentation scopes that have told of calls."""
        self.scope = ""
        """The only one of them; empty: none has yet."""

    def above(self, key: int, *, remote: bool) -> Node | None:
        """Return the nearest ancestor that is open of a span that is not, by its key; None: there is none.

        A parent that ended long ago is forgotten; the local root stands in for it. A `remote` one may be of this
        process, if a context was serialised here and read again.
        """
        if key in self.ended:
            found = self.ended[key]
        elif key in self._older_ended:
            found = self._older_ended[key]
        else:
            found = self._above_call(key)
            if found is None and self.roots == 1 and not remote:
                found = self.root
        while found is not None and found.key not in self.open:  # it may have ended, and not be added up yet
            found = found.up
        return found

    def _above_call(self, key: int) -> Node | None:
        """Return the span above one of the latest usual calls."""
        above = (run[_USUAL].above(run, key) for run in self.latest)
        return next((node for node in above if node is not None), None)

    def end(self, key: int, up: Node | None) -> None:
        """Remember what is above a span that has ended."""
        if len(self.ended) >= ENDED_KEPT:
            self._older_ended, self.ended = self.ended, {}
        self.ended[key] = up

    def follow(self, run: Run, *, full: bool) -> None:
        """Remember usual calls below a span, of which none is there yet; `full`: those before were many."""
        latest = self.latest
        latest.append(run)
        if full or not len(latest) % _RUNS_COUNTED:
            calls = [len(run[CALLS]) // run[_USUAL].width for run in latest]
            older, number = 0, sum(calls)
            while (number := number - calls[older]) >= _LATEST_KEPT:
                older += 1
            _close(latest[:older])
            del latest[:older]

    def forget(self) -> None:
        """Forget what has ended: it refers back to here, and all of it would wait for the garbage collector."""
        if self.root is not None and self.root.done:
            self.root = None
        self.ended = {}
        self._older_ended = self.answers = self.older_answers = self._calls = self._older_calls = _NOTHING
        self.latest.clear()

    def counted(self, answer: str) -> Ended | None:
        """Return what has been counted of an answer."""
        found = self.answers.get(answer) or self.older_answers.get(answer)
        if found.__class__ is tuple:
            self._unfold()
            return self.counted(answer)
        return found  # type: ignore[return-value]  # a record is a tuple

    def alike(self, numbers: Numbers) -> Iterator[Ended]:
        """Yield the latest calls that used just as much."""
        if self.latest:
            self._unfold()
        for calls in (self._calls, self._older_calls):
            same = calls.get(numbers)
            if isinstance(same, deque):
                yield from same
            elif same is not None:
                yield same

    def count(self, call: Ended, numbers: Numbers) -> None:
        """Remember what has been counted of a call."""
        if call.answer is not None:
            self.name_answer(call)
        self.told_by(call.scope)
        self._keep(call, numbers)

    def told_by(self, scope: str) -> None:
        """Remember that a scope has told of a call."""
        if not self.scopes:
            self.scopes.add(scope)
            self.scope = scope
        elif scope not in self.scopes and len(self.scopes) < _SCOPES_KEPT:
            self.scopes.add(scope)
            self.scope = _SEVERAL

    def _unfold(self) -> None:
        """Make what has been remembered of usual calls what others are compared with."""
        made: dict[int, list[tuple[Ended, int]]] = {}
        _close(self.latest)
        for run in self.latest:
            made[id(run)] = found = run[_USUAL].counted(run)
            for one, key in found:
                self._keep(one, (one.total.get(u.INPUT, 0), one.total.get(u.OUTPUT, 0)))
                self.end(key, one.where)
        for answers in (self.older_answers, self.answers):
            for answer, known in answers.items():
                if isinstance(known, tuple):
                    found = made.get(id(known)) or made.setdefault(id(known), known[_USUAL].counted(known))
                    answers[answer] = found[known[_ANSWERS].index(answer)][0]
        self.latest.clear()

    def _keep(self, call: Ended, numbers: Numbers) -> None:
        same = self._calls.get(numbers)
        if same is None:
            if not self._calls:
                self._calls = {}
            elif len(self._calls) >= _NUMBERS_KEPT:
                self._older_calls, self._calls = self._calls, {}
            self._calls[numbers] = call  # calls that used just as much are few
        elif isinstance(same, deque):
            same.append(call)
        else:
            self._calls[numbers] = deque((same, call), _ALIKE_KEPT)

    @property
    def remembered(self) -> int:
        """How many answers are remembered."""
        return len(self.answers) + len(self.older_answers)

    def age(self) -> None:
        """Forget the answers that were not told of lately."""
        self.older_answers, self.answers = self.answers, _NOTHING

    def name_answer(self, call: Ended) -> None:
        """Remember a call by the id of its answer."""
        if call.answer is not None:
            self.name(call.answer, call)

    def name(self, answer: str, call: Ended | Run) -> None:
        """Remember a call by the id of its answer."""
        answers = self.answers
        if not answers:
            self.answers = answers = {}
        answers[answer] = call
        if len(answers) > _ANSWERS_KEPT:
            self.age()
