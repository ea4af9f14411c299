"""A model's life, with a real API server and controller manager: installed, served, idle, healed."""

import time

import pytest

from api.running.conftest import DIGEST, OTHER, World, artifact

pytestmark = pytest.mark.api


def test_model_is_installed_and_serves(world: World) -> None:
    status = world.installed()

    assert status["stable"]["version"] == "flights-v1"
    assert status["stable"]["digest"] == DIGEST
    assert world.backends() == [("flights-v1", 8080, 100)]
    assert (
        world.child("v1", "Service", "flights")["spec"]["selector"]["modelmend.dev/version"] == "flights-v1"
    )
    assert world.until("the resolve Job is gone", lambda: world.jobs() == []) is True


def test_idle_model_costs_no_write(world: World) -> None:
    world.installed()
    world.until("the resolve Job is gone", lambda: not world.jobs())
    before = world.until("nothing changes for two seconds", lambda: _settled(world))

    for key in range(3):  # Edits that mean nothing: each brings a look, and two at once would share one.
        looks = world.operator.metric('modelmend_operator_reconcile_total{result="ok"}')
        world.api.merge(world.flights(), {"metadata": {"annotations": {"example.com/touched": str(key)}}})
        world.until(
            "one more look",
            lambda seen=looks: (
                world.operator.metric('modelmend_operator_reconcile_total{result="ok"}') > seen
            ),
        )
    after = world.until("nothing changes for two seconds again", lambda: _settled(world))

    flights = "ModelDeployment/flights"
    assert {name: after[name] for name in after if name != flights} == {
        name: before[name] for name in before if name != flights
    }
    assert world.flights()["metadata"]["generation"] == 1


def _settled(world: World) -> dict[str, str]:
    first = world.versions_of_everything()
    time.sleep(2)
    return first if world.versions_of_everything() == first else {}


def test_champion_that_fails_is_healed_by_a_promoted_candidate(world: World) -> None:
    status = world.installed(
        monitoring={
            "interval": "1s",
            "signals": [{"name": "accuracy", "minimum": 0.85, "minLabels": 20, "falseAlarmEvery": "1m"}],
        },
        retraining={"cooldown": "1s"},
        rollout={"steps": [{"weight": 50}], "bake": "2s", "analysis": {"minLabels": 20, "margin": 0.05}},
    )
    world.node.results["retrain"] = artifact(OTHER, evaluation={"a": 5, "b": 60, "c": 935}, parent=DIGEST)
    rollout = status["stable"]["rollout"]

    def breached() -> bool:
        world.prometheus.labels(world.namespace, "flights", "flights-v1", rollout, right=5, wrong=15)
        return world.status().get("stage") not in ("Serving", None)

    world.until("accuracy is seen to fall", breached)
    candidate = world.until("a candidate is tried", lambda: world.status().get("candidate") or None)
    world.until_stage("Shadow")
    assert candidate["digest"] == OTHER
    rollout = candidate["rollout"]

    def promoted() -> bool:
        world.prometheus.pairs(
            world.namespace, "flights", "flights-v2", rollout, both_right=80, champion_only_wrong=20
        )
        world.prometheus.requests(world.namespace, "flights", "flights-v2", rollout, 100)
        return world.status().get("stable", {}).get("version") == "flights-v2"

    world.until("the candidate is promoted", promoted, seconds=180)
    world.until("the bake is over", lambda: world.backends() == [("flights-v2", 8080, 100)], seconds=180)
    world.until("the old pods are gone", lambda: world.deployment("flights-v1") is None)
    assert world.condition("Ready")["status"] == "True"
