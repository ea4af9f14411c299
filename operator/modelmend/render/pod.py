"""What all pods of ours share: Pod Security `restricted` in full, no token, no writable root, limits set.

Who may create a ModelDeployment controls its pods, and nothing more: whatever comes from a spec goes through
`literal` before it stands where the kubelet expands variables.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from modelmend.api import quantities, resources
from modelmend.contract import environment
from modelmend.evidence import regression
from modelmend.render import storage

CONTAINER: Final = "model"
USER: Final = 65532
"""The runtime image's user, by number: the kubelet cannot prove that a name is not root."""


@dataclass(frozen=True, slots=True)
class Size:
    """What a pod may use."""

    cpu: str
    """Requested; there is no limit, since throttling would look like a slow model."""
    memory: str
    """Requested and limited: a pod that lives on memory it did not ask for dies when its neighbour grows."""
    scratch: str
    """Limit of /tmp, the only writable place."""


def spec(size: Size, attached: storage.Attached, container: dict[str, Any]) -> dict[str, Any]:
    """A pod spec around one container, which brings its image, arguments and `env`."""
    mounts = [{"name": "tmp", "mountPath": "/tmp"}, *attached.mounts, *container.pop("volumeMounts", [])]  # noqa: S108
    whole: dict[str, Any] = {
        "name": CONTAINER,
        "imagePullPolicy": "IfNotPresent",
        **container,
        "resources": {
            "requests": {"cpu": size.cpu, "memory": size.memory},
            "limits": {"memory": size.memory},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
        },
        # A result is what was written on purpose, never the tail of a log.
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "volumeMounts": mounts,
    }
    if attached.environment_from:
        whole["envFrom"] = list(attached.environment_from)
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            # A claim with a year of log would otherwise be walked file by file at each start.
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [whole],
        "volumes": [
            {"name": "tmp", "emptyDir": {"sizeLimit": size.scratch}},
            *attached.volumes,
        ],
    }


def variables(values: Mapping[str, str | None], cpu: str) -> list[dict[str, Any]]:
    """`env` of a container: these variables without the missing ones, then what every pod of ours is told."""
    told = {**values, **defaults(cpu)}
    return [{"name": name, "value": literal(value)} for name, value in told.items() if value is not None]


def defaults(cpu: str) -> dict[str, str]:
    """What every pod of ours is told of where it runs."""
    # Numerical libraries count the node's cores, not the pod's, and fight each other for the few it has.
    threads = str(max(1, -(-quantities.millicores(cpu) // 1000)))
    return {
        "HOME": "/tmp",  # noqa: S108
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "LOKY_MAX_CPU_COUNT": threads,
    }


def grading(owner: resources.ModelDeployment) -> dict[str, str | None]:
    """What servers and Jobs are told of a model that predicts numbers."""
    wanted = owner.spec.evaluation
    if wanted.tolerance is None:
        return {}
    bound = regression.bound(wanted.tolerance, wanted.error_bound)
    return {environment.TOLERANCE: repr(float(wanted.tolerance)), environment.ERROR_BOUND: repr(float(bound))}


def pod_uid() -> dict[str, Any]:
    """The variable with the pod's own uid; it stands before every variable that refers to it."""
    return {
        "name": environment.POD_UID,
        "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.uid"}},
    }


def literal(text: str) -> str:
    """Text that the kubelet leaves as it is: `$(NAME)` in a URI must not become somebody's password."""
    return text.replace("$", "$$")
