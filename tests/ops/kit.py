"""The parts of the kit as tests use them: on free ports, in quick time, with what they have been told."""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import binaries
import pytest
import stack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from stack import Collector, Jaeger, Prometheus

QUICK = {
    "KIT_BATCH_TIMEOUT": "100ms",
    "KIT_FLUSH_INTERVAL": "500ms",
    "KIT_DECISION_WAIT": "30s",
    "KIT_ROOT_WAIT": "500ms",
    "KIT_LARGE_CALL_TOKENS": "5000",
}
NOWHERE = "127.0.0.1:9"
"""Nothing listens there."""
SOON_S = 30.0
PROGRAMS_WITHIN_S = 240.0
"""How long programs may take that run at the same time; they need a tenth of it where nothing else runs."""


def need(*names: str) -> None:
    """Skip the test, and say why, where a program is not there."""
    for name in names:
        try:
            binaries.find(name)
        except binaries.MissingError as error:
            pytest.skip(f"no {name}: {error}")


def collector(folder: Path, *configurations: Path, **settings: object) -> Collector:
    """Return a collector on free ports, not started, with these configurations, else the whole one."""
    need("collector")
    chosen = configurations or (stack.CONFIG / "collector.yaml",)
    return stack.Collector(folder, chosen, stack.free_ports(5), **{"KIT_JAEGER": NOWHERE, **QUICK, **settings})


def run(commands: Mapping[str, Sequence[str | Path]], environment: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Run programs at the same time; return what each printed, and what it said as an error. All have to end well."""
    deadline = time.monotonic() + PROGRAMS_WITHIN_S
    surroundings = {**os.environ, "TRACETOLL_RAISE_FAULTS": "1", "NO_PROXY": "*", **environment}
    started = {
        name: subprocess.Popen(
            command, env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
        )
        for name, command in commands.items()
    }
    try:
        told = {name: process.communicate(timeout=deadline - time.monotonic()) for name, process in started.items()}
    finally:
        for process in started.values():
            with process:
                process.kill()
    for name, process in started.items():
        assert 0 == process.returncode, f"{name}: {told[name]}"
    return told


def lines(path: Path) -> list[dict[str, Any]]:
    """Return what a file exporter has written so far; a line that is not complete yet is left out."""
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def plain(value: dict[str, Any]) -> Any:
    """Return what an OTLP JSON value stands for."""
    (kind, found), *_ = value.items()
    if kind == "intValue":
        return int(found)
    if kind == "arrayValue":
        return [plain(one) for one in found.get("values", [])]
    if kind == "kvlistValue":
        return {one["key"]: plain(one["value"]) for one in found.get("values", [])}
    return found


def attributes(owner: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of an OTLP JSON span, resource or the like."""
    return {one["key"]: plain(one["value"]) for one in owner.get("attributes", []) if one["value"]}


def spans(path: Path) -> list[dict[str, Any]]:
    """Return the spans in a file of OTLP JSON lines, as they are written there."""
    return [
        span
        for line in lines(path)
        for resource in line["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


@dataclass(frozen=True, slots=True)
class Kit:
    """Collector, Jaeger and Prometheus that look at each other."""

    collector: Collector
    jaeger: Jaeger
    prometheus: Prometheus

    def samples(self, expression: str) -> list[dict[str, Any]]:
        """Return the labels and values that an expression has now."""
        found = stack.get_json(f"{self.prometheus.url}/api/v1/query?{urlencode({'query': expression})}")
        samples: list[dict[str, Any]] = found["data"]["result"]
        return samples

    def number(self, expression: str) -> float:
        """Return the one value of an expression; 0 where it has none."""
        found = self.samples(expression)
        return float(found[0]["value"][1]) if found else 0.0

    def traces(self, service: str, **tags: object) -> list[dict[str, Any]]:
        """Return the traces that Jaeger's search finds by tags; `__` in a name stands for a dot."""
        wanted = {name.replace("__", "."): str(value) for name, value in tags.items()}
        query = urlencode({"service": service, "tags": json.dumps(wanted), "limit": 100, "lookback": "1h"})
        found: list[dict[str, Any]] = stack.get_json(f"{self.jaeger.url}/api/traces?{query}")["data"] or []
        return found


def tags(span: dict[str, Any]) -> dict[str, Any]:
    """Return the tags of a span as Jaeger tells it."""
    return {tag["key"]: tag["value"] for tag in span["tags"]}
