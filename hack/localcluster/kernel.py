"""What a node needs from the kernel and must give back: an address, a packet rule, sysctls, cgroups, mounts.

Each `make` is idempotent; each `remove` finds its things by a name or a folder that only this cluster uses, so it
works after a crash too, when nobody remembers what was made.
"""

import contextlib
import ipaddress
import json
import time
from collections.abc import Iterator
from pathlib import Path

from localcluster import commands, processes
from localcluster.errors import LocalClusterError
from localcluster.settings import Settings

CGROUPS = Path("/sys/fs/cgroup")
# What kubelet and kube-proxy set besides; recorded, so that `down` can put all of them back.
SYSCTLS = (
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "net/ipv4/conf/all/route_localnet",
    "net/ipv4/ip_forward",
    "net/netfilter/nf_conntrack_tcp_be_liberal",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)


def make_address(settings: Settings) -> None:
    """A bridge without ports that holds the host's address inside the cluster.

    A bridge, because it is there in every kernel that can run pods, while `dummy` devices are not; and without
    ports, because each pod has its own link to the host: so all traffic is routed, and cluster IPs work between pods
    without br_netfilter.
    """
    owner = _owner(settings.interface)
    if owner is None:
        _refuse_a_taken_subnet(settings)
        _refuse_another_kube_proxy()
        _ip("link", "add", settings.interface, "type", "bridge")
        _ip("link", "set", settings.interface, "alias", _alias(settings), "up")
    elif owner != _alias(settings):
        raise LocalClusterError(
            f"The interface {settings.interface} exists and is not this cluster's (its alias is {owner!r}): "
            "run `down` for its own state folder, or set MODELMEND_LOCAL_INTERFACE and the subnets."
        )
    _ip("address", "replace", f"{settings.host}/32", "dev", settings.interface)


def _alias(settings: Settings) -> str:
    return f"modelmend:{settings.state}"


def _owner(interface: str) -> str | None:
    """The alias of an interface, by which it names its owner; None if there is no such interface.

    Asked of `ip` and not read from /sys, which may show another network namespace than ours.
    """
    links = json.loads(
        commands.run(["ip", "-json", "link", "show"], purpose="list the network interfaces") or "[]"
    )
    return next((str(link.get("ifalias", "")) for link in links if link["ifname"] == interface), None)


def _refuse_a_taken_subnet(settings: Settings) -> None:
    """The kernel removes a pod's interface some time after its network namespace: those of a cluster that just went
    down are given a few seconds to follow it."""
    deadline = time.monotonic() + 15
    while True:
        try:
            _refuse_overlaps(settings)
        except LocalClusterError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def _refuse_overlaps(settings: Settings) -> None:
    text = commands.run(["ip", "-json", "-4", "address", "show"], purpose="list the network interfaces")
    for link in json.loads(text or "[]"):
        for address in link.get("addr_info", []):
            other = ipaddress.ip_interface(f"{address['local']}/{address['prefixlen']}").network
            for subnet in (settings.pod_subnet, settings.service_subnet):
                if other.overlaps(ipaddress.ip_network(subnet)):
                    raise LocalClusterError(
                        f"The subnet {subnet} overlaps with {other} of the interface {link['ifname']}: set "
                        "MODELMEND_LOCAL_POD_SUBNET and MODELMEND_LOCAL_SERVICE_SUBNET to others."
                    )


def _refuse_another_kube_proxy() -> None:
    if "table ip kube-proxy" in _tables():
        raise LocalClusterError(
            "Another Kubernetes node already runs its kube-proxy on this machine, and both would write the same "
            "packet rules: end it first, or run this one in a network namespace of its own (`unshare --net`)."
        )


def _tables() -> list[str]:
    return commands.run(["nft", "list", "tables"], purpose="list the packet rules").splitlines()


def make_masquerade(settings: Settings) -> None:
    """Lets pods reach what lies beyond the host, under the host's address; all our rules are one table."""
    rules = f"""
table ip {settings.node}
delete table ip {settings.node}
table ip {settings.node} {{
  chain leaving {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {settings.pod_subnet} ip daddr != {{ {settings.pod_subnet}, {settings.service_subnet} }} masquerade
  }}
}}
"""
    commands.run(["nft", "-f", "-"], purpose="add the packet rules for pods", stdin=rules)


