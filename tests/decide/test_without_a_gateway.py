"""Without a gateway: one Service before champion and candidate, whose numbers of pods make the shares."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from decide import modelworld, worlds
from modelmend.api.status import Phase, Stage
from modelmend.contract import arms
from modelmend.contract.arms import Arm, Side
from modelmend.decide import decide, observed, plan
from modelmend.decide.upkeep import front

FIVE = worlds.make_spec(
    serving={"replicas": 5, "gateway": None},
    retraining={"cooldown": "2m"},
    rollout={"bake": "1m", "steps": [{"weight": 10}, {"weight": 50}], "analysis": {"minLabels": 60}},
)
SILENT = modelworld.Traffic(pairs=0, candidate_only_wrong=0, champion_only_wrong=0)
GATEWAY = {"parentRef": {"name": "public", "namespace": "infra"}, "hostnames": [worlds.HOST]}


def failing(**fields: Any) -> modelworld.World:
    """Version 1 serves without a gateway, and fails."""
    world = modelworld.serving_world(spec=FIVE, **fields)
    world.behaviour["flights-v1"] = modelworld.Traffic(right=140, wrong=60)
    return world


def shifts(made: plan.Plan) -> list[plan.ShiftTraffic]:
    return worlds.actions(made, plan.ShiftTraffic)


def pods(world: modelworld.World) -> dict[str, int]:
    return {name: found.action.replicas for name, found in world.pods.items()}


def test_first_version_is_reached_by_the_service_alone() -> None:
    world = modelworld.serving_world(spec=FIVE)

    assert world.route is not None
    assert (world.route.service, world.route.inputs) == ("flights-v1", None)
    assert world.status.url == "http://flights.ml.svc/v2/models/flights"
    assert world.creates["HTTPRoute", "flights"] == 0
    held = world.condition("Ready")
    assert held is not None
    assert held.status == "True"


def test_share_grows_by_pods_from_shadow_to_promotion() -> None:
    seen: list[tuple[Any, ...]] = []

    def note(world: modelworld.World) -> None:
        candidate = world.status.candidate
        if candidate is not None:
            said = (candidate.phase, candidate.step, candidate.arm, candidate.weight, pods(world))
            if not seen or seen[-1] != said:
                seen.append(said)

    world = failing(on_rest=note)
    world.until(Stage.COOLING_DOWN)

    one, two = "flights-v1", "flights-v2"
    assert (Phase.SHADOW, 0, Arm.SHADOW, 20, {one: 8, two: 2}) in seen
    # The pods of the next share come first; only then the candidate answers for itself.
    assert (Phase.CANARY, 0, Arm.SHADOW, 18, {one: 9, two: 1}) not in seen
    assert (Phase.CANARY, 0, Arm.CANARY, 10, {one: 9, two: 1}) in seen
    assert (Phase.CANARY, 1, Arm.CANARY, 50, {one: 5, two: 5}) in seen
    assert (Phase.BAKING, 1, Arm.CANARY, 100, {one: 5, two: 5}) in seen
    assert world.status.stable is not None
    assert world.status.stable.version == two
    assert world.weights == {two: 100}
    world.run(timedelta(minutes=5))
    assert pods(world) == {two: 5}


def test_next_candidate_takes_the_other_side_of_a_champion_that_was_a_candidate_itself() -> None:
    world = failing()
    world.until(Stage.COOLING_DOWN)
    world.behaviour["flights-v2"] = modelworld.Traffic(right=140, wrong=60)
    world.until(Stage.SHADOW)

    assert world.pods["flights-v2"].action.champion is not None, "its pods still hold a second model"
    assert {name: found.action.side for name, found in world.pods.items()} == {
        "flights-v2": Side.RIGHT,
        "flights-v3": Side.LEFT,
    }
    world.until(Stage.CANARY)
    world.behaviour["flights-v3"] = SILENT
    world.run(timedelta(minutes=1))
    assert world.route is not None
    assert world.route.port == arms.SIDES[Side.LEFT][Arm.CANARY]
    assert {backend.version: backend.arm for backend in world.carried} == {
        "flights-v2": Arm.SOLO,
        "flights-v3": Arm.CANARY,
    }


def test_worse_candidate_loses_its_traffic_first_and_its_pods_at_once_after_it() -> None:
    world = failing()
    world.behaviour["flights-v2"] = modelworld.Traffic(candidate_only_wrong=100, champion_only_wrong=0)
    world.until(Stage.COOLING_DOWN)

    assert Stage.ROLLING_BACK in world.stages
    order = [
        type(action)
        for _, made in world.plans
        for action in made.actions
        if isinstance(action, plan.ShiftTraffic | plan.Retire)
    ]
    assert order[-2:] == [plan.ShiftTraffic, plan.Retire]
    assert world.weights == {"flights-v1": 100}
    assert pods(world) == {"flights-v1": 5}


def test_what_is_far_from_what_was_asked_for_is_warned_of_before_any_rollout() -> None:
    world = modelworld.serving_world(
        spec=worlds.make_spec(serving={"gateway": None}, rollout={"steps": [{"weight": 10}]})
    )

    (said,) = [event for event in world.events if event.reason == "ShareOutOfReach"]
    assert (said.tone, world.status.split and world.status.split.warning) == (plan.Tone.WARNING, said.message)
    world.edit(serving={"replicas": 5})
    world.settle()
    assert world.status.split is not None
    assert world.status.split.warning is None
    world.edit(serving={"gateway": GATEWAY})
    world.settle()
    assert world.status.split is None


@pytest.mark.parametrize("phase", [Phase.SHADOW, Phase.CANARY, Phase.BAKING])
def test_gateway_that_is_taken_away_leaves_no_route_and_no_gap(phase: Phase) -> None:
    stage = {Phase.SHADOW: Stage.SHADOW, Phase.CANARY: Stage.CANARY, Phase.BAKING: Stage.PROMOTING}[phase]
    world = modelworld.serving_world(spec=worlds.make_spec(rollout={"bake": "10m"}))
    world.annotate(retrain="now")
    world.until(stage)
    world.run(timedelta(seconds=30))
    world.edit(serving={"gateway": None})
    for _ in range(40):
        made = world.step()
        assert world.carried or not made.actions, "nobody answers"
        assert sum(world.weights.values()) == 100
        world.pass_time(timedelta(seconds=5))
    assert world.route is not None
    assert world.route.inputs is None
    assert world.condition("Reconciling") is None


@pytest.mark.parametrize("stage", [Stage.SERVING, Stage.SHADOW, Stage.CANARY])
def test_gateway_that_is_named_later_takes_over_with_the_service_in_place(stage: Stage) -> None:
    world = modelworld.serving_world(spec=FIVE)
    if stage is not Stage.SERVING:
        world.annotate(retrain="now")
        world.until(stage)
        world.behaviour["flights-v2"] = SILENT
        world.run(timedelta(seconds=30))
    world.edit(serving={"gateway": GATEWAY})
    world.run(timedelta(minutes=1))

    assert world.route is not None
    assert world.route.inputs is not None
    assert world.route.service == "flights-v1"
    assert sum(world.weights.values()) == 100
    world.behaviour.pop("flights-v2", None)
    world.until(Stage.SERVING if stage is Stage.SERVING else Stage.COOLING_DOWN)


def rolling(phase: Phase, **fields: Any) -> observed.Observed:
    """A candidate in this phase beside the champion, behind one Service."""
    return worlds.rolling(phase, spec=FIVE, **fields)


def test_rollout_in_place_is_left_alone() -> None:
    for phase in (Phase.SHADOW, Phase.CANARY, Phase.PROMOTING, Phase.BAKING):
        world = worlds.at_rest(rolling(phase, since=worlds.NOW))
        if phase is not Phase.PROMOTING:
            assert worlds.actions(decide(world)) == [], phase


def test_arm_waits_until_exactly_the_pods_of_its_share_are_ready() -> None:
    world = rolling(Phase.CANARY)
    champion, candidate = world.servers
    shadowed = tuple(
        replace(backend, arm=Arm.SHADOW if backend.version == candidate.version else backend.arm)
        for backend in world.front.backends or ()
    )
    before = replace(world, front=replace(world.front, backends=shadowed))

    (shift,) = shifts(decide(before))
    assert shift.port == arms.SIDES[Side.RIGHT][Arm.CANARY]
    for missing in (
        replace(champion, ready=8),
        replace(champion, replicas=8, ready=8),
        replace(champion, settled=False),
    ):
        late = replace(before, servers=(missing, candidate))
        assert shifts(decide(late)) == []
        needed = "its share needs exactly 1 pods of flights-v2 beside 9 of flights-v1, of which"
        assert needed in decide(late).because
    more = replace(before, servers=(champion, replace(candidate, replicas=2, ready=2)))
    assert shifts(decide(more)) == []


def test_steps_are_not_passed_with_the_share_of_another() -> None:
    passed = {"pairs": (50, 60, 1890), "pairs_at_step": 1700}
    world = rolling(Phase.CANARY, **passed)
    assert decide(world).status.candidate.step == 1
    champion, candidate = world.servers
    short = replace(world, servers=(replace(champion, ready=7), candidate))
    assert decide(short).status.candidate.step == 0


def test_step_counts_pairs_only_since_the_candidate_answers_for_itself() -> None:
    world = rolling(Phase.CANARY, pairs=(50, 60, 1890), pairs_at_step=100, arm=Arm.SHADOW)
    champion, candidate = world.servers
    one, two = world.front.backends or ()
    waiting = replace(
        world,
        servers=(replace(champion, ready=8), candidate),
        front=replace(world.front, backends=(one, replace(two, arm=Arm.SHADOW))),
    )
    made = decide(waiting)
    assert made.status.candidate is not None
    assert (made.status.candidate.step, made.status.candidate.arm) == (0, Arm.SHADOW)
    assert "with 0 of 60 new pairs" in made.because

    made = decide(replace(waiting, servers=world.servers))
    assert made.status.candidate is not None
    assert (made.status.candidate.step, made.status.candidate.arm) == (0, Arm.CANARY)
    assert made.status.candidate.pairs_at_step == 2000
    unseen = decide(replace(waiting, servers=world.servers, ledgers={}))
    assert unseen.status.candidate is not None
    assert unseen.status.candidate.pairs_at_step == 0


def test_share_that_is_another_than_wanted_is_said_with_both() -> None:
    few = worlds.make_spec(serving={"gateway": None}, rollout={"steps": [{"weight": 10}]})
    assert (
        "answers 25 % (in place of 10 %) of requests"
        in decide(worlds.rolling(Phase.CANARY, spec=few)).because
    )
    assert "answers 10 % of requests" in decide(rolling(Phase.CANARY)).because
    assert "on 20 % of requests" in decide(rolling(Phase.SHADOW)).because


def test_champion_without_ready_pods_is_stood_in_for_with_its_own_predictions() -> None:
    world = rolling(Phase.CANARY, champion_ready=0)
    (shift,) = shifts(decide(world))
    assert shift.backends == (observed.Backend("flights-v2", Arm.SHADOW, 100),)
    assert (shift.service, shift.port) == ("flights-v2", None)


def test_candidate_without_ready_pods_is_left_out_of_the_service() -> None:
    world = rolling(Phase.CANARY, ready=0)
    backends = (observed.Backend("flights-v1", Arm.SOLO, 100),)
    made = decide(replace(world, front=replace(world.front, backends=backends)))
    (shift,) = shifts(made)
    assert (shift.backends, shift.service) == (backends, "flights-v1")


def test_service_is_never_for_all_while_a_third_version_has_pods_or_two_have_the_same_ports() -> None:
    world = rolling(Phase.CANARY)
    third = worlds.server(3, of=world.deployment)
    same = tuple(replace(server, side=Side.LEFT) for server in world.servers)
    for servers in ((*world.servers, third), same):
        (shift,) = shifts(decide(replace(world, servers=servers)))
        assert shift.backends == (observed.Backend("flights-v1", Arm.SOLO, 100),)


def test_all_traffic_is_a_service_for_the_candidate_alone() -> None:
    spec = worlds.make_spec(serving={"gateway": None}, rollout={"steps": [{"weight": 100}]})
    world = worlds.rolling(Phase.CANARY, spec=spec)
    assert worlds.actions(decide(worlds.at_rest(replace(world, ledgers={})))) == []
    assert world.front.service == "flights-v2"
    assert front.has_its_share(world.deployment.status, world)


def test_route_that_is_left_over_keeps_the_pods_it_may_reach() -> None:
    world = worlds.rolling(Phase.ROLLING_BACK, spec=FIVE, failure="worse", reason="Worse")
    world = worlds.at_rest(
        replace(world, versions=(world.versions[0], worlds.version(2, state="RolledBack")))
    )
    left = replace(world, front=replace(world.front, inputs="hash"))
    assert [type(action) for action in worlds.actions(decide(left))] == [plan.ShiftTraffic]
    assert [type(action) for action in worlds.actions(decide(world))] == [plan.Retire]


def test_pods_that_both_went_come_back_on_different_sides() -> None:
    world = replace(rolling(Phase.CANARY), servers=())
    made = worlds.actions(decide(world), plan.EnsureServing)
    assert {action.version: action.side for action in made} == {
        "flights-v1": Side.LEFT,
        "flights-v2": Side.RIGHT,
    }
    reached = {"shared": False, "service": "flights-v1"}
    reached["backends"] = (observed.Backend("flights-v1", Arm.SOLO, 100),)
    world = replace(world, front=replace(world.front, **reached))
    alone = replace(world, servers=(replace(rolling(Phase.CANARY).servers[0], side=Side.RIGHT),))
    (action,) = worlds.actions(decide(alone), plan.EnsureServing)
    assert (action.version, action.side) == ("flights-v2", Side.LEFT)
    stands_in = (observed.Backend("flights-v2", Arm.SHADOW, 100),)
    world = replace(world, front=replace(world.front, service="flights-v2", backends=stands_in))
    other = replace(world, servers=(replace(rolling(Phase.CANARY).servers[1], side=Side.LEFT),))
    (action,) = worlds.actions(decide(other), plan.EnsureServing)
    assert (action.version, action.side) == ("flights-v1", Side.RIGHT)


def test_pinned_version_takes_the_service_over_when_it_is_ready() -> None:
    world = failing()
    world.until(Stage.COOLING_DOWN)
    world.edit(model={"pin": "flights-v1"})
    world.until(Stage.SERVING)
    assert world.weights == {"flights-v1": 100}
    assert pods(world) == {"flights-v1": 5}
    assert world.status.candidate is None


def test_scaling_in_the_middle_of_a_canary_keeps_the_share_as_near_as_may_be() -> None:
    world = failing()
    world.until(Stage.CANARY)
    world.behaviour["flights-v2"] = SILENT
    for replicas, there in (
        (10, {"flights-v1": 18, "flights-v2": 2}),
        (2, {"flights-v1": 3, "flights-v2": 1}),
    ):
        world.edit(serving={"replicas": replicas})
        world.run(timedelta(minutes=1))
        assert pods(world) == there
        assert world.status.candidate is not None
        assert world.status.candidate.weight == {10: 10, 2: 25}[replicas]
