"""Faults on the real node, named by what goes wrong: nothing is lost, and one sentence says what happened."""

import contextlib
import os
import signal
from collections.abc import Iterator

import pytest

import traffic
from cluster.conftest import NAMESPACE
from localcluster import processes, settings
from trial.cluster import OPERATOR, Cluster, until
from trial.deployment import Model
from trial.models import World

pytestmark = pytest.mark.cluster


def kill_operator(cluster: Cluster) -> None:
    """SIGKILL, as the out-of-memory killer would."""
    for pod in cluster.operator_pods():
        cluster.kubectl(
            "-n", OPERATOR, "delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force"
        )


def operator_is_ready(cluster: Cluster) -> bool:
    pods = cluster.operator_pods()
    return bool(pods) and all(
        condition["status"] == "True"
        for pod in pods
        for condition in pod["status"].get("conditions", [])
        if condition["type"] == "Ready"
    )


@contextlib.contextmanager
def prometheus_frozen() -> Iterator[None]:
    """It accepts connections and answers nothing: the slowest way to be gone."""
    found = processes.Processes(settings.from_environment().state).running("prometheus")
    assert found is not None, "the local cluster has no Prometheus of its own"
    os.kill(found.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(found.pid, signal.SIGCONT)


@pytest.mark.alone
def test_operator_dies_mid_canary_and_goes_on_once(model: Model, cluster: Cluster) -> None:
    model.apply()
    model.until_serving()
    world = World()
    world.moved = True
    with traffic.flowing(model.traffic(world)) as stream:
        model.until("canary", lambda status: status.get("stage") == "Canary", 240)
        kill_operator(cluster)
        candidate = model.status()["candidate"]["version"]
        model.until("promotion", lambda status: status["stable"]["version"] == candidate, 180)
    assert stream.failures == []
    numbers = [version["spec"]["number"] for version in model.versions()]
    assert numbers == list(range(1, len(numbers) + 1))
    jobs = cluster.get("-n", NAMESPACE, "get", "jobs", "-l", f"app.kubernetes.io/instance={model.name}")[
        "items"
    ]
    assert len(jobs) <= 1
    until("the operator", lambda: operator_is_ready(cluster), 60)


@pytest.mark.alone
def test_prometheus_that_is_gone_is_unknown_and_nothing_is_retrained(model: Model, cluster: Cluster) -> None:
    model.apply()
    model.until_serving()
    world = World()
    with traffic.flowing(model.traffic(world)):
        model.until("OK", lambda status: [s for s in status.get("signals", []) if s["verdict"] == "OK"], 90)
        with prometheus_frozen():
            world.moved = True
            model.until(
                "Unknown",
                lambda status: [s for s in status.get("signals", []) if s["verdict"] == "Unknown"],
                120,
            )
            assert model.status()["stage"] == "Serving"
            assert "Prometheus" in model.status()["because"] + model.status()["signals"][0]["because"]
            assert model.condition("Ready")["status"] == "True"
        model.until(
            "the breach once Prometheus is back", lambda status: status.get("stage") == "Retraining", 120
        )


def test_restarted_pods_lose_no_label_and_count_none_twice(model: Model, cluster: Cluster) -> None:
    model.apply()
    model.until_serving()
    with traffic.flowing(model.traffic(World())) as stream:
        until("labels", lambda: stream.labelled > 200, 60)
        (pod,) = model.servers()
        cluster.kubectl("-n", NAMESPACE, "delete", "pod", pod["metadata"]["name"], "--wait=false")
        until(
            "more labels", lambda: stream.labelled > 600, 90, lambda: (stream.labelled, stream.failures[:3])
        )

    def counted() -> int:
        return int(model.status()["signals"][0]["n"])

    model.until("the count", lambda _: counted() > 0, 30)
    assert counted() <= stream.labelled * 1.01 + 10


def test_namesake_that_is_recreated_starts_from_nothing(model: Model, cluster: Cluster) -> None:
    model.apply()
    model.until_serving()
    first = model.body()["metadata"]["uid"]
    cluster.kubectl("-n", NAMESPACE, "delete", "modeldeployment", model.name, "--wait=true", "--timeout=60s")
    model.apply()
    model.until_serving()
    assert model.body()["metadata"]["uid"] != first
    owners = {
        reference["uid"]
        for version in model.versions()
        for reference in version["metadata"]["ownerReferences"]
    }
    until("the old children gone", lambda: first not in owners or not model.versions(), 60)
    assert model.status()["stable"]["version"] == f"{model.name}-v1"
