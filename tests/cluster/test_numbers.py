"""A model that predicts numbers on a real node: real flights, a drift that nobody made, and the whole loop."""

from typing import Any

import pytest

import traffic
from trial import speeds
from trial.cluster import until
from trial.deployment import Model

pytestmark = pytest.mark.cluster


def test_model_of_real_speeds_that_drifts_is_healed_by_its_mean_error(model: Model) -> None:
    times = {"falseAlarmEvery": "10m", "window": "15s", "minLabels": 100}
    error = {"name": "error", "type": "MAE", "maximum": 28, **times}
    near = {"name": "near", "type": "Accuracy", "minimum": 0.7, "action": "Alert", **times}
    squares = {"name": "squares", "type": "RMSE", "maximum": 36, "action": "Alert", **times}
    model.apply(
        model={"uri": "pvc://storage/speeds"},
        monitoring={"interval": "1s", "signals": [error, near, squares]},
        evaluation={"tolerance": speeds.TOLERANCE},
        retraining={
            "cooldown": "5s",
            "budget": {"attempts": 10, "per": "1h"},
            "data": {"log": {"window": "20s", "retention": "1h"}},
            "trainer": {"cpu": "100m", "memory": "768Mi", "deadline": "3m"},
        },
    )
    model.until_serving()
    world = speeds.World()

    def verdicts(status: Any) -> dict[str, str]:
        return {signal["name"]: signal["verdict"] for signal in status.get("signals", [])}

    with traffic.flowing(model.traffic(world, rate=60)) as stream:
        healthy = {"error": "OK", "near": "OK", "squares": "OK"}
        model.until("healthy verdicts", lambda status: verdicts(status) == healthy, 60)
        world.moved = True
        running = model.until("a retraining", lambda status: status.get("retraining", {}).get("running"), 90)
        assert running["trigger"] == "Breach"
        assert "MAE (errors counted up to 400)" in running["because"]
        breached = dict.fromkeys(healthy, "Breached")
        model.until("the other breaches", lambda status: verdicts(status) == breached, 60)
        promoted = model.until(
            "promotion", lambda status: status["stable"]["version"] != f"{model.name}-v1" and status, 240
        )
        # Perhaps by a second healing: the first candidate may have learnt from winter and September.
        model.until("healthy verdicts of September", lambda status: verdicts(status) == healthy, 180)
    assert stream.failures == []
    versions = {version["metadata"]["name"]: version for version in model.versions()}
    first, healed = versions[f"{model.name}-v1"]["spec"], versions[promoted["stable"]["version"]]["spec"]
    assert (first["task"], healed["task"]) == ("Regression", "Regression")
    # Against the same truths of September, which neither had seen: the winter's model, and its successor.
    assert healed["metrics"]["accuracy"] > healed["metrics"]["champion_accuracy"] + 0.1
    assert healed["metrics"]["tolerance"] == speeds.TOLERANCE
    assert healed["evaluation"]["b"] > healed["evaluation"]["a"]
    until("labels", lambda: stream.labelled > 500, 10)
