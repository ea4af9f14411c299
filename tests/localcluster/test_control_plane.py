"""The API alone: up and down as often as one likes, after a kill too, without root."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcluster import audit, commands, controlplane, kubernetes, processes

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


def test_every_write_of_the_operator_is_recorded_and_nothing_else(state: Path) -> None:
    plane = controlplane.start(state, controlplane.Shape())
    kubectl = kubernetes.Kubectl(plane.kubectl, plane.kubeconfig)
    where = f"--namespace={audit.OPERATOR_NAMESPACE}"
    kubectl("create", "namespace", audit.OPERATOR_NAMESPACE, purpose="make a namespace")
    kubectl("create", "serviceaccount", "operator", where, purpose="make an account")
    token = kubectl("create", "token", "operator", where, purpose="make a token").strip()
    who = f"--serviceaccount={audit.OPERATOR_NAMESPACE}:operator"
    verbs = "--verb=create,delete,list"
    kubectl("create", "role", "writes", verbs, "--resource=configmaps", where, purpose="make a role")
    kubectl("create", "rolebinding", "writes", "--role=writes", who, where, purpose="let it write")
    before = time.time()
    as_operator = [
        *(plane.kubectl, "--kubeconfig=/dev/null", f"--server={plane.server}"),
        *(f"--certificate-authority={plane.keys.ca}", f"--token={token}", where),
    ]

    for words in (("create", "configmap", "kept"), ("get", "configmaps"), ("delete", "configmap", "kept")):
        commands.run([*as_operator, *words], purpose="act as the operator")
    refused = commands.succeeds([*as_operator, "create", "namespace", "forbidden"])
    kubectl("create", "configmap", "not-its-own", where, purpose="write as somebody else")

    assert not refused
    assert [
        (write.verb, write.resource, write.name, write.code)
        for write in audit.writes(plane.state / "log" / audit.LOG, before)
    ] == [
        ("create", "configmaps", "kept", 201),
        ("delete", "configmaps", "kept", 200),
        ("create", "namespaces", "", 403),  # a refused POST has not said its name yet
    ]
    assert audit.writes(plane.state / "log" / audit.LOG, time.time()) == []


def test_a_running_block_is_a_fresh_api_and_ends_with_its_block(tmp_path: Path) -> None:
    with controlplane.running(tmp_path) as plane:
        kubectl = kubernetes.Kubectl(plane.kubectl, plane.kubeconfig)
        assert "v1.35.4" in (plane.api.get("/version") or "")
        assert {one["metadata"]["name"] for one in kubectl.get("namespaces")["items"]} >= {
            "default",
            "kube-system",
        }

    assert processes.Processes(tmp_path).strays() == []
