"""Which settings hold, and where each comes from."""

from __future__ import annotations

import os
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from tracetoll.cli.checks.section import Section, warnings_of
from tracetoll.config import Settings, read_settings
from tracetoll.limits.near import nearest
from tracetoll.providers.found import found_providers
from tracetoll.safety import RAISE_FAULTS_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX: Final = "TRACETOLL_"
SECRET: Final = frozenset({"prompt_fingerprint_key"})
# Not settings: one is for our own tests, the other for the tools of the source tree.
_OTHERS: Final = frozenset({RAISE_FAULTS_VARIABLE, "TRACETOLL_CACHE", "TRACETOLL_LIMITS", "TRACETOLL_LEDGER"})


def check_settings(environment: Mapping[str, str] | None = None) -> Section:
    """Read the settings as instrument() does, and tell variables that are wrong or unknown."""
    environment = os.environ if environment is None else environment
    section = Section("settings", ("variable", "from", "value"))
    with warnings_of("tracetoll") as warnings:
        settings = read_settings({}, environment)
    section.attention += warnings
    wrong = {warning.partition(":")[0] for warning in warnings}
    variables = {}
    for one in fields(Settings):
        variable = variables[one.name] = one.metadata["variable"]
        value = getattr(settings, one.name)
        shown = ("set" if value else "not set") if one.name in SECRET else _shown(value)
        given = environment.get(variable, "") != ""
        source = "default (the variable is wrong)" if variable in wrong else "variable" if given else "default"
        section.rows.append((variable, source, shown))
    section.attention += [
        f"{variables['providers']} names {name!r}, which is no provider; known are {', '.join(found_providers())}"
        for name in settings.providers
        if name not in found_providers()
    ]
    known = {*variables.values(), *_OTHERS}
    for variable in sorted(environment):
        if variable.startswith(PREFIX) and variable not in known:
            close = nearest(variable, tuple(variables.values()))
            section.attention.append(
                f"{variable} is not a setting and does nothing"
                + (f"; did you mean {close}?" if close is not None else "; unset it")
            )
    return section


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, frozenset):
        return ", ".join(sorted(value)) or "none"
    if isinstance(value, tuple):
        return ", ".join(value) or "all"
    if isinstance(value, dict):
        return ", ".join(f"{host}={provider}" for host, provider in value.items()) or "none"
    return str(value)
