"""What counts as a change of ours, and what the API server or somebody else may add beside it."""

import copy
from typing import Any

import pytest

from modelmend.api import resources
from modelmend.contract import arms
from modelmend.observe import drift
from modelmend.render import deployment, route, service

OWNER = resources.ModelDeployment.parse(
    {
        "metadata": {"name": "flights", "namespace": "ml", "uid": "12345678-0000"},
        "spec": {
            "model": {"uri": "s3://models/flights/v0"},
            "storage": {"uri": "s3://ml/flights"},
            "serving": {"gateway": {"parentRef": {"name": "public"}, "hostnames": ["flights.example.com"]}},
        },
    }
)
SERVER = deployment.Server(
    "flights-v1", "12345678-1", "s3://models/flights/v0", "sha256:" + "a" * 64, "runtime:1", 2, "hash"
)


def served() -> Any:
    """The Deployment as it was applied."""
    return deployment.manifest(OWNER, SERVER)


def routed() -> Any:
    """The route as it was applied."""
    return route.manifest(
        OWNER,
        [route.Backend("flights-v1", arms.Arm.SOLO, 90), route.Backend("flights-v2", arms.Arm.CANARY, 10)],
        "hash",
    )


def test_what_was_just_applied_is_not_drifted() -> None:
    for manifest in (served(), routed(), service.front(OWNER, "flights-v1", "solo")):
        assert not drift.is_drifted(manifest)


def test_defaults_status_and_other_peoples_additions_are_no_drift() -> None:
    live = served()
    live["metadata"] |= {
        "uid": "u",
        "resourceVersion": "5",
        "labels": {**live["metadata"]["labels"], "team": "ml"},
    }
    live["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "1"
    live["status"] = {"replicas": 2}
    pod = live["spec"]["template"]["spec"]
    pod["dnsPolicy"] = "ClusterFirst"
    pod["containers"][0]["imagePullPolicy"] = "IfNotPresent"
    pod["containers"].insert(0, {"name": "sidecar", "image": "proxy:1"})
    pod["containers"][1]["env"].append({"name": "ADDED", "value": "by somebody"})

    assert not drift.is_drifted(live)


@pytest.mark.parametrize(
    "spelling", [("cpu", "250m", "0.25"), ("memory", "512Mi", "536870912"), ("memory", "1Gi", "1024Mi")]
)
def test_quantities_are_compared_as_numbers(spelling: tuple[str, str, str]) -> None:
    name, wanted, found = spelling

    assert drift.holds({"requests": {name: wanted}}, {"requests": {name: found}})
    assert not drift.holds({"requests": {name: wanted}}, {"requests": {name: "3"}})


def test_every_single_field_of_ours_is_guarded() -> None:
    manifest = served()
    paths = [path for path in _paths(manifest) if "annotations" not in path]
    assert len(paths) > 80

    for path in paths:
        live = copy.deepcopy(manifest)
        node = live
        for step in path[:-1]:
            node = node[step]
        node[path[-1]] = "hacked"
        assert drift.is_drifted(live), f"{path} may be changed unnoticed"


def test_extra_backend_in_the_route_is_drift() -> None:
    live = routed()
    live["spec"]["rules"][0]["backendRefs"].append({"name": "mine", "port": 80, "weight": 1})

    assert drift.is_drifted(live)


def test_object_without_the_memory_of_how_it_was_applied_is_drifted() -> None:
    live = served()
    del live["metadata"]["annotations"]["modelmend.dev/rendered"]

    assert drift.is_drifted(live)


def test_empty_values_equal_missing_ones_and_zero_replicas_do_not_equal_one() -> None:
    assert drift.holds({"a": {"hostNetwork": False, "list": [], "text": "", "nothing": None}}, {"a": {}})
    assert drift.holds({"emptyDir": {}}, {"emptyDir": {}})
    assert not drift.holds({"replicas": 0}, {"replicas": 1})
    assert not drift.holds({"flag": True}, {"flag": 1})


def _paths(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(node, dict):
        return [found for name, value in node.items() for found in _paths(value, (*path, name))]
    if isinstance(node, list):
        return [found for place, value in enumerate(node) for found in _paths(value, (*path, place))]
    # Server-side apply and the API server leave out what is empty, so setting it is an addition of somebody else.
    return [path] if node not in (None, "", False, 0) else []
