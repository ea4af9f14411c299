"""values.yaml and its schema: nonsense is refused by name, and every value is described."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.api

Object = dict[str, Any]

NONSENSE: dict[str, tuple[Object, str]] = {
    "a value that does not exist": ({"replicaCount": 2}, "replicaCount"),
    "a value that does not exist, deeper": ({"crds": {"install": True}}, "install"),
    "replicas in words": ({"replicas": "two"}, "/replicas"),
    "a thousand replicas": ({"replicas": 1000}, "/replicas"),
    "a URL without a scheme": ({"prometheus": {"url": "prometheus:9090"}}, "/prometheus/url"),
    "a URL of another scheme": ({"prometheus": {"url": "file:///etc/passwd"}}, "/prometheus/url"),
    "a namespace that is no name": ({"namespaces": ["ML"]}, "/namespaces/0"),
    "namespaces as text": ({"namespaces": "ml"}, "/namespaces"),
    "a namespace twice": ({"namespaces": ["ml", "ml"]}, "/namespaces"),
    "a type that is an expression": ({"trustedTypes": ["os.system('x')"]}, "/trustedTypes/0"),
    "a log level nobody has": ({"logLevel": "verbose"}, "/logLevel"),
    "a digest that is a tag": ({"image": {"digest": "latest"}}, "/image/digest"),
    "a tag with a space": ({"runtimeImage": {"tag": "0.1 0"}}, "/runtimeImage/tag"),
    "a pull policy nobody has": ({"image": {"pullPolicy": "Sometimes"}}, "/image/pullPolicy"),
    "memory in words": ({"resources": {"limits": {"memory": "a lot"}}}, "/resources/limits/memory"),
    "a recording that is a path": ({"record": "/var/log"}, "/record"),
    "a size in words": ({"record": {"sizeLimit": "plenty"}}, "/record/sizeLimit"),
    "an interval without a unit": ({"podMonitor": {"interval": "15"}}, "/podMonitor/interval"),
    "a label that is a number": ({"podMonitor": {"labels": {"release": 1}}}, "/podMonitor/labels/release"),
    "a port beyond the last": (
        {"networkPolicy": {"apiServerPorts": [70000]}},
        "/networkPolicy/apiServerPorts/0",
    ),
    "a switch that is text": ({"crds": {"keep": "yes"}}, "/crds/keep"),
    "a pull secret as text": ({"imagePullSecrets": ["regcred"]}, "/imagePullSecrets/0"),
}


@pytest.mark.parametrize("mistake", NONSENSE)
def test_nonsense_is_refused_and_the_value_is_named(refusal: Callable[[Object], str], mistake: str) -> None:
    values, place = NONSENSE[mistake]

    assert place in refusal(values)


def test_a_monitor_without_its_service_is_refused(refusal: Callable[[Object], str]) -> None:
    said = refusal({"serviceMonitor": {"enabled": True}, "metrics": {"service": False}})

    assert "serviceMonitor.enabled needs metrics.service" in said


def test_an_account_of_somebody_else_needs_a_name(refusal: Callable[[Object], str]) -> None:
    assert "serviceAccount.name must be set" in refusal({"serviceAccount": {"create": False}})


def test_every_value_is_described_and_every_description_has_a_value(chart_folder: Path) -> None:
    schema = json.loads((chart_folder / "values.schema.json").read_text())
    values = yaml.safe_load((chart_folder / "values.yaml").read_text())

    described = dict(_properties(schema))
    assert all(len(text) >= 10 and text.endswith(".") for text in described.values())
    assert set(_names(values, schema)) == set(described) - {"global", "imagePullSecrets.name"}


def _properties(schema: Object, path: str = "") -> Iterator[tuple[str, str]]:
    for name, part in schema.get("properties", {}).items():
        yield path + name, part.get("description", "")
        yield from _properties(part, f"{path}{name}.")
        yield from _properties(part.get("items", {}), f"{path}{name}.")


def _names(values: Object, schema: Object, path: str = "") -> Iterator[str]:
    for name, value in values.items():
        yield path + name
        part = schema["properties"][name]
        if isinstance(value, dict) and "properties" in part:
            yield from _names(value, part, f"{path}{name}.")
