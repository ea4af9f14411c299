"""A model that predicts numbers: what is right, who wins a pair, and signals that are not about what it predicts."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from decide import modelworld, worlds
from modelmend.api.status import ConditionStatus, Phase, SignalStatus, Stage, Verdict
from modelmend.contract.manifest import Task
from modelmend.contract.result import Evaluation
from modelmend.decide import decide, inputs, judge, observed

ACCURACY = {"name": "accuracy", "minLabels": 200}
NUMBERS: dict[str, Any] = {"evaluation": {"tolerance": 15}}


def watching(signal: dict[str, Any] | None = None, **parts: Any) -> observed.Observed:
    watched = {"monitoring": {"signals": [ACCURACY | {"minimum": 0.85} | (signal or {})]}}
    return worlds.serving(spec=worlds.make_spec(**NUMBERS | watched | parts))


def signal(world: observed.Observed) -> SignalStatus:
    (found,) = decide(world).status.signals
    return found


def of_version(world: observed.Observed, **fields: Any) -> observed.Observed:
    return replace(world, versions=(worlds.version(1, state="Champion", **fields),))


def test_accuracy_is_the_share_within_the_tolerance_and_says_so() -> None:
    found = signal(watching())

    assert (found.verdict, found.value, found.bound) == (Verdict.OK, 0.95, 0.85)
    assert found.because.startswith("accuracy within 15 0.950 over 1,000 labels is within the limit 0.850")


def test_another_tolerance_counts_anew_and_restarts_the_pods() -> None:
    world = watching()
    other = watching(evaluation={"tolerance": 20})
    counted_before = replace(other, ledgers=world.ledgers)

    assert signal(counted_before).verdict is Verdict.UNKNOWN
    hashes = {
        inputs.of_server(each.deployment, each.versions[0]) for each in (world, other, worlds.serving())
    }
    assert len(hashes) == 3


def test_a_drop_is_measured_from_the_holdout_within_the_same_tolerance() -> None:
    drop = {"minimum": None, "maxDrop": 0.05}
    world = watching(drop)
    assert signal(world).bound == 0.85

    kind = worlds.kind(world.deployment.spec)
    other = of_version(world, **kind | {"metrics": {"accuracy": 0.9, "tolerance": 10.0}})
    assert signal(other).because == (
        "accuracy within 15 not judged: flights-v1 has no accuracy within 15 on a holdout for maxDrop to start from, "
        "give minimum"
    )


@pytest.mark.parametrize(
    ("type_", "evaluation", "task", "sentence"),
    [
        (
            "Recall",
            {"tolerance": 15},
            Task.REGRESSION,
            "recall not judged: flights-v1 predicts numbers, which are of no class: watch Accuracy",
        ),
        (
            "Accuracy",
            {},
            Task.REGRESSION,
            "accuracy not judged: flights-v1 predicts numbers, and spec.evaluation.tolerance does not say how far from the "
            "truth is still right: give it",
        ),
        (
            "Accuracy",
            {"tolerance": 15},
            Task.CLASSIFICATION,
            "accuracy not judged: flights-v1 predicts classes, of which spec.evaluation.tolerance says nothing: remove it",
        ),
    ],
)
def test_a_signal_that_is_not_about_what_the_model_predicts_says_so(
    type_: str, evaluation: dict[str, float], task: Task, sentence: str
) -> None:
    world = of_version(watching({"type": type_}, evaluation=evaluation), task=task)
    found = signal(world)

    assert (found.verdict, found.because) == (Verdict.UNKNOWN, sentence)


def test_a_version_that_was_not_seen_yet_is_judged_by_what_is_asked() -> None:
    found = signal(replace(watching(), versions=()))

    assert found.because.startswith("accuracy within 15")


@pytest.mark.parametrize(
    ("evaluation", "said"),
    [
        ({"require": "Better"}, "is better than the champion: closer to the truth 60 against 10 times"),
        (
            {"require": "NotWorse", "margin": 0.1},
            "is not worse than the champion by 0.1 or more: closer to the truth 60",
        ),
    ],
)
def test_the_gate_says_who_is_closer_to_the_truth(evaluation: dict[str, Any], said: str) -> None:
    spec = worlds.make_spec(evaluation={"tolerance": 15, **evaluation})
    world = worlds.rolling(Phase.EVALUATING, spec=spec)
    kind = worlds.kind(spec)
    candidate = worlds.version(2, **kind, evaluation=Evaluation(a=10, b=60, c=930), state="Candidate")
    gate = judge.gate(world.deployment, candidate)

    assert gate.passed
    assert said in gate.because


def test_a_candidate_that_is_farther_from_the_truth_is_rolled_back() -> None:
    spec = worlds.make_spec(**NUMBERS)
    made = decide(worlds.rolling(Phase.CANARY, spec=spec, pairs=(80, 10, 500)))

    assert made.status.stage is Stage.ROLLING_BACK
    assert "closer to the truth 10 times against 80" in (made.status.because or "")


def test_a_model_of_numbers_lives_its_whole_life() -> None:
    spec = worlds.make_spec(**NUMBERS)
    kind = worlds.kind(spec)
    results = [worlds.succeeded(number, **kind) for number in range(1, 9)]
    world = modelworld.serving_world(spec=spec, results=results)
    world.behaviour["flights-v1"] = modelworld.Traffic(right=140, wrong=60)
    world.until(Stage.RETRAINING)
    world.until(Stage.PROMOTING)
    world.until(Stage.COOLING_DOWN)
    world.run(timedelta(hours=1))

    status = world.deployment.status
    assert status.stable is not None
    assert status.stable.version == "flights-v2"
    healed = world.versions["flights-v2"].spec
    assert (healed.task, healed.classes, healed.metrics["tolerance"]) == (Task.REGRESSION, (), 15)
    healthy = next(each for each in status.conditions if each.type == "Healthy")
    assert healthy.status is ConditionStatus.TRUE


def test_a_lost_record_is_written_again_as_what_the_tolerance_says() -> None:
    world = watching()
    made = decide(replace(world, versions=()))

    (recorded,) = [action for action in made.actions if type(action).__name__ == "RecordVersion"]
    assert recorded.spec.task is Task.REGRESSION
