"""`tracetoll doctor`, and what both commands say where something is missing."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from typing import TYPE_CHECKING

import pytest
from command_line import free_port, inside, run
from receivers import GrpcReceiver, HttpReceiver

from tracetoll.cli.checks import sdks
from tracetoll.cli.checks.installed import check_prices
from tracetoll.cli.otlp import destination
from tracetoll.instrumentor import Instrumentor
from tracetoll.providers.index import KNOWN

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from command_line import Run

# Keeps modules from being imported, as if they were not installed.
BLOCKER = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocker())
"""


@pytest.fixture
def blocking(tmp_path: Path) -> Callable[..., Path]:
    """Return what makes a folder for the path that keeps modules from being imported."""

    def block(*modules: str) -> Path:
        (tmp_path / "sitecustomize.py").write_text(BLOCKER.format(blocked=modules))
        return tmp_path

    return block


@pytest.fixture(scope="module")
def healthy() -> Run[str]:
    return run("doctor")


# --- what is missing ------------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["openai", "anthropic", "aiohttp"])
def test_a_missing_demo_extra_is_named(blocking: Callable[..., Path], module: str) -> None:
    done = run("demo", path=blocking(module))

    assert (1, "") == (done.returncode, done.stdout)
    assert f"{module} is not installed; try: pip install 'tracetoll[demo]'" in done.stderr


@pytest.mark.parametrize("module", ["click", "rich"])
@pytest.mark.parametrize("command", ["demo", "doctor"])
def test_a_missing_cli_extra_is_named(blocking: Callable[..., Path], command: str, module: str) -> None:
    done = run(command, path=blocking(module))

    assert 1 == done.returncode
    assert f"needs {module}, try: pip install 'tracetoll[cli]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", [HttpReceiver, GrpcReceiver])
@pytest.mark.parametrize("command", ["demo", "doctor"])
def test_a_missing_exporter_is_named(
    blocking: Callable[..., Path], command: str, kind: type[HttpReceiver | GrpcReceiver]
) -> None:
    path = blocking("opentelemetry.exporter.otlp", "opentelemetry.exporter.otlp.proto")
    with kind() as receiver:
        done = run(
            command,
            path=path,
            OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
            OTEL_EXPORTER_OTLP_PROTOCOL=kind.protocol,
        )

    assert 1 == done.returncode
    assert "pip install 'tracetoll[otlp]'" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


# --- doctor ---------------------------------------------------------------------------------------


def test_the_doctor_finds_nothing_wrong_with_this_environment(healthy: Run[str]) -> None:
    assert (0, "") == (healthy.returncode, healthy.stderr)
    assert healthy.stdout.endswith("all is well\n")


@pytest.mark.parametrize("name", ["openai", "anthropic"])
def test_the_doctor_names_the_functions_that_are_patched(healthy: Run[str], name: str) -> None:
    assert f"\n  {name}._base_client.SyncAPIClient.request\n" in healthy.stdout


@pytest.mark.parametrize(
    "fact",
    [
        "opentelemetry-sdk  ",
        r"TRACETOLL_STREAM_USAGE +default +known",
        r"genai-prices \d\S+ +\d,?\d{3} of \d+ providers",
        r"otlp +complete",
        r"exported +no: no endpoint is set",
    ],
)
def test_the_doctor_tells_what_is_there(healthy: Run[str], fact: str) -> None:
    assert re.search(fact, healthy.stdout)


@pytest.mark.parametrize("kind", [HttpReceiver, GrpcReceiver])
def test_the_doctor_sends_one_span(kind: type[HttpReceiver | GrpcReceiver]) -> None:
    with kind() as receiver:
        done = inside("doctor", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_EXPORTER_OTLP_PROTOCOL=kind.protocol)

    (span,) = receiver.received.spans
    assert "tracetoll doctor" == span.name
    assert 0 == done.returncode
    assert f"yes: trace {span.trace_id.hex()} at {receiver.url}" in done.stdout


def test_the_doctor_s_span_is_sent_whatever_is_sampled() -> None:
    with HttpReceiver() as receiver:
        inside("doctor", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_TRACES_SAMPLER="always_off")

    assert 1 == len(receiver.received.spans)


def test_the_doctor_never_prints_a_secret() -> None:
    secret = "hunter2-hunter2-hunter2"  # noqa: S105  # what must not show
    with HttpReceiver(status=403) as receiver:
        done = inside(
            "doctor",
            OPENAI_API_KEY=secret,
            TRACETOLL_PROMPT_FINGERPRINT_KEY=secret,
            OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url.replace("//", f"//user:{secret}@") + f"/{secret}?key={secret}",
            OTEL_EXPORTER_OTLP_HEADERS=f"authorization={secret}",
            OTEL_RESOURCE_ATTRIBUTES=f"secret={secret}",
        )

    assert 1 == len(receiver.received.headers)
    assert "authorization=…" in done.stdout
    assert re.search(r"TRACETOLL_PROMPT_FINGERPRINT_KEY +variable +set", done.stdout)
    assert "hunter2" not in done.stdout + done.stderr


def test_the_doctor_does_not_print_a_secret_that_is_wrong() -> None:
    done = inside("doctor", TRACETOLL_PROMPT_FINGERPRINT_KEY="hunter2")

    assert 1 == done.returncode
    assert "TRACETOLL_PROMPT_FINGERPRINT_KEY: the value given is not a secret of at least 16" in done.stdout
    assert "hunter2" not in done.stdout + done.stderr


def attention(done: Run[str]) -> list[str]:
    _, _, told = done.stdout.partition("needs attention:\n")
    return told.splitlines()


