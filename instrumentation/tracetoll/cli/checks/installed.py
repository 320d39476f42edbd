"""The price library, and which extras are there."""

from __future__ import annotations

import re
from importlib.metadata import requires
from typing import Final

from tracetoll.cli.checks.opentelemetry import version_of
from tracetoll.cli.checks.section import Section

_REQUIREMENT: Final = re.compile(r"(?P<name>[\w.-]+)[^;]*;.*\bextra == ['\"](?P<extra>[\w.-]+)['\"]")


def check_prices() -> Section:
    """Load the price library, and count the models it knows."""
    section = Section("prices", ("library", "models"))
    name = f"genai-prices {version_of('genai-prices') or ''}".strip()
    try:
        from genai_prices import data_snapshot  # noqa: PLC0415  # a quarter of a second

        providers = data_snapshot.get_snapshot().providers
    except Exception as error:  # noqa: BLE001  # a broken installation can raise anything
        section.rows.append((name, "cannot be loaded"))
        section.attention.append(
            f"the price library cannot be loaded ({type(error).__name__}), so no call has a cost: "
            "pip install --force-reinstall genai-prices"
        )
        return section
    models = sum(len(provider.models) for provider in providers)
    section.rows.append((name, f"{models:,} of {len(providers)} providers"))
    return section


def check_extras() -> Section:
    """Tell for each extra what of it is missing; a missing extra is no trouble until it is needed."""
    section = Section("extras", ("extra", "state"))
    for extra, distributions in extras().items():
        missing = [name for name in distributions if version_of(name) is None]
        state = f"without {', '.join(missing)}: pip install 'tracetoll[{extra}]'" if missing else "complete"
        section.rows.append((extra, state))
    return section


def extras() -> dict[str, list[str]]:
    """Return the distributions of each extra, by the installed metadata."""
    found: dict[str, list[str]] = {}
    for requirement in requires("tracetoll") or ():
        match = _REQUIREMENT.match(requirement)
        if match is not None and match["name"] != "tracetoll":
            found.setdefault(match["extra"], []).append(match["name"])
    return found
