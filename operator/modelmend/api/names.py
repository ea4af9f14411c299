"""Names, labels and annotations: deterministic, so that what was created is found again and never made twice."""

import hashlib
from typing import Final

from modelmend.api.resources import GROUP

MANAGER: Final = "modelmend"
"""Field manager of every server-side apply, and the value of managed-by."""
MAX_NAME: Final = 63

# Annotations by which a person commands; each carries a token and is handled once.
RETRAIN: Final = f"{GROUP}/retrain-requested-at"
APPROVE: Final = f"{GROUP}/approve"
ABORT: Final = f"{GROUP}/abort"
ROLLBACK_TO: Final = f"{GROUP}/rollback-to"
RESET: Final = f"{GROUP}/reset"

# Annotations on children.
INPUTS: Final = f"{GROUP}/inputs"
"""Hash of the spec fields a child was rendered from: it is rendered again only when this changes."""
RENDERED: Final = f"{GROUP}/rendered"
"""The manifest as it was applied: a hand edit is seen by comparing the live object with it, and an upgraded
operator that renders differently restarts nothing."""

# Annotations on the pods of a server of the user's own, for whoever configures Prometheus.
METRICS_PATH: Final = f"{GROUP}/metrics-path"
METRICS_PORT: Final = f"{GROUP}/metrics-port"
"""Name of the container's port: http or metrics."""

# Labels on children.
VERSION_LABEL: Final = f"{GROUP}/version"
"""Name of the ModelVersion; in the selectors, unlike app.kubernetes.io/version."""
ROLLOUT_LABEL: Final = f"{GROUP}/rollout"
JOB_LABEL: Final = f"{GROUP}/job"
"""resolve or retrain."""
SEQUENCE_LABEL: Final = f"{GROUP}/sequence"
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
INSTANCE: Final = "app.kubernetes.io/instance"
"""Name of the ModelDeployment."""


def fit(name: str) -> str:
    """A name of at most 63 characters: longer ones keep their beginning and end in a hash."""
    if len(name) <= MAX_NAME:
        return name
    return f"{name[: MAX_NAME - 9].rstrip('-.')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def version(deployment: str, number: int) -> str:
    """Name of a ModelVersion, and of its Deployment and Service."""
    return fit(f"{deployment}-v{number}")


def job(deployment: str, uid: str, kind: str, sequence: int) -> str:
    """Name of a Job: holds the uid, so that a namesake created later has Jobs of its own."""
    return fit(f"{deployment}-{kind}-{sequence}-{uid[:8]}")


def rollout(uid: str, sequence: int) -> str:
    """Identity of one life of a version; a label value and a metric label."""
    return f"{uid[:8]}-{sequence}"


def feedback_secret(deployment: str) -> str:
    """Name of the Secret with the key that signs prediction ids."""
    return fit(f"{deployment}-feedback")


def labels(deployment: str, component: str, *, version: str | None = None) -> dict[str, str]:
    """The labels of a child: ours only. A parent's labels are never copied: Argo CD and Flux track by label."""
    found = {
        "app.kubernetes.io/name": "modelmend-model",
        INSTANCE: deployment,
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/part-of": "modelmend",
        MANAGED_BY: MANAGER,
    }
    if version is not None:
        found[VERSION_LABEL] = version
    return found


def selector(deployment: str, version: str | None) -> dict[str, str]:
    """Selector of one version's server pods; None: of every version's."""
    every = {INSTANCE: deployment, "app.kubernetes.io/component": "server"}
    return every if version is None else {**every, VERSION_LABEL: version}
