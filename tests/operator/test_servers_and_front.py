"""Deployments, Services and the HTTPRoute as facts."""

import copy
import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from modelmend.api import resources
from modelmend.contract import arms
from modelmend.decide import observed
from modelmend.observe import cluster, front, servers
from modelmend.render import deployment, route, service

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OWNER = resources.ModelDeployment.parse(
    {
        "metadata": {"name": "flights", "namespace": "ml", "uid": "12345678-0000"},
        "spec": {
            "model": {"uri": "s3://models/flights/v0"},
            "storage": {"uri": "s3://ml/flights"},
            "serving": {
                "gateway": {
                    "parentRef": {"name": "public", "namespace": "infra"},
                    "hostnames": ["flights.example.com"],
                }
            },
        },
    }
)
SERVER = deployment.Server(
    "flights-v1", "12345678-1", "s3://m/v0", "sha256:" + "a" * 64, "runtime:1", 2, "hash"
)
Object = dict[str, Any]
FULL = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2}


def live(manifest: Object, *, version: int = 1, generation: int = 1, status: Object | None = None) -> Object:
    """A manifest as the API server keeps it."""
    made = copy.deepcopy(manifest)
    made["metadata"] |= {
        "uid": made["metadata"]["name"] + made["kind"],
        "resourceVersion": str(version),
        "generation": generation,
    }
    return made | {"status": status or {}}


def seen(*found: Object) -> cluster.Cluster:
    """A registry with these."""
    made = cluster.Cluster()
    for each in found:
        made.put(each)
    return made


def served(status: Object | None = None, *, replicas: int = 2, **more: Any) -> Object:
    """The Deployment."""
    manifest = deployment.manifest(OWNER, SERVER)
    return live(deployment.scaled(manifest, replicas), status=FULL if status is None else status, **more)


def only(*found: Object) -> observed.Server:
    """The one server."""
    (made,) = servers.servers(seen(*found), OWNER)
    return made


SERVICE = live(service.of_version(OWNER, "flights-v1"))


def test_server_that_is_as_it_should_be() -> None:
    assert only(served(), SERVICE) == observed.Server("flights-v1", "12345678-1", "hash", replicas=2, ready=2)


def test_pods_that_load_a_champion_beside_their_own_model_name_it() -> None:
    champion = deployment.Champion("flights-v0", "12345678-0", "s3://m/old", "sha256:" + "b" * 64)
    made = live(deployment.manifest(OWNER, dataclasses.replace(SERVER, champion=champion)), status=FULL)

    assert only(made, SERVICE).champion == "flights-v0"


@pytest.mark.parametrize(
    ("status", "ready", "settled"),
    [
        ({}, 0, False),
        ({**FULL, "readyReplicas": 1}, 1, True),
        # A surge: one old pod beside two new ones. Any of the ready ones may be the old one.
        ({**FULL, "replicas": 3, "readyReplicas": 3}, 2, False),
        ({**FULL, "replicas": 3, "updatedReplicas": 1, "readyReplicas": 2}, 0, False),
        ({**FULL, "replicas": 5, "updatedReplicas": 5, "readyReplicas": 5}, 5, False),
    ],
)
def test_ready_pods_are_counted_only_when_they_are_surely_of_the_present_template(
    status: Object, ready: int, settled: bool
) -> None:
    found = only(served(status), SERVICE)

    assert (found.ready, found.settled) == (ready, settled)


def test_scaling_keeps_the_ready_pods_and_a_new_template_has_none_yet() -> None:
    registry = seen(served(), SERVICE)
    registry.put(served(replicas=3, version=2, generation=2))
    (scaled,) = servers.servers(registry, OWNER)
    changed = served(version=3, generation=3)
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = "runtime:2"
    registry.put(changed)
    (new,) = servers.servers(registry, OWNER)

    assert (scaled.replicas, scaled.ready, scaled.settled) == (3, 2, False)
    assert (new.ready, new.settled) == (0, False)


def test_server_whose_service_is_gone_or_changed_is_drifted() -> None:
    changed = copy.deepcopy(SERVICE)
    changed["spec"]["ports"][0]["port"] = 1

    assert only(served()).drifted
    assert only(served(), changed).drifted


