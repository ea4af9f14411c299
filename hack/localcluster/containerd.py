"""containerd, for this cluster alone: its own root, state and socket, so that a system's containerd is not disturbed."""

import contextlib
import dataclasses
import json
import shutil
import time
from pathlib import Path

from localcluster import archive, binaries, commands, processes
from localcluster.controlplane import FRUGAL
from localcluster.errors import CommandFailedError, DidNotStartError
from localcluster.settings import Settings

PAUSE = "localhost/modelmend-pause:1"
NAMESPACE = "k8s.io"


@dataclasses.dataclass(frozen=True)
class Containerd:
    """The runtime of one cluster. Images stay in `containerd/` after a `down`, so the next `up` need not load them."""

    settings: Settings

    @property
    def root(self) -> Path:
        return self.settings.state / "containerd"

    @property
    def run_folder(self) -> Path:
        return self.settings.state / "run"

    @property
    def socket(self) -> Path:
        return self.run_folder / "containerd.sock"

    def ctr(self, *words: str | Path, purpose: str) -> str:
        """containerd's own command."""
        program = binaries.find(self.settings.cache, "ctr")
        return commands.run(
            [program, "--address", self.socket, "--namespace", NAMESPACE, *words], purpose=purpose
        )

    def answers(self) -> bool:
        program = binaries.find(self.settings.cache, "ctr")
        return self.socket.exists() and commands.succeeds([program, "--address", self.socket, "version"])

    def start(self) -> None:
        """Starts it, and makes sure of the image in which every pod's namespaces live."""
        programs = processes.Processes(self.settings.state)
        self._forget_another_boot()
        configuration = self._configure()
        names = ("containerd", "runc", "containerd-shim-runc-v2")
        found = [binaries.find(self.settings.cache, name) for name in names]
        folders = dict.fromkeys(str(path.parent) for path in found if path.is_absolute())
        path = ":".join(
            [*folders, "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        )
        words: list[str | Path] = [found[0], "--config", configuration]
        programs.start("containerd", words, {**FRUGAL, "PATH": path}, [configuration])
        programs.wait("containerd", self.answers, seconds=60)
        if PAUSE not in self.images():
            self._load_pause()

    def _forget_another_boot(self) -> None:
        """`run/` is meant to vanish with a reboot, as /run does; what it says of an earlier boot is wrong."""
        mark = self.run_folder / "boot"
        now = processes.boot_id()
        if self.run_folder.exists() and (not mark.exists() or mark.read_text() != now):
            shutil.rmtree(self.run_folder)
        self.run_folder.mkdir(parents=True, exist_ok=True)
        mark.write_text(now)

    def _configure(self) -> Path:
        state = self.settings.state
        network = state / "cni"
        network.mkdir(parents=True, exist_ok=True)
        (network / "10-modelmend.conflist").write_text(json.dumps(self._network(), indent=1))
        path = state / "containerd.toml"
        path.write_text(f'''version = 2
root = "{self.root}"
state = "{self.run_folder}/containerd"
# The other snapshotters probe the disk and complain.
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "{self.socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{self.root}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  # Lowering oom_score_adj takes a capability that a container or a sandboxed machine withholds, and runc then dies
  # with "can't get final child's PID from pipe".
  restrict_oom_score_adj = true
  # Below our own folder, so that a namespace lost in a crash is found by where it is.
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{binaries.cni_plugins(self.settings.cache)}"
    conf_dir = "{network}"
''')
        return path

    def _network(self) -> dict[str, object]:
        """One link for each pod (`ptp`) and no packet rules from plugins: ours are in one table (see kernel.py)."""
        addresses = {
            "type": "host-local",
            "dataDir": str(self.settings.state / "run" / "leases"),
            "ranges": [[{"subnet": self.settings.pod_subnet, "gateway": self.settings.host}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        }
        plugin = {"type": "ptp", "ipMasq": False, "ipam": addresses}
        return {"cniVersion": "1.0.0", "name": self.settings.node, "plugins": [plugin]}

    def images(self) -> set[str]:
        """The names of the loaded images."""
        return set(self.ctr("images", "list", "--quiet", purpose="list the loaded images").split())

    def blobs(self) -> set[str]:
        """The digests of all content, so that an import can leave out what is there."""
        return set(self.ctr("content", "list", "--quiet", purpose="list the loaded layers").split())

    def load(self, tar: Path) -> None:
        """Takes over an OCI archive; the image's name is in the archive."""
        self.ctr("images", "import", "--no-unpack=false", tar, purpose=f"load {tar.name}")

    def _load_pause(self) -> None:
        program = binaries.find(self.settings.cache, "pause")
        tar = self.settings.state / "pause.tar"
        archive.write_single_program(tar, PAUSE, program)
        self.load(tar)
        tar.unlink()

    def remove_containers(self) -> None:
        """Ends and forgets every container; images stay.

        containerd clears up after an ended container by itself, at the same time, so what we want to remove may be
        gone already: the lists are what counts, not each command's answer.
        """
        deadline = time.monotonic() + 20
        while found := self.ctr("containers", "list", "--quiet", purpose="list the containers").split():
            if time.monotonic() > deadline:
                raise DidNotStartError(f"Containers are still there after 20 s, among them {found[0]}.")
            tasks = self.ctr("tasks", "list", "--quiet", purpose="list the running containers").split()
            for kind, names in (("tasks", tasks), ("containers", found)):
                for name in names:
                    with contextlib.suppress(CommandFailedError):
                        force = ["--force"] if kind == "tasks" else []
                        self.ctr(kind, "delete", *force, name, purpose=f"remove the container {name}")

    def remove_sockets(self) -> None:
        """Removes what killed shims leave below /run, whatever the state folder; each is named in our own folder."""
        for address in self.run_folder.glob("containerd/io.containerd.runtime.v2.task/*/*/address"):
            path = Path(address.read_text().strip().removeprefix("unix://"))
            if path.is_socket():
                path.unlink(missing_ok=True)
