"""Everything about the cluster that a person may want to change, and what follows from it.

Read from the environment (MODELMEND_LOCAL_*), so that the Makefile, CI and tests set it the same way. Two clusters
on one machine need another STATE, INTERFACE, POD_SUBNET, SERVICE_SUBNET and API_PORT; the file lock then keeps
them apart.
"""

import dataclasses
import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path

from localcluster.errors import LocalClusterError

PREFIX = "MODELMEND_LOCAL_"


def cache_folder() -> Path:
    """Where built and downloaded things stay, outside of the work tree and shared by all of its copies."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "modelmend"


def state_folder() -> Path:
    """Where runs keep pid files, logs and data; the two levels have a folder each below it."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "modelmend"


@dataclasses.dataclass(frozen=True)
class Settings:
    """One cluster. Field names in capitals, after the prefix, are the environment's names."""

    state: Path = dataclasses.field(default_factory=lambda: state_folder() / "cluster")
    cache: Path = dataclasses.field(default_factory=cache_folder)
    # The node's name, and the root cgroup below which everything in its pods lives.
    node: str = "modelmend-local"
    # A bridge without ports: it only holds the address that stands for the host inside the cluster.
    interface: str = "modelmend0"
    pod_subnet: str = "10.88.0.0/24"
    service_subnet: str = "10.96.0.0/16"
    api_port: int = 6443
    gateway_port: int = 8000
    prometheus_port: int = 9090
    dns_port: int = 1053
    kubelet_port: int = 10250
    scrape_interval: str = "2s"
    volumes: int = 16
    volume_size: str = "2Gi"
    # kind is taken where Docker answers; "node" insists on our own node, "kind" on kind.
    engine: str = "auto"

    @property
    def host(self) -> str:
        """The host as pods see it: the gateway of the pod network."""
        return str(next(ipaddress.ip_network(self.pod_subnet).hosts()))

    def service_ip(self, number: int) -> str:
        """The cluster IP with that number: 1 is the API, 10 is DNS."""
        return str(ipaddress.ip_network(self.service_subnet)[number])

    @property
    def logs(self) -> Path:
        return self.state / "log"

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"


def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings with what the environment changes; a value that cannot work is an error that names the variable."""
    changes: dict[str, object] = {}
    for field in dataclasses.fields(Settings):
        name = PREFIX + field.name.upper()
        text = environment.get(name, "")
        if text:
            changes[field.name] = _parse(name, text, field.type)
    settings = dataclasses.replace(Settings(), **changes)  # type: ignore[arg-type]
    _refuse_what_cannot_work(settings)
    return settings


def _parse(name: str, text: str, kind: object) -> object:
    if kind is Path:
        return Path(text).expanduser().absolute()
    if kind is int:
        if not text.isdecimal() or not 0 < int(text) < 65536:
            raise LocalClusterError(f"{name} is {text!r}, but must be a whole number from 1 to 65535.")
        return int(text)
    return text


def _refuse_what_cannot_work(settings: Settings) -> None:
    for name in ("pod_subnet", "service_subnet"):
        text = getattr(settings, name)
        try:
            network = ipaddress.IPv4Network(text)
        except ValueError as error:
            raise LocalClusterError(f"{PREFIX}{name.upper()} is {text!r}: {error}.") from None
        if network.prefixlen > 24:
            raise LocalClusterError(f"{PREFIX}{name.upper()} is {text!r}, too small: give a /24 or wider.")
    if not re.fullmatch(r"[a-z0-9-]{1,15}", settings.interface):
        raise LocalClusterError(
            f"{PREFIX}INTERFACE is {settings.interface!r}, but Linux takes at most 15 letters, digits and dashes."
        )
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?", settings.node):
        raise LocalClusterError(f"{PREFIX}NODE is {settings.node!r}, which is no name for a Kubernetes node.")
    if not re.fullmatch(r"\d+(ms|s|m)", settings.scrape_interval):
        raise LocalClusterError(
            f"{PREFIX}SCRAPE_INTERVAL is {settings.scrape_interval!r}, but must be a duration such as 2s or 500ms."
        )
    if settings.engine not in {"auto", "node", "kind"}:
        raise LocalClusterError(f"{PREFIX}ENGINE is {settings.engine!r}, but must be auto, node or kind.")
    # A unix socket's path has 108 bytes; containerd's is the longest of ours.
    if len(str(settings.state)) > 80:
        raise LocalClusterError(
            f"{PREFIX}STATE is {settings.state}, longer than 80 characters: sockets in it could not be opened."
        )