def remove_network(settings: Settings) -> None:
    """Takes away the address and the tables; links to pods went with the pods' namespaces."""
    if _owner(settings.interface) != _alias(settings):
        return  # without our interface there is no kube-proxy of ours either, and its tables are somebody else's
    tables = _tables()
    for family, name in (("ip", settings.node), ("ip", "kube-proxy"), ("ip6", "kube-proxy")):
        if f"table {family} {name}" in tables:
            commands.run(
                ["nft", "delete", "table", family, name], purpose=f"delete the packet rules of {name}"
            )
    _ip("link", "delete", settings.interface)


def _ip(*words: str) -> None:
    commands.run(["ip", *words], purpose=f"set up the network (ip {' '.join(words)})")


def record_sysctls(state: Path) -> None:
    """Remembers the values before the first change and lets packets pass between interfaces."""
    path = state / "sysctls.json"
    if not path.exists():
        found = {name: text for name in SYSCTLS if (text := _sysctl(name)) is not None}
        path.write_text(json.dumps(found))
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def restore_sysctls(state: Path) -> None:
    """Puts back what `record_sysctls` saw."""
    path = state / "sysctls.json"
    if path.exists():
        for name, text in json.loads(path.read_text()).items():
            if _sysctl(name) not in (None, text):
                Path("/proc/sys", name).write_text(text)
        path.unlink()


def _sysctl(name: str) -> str | None:
    try:
        return Path("/proc/sys", name).read_text().strip()
    except OSError:
        return None  # not every kernel has every switch


def cgroups_are_v1() -> bool:
    """Whether the kernel offers one tree for each controller, as kubelet calls v1."""
    return not (CGROUPS / "cgroup.controllers").exists()


def _hierarchies() -> list[Path]:
    if not cgroups_are_v1():
        return [CGROUPS]
    return sorted(
        entry for entry in CGROUPS.iterdir() if (entry / "cgroup.procs").exists() and not entry.is_symlink()
    )


def make_cgroup(name: str) -> None:
    """The cgroup below which kubelet puts every pod: it must exist before, and later proves who is ours."""
    for hierarchy in _hierarchies():
        folder = hierarchy / name
        folder.mkdir(exist_ok=True)
        # In v1 a new cpuset is empty, and a process cannot be put where it has no processor.
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if (
                cgroups_are_v1()
                and (folder / setting).exists()
                and not (folder / setting).read_text().strip()
            ):
                (folder / setting).write_text((hierarchy / setting).read_text())


def cgroup_processes(name: str) -> list[processes.Identity]:
    """Everything that lives in pods, known by where it lives."""
    pids: set[int] = set()
    for hierarchy in _hierarchies():
        for listing in (hierarchy / name).rglob("cgroup.procs"):
            with contextlib.suppress(OSError):
                pids.update(int(line) for line in listing.read_text().split())
    return [identity for pid in sorted(pids) if pid and (identity := processes.identify(pid))]


def remove_cgroup(name: str) -> None:
    """Removes the emptied cgroup from the leaves up."""
    for hierarchy in _hierarchies():
        root = hierarchy / name
        if root.exists():
            for folder in sorted((path for path in root.rglob("*") if path.is_dir()), reverse=True):
                with contextlib.suppress(OSError):
                    folder.rmdir()
            with contextlib.suppress(OSError):
                root.rmdir()


def mounts_below(folder: Path) -> list[Path]:
    """Mount points inside the folder, the innermost first."""
    return sorted(_mounts_below(folder), key=lambda path: (len(path.parts), str(path)), reverse=True)


def _mounts_below(folder: Path) -> Iterator[Path]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = Path(line.split()[4].replace("\\040", " "))
        if point.is_relative_to(folder) and point != folder:
            yield point


def unmount_below(folder: Path) -> None:
    """Detaches every mount inside the folder (pods' volumes, root filesystems, network namespaces)."""
    for point in mounts_below(folder):
        commands.succeeds(["umount", "--lazy", str(point)])
    left = mounts_below(folder)
    if left:
        raise LocalClusterError(
            f"{left[0]} could not be unmounted: see who uses it with `fuser -vm {left[0]}`."
        )
