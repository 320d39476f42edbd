"""How OpenTelemetry is set up here: versions, variables, and who would set up the SDK without code."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, entry_points, version
from typing import TYPE_CHECKING, Final, get_args

from tracetoll.cli.checks.section import Section
from tracetoll.cli.otlp import Signal, destination
from tracetoll.cli.trouble import TroubleError

if TYPE_CHECKING:
    from collections.abc import Mapping

# Variables whose values may be shown. Endpoints are shown without what may be a key; headers by their names.
SHOWN: Final = (
    "OTEL_CONFIG_FILE",
    "OTEL_SDK_DISABLED",
    "OTEL_SERVICE_NAME",
    "OTEL_PROPAGATORS",
    "OTEL_TRACES_EXPORTER",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_METRICS_EXPORTER",
    "OTEL_METRIC_EXPORT_INTERVAL",
    "OTEL_LOGS_EXPORTER",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_EXPORTER_OTLP_COMPRESSION",
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS",
    "OTEL_PYTHON_DISTRO",
    "OTEL_PYTHON_CONFIGURATOR",
)
HEADERS: Final = (
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
)
DISTRIBUTIONS: Final = ("opentelemetry-api", "opentelemetry-sdk", "opentelemetry-instrumentation")


def check_opentelemetry(environment: Mapping[str, str] | None = None) -> Section:
    """Tell versions and variables, and whether the endpoints can be reached."""
    environment = os.environ if environment is None else environment
    section = Section("OpenTelemetry", ("what", "value"))
    section.rows += [(name, version_of(name) or "not installed") for name in DISTRIBUTIONS]
    section.rows += [(name, environment[name]) for name in SHOWN if environment.get(name)]
    section.rows += [(name, _names_of_headers(environment[name])) for name in HEADERS if environment.get(name)]
    for signal in get_args(Signal):
        _check_endpoint(signal, environment, section)
    _check_switches(environment, section)
    configurators = [one.name for one in entry_points(group="opentelemetry_configurator")]
    section.rows.append(
        (
            "opentelemetry-instrument",
            f"sets up the SDK through {', '.join(configurators)}"
            if configurators
            else "sets up nothing by itself; without code of your own: pip install opentelemetry-distro",
        )
    )
    return section


def version_of(distribution: str) -> str | None:
    """Return the version of a distribution, None if it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _names_of_headers(value: str) -> str:
    names = [part.partition("=")[0].strip() for part in value.split(",") if "=" in part]
    return ", ".join(f"{name}=…" for name in names) or "set, but not as name=value"


def _check_endpoint(signal: Signal, environment: Mapping[str, str], section: Section) -> None:
    what = f"endpoint for {signal}"
    try:
        to = destination(signal, environment)
    except TroubleError as trouble:
        section.rows.append((what, "wrong"))
        if str(trouble) not in section.attention:
            section.attention.append(str(trouble))
        return
    if to is None:
        section.rows.append((what, "not set (OTEL_EXPORTER_OTLP_ENDPOINT)"))
    elif to.reachable():
        section.rows.append((what, f"{to.url} ({to.protocol}), reachable"))
    else:
        section.rows.append((what, f"{to.url} ({to.protocol}), not reachable"))
        message = f"nothing listens at {to.url}: start a collector there, or correct {to.variable}"
        if message not in section.attention:
            section.attention.append(message)


def _check_switches(environment: Mapping[str, str], section: Section) -> None:
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        section.attention.append("OTEL_SDK_DISABLED switches OpenTelemetry off, nothing is counted: unset it")
    disabled = environment.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "")
    if {"*", "tracetoll"} & {name.strip() for name in disabled.split(",")}:
        section.attention.append(
            "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS keeps opentelemetry-instrument from loading tracetoll: "
            "take it off that list"
        )
