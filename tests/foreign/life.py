"""The life of a model that somebody else's image serves and trains: the same for every such image.

Called by tests/cluster/test_own_images.py with a plain FastAPI server, and by test_mlserver.py with a real MLServer.
"""

import time
from typing import Any

import traffic
from trial.cluster import until
from trial.deployment import Model
from trial.models import World

WINDOW = 20
"""Seconds that a retraining looks back on."""
OUTCOMES = {
    "correct": "predictions_correct_total",
    "total": "predictions_labelled_total",
    "rollout": "rollout",
}


def spec(
    model: Model, template: dict[str, Any], metrics: dict[str, Any], trainer: dict[str, Any]
) -> dict[str, Any]:
    """Parts of a spec with quick times."""
    return {
        "serving": {
            "gateway": {
                "parentRef": {
                    "name": model.cluster.told["gateway_name"],
                    "namespace": model.cluster.told["gateway_namespace"],
                },
                "hostnames": [model.host],
            },
            "resources": {"cpu": "50m", "memory": "768Mi"},
            "template": template,
        },
        "monitoring": {
            "interval": "2s",
            "signals": [
                {
                    "name": "accuracy",
                    "minimum": 0.85,
                    "minLabels": 100,
                    "falseAlarmEvery": "1h",
                    "window": "30s",
                }
            ],
            "metrics": metrics,
        },
        "retraining": {
            "cooldown": "3s",
            "approval": "Manual",
            "budget": {"attempts": 10, "per": "1h"},
            "data": {"log": {"window": f"{WINDOW}s", "retention": "1h"}},
            "trainer": {"cpu": "100m", "memory": "768Mi", "deadline": "3m", "template": trainer},
        },
        "rollout": {
            "steps": [{"weight": 50}],
            "analysis": {"minLabels": 100, "margin": 0.05, "deadline": "4m"},
            "guards": {"p99Latency": "5s"},
            "bake": "3s",
        },
    }


def lives(model: Model, worse: str, rate: float) -> None:
    """Breach, retraining, canary, promotion; then a person's worse artifact, rolled back. No request fails."""
    model.until_serving(120)
    first, world = f"{model.name}-v1", World()
    with traffic.flowing(model.traffic(world, rate)) as stream:
        model.until(
            "a healthy verdict",
            lambda status: [s for s in status.get("signals", []) if s["verdict"] == "OK"],
            60,
        )
        world.moved, moved_at, told = True, time.monotonic(), stream.labelled
        pending = model.until("a breach", lambda status: status.get("retraining", {}).get("pending"), 90)
        # A person waits until the log is of the new world: who learns from both is rejected, and that takes a minute.
        until(
            "labels of the new world alone in the window",
            lambda: time.monotonic() > moved_at + WINDOW and stream.labelled > told + 300,
            90,
            lambda: stream.labelled - told,
        )
        model.annotate(f"modelmend.dev/approve={pending['token']}")
        candidate = model.until(
            "canary",
            lambda status: status.get("stage") == "Canary" and status["candidate"],
            180,
        )
        assert candidate["arm"] == "canary"
        model.until("promotion", lambda status: status["stable"]["version"] != first, 120)
        model.until(
            "the end of the bake", lambda status: status.get("stage") in ("CoolingDown", "Serving"), 60
        )
        healed = model.status()["stable"]["version"]
        model.patch({"model": {"uri": worse}})
        refusal = model.until("a refusal", lambda status: status.get("refusal"), 180)
        model.until("the candidate gone", lambda status: status.get("candidate") is None, 60)
        assert model.status()["stable"]["version"] == healed
        model.until(
            "a healthy verdict of the new version",
            lambda status: [s for s in status.get("signals", []) if s["verdict"] == "OK"],
            60,
        )
    assert refusal["reason"] == "RolloutRejected"
    assert "the candidate is worse than the champion: wrong" in refusal["message"]
    assert stream.failures == [], stream.failures[:5]
    versions = {version["metadata"]["name"]: version for version in model.versions()}
    told = versions[healed]["status"]["evidence"]
    assert told["verdict"] == "NotWorse"
    assert told["split"]["candidateLabels"] >= 300
    assert told["split"]["championLabels"] >= 300
    assert versions[healed]["spec"]["trigger"] == "Breach"
    assert versions[healed]["spec"]["parent"]["version"] in versions
    assert [each["status"]["state"] for each in versions.values()][-1] == "RolledBack"
    until(
        "only the new version's pods",
        lambda: {pod["metadata"]["labels"]["modelmend.dev/version"] for pod in model.servers()} == {healed},
        60,
    )
