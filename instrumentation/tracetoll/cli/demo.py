"""`tracetoll demo`: run the agent, print its trace, and hold our numbers against the provider's."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING, Final, Literal

import click

from tracetoll import Instrumentor
from tracetoll.cli.telemetry import set_up
from tracetoll.cli.trouble import TroubleError, need
from tracetoll.console import CALLS, print_trace, render_tree
from tracetoll.demo.runaway import NIGHT_H, PAUSE_S, night
from tracetoll.errors import BUDGET_EXCEEDED, description
from tracetoll.limits.text import parse_limit
from tracetoll_semconv import attributes as a

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from tracetoll import Limit, LimitExceeded
    from tracetoll.demo.run import Run

Form = Literal["tree", "json"]

_PROVIDERS: Final = ("openai", "anthropic")
# What the local provider counts → the attribute we count it in.
_COUNTS: Final = {
    "input_tokens": a.GEN_AI_USAGE_INPUT_TOKENS,
    "output_tokens": a.GEN_AI_USAGE_OUTPUT_TOKENS,
    "cache_read": a.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS,
    "cache_write": a.GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS,
    "reasoning": a.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS,
}


def run_demo(width: int | None, form: Form, limit: str | None = None) -> int:
    """Run the demo and print it; return the exit status, 1 where numbers differ or nothing could be sent.

    As JSON, standard output has a span per line and nothing else. With a `limit`, the demo is the agent that
    never stops by itself.
    """
    need("demo", *_PROVIDERS, "aiohttp")
    from tracetoll.demo.run import run, run_away  # noqa: PLC0415  # needs what was looked for just now

    limits = _limits(limit)

    telemetry = set_up("tracetoll-demo")
    if Instrumentor().is_instrumented_by_opentelemetry:
        Instrumentor().uninstrument()  # opentelemetry-instrument did that, for the global providers
    Instrumentor().instrument(
        tracer_provider=telemetry.tracer_provider,
        meter_provider=telemetry.meter_provider,
        providers=_PROVIDERS,
        limits=limits,
        console="none",  # the tree is printed below
    )
    done = error = None
    try:
        done = run_away() if limits else run()
    except Exception as raised:  # noqa: BLE001  # the SDKs' errors; what was counted until then is shown first
        error = raised
    delivered, undelivered = telemetry.flush()
    Instrumentor().uninstrument()
    _print_spans(telemetry.spans, width, form)
    if done is None:
        told = "" if error is None else description(error)
        msg = f"the demo failed: {told}; with OPENAI_API_KEY and ANTHROPIC_API_KEY unset it needs no provider"
        raise TroubleError(msg) from error
    same = _same(telemetry.spans, done)
    matches = f"; matches what the provider handed out: {'yes' if same else 'no'}" if same is not None else ""
    if done.stopped is not None:
        delivered = [*delivered, *_avoided(telemetry.spans, done.stopped)]
    for line in (*delivered, f"{_summary(telemetry.spans)}{matches}"):
        click.echo(textwrap.fill(line, width) if width else line, err=form == "json")
    for line in undelivered:
        click.echo(f"Error: {line}", err=True)
    return 1 if undelivered or same is False else 0


def _limits(limit: str | None) -> list[Limit]:
    if limit is None:
        return []
    try:
        return [parse_limit(limit, "--limit")]
    except ValueError as error:
        raise TroubleError(str(error)) from error


def _avoided(spans: Sequence[ReadableSpan], stopped: LimitExceeded) -> list[str]:
    """Return what stopped the run, and what a night of it would have come to."""
    costs = [attributes[a.COST_AMOUNT] for span in spans if a.COST_AMOUNT in (attributes := span.attributes or {})]
    lines = [f"stopped: {stopped}"]
    if costs and isinstance(costs[-1], float):
        calls, bill = night(costs[-1])
        lines.append(
            f"avoided: ${bill:.2f}, what {NIGHT_H} hours of it would have cost: {calls:,} more calls, one every "
            f"{PAUSE_S:g} s, each at the price of the last"
        )
    return lines


def _print_spans(spans: Sequence[ReadableSpan], width: int | None, form: Form) -> None:
    if form == "json":
        for span in spans:
            click.echo(span.to_json(indent=None))
    elif width is None:
        print_trace(spans)
    else:
        from rich.console import Console  # noqa: PLC0415  # rich is loaded only when something is printed

        Console(width=width, highlight=False).print(render_tree(spans, width=width))


def _summary(spans: Sequence[ReadableSpan]) -> str:
    calls = [span for span in spans if (span.attributes or {}).get(a.GEN_AI_OPERATION_NAME) in CALLS]
    calls = [span for span in calls if (span.attributes or {}).get(a.ERROR_TYPE) != BUDGET_EXCEEDED]
    tokens = _sum(calls, a.GEN_AI_USAGE_INPUT_TOKENS) + _sum(calls, a.GEN_AI_USAGE_OUTPUT_TOKENS)
    unpriced = sum(a.COST_AMOUNT not in (span.attributes or {}) for span in calls)
    cost = f"${_sum(calls, a.COST_AMOUNT):.6f}" + (f" and {unpriced} unpriced" if unpriced else "")
    return f"{len(spans)} spans, {len(calls)} calls, {tokens:,} tokens, {cost}"


def _same(spans: Sequence[ReadableSpan], done: Run) -> bool | None:
    """Return whether the spans of local calls add up to what was handed out; None: there were no such calls."""
    local = [span for span in spans if (span.attributes or {}).get(a.SERVER_PORT) == done.local_port]
    if not local:
        return None
    counted = {name: _sum(local, attribute) for name, attribute in _COUNTS.items()}
    counted["calls"] = sum(a.GEN_AI_USAGE_INPUT_TOKENS in (span.attributes or {}) for span in local)
    return asdict(done.handed_out) == counted


def _sum(spans: Sequence[ReadableSpan], attribute: str) -> int | float:
    found = [(span.attributes or {}).get(attribute) for span in spans]
    return sum(value for value in found if isinstance(value, int | float))
