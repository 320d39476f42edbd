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
EXPORT_TIMEOUT_S: Final = 3.0  # with all of the exporter's retries; somebody waits for the command to end
TIMEOUT_VARIABLE: Final = "OTEL_EXPORTER_OTLP_TIMEOUT"
# The specification's default (OTLP exporter configuration). What opentelemetry-instrument sets up is gRPC unless
# a variable says otherwise (SDK 1.45), so who forgets to say it gets a hint.
DEFAULT_PROTOCOL: Final = "http/protobuf"
USUAL_PORTS: Final[Mapping[Protocol, int]] = {"grpc": 4317, "http/protobuf": 4318}
_MODULES: Final[Mapping[Protocol, str]] = {
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

    @property
    def hint(self) -> str:
        """What to try if it does not work: the other protocol, where the port is the other one's."""
        other: Protocol = "grpc" if self.protocol != "grpc" else "http/protobuf"
        if self.port != USUAL_PORTS[other]:
            return ""
        return f"; {self.port} is the usual port of {other}: set OTEL_EXPORTER_OTLP_PROTOCOL={other}"

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
        msg = f"{variable} is not the URL of a collector; it looks like http://localhost:{USUAL_PORTS[protocol]}"
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


def span_exporter(to: Destination) -> SpanExporter:
    """Return the exporter of spans; it reads endpoint, headers and certificates from the variables itself."""
    need("otlp", _MODULES[to.protocol])
    if to.protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as Grpc  # noqa: PLC0415

        return Grpc(timeout=_timeout_s())
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as Http  # noqa: PLC0415

    return Http(timeout=_timeout_s())


def metric_exporter(to: Destination) -> MetricExporter:
    """Return the exporter of metrics; see `span_exporter`."""
    need("otlp", _MODULES[to.protocol])
    if to.protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as Grpc  # noqa: PLC0415

        return Grpc(timeout=_timeout_s())
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as Http  # noqa: PLC0415

    return Http(timeout=_timeout_s())


def _timeout_s() -> float | None:
    """Return how long an export may take; None: what the variable says."""
    return None if os.environ.get(TIMEOUT_VARIABLE) else EXPORT_TIMEOUT_S
