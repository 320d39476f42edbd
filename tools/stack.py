"""Run collector, Jaeger and Prometheus on this machine, with the configurations in collector-config/, without Docker.

    make stack                       until Ctrl-C, at most for 8 hours
    make stack ARGS="--demo"         also sends the demo through it, once everything is up
    make stack ARGS="--seconds 60"   stops by itself after a minute

Everything listens on 127.0.0.1 alone. The tests of the kit start the same parts on free ports.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

import binaries
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import FrameType

CONFIG: Final = binaries.CONFIG
LOOPBACK: Final = "127.0.0.1"
READY_WITHIN_S: Final = 120.0
POLL_S: Final = 0.05
PORTS: Final = (20_000, 12_000)
"""The first of those that are tried, and how many there are."""
MOST_SECONDS: Final = 8 * 3600

direct: Final = build_opener(ProxyHandler({}))
"""What is asked here is on this machine, whatever proxies the environment names."""


def free_ports(number: int) -> list[int]:
    """Return ports of 127.0.0.1 that nobody uses at the moment; this process never gets one of them again.

    They are below those that Linux gives to connections, so that none of these takes one before its program does.
    """
    return list(islice(filter(_is_free, _ports), number))


def _ports_in_turn() -> Iterator[int]:
    """Yield all ports that may be taken, each once; processes that run side by side begin far from each other."""
    first, number = PORTS
    start = os.getpid() * 389
    yield from (first + (start + step) % number for step in range(number))


def _is_free(port: int) -> bool:
    with suppress(OSError):
        socket.create_server((LOOPBACK, port)).close()
        return True
    return False


_ports: Final = _ports_in_turn()


def get(url: str, timeout_s: float = 5.0) -> bytes:
    """Return what a server on this machine answers. Raises `URLError`."""
    with direct.open(Request(url), timeout=timeout_s) as answer:  # noqa: S310  # our own URLs, all http
        body: bytes = answer.read()
        return body


def get_json(url: str) -> Any:
    """Return what a server on this machine answers, from JSON."""
    return json.loads(get(url))


def until(condition: Callable[[], Any], within_s: float, what: str) -> Any:
    """Return the first true value of a condition. Raises `TimeoutError`, with `what` was waited for."""
    deadline = time.monotonic() + within_s
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            msg = f"waited {within_s:.0f} s for {what}"
            raise TimeoutError(msg)
        time.sleep(POLL_S)


class Part:
    """A program that runs in the background, in a folder of its own, until it is stopped or its parent ends."""

    patience_s = 10.0
    """How long it may take to end, once it has been asked to."""

    def __init__(self, name: str, arguments: Sequence[str | Path], folder: Path, ready: str) -> None:
        """Take what to start and the URL that answers once it is ready."""
        self.name = name
        self.ready = ready
        self.folder = folder
        self.log = folder / f"{name}.log"
        self.environment: dict[str, str] = {}
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the program itself."""
        if self._process is None:
            msg = f"{self.name} does not run"
            raise RuntimeError(msg)
        return self._process.pid

    def start(self) -> None:
        """Start the program, without waiting for it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        # setpriv becomes the program, which is told when we are no more.
        guard = ["setpriv", "--pdeathsig", "TERM", "--"] if shutil.which("setpriv") else []
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*guard, *self._arguments],
                cwd=self.folder,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait_ready(self) -> None:
        """Wait until the program answers. Raises `RuntimeError` with the end of its log if it does not."""
        try:
            until(self._answers, READY_WITHIN_S, f"{self.name} at {self.ready}")
        except TimeoutError as error:
            raise RuntimeError(self._trouble(str(error))) from error

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(self._trouble("it has ended"))
        with suppress(URLError, OSError):
            get(self.ready)
            return True
        return False

    def _trouble(self, what: str) -> str:
        tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
        return f"{self.name}: {what}; its log ends with\n{tail}"

    def kill(self) -> None:
        """End the program at once, without a chance to save anything."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Ask the program to end, and insist."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(self.patience_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def __enter__(self) -> Self:
        self.start()
        try:
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Collector(Part):
    """A collector with some configurations; the later ones change what the earlier ones say."""

    def __init__(
        self,
        folder: Path,
        configurations: Sequence[Path] = (CONFIG / "collector.yaml",),
        ports: Sequence[int] = (4317, 4318, 9464, 8888, 13133),
        **settings: object,
    ) -> None:
        """Take a folder for data, ports (gRPC, HTTP, metrics, its own metrics, health), and KIT_* settings."""
        grpc, http, metrics, own, health = ports
        given = [f"--config={path}" for path in configurations]
        super().__init__("collector", [binaries.find("collector"), *given], folder, f"http://{LOOPBACK}:{health}/")
        self.otlp = f"http://{LOOPBACK}:{http}"
        self.otlp_grpc = f"{LOOPBACK}:{grpc}"
        self.metrics = f"{LOOPBACK}:{metrics}"
        self.own_metrics = f"{LOOPBACK}:{own}"
        self.data = folder
        self.environment = {
            "KIT_OTLP_GRPC": self.otlp_grpc,
            "KIT_OTLP_HTTP": f"{LOOPBACK}:{http}",
            "KIT_PROMETHEUS": self.metrics,
            "KIT_SELF_HOST": LOOPBACK,
            "KIT_SELF_PORT": str(own),
            "KIT_HEALTH": f"{LOOPBACK}:{health}",
            "KIT_DATA": str(folder),
            **{name: str(value) for name, value in settings.items()},
        }


class Jaeger(Part):
    """Jaeger with traces in memory. It has nothing to save, and waits long for those who are connected."""

    patience_s = 0.5

    def __init__(self, folder: Path, ports: Sequence[int] = (14317, 16686, 16685)) -> None:
        """Take a folder for its log, and ports: OTLP, query, query over gRPC."""
        otlp, query, query_grpc = ports
        arguments = [binaries.find("jaeger"), f"--config={CONFIG / 'jaeger' / 'config.yaml'}"]
        self.url = f"http://{LOOPBACK}:{query}"
        super().__init__("jaeger", arguments, folder, f"{self.url}/api/services")
        self.otlp = f"{LOOPBACK}:{otlp}"
        self.environment = {
            "KIT_JAEGER": self.otlp,
            "KIT_JAEGER_QUERY": f"{LOOPBACK}:{query}",
            "KIT_JAEGER_QUERY_GRPC": f"{LOOPBACK}:{query_grpc}",
        }


class Prometheus(Part):
    """Prometheus with the kit's rules, looking at one collector."""

    def __init__(self, folder: Path, collector: Collector, port: int = 9090, interval: str | None = None) -> None:
        """Take a folder for data, whom to look at, and how often; None: as often as the configuration says."""
        self.url = f"http://{LOOPBACK}:{port}"
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "prometheus.yml"
        config.write_text(yaml.safe_dump(self._config(collector, folder, interval)))
        arguments = [
            binaries.find("prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'prometheus'}",
            "--storage.tsdb.retention.time=400d",
            "--enable-feature=exemplar-storage",
            f"--web.listen-address={LOOPBACK}:{port}",
        ]
        super().__init__("prometheus", arguments, folder, f"{self.url}/-/ready")

    @staticmethod
    def _config(collector: Collector, folder: Path, interval: str | None) -> dict[str, Any]:
        config: dict[str, Any] = yaml.safe_load((CONFIG / "prometheus" / "prometheus.yml").read_text())
        targets = {"applications": collector.metrics, "collector": collector.own_metrics}
        for job in config["scrape_configs"]:
            job["static_configs"] = [{"targets": [targets[job["job_name"]]]}]
        rules = CONFIG / "prometheus" / "rules"
        config["rule_files"] = [str(rules / "*.yml")]
        if interval is not None:
            config["global"] = {"scrape_interval": interval, "evaluation_interval": interval}
            config["rule_files"] = [str(_quicker(path, folder, interval)) for path in sorted(rules.glob("*.yml"))]
        return config


def _quicker(rules: Path, folder: Path, interval: str) -> Path:
    """Return a copy of a file of rules, in which each group is looked at in the same short interval."""
    read = yaml.safe_load(rules.read_text())
    for group in read["groups"]:
        group["interval"] = interval
    copy = folder / rules.name
    copy.write_text(yaml.safe_dump(read))
    return copy


def _interrupted(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


def _missing() -> list[str]:
    told = []
    for name in ("collector", "jaeger", "prometheus"):
        try:
            binaries.find(name)
        except binaries.MissingError as error:
            told.append(f"no {name}: {error}")
    return told


def _demo(collector: Collector) -> None:
    program = Path(sys.executable).with_name("tracetoll")
    sending = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.otlp,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "TRACETOLL_METRIC_ATTRIBUTES": "feature,team",
    }
    subprocess.run([program, "demo"], env={**os.environ, **sending}, check=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run everything until it is interrupted or its time is over."""
    parser = argparse.ArgumentParser(prog="make stack", description="Collector, Jaeger and Prometheus on this machine.")
    parser.add_argument("--seconds", type=float, default=MOST_SECONDS, help="stop after so long (8 hours)")
    parser.add_argument("--demo", action="store_true", help="send the demo through it, once it is up")
    parser.add_argument("--config", action="append", default=[], type=Path, help="an overlay for the collector")
    given = parser.parse_args(arguments)
    missing = _missing()
    if missing:
        print("\n".join([*missing, "with Docker: docker compose -f collector-config/compose.yaml up"]), file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, _interrupted)
    folder = binaries.CACHE / "stack"
    overlays = [path.resolve() for path in given.config]
    with suppress(KeyboardInterrupt), ExitStack() as running:
        jaeger = running.enter_context(Jaeger(folder))
        settings: Mapping[str, str] = {"KIT_JAEGER": jaeger.otlp, "KIT_KEEP_PERCENT": "100", "KIT_ROOT_WAIT": "2s"}
        settings = {name: os.environ.get(name, value) for name, value in settings.items()}
        collector = running.enter_context(Collector(folder, [CONFIG / "collector.yaml", *overlays], **settings))
        prometheus = running.enter_context(Prometheus(folder, collector))
        print(
            f"Applications send to {collector.otlp}:",
            f"  export OTEL_EXPORTER_OTLP_ENDPOINT={collector.otlp} OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
            f"Jaeger      {jaeger.url}/api/traces?service=tracetoll-demo",
            f"Prometheus  {prometheus.url}",
            f"History     {folder / 'traces.jsonl'}",
            "Ctrl-C ends everything.",
            sep="\n",
            flush=True,
        )
        if given.demo:
            _demo(collector)
        time.sleep(given.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
