"""The HTTPRoute: who gets how much of the traffic. `act` applies it for ShiftTraffic.

The port of a backend picks the arm (contract.arms), so traffic moves between shadow, canary and solo by this
object alone: no pod restarts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from modelmend.api import names, resources
from modelmend.api.spec import Gateway
from modelmend.contract import arms
from modelmend.render import child

GATEWAY: Final = "gateway.networking.k8s.io"
HANDS_OFF: Final = {
    "kustomize.toolkit.fluxcd.io/reconcile": "disabled",
    "helm.toolkit.fluxcd.io/driftDetection": "disabled",
}
"""The weights are ours. A route that somebody copied to Git would otherwise take them back in the middle of a canary."""


@dataclass(frozen=True, slots=True)
class Backend:
    """One weighted target."""

    version: str
    arm: arms.Arm
    weight: int
    """Percent; the weights of a route add up to 100."""


def manifest(owner: resources.ModelDeployment, backends: Sequence[Backend], inputs: str) -> child.Manifest:
    """The HTTPRoute, named like the ModelDeployment.

    Raises ValueError where the weights do not add up to 100: all-zero weights answer 500 to everybody.
    """
    gateway = owner.spec.serving.gateway
    assert gateway is not None, "only a model with a gateway has a route"
    if sum(backend.weight for backend in backends) != 100 or any(backend.weight < 0 for backend in backends):
        raise ValueError(
            f"route {owner.metadata.name}: weights {[backend.weight for backend in backends]} must add up to 100"
        )
    metadata = child.metadata(owner, owner.metadata.name, names.labels(owner.metadata.name, "route"))
    metadata["annotations"] = dict(HANDS_OFF)
    return child.remember(
        {
            "apiVersion": f"{GATEWAY}/v1",
            "kind": "HTTPRoute",
            "metadata": metadata,
            "spec": {
                "parentRefs": [_parent(gateway)],
                "hostnames": list(gateway.hostnames),
                "rules": [
                    {
                        "matches": _matches(owner),
                        "backendRefs": [_reference(backend) for backend in backends],
                    }
                ],
            },
        },
        inputs=inputs,
    )


def _parent(gateway: Gateway) -> dict[str, Any]:
    # Defaults of the API server are written out, so that the live object equals what was applied.
    reference = gateway.parent_ref
    parent: dict[str, Any] = {"group": GATEWAY, "kind": "Gateway", "name": reference.name}
    if reference.namespace is not None:
        parent["namespace"] = reference.namespace
    if reference.section_name is not None:
        parent["sectionName"] = reference.section_name
    return parent


def _matches(owner: resources.ModelDeployment) -> list[dict[str, Any]]:
    template = owner.spec.serving.template
    if template is not None:
        return [_prefix(template.path)]
    return [_prefix(f"/v2/models/{owner.metadata.name}"), _prefix("/v2")]


def _prefix(path: str) -> dict[str, Any]:
    # 1. Models may share a host name: the longer prefix wins, so each finds its own requests.
    # 2. `/v2` answers metadata and health, from the oldest route of that host.
    return {"path": {"type": "PathPrefix", "value": path}}


def _reference(backend: Backend) -> dict[str, Any]:
    return {
        "group": "",
        "kind": "Service",
        "name": backend.version,
        "port": arms.PORTS[backend.arm],
        "weight": backend.weight,
    }
