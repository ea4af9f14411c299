"""All that is known of one ModelDeployment, as one Observed."""

from datetime import UTC, datetime
from typing import Any

import pytest

from modelmend.decide import observed
from modelmend.observe import gather

Object = dict[str, Any]
KEY = ("ml", "flights")


def labelled(kind: str, name: str, api_version: str = "v1") -> Object:
    """Nobody's object with the labels of our children."""
    labels = {"app.kubernetes.io/instance": "flights", "app.kubernetes.io/managed-by": "modelmend"}
    metadata = {"name": name, "namespace": "ml", "uid": name, "resourceVersion": "1", "labels": labels}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": {"template": {}}}


def foreign(*found: Object) -> list[tuple[str, str, str]]:
    """What of it is somebody else's, and in the way."""
    observer = gather.Observer(observed.Settings(runtime_image="r"))
    observer.seen.put(
        {
            "apiVersion": "modelmend.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {
                "name": "flights",
                "namespace": "ml",
                "uid": "12345678-0000",
                "resourceVersion": "1",
            },
            "spec": {
                "model": {"uri": "s3://models/flights/v0"},
                "storage": {"uri": "s3://ml/flights"},
                "serving": {
                    "gateway": {"parentRef": {"name": "public"}, "hostnames": ["flights.example.com"]}
                },
            },
        }
    )
    for each in found:
        observer.seen.put(each)
    seen = observer.observe(KEY, datetime.now(UTC))
    assert seen is not None
    return [(each.kind, each.name, each.owner) for each in seen.foreign]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("Service", "flights"),
        ("Service", "flights-v7"),
        ("Deployment", "flights-v1"),
        ("HTTPRoute", "flights"),
        ("Job", "flights-retrain-3-12345678"),
    ],
)
def test_name_that_a_child_may_need_is_somebody_elses(kind: str, name: str) -> None:
    assert foreign(labelled(kind, name)) == [(kind, name, "nobody")]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("Service", "flights-debug"),
        ("Service", "flights-v1-debug"),
        ("Service", "flights-v0"),
        ("Deployment", "flights"),
        ("HTTPRoute", "flights-v1"),
        ("Job", "flights-retrain-3-copy"),
    ],
)
def test_copy_under_another_name_is_in_nobodys_way(kind: str, name: str) -> None:
    """`kubectl expose deployment flights-v1 --name flights-debug` copies the labels."""
    assert foreign(labelled(kind, name)) == []
