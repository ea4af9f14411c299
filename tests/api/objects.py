"""ModelDeployments to begin a test from, and a way to change one field of them."""

import copy
from typing import Any

Object = dict[str, Any]


def deployment(name: str = "flights", namespace: str = "ml", **spec: Any) -> Object:
    """The least that a person writes, with these parts of spec put in its place."""
    least = {
        "model": {"uri": "s3://models/flights/v0"},
        "storage": {"uri": "s3://ml/flights"},
        "serving": {"gateway": {"parentRef": {"name": "public"}, "hostnames": ["flights.example.com"]}},
    }
    return {
        "apiVersion": "modelmend.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {**least, **spec},
    }


def version(name: str = "flights-v1", namespace: str = "ml", **spec: Any) -> Object:
    """A ModelVersion as Modelmend writes it."""
    return {
        "apiVersion": "modelmend.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "deployment": "flights",
            "number": 1,
            "uri": "s3://models/flights/v0",
            "digest": f"sha256:{'0' * 64}",
            "trigger": "Install",
            "because": "installed by a person",
            "createdAt": "2026-01-01T00:00:00Z",
            "image": "example.com/runtime:1",
            **spec,
        },
    }


STATUS: Object = {
    "observedGeneration": 1,
    "stage": "Canary",
    "because": "accuracy 0.80 is at or below 0.85 over 412 labels",
    "replicas": 2,
    "selector": "app.kubernetes.io/instance=flights,modelmend.dev/version=flights-v1",
    "stable": {
        "version": "flights-v1",
        "digest": f"sha256:{'1' * 64}",
        "uri": "s3://models/flights/v0",
        "rollout": "00000000-1",
        "since": "2026-01-01T00:00:00Z",
    },
    "signals": [
        {
            "name": "accuracy",
            "verdict": "Breached",
            "value": 0.8,
            "bound": 0.85,
            "n": 410,
            "since": "2026-01-02T00:00:00Z",
            "because": "accuracy 0.80 is at or below 0.85 over 412 labels",
        }
    ],
    "conditions": [
        {
            "type": "Ready",
            "status": "True",
            "reason": "Serving",
            "message": "flights-v1 serves",
            "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
    ],
}


def only_status(known: Object, status: Object) -> Object:
    """What the operator applies to the status subresource."""
    return {
        "apiVersion": known["apiVersion"],
        "kind": known["kind"],
        "metadata": {name: known["metadata"][name] for name in ("name", "namespace")},
        "status": status,
    }


def changed(start: Object, path: str, value: Any) -> Object:
    """A copy with one field set; objects on the way to it are made. `a.b[0].c` is a path, DELETE a value."""
    found = copy.deepcopy(start)
    *way, last = [
        int(part) if part.isdecimal() else part for part in path.replace("[", ".").replace("]", "").split(".")
    ]
    node: Any = found
    for step in way:
        node = node[step] if isinstance(step, int) else node.setdefault(step, {})
    if value is DELETE:
        node.pop(last, None)
    else:
        node[last] = copy.deepcopy(value)
    return found


DELETE = object()
"""A value for `changed`: the field goes."""


def as_stored(written: Object) -> Object:
    """With the metadata that only the API server gives, for parsing without one."""
    return {**written, "metadata": {"uid": "00000000-0000-0000-0000-000000000000", **written["metadata"]}}