def test_pods_that_are_refused_or_crash_are_the_servers_trouble() -> None:
    refused = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: pods"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **live(deployment.manifest(OWNER, SERVER))["metadata"],
            "name": "flights-v1-x",
            "uid": "pod",
            "ownerReferences": [],
        },
        "status": {
            "containerStatuses": [
                {
                    "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                    "lastState": {"terminated": {"exitCode": 1, "message": "manifest.json:\n no such key"}},
                }
            ]
        },
    }

    assert "exceeded quota" in str(only(served({**FULL, "conditions": [refused]}), SERVICE).trouble)
    assert (
        only(served(), SERVICE, pod).trouble
        == "pod flights-v1-x exited with code 1: manifest.json: no such key, again and again"
    )


def test_deployment_of_somebody_else_or_on_its_way_out_is_no_server() -> None:
    foreign, going = served(), served()
    foreign["metadata"]["ownerReferences"][0]["uid"] = "other"
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"

    assert servers.servers(seen(foreign), OWNER) == ()
    assert servers.servers(seen(going), OWNER) == ()


BACKENDS = [route.Backend("flights-v1", arms.Arm.SOLO, 90), route.Backend("flights-v2", arms.Arm.CANARY, 10)]


def routed(
    *conditions: tuple[str, str, int], parent: str = "public", generation: int = 1, version: int = 1
) -> Object:
    """The route, with what a Gateway says of it."""
    said = [
        {
            "type": kind,
            "status": status,
            "observedGeneration": at,
            "reason": "NoMatchingParent",
            "message": "no listener",
        }
        for kind, status, at in conditions
    ]
    status = {"parents": [{"parentRef": {"name": parent, "namespace": "infra"}, "conditions": said}]}
    return live(
        route.manifest(OWNER, BACKENDS, "hash"), status=status, generation=generation, version=version
    )


TAKEN = (("Accepted", "True", 1), ("ResolvedRefs", "True", 1))


def test_front_that_is_as_it_should_be() -> None:
    found = front.Fronts().front(
        seen(routed(*TAKEN), live(service.front(OWNER, "flights-v1", "solo"))), OWNER, (), True, NOW
    )

    assert found == observed.Front(
        key=True,
        service="flights-v1",
        backends=(
            observed.Backend("flights-v1", arms.Arm.SOLO, 90),
            observed.Backend("flights-v2", arms.Arm.CANARY, 10),
        ),
        inputs="hash",
        accepted=True,
        settled_since=NOW,
    )


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ((), "Gateway infra/public has not accepted the route yet"),
        ((("Accepted", "True", 1),), "Gateway infra/public has not accepted the route yet"),
        (
            (("Accepted", "True", 1), ("ResolvedRefs", "True", 0)),
            "Gateway infra/public has not accepted the route yet",
        ),
        (
            (("Accepted", "False", 1), ("ResolvedRefs", "True", 1)),
            "Gateway infra/public says Accepted=False (NoMatchingParent): no listener",
        ),
    ],
)
def test_route_that_is_not_accepted_says_what_the_gateway_says(
    conditions: tuple[tuple[str, str, int], ...], message: str
) -> None:
    found = front.Fronts().front(seen(routed(*conditions)), OWNER, (), False, NOW)

    assert (found.accepted, found.message, found.settled_since) == (False, message, None)


def test_word_of_another_gateway_does_not_count() -> None:
    assert not front.Fronts().front(seen(routed(*TAKEN, parent="private")), OWNER, (), False, NOW).accepted


def test_backends_are_settled_since_they_were_first_seen_accepted_and_anew_when_they_change() -> None:
    fronts, registry = front.Fronts(), seen(routed(*TAKEN))
    later = NOW + timedelta(seconds=9)

    assert fronts.front(registry, OWNER, (), False, NOW).settled_since == NOW
    assert fronts.front(registry, OWNER, (), False, later).settled_since == NOW
    moved = live(
        route.manifest(OWNER, [route.Backend("flights-v1", arms.Arm.SOLO, 100)], "hash"),
        version=2,
        status=routed(*TAKEN)["status"],
    )
    registry.put(moved)
    assert fronts.front(registry, OWNER, (), False, later).settled_since == later


def test_weights_that_somebody_set_are_seen_as_they_are_and_as_drift() -> None:
    hacked = routed(*TAKEN)
    hacked["spec"]["rules"][0]["backendRefs"] = [
        {"name": "flights-v1", "port": 8080},
        {"name": "mine", "port": 80},
    ]

    found = front.Fronts().front(seen(hacked), OWNER, (), False, NOW)

    assert found.backends == (observed.Backend("flights-v1", arms.Arm.SOLO, 1),)
    assert found.drifted


