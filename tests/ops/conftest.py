"""The kit, started once, and what the demo and an application spent while it looked on."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kit as parts
import pytest
import stack

from tracetoll.local_provider import HandedOut

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kit import Kit

HERE = Path(__file__).parent
LOOKING_AT_THE_KIT = ("test_dashboards.py", "test_end_to_end.py", "test_history.py")
ROUNDS = 4


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each file to one worker, and all files that look at the kit to the same one, which has to start it."""
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415  # only where there are workers

    class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # xdist's own types are not to be had everywhere
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "kit" if file.endswith(LOOKING_AT_THE_KIT) else file

    return ByFile(config, log)


@pytest.fixture(scope="session")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kit]:
    """Yield the kit; nothing is sampled out."""
    parts.need("collector", "jaeger", "prometheus")
    folder = tmp_path_factory.mktemp("kit")
    jaeger = stack.Jaeger(folder, stack.free_ports(3))
    collector = parts.collector(folder, KIT_JAEGER=jaeger.otlp, KIT_KEEP_PERCENT=100)
    (port,) = stack.free_ports(1)
    with jaeger, collector, stack.Prometheus(folder, collector, port, "1s") as prometheus:
        yield parts.Kit(collector, jaeger, prometheus)


@dataclass(frozen=True, slots=True)
class Spent:
    """What went out of the local providers, and what the demo printed about itself."""

    application: HandedOut
    demo: list[dict[str, Any]]
    """The demo's spans, as the demo itself prints them."""
    tokens: int
    """All tokens together: those of the application, of the demo, and of the agent that runs away."""


@pytest.fixture(scope="session")
def spent(kit: Kit, tmp_path_factory: pytest.TempPathFactory) -> Spent:
    """Run the demo, the agent that runs away, and an application with some rounds; return what they spent."""
    tally = tmp_path_factory.mktemp("spent") / "tally.json"
    program = Path(sys.executable).with_name("tracetoll")
    commands = {
        "application": [sys.executable, HERE / "traffic.py", str(ROUNDS), tally],
        "demo": [program, "demo", "--json"],
        "runaway": [program, "demo", "--runaway", "--json"],
    }
    told = parts.run(commands, {"OTEL_EXPORTER_OTLP_ENDPOINT": kit.collector.otlp})
    for name in ("demo", "runaway"):
        assert "matches what the provider handed out: yes" in told[name][1]
    printed = [re.findall(r"calls, ([\d,]+) tokens", told[name][1]) for name in ("demo", "runaway")]
    application = HandedOut(**json.loads(tally.read_text()))
    return Spent(
        application=application,
        demo=[json.loads(line) for line in told["demo"][0].splitlines()],
        tokens=application.input_tokens
        + application.output_tokens
        + sum(int(one.replace(",", "")) for (one,) in printed),
    )
