"""etcd, kube-apiserver and, if wanted, kube-controller-manager: the API without a node.

Started alone (by `control-plane up` or `running()`) it needs no root and about five seconds; it is what tests stand
on that need the API's real behaviour: server-side apply, CEL, status, conflicts, RBAC, garbage collection.
The node level starts the same programs on the cluster's own address.
"""

import contextlib
import dataclasses
import json
import random
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from localcluster import audit, binaries, kubernetes, lock, pki, processes, settings
from localcluster.errors import DidNotStartError, NotPossibleHereError

# Two cores are enough for each: on a bigger machine they would only take turns with the tests.
FRUGAL: Mapping[str, str] = {"GOMAXPROCS": "2"}
NAMES = ("kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd")


@dataclasses.dataclass(frozen=True)
class Shape:
    """What differs between a control plane alone and that of a node."""

    address: str = "127.0.0.1"
    port: int = 0  # 0: any free one, kept for the life of the state folder
    service_subnet: str = "10.96.0.0/16"
    pod_subnet: str = "10.88.0.0/24"
    controller_manager: bool = False
    # With a node: endpoints of the API are published, and a kubelet is called.
    node: bool = False


@dataclasses.dataclass(frozen=True)
class ControlPlane:
    """A running one, and how to reach it as its administrator (group system:masters)."""

    state: Path
    server: str
    kubeconfig: Path
    keys: pki.Pki
    kubectl: Path

    @property
    def api(self) -> kubernetes.Api:
        return kubernetes.Api(self.server, self.keys)


@contextlib.contextmanager
def running(
    state: Path, *, controller_manager: bool = False, cache: Path | None = None
) -> Iterator[ControlPlane]:
    """A fresh, empty control plane in the folder `state`, ended when the block ends; logs stay in `state`/log."""
    with lock.held(state / "lock"):
        stop(state)
        try:
            yield start(state, Shape(controller_manager=controller_manager), cache=cache)
        finally:
            stop(state)


def start(
    state: Path, shape: Shape, *, cache: Path | None = None, certificates: tuple[pki.Certificate, ...] = ()
) -> ControlPlane:
    """Starts what does not run yet. The caller holds the lock of `state`."""
    if not sys.platform.startswith("linux"):
        raise NotPossibleHereError(
            "The local control plane runs on Linux only: elsewhere use `make check`, which needs no cluster."
        )
    cache = cache or settings.cache_folder()
    found = binaries.obtain(
        cache, [name for name in binaries.CONTROL_PLANE if shape.controller_manager or "manager" not in name]
    )
    state = state.absolute()
    state.mkdir(parents=True, exist_ok=True)
    programs = processes.Processes(state)
    ports = _ports(state, programs, shape)
    keys = pki.ensure(state / "pki", (*_certificates(shape), *certificates))
    plane = ControlPlane(
        state=state,
        server=f"https://{shape.address}:{ports['api']}",
        kubeconfig=state / "kubeconfig",
        keys=keys,
        kubectl=found["kubectl"],
    )
    kubernetes.write_kubeconfig(plane.kubeconfig, server=plane.server, keys=keys, user="admin")
    _start_etcd(programs, found["etcd"], ports)
    served = [keys.ca, keys.certificate("kube-apiserver"), audit.ensure_policy(state)]
    programs.start("kube-apiserver", _apiserver(found["kube-apiserver"], plane, shape, ports), FRUGAL, served)
    programs.wait("kube-apiserver", plane.api.ready, seconds=120)
    if shape.controller_manager:
        _start_controllers(programs, found["kube-controller-manager"], plane, shape)
    return plane


def stop(state: Path) -> None:
    """Ends the control plane of `state` and forgets its data; keys and logs stay."""
    programs = processes.Processes(state.absolute())
    programs.stop(["kube-controller-manager", "kube-apiserver"], seconds=5)
    programs.stop(["etcd"], seconds=5)
    shutil.rmtree(state / "etcd", ignore_errors=True)
    (state / "ports.json").unlink(missing_ok=True)


def _certificates(shape: Shape) -> tuple[pki.Certificate, ...]:
    service = settings.Settings(service_subnet=shape.service_subnet).service_ip(1)
    names = (
        shape.address,
        "127.0.0.1",
        service,
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
    )
    return (
        pki.Certificate("kube-apiserver", "/CN=kube-apiserver", tuple(dict.fromkeys(names))),
        pki.client("admin", "admin", "system:masters"),
        pki.client("kube-controller-manager", "system:kube-controller-manager"),
    )


