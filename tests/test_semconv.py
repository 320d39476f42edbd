from __future__ import annotations

import ast
import importlib.util
import shutil
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tracetoll_semconv import attributes, events, metrics
from tracetoll_semconv.metrics import Metric
from tracetoll_semconv.prefix import PREFIX

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
UPSTREAM = {"aws", "azure", "error", "exception", "gen_ai", "openai", "server", "session", "user"}


def load_generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("semconv_generate", ROOT / "semconv" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


generate = load_generator()


def names(module: ModuleType) -> dict[str, str]:
    """Return what each constant of a generated module names."""
    constants = {key: value for key, value in vars(module).items() if key.isupper()}
    return {key: value.name if isinstance(value, Metric) else value for key, value in constants.items()}


def all_metrics() -> dict[str, Metric]:
    return {value.name: value for value in vars(metrics).values() if isinstance(value, Metric)}


every_module = pytest.mark.parametrize("module", [attributes, metrics, events], ids=lambda module: module.__name__)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the registry and of what is generated from it, that the generator takes for its own."""
    shutil.copytree(ROOT / "semconv", tmp_path / "semconv")
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "semconv.md", tmp_path / "docs")
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    return tmp_path


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_the_committed_files_are_what_the_registry_generates() -> None:
    assert "" == generate.out_of_date(ROOT)


@every_module
def test_no_two_constants_have_the_same_value(module: ModuleType) -> None:
    values = list(names(module).values())

    assert len(set(values)) == len(values)


@every_module
def test_every_name_is_ours_by_its_prefix_or_in_a_namespace_of_upstream(module: ModuleType) -> None:
    namespaces = {value.partition(".")[0] for value in names(module).values()}

    assert set() == namespaces - UPSTREAM - {PREFIX}


@every_module
def test_a_constant_is_called_as_its_name_without_our_prefix(module: ModuleType) -> None:
    expected = [value.removeprefix(f"{PREFIX}.").replace(".", "_").upper() for value in names(module).values()]

    assert expected == list(names(module))


@every_module
def test_importing_the_names_imports_next_to_nothing_else(module: ModuleType) -> None:
    tree = ast.parse(Path(module.__file__ or "").read_text(encoding="utf-8"))

    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}

    assert set() == imported - {"dataclasses", "typing"}
    assert not any(isinstance(node, ast.Import) for node in ast.walk(tree))


def test_the_boundaries_of_every_histogram_strictly_rise() -> None:
    histograms = {name: metric.boundaries for name, metric in all_metrics().items() if metric.boundaries is not None}

    assert histograms
    assert [] == [name for name, bounds in histograms.items() if any(low >= high for low, high in pairwise(bounds))]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gen_ai.client.operation.duration", [0.01 * 2**i for i in range(14)]),
        ("gen_ai.client.token.usage", [4**i for i in range(14)]),
        ("gen_ai.invoke_agent.duration", [0.1 * 2**i for i in range(13)]),
        ("gen_ai.invoke_agent.tool_calls", [2**i for i in range(8)]),
        ("tracetoll.context.utilization", [0.05 * i for i in range(1, 21)]),
        ("tracetoll.operation.cost", [m * 10.0**e for e in range(-5, 2) for m in (1, 2, 5)] + [100]),
    ],
)
def test_the_boundaries_follow_their_series(name: str, expected: list[float]) -> None:
    assert pytest.approx(expected) == all_metrics()[name].boundaries


def test_no_metric_carries_the_id_of_a_user_session_conversation_or_answer() -> None:
    registry = generate.read_registry(ROOT / "semconv" / "registry")

    used = {ref.name for metric in registry.metrics.values() for ref in registry.references(metric.group)}

    assert set() == {name for name in used if name.endswith(".id")}


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        pytest.param(
            "cost.yaml",
            "id: tracetoll.cost.currency",
            "id: tracetoll.cost.amount",
            "cost.yaml: tracetoll.cost.amount: 'tracetoll.cost.amount' is defined twice",
            id="an attribute twice",
        ),
        pytest.param(
            "metrics.yaml",
            "id: metric.tracetoll.operation.cost",
            "id: metric.tracetoll.cost",
            "metrics.yaml: metric.tracetoll.cost: 'metric.tracetoll.cost' is defined twice",
            id="a group twice",
        ),
        pytest.param(
            "metrics.yaml",
            "ref: tracetoll.cost.source",
            "ref: tracetoll.cost.sauce",
            "metrics.yaml: metric.tracetoll.cost: ref 'tracetoll.cost.sauce' is not defined",
            id="an unknown reference",
        ),
        pytest.param(
            "metrics.yaml",
            "extends: metric_attributes.gen_ai.model",
            "extends: metric_attributes.gen_ai.models",
            "metrics.yaml: metric.tracetoll.cost: extends 'metric_attributes.gen_ai.models', which is not defined",
            id="an unknown set",
        ),
        pytest.param(
            "attribution.yaml",
            "brief: Customer that the call is made for.",
            "note: No brief.",
            "attribution.yaml: tracetoll.tenant: brief is missing",
            id="no brief",
        ),
        pytest.param(
            "events.yaml",
            "stability: development",
            "note: No stability.",
            "events.yaml: event.tracetoll.usage: stability is missing",
            id="no stability",
        ),
        pytest.param(
            "context.yaml",
            "type: int",
            "type: integer",
            "context.yaml: tracetoll.context.window_size: type must be one of "
            "string, template[string], int, double, boolean, string[], any, not 'integer'",
            id="an unknown type",
        ),
        pytest.param(
            "context.yaml",
            "examples: [200000]",
            "examples: [many]",
            "context.yaml: tracetoll.context.window_size: example 'many' is not of type int",
            id="an example of another type",
        ),
        pytest.param(
            "context.yaml",
            "brief: Tokens that",
            "breif: Tokens that",
            "context.yaml: tracetoll.context.window_size: attribute has no key 'breif'",
            id="a slip in a key",
        ),
        pytest.param(
            "context.yaml",
            "id: tracetoll.context.window_size",
            "id: gen_ai.context.window_size",
            "context.yaml: gen_ai.context.window_size: id must start with 'tracetoll.'; "
            "the names of others belong in upstream.yaml",
            id="no prefix",
        ),
        pytest.param(
            "upstream.yaml",
            "id: gen_ai.agent.name",
            "id: tracetoll.agent.name",
            "upstream.yaml: tracetoll.agent.name: id starts with 'tracetoll'; upstream.yaml is for the names of others",
            id="our prefix on a name of upstream",
        ),
        pytest.param(
            "upstream.yaml",
            "Source: semantic-conventions v1.34.",
            "From somewhere.",
            "upstream.yaml: gen_ai.conversation.id: note must end with the source of the name: 'Source: ...'",
            id="no source",
        ),
        pytest.param(
            "metrics.yaml",
            "boundaries: [1, 2, 4, 8,",
            "boundaries: [1, 2, 2, 8,",
            "metrics.yaml: metric.tracetoll.trace.inference_calls: "
            "boundaries must be numbers, four at least, each above the one before",
            id="boundaries that do not rise",
        ),
        pytest.param(
            "metrics.yaml",
            "instrument: counter",
            "instrument: histogram",
            "metrics.yaml: metric.tracetoll.cost: "
            "histograms must have annotations.tracetoll.boundaries, other metrics must not",
            id="a histogram without boundaries",
        ),
        pytest.param(
            "rollup.yaml",
            "id: tracetoll.rollup.unpriced.count",
            "id: tracetoll.rollup.error_count",
            "rollup.yaml: tracetoll.rollup.error_count: 'tracetoll.rollup.error_count' and "
            "'tracetoll.rollup.error.count' would both be the constant ROLLUP_ERROR_COUNT",
            id="two names of one constant",
        ),
        pytest.param(
            "rollup.yaml",
            "id: tracetoll.rollup.unpriced.count",
            "id: tracetoll.rollup.scope.count",
            "rollup.yaml: tracetoll.rollup.scope.count: "
            "'tracetoll.rollup.scope' is an attribute and cannot be a namespace",
            id="an attribute as namespace",
        ),
        pytest.param(
            "usage.yaml",
            "groups:",
            "group:",
            "usage.yaml: groups: is missing",
            id="no groups",
        ),
    ],
)
def test_a_broken_registry_is_refused_by_file_and_id(
    checkout: Path, file: str, old: str, new: str, expected: str
) -> None:
    replace(checkout / "semconv" / "registry" / file, old, new)

    with pytest.raises(generate.RegistryError) as caught:
        generate.read_registry(checkout / "semconv" / "registry")

    assert expected == str(caught.value)


def test_a_file_that_is_not_yaml_is_refused_with_the_line(checkout: Path) -> None:
    (checkout / "semconv" / "registry" / "cost.yaml").write_text("groups:\n  - id: [\n", encoding="utf-8")

    with pytest.raises(generate.RegistryError, match=r"^cost\.yaml: not YAML: .*line 3"):
        generate.read_registry(checkout / "semconv" / "registry")


def test_the_check_tells_what_differs_and_writes_nothing(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replace(checkout / "semconv" / "registry" / "cost.yaml", "Cost of the output", "Price of the output")
    before = (checkout / "docs" / "semconv.md").read_text(encoding="utf-8")

    code = generate.main(["--check"])

    assert 1 == code
    assert '+"""Price of the output, reasoning included."""' in capsys.readouterr().out.splitlines()
    assert before == (checkout / "docs" / "semconv.md").read_text(encoding="utf-8")


def test_generating_brings_all_files_up_to_date(checkout: Path) -> None:
    replace(checkout / "semconv" / "registry" / "cost.yaml", "Cost of the output", "Price of the output")

    code = generate.main([])

    assert 0 == code
    assert "" == generate.out_of_date(checkout)


def test_a_missing_module_is_generated_again(checkout: Path) -> None:
    written = checkout / "semconv" / "tracetoll_semconv" / "events.py"
    written.unlink()

    generate.main([])

    assert (ROOT / "semconv" / "tracetoll_semconv" / "events.py").read_text(encoding="utf-8") == written.read_text(
        encoding="utf-8"
    )


def test_a_broken_registry_ends_the_program_with_one_line(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replace(checkout / "semconv" / "registry" / "cost.yaml", "ISO 4217.", "ISO 4217")

    code = generate.main([])

    assert 2 == code
    assert 1 == capsys.readouterr().err.count("\n")


def test_a_page_without_a_table_is_refused(checkout: Path) -> None:
    replace(checkout / "docs" / "semconv.md", "<!-- generated: metrics -->", "")

    with pytest.raises(generate.RegistryError, match=r"^semconv\.md: generated: must have markers for attributes, "):
        generate.outputs(checkout)
