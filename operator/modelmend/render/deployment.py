"""The Deployment that serves one version. `act` applies it for EnsureServing.

Its pod template is rendered once for each hash of inputs. Scaling goes through `scaled`, which keeps the
template byte for byte: an operator that renders differently after its upgrade restarts no model pod.
"""

import copy
import string
from dataclasses import dataclass
from typing import Any, Final

from modelmend.api import names, resources
from modelmend.contract import arms, environment, log
from modelmend.render import child, own, pod, secret, storage

COMPONENT: Final = "server"
SCRATCH: Final = "1Gi"
"""Fetched artifacts and parts of the log on their way out."""
GRACE_SECONDS: Final = 30
"""From SIGTERM to SIGKILL: above the 25 s in which a server drains, delivers its log and leaves."""
KEY_MOUNT: Final = "/etc/modelmend/feedback"


@dataclass(frozen=True, slots=True)
class Champion:
    """The model that a candidate's pods load beside their own."""

    version: str
    rollout: str
    uri: str
    digest: str


@dataclass(frozen=True, slots=True)
class Server:
    """One version as it shall be served."""

    version: str
    rollout: str
    uri: str
    digest: str
    image: str
    replicas: int
    inputs: str
    """Hash of the spec fields below; kept as an annotation."""
    side: arms.Side = arms.Side.LEFT
    """Which ports its arms have."""
    champion: Champion | None = None
    """Set on a candidate: its pods load both models and get twice the memory."""
    trusted_types: tuple[str, ...] = ()
    """Types that skops may build, from the operator's configuration."""


def manifest(owner: resources.ModelDeployment, server: Server) -> child.Manifest:
    """The Deployment of one version, named like it."""
    labels = names.labels(owner.metadata.name, COMPONENT, version=server.version)
    labels[names.ROLLOUT_LABEL] = server.rollout
    selector = names.selector(owner.metadata.name, server.version)
    return child.remember(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": child.metadata(owner, server.version, labels),
            "spec": {
                "replicas": server.replicas,
                "revisionHistoryLimit": 2,
                "selector": {"matchLabels": selector},
                # A new pod is ready before an old one goes: the champion never serves with less than it was given.
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
                "template": {
                    "metadata": {"labels": dict(labels), **own.annotations(owner.spec.serving.template)},
                    "spec": _pod(owner, server) | {"topologySpreadConstraints": _spread(selector)},
                },
            },
        },
        inputs=server.inputs,
    )


def scaled(manifest: child.Manifest, replicas: int) -> child.Manifest:
    """The same Deployment with other replicas."""
    changed = copy.deepcopy(manifest)
    changed["spec"]["replicas"] = replicas
    return child.remember(changed)


def _pod(owner: resources.ModelDeployment, server: Server) -> dict[str, Any]:
    if owner.spec.serving.template is not None:
        return own.pod_spec(owner, owner.spec.serving.template, _variables(owner, server), server.uri)
    wanted = owner.spec.serving.resources
    memory = wanted.memory if server.champion is None else _doubled(wanted.memory)
    size = pod.Size(wanted.cpu, memory, SCRATCH)
    artifacts = [server.uri] if server.champion is None else [server.uri, server.champion.uri]
    container = {
        "image": server.image,
        "args": ["serve"],
        "env": pod.variables(_variables(owner, server), wanted.cpu),
        "ports": _ports(server.side),
        "volumeMounts": [{"name": "feedback-key", "mountPath": KEY_MOUNT, "readOnly": True}],
        # 1. Starting: fetching and building a large model may take minutes, and is not yet a reason to restart.
        # 2. Ready: the expected digests are loaded and a smoke inference passed.
        # 3. Live: patient, since a restart loads everything again; for a process that answers nothing any more.
        "startupProbe": _probe("live", period=2, failures=300),
        "readinessProbe": _probe("ready", period=2, failures=3),
        "livenessProbe": _probe("live", period=10, failures=6),
    }
    spec = pod.spec(size, storage.in_server(owner, artifacts), container)
    spec["terminationGracePeriodSeconds"] = GRACE_SECONDS
    spec["volumes"].append(
        {
            "name": "feedback-key",
            "secret": {"secretName": names.feedback_secret(owner.metadata.name), "defaultMode": 0o440},
        }
    )
    return spec


def _doubled(memory: str) -> str:
    number = memory.rstrip(string.ascii_letters)
    return f"{2 * int(number)}{memory[len(number) :]}"


def _variables(owner: resources.ModelDeployment, server: Server) -> dict[str, str | None]:
    return {
        environment.MODEL: owner.metadata.name,
        environment.NAMESPACE: owner.metadata.namespace,
        environment.VERSION: server.version,
        environment.ROLLOUT: server.rollout,
        environment.SIDE: server.side.value,
        environment.URI: server.uri,
        environment.DIGEST: server.digest,
        **_champion(server.champion),
        **pod.grading(owner),
        # Set even when empty: a variable of the credentials Secret may not widen the list.
        environment.TRUSTED_TYPES: ",".join(server.trusted_types),
        environment.FEEDBACK_KEY_FILE: f"{KEY_MOUNT}/{secret.KEY}",
        environment.LOG_URI: storage.log_in_server(owner),
        environment.LOG_PART_SECONDS: _part_seconds(owner),
    }


def _part_seconds(owner: resources.ModelDeployment) -> str | None:
    kept = owner.spec.retraining.data.log
    return None if kept is None else f"{log.part_seconds(kept.window.total_seconds()):g}"


def _champion(champion: Champion | None) -> dict[str, str | None]:
    if champion is None:
        return {}
    return {
        environment.CHAMPION_VERSION: champion.version,
        environment.CHAMPION_ROLLOUT: champion.rollout,
        environment.CHAMPION_URI: champion.uri,
        environment.CHAMPION_DIGEST: champion.digest,
    }


def _ports(side: arms.Side) -> list[dict[str, Any]]:
    ports = [
        *((arm.value, port) for arm, port in arms.SIDES[side].items()),
        (arms.METRICS_PORT_NAME, arms.METRICS_PORT),
    ]
    return [{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in ports]


def _probe(state: str, *, period: int, failures: int) -> dict[str, Any]:
    # Defaults of the API server are written out, so that the live object equals what was applied.
    return {
        "httpGet": {"path": f"/v2/health/{state}", "port": arms.Arm.SOLO.value, "scheme": "HTTP"},
        "periodSeconds": period,
        "timeoutSeconds": 3,
        "failureThreshold": failures,
        "successThreshold": 1,
    }


def _spread(selector: dict[str, str]) -> list[dict[str, Any]]:
    # Wishes, never conditions: a cluster of one node, or of one zone, serves too.
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": dict(selector)},
        }
        for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
    ]