def _ports(state: Path, programs: processes.Processes, shape: Shape) -> dict[str, int]:
    """The ports of this state folder: those of its running programs, else free ones."""
    path = state / "ports.json"
    if path.exists() and any(programs.running(name) for name in ("etcd", "kube-apiserver")):
        kept: dict[str, int] = json.loads(path.read_text())
        return kept
    ports = {"etcd": free_port(), "etcd-peer": free_port(), "api": shape.port or free_port()}
    path.write_text(json.dumps(ports))
    return ports


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on.

    Below the range from which the kernel takes ports for outgoing connections: one of those could be taken between
    this answer and its use.
    """
    while True:
        port = random.randrange(20000, 32000)  # noqa: S311
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def _start_etcd(programs: processes.Processes, program: Path, ports: Mapping[str, int]) -> None:
    client, peer = f"http://127.0.0.1:{ports['etcd']}", f"http://127.0.0.1:{ports['etcd-peer']}"
    programs.start(
        "etcd",
        [
            program,
            "--name=local",
            f"--data-dir={programs.state / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=local={peer}",
            # A crash of the machine may cost the data. Nobody keeps any here, and every write is faster.
            "--unsafe-no-fsync",
            "--quota-backend-bytes=4294967296",
            "--log-level=warn",
        ],
        FRUGAL,
    )
    try:
        programs.wait("etcd", lambda: kubernetes.answers(f"{client}/health"), seconds=60)
    except DidNotStartError as error:
        raise DidNotStartError(
            f"{error}\nIf the machine itself crashed, its data may be damaged: `down` forgets them, then start again."
        ) from None


def _apiserver(
    program: Path, plane: ControlPlane, shape: Shape, ports: Mapping[str, int]
) -> list[str | Path]:
    keys = plane.keys
    flags: list[str | Path] = [
        program,
        f"--etcd-servers=http://127.0.0.1:{ports['etcd']}",
        f"--bind-address={shape.address}",
        f"--advertise-address={shape.address}",
        f"--secure-port={ports['api']}",
        f"--service-cluster-ip-range={shape.service_subnet}",
        f"--client-ca-file={keys.ca}",
        f"--tls-cert-file={keys.certificate('kube-apiserver')}",
        f"--tls-private-key-file={keys.key('kube-apiserver')}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={keys.folder / 'service-accounts.pub'}",
        f"--service-account-signing-key-file={keys.key('service-accounts')}",
        "--authorization-mode=Node,RBAC",
        "--allow-privileged",
        "--profiling=false",
        *audit.flags(plane.state),
    ]
    if shape.node:
        flags += [
            f"--kubelet-certificate-authority={keys.ca}",
            f"--kubelet-client-certificate={keys.certificate('admin')}",
            f"--kubelet-client-key={keys.key('admin')}",
            # The node's name is known to nobody but this cluster, so logs and exec go to its address.
            "--kubelet-preferred-address-types=InternalIP",
            "--enable-admission-plugins=NodeRestriction",
        ]
    else:
        # Without a node nobody uses the Service `kubernetes`, whose endpoint must not be a loopback address.
        flags.append("--endpoint-reconciler-type=none")
    if not shape.controller_manager:
        # Nobody makes the `default` accounts that this plugin waits for, so no pod could be created.
        flags.append("--disable-admission-plugins=ServiceAccount")
    return flags


def _start_controllers(
    programs: processes.Processes, program: Path, plane: ControlPlane, shape: Shape
) -> None:
    keys = plane.keys
    own = kubernetes.write_kubeconfig(
        plane.state / "kube-controller-manager.kubeconfig",
        server=plane.server,
        keys=keys,
        user="kube-controller-manager",
    )
    flags: list[str | Path] = [
        program,
        f"--kubeconfig={own}",
        f"--root-ca-file={keys.ca}",
        f"--service-account-private-key-file={keys.key('service-accounts')}",
        "--use-service-account-credentials",
        "--leader-elect=false",
        "--secure-port=0",
        "--profiling=false",
    ]
    if shape.node:
        mask = shape.pod_subnet.rpartition("/")[2]
        flags += [
            "--allocate-node-cidrs",
            f"--cluster-cidr={shape.pod_subnet}",
            f"--node-cidr-mask-size={mask}",
        ]
    programs.start("kube-controller-manager", flags, FRUGAL, [own])
