"""A first version that a trainer of one's own makes, for a server of one's own: nothing is packed, nothing of ours runs."""

from typing import Any

import pytest

from api.running.conftest import World, artifact

pytestmark = pytest.mark.api

SERVER, TRAINER = "registry.example.com/churn/server:1", "registry.example.com/churn/trainer:1"
SPEC: dict[str, Any] = {
    "model": {},
    "serving": {
        "gateway": {"parentRef": {"name": "public"}, "hostnames": ["flights.example.com"]},
        "template": {"image": SERVER, "port": 9000, "readyPath": "/ready"},
    },
    "monitoring": {
        "interval": "1s",
        "metrics": {
            "requests": {"name": "http_requests_total", "code": "status"},
            "outcomes": {"correct": "right_total", "total": "labelled_total", "rollout": "rollout"},
        },
        "signals": [{"name": "accuracy", "minimum": 0.85}],
    },
    "retraining": {
        "cooldown": "1s",
        "data": {"dataset": {"uri": "s3://ml/flights.parquet", "label": "late", "time": "at"}},
        "trainer": {"template": {"image": TRAINER, "command": ["python", "train.py"]}},
    },
}


def test_first_version_is_made_and_served_by_images_of_ones_own(world: World) -> None:
    world.operator.start()
    world.apply(**SPEC)

    (job,) = world.until("a Job", lambda: world.api.objects("batch/v1", "Job", world.namespace))
    (container,) = job["spec"]["template"]["spec"]["containers"]
    told = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert container["image"] == TRAINER
    assert told["MODELMEND_DATA_URI"] == "s3://ml/flights.parquet"
    assert not [name for name in told if name.startswith("MODELMEND_PARENT")]
    assert world.deployment() is None
    assert world.condition("Ready")["status"] == "False"

    world.node.results["retrain"] = artifact(evaluation={"a": 20, "b": 180, "c": 800})
    serving = world.until_serving()

    deployment = world.deployment()
    assert deployment is not None
    (server,) = deployment["spec"]["template"]["spec"]["containers"]
    assert server["image"] == SERVER
    assert [port["containerPort"] for port in server["ports"]] == [9000]
    assert world.backends() == [("flights-v1", 8080, 100)]
    version = world.child("modelmend.dev/v1alpha1", "ModelVersion", serving["stable"]["version"])
    assert version is not None
    assert version["spec"]["trigger"] == "First"


def test_first_version_that_a_constant_could_replace_is_not_served(world: World) -> None:
    world.node.results["retrain"] = artifact(evaluation={"a": 90, "b": 95, "c": 815})
    world.operator.start()
    world.apply(**SPEC)

    ready = world.until(
        "it is refused",
        lambda: (found := world.condition("Ready")).get("reason") == "FirstTrainingFailed" and found,
    )

    assert "is not proven better than always answering the most frequent class" in ready["message"]
    assert world.deployment() is None
