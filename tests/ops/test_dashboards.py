"""Each panel of each dashboard asks what can be asked, and gets data from the demo's run."""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import kit as parts
import pytest
import stack
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Spent
    from kit import Kit

GRAFANA = stack.CONFIG / "grafana"
DASHBOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))
LOOKED_BACK_S = 300
STEP_S = 1
# What Grafana puts in: its own variables, and those of the dashboards when everything is chosen.
CHOSEN = {"$__rate_interval": "30s", "$__all": ".*", "$job": ".*", "$model": ".*"}


def panels() -> Iterator[Any]:
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                name = f"{path.stem}: {panel['title']} ({target['refId']})"
                yield pytest.param(panel, target, id=name.encode("ascii", "replace").decode())


def filled_in(expression: str) -> str:
    for variable, value in CHOSEN.items():
        expression = expression.replace(variable, value)
    assert "$" not in expression
    return expression


def values(kit: Kit, target: dict[str, Any]) -> list[float]:
    """Return what Prometheus has for a panel: now, or over the time that is looked at."""
    expression = filled_in(target["expr"])
    if target["instant"]:
        return [float(sample["value"][1]) for sample in kit.samples(expression)]
    now = time.time()
    asked = {"query": expression, "start": now - LOOKED_BACK_S, "end": now, "step": STEP_S}
    found = stack.get_json(f"{kit.prometheus.url}/api/v1/query_range?{urlencode(asked)}")
    return [float(value) for series in found["data"]["result"] for _, value in series["values"]]


def jaeger_has(kit: Kit, target: dict[str, Any]) -> bool:
    """Return whether Jaeger has something for a panel: a search, or one trace."""
    refused, *_ = kit.traces("tracetoll-demo", tracetoll__budget__refused="true")
    if target.get("queryType") == "search":
        name, _, value = target["tags"].partition("=")
        return bool(kit.traces("tracetoll-demo", **{name.replace(".", "__"): value}))
    assert "$trace" == target["query"]
    return bool(stack.get_json(f"{kit.jaeger.url}/api/traces/{refused['traceID']}")["data"])


@pytest.mark.parametrize(("panel", "target"), list(panels()))
def test_a_panel_shows_data_of_the_demo(kit: Kit, spent: Spent, panel: dict[str, Any], target: dict[str, Any]) -> None:
    assert spent.tokens
    assert panel["title"]

    if target["datasource"]["type"] == "jaeger":
        assert stack.until(lambda: jaeger_has(kit, target), parts.SOON_S, "traces")
    else:
        assert stack.until(
            lambda: any(math.isfinite(value) for value in values(kit, target)), parts.SOON_S, target["expr"]
        )


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_names_the_sources_that_are_provided(path: Any) -> None:
    provided = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "sources.yaml").read_text())["datasources"]
    sources = {(source["type"], source["uid"]) for source in provided}

    dashboard = json.loads(path.read_text())

    used = {tuple(sorted(panel["datasource"].items())) for panel in dashboard["panels"]}
    assert {(dict(one)["type"], dict(one)["uid"]) for one in used} <= sources
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    assert dashboard["description"]


def test_dashboards_have_uids_of_their_own() -> None:
    uids = [json.loads(path.read_text())["uid"] for path in DASHBOARDS]

    assert 5 == len(set(uids)) == len(uids)
