"""Write the package tracetoll_semconv and the tables of docs/semconv.md from semconv/registry/.

    python semconv/generate.py            write them
    python semconv/generate.py --check    exit 1 with a diff where they are out of date

Exits 2 when the registry is broken, and says where.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

import yaml

from tracetoll_semconv.prefix import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent
REGISTRY = Path("semconv", "registry")
PACKAGE = Path("semconv", "tracetoll_semconv")
DOCS = Path("docs", "semconv.md")
UPSTREAM = "upstream.yaml"

NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
UNIT = re.compile(r"\w+|\{\w+\}")
SECTION = re.compile(r"(<!-- generated: (?P<name>[a-z ]+) -->\n).*?(<!-- /generated -->)", re.DOTALL)
BRIEF_LENGTH = 110  # fits between quotes into the line length of the generated code
LINE_LENGTH = 120

STABILITIES = ("development", "alpha", "beta", "release_candidate", "stable")
INSTRUMENTS = ("counter", "gauge", "histogram", "updowncounter")
LEVELS = {"required": "R", "conditionally_required": "C", "recommended": "S", "opt_in": "O"}
EXAMPLES = {"string": str, "template[string]": str, "int": int, "double": float, "boolean": bool, "string[]": list}
TYPES = (*EXAMPLES, "any")

# Weaver knows more keys; a key that we do not read is more likely a slip.
COMMON_KEYS = {"id", "type", "brief", "note", "stability", "attributes", "extends"}
KEYS = {
    "attribute_group": COMMON_KEYS | {"display_name"},
    "metric": COMMON_KEYS | {"metric_name", "instrument", "unit", "annotations"},
    "event": COMMON_KEYS | {"name"},
    "attribute": {"id", "type", "brief", "note", "stability", "examples", "deprecated"},
    "reference": {"ref", "requirement_level"},
    "enum": {"members"},
    "member": {"id", "value", "brief", "stability"},
    "deprecated": {"reason", "renamed_to"},
}


class RegistryError(ValueError):
    """The registry is broken; the message names the file and the id."""

    def __init__(self, file: str, name: str, problem: str) -> None:
        super().__init__(f"{file}: {name}: {problem}")


@dataclass(frozen=True, slots=True)
class Entry:
    """A mapping of the registry, with the place that an error about it names."""

    file: str
    id: str
    values: Mapping[str, object]

    @property
    def upstream(self) -> bool:
        """Whether the names in it are OpenTelemetry's and not ours."""
        return self.file == UPSTREAM

    def fail(self, problem: str) -> NoReturn:
        """Raise a RegistryError that names this place."""
        raise RegistryError(self.file, self.id, problem)

    def below(self, value: object, what: str, label: str = "id") -> Entry:
        """Return `value`, found in this entry, as an entry that is known by its key `label`."""
        if not isinstance(value, dict):
            self.fail(f"{what} must be a mapping, not {value!r}")
        name = value.get(label, self.id)
        return Entry(self.file, name if isinstance(name, str) else self.id, value)

    def only(self, kind: str) -> None:
        """Refuse keys that nothing of this kind has."""
        unknown = sorted(set(self.values) - KEYS[kind])
        if unknown:
            self.fail(f"{kind} has no key {unknown[0]!r}")

    def text(self, key: str) -> str:
        """Return the text of a required key on one line."""
        value = self.values.get(key)
        if value is None:
            self.fail(f"{key} is missing")
        if not isinstance(value, str) or not value.strip():
            self.fail(f"{key} must be a text, not {value!r}")
        return " ".join(value.split())

    def optional_text(self, key: str) -> str | None:
        """Return the text of a key on one line, None if it is not there."""
        return self.text(key) if key in self.values else None

    def list_of(self, key: str) -> list[object]:
        """Return the list of a key, an empty one if it is not there."""
        value = self.values.get(key, [])
        if not isinstance(value, list):
            self.fail(f"{key} must be a list, not {value!r}")
        return value

    def one_of(self, key: str, allowed: Iterable[str]) -> str:
        """Return the text of a required key that can have only these values."""
        value = self.text(key)
        if value not in allowed:
            self.fail(f"{key} must be one of {', '.join(allowed)}, not {value!r}")
        return value

    def brief(self) -> str:
        """Return the brief, which goes into a line of code between double quotes."""
        brief = self.text("brief")
        if len(brief) > BRIEF_LENGTH or '"' in brief or "\\" in brief or not brief.endswith("."):
            self.fail(f"brief must have {BRIEF_LENGTH} characters at most, end with a full stop and not quote")
        return brief

    def name(self, key: str) -> str:
        """Return a name that goes out with telemetry: ours with our prefix, upstream's without."""
        name = self.text(key)
        if not NAME.fullmatch(name):
            self.fail(f"{key} must be lower-case words joined with dots, not {name!r}")
        ours = name.startswith(f"{PREFIX}.")
        if ours and self.upstream:
            self.fail(f"{key} starts with {PREFIX!r}; {UPSTREAM} is for the names of others")
        if not ours and not self.upstream:
            self.fail(f"{key} must start with {PREFIX + '.'!r}; the names of others belong in {UPSTREAM}")
        return name

    def note(self) -> str | None:
        """Return the note, which for a name of upstream's tells its source."""
        note = self.optional_text("note")
        if self.upstream and "Source: " not in (note or ""):
            self.fail("note must end with the source of the name: 'Source: ...'")
        return note


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute as the registry defines it."""

    entry: Entry
    name: str
    type: str
    members: tuple[tuple[str, str], ...]
    brief: str
    note: str | None
    examples: tuple[object, ...]
    renamed_to: str | None


@dataclass(frozen=True, slots=True)
class Reference:
    """The use of an attribute in a metric, an event or a set of attributes."""

    entry: Entry
    name: str
    level: str
    condition: str | None


@dataclass(frozen=True, slots=True)
class Group:
    """A group of the registry: a heading with attributes, or a set that others extend."""

    entry: Entry
    title: str | None
    extends: str | None
    attributes: tuple[Attribute, ...]
    references: tuple[Reference, ...]


@dataclass(frozen=True, slots=True)
class Signal:
    """A metric or an event: what both have."""

    group: Group
    name: str
    brief: str
    note: str | None


@dataclass(frozen=True, slots=True)
class Metric(Signal):
    """A metric; only histograms have bucket boundaries."""

    instrument: str
    unit: str
    boundaries: tuple[float, ...] | None


@dataclass(slots=True)
class Registry:
    """All that the registry defines, by name."""

    groups: dict[str, Group] = field(default_factory=dict)
    attributes: dict[str, Attribute] = field(default_factory=dict)
    metrics: dict[str, Metric] = field(default_factory=dict)
    events: dict[str, Signal] = field(default_factory=dict)

    def references(self, group: Group) -> list[Reference]:
        """Return the attributes of a metric or event; its own word on one goes before an inherited one."""
        found: dict[str, Reference] = {}
        seen: set[str] = set()
        at: Group | None = group
        while at is not None:
            if at.entry.id in seen:
                group.entry.fail("extends itself")
            seen.add(at.entry.id)
            found = {reference.name: reference for reference in at.references} | found
            at = self._extended(at)
        order = list(LEVELS)
        return sorted(found.values(), key=lambda reference: (order.index(reference.level), reference.name))

    def _extended(self, group: Group) -> Group | None:
        if group.extends is None:
            return None
        if group.extends not in self.groups:
            group.entry.fail(f"extends {group.extends!r}, which is not defined")
        return self.groups[group.extends]


def read_registry(folder: Path) -> Registry:
    """Return what the YAML files in `folder` define. Raises RegistryError at the first fault."""
    registry = Registry()
    for path in sorted(folder.glob("*.yaml")):
        for entry in _entries(path):
            _add(registry, entry)
    _check_links(registry)
    for names in (registry.attributes, registry.metrics, registry.events):
        _check_constants(names)
    _check_nesting(registry.attributes)
    return registry


def _entries(path: Path) -> Iterable[Entry]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise RegistryError(path.name, "not YAML", " ".join(str(error).split())) from error
    top = Entry(path.name, "groups", content if isinstance(content, dict) else {})
    if "groups" not in top.values:
        top.fail("is missing")
    for value in top.list_of("groups"):
        entry = top.below(value, "a group")
        entry.text("id")
        yield entry


def _add(registry: Registry, entry: Entry) -> None:
    kind = entry.one_of("type", ("attribute_group", "metric", "event"))
    entry.only(kind)
    group = _group(entry, kind)
    _put(registry.groups, entry.id, group, entry)
    for attribute in group.attributes:
        _put(registry.attributes, attribute.name, attribute, attribute.entry)
    if kind == "metric":
        metric = _metric(group)
        _put(registry.metrics, metric.name, metric, entry)
    if kind == "event":
        event = Signal(group, entry.name("name"), entry.brief(), entry.note())
        _put(registry.events, event.name, event, entry)


def _put(table: dict[str, T], name: str, value: T, entry: Entry) -> None:
    if name in table:
        entry.fail(f"{name!r} is defined twice")
    table[name] = value


def _group(entry: Entry, kind: str) -> Group:
    entry.brief()
    entry.one_of("stability", STABILITIES)
    attributes: list[Attribute] = []
    references: dict[str, Reference] = {}
    for value in entry.list_of("attributes"):
        if isinstance(value, dict) and "ref" in value:
            reference = _reference(entry.below(value, "an attribute", "ref"))
            _put(references, reference.name, reference, entry)
        elif kind == "attribute_group":
            attributes.append(_attribute(entry.below(value, "an attribute")))
        else:
            entry.fail("attributes must be references; define them in an attribute_group")
    title = entry.text("display_name") if attributes else None
    return Group(entry, title, entry.optional_text("extends"), tuple(attributes), tuple(references.values()))


def _reference(entry: Entry) -> Reference:
    entry.only("reference")
    level = entry.values.get("requirement_level", "recommended")
    condition: object = None
    if isinstance(level, dict) and len(level) == 1:
        level, condition = next(iter(level.items()))
    if not isinstance(level, str) or level not in LEVELS or not isinstance(condition, str | None):
        entry.fail(f"requirement_level must be one of {', '.join(LEVELS)}, not {entry.values['requirement_level']!r}")
    if condition is None and level == "conditionally_required":
        entry.fail("requirement_level must tell the condition")
    return Reference(entry, entry.text("ref"), level, condition)


def _attribute(entry: Entry) -> Attribute:
    entry.only("attribute")
    name = entry.name("id")
    brief = entry.brief()
    entry.one_of("stability", STABILITIES)
    declared = entry.values.get("type")
    members = _members(entry.below(declared, "type")) if isinstance(declared, dict) else ()
    kind = "string" if members else entry.one_of("type", TYPES)
    examples = tuple(entry.list_of("examples"))
    if not examples and not members and "string" in kind:
        entry.fail("examples are missing")
    for example in examples:
        if type(example) is not EXAMPLES.get(kind):
            entry.fail(f"example {example!r} is not of type {kind}")
    renamed_to = None
    if "deprecated" in entry.values:
        deprecated = entry.below(entry.values["deprecated"], "deprecated")
        deprecated.only("deprecated")
        deprecated.one_of("reason", ("renamed",))
        renamed_to = deprecated.text("renamed_to")
    return Attribute(entry, name, kind, members, brief, entry.note(), examples, renamed_to)


def _members(enum: Entry) -> tuple[tuple[str, str], ...]:
    """Return the values of an enumeration, each with its brief."""
    enum.only("enum")
    members: dict[str, str] = {}
    for value in enum.list_of("members"):
        member = enum.below(value, "a member", label="")
        member.only("member")
        member.text("id")
        member.one_of("stability", STABILITIES)
        _put(members, member.text("value"), member.brief(), member)
    if not members:
        enum.fail("type has no members")
    return tuple(members.items())


def _metric(group: Group) -> Metric:
    entry = group.entry
    name, brief, note = entry.name("metric_name"), entry.brief(), entry.note()
    instrument = entry.one_of("instrument", INSTRUMENTS)
    unit = entry.text("unit")
    if not UNIT.fullmatch(unit):
        entry.fail(f"unit must be a code of UCUM as 's', '1' or '{{token}}', not {unit!r}")
    boundaries = _boundaries(entry)
    if (boundaries is not None) != (instrument == "histogram"):
        entry.fail(f"histograms must have annotations.{PREFIX}.boundaries, other metrics must not")
    return Metric(group, name, brief, note, instrument, unit, boundaries)


def _boundaries(entry: Entry) -> tuple[float, ...] | None:
    if "annotations" not in entry.values:
        return None
    annotations = entry.below(entry.values["annotations"], "annotations")
    ours = entry.below(annotations.values.get(PREFIX), f"annotations.{PREFIX}")
    values = ours.list_of("boundaries")
    boundaries = tuple(value for value in values if isinstance(value, int | float) and not isinstance(value, bool))
    rising = all(low < high for low, high in pairwise(boundaries))
    if len(boundaries) != len(values) or len(boundaries) < 4 or not rising:
        entry.fail("boundaries must be numbers, four at least, each above the one before")
    return boundaries


def _check_links(registry: Registry) -> None:
    for group in registry.groups.values():
        for reference in registry.references(group):
            if reference.name not in registry.attributes:
                group.entry.fail(f"ref {reference.name!r} is not defined")
    for attribute in registry.attributes.values():
        if attribute.renamed_to is not None and attribute.renamed_to not in registry.attributes:
            attribute.entry.fail(f"renamed_to {attribute.renamed_to!r} is not defined")


def _check_constants(names: Mapping[str, Attribute | Signal]) -> None:
    """Refuse two names of one constant, as `a.b_c` and `a.b.c` have."""
    taken: dict[str, str] = {}
    for name, definition in names.items():
        first = taken.setdefault(constant(name), name)
        if first != name:
            entry = definition.entry if isinstance(definition, Attribute) else definition.group.entry
            entry.fail(f"{name!r} and {first!r} would both be the constant {constant(name)}")


def _check_nesting(attributes: Mapping[str, Attribute]) -> None:
    """Refuse a name that is also the namespace of another: backends that nest names store only one of them."""
    for name, attribute in attributes.items():
        parts = name.split(".")
        for length in range(1, len(parts)):
            if ".".join(parts[:length]) in attributes:
                attribute.entry.fail(f"{'.'.join(parts[:length])!r} is an attribute and cannot be a namespace")


def constant(name: str) -> str:
    """Return the constant for a name: ours without the prefix, upstream's in full."""
    return name.removeprefix(f"{PREFIX}.").replace(".", "_").upper()


