"""Deployments and Services of versions as `observed.Server`."""

from collections.abc import Mapping
from typing import Any, Final

from modelmend.api import names, ownership, resources
from modelmend.contract import environment
from modelmend.contract.arms import Side
from modelmend.decide import observed
from modelmend.observe import cluster, drift, pods

Object = Mapping[str, Any]
COMPONENT: Final = "server"
_APPLIED: Final = (cluster.DEPLOYMENT, cluster.SERVICE)


def servers(seen: cluster.Cluster, owner: resources.ModelDeployment) -> tuple[observed.Server, ...]:
    """One for each Deployment that is ours and stays."""
    found = []
    for live in seen.children(owner.key, cluster.DEPLOYMENT):
        version = label(live, names.VERSION_LABEL)
        if (
            version is None
            or version != live["metadata"]["name"]
            or not ownership.is_controlled_by(live, owner.metadata.uid)
            or live["metadata"].get("deletionTimestamp")
        ):
            continue
        found.append(_server(seen, owner, live, version))
    return tuple(found)


def _server(
    seen: cluster.Cluster, owner: resources.ModelDeployment, live: Object, version: str
) -> observed.Server:
    spec, status = live["spec"], live.get("status") or {}
    is_observed = status.get("observedGeneration", 0) >= live["metadata"].get("generation", 0)
    total, updated = status.get("replicas", 0), status.get("updatedReplicas", 0)
    # Ready pods may be of an older template: only those beyond the older ones are surely new.
    ready = max(0, status.get("readyReplicas", 0) - (total - updated))
    place = owner.metadata.namespace, version
    return observed.Server(
        version=version,
        rollout=label(live, names.ROLLOUT_LABEL) or "",
        inputs=annotation(live, names.INPUTS) or "",
        replicas=spec.get("replicas", 1),
        ready=ready if seen.template_is_observed(place) else 0,
        settled=is_observed and total == updated == spec.get("replicas", 1),
        drifted=any(seen.derive(kind, place, drift.is_drifted) is not False for kind in _APPLIED),
        trouble=_trouble(seen, owner, live, version),
        # Its artifact is needed whenever one of these pods starts.
        champion=_variable(live, environment.CHAMPION_VERSION),
        side=_side(live),
    )


def _side(live: Object) -> Side:
    told = _variable(live, environment.SIDE)
    return Side(told) if told in list(Side) else Side.LEFT


def _variable(live: Object, wanted: str) -> str | None:
    """What the pods are told in their environment."""
    (container, *_) = live["spec"]["template"]["spec"]["containers"]
    return next((given.get("value") for given in container.get("env") or () if given["name"] == wanted), None)


def _trouble(
    seen: cluster.Cluster, owner: resources.ModelDeployment, live: Object, version: str
) -> str | None:
    for condition in (live.get("status") or {}).get("conditions") or ():
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return pods.short(f"pods of {version} are refused: {condition.get('message')}")
    return pods.trouble(
        pod
        for pod in seen.children(owner.key, cluster.POD)
        if label(pod, names.VERSION_LABEL) == version
        and label(pod, "app.kubernetes.io/component") == COMPONENT
        and label(pod, names.ROLLOUT_LABEL) == label(live, names.ROLLOUT_LABEL)
    )


def label(live: Object, name: str) -> str | None:
    """Value of a label."""
    value = (live["metadata"].get("labels") or {}).get(name)
    return None if value is None else str(value)


def annotation(live: Object, name: str) -> str | None:
    """Value of an annotation."""
    value = (live["metadata"].get("annotations") or {}).get(name)
    return None if value is None else str(value)
