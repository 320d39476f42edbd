"""Where OTLP goes, by the variables of OpenTelemetry's specification, and the exporters that send it there."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from tracetoll.cli.trouble import TroubleError, need

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.trace.export import SpanExporter

Signal = Literal["traces", "metrics"]
Protocol = Literal["grpc", "http/protobuf"]

CONNECT_TIMEOUT_S: Final = 1.0
DEFAULT_PROTOCOL: Final = "http/protobuf"  # specification, OTLP exporter configuration
_MODULES: Final[Mapping[str, str]] = {
    "grpc": "opentelemetry.exporter.otlp.proto.grpc",
    "http/protobuf": "opentelemetry.exporter.otlp.proto.http",
}


@dataclass(frozen=True, slots=True)
class Destination:
    """Where one signal goes. `url` is scheme, host and port alone: the rest may hold a key, so it is not shown."""

    signal: Signal
    variable: str
    url: str
    host: str
    port: int
    protocol: Protocol

    def reachable(self) -> bool:
        """Return whether something listens there, or a proxy is to be asked, which we leave to the exporter."""
        scheme = self.url.partition(":")[0]
        if self.protocol != "grpc" and scheme in getproxies() and not proxy_bypass(self.host):
            return True
        try:
            socket.create_connection((self.host, self.port), CONNECT_TIMEOUT_S).close()
        except OSError:
            return False
        return True


def destination(signal: Signal, environment: Mapping[str, str] | None = None) -> Destination | None:
    """Return where a signal goes, None if no endpoint is set.

    Raises `TroubleError` for an endpoint or a protocol that no exporter can use.
    """
    environment = os.environ if environment is None else environment
    variable, endpoint = _first(environment, signal, "ENDPOINT")
    if not endpoint:
        return None
    protocol = _protocol(environment, signal)
    parts = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    # gRPC also takes a bare host:port.
    if not host or (parts.scheme not in ("http", "https") and not (protocol == "grpc" and not parts.scheme)):
        msg = f"{variable} is not the URL of a collector; it looks like http://localhost:{_usual_port(protocol)}"
        raise TroubleError(msg)
    name = f"[{host}]" if ":" in host else host
    place = f"{name}:{port}" if port else name
    url = f"{parts.scheme}://{place}" if parts.scheme else place
    return Destination(signal, variable, url, host, port or (80 if parts.scheme == "http" else 443), protocol)


def _protocol(environment: Mapping[str, str], signal: Signal) -> Protocol:
    variable, value = _first(environment, signal, "PROTOCOL")
    word = value.strip().lower() or DEFAULT_PROTOCOL
    if word == "grpc":
        return "grpc"
    if word == "http/protobuf":
        return "http/protobuf"
    msg = f"{variable}={value!r} is no protocol that the exporters speak; use grpc or http/protobuf"
    raise TroubleError(msg)


def _first(environment: Mapping[str, str], signal: Signal, what: str) -> tuple[str, str]:
    """Return the variable that decides, and its value; a signal's own wins over the one for all."""
    own, common = f"OTEL_EXPORTER_OTLP_{signal.upper()}_{what}", f"OTEL_EXPORTER_OTLP_{what}"
    return (own, environment[own]) if environment.get(own) else (common, environment.get(common, ""))


def _usual_port(protocol: Protocol) -> int:
    return 4317 if protocol == "grpc" else 4318


def span_exporter(to: Destination, timeout_s: float | None = None) -> SpanExporter:
    """Return the exporter of spans; it reads endpoint, headers and certificates from the variables itself."""
    if to.protocol == "grpc":
        need("otlp", _MODULES["grpc"])
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as Grpc  # noqa: PLC0415

        return Grpc(timeout=timeout_s)
    need("otlp", _MODULES["http/protobuf"])
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as Http  # noqa: PLC0415

    return Http(timeout=timeout_s)


def metric_exporter(to: Destination) -> MetricExporter:
    """Return the exporter of metrics; see `span_exporter`."""
    if to.protocol == "grpc":
        need("otlp", _MODULES["grpc"])
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as Grpc  # noqa: PLC0415

        return Grpc()
    need("otlp", _MODULES["http/protobuf"])
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as Http  # noqa: PLC0415

    return Http()
