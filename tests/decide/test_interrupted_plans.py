"""The operator dies after each write, everywhere in a model's life, and goes on, once.

A whole life without a death is lived first. Then, for each of its plans and each k: the status is written, k of the
actions are carried out, the operator dies and another one looks. Sooner or later the world must be what it was at that
time in the undisturbed life, with the same things created on the way; from there on the two are the same life.

    undisturbed    o--o--o--o--o--o--o--o--o
    interrupted             x--.--o            the same state at the same time: the rest need not be lived again
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from decide import modelworld, worlds
from modelmend.api.status import Stage
from modelmend.contract import result
from modelmend.decide import plan

Act = Callable[[modelworld.World], None]

BRISK: dict[str, Any] = {
    "retraining": {"cooldown": "2m"},
    "rollout": {"bake": "1m", "analysis": {"minLabels": 60, "deadline": "2h"}},
}
HEALTHY = modelworld.Traffic()
FAILING = modelworld.Traffic(right=140, wrong=60)
WORSE = modelworld.Traffic(candidate_only_wrong=100, champion_only_wrong=0)


def behaves(version: str, traffic: modelworld.Traffic) -> Act:
    def act(world: modelworld.World) -> None:
        world.behaviour[version] = traffic

    return act


def reports(job: int, reported: result.Succeeded | result.Failed) -> Act:
    def act(world: modelworld.World) -> None:
        world.results[job] = reported

    return act


def edits(**parts: Any) -> Act:
    return lambda world: world.edit(**parts)


def says(**annotations: str | None) -> Act:
    return lambda world: world.annotate(**annotations)


FAILS = (Stage.SERVING, behaves("flights-v1", FAILING))
RECOVERS = (Stage.COOLING_DOWN, behaves("flights-v1", HEALTHY))

LIVES: dict[str, tuple[tuple[Stage, Act], ...]] = {
    "healed": (FAILS,),
    "no better on the holdout": (
        (Stage.SERVING, reports(1, worlds.succeeded(2, evaluation=result.Evaluation(a=30, b=30, c=940)))),
        FAILS,
        RECOVERS,
    ),
    "the Job fails": ((Stage.SERVING, reports(1, result.Failed(error="too few rows: 12"))), FAILS, RECOVERS),
    "worse in shadow": ((Stage.SERVING, behaves("flights-v2", WORSE)), FAILS, RECOVERS),
    "worse in canary": (FAILS, (Stage.CANARY, behaves("flights-v2", WORSE)), RECOVERS),
    "worse in its bake": (FAILS, (Stage.PROMOTING, behaves("flights-v2", WORSE)), RECOVERS),
    "never ready": (
        (Stage.SERVING, behaves("flights-v2", modelworld.Traffic(starts=False))),
        FAILS,
        RECOVERS,
    ),
    "a person names another artifact": ((Stage.SERVING, edits(model={"uri": "s3://models/flights/other"})),),
    "a person names a bad artifact": (
        (Stage.SERVING, reports(1, result.Failed(error="manifest.json is missing"))),
        (Stage.SERVING, edits(model={"uri": "s3://models/flights/other"})),
    ),
    "a person approves both": (
        (Stage.SERVING, edits(retraining={"approval": "Manual"}, rollout={"approval": "Manual"})),
        FAILS,
        (Stage.AWAITING_APPROVAL, says(approve="retrain-3")),
        (Stage.CANARY, lambda world: None),
        (Stage.AWAITING_APPROVAL, says(approve=worlds.digest(2))),
    ),
    "a person aborts": (FAILS, (Stage.CANARY, says(abort="flights-v2")), RECOVERS),
    "a person goes back": (
        FAILS,
        (Stage.COOLING_DOWN, behaves("flights-v1", HEALTHY)),
        (Stage.SERVING, says(rollback_to="flights-v1")),
    ),
    "a person pins": (FAILS, (Stage.COOLING_DOWN, edits(model={"pin": "flights-v1"}))),
    "a person pins in the middle": (FAILS, (Stage.CANARY, edits(model={"pin": "flights-v1"}))),
    "a person suspends and resumes": (
        FAILS,
        (Stage.CANARY, edits(suspend=True)),
        (Stage.SUSPENDED, behaves("flights-v1", HEALTHY)),
        (Stage.SUSPENDED, edits(suspend=False)),
    ),
    "history is pruned": (
        (Stage.SERVING, edits(history={"limit": 2})),
        FAILS,
        (Stage.COOLING_DOWN, behaves("flights-v2", FAILING)),
        (Stage.SHADOW, lambda world: None),
    ),
}


FIRST = worlds.succeeded(1, evaluation=result.Evaluation(a=30, b=200, c=770))
POOR = worlds.succeeded(9, evaluation=result.Evaluation(a=30, b=30, c=940))
DATASET = {"uri": "s3://ml/rows.parquet", "label": "late", "time": "at"}
FROM_DATA: dict[str, Any] = {
    "model": {"uri": None},
    "retraining": {"cooldown": "2m", "budget": {"attempts": 2}, "data": {"dataset": DATASET}},
    "rollout": BRISK["rollout"],
}
FROM_NOTHING: dict[str, tuple[result.Succeeded | result.Failed, ...]] = {
    "trained from nothing": (FIRST,),
    "trained from nothing at the second attempt": (POOR, FIRST),
    "never trained": (result.Failed(error="only one class"), POOR),
}
LIVES |= dict.fromkeys(FROM_NOTHING, (FAILS,)) | {"never trained": ()}


def lives(life: str) -> modelworld.World:
    """A world at the begin of this life."""
    if life in FROM_NOTHING:
        results = [*FROM_NOTHING[life], *(worlds.succeeded(number) for number in range(2, 6))]
        spec = worlds.make_spec(**FROM_DATA)
        return modelworld.new_world(spec=spec, results=results, script=LIVES[life])
    return modelworld.new_world(spec=worlds.make_spec(**BRISK), script=LIVES[life])


def outcome(world: modelworld.World) -> dict[str, Any]:
    """What must be the same in the end where a death has cost time: a drain is counted anew."""
    status = world.status
    return {
        "stable": status.stable and (status.stable.version, status.stable.rollout),
        "candidate": status.candidate,
        "stages": world.stages,
        "rejected": status.rejected,
        "refusal": status.refusal,
        "failures": (status.retraining.failures, len(status.retraining.attempts)),
        "numbers": (status.sequence, status.last_version),
        "versions": {name: version.status.state for name, version in world.versions.items()},
        "pods": {name: pods.action.replicas for name, pods in world.pods.items()},
        "backends": world.observe().front.backends,
        "jobs": sorted(world.jobs),
        "creates": world.creates,
    }


END = worlds.NOW + timedelta(minutes=25)


@pytest.mark.parametrize("life", LIVES)
def test_a_life_goes_on_wherever_the_operator_dies(life: str) -> None:
    rests: dict[datetime, dict[str, Any]] = {}
    points: list[modelworld.World] = []

    def remember(world: modelworld.World, made: plan.Plan) -> None:
        points.extend(world.fork() for _ in made.actions)
        for done, point in enumerate(points[len(points) - len(made.actions) :]):
            point.dies_after = done
            point.on_plan = point.on_rest = lambda *_: None

    undisturbed = lives(life)
    undisturbed.on_plan = remember
    undisturbed.on_rest = lambda world: rests.update({world.now: world.state()})
    undisturbed.run(END - worlds.NOW)
    assert len(points) > 5, "the life has plans to interrupt"
    assert not undisturbed.script, f"the life was lived to its end: {undisturbed.stages}"

    for point in points:
        died_at, done = point.now, point.dies_after
        point.run(END - point.now, lambda world: world.now == END or rests.get(world.now) == world.state())
        assert point.dies_after is None, f"died at {died_at} after {done} actions"
        if point.now == END:
            assert outcome(point) == outcome(undisturbed), f"died at {died_at} after {done} actions"


def test_a_canary_that_went_bad_while_the_operator_was_away_is_rolled_back_at_the_first_look() -> None:
    world = lives("healed")
    world.until(Stage.CANARY)
    world.settle()
    world.behaviour["flights-v2"] = WORSE
    for _ in range(20):
        world.pass_time(modelworld.POLL)

    world.step()

    assert world.findings[-1] == "candidate_is_worse"
    assert world.weights == {"flights-v1": 100}
