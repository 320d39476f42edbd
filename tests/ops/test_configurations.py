"""Each file of the kit is valid, says what it is for, and does what it says where no other test runs it."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from typing import TYPE_CHECKING, Any

import binaries
import kit as parts
import openai
import pytest
import stack
import yaml
from receivers import GrpcReceiver, HttpReceiver
from senders import application

from tracetoll import agent
from tracetoll.local_provider import LocalProvider
from tracetoll_semconv import attributes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG = stack.CONFIG
ALONE = ("collector.yaml", "edge.yaml", "balancer.yaml")
OVERLAYS = sorted(path.relative_to(CONFIG).as_posix() for path in (CONFIG / "overlays").rglob("*.yaml"))
VENDORS = [name for name in OVERLAYS if "/vendors/" in name]
RULES = sorted((CONFIG / "prometheus" / "rules").glob("*.yml"))
RULE_TESTS = sorted((CONFIG / "prometheus" / "tests").glob("*.yml"))
TEXTS = sorted(path for path in CONFIG.rglob("*") if path.suffix in {".yaml", ".yml", ".json", ".sql"})

# Vendor → what tells it where to send, and with which key; and the header that has to arrive.
SETTINGS = {
    "datadog": ("DATADOG_AGENT", {}, {}),
    "grafana-cloud": ("GRAFANA_CLOUD_OTLP", {"GRAFANA_CLOUD_BASIC": "c2VjcmV0"}, {"authorization": "Basic c2VjcmV0"}),
    "honeycomb": ("HONEYCOMB_ENDPOINT", {"HONEYCOMB_API_KEY": "hush"}, {"x-honeycomb-team": "hush"}),
    "langfuse": ("LANGFUSE_ENDPOINT", {"LANGFUSE_BASIC": "c2VjcmV0"}, {"authorization": "Basic c2VjcmV0"}),
    "mlflow": ("MLFLOW_ENDPOINT", {"MLFLOW_EXPERIMENT_ID": "7"}, {"x-mlflow-experiment-id": "7"}),
    "new-relic": ("NEW_RELIC_ENDPOINT", {"NEW_RELIC_LICENSE_KEY": "hush"}, {"api-key": "hush"}),
    "otlp": (
        "VENDOR_ENDPOINT",
        {"VENDOR_HEADERS": "{x-key: hush, x-team: tolls}"},
        {"x-key": "hush", "x-team": "tolls"},
    ),
    "phoenix": ("PHOENIX_ENDPOINT", {"PHOENIX_API_KEY": "hush"}, {"authorization": "Bearer hush"}),
}


def ask(provider: LocalProvider, text: str = "What does the bridge cost?") -> None:
    messages: list[Any] = [{"role": "user", "content": text}]
    http = openai.DefaultHttpxClient(trust_env=False)
    with openai.OpenAI(base_url=f"{provider.url}/v1", api_key="none", http_client=http) as client:
        client.chat.completions.create(model="gpt-4o-mini", messages=messages)


def run(*arguments: str | Path) -> str:
    done = subprocess.run(arguments, cwd=CONFIG / "prometheus", capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("names", [*[(name,) for name in ALONE], *[("collector.yaml", name) for name in OVERLAYS]])
def test_the_collector_takes_every_configuration(names: tuple[str, ...]) -> None:
    parts.need("collector")

    run(binaries.find("collector"), "validate", *[f"--config={CONFIG / name}" for name in names])


def test_prometheus_takes_its_configuration_and_rules() -> None:
    parts.need("promtool")

    assert "SUCCESS" in run("promtool", "check", "config", "prometheus.yml")
    assert "SUCCESS" in run("promtool", "check", "rules", *RULES)


@pytest.mark.parametrize("file", RULE_TESTS, ids=lambda path: path.stem)
def test_rules_come_to_what_they_should(file: Path) -> None:
    parts.need("promtool")

    assert "SUCCESS" in run("promtool", "test", "rules", file)


def alerts() -> list[str]:
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]
    return [rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule]


@pytest.mark.parametrize("alert", alerts())
def test_an_alert_is_shown_to_fire_and_to_stay_silent(alert: str) -> None:
    cases = [
        case
        for path in RULE_TESTS
        for test in yaml.safe_load(path.read_text())["tests"]
        for case in test.get("alert_rule_test", ())
        if case["alertname"] == alert
    ]

    assert any(case.get("exp_alerts") for case in cases)
    assert any(not case.get("exp_alerts") for case in cases)


@pytest.mark.parametrize("path", [path for path in TEXTS if path.suffix != ".json"], ids=lambda path: path.name)
def test_a_file_says_first_what_it_is_for(path: Path) -> None:
    first = path.read_text().splitlines()[0]

    assert re.match(r"(#|--) \S.{30}", first), first


@cache
def registered() -> list[dict[str, Any]]:
    """Return the metrics in the registry, ours and upstream's."""
    files = (stack.CONFIG.parent / "semconv" / "registry").glob("*.yaml")
    groups = [group for path in files for group in yaml.safe_load(path.read_text())["groups"]]
    return [group for group in groups if group["type"] == "metric"]


