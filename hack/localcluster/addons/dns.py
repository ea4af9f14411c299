"""Names inside the cluster: CoreDNS at the tenth address of the Service subnet, where kubelet sends every pod."""

from pathlib import Path
from typing import Any

from localcluster import addons
from localcluster.settings import Settings

NAME = "coredns"


def manifests(settings: Settings) -> list[dict[str, Any]]:
    """The Service that pods are told to ask."""
    ports = {"dns": (53, settings.dns_port, "UDP"), "dns-tcp": (53, settings.dns_port, "TCP")}
    return addons.service_on_host(
        "kube-dns", "kube-system", settings.host, ports, cluster_ip=settings.service_ip(10)
    )


def configuration(settings: Settings, kubeconfig: Path) -> str:
    """The Corefile. Names outside of the cluster are asked of the machine's own resolver."""
    return f"""
.:{settings.dns_port} {{
    bind {settings.host}
    errors
    ready {settings.host}:{settings.dns_port + 1}
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {kubeconfig}
        pods insecure
        ttl 5
    }}
    forward . /etc/resolv.conf
    cache 5
    loadbalance
}}
"""


def argv(program: Path, corefile: Path) -> list[str | Path]:
    """The command line."""
    return [program, "-conf", corefile]
