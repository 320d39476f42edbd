"""Write docs/providers.md from the provider files and the versions that the test environments pin.

python tools/providers.py            write it
python tools/providers.py --check    exit 1 with a diff where it is out of date
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pages import write_or_check

from tracetoll import usage as u
from tracetoll.providers.index import KNOWN
from tracetoll.providers.words import Observed
from tracetoll.usage import COUNTS, PROVIDER_COST, Each, Either, Parts, UsageMap

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tracetoll.providers.index import Sdk
    from tracetoll.providers.waists import Family
    from tracetoll.providers.words import Surface

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "providers.md"
SECTION = re.compile(r"(<!-- generated -->\n).*?(<!-- /generated -->)", re.DOTALL)
ENVIRONMENTS = ("early", "oldest", "middle", "newest", "apart")

# How the counts are told on the page, where that is not their name; those with one word share a column's cell.
SHORT = {
    u.INPUT: "input",
    u.OUTPUT: "output",
    u.CACHE_READ: "cache read",
    u.CACHE_WRITE: "cache write",
    u.CACHE_WRITE_5M: "cache write by lifetime",
    u.CACHE_WRITE_30M: "cache write by lifetime",
    u.CACHE_WRITE_1H: "cache write by lifetime",
    u.CACHE_WRITE_12H: "cache write by lifetime",
    u.REASONING: "reasoning",
    **{
        name: "modalities"
        for name in COUNTS
        if name.partition(".")[0] in ("text", "image", "audio", "video", "document") and name.endswith("put_tokens")
    },
    u.TOOL_USE_INPUT: "tool use",
    u.CITATION_OUTPUT: "citations",
    u.ACCEPTED_PREDICTION_OUTPUT: "predictions",
    u.REJECTED_PREDICTION_OUTPUT: "predictions",
    u.WEB_SEARCHES: "searches",
    u.WEB_FETCHES: "fetches",
    u.AUDIO_MILLISECONDS: "seconds",
    u.IMAGES: "images",
    PROVIDER_COST: "cost",
}


def counts(usage: UsageMap) -> list[str]:
    """Return what a provider's usage object may tell, in the page's words."""
    found = set(_named([*usage.fields.values(), *usage.fallbacks.values()]))
    if usage.total_is_input:
        found.add(u.INPUT)
    told = [SHORT.get(name, name) for name in (*COUNTS, PROVIDER_COST) if name in found]
    told += ["steps billed beside"] if usage.sides else []
    return list(dict.fromkeys(told))


def _named(rules: Iterable[Any]) -> Iterator[str]:
    for rule in rules:
        if isinstance(rule, str):
            yield rule
        elif isinstance(rule, Mapping):
            yield from _named(rule.values())
        elif isinstance(rule, Each):
            yield from rule.fields.values()
        elif isinstance(rule, Parts):
            yield from rule.kinds.values()
        else:
            yield (rule.number if isinstance(rule, Either) else rule).name


def surfaces(seams: Iterable[Any]) -> Iterator[tuple[str, Surface]]:
    """Yield the surfaces of a provider file, by what is asked."""
    for seam in seams:
        if isinstance(seam, Observed):
            yield from (
                (f"{(*seam.classes, seam.method)[0]}: `{event}`", surface)
                for event, (_, surface) in seam.answers.items()
            )
        else:
            yield from ((f"`{key}`", surface) for key, surface in seam.surfaces.items() if surface.operation)
            for key, families in getattr(seam, "families", {}).items():
                yield from ((f"`{key}` {_family(family)}", family.surface) for family in families)


def _family(family: Family) -> str:
    """Return which models or requests a family is of."""
    models = ", ".join(f"`{pattern}`" for pattern in family.models if pattern != "*")
    return " ".join(part for part in (models, f"with `{family.has}`" if family.has else "") if part)


def rows(seams: Iterable[Any]) -> Iterator[str]:
    """Yield a table's rows; what is the same for several requests is told once."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for key, surface in surfaces(seams):
        alike.setdefault(_told(surface), []).append(key)
    for told, keys in alike.items():
        yield f"| {'<br>'.join(keys)} | {' | '.join(told)} |"


def _told(surface: Surface) -> tuple[str, ...]:
    line = surface.line
    usage = line.usage if line is not None else surface.usage
    told = ", ".join(counts(usage)) if usage is not None else "no tokens are reported"
    notes = {"now": "", "later": "when it is done", "fetched": "what was seen pending"}[surface.billed]
    if line is not None:
        notes = "each line of the file"
    capped = ", ".join(f"`{cap}`" for cap in surface.output_caps) or "-"
    return (surface.operation, told + (f" ({notes})" if notes else ""), capped)


def versions(sdk: Sdk) -> str:
    """Return which versions of an SDK the test environments pin, the oldest first."""
    pinned = []
    for name in ENVIRONMENTS:
        path = ROOT / "constraints" / f"{name}.txt"
        found = re.search(rf"(?mi)^{re.escape(sdk.distribution)}==(\S+)", path.read_text()) if path.exists() else None
        if found is not None and numbers(found[1]) >= sdk.oldest:
            pinned.append(found[1])
    return ", ".join(sorted(dict.fromkeys(pinned), key=numbers))


def numbers(version: str) -> tuple[int, ...]:
    """Return a version as numbers, to be compared."""
    return tuple(map(int, re.findall(r"\d+", version)[:3]))


def _tested(sdk: Sdk) -> str:
    pinned = versions(sdk)
    if pinned:
        return f"tested with {pinned}"
    return "in no environment of the tests: what is told here was tried by hand, with the oldest version named"


def section(name: str, sdk: Sdk) -> str:
    """Return the part of the page about one SDK."""
    module = importlib.import_module(f"tracetoll.providers.{name}")
    oldest = ".".join(map(str, sdk.oldest))
    notes: Mapping[str, str] | Iterable[str] = getattr(module, "NOTES", ())
    head = [
        f"### {sdk.distribution}",
        "",
        f"From {oldest} to {sdk.newest_major}.x; {_tested(sdk)}.",
        "",
        *(f"- {note}" for note in notes),
        *([""] if notes else []),
        "| request | operation | counted | output cap |",
        "|---|---|---|---|",
    ]
    return "\n".join([*head, *rows(module.SEAMS)])


def page(old: str) -> str:
    """Return the page with what is generated made anew."""
    made = "\n\n".join(section(name, sdk) for name, sdk in KNOWN.items())
    return SECTION.sub(lambda found: f"{found[1]}\n{made}\n\n{found[2]}", old)


if __name__ == "__main__":
    sys.exit(write_or_check(PAGE, page, "the provider files"))
