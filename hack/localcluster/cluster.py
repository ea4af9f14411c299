"""The order of things: what `up`, `down` and `status` do on our own node.

`up` is a list of "make sure that …": each line is quick when it is true already. So a second `up` takes seconds, and
one after a crash does what is missing.
"""

import concurrent.futures
import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from localcluster import audit, binaries, gobuild, kernel, kubernetes, packages, processes, progress
from localcluster.addons import discovery, dns, gateway, monitoring, storage
from localcluster.controlplane import FRUGAL, ControlPlane
from localcluster.errors import NotPossibleHereError
from localcluster.node import Node
from localcluster.settings import Settings

TOOLS = ("ip", "nft", "conntrack", "openssl")
PROGRAMS = (
    "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "containerd", "kubelet", "kube-proxy",
    dns.NAME, discovery.NAME, monitoring.NAME, gateway.NAME,
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Description:
    """What others need to know of a running cluster: printed by `status`, kept as `cluster.json`."""

    engine: str
    kubeconfig: str
    node: str
    gateway_url: str
    gateway_url_in_cluster: str
    gateway_namespace: str
    gateway_name: str
    prometheus_url: str
    prometheus_url_in_cluster: str
    storage_class: str
    kubectl: str
    helm: str
    # Every write of the operator, a line each; empty where no such log is kept.
    audit_log: str


def refuse_without_root() -> None:
    """A node needs namespaces and mounts. Say so before anything is built."""
    if os.geteuid() != 0:
        raise NotPossibleHereError(
            "A local cluster needs root (for network namespaces and mounts) or a Docker engine that answers, and "
            "here is neither: `make check` tests modelmend without a cluster."
        )


def up(settings: Settings) -> Description:
    """A cluster that takes pods, with its add-ons. The caller holds the lock."""
    refuse_without_root()
    obtain(settings)
    node = Node(settings)
    settings.state.mkdir(parents=True, exist_ok=True)
    if not node.programs.running("containerd"):
        if node.programs.names():
            progress.say("the last run was not ended by `down`: cleaning up after it")
        node.clean()
    kernel.record_sysctls(settings.state)
    kernel.make_address(settings)
    kernel.make_masquerade(settings)
    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as beside:
        runtime = beside.submit(node.runtime.start)
        with progress.step("starting the control plane"):
            plane = node.start_control_plane()
        runtime.result()
    with progress.step("starting the node and its add-ons"):
        node.start(plane)
        _start_addons(settings, plane, node)
        node.wait_ready(plane)
        _wait_for_addons(settings, plane, node)
    described = describe(settings)
    (settings.state / "cluster.json").write_text(json.dumps(dataclasses.asdict(described), indent=1))
    return described


def obtain(settings: Settings, also: Sequence[Callable[[], object]] = ()) -> dict[str, Path]:
    """Everything that `up` needs, in the cache; quick when it is there. The programs' paths by name."""
    if os.geteuid() == 0:
        packages.install_tools(TOOLS)
    small = (
        lambda: binaries.cni_plugins(settings.cache),
        lambda: gobuild.gateway_api_crds(settings.cache),
        lambda: binaries.find(settings.cache, "pause"),
    )
    return binaries.obtain(settings.cache, also=[*also, *small])


def _kubectl(settings: Settings, plane: ControlPlane) -> kubernetes.Kubectl:
    return kubernetes.Kubectl(binaries.find(settings.cache, "kubectl"), plane.kubeconfig)


def _start_addons(settings: Settings, plane: ControlPlane, node: Node) -> None:
    programs, state = node.programs, settings.state

    def find(name: str) -> Path:
        return binaries.find(settings.cache, name)

    own = kubernetes.write_kubeconfig(
        state / "addons.kubeconfig", server=plane.server, keys=plane.keys, user="addons"
    )
    corefile = state / "Corefile"
    corefile.write_text(dns.configuration(settings, own))
    programs.start(dns.NAME, dns.argv(find("coredns"), corefile), FRUGAL, [corefile, own])
    scrape = state / "prometheus.json"
    scrape.write_text(json.dumps(monitoring.configuration(settings, state / "pods.json"), indent=1))
    watch = discovery.argv(plane.server, plane.keys.folder, "addons", state / "pods.json")
    programs.start(discovery.NAME, watch, {"PYTHONPATH": str(Path(__file__).parents[1])})
    words = monitoring.argv(find("prometheus"), scrape, state / "prometheus", settings)
    programs.start(monitoring.NAME, words, FRUGAL, [scrape])

    kubectl = _kubectl(settings, plane)
    kubectl(
        "apply",
        "--server-side",
        "--force-conflicts",
        "-f",
        str(gobuild.gateway_api_crds(settings.cache)),
        purpose="define the Gateway API",
    )
    volumes = storage.make_folders(settings)
    kubectl.apply(
        [
            *dns.manifests(settings),
            *monitoring.manifests(settings),
            *gateway.manifests(settings),
            *gateway.service(settings),
            *storage.manifests(settings, volumes),
        ],
        purpose="describe the add-ons to the cluster",
    )
    environment = {**FRUGAL, "KUBECONFIG": str(own)}
    programs.start(gateway.NAME, gateway.argv(find("traefik"), settings), environment, [own])
    storage.reclaim(settings, kubectl, volumes)


def _wait_for_addons(settings: Settings, plane: ControlPlane, node: Node) -> None:
    address = f"/apis/gateway.networking.k8s.io/v1/namespaces/{gateway.NAMESPACE}/gateways/{gateway.GATEWAY}"

    def programmed() -> bool:
        body = plane.api.get(address)
        return body is not None and gateway.is_programmed(json.loads(body))

    node.programs.wait(
        dns.NAME, lambda: kubernetes.answers(f"http://{settings.host}:{settings.dns_port + 1}/ready")
    )
    node.programs.wait(
        monitoring.NAME,
        lambda: kubernetes.answers(f"http://{settings.host}:{settings.prometheus_port}/-/ready"),
    )
    node.programs.wait(gateway.NAME, programmed)
    # One that died after it was last looked at would otherwise puzzle whoever comes next.
    node.programs.require(PROGRAMS)


def describe(settings: Settings) -> Description:
    """What a cluster with these settings offers, on our own node."""
    return Description(
        engine="node",
        kubeconfig=str(settings.kubeconfig),
        node=settings.node,
        gateway_url=f"http://{settings.host}:{settings.gateway_port}",
        gateway_url_in_cluster=gateway.IN_CLUSTER_URL,
        gateway_namespace=gateway.NAMESPACE,
        gateway_name=gateway.GATEWAY,
        prometheus_url=f"http://{settings.host}:{settings.prometheus_port}",
        prometheus_url_in_cluster=monitoring.IN_CLUSTER_URL,
        storage_class=storage.CLASS,
        kubectl=str(binaries.find(settings.cache, "kubectl")),
        helm=str(binaries.find(settings.cache, "helm")),
        audit_log=str(settings.logs / audit.LOG),
    )


def running(settings: Settings) -> dict[str, int | None]:
    """Every program of the cluster and its pid, None for one that is not there."""
    programs = processes.Processes(settings.state)
    return {name: found.pid if (found := programs.running(name)) else None for name in PROGRAMS}


def down(settings: Settings, *, purge: bool = False) -> None:
    """Leaves no process, mount, namespace, interface or packet rule behind. The caller holds the lock.

    Images, keys and logs stay in the state folder, for the next `up` and for who wants to know what happened;
    `purge` removes them too.
    """
    if not settings.state.exists():
        return
    refuse_without_root()
    with progress.step("taking the cluster down"):
        Node(settings).stop()
        for name in ("prometheus", "cluster.json"):
            _remove(settings.state / name)
        if purge:
            for path in settings.state.iterdir():
                if path.name != "lock":
                    _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def recorded(settings: Settings) -> dict[str, Any] | None:
    """The description that the last `up` left, whichever engine it used; None when no cluster is up."""
    try:
        told: dict[str, Any] = json.loads((settings.state / "cluster.json").read_text())
    except FileNotFoundError:
        return None
    return told