def attributes_module(registry: Registry) -> str:
    """Return the source of tracetoll_semconv/attributes.py."""
    lines = _head("Names of attributes.", "# Ruff takes gen_ai.token.type for a password.", "# ruff: noqa: S105", "")
    for attribute in sorted(registry.attributes.values(), key=lambda attribute: constant(attribute.name)):
        lines += ["", f'{constant(attribute.name)}: Final = "{attribute.name}"', f'"""{attribute.brief}"""']
    return _joined(lines)


def events_module(registry: Registry) -> str:
    """Return the source of tracetoll_semconv/events.py."""
    lines = _head("Names of events, which are log records.")
    for event in sorted(registry.events.values(), key=lambda event: constant(event.name)):
        lines += ["", f'{constant(event.name)}: Final = "{event.name}"', f'"""{event.brief}"""']
    return _joined(lines)


METRIC_CLASS = '''

@dataclass(frozen=True, slots=True)
class Metric:
    """What an instrument is created with.

    The unit is a code of UCUM. The boundaries are the upper bounds of a histogram's buckets, in
    that unit; None for the other instruments.
    """

    name: str
    unit: str
    description: str
    boundaries: tuple[float, ...] | None

'''


def metrics_module(registry: Registry) -> str:
    """Return the source of tracetoll_semconv/metrics.py."""
    lines = [*_head("Metrics.", "from dataclasses import dataclass"), *METRIC_CLASS.splitlines()]
    for metric in sorted(registry.metrics.values(), key=lambda metric: constant(metric.name)):
        values = [f'    "{value}",' for value in (metric.name, metric.unit, metric.brief)]
        lines += ["", f"{constant(metric.name)}: Final = Metric(", *values, *_tuple(metric.boundaries), ")"]
    return _joined(lines)


