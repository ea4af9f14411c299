"""A model without a gateway, with a real API server: one Service, whose pods make the shares, and no route."""

from typing import Any

import pytest

from api import objects
from api.apiserver import Object
from api.running.conftest import DIGEST, OTHER, World, artifact

pytestmark = pytest.mark.api

GATEWAY = objects.deployment()["spec"]["serving"]["gateway"]
QUICK: dict[str, Any] = {
    "monitoring": {
        "interval": "1s",
        "signals": [{"name": "accuracy", "minimum": 0.85, "minLabels": 20, "falseAlarmEvery": "1m"}],
    },
    "retraining": {"cooldown": "1s"},
    "rollout": {
        "shadow": {"traffic": 25},
        "steps": [{"weight": 50}],
        "bake": "2s",
        "analysis": {"minLabels": 20, "margin": 0.05},
    },
}


def front(world: World) -> tuple[str | None, int | str]:
    """The version that the Service is for (None: all), and the port that it asks of their pods."""
    found = (world.child("v1", "Service", "flights") or {})["spec"]
    return found["selector"].get("modelmend.dev/version"), found["ports"][0]["targetPort"]


def replicas(world: World) -> dict[str, int]:
    """Pods of each version, as its Deployment wants them."""
    return {
        each["metadata"]["name"]: each["spec"]["replicas"]
        for each in world.api.objects("apps/v1", "Deployment", world.namespace)
    }


def tried(world: World, **evaluation: Any) -> Object:
    """A candidate that a person asks for, in its shadow."""
    world.node.results["retrain"] = artifact(OTHER, evaluation={"a": 5, "b": 60, "c": 935}, parent=DIGEST)
    asked = {"modelmend.dev/retrain-requested-at": "now"}
    world.api.merge(world.flights(), {"metadata": {"annotations": asked}})
    world.until_stage("Shadow")
    found: Object = world.status()["candidate"]
    return found


def test_model_is_healed_by_numbers_of_pods_and_never_has_a_route(world: World) -> None:
    world.installed(serving={"replicas": 2}, **QUICK)
    assert front(world) == ("flights-v1", "solo")
    assert world.status()["url"] == f"http://flights.{world.namespace}.svc/v2/models/flights"
    assert "warning" not in world.status()["split"]

    candidate = tried(world)
    world.until("the pods of its share", lambda: replicas(world) == {"flights-v1": 3, "flights-v2": 1})
    # The candidate's shadow port, on which the champion's pods answer alone.
    world.until("one Service for both", lambda: front(world) == (None, 8083))
    world.until("the share is shown", lambda: world.status()["candidate"]["weight"] == 25)

    def pairs() -> None:
        place = (world.namespace, "flights", "flights-v2", candidate["rollout"])
        world.prometheus.pairs(*place, both_right=80, champion_only_wrong=20)
        world.prometheus.requests(*place, 100)

    def arrived(version: str | None, port: int | str) -> bool:
        pairs()
        return front(world) == (version, port)

    world.until("canary", lambda: arrived(None, 8084), seconds=120)
    world.until("the bake", lambda: arrived("flights-v2", "canary"), seconds=120)
    world.until("its end", lambda: front(world) == ("flights-v2", "solo"), seconds=120)
    world.until("the old pods are gone", lambda: replicas(world) == {"flights-v2": 2})
    assert world.condition("Ready")["status"] == "True"
    assert world.route() is None


def test_worse_candidate_leaves_the_service_before_its_pods_go(world: World) -> None:
    world.installed(serving={"replicas": 2}, **QUICK)
    candidate = tried(world)
    world.until("one Service for both", lambda: front(world) == (None, 8083))
    place = (world.namespace, "flights", "flights-v2", candidate["rollout"])

    def back() -> bool:
        world.prometheus.pairs(*place, both_right=80, candidate_only_wrong=20)
        return world.status().get("candidate") is None

    world.until("the candidate is gone", back, seconds=120)
    assert front(world) == ("flights-v1", "solo")
    world.until("its pods are gone", lambda: replicas(world) == {"flights-v1": 2})


def test_gateway_may_come_and_go_while_a_model_lives(world: World) -> None:
    world.installed(serving={"replicas": 2}, **QUICK)
    tried(world)
    world.until("one Service for both", lambda: front(world) == (None, 8083))

    world.apply(serving={"replicas": 2, "gateway": GATEWAY}, **QUICK)
    both = [("flights-v1", 8080, 75), ("flights-v2", 8081, 25)]
    world.until("a route with its weights", lambda: world.route() and world.backends() == both)
    world.until("the Service follows the champion", lambda: front(world) == ("flights-v1", "solo"))
    assert "split" not in world.status()

    world.apply(serving={"replicas": 2}, **QUICK)
    world.until("no route", lambda: world.route() is None)
    world.until("one Service for both again", lambda: front(world) == (None, 8083))
    world.until("Reconciling is over", lambda: not world.condition("Reconciling"))
    assert world.condition("Ready")["status"] == "True"


def test_share_out_of_reach_is_warned_of_before_there_is_a_candidate(world: World) -> None:
    world.installed(serving={"replicas": 2})

    warning = world.status()["split"]["warning"]
    assert "25 % instead of 10 %: serving.replicas of 4 or more comes near" in warning
    events = {
        event["reason"]: event for event in world.api.objects("events.k8s.io/v1", "Event", world.namespace)
    }
    assert events["ShareOutOfReach"]["note"] == warning


def test_route_of_a_person_with_the_models_name_is_left_alone(world: World) -> None:
    theirs = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "flights", "namespace": world.namespace},
        "spec": {"rules": [{"backendRefs": [{"name": "flights", "port": 80}]}]},
    }
    made = world.api.create(theirs)
    world.installed(serving={"replicas": 1})

    assert (world.route() or {})["metadata"]["uid"] == made["metadata"]["uid"]
    assert world.condition("Ready")["status"] == "True"
