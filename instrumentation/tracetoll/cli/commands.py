"""The commands, their options, and how their troubles are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from tracetoll.cli.trouble import TroubleError
from tracetoll.version import __version__

RUNAWAY_LIMIT: Final = "4000 tokens per trace"

if TYPE_CHECKING:
    from collections.abc import Callable


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tracetoll")
def tracetoll() -> None:
    """Count what the calls of language models cost."""


@tracetoll.command()
@click.option("--width", type=click.IntRange(min=20), help="Width of the tree in columns; default: the terminal's.")
@click.option("--json", "as_json", is_flag=True, help="Print the spans as JSON, one per line, instead of the tree.")
@click.option("--runaway", is_flag=True, help="Run an agent that never stops by itself, under a limit.")
@click.option("--limit", metavar="TEXT", help='With --runaway: the limit; default: "4000 tokens per trace".')
def demo(width: int | None, limit: str | None, *, as_json: bool, runaway: bool) -> None:
    """Run a small agent and show what each of its calls cost.

    It uses the real SDKs of OpenAI and Anthropic, against a server on this machine, or against the real provider
    where OPENAI_API_KEY or ANTHROPIC_API_KEY is set. With OTEL_EXPORTER_OTLP_ENDPOINT set, spans and metrics are
    sent there as well.
    """
    from tracetoll.cli.demo import run_demo  # noqa: PLC0415  # a command loads what it needs, and no other's

    if limit is not None and not runaway:
        msg = "--limit goes with --runaway; the agent of the plain demo stops by itself"
        raise click.UsageError(msg)
    chosen = (limit or RUNAWAY_LIMIT) if runaway else None
    _run(lambda: run_demo(width, "json" if as_json else "tree", chosen))


@tracetoll.command()
@click.argument("policy", required=False, type=click.Path())
def limits(policy: str | None) -> None:
    """Say which limits hold: those of TRACETOLL_LIMITS, and of the policy file POLICY or TRACETOLL_POLICY.

    Exits with 1 if one of them is wrong, and says where, and what to do.
    """
    from tracetoll.cli.limits import run_limits  # noqa: PLC0415  # a command loads what it needs, and no other's

    _run(lambda: run_limits(policy))


@tracetoll.command()
def doctor() -> None:
    """Say what is installed, patched, set and reachable, and what to do where something is not.

    Sends one span, called "tracetoll doctor", where an OTLP endpoint is set. Exits with 1 if something needs
    attention.
    """
    from tracetoll.cli.doctor import run_doctor  # noqa: PLC0415  # a command loads what it needs, and no other's

    _run(run_doctor)


def _run(command: Callable[[], int]) -> None:
    try:
        status = command()
    except TroubleError as trouble:
        raise click.ClickException(str(trouble)) from trouble
    click.get_current_context().exit(status)