def test_the_doctor_tells_of_a_collector_that_is_not_there() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = inside("doctor", OTEL_EXPORTER_OTLP_ENDPOINT=url)

    assert 1 == done.returncode
    wanted = f"- nothing listens at {url}: start a collector there, or correct OTEL_EXPORTER_OTLP_ENDPOINT"
    assert [wanted] == attention(done)


def test_the_doctor_tells_of_a_collector_that_refuses() -> None:
    with HttpReceiver(status=401) as receiver:
        done = inside("doctor", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)

    (message,) = attention(done)
    assert message.startswith(f"- {receiver.url} did not take the test span")


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("TRACETOLL_STREAM_USAGE", "maybe", "TRACETOLL_STREAM_USAGE: 'maybe' is not one of known, always, never"),
        (
            "TRACETOLL_PROVIDER",
            "openai",
            "TRACETOLL_PROVIDER is not a setting and does nothing; did you mean TRACETOLL_",
        ),
        ("TRACETOLL_PROVIDERS", "openai,opnai", "TRACETOLL_PROVIDERS names 'opnai', which is no provider"),
        ("OTEL_SDK_DISABLED", "true", "OTEL_SDK_DISABLED switches OpenTelemetry off, nothing is counted: unset it"),
        ("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "redis, tracetoll", "take it off that list"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector", "it looks like http://localhost:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "ftp://collector", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is not the URL"),
    ],
)
def test_the_doctor_tells_of_a_variable_that_does_not_work(variable: str, value: str, message: str) -> None:
    done = inside("doctor", **{variable: value})

    assert 1 == done.returncode
    assert [message in line for line in attention(done)] == [True]


def test_the_doctor_tells_what_is_switched_off_by_a_setting() -> None:
    done = inside("doctor", TRACETOLL_PROVIDERS="openai")

    assert 0 == done.returncode
    assert re.search(r"anthropic .* nothing: not in TRACETOLL_PROVIDERS", done.stdout)
    assert re.search(r"TRACETOLL_PROVIDERS +variable +openai", done.stdout)


def test_the_doctor_needs_no_sdk_and_no_server(blocking: Callable[..., Path]) -> None:
    done = run("doctor", path=blocking("openai", "anthropic", "aiohttp"))

    assert 1 == done.returncode
    assert {"openai", "anthropic"} <= set(re.findall(r"- (\w+) \S+ cannot be imported", done.stdout))
    assert "Traceback" not in done.stderr


def test_help_names_both_commands() -> None:
    done = inside("--help")

    assert 0 == done.returncode
    assert re.search(r"^  demo .*\n  doctor ", done.stdout, re.MULTILINE)


def test_a_command_that_is_none_is_wrong_usage() -> None:
    assert 2 == inside("dmeo").returncode


@pytest.mark.parametrize(
    ("version", "supported", "messages"),
    [
        ("0.9.1", "no: older than", 2),
        ("99.0.0b1", "not tested: newer than", 0),
    ],
)
def test_the_doctor_knows_which_versions_are_counted(
    monkeypatch: pytest.MonkeyPatch, version: str, supported: str, messages: int
) -> None:
    monkeypatch.setattr(sdks, "version", lambda _: version)
    two = {name: replace(KNOWN[name], oldest=(1, 40)) for name in ("openai", "anthropic")}
    monkeypatch.setattr(sdks, "KNOWN", two)

    section = sdks.check_sdks()

    assert all(row[2].startswith(supported) for row in section.rows)
    assert messages == len(section.attention)


def test_the_doctor_misses_an_sdk_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(distribution: str) -> str:
        raise PackageNotFoundError(distribution)

    monkeypatch.setattr(sdks, "version", nothing)

    (message,) = sdks.check_sdks().attention
    assert message.startswith(
        "no provider SDK is installed, so there is nothing to count; counted are openai, anthropic"
    )


def test_the_doctor_misses_the_price_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)

    (message,) = check_prices().attention
    assert message.endswith("pip install --force-reinstall genai-prices")


def test_the_doctor_puts_everything_back() -> None:
    inside("doctor")

    assert not Instrumentor().is_instrumented_by_opentelemetry


def test_importing_the_package_imports_nothing_of_the_command_line() -> None:
    code = "import sys, tracetoll; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # our own code

    loaded = set(done.stdout.split())
    assert "tracetoll" in loaded
    assert not {"click", "rich", "aiohttp", "openai", "anthropic", "tracetoll.cli", "tracetoll.demo"} & loaded


# --- where OTLP goes ---


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, ("http://c:4318", "c", 4318, "http/protobuf")),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://u:p@c/v?k=1"}, ("https://c", "c", 443, "http/protobuf")),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://[::1]:1"}, ("http://[::1]:1", "::1", 1, "http/protobuf")),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            ("c:4317", "c", 4317, "grpc"),
        ),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://a",
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://b",
                "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "grpc",
            },
            ("http://b", "b", 80, "http/protobuf"),
        ),
    ],
)
def test_spans_go_where_the_variables_say(variables: dict[str, str], place: tuple[str, str, int, str]) -> None:
    to = destination("traces", variables)

    assert to is not None
    assert place == (to.url, to.host, to.port, to.protocol)


def test_the_port_of_the_other_protocol_gets_a_hint() -> None:
    usual = destination("traces", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"})
    other = destination("traces", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317"})

    assert usual is not None
    assert other is not None
    wanted = "; 4317 is the usual port of grpc: set OTEL_EXPORTER_OTLP_PROTOCOL=grpc"
    assert ["", wanted] == [usual.hint, other.hint]