def _head(what: str, *more: str) -> list[str]:
    origin = "Generated by semconv/generate.py from semconv/registry; changes go there."
    return [f'"""{what} {origin}"""', "", *more, "from typing import Final"]


def _tuple(numbers: tuple[float, ...] | None) -> list[str]:
    """Return the lines of an argument as the formatter would break them."""
    if numbers is None:
        return ["    None,"]
    line = f"    ({', '.join(map(repr, numbers))}),"
    if len(line) <= LINE_LENGTH:
        return [line]
    return ["    (", *(f"        {number!r}," for number in numbers), "    ),"]


def _joined(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"


def attribute_tables(registry: Registry, *, upstream: bool) -> str:
    """Return one table per heading."""
    groups = [group for group in registry.groups.values() if group.title and group.entry.upstream is upstream]
    lines: list[str] = []
    for group in sorted(groups, key=lambda group: group.title or ""):
        lines += [
            f"#### {group.title}",
            "",
            group.entry.brief(),
            "",
            *_row("Name", "Type", "Meaning", "Example"),
            _rule(4),
        ]
        for attribute in sorted(group.attributes, key=lambda attribute: attribute.name):
            values = " ".join(f"`{value}`: {brief}" for value, brief in attribute.members)
            meaning = " ".join(filter(None, (attribute.brief, values, attribute.note)))
            example = f"`{_shown(attribute.examples[0])}`" if attribute.examples else ""
            lines += _row(f"`{attribute.name}`", "enum" if attribute.members else attribute.type, meaning, example)
        lines.append("")
    return _joined(lines)


def metric_table(registry: Registry, *, upstream: bool) -> str:
    """Return one table of all metrics."""
    lines = [*_row("Name", "Instrument", "Unit", "Buckets", "Meaning", "Attributes"), _rule(6)]
    for metric in sorted(registry.metrics.values(), key=lambda metric: metric.name):
        if metric.group.entry.upstream is not upstream:
            continue
        references = registry.references(metric.group)
        used = ", ".join(f"`{reference.name}` {LEVELS[reference.level]}" for reference in references)
        meaning = " ".join(filter(None, (metric.brief, metric.note)))
        lines += _row(f"`{metric.name}`", metric.instrument, f"`{metric.unit}`", _buckets(metric), meaning, used)
    return _joined(lines)


def event_tables(registry: Registry, *, upstream: bool) -> str:
    """Return one table of attributes per event."""
    lines: list[str] = []
    for event in sorted(registry.events.values(), key=lambda event: event.name):
        if event.group.entry.upstream is not upstream:
            continue
        meaning = " ".join(filter(None, (event.brief, event.note)))
        lines += [f"#### `{event.name}`", "", meaning, "", *_row("Attribute", "Level", "When"), _rule(3)]
        for reference in registry.references(event.group):
            lines += _row(f"`{reference.name}`", LEVELS[reference.level], reference.condition or "")
        lines.append("")
    return _joined(lines)


def _row(*cells: str) -> list[str]:
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"]


def _rule(columns: int) -> str:
    return "|" + " --- |" * columns


def _shown(example: object) -> str:
    if isinstance(example, bool):
        return str(example).lower()
    return ", ".join(map(str, example)) if isinstance(example, list) else str(example)


def _buckets(metric: Metric) -> str:
    if metric.boundaries is None:
        return ""
    first, second, third, *_, last = (f"{boundary:.10f}".rstrip("0").rstrip(".") for boundary in metric.boundaries)
    return f"{first}, {second}, {third} … {last} ({len(metric.boundaries)})"


TABLES: dict[str, Callable[[Registry], str]] = {
    "attributes": lambda registry: attribute_tables(registry, upstream=False),
    "metrics": lambda registry: metric_table(registry, upstream=False),
    "events": lambda registry: event_tables(registry, upstream=False),
    "upstream attributes": lambda registry: attribute_tables(registry, upstream=True),
    "upstream metrics": lambda registry: metric_table(registry, upstream=True),
    "upstream events": lambda registry: event_tables(registry, upstream=True),
}


def filled_in(text: str, registry: Registry) -> str:
    """Return the page `text` with each table between its markers. Raises RegistryError if a marker is amiss."""
    marked = [match["name"] for match in SECTION.finditer(text)]
    if sorted(marked) != sorted(TABLES):
        problem = f"must have markers for {', '.join(TABLES)} once each, but has them for {', '.join(marked)}"
        raise RegistryError(DOCS.name, "generated", problem)
    return SECTION.sub(lambda match: f"{match[1]}\n{TABLES[match['name']](registry).strip()}\n\n{match[3]}", text)


def outputs(root: Path) -> dict[Path, str]:
    """Return what the generated files below `root` should hold, by their paths relative to it."""
    registry = read_registry(root / REGISTRY)
    return {
        PACKAGE / "attributes.py": attributes_module(registry),
        PACKAGE / "metrics.py": metrics_module(registry),
        PACKAGE / "events.py": events_module(registry),
        DOCS: filled_in((root / DOCS).read_text(encoding="utf-8"), registry),
    }


def out_of_date(root: Path) -> str:
    """Return a unified diff from the files below `root` to what they should hold; empty if they do."""
    diff: list[str] = []
    for path, wanted in outputs(root).items():
        file = root / path
        present = file.read_text(encoding="utf-8") if file.exists() else ""
        before, after = present.splitlines(keepends=True), wanted.splitlines(keepends=True)
        diff += difflib.unified_diff(before, after, str(path), f"{path} (generated)")
    return "".join(diff)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check, and return the exit code."""
    parser = argparse.ArgumentParser(description="Generate the code and tables of the semantic conventions.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 with a diff if out of date")
    check = parser.parse_args(arguments).check
    try:
        if check:
            diff = out_of_date(ROOT)
            sys.stdout.write(diff)
            return 1 if diff else 0
        for path, text in outputs(ROOT).items():
            (ROOT / path).write_text(text, encoding="utf-8")
    except RegistryError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
