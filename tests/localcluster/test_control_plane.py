"""The API alone: up and down as often as one likes, after a kill too, without root."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcluster import controlplane, kubernetes, processes

pytestmark = pytest.mark.api

NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kept"}}


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    controlplane.stop(tmp_path)


def pids(state: Path) -> dict[str, int]:
    programs = processes.Processes(state)
    return {name: found.pid for name in programs.names() if (found := programs.running(name))}


def test_up_twice_is_up_once_and_down_leaves_nothing(state: Path) -> None:
    first = controlplane.start(state, controlplane.Shape())
    before = pids(state)
    assert first.api.ready()

    second = controlplane.start(state, controlplane.Shape())

    assert second == first
    assert pids(state) == before
    assert set(before) == {"etcd", "kube-apiserver"}

    controlplane.stop(state)
    controlplane.stop(state)

    assert pids(state) == {}
    assert processes.Processes(state).strays() == []
    assert not (state / "etcd").exists()


def test_up_after_a_kill_finds_the_data_again(state: Path) -> None:
    plane = controlplane.start(state, controlplane.Shape())
    kubectl = kubernetes.Kubectl(plane.kubectl, plane.kubeconfig)
    kubectl.apply([NAMESPACE], purpose="make a namespace")
    killed = [processes.identify(pid) for pid in pids(state).values()]
    for identity in killed:
        assert identity is not None
        os.kill(identity.pid, signal.SIGKILL)
    processes.end([identity for identity in killed if identity], seconds=5)

    again = controlplane.start(state, controlplane.Shape())

    assert (
        kubernetes.Kubectl(again.kubectl, again.kubeconfig).get("namespace", "kept")["metadata"]["name"]
        == "kept"
    )


def test_a_running_block_is_a_fresh_api_and_ends_with_its_block(tmp_path: Path) -> None:
    with controlplane.running(tmp_path) as plane:
        kubectl = kubernetes.Kubectl(plane.kubectl, plane.kubeconfig)
        assert "v1.35.4" in (plane.api.get("/version") or "")
        assert {one["metadata"]["name"] for one in kubectl.get("namespaces")["items"]} >= {
            "default",
            "kube-system",
        }

    assert processes.Processes(tmp_path).strays() == []
