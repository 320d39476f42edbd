"""Tell limits of model calls that only others have told of: an SDK that we do not patch, a framework's own client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from opentelemetry import context as otel_context
from opentelemetry.trace import NonRecordingSpan, set_span_in_context

from tracetoll.call import Ending, current_call
from tracetoll.engine import ElsewhereCall
from tracetoll.pricing import Cost, nano
from tracetoll.rollup import totals
from tracetoll.usage import COUNTS, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan

    from tracetoll.engine import Engine
    from tracetoll.limits.scope import Scope
    from tracetoll.rollup.state import Ended
    from tracetoll.rollup.totals import Total


class Behalf(NamedTuple):
    """On whose behalf a call was made, and where."""

    context: Context
    attribution: Mapping[str, str]
    scopes: tuple[Scope, ...]


class Foreign:
    """What the roll-up tells an engine of."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def on_behalf(self, span: ReadableSpan) -> Behalf | None:
        """Return on whose behalf the span's call was made; None if limits need not hear of it.

        Asked where the span ends. Inside of a call of ours it is that call, which settles itself.
        """
        if current_call.get() is not None:
            return None
        current = otel_context.get_current()
        found = self._engine.on_behalf(current)
        if found is None or span.context is None:
            return None
        return Behalf(set_span_in_context(NonRecordingSpan(span.context), current), *found)

    def charge(self, ended: Ended, beyond: Total, behalf: Behalf) -> None:
        """Spend what a call came to, as far as nothing else has told of it."""
        femto = beyond.get(totals.COST)
        amount = None if femto is None else nano(femto)
        cost = Cost(amount, "local", "unpriced" if amount is None else "priced", {}, None)
        usage = Usage({name: number for name, number in beyond.items() if name in _COUNTS})
        kind: Literal["inference", "embedding"] = "embedding" if ended.kind == "embedding" else "inference"
        call = ElsewhereCall(kind, ended.provider, ended.model, ended.answer, *behalf)
        self._engine.charge_elsewhere(call, Ending("done", 0.0, usage, cost))


_COUNTS = frozenset(COUNTS)
