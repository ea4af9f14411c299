"""The same cluster where a Docker engine answers: kind makes the node, the add-ons run as pods.

Never exercised on the machines that this project's own checks run on, which have no Docker; it is short for that
reason, and shares with the other way whatever can be shared: the Gateway, the scrape rules, the volumes, the Dockerfile.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from localcluster import addons, binaries, commands, gobuild, images, kubernetes, progress
from localcluster.addons import gateway, monitoring, storage
from localcluster.cluster import Description
from localcluster.settings import Settings

TRAEFIK = "traefik:v3.7.15"
PROMETHEUS = "prom/prometheus:v3.10.0"
VOLUMES = "/modelmend-volumes"


def docker_answers() -> bool:
    """Whether there is a Docker engine that this user may use."""
    return commands.succeeds(["docker", "info"], seconds=20)


def _node(settings: Settings) -> str:
    return f"{settings.node}-control-plane"


def _kind(settings: Settings, *words: str | Path, purpose: str, stdin: str | None = None) -> str:
    program = commands.on_path("kind") or binaries.find(settings.cache, "kind")
    return commands.run([program, *words, "--name", settings.node], purpose=purpose, stdin=stdin)


def _kubectl(settings: Settings) -> kubernetes.Kubectl:
    program = commands.on_path("kubectl") or binaries.find(settings.cache, "kubectl")
    return kubernetes.Kubectl(program, settings.kubeconfig)


def up(settings: Settings) -> Description:
    """A kind cluster with the add-ons. The caller holds the lock."""
    folder = storage.make_folders(settings)
    nodes = commands.run(
        ["docker", "ps", "--format", "{{.Names}}"], purpose="list Docker's containers"
    ).split()
    if _node(settings) not in nodes:
        with progress.step("creating the kind cluster"):
            # What is left of a stopped one is in the way of a new one.
            _kind(settings, "delete", "cluster", purpose="remove an old kind cluster")
            words: list[str | Path] = [
                "create",
                "cluster",
                "--config",
                "-",
                "--kubeconfig",
                settings.kubeconfig,
                "--wait",
                "120s",
            ]
            configuration = json.dumps(_configuration(settings, folder))
            _kind(settings, *words, purpose="create the kind cluster", stdin=configuration)
    kubectl = _kubectl(settings)
    with progress.step("starting the add-ons"):
        crds = str(gobuild.gateway_api_crds(settings.cache))
        kubectl("apply", "--server-side", "--force-conflicts", "-f", crds, purpose="define the Gateway API")
        kubectl.apply(_manifests(settings), purpose="describe the add-ons to the cluster")
        for namespace, name in ((gateway.NAMESPACE, gateway.NAME), ("monitoring", monitoring.NAME)):
            status = ("rollout", "status", f"deployment/{name}", "--namespace", namespace, "--timeout=300s")
            kubectl(*status, purpose=f"wait for {name}", seconds=330)
    storage.reclaim(in_docker(settings), kubectl, Path(VOLUMES))
    described = _describe(settings, kubectl)
    (settings.state / "cluster.json").write_text(json.dumps(dataclasses.asdict(described), indent=1))
    return described


def down(settings: Settings) -> None:
    """Removes the kind cluster. The caller holds the lock."""
    with progress.step("deleting the kind cluster"):
        _kind(settings, "delete", "cluster", purpose="delete the kind cluster")
    (settings.state / "cluster.json").unlink(missing_ok=True)


def load_images(settings: Settings, wanted: Sequence[images.Image] = images.ALL) -> list[str]:
    """Builds the images with Docker, which knows by itself what changed, and hands them to the node."""
    for image in wanted:
        with progress.step(f"building and loading {image.name}"):
            words: list[str | Path] = [
                "docker",
                "build",
                "--quiet",
                *image.target_words(),
                "--tag",
                image.name,
                image.context,
            ]
            commands.run(words, purpose=f"build {image.name}", environment={"DOCKER_BUILDKIT": "1"})
            _kind(settings, "load", "docker-image", image.name, purpose=f"load {image.name}")
    return [image.name for image in wanted]


def in_docker(settings: Settings) -> Settings:
    """The settings as they are true inside: kind gives the node another name."""
    return dataclasses.replace(settings, node=_node(settings))


def _configuration(settings: Settings, folder: Path) -> dict[str, Any]:
    ports = (settings.gateway_port, settings.prometheus_port)
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "networking": {"podSubnet": settings.pod_subnet, "serviceSubnet": settings.service_subnet},
        "nodes": [
            {
                "role": "control-plane",
                "extraPortMappings": [
                    {"containerPort": port, "hostPort": port, "listenAddress": "127.0.0.1"} for port in ports
                ],
                "extraMounts": [{"hostPath": str(folder), "containerPath": VOLUMES}],
            }
        ],
    }


def _manifests(settings: Settings) -> list[dict[str, Any]]:
    scrape = json.dumps(monitoring.configuration(settings, None))
    data = {"prometheus.yml": scrape}
    prometheus_arguments = [
        "--config.file=/etc/prometheus/prometheus.yml",
        f"--web.listen-address=:{settings.prometheus_port}",
    ]
    mount = {"name": "configuration", "mountPath": "/etc/prometheus"}
    return [
        *gateway.manifests(settings),
        *_deployment(
            gateway.NAME,
            gateway.NAMESPACE,
            {"image": TRAEFIK, "args": list(gateway.arguments(settings, "", "127.0.0.1"))},
            settings.gateway_port,
        ),
        _service(gateway.GATEWAY, gateway.NAMESPACE, gateway.NAME, 80, settings.gateway_port),
        addons.namespace("monitoring"),
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": monitoring.NAME, "namespace": "monitoring"},
            "data": data,
        },
        *_deployment(
            monitoring.NAME,
            "monitoring",
            {"image": PROMETHEUS, "args": prometheus_arguments, "volumeMounts": [mount]},
            settings.prometheus_port,
            volumes=[{"name": "configuration", "configMap": {"name": monitoring.NAME}}],
        ),
        _service(monitoring.NAME, "monitoring", monitoring.NAME, 9090, settings.prometheus_port),
        *storage.manifests(in_docker(settings), Path(VOLUMES)),
    ]


def _deployment(
    name: str,
    namespace: str,
    container: dict[str, Any],
    port: int,
    volumes: list[dict[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    """One pod that listens on the node's port, with an account that may see everything: it is a test cluster's."""
    labels = {"app": name}
    listening = {"name": name, "ports": [{"containerPort": port, "hostPort": port}], **container}
    pod = {"serviceAccountName": name, "containers": [listening], "volumes": volumes or []}
    template = {"metadata": {"labels": labels}, "spec": pod}
    # Recreate: a second pod could not have the same port of the node.
    spec = {"selector": {"matchLabels": labels}, "strategy": {"type": "Recreate"}, "template": template}
    where = {"name": name, "namespace": namespace}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": where},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": f"localcluster-{name}"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "cluster-admin",
            },
            "subjects": [{"kind": "ServiceAccount", **where}],
        },
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": where, "spec": spec},
    ]


def _service(name: str, namespace: str, app: str, port: int, target: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"app": app}, "ports": [{"port": port, "targetPort": target}]},
    }


def _describe(settings: Settings, kubectl: kubernetes.Kubectl) -> Description:
    return Description(
        engine="kind",
        kubeconfig=str(settings.kubeconfig),
        node=_node(settings),
        gateway_url=f"http://127.0.0.1:{settings.gateway_port}",
        gateway_url_in_cluster=gateway.IN_CLUSTER_URL,
        gateway_namespace=gateway.NAMESPACE,
        gateway_name=gateway.GATEWAY,
        prometheus_url=f"http://127.0.0.1:{settings.prometheus_port}",
        prometheus_url_in_cluster=monitoring.IN_CLUSTER_URL,
        storage_class=storage.CLASS,
        kubectl=str(kubectl.program),
        helm=str(commands.on_path("helm") or binaries.find(settings.cache, "helm")),
        audit_log="",
    )
