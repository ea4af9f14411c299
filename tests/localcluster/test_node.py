"""A whole node: pods run, a second `up` is quick, a crash is survived, and `down` leaves nothing.

In a network namespace and a state folder of its own, so that a cluster that is up on this machine is not disturbed.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localcluster import commands, containerd, kernel, processes

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(os.geteuid() != 0, reason="a node needs root"),
    pytest.mark.skipif(commands.on_path("unshare") is None, reason="unshare is not installed"),
]

NAME = "modelmend-test"


class Elsewhere:
    """The command line of the local cluster in another network namespace."""

    def __init__(self, state: Path, namespace: int) -> None:
        self.state = state
        self.namespace = namespace

    def run(self, *words: str | Path) -> str:
        return commands.run(
            ["nsenter", "--net", "--target", str(self.namespace), *words],
            purpose=f"run {words[0]} elsewhere",
            environment={
                "MODELMEND_LOCAL_STATE": str(self.state),
                "MODELMEND_LOCAL_NODE": NAME,
                "MODELMEND_LOCAL_INTERFACE": NAME,
                "MODELMEND_LOCAL_ENGINE": "node",
            },
            seconds=300,
        )

    def cluster(self, *words: str) -> str:
        return self.run(sys.executable, Path(kernel.__file__).parent, *words)

    def kubectl(self, *words: str) -> str:
        told = json.loads(self.cluster("status", "-o", "json"))
        return self.run(told["kubectl"], f"--kubeconfig={told['kubeconfig']}", *words)

    def remains(self) -> dict[str, Any]:
        """Everything that a node leaves in the kernel, as far as it is there."""
        links = self.run("ip", "-json", "link", "show")
        return {
            "processes": [*processes.Processes(self.state).strays(), *kernel.cgroup_processes(NAME)],
            "mounts": kernel.mounts_below(self.state),
            "interfaces": [link["ifname"] for link in json.loads(links) if link["ifname"] != "lo"],
            "packet rules": self.run("nft", "list", "tables").split(),
            "cgroups": list(kernel.CGROUPS.glob(f"*/{NAME}")),
        }


NOTHING: dict[str, Any] = {"processes": [], "mounts": [], "interfaces": [], "packet rules": [], "cgroups": []}


@pytest.fixture
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    # Short, for a socket's path has a limit.
    state = tmp_path_factory.mktemp("node")
    # It lives as long as its standard input is open, and the namespace with it.
    with subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "ip link set lo up; echo ready; cat"], stdin=-1, stdout=-1
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        holder.stdout.readline()
        found = Elsewhere(state, holder.pid)
        yield found
        found.cluster("down")
        holder.stdin.close()


def test_the_life_of_a_node(elsewhere: Elsewhere) -> None:
    described = json.loads(elsewhere.cluster("up"))
    assert described["engine"] == "node"

    elsewhere.run(
        described["kubectl"],
        f"--kubeconfig={described['kubeconfig']}",
        "run",
        "pause",
        f"--image={containerd.PAUSE}",
    )
    elsewhere.kubectl("wait", "--for=condition=Ready", "pod/pause", "--timeout=60s")

    before = json.loads(elsewhere.cluster("status", "-o", "json"))["processes"]
    began = time.monotonic()
    elsewhere.cluster("up")
    assert time.monotonic() - began < 30
    assert json.loads(elsewhere.cluster("status", "-o", "json"))["processes"] == before
    assert all(before.values())

    _kill_everything(elsewhere)
    assert json.loads(elsewhere.cluster("status", "-o", "json"))["up"] is False

    elsewhere.cluster("up")
    elsewhere.kubectl("wait", "--for=condition=Ready", "pod/pause", "--timeout=60s")
    assert len(elsewhere.remains()["processes"]) > 10

    elsewhere.cluster("down")
    assert elsewhere.remains() == NOTHING


def test_down_after_a_crash_leaves_nothing_either(elsewhere: Elsewhere) -> None:
    elsewhere.cluster("up")
    elsewhere.kubectl("run", "pause", f"--image={containerd.PAUSE}")
    elsewhere.kubectl("wait", "--for=condition=Ready", "pod/pause", "--timeout=60s")
    _kill_everything(elsewhere)

    elsewhere.cluster("down")

    assert elsewhere.remains() == NOTHING


def _kill_everything(elsewhere: Elsewhere) -> None:
    """As if the machine had lost its power, as far as processes go."""
    for identity in elsewhere.remains()["processes"]:
        if processes.identify(identity.pid) == identity:
            os.kill(identity.pid, signal.SIGKILL)
