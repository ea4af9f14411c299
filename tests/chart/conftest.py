"""The chart, rendered with values.

objects(values)      what `helm template` makes of the chart with these values, one object per document
values_refused(...)  what helm says when the schema refuses them
"""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import chart
from localcluster import errors

Object = dict[str, Any]
Rendering = Callable[..., list[Object]]

EVERYTHING = {
    "replicas": 2,
    "networkPolicy": {"enabled": True},
    "serviceMonitor": {"enabled": True},
    "podMonitor": {"enabled": True},
    "prometheusRule": {"enabled": True, "drift": True},
    "dashboard": {"enabled": True},
}
"""Values that switch on all that is optional."""


def rendered(values: Object) -> str:
    """The text that helm writes."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(values, file)
        file.flush()
        return chart.render("--values", file.name)


@pytest.fixture(scope="session")
def objects() -> Rendering:
    """Renders the chart; the same values are rendered once."""
    known: dict[str, list[Object]] = {}

    def render(values: Object | None = None) -> list[Object]:
        key = json.dumps(values or {}, sort_keys=True)
        if key not in known:
            known[key] = [found for found in yaml.safe_load_all(rendered(values or {})) if found]
        return known[key]

    return render


@pytest.fixture(scope="session")
def everything(objects: Rendering) -> list[Object]:
    """All objects that the chart can make, where all namespaces are watched."""
    return objects(EVERYTHING)


@pytest.fixture(scope="session")
def refusal() -> Callable[[Object], str]:
    """What helm says to values that it refuses."""

    def refused(values: Object) -> str:
        with pytest.raises(errors.LocalClusterError) as raised:
            rendered(values)
        return str(raised.value)

    return refused


@pytest.fixture(scope="session")
def chart_folder() -> Path:
    """The chart's source."""
    return chart.CHART


@pytest.fixture(scope="session")
def one() -> Callable[..., Object]:
    """The one object of that kind, and of that name where several are expected."""

    def find(objects: list[Object], kind: str, name: str | None = None) -> Object:
        found = [
            each for each in objects if each["kind"] == kind and name in (None, each["metadata"]["name"])
        ]
        assert len(found) == 1, f"{len(found)} objects of kind {kind} named {name}"
        return found[0]

    return find
