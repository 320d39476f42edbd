"""Which limits hold, and on which ledger they are kept."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tracetoll.cli.checks.section import Section
from tracetoll.ledgers import open_ledger
from tracetoll.limits.policy import PolicyError, read_policy
from tracetoll.limits.sources import VARIABLE
from tracetoll.limits.text import parse_limits

if TYPE_CHECKING:
    from collections.abc import Mapping


def check_limits(environment: Mapping[str, str] | None = None) -> Section:
    """Read the limits as instrument() does, and tell those that are wrong."""
    environment = os.environ if environment is None else environment
    section = Section("limits", ("limit", "given in"))
    found, wrong = parse_limits(environment.get(VARIABLE, ""), VARIABLE)
    section.attention += [str(error) for error in wrong]
    path = environment.get("TRACETOLL_POLICY")
    if path:
        try:
            found = [*found, *read_policy(path).limits]
        except PolicyError as error:
            section.attention += str(error).splitlines()
    section.rows += [(str(limit), limit.source) for limit in found]
    if not found:
        section.lines.append("none")
    ledger = environment.get("TRACETOLL_LEDGER") or "memory"
    try:
        open_ledger(ledger)
        section.lines.append(f"ledger: {ledger}, in each process")
    except ValueError as error:
        section.attention.append(f"TRACETOLL_LEDGER: {error}")
    return section