@pytest.mark.parametrize("parents", [None, []])
def test_route_without_its_gateway_is_drifted_and_no_defect(parents: Any) -> None:
    """Whatever somebody did to it by hand, it must be put back."""
    made = live(route.manifest(OWNER, [route.Backend("flights-v1", arms.Arm.SOLO, 100)], "hash"))
    if parents is None:
        del made["spec"]["parentRefs"]
    else:
        made["spec"]["parentRefs"] = parents

    found = front.Fronts().front(seen(made), OWNER, (), True, NOW)
    assert found.drifted
    assert not found.accepted
    assert "Gateway" in str(found.message)


# Without a gateway.

BARE = OWNER.model_copy(
    update={
        "spec": OWNER.spec.model_copy(
            update={"serving": OWNER.spec.serving.model_copy(update={"gateway": None})}
        )
    }
)
ONE, TWO = (
    observed.Server("flights-v1", "12345678-1", "hash", replicas=9, ready=9),
    observed.Server("flights-v2", "12345678-2", "hash", replicas=1, ready=1, side=arms.Side.RIGHT),
)


def reached(
    service_port: int | str, version: str | None, *pods: observed.Server, **more: Any
) -> observed.Front:
    """What a front Service amounts to."""
    made = live(service.front(BARE, version, service_port))
    made["spec"] |= more
    return front.Fronts().front(seen(made), BARE, pods, True, NOW)


def test_service_of_one_version_sends_it_everything_on_the_arm_it_names() -> None:
    assert reached("solo", "flights-v1", ONE) == observed.Front(
        key=True,
        service="flights-v1",
        backends=(observed.Backend("flights-v1", arms.Arm.SOLO, 100),),
        accepted=True,
    )
    assert reached("canary", "flights-v2", TWO).backends == (
        observed.Backend("flights-v2", arms.Arm.CANARY, 100),
    )


@pytest.mark.parametrize(("port", "arm"), [(8083, arms.Arm.SHADOW), (8084, arms.Arm.CANARY)])
def test_service_of_all_versions_is_weighed_by_ready_pods_and_means_another_arm_to_each_side(
    port: int, arm: arms.Arm
) -> None:
    found = reached(port, None, TWO, ONE)

    assert (found.service, found.shared, found.accepted, found.drifted) == (None, True, True, False)
    assert found.backends == (
        observed.Backend("flights-v1", arms.Arm.SOLO, 90),
        observed.Backend("flights-v2", arm, 10),
    )


def test_only_ready_pods_count_and_percents_add_up() -> None:
    down = dataclasses.replace(TWO, ready=0)
    assert reached(8084, None, down, ONE).backends == (observed.Backend("flights-v1", arms.Arm.SOLO, 100),)
    many = dataclasses.replace(ONE, ready=500)
    assert [backend.weight for backend in reached(8084, None, TWO, many).backends or ()] == [99, 1]
    third = dataclasses.replace(ONE, version="flights-v3", ready=3)
    assert sum(backend.weight for backend in reached(8084, None, TWO, many, third).backends or ()) == 100


def test_service_that_somebody_took_to_pieces_is_drifted_and_no_defect() -> None:
    assert reached("solo", "flights-v1", ONE, ports=[]).drifted
    found = reached("solo", None, ONE, selector={}, ports=[{"name": "http", "port": 80}])
    assert (found.drifted, found.shared, found.backends) == (True, True, ())


def test_route_that_is_left_over_is_seen_by_its_inputs_and_a_missing_service_is_no_front() -> None:
    left = routed(*TAKEN)
    assert front.Fronts().front(seen(left), BARE, (), True, NOW) == observed.Front(key=True, inputs="hash")
    del left["metadata"]["annotations"]
    assert front.Fronts().front(seen(left), BARE, (), True, NOW).inputs == ""


def test_service_for_all_that_is_left_over_is_known_with_a_gateway_too() -> None:
    made = live(service.front(OWNER, None, 8084))
    found = front.Fronts().front(seen(made), OWNER, (ONE, TWO), True, NOW)
    assert (found.shared, found.service, found.backends) == (True, None, None)


def test_side_of_pods_is_what_they_are_told() -> None:
    made = live(deployment.manifest(OWNER, dataclasses.replace(SERVER, side=arms.Side.RIGHT)), status=FULL)
    assert only(made, SERVICE).side is arms.Side.RIGHT
    (container,) = made["spec"]["template"]["spec"]["containers"]
    container["env"] = [{"name": "MODELMEND_SIDE", "value": "up"}]
    assert only(made, SERVICE).side is arms.Side.LEFT
