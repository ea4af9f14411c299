"""Pod Security Standards, level `restricted`, as a list of sentences: what a pod spec does that it may not.

After the standard's own table of controls; stricter where ours are: a numeric user, no service-account token, a
read-only root, resources for every container. tests/chart asks the same of the operator's pods.
"""

from collections.abc import Iterator, Mapping
from typing import Any

VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}


def violations(spec: Mapping[str, Any], *, token: bool = False) -> list[str]:
    """Empty when the pod is restricted; `token`: whether it may hold a service-account token."""
    return [
        *_of_pod(spec, token),
        *(found for container in _containers(spec) for found in _of_container(container)),
    ]


def _containers(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*spec.get("initContainers", ()), *spec["containers"], *spec.get("ephemeralContainers", ())]


def _of_pod(spec: Mapping[str, Any], token: bool) -> Iterator[str]:
    context = spec.get("securityContext", {})
    for field in ("hostNetwork", "hostPID", "hostIPC", "hostUsers", "shareProcessNamespace", "nodeName"):
        if field in spec:
            yield f"{field} is set"
    if context.get("runAsNonRoot") is not True:
        yield "the pod may run as root"
    for field in ("runAsUser", "runAsGroup", "fsGroup"):
        if not context.get(field, 0) > 0:
            yield f"{field} is no number above 0"
    if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "seccomp is not RuntimeDefault"
    if set(context) & {"sysctls", "supplementalGroups", "seLinuxOptions", "windowsOptions"}:
        yield "the pod asks for more than it needs"
    if spec.get("automountServiceAccountToken") is not token:
        yield f"automountServiceAccountToken is not {token}"
    if spec.get("enableServiceLinks") is not False:
        yield "Services leak into the environment"
    for volume in spec.get("volumes", ()):
        if not set(volume) - {"name"} <= VOLUMES:
            yield f"volume {volume['name']} is of a forbidden kind"
        if "emptyDir" in volume and "sizeLimit" not in volume["emptyDir"]:
            yield f"volume {volume['name']} may fill the node's disk"


def _of_container(container: Mapping[str, Any]) -> Iterator[str]:
    name, context = container["name"], container.get("securityContext", {})
    if context.get("allowPrivilegeEscalation") is not False:
        yield f"{name} may escalate"
    if context.get("capabilities") != {"drop": ["ALL"]}:
        yield f"{name} keeps capabilities"
    if context.get("readOnlyRootFilesystem") is not True:
        yield f"{name} may write its root file system"
    if context.get("runAsNonRoot", True) is not True or context.get("privileged") or context.get("procMount"):
        yield f"{name} undoes what the pod forbids"
    if set(context) & {"runAsUser", "runAsGroup", "seccompProfile", "seLinuxOptions"}:
        yield f"{name} overrides the pod's identity"
    if any("hostPort" in port for port in container.get("ports", ())):
        yield f"{name} takes a port of the node"
    resources = container.get("resources", {})
    if not {"cpu", "memory"} <= set(resources.get("requests", {})) or "memory" not in resources.get(
        "limits", {}
    ):
        yield f"{name} has no resources"
    for handler in ("livenessProbe", "readinessProbe", "startupProbe"):
        if "host" in container.get(handler, {}).get("httpGet", {}):
            yield f"{name} probes another host"
    if "lifecycle" in container:
        yield f"{name} has hooks that nobody tests"
