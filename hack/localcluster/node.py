"""One node on top of a control plane: containerd, kubelet, kube-proxy, scheduler. Root only.

Nothing outside of the state folder is written but what kubelet insists on (its plugin folder below /var/lib, links
below /var/log) and what `kernel` gives back; `down` removes both.
"""

import contextlib
import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

from localcluster import binaries, containerd, controlplane, kernel, kubernetes, pki, processes
from localcluster.controlplane import FRUGAL, ControlPlane, Shape
from localcluster.settings import Settings

# The order of stopping: first who starts things, then what was started, last what they talk to.
CLIENTS = ("kubelet", "kube-proxy", "kube-scheduler")


@dataclasses.dataclass(frozen=True)
class Node:
    """The single node of a cluster."""

    settings: Settings

    @property
    def programs(self) -> processes.Processes:
        return processes.Processes(self.settings.state)

    @property
    def runtime(self) -> containerd.Containerd:
        return containerd.Containerd(self.settings)

    def start_control_plane(self) -> ControlPlane:
        """The control plane on the cluster's own address, where pods and kubelet reach it."""
        chosen = self.settings
        shape = Shape(
            address=chosen.host,
            port=chosen.api_port,
            service_subnet=chosen.service_subnet,
            pod_subnet=chosen.pod_subnet,
            controller_manager=True,
            node=True,
        )
        certificates = (
            pki.client("kube-scheduler", "system:kube-scheduler"),
            pki.client("kube-proxy", "system:kube-proxy"),
            pki.client("addons", "addons", "system:masters"),
            dataclasses.replace(
                pki.client("kubelet", f"system:node:{chosen.node}", "system:nodes"),
                names=(chosen.node, chosen.host),
            ),
        )
        return controlplane.start(chosen.state, shape, cache=chosen.cache, certificates=certificates)

    def start(self, plane: ControlPlane) -> None:
        """Starts what does not run yet; `wait_ready` says when the node takes pods."""
        find = self._find
        own = {name: self._kubeconfig(plane, name) for name in ("kube-scheduler", "kubelet", "kube-proxy")}
        self.programs.start(
            "kube-scheduler",
            [find("kube-scheduler"), f"--kubeconfig={own['kube-scheduler']}", "--leader-elect=false", "--secure-port=0", "--profiling=false"],
            FRUGAL,
            [own["kube-scheduler"]],
        )  # fmt: skip
        proxy = self._write("kube-proxy.json", self._proxy_configuration(own["kube-proxy"]))
        self.programs.start(
            "kube-proxy", [find("kube-proxy"), f"--config={proxy}"], FRUGAL, [proxy, own["kube-proxy"]]
        )
        kernel.make_cgroup(self.settings.node)
        kubelet = self._write("kubelet.json", self._kubelet_configuration(plane.keys))
        self.programs.start(
            "kubelet",
            [
                find("kubelet"),
                f"--config={kubelet}",
                f"--kubeconfig={own['kubelet']}",
                f"--hostname-override={self.settings.node}",
                f"--node-ip={self.settings.host}",
                f"--root-dir={self.settings.state / 'kubelet'}",
            ],
            FRUGAL,
            [kubelet, own["kubelet"]],
        )

    def wait_ready(self, plane: ControlPlane) -> None:
        """Until the node says that it takes pods, and the scheduler is allowed to believe it."""
        seen: dict[str, Any] = {}

        def ready() -> bool:
            body = plane.api.get(f"/api/v1/nodes/{self.settings.node}")
            seen.clear()
            seen.update(json.loads(body) if body else {})
            conditions = seen.get("status", {}).get("conditions", [])
            is_ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
            return is_ready and not seen["spec"].get("taints")

        self.programs.wait("kubelet", ready, seconds=120, pause=0.1)

    def _find(self, name: str) -> Path:
        return binaries.find(self.settings.cache, name)

    def _kubeconfig(self, plane: ControlPlane, user: str) -> Path:
        path = self.settings.state / f"{user}.kubeconfig"
        return kubernetes.write_kubeconfig(path, server=plane.server, keys=plane.keys, user=user)

    def _write(self, name: str, content: dict[str, Any]) -> Path:
        """The file, untouched if it says so already: kube-proxy ends itself when its own is written to."""
        path, text = self.settings.state / name, json.dumps(content, indent=1)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
        return path

    def _kubelet_configuration(self, keys: pki.Pki) -> dict[str, Any]:
        state, chosen = self.settings.state, self.settings
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            # Its own address only, so that a kubelet of another cluster is not in the way.
            "address": chosen.host,
            "port": chosen.kubelet_port,
            "readOnlyPort": 0,
            "healthzPort": 0,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(keys.ca)},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(keys.certificate("kubelet")),
            "tlsPrivateKeyFile": str(keys.key("kubelet")),
            "containerRuntimeEndpoint": f"unix://{self.runtime.socket}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{chosen.node}",
            # 1.35 refuses cgroup v1 unless told otherwise, and many small machines still have it.
            "failCgroupV1": False,
            "failSwapOn": False,
            "enforceNodeAllocatable": [],
            "evictionHard": {
                "memory.available": "100Mi",
                "nodefs.available": "1%",
                "imagefs.available": "1%",
            },
            "clusterDNS": [chosen.service_ip(10)],
            "clusterDomain": "cluster.local",
            "resolvConf": "",
            # Images come from here and from nowhere else: collecting an idle one would lose it.
            "imageGCHighThresholdPercent": 100,
            "serializeImagePulls": False,
            "makeIPTablesUtilChains": False,
            "podLogsDir": str(state / "pod-logs"),
            "volumePluginDir": str(state / "volume-plugins"),
            "kubeAPIQPS": 100,
            "kubeAPIBurst": 200,
            "maxPods": 110,
            # A pod that was asked to end is seen to have ended sooner.
            "syncFrequency": "10s",
            "volumeStatsAggPeriod": "1m",
        }

    def _proxy_configuration(self, kubeconfig: Path) -> dict[str, Any]:
        chosen = self.settings
        return {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "clientConnection": {"kubeconfig": str(kubeconfig)},
            "clusterCIDR": chosen.pod_subnet,
            "hostnameOverride": chosen.node,
            "bindAddress": chosen.host,
            "healthzBindAddress": f"{chosen.host}:10256",
            "metricsBindAddress": f"{chosen.host}:10249",
            # The machine's own limit on connections is not ours to change.
            "conntrack": {
                "maxPerCore": 0,
                "min": 0,
                "tcpEstablishedTimeout": "0s",
                "tcpCloseWaitTimeout": "0s",
            },
            "nftables": {"minSyncPeriod": "100ms", "syncPeriod": "30s"},
        }

    def stop(self) -> None:
        """Ends every pod and program, and gives back what the kernel lent."""
        self.programs.stop(CLIENTS, seconds=5)
        if self.programs.running("containerd"):
            self.runtime.remove_containers()
        controlplane.stop(self.settings.state)
        self.programs.stop(self.programs.names(), seconds=5)
        self.clean()
        shutil.rmtree(self.settings.state / "volumes", ignore_errors=True)

    def clean(self) -> None:
        """Ends and removes what has lost its parent, as a reboot would: after `stop`, and before a start that finds
        the remains of a crash. Data (etcd, volumes, images) stay.
        """
        chosen = self.settings
        # Known by the mark in their environment (shims) or by their cgroup (containers): nobody else's.
        processes.end(self.programs.strays(), seconds=2)
        processes.end(kernel.cgroup_processes(chosen.node), seconds=0)
        self.runtime.remove_sockets()
        kernel.unmount_below(chosen.state)
        kernel.remove_cgroup(chosen.node)
        kernel.remove_network(chosen)
        kernel.restore_sysctls(chosen.state)
        for name in ("kubelet", "run", "pod-logs", "pid"):
            shutil.rmtree(chosen.state / name, ignore_errors=True)
        for path in (
            *Path("/var/log/containers").glob("*.log"),
            *Path("/var/lib/cni/results").glob(f"{chosen.node}-*"),
        ):
            with contextlib.suppress(OSError):
                if path.is_file() or (path.is_symlink() and path.readlink().is_relative_to(chosen.state)):
                    path.unlink()
