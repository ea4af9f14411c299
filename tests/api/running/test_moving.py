"""Drift, with a real API server: told apart from harm, kept through a restart, and no reason to retrain."""

import pytest

from api.apiserver import Object
from api.running.conftest import World

pytestmark = pytest.mark.api

REFERENCE = {"low": 500, "high": 500}


def signal(world: World, name: str) -> Object:
    """What the status says of a signal."""
    found = [each for each in world.status().get("signals", ()) if each["name"] == name]
    return found[0] if found else {}


def test_inputs_that_move_are_told_and_survive_a_restart_and_retrain_nothing(world: World) -> None:
    accuracy = {"name": "accuracy", "minimum": 0.85, "minLabels": 20, "falseAlarmEvery": "10m"}
    inputs = {"name": "inputs", "type": "FeatureDrift", "window": "10s", "falseAlarmEvery": "1h"}
    status = world.installed(monitoring={"interval": "1s", "signals": [accuracy, inputs]})
    rollout = status["stable"]["rollout"]
    place = (world.namespace, "flights", rollout)
    assert "its first window has not begun" in signal(world, "inputs")["because"]
    world.until_polled()  # Labels of the poll in which a version begins to serve are not judged.

    world.prometheus.labels(world.namespace, "flights", "flights-v1", rollout, right=190, wrong=10)
    world.prometheus.window(place, "wind", REFERENCE, low=900, high=100)
    world.until("drift is seen", lambda: signal(world, "inputs").get("verdict") == "Breached")
    world.until("accuracy is seen", lambda: signal(world, "accuracy").get("verdict") == "OK")
    found = signal(world, "inputs")
    assert (found["drifted"], found["type"], found["n"]) == (["wind"], "FeatureDrift", 1000)
    assert found["because"].startswith("1 of 1 feature drifted: wind PSI")
    assert world.condition("Healthy")["reason"] == "Drifted"
    assert world.condition("Ready")["status"] == "True"
    assert world.status()["stage"] == "Serving"

    world.operator.stop()
    world.operator.start()
    world.until_polled()
    world.until("it is known again", lambda: signal(world, "inputs").get("verdict") == "Breached")
    assert signal(world, "inputs")["drifted"] == ["wind"]

    world.prometheus.window(place, "wind", REFERENCE, low=500, high=500)
    world.until("it is over", lambda: signal(world, "inputs").get("verdict") == "OK")
    assert "drifted" not in signal(world, "inputs") or not signal(world, "inputs")["drifted"]
    world.until("Healthy again", lambda: world.condition("Healthy").get("status") == "True")
    assert world.jobs() == []
    events = {event["reason"] for event in world.api.objects("events.k8s.io/v1", "Event", world.namespace)}
    assert {"DriftDetected", "DriftEnded"} <= events
    assert "SignalBreached" not in events
