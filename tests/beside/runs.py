"""Start the runs beside other packages, each in its environment, and write what came out into the document.

python tests/beside/runs.py

rewrites docs/side-by-side.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packages import CONFIGURATIONS, PACKAGES, Off

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from packages import Configuration

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
DOCUMENT = ROOT / "docs" / "side-by-side.md"
WHOLE = "request"
OURS = {"before": "Ours set up first", "after": "Ours set up last", "alone": "Its spans alone"}
COLUMNS = ("Package", "Version", "Calls of", "Calls", "Tokens", *OURS.values())
FIELDS = {
    "calls": "calls",
    "input_tokens": "input",
    "output_tokens": "output",
    "cache_read": "cache read",
    "cache_write": "cache write",
    "reasoning": "reasoning",
}
# Nothing listens there: what would leave this machine fails at once.
NOWHERE = "http://127.0.0.1:9"
SURROUNDINGS = {
    "HTTP_PROXY": NOWHERE,
    "HTTPS_PROXY": NOWHERE,
    "NO_PROXY": "127.0.0.1",
    "ANTHROPIC_API_KEY": "none",
    "OPENAI_API_KEY": "none",
    "LANGSMITH_TRACING": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "TRACELOOP_TRACE_CONTENT": "false",
    "TRACETOLL_RAISE_FAULTS": "1",
}


def result(name: str, configuration: Configuration) -> dict[str, Any]:
    """Return what came out of one run."""
    environment = [sys.executable, ROOT / "tools" / "environment.py", PACKAGES[name].environment]
    python = subprocess.run(environment, check=True, capture_output=True, encoding="utf-8").stdout.strip()
    kept = {variable: os.environ[variable] for variable in ("HOME", "PATH") if variable in os.environ}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "result.json")
        done = subprocess.run(
            [python, HERE / "scenario.py", name, configuration, file],
            env={**kept, **SURROUNDINGS},
            capture_output=True,
            check=False,
            encoding="utf-8",
        )
        if done.returncode != 0:
            message = f"{name}, {configuration}: {done.stderr}"
            raise RuntimeError(message)
        found: dict[str, Any] = json.loads(file.read_text())
        return found


def off(handed_out: Mapping[str, int], told: Mapping[str, int]) -> dict[str, int]:
    """Return what the totals are off by, fields that are right left out."""
    return {field: told[field] - handed_out[field] for field in FIELDS if told[field] != handed_out[field]}


def stated(name: str, configuration: Configuration) -> dict[str, dict[str, int]]:
    """Return what each step, and the whole, is known to be off by."""
    steps = {
        step: {field: by for field, by in asdict(known).items() if field in FIELDS and by}
        for step, known in PACKAGES[name].off.get(configuration, {}).items()
    }
    sums = {field: sum(step.get(field, 0) for step in steps.values()) for field in FIELDS}
    whole = {field: by for field, by in sums.items() if by}
    return {**steps, WHOLE: whole} if whole else steps


def _signed(by: int) -> str:
    return f"{by:+,}".replace("-", "−")  # noqa: RUF001  # a minus sign, as wide as the plus


def _shown(by: Mapping[str, int]) -> str:
    return ", ".join(f"{FIELDS[field]} {_signed(number)}" for field, number in by.items()) or "0"


def cells(name: str, configuration: Configuration, found: Mapping[str, Any]) -> dict[str, str]:
    """Return what one run says about its row of the table."""
    package = PACKAGES[name]
    versions = found["versions"]
    whole = found["handed_out"][WHOLE]
    shown = sorted({versions[distribution] for distribution in package.shown})
    return {
        "Package": name,
        "Version": ", ".join(shown),
        "Calls of": ", ".join(f"{distribution} {versions[distribution]}" for distribution in package.beside),
        "Calls": str(whole["calls"]),
        "Tokens": f"{whole['input_tokens'] + whole['output_tokens']:,}",
        OURS[configuration]: _shown(off(whole, found["told"][WHOLE])),
    }


def reasons() -> Iterator[str]:
    """Yield why totals are off where they are, a line for each reason."""
    for name, package in PACKAGES.items():
        for configuration, steps in package.off.items():
            by_reason: dict[str, dict[str, Off]] = {}
            for step, known in steps.items():
                by_reason.setdefault(known.why, {})[step] = known
            for why, members in by_reason.items():
                sums = {field: sum(getattr(known, field) for known in members.values()) for field in FIELDS}
                by = _shown({field: number for field, number in sums.items() if number})
                yield f"- {name}, {OURS[configuration].lower()}, {by}: {why} ({'; '.join(members)})."


def row(texts: Mapping[str, str]) -> str:
    """Return one row of the table."""
    return f"| {' | '.join(texts[column] for column in COLUMNS)} |"


def written(document: str, rows: list[str]) -> str:
    """Return the document with the table and the reasons in it."""
    head = [f"| {' | '.join(COLUMNS)} |", "|---|---|---|---:|---:|---|---|---|"]
    for mark, lines in (("table", head + rows), ("reasons", list(reasons()))):
        start, rest = document.split(f"<!-- {mark} -->\n")
        _, end = rest.split(f"<!-- /{mark} -->")
        document = "".join([start, f"<!-- {mark} -->\n", *(f"{line}\n" for line in lines), f"<!-- /{mark} -->", end])
    return document


def main() -> None:
    """Run everything, and write the document."""
    rows = []
    for name in PACKAGES:
        texts: dict[str, str] = {}
        for configuration in CONFIGURATIONS:
            found = result(name, configuration)
            texts |= cells(name, configuration, found)
            for step, handed_out in found["handed_out"].items():
                by = off(handed_out, found["told"][step])
                if by != stated(name, configuration).get(step, {}):
                    sys.stderr.write(f"{name}, {configuration}, {step}: {by}\n")
        rows.append(row(texts))
    DOCUMENT.write_text(written(DOCUMENT.read_text(), rows))


if __name__ == "__main__":
    main()
