"""Take the picture in the README: the demo's trace in Arize Phoenix, to which a collector sent it.

    python3 tools/screenshot.py docs/images/phoenix.png

Needs the collector (tools/binaries.py), Chromium on the PATH, and the environment `phoenix`, which is built where it is
missing. Everything is on 127.0.0.1 and has ended when this ends.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import environment
import stack

if TYPE_CHECKING:
    from collections.abc import Sequence

SIZE = "1500,900"
DRAWN_WITHIN_MS = 20_000
CHROMIUM = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


def phoenix(folder: Path) -> stack.Part:
    """Return Phoenix, not started, on free ports."""
    http, grpc = stack.free_ports(2)
    program = [environment.build("phoenix"), stack.CONFIG.parent / "tools" / "phoenix_on_loopback.py"]
    part = stack.Part("phoenix", program, folder, f"http://127.0.0.1:{http}/")
    part.environment = {
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(http),
        "PHOENIX_GRPC_PORT": str(grpc),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    return part


def demo(collector: stack.Collector) -> None:
    """Send the demo through a collector."""
    program = Path(sys.executable).with_name("tracetoll")
    sending = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.otlp, "OTEL_RESOURCE_ATTRIBUTES": "service.instance.id=demo"}
    subprocess.run([program, "demo"], env={**os.environ, **sending}, check=True, stdout=subprocess.DEVNULL)


def address(viewer: stack.Part) -> str:
    """Return the address of the trace, once all of its spans are there."""

    def root() -> Any:
        found = stack.get_json(f"{viewer.ready}v1/projects/default/spans?limit=100")["data"]
        return next((span for span in found if span["parent_id"] is None), None)

    span = stack.until(root, 60, "the demo in Phoenix")
    project = stack.get_json(f"{viewer.ready}v1/projects/default")["data"]["id"]
    return f"{viewer.ready}projects/{project}/traces/{span['context']['trace_id']}?selectedSpanNodeId={span['id']}"


def shoot(url: str, picture: Path, profile: Path) -> None:
    """Write what a browser shows at an address."""
    browser = shutil.which("chromium")
    if browser is None:
        sys.exit("there is no chromium on the PATH")
    shot = [f"--user-data-dir={profile}", f"--window-size={SIZE}", f"--screenshot={picture}"]
    waiting = f"--virtual-time-budget={DRAWN_WITHIN_MS}"
    subprocess.run([browser, *CHROMIUM, *shot, waiting, url], check=True, timeout=120, stderr=subprocess.DEVNULL)


def main(arguments: Sequence[str]) -> None:
    """Take the picture."""
    picture = Path(arguments[0]).resolve()
    overlay = stack.CONFIG / "overlays" / "vendors" / "phoenix.yaml"
    with tempfile.TemporaryDirectory() as place, phoenix(Path(place, "phoenix")) as viewer:
        settings = {"PHOENIX_ENDPOINT": viewer.ready.rstrip("/"), "KIT_KEEP_PERCENT": 100, "KIT_ROOT_WAIT": "1s"}
        chosen = [stack.CONFIG / "collector.yaml", overlay]
        with stack.Collector(Path(place, "collector"), chosen, stack.free_ports(5), **settings) as collector:
            demo(collector)
            shoot(address(viewer), picture, Path(place, "profile"))


if __name__ == "__main__":
    main(sys.argv[1:])
