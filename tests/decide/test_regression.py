"""A model that predicts numbers: what is right, who wins a pair, and signals that are not about what it predicts."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from decide import modelworld, worlds
from modelmend.api.status import ConditionStatus, Phase, SignalStatus, Stage, Verdict
from modelmend.contract.manifest import Task
from modelmend.contract.result import Evaluation
from modelmend.decide import compared, decide, inputs, observed
from modelmend.evidence import ledger, regression

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


def of_errors(signal: dict[str, Any], share: float = 0.1, **parts: Any) -> observed.Observed:
    """1,000 labels whose mean error is a share of the bound; so is the mean of their squares."""
    watched = {"monitoring": {"signals": [{"name": "errors", "type": "MAE", "minLabels": 200} | signal]}}
    counted = round(share * 1_000_000_000)
    labels = {"right": 900, "wrong": 100, "errors": (1000, counted, counted)}
    return worlds.serving(spec=worlds.make_spec(**NUMBERS | watched | parts), labels=labels)


@pytest.mark.parametrize("evidence", ["Lifelong", "Threshold"])
@pytest.mark.parametrize(("type_", "maximum", "value"), [("MAE", 20.0, 15.0), ("RMSE", 60.0, 47.434)])
def test_errors_are_judged_up_to_ten_tolerances(
    type_: str, maximum: float, value: float, evidence: str
) -> None:
    found = signal(of_errors({"type": type_, "maximum": maximum, "evidence": evidence}))

    assert (found.verdict, found.value, found.bound, found.n) == (Verdict.OK, value, maximum, 1000)
    assert found.because.startswith(
        f"{type_} (errors counted up to 150) {value:.3f} over 1,000 labels is within"
    )


def test_errors_that_are_too_large_in_one_window_breach_it() -> None:
    found = signal(of_errors({"maximum": 10.0, "evidence": "Threshold"}))

    assert found.verdict is Verdict.BREACHED
    assert "is above the limit 10.000 (4 standard errors at least" in found.because


def test_a_rise_is_measured_from_the_holdout() -> None:
    world = of_errors({"maxRise": 12.0})
    assert signal(world).bound == 20.0  # An MAE of 8 on the holdout.

    kind = worlds.kind(world.deployment.spec)
    unmeasured = of_version(world, **kind | {"metrics": {}})
    assert signal(unmeasured).because == (
        "MAE not judged: flights-v1 has no MAE on a holdout for maxRise to start from, give maximum"
    )
    beyond = of_errors({"maxRise": 200.0})
    assert signal(beyond).because == (
        "MAE not judged: its limit 208 must be above 0 and below 150, up to which errors count: give a larger "
        "spec.evaluation.errorBound"
    )


def test_a_bound_that_a_person_chose_counts() -> None:
    found = signal(of_errors({"maximum": 20.0}, evaluation={"tolerance": 15, "errorBound": 100}))

    assert found.because.startswith("MAE (errors counted up to 100) 10.000")


def test_errors_that_moved_by_little_are_not_written_again() -> None:
    world = of_errors({"maximum": 20.0})
    held = decide(world).status.signals
    for share, written in ((0.1001, False), (0.11, True)):
        moved = of_errors(
            {"maximum": 20.0},
            share,
        )
        after = decide(worlds.with_status(moved, signals=held)).status.signals
        assert (after != held) is written


def test_silence_after_a_breach_says_what_rose() -> None:
    world = of_errors({"maximum": 20.0})
    (counted,) = world.ledgers.values()
    (state,) = counted.detectors.values()
    detected = replace(state.detected, breached=True)
    quiet = replace(
        counted,
        detectors={"errors": replace(state, detected=detected)},
        history={"errors": (ledger.Snapshot(0.0, regression.Errors(1000, 100_000_000, 100_000_000)),)},
    )
    world = replace(world, ledgers={counted.rollout: quiet}, now=world.now + timedelta(seconds=1))

    found = signal(world)
    assert found.verdict is Verdict.BREACHED
    assert found.because.startswith(
        "MAE (errors counted up to 150) rose above the limit 20.000, and no label since"
    )


def test_mae_of_a_model_of_classes_is_not_judged() -> None:
    found = signal(of_version(of_errors({"maximum": 20.0}), task=Task.CLASSIFICATION))

    assert found.because.startswith("MAE not judged: flights-v1 predicts classes")


@pytest.mark.parametrize(
    ("type_", "evaluation", "task", "sentence"),
    [
        (
            "Recall",
            {"tolerance": 15},
            Task.REGRESSION,
            "recall not judged: flights-v1 predicts numbers, which are of no class: watch Accuracy, MAE or RMSE",
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
    gate = compared.gate(world.deployment, candidate)

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
