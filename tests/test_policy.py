"""Limits as a YAML file: what is read, what is written, and what is said about each mistake."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from limit_values import every_limit

from tracetoll.limits.limit import Limit, WrongLimitError
from tracetoll.limits.policy import Policy, PolicyError, Problem, read_policy, write_policy

FULL = """\
limits:
  - name: free tier
    amount: 100_000          # also "1M", "$2", like in the text form
    unit: tokens
    per: user.id             # or [tenant, team]
    window: day
    timezone: Europe/Berlin
    where: {tenant: "free-*", model: [gpt-4o*, gpt-5*]}
    at: {0.8: warn, 1.0: block}
    strict: true
    shadow: false
    wait: 30                 # seconds, or "30s"
    unpriced: warn
    pace: 10%

  - 50000 tokens per trace   # or a limit in text form
"""


def read(text: str) -> Policy:
    with TemporaryDirectory() as directory:
        path = Path(directory, "policy.yaml")
        path.write_text(text, encoding="utf-8")
        return read_policy(path)


def problems(text: str) -> list[str]:
    with pytest.raises(PolicyError) as refused:
        read(text)

    return [str(problem._replace(path="policy.yaml")) for problem in refused.value.problems]


@given(st.lists(every_limit(), max_size=3, unique_by=lambda limit: limit.name or object()))
def test_limits_are_read_as_they_were_written(limits: list[Limit]) -> None:
    assert tuple(limits) == read(write_policy(limits)).limits


def test_a_file_is_read_and_each_limit_knows_its_line(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(FULL, encoding="utf-8")

    policy = read_policy(str(path))

    free = Limit(
        100_000,
        name="free tier",
        per="user.id",
        window="day",
        timezone="Europe/Berlin",
        where={"tenant": "free-*", "model": ["gpt-4o*", "gpt-5*"]},
        at={0.8: "warn", 1.0: "block"},
        strict=True,
        wait=30,
        pace=0.1,
    )
    assert Policy((free, Limit(50_000, per="trace")), str(path)) == policy
    assert [f"{path}:2", f"{path}:16"] == [limit.source for limit in policy.limits]


@pytest.mark.parametrize(
    ("yaml", "limit"),
    [
        ("{amount: 1M}", Limit(1_000_000)),
        ("{amount: $2}", Limit(2, "usd")),
        ("{amount: '2.5', unit: dollars}", Limit(2.5, "usd")),
        ("{amount: 80%, unit: context window}", Limit(0.8, "context_window")),
        ("{amount: 1.5e+3, per: [tenant, team]}", Limit(1_500, per=("tenant", "team"))),
        ("{amount: 5, per: 'day'}", Limit(5, per="day")),
        ("{amount: 5, per: Trace}", Limit(5, per="trace")),
        ("{amount: 5, window: 60}", Limit(5, window="1m")),
        ("{amount: 5, wait: 2m, strict: yes}", Limit(5, wait=120, strict=True)),
        ("{amount: 5, pace: 0.1}", Limit(5, pace=0.1)),
        ("{amount: 5, at: {80%: [warn, cut], 1: block}}", Limit(5, at={0.8: ("warn", "cut"), 1.0: "block"})),
        ("$2 per trace named 'it'", Limit(2, "usd", per="trace", name="'it'")),
    ],
)
def test_values_are_read_as_people_write_them(yaml: str, limit: Limit) -> None:
    assert (limit,) == read(f"limits:\n- {yaml}\n").limits


def test_limits_are_written_as_people_would() -> None:
    written = write_policy([Limit(5, "calls"), read(FULL).limits[0]])

    assert written == (
        "limits:\n"
        "  - amount: 5\n"
        "    unit: calls\n"
        "  - name: free tier\n"
        "    amount: 100000\n"
        "    unit: tokens\n"
        "    per: user.id\n"
        "    window: day\n"
        "    timezone: Europe/Berlin\n"
        "    where: {tracetoll.tenant: free-*, gen_ai.request.model: [gpt-4o*, gpt-5*]}\n"
        "    at: {80%: warn, 100%: block}\n"
        "    strict: true\n"
        "    wait: 30s\n"
        "    pace: 10%\n"
    )


def test_a_function_is_not_written() -> None:
    with pytest.raises(WrongLimitError, match="at: print is a function, which cannot be written"):
        write_policy([Limit(5, at={1.0: print})])


def test_two_limits_of_one_name_are_not_written() -> None:
    with pytest.raises(WrongLimitError, match="name: 'a' is the name of two limits; give each its own"):
        write_policy([Limit(5, name="a"), Limit(6, name="a")])


@pytest.mark.parametrize(
    ("field", "problem"),
    [
        ("window: dayly", "limits[0].window: 'dayly' is not known; did you mean 'day'?"),
        ("window: 5x", "limits[0].window: '5x' is in no known unit; known are"),
        ("window: 0", "limits[0].window: 0.0 is no length of a window; give more"),
        ("window: 2026-01-01", "limits[0].window: '2026-01-01' is read as a date by YAML; put it in quotes"),
        ("window:", "limits[0].window: there is no value; give one, or drop this key"),
        ("windw: day", "limits[0].windw: 'windw' is not known; did you mean 'window'?"),
        ("amount: 6", "limits[0].amount: this key is given already; drop one of the two"),
        ("per: no", "limits[0].per: 'no' is read as true or false by YAML; put it in quotes"),
        ("per: 7", "limits[0].per: '7' is read as a number by YAML; put it in quotes"),
        ("per: dayly", "limits[0].per: 'dayly' is no subject; did you mean 'window: day'?"),
        ("per: trce", "limits[0].per: 'trce' is no subject; did you mean 'trace'?"),
        ("per: [tenant, off]", "limits[0].per[1]: 'off' is read as true or false by YAML; put it in quotes"),
        ("per: [tenant, trace]", "limits[0].per: 'trace' cannot be part of a tuple"),
        ("per: []", "limits[0].per: () is no subject; give call, trace"),
        ("per: {tenant: team}", "limits[0].per: this is a list or a mapping; give a single value"),
        ("unit: tokns", "limits[0].unit: 'tokns' is not known; did you mean 'tokens'?"),
        ("unit: 5", "limits[0].unit: '5' is read as a number by YAML; put it in quotes"),
        ("unit: ''", "limits[0].unit: there is no value; give one, or drop this key"),
        ("timezone: Europe/Berln", "limits[0].timezone: 'Europe/Berln' is not known; did you mean 'Europe/Berlin'?"),
        ("name: 2026", "limits[0].name: '2026' is read as a number by YAML; put it in quotes"),
        ("name: ' '", "limits[0].name: ' ' is not a name; give some text, or leave it out"),
        ("where: tenant", "limits[0].where: this is not a mapping; write {tenant: free-*}"),
        ("where: {tenant: 42}", "limits[0].where.tenant: '42' is read as a number by YAML; put it in quotes"),
        ("where: {tenant: []}", "limits[0].where.tenant: [] is not a pattern, nor a list of patterns"),
        ("where: {off: x}", "limits[0].where.off: 'off' is read as true or false by YAML; put it in quotes"),
        ("where: {model: a, model: b}", "limits[0].where.model: this key is given already; drop one of the two"),
        ("at: block", "limits[0].at: this is not a mapping of shares to actions; write {80%: warn, 100%: block}"),
        ("at: {}", "limits[0].at: this is not a mapping of shares to actions; write"),
        ("at: {80%: wran}", "limits[0].at.80%: 'wran' is not an action; did you mean 'warn'?"),
        ("at: {80%: []}", "limits[0].at.80%: there is no action; known are: warn, block"),
        ("at: {80%: [warn, off]}", "limits[0].at.80%: 'off' is read as true or false by YAML"),
        ("at: {80: warn}", "limits[0].at.80: '80' is a multiple of the amount; for a percentage write 80%"),
        ("at: {most: warn}", "limits[0].at.most: 'most' is not a share of the amount; write one such as 80% or 0.8"),
        ("at: {0.8: warn, 80%: block}", "limits[0].at.80%: this share is given already; write a list of actions"),
        ("at: {[80%]: warn}", "limits[0].at: this is a list or a mapping; give a single value"),
        ("at: {1.0: throttle}", "limits[0].at: throttle waits for the window to move on, and there is none"),
        ("at: {1.0: reroute}", "limits[0].at.1.0: 'reroute' does not say where to; write 'reroute MODEL'"),
        ("strict: maybe", "limits[0].strict: this is neither true nor false; write one of the two, without quotes"),
        ("shadow: 'true'", "limits[0].shadow: this is neither true nor false; write one of the two, without quotes"),
        ("wait: 1:30", "limits[0].wait: '1:30' is not a duration; write one such as '90s'"),
        ("wait: [30]", "limits[0].wait: this is a list or a mapping; give a single value"),
        ("unpriced: blok", "limits[0].unpriced: 'blok' is not known; did you mean 'block'?"),
        ("pace: fast", "limits[0].pace: 'fast' is not a share of the amount; write one such as 80% or 0.8"),
        ("pace: 0", "limits[0].pace: 0.0 is not a share of the amount; give a number above 0"),
    ],
)
def test_a_mistake_in_a_field_is_one_problem(field: str, problem: str) -> None:
    (told,) = problems(f"limits:\n  - amount: 5\n    {field}\n  - 5 calls\n")

    assert told.startswith(f"policy.yaml:3: {problem}")


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("", 1, "the file is empty; write 'limits:' and a list of limits"),
        ("# nothing\n", 1, "the file is empty; write 'limits:' and a list of limits"),
        ("- 5 tokens\n", 1, "the file is not a mapping; write 'limits:'"),
        ("{}\n", 1, "there are no limits; write 'limits:'"),
        ("limit:\n- 5 tokens\n", 1, "limit: 'limit' is not known; did you mean 'limits'?"),
        ("limits:\n", 1, "limits: this is not a list; write 'limits:'"),
        ("limits: 5 tokens\n", 1, "limits: this is not a list; write 'limits:'"),
        ("limits: []\n\nlimits: []\n", 3, "limits: this key is given already"),
        ("limits:\n- 5 tokens\n-\n", 3, "limits[1]: there is no limit here; a limit is a mapping with an amount"),
        ("limits:\n- [5, tokens]\n", 2, "limits[0]: there is no limit here; a limit is"),
        ("limits:\n- 5\n", 2, "limits[0].unit: there is none after '5'; write for example"),
        ("limits:\n- 5 tokns\n", 2, "limits[0].unit: 'tokns' is not known; did you mean 'tokens'? (limit: '5 tokns')"),
        ("limits:\n- 5 calls; 6 calls\n", 2, "limits[0].limit: there are 2 limits where one is wanted"),
        ("limits:\n- unit: calls\n", 2, "limits[0].amount: there is none; write for example 'amount: 50000'"),
        ("limits:\n- amount: yes\n", 2, "limits[0].amount: 'yes' is read as true or false by YAML"),
        ("limits:\n- amount: 5 tokens\n", 2, "limits[0].amount: 'tokens' is more than an amount; write the unit as"),
        ("limits:\n- amount: much\n", 2, "limits[0].amount: 'much' is not an amount; write it as"),
        ("limits:\n- amount: .nan\n", 2, "limits[0].amount: '.nan' is not an amount; write it as"),
        ("limits:\n- amount: 1e999\n", 2, "limits[0].amount: Decimal('1E+999') is not an amount; give a number"),
        ("limits:\n- amount: $5\n  unit: calls\n", 3, "limits[0].unit: 'calls' is not in dollars, and the amount is"),
        ("limits:\n- amount: 5\n  <<: {unit: calls}\n", 3, "limits[0].<<: '<<' is not known; known are: name"),
        (
            "limits:\n- 5 calls named a\n- amount: 5\n  name: a\n",
            4,
            "limits[1].name: 'a' is the name of limits[0], too",
        ),
        ("limits:\n- amount: !money 5\n", 2, "limits[0].amount: '5' is read as !money by YAML; put it in quotes"),
        ("limits:\n- amount: [5\n", 3, "this is not YAML: while parsing a flow sequence"),
        ("limits:\n- {amount: 5, where: {model: *}}\n", 2, "this is not YAML: while scanning an alias"),
        ("limits:\n\t- 5 tokens\n", 2, "this is not YAML: while scanning for the next token"),
        ("limits:\n- 5 tokens\n---\nlimits: []\n", 3, "this is not YAML: expected a single document"),
        ("limits:\n- 5 tokens\x00\n", 2, "the character '\\x00' cannot be in YAML; delete it"),
    ],
)
def test_a_mistake_in_the_form_is_one_problem(text: str, line: int, problem: str) -> None:
    (told,) = problems(text)

    assert told.startswith(f"policy.yaml:{line}: {problem}")


def test_all_problems_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("limits:\n- amount: x\n  unit: y\n- 5 cals\n- {amount: 5, where: {a: 1, b: 2}}\n", encoding="utf-8")

    with pytest.raises(PolicyError) as refused:
        read_policy(path)

    found = refused.value.problems
    assert [
        (2, "limits[0].amount"),
        (3, "limits[0].unit"),
        (4, "limits[1].unit"),
        (5, "limits[2].where.a"),
        (5, "limits[2].where.b"),
    ] == [(problem.line, problem.key) for problem in found]
    assert "\n".join(map(str, found)) == str(refused.value)


def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    path = str(tmp_path / "policy.yaml")

    with pytest.raises(PolicyError) as refused:
        read_policy(path)

    assert (
        Problem(path, 0, "", "the file cannot be read (No such file or directory); check its path"),
    ) == refused.value.problems


def test_a_file_in_another_encoding_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_bytes(b"limits:\n- 5 tokens named caf\xe9\n")

    with pytest.raises(PolicyError, match=r":2: the text is not UTF-8; save the file as UTF-8"):
        read_policy(path)


def test_without_pyyaml_the_way_out_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(FULL, encoding="utf-8")
    monkeypatch.setitem(sys.modules, "yaml", None)

    with pytest.raises(PolicyError, match=r"pip install 'tracetoll\[policy\]'"):
        read_policy(path)