@cache
def prometheus_names() -> set[str]:
    """Return how Prometheus calls them, with what it adds for unit and instrument."""
    found = set()
    for metric in registered():
        name = re.sub(r"\W", "_", metric["metric_name"])
        instrument, unit = metric["instrument"], metric["unit"]
        name += {"s": "_seconds", "1": "_ratio" if instrument == "gauge" else ""}.get(unit, "")
        endings = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("_total",)}.get(instrument, ("",))
        found |= {name + ending for ending in endings}
    return found


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_a_file_uses_only_names_that_exist(path: Path) -> None:
    known = {value for value in vars(attributes).values() if isinstance(value, str)}
    known |= {metric["metric_name"] for metric in registered()}
    labels = {re.sub(r"\W", "_", name) for name in known}
    text = path.read_text()

    dotted = set(re.findall(r"(?<![\w.-])tracetoll\.[a-z_.]*[a-z_]", text))
    flat = set(re.findall(r"(?<![\w:])(?:tracetoll|gen_ai)_[a-z_]+", text))
    assert set() == {name for name in dotted if not any(f"{one}.".startswith(f"{name}.") for one in known)}
    assert set() == flat - labels - prometheus_names()


@pytest.mark.parametrize("name", VENDORS)
def test_a_vendor_gets_spans_with_the_key_from_the_environment(name: str, tmp_path: Path) -> None:
    variable, keys, headers = SETTINGS[name.rpartition("/")[2].removesuffix(".yaml")]
    with HttpReceiver() as receiver, LocalProvider() as provider:
        settings = {variable: receiver.url, "KIT_KEEP_PERCENT": 100, "KIT_EXPENSIVE_TOKENS": 1, **keys}
        with (
            parts.collector(tmp_path, CONFIG / "collector.yaml", CONFIG / name, **settings) as collector,
            application(collector, "bridge"),
            agent("planner"),
        ):
            ask(provider)
        # The collector has sent all there was when it has ended.

    assert {"chat gpt-4o-mini", "invoke_agent planner"} == {span.name for span in receiver.received.spans}
    traces = [one for one in receiver.received.headers if headers.items() <= one.items()]
    assert traces


