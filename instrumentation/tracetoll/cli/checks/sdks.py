"""Which provider SDKs are there, and which of their functions are patched."""

from __future__ import annotations

import importlib
import re
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.trace import NoOpTracerProvider

from tracetoll.cli.checks.section import Section, warnings_of
from tracetoll.config import read_settings
from tracetoll.instrumentor import Instrumentor
from tracetoll.providers.found import found_providers
from tracetoll.providers.index import KNOWN
from tracetoll.providers.waists import Waist
from tracetoll.providers.words import Observed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tracetoll.providers.index import Sdk


def check_sdks() -> Section:
    """Import every SDK that is installed, instrumented, and look at what that has replaced."""
    section = Section("provider SDKs", ("SDK", "version", "supported", "importable", "patched"))
    with warnings_of("tracetoll"):
        wanted = read_settings().providers or tuple(KNOWN)
    instrumentor = Instrumentor()
    before = instrumentor.is_instrumented_by_opentelemetry
    with warnings_of("tracetoll") as warnings:
        if not before:
            instrumentor.instrument(tracer_provider=NoOpTracerProvider(), meter_provider=NoOpMeterProvider())
        for name, sdk in KNOWN.items():
            _check(name, sdk, section, wanted=name in wanted)
        if not before:
            instrumentor.uninstrument()
    section.attention += [warning for warning in warnings if warning.startswith("tracetoll failed")]
    if not any(row[1] for row in section.rows):
        names = ", ".join(sdk.distribution for sdk in KNOWN.values())
        section.attention.append(f"no provider SDK is installed, so there is nothing to count; counted are {names}")
    return section


def _check(name: str, sdk: Sdk, section: Section, *, wanted: bool) -> None:
    try:
        installed = version(sdk.distribution)
    except PackageNotFoundError:
        section.rows.append((name, "", "", "not installed", ""))
        return
    supported = _supported(installed, sdk)
    error = _import(name, sdk) if wanted else None
    importable = "no" if error else "yes" if wanted else ""
    patched = [function for function in _replaced() if function.startswith(tuple(f"{one}." for one in sdk.modules))]
    told = f"{len(patched)} functions" if wanted else "nothing: not in TRACETOLL_PROVIDERS"
    section.rows.append((name, installed, supported, importable, told))
    section.lines += patched
    oldest = ".".join(map(str, sdk.oldest))
    if supported.startswith("no:"):
        section.attention.append(
            f"{name} {installed} is older than {oldest}, the oldest version that is counted: "
            f"pip install '{sdk.distribution}>={oldest}'"
        )
    if error:
        section.attention.append(f"{name} {installed} cannot be imported ({error}): reinstall it")
    elif wanted and not patched:
        section.attention.append(
            f"{name} {installed} has none of the functions we patch, so its calls are not counted: "
            f"install a version from {oldest} to {sdk.newest_major}.x"
        )


def _supported(installed: str, sdk: Sdk) -> str:
    numbers = tuple(int(number) for number in re.findall(r"\d+", installed)[: len(sdk.oldest)])
    if numbers < sdk.oldest:
        return f"no: older than {'.'.join(map(str, sdk.oldest))}"
    return "yes" if numbers[0] <= sdk.newest_major else f"not tested: newer than {sdk.newest_major}.x"


def _import(name: str, sdk: Sdk) -> str | None:
    """Import an SDK and its patched modules; return the class of the error that the SDK raises, if it does."""
    errors = [error for error in map(_import_module, sdk.modules) if error is not None]
    if len(errors) == len(sdk.modules):
        return errors[0]
    for seam in found_providers()[name].seams():
        modules: Iterable[str] = ()
        if isinstance(seam, Observed):
            modules = seam.modules
        elif isinstance(seam, Waist):
            modules = [function.at.partition(":")[0] for function in seam.functions]
        for module in modules:
            with suppress(ImportError):  # it has moved between versions, and some have none
                importlib.import_module(module)
    return None


def _import_module(module: str) -> str | None:
    try:
        importlib.import_module(module)
    except Exception as error:  # noqa: BLE001  # a broken installation can raise anything
        return type(error).__name__
    return None


def _replaced() -> list[str]:
    patches = Instrumentor().patches
    return [] if patches is None else patches.replaced()