@pytest.fixture(scope="module")
def filtered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[dict[str, Any]]]]:
    """Yield the spans in the file of all, and in that of large ones, after calls and health checks."""
    parts.need("collector")
    folder = tmp_path_factory.mktemp("filtered")
    chosen = (CONFIG / "collector.yaml", CONFIG / "overlays" / "large-calls.yaml")
    with LocalProvider() as provider, parts.collector(folder, *chosen, KIT_MIN_TOKENS=500) as collector:
        with application(collector, "bridge") as made:
            with agent("small"):
                ask(provider)
            with agent("large"):
                ask(provider, "The keeper writes every crossing into a blue book. " * 100)
            tracer = made.tracer_provider.get_tracer("web")
            for path in ("/healthz", "/crossings"):
                with tracer.start_as_current_span(f"GET {path}", attributes={"url.path": path}):
                    pass
            with tracer.start_as_current_span("GET /ready?x=1", attributes={"http.target": "/ready?x=1"}):
                pass
        files = {name: folder / f"{name}.jsonl" for name in ("traces", "large")}
        stack.until(lambda: len(parts.spans(files["traces"])) == 5, parts.SOON_S, "spans")
        stack.until(lambda: len(parts.spans(files["large"])) == 2, parts.SOON_S, "large spans")
        yield {name: parts.spans(file) for name, file in files.items()}


def test_health_checks_are_dropped(filtered: dict[str, list[dict[str, Any]]]) -> None:
    names = {span["name"] for span in filtered["traces"]}

    assert {"GET /crossings"} == {name for name in names if name.startswith("GET")}


def test_what_has_many_tokens_is_kept_apart(filtered: dict[str, list[dict[str, Any]]]) -> None:
    assert ["chat gpt-4o-mini", "invoke_agent large"] == sorted(span["name"] for span in filtered["large"])


def test_a_balancer_sends_a_trace_to_one_gateway(tmp_path: Path) -> None:
    with GrpcReceiver() as receiver, LocalProvider() as provider:
        settings = {"KIT_GATEWAYS": "127.0.0.1", "KIT_GATEWAYS_PORT": receiver.url.rpartition(":")[2]}
        with (
            parts.collector(tmp_path, CONFIG / "balancer.yaml", **settings) as collector,
            application(collector, "bridge"),
            agent("planner"),
        ):
            ask(provider)

    assert {"chat gpt-4o-mini", "invoke_agent planner"} == {span.name for span in receiver.received.spans}
    assert receiver.received.metrics


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((CONFIG / "compose.yaml").read_text())
    return found


def test_compose_mounts_files_that_are_there() -> None:
    mounts = [one for service in compose()["services"].values() for one in service.get("volumes", ())]

    for source in (mount.partition(":")[0] for mount in mounts):
        assert source in compose()["volumes"] or (CONFIG / source).exists(), source


def test_compose_publishes_on_this_machine_alone() -> None:
    ports = [port for service in compose()["services"].values() for port in service["ports"]]

    assert {"127.0.0.1"} == {port.partition(":")[0] for port in ports}


def test_compose_sets_only_variables_that_its_files_read() -> None:
    others = [path.read_text() for path in CONFIG.rglob("*.yaml") if path.name != "compose.yaml"]
    read = {name for text in others for name in re.findall(r"\$(?:\{env:)?(KIT_\w+)", text)}

    for service in compose()["services"].values():
        assert set() == {name for name in service.get("environment", ()) if name.startswith("KIT_")} - read


def test_the_stock_collector_of_compose_is_as_old_as_the_slim_one() -> None:
    manifest = yaml.safe_load((CONFIG / "builder.yaml").read_text())

    assert f":{manifest['dist']['version']}" in compose()["services"]["collector"]["image"]


def test_prometheus_takes_the_configuration_in_compose(tmp_path: Path) -> None:
    parts.need("promtool")
    (tmp_path / "rules").symlink_to(CONFIG / "prometheus" / "rules")
    (tmp_path / "prometheus.yml").write_text(compose()["configs"]["prometheus"]["content"])

    assert "SUCCESS" in run("promtool", "check", "config", tmp_path / "prometheus.yml")
    stated = yaml.safe_load((CONFIG / "prometheus" / "prometheus.yml").read_text())
    inside = yaml.safe_load(compose()["configs"]["prometheus"]["content"])
    assert [job["job_name"] for job in stated["scrape_configs"]] == [
        job["job_name"] for job in inside["scrape_configs"]
    ]
