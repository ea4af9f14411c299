"""From nothing at all: no artifact is named, so the first version is trained, judged and installed."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from decide import modelworld, worlds
from modelmend.api.status import Phase, Stage, Trigger
from modelmend.contract import result
from modelmend.contract.result import Evaluation
from modelmend.decide import decide, observed, plan
from modelmend.decide.observed import JobKind

DATASET = {"uri": "s3://ml/rows.parquet", "label": "late", "time": "at"}
FROM_DATA: dict[str, Any] = {
    "model": {"uri": None},
    "retraining": {"cooldown": "1h", "data": {"dataset": DATASET}},
}
SPEC = worlds.make_spec(**FROM_DATA)
NEW = observed.Observed(now=worlds.NOW, deployment=worlds.deployment(SPEC), settings=worlds.SETTINGS)
GOOD = worlds.succeeded(1, evaluation=Evaluation(a=30, b=200, c=770))
POOR = worlds.succeeded(1, evaluation=Evaluation(a=30, b=34, c=936))
BROKEN = result.Failed(error="label column 'late' is missing in s3://ml/rows.parquet")


def new_world(*results: result.Succeeded | result.Failed, **fields: Any) -> modelworld.World:
    return modelworld.new_world(**{"spec": SPEC, "results": [*results, worlds.succeeded(2)]} | fields)


def events(world: modelworld.World) -> list[str]:
    return [event.reason for event in world.events]


def test_a_new_model_without_an_artifact_begins_by_training_one() -> None:
    made = decide(NEW)

    (launched,) = worlds.actions(made)
    assert launched == plan.LaunchRetraining(1, "flights-retrain-1-6f1c2d3e", "flights-v1", None)
    assert made.finding == "first_version_is_trained"
    assert made.because == (
        "training 1 begins: nothing serves and spec.model.uri names no artifact: the first version is trained on "
        "s3://ml/rows.parquet"
    )
    assert made.status.stage is Stage.INSTALLING
    assert made.status.retraining.running is not None
    assert made.status.retraining.running.trigger is Trigger.FIRST
    assert worlds.is_(made, "Ready") == "False (Installing)"
    assert worlds.is_(made, "Reconciling") == "True (Installing)"


def test_the_first_version_is_installed_from_nothing_and_heals_like_any_other() -> None:
    world = new_world(GOOD, spec=worlds.make_spec(**FROM_DATA | {"rollout": {"bake": "1m"}}))
    world.until(Stage.SERVING, timedelta(minutes=5))

    assert world.stages == [Stage.INSTALLING, Stage.SERVING]
    first = world.versions["flights-v1"].spec
    assert (first.trigger, first.parent, first.evaluation) == (Trigger.FIRST, None, GOOD.evaluation)
    assert "the first version is trained on" in first.because
    assert world.pods["flights-v1"].action.champion is None
    assert world.condition("Ready").status == "True"

    world.behaviour["flights-v1"] = modelworld.Traffic(right=140, wrong=60)
    world.until(Stage.PROMOTING)
    world.until(Stage.COOLING_DOWN)
    healed = world.versions["flights-v2"].spec
    assert world.status.stable.version == "flights-v2"
    assert healed.parent.version == "flights-v1"
    assert healed.trigger is Trigger.BREACH


def test_the_gate_says_why_the_first_version_may_serve() -> None:
    world = new_world(GOOD)
    world.run(timedelta(minutes=5), lambda world: world.findings[-1] == "version_is_coming_up")

    passed = next(made for _, made in world.plans if made.finding == "candidate_passes_the_gate")
    assert passed.because == (
        "flights-v1 comes up, the first version: the candidate is better than always answering the most frequent class: "
        "right alone 200 against 30 times on the holdout of 1,000 (alpha 0.05)"
    )


@pytest.mark.parametrize("require", ["Better", "NotWorse"])
def test_a_first_version_no_better_than_a_constant_answer_is_not_installed(require: str) -> None:
    part = {"column": "carrier", "value": "HA"}
    spec = worlds.make_spec(
        **FROM_DATA, evaluation={"require": require, "slices": [part], "onInconclusiveSlice": "Reject"}
    )
    world = new_world(POOR, POOR, POOR, spec=spec)
    world.run(timedelta(minutes=5))

    assert world.pods == {}
    assert world.status.stage is Stage.INSTALLING
    assert world.versions["flights-v1"].status.state == "Rejected"
    assert "Rejected" in events(world)
    ready = world.condition("Ready")
    assert (ready.status, ready.reason) == ("False", "FirstTrainingFailed")
    assert ready.message.startswith(
        "nothing serves; the candidate is not proven better than always answering the most frequent class: right alone 34 "
        "against 30 times on the holdout of 1,000 (alpha 0.05); give spec.retraining.data.dataset columns that tell more"
    )
    assert "tried again at 2026-03-01T13:0" in ready.message
    assert world.status.rejected == (worlds.digest(1),)
    assert world.status.refusal is None
    assert len(world.status.retraining.attempts) == 1


def test_a_first_version_that_was_compared_with_nothing_is_not_installed() -> None:
    world = new_world(worlds.succeeded(1))
    world.run(timedelta(minutes=5))

    assert world.pods == {}
    assert "the holdout is empty: nothing was compared" in world.status.because


def test_slices_are_asked_of_later_versions_only() -> None:
    part = {"column": "carrier", "value": "HA"}
    spec = worlds.make_spec(**FROM_DATA, evaluation={"slices": [part], "onInconclusiveSlice": "Reject"})

    new_world(GOOD, spec=spec).until(Stage.SERVING, timedelta(minutes=5))


def test_failures_rest_spend_the_budget_and_end_stalled() -> None:
    world = new_world(BROKEN, BROKEN, BROKEN)
    world.run(timedelta(minutes=5))

    assert world.status.because.startswith(
        "nothing serves; training 1 failed: label column 'late' is missing in s3://ml/rows.parquet; tried again at "
    )
    assert world.condition("Ready").reason == "FirstTrainingFailed"
    assert world.condition("Reconciling").status == "True"
    assert "FirstTrainingFailed" in events(world)

    world.until(Stage.STALLED)
    assert world.creates.total() == 3, "three Jobs and nothing else"
    assert world.now - worlds.NOW > timedelta(hours=2), "with a rest after each"
    assert world.status.because == (
        "3 attempts to heal failed within 24 h, the last one: training 3 failed: label column 'late' is missing in "
        "s3://ml/rows.parquet; nothing serves until spec changes or the annotation modelmend.dev/reset is set"
    )
    assert world.condition("Stalled").status == "True"
    assert world.stages == [Stage.INSTALLING, Stage.STALLED]


def test_the_first_training_whose_data_comes_later_succeeds_by_itself() -> None:
    world = new_world(BROKEN, POOR, GOOD.model_copy(update={"digest": worlds.digest(9)}))
    world.until(Stage.SERVING)

    assert world.status.stable.version == "flights-v2"
    assert world.status.retraining.failures == 0
    assert world.status.retraining.attempts == ()


def test_a_person_who_asks_need_not_wait() -> None:
    world = new_world(BROKEN, GOOD)
    world.run(timedelta(minutes=5))
    world.annotate(retrain="now")
    world.until(Stage.SERVING, timedelta(minutes=5))

    assert world.status.handled.retrain == "now"


def test_a_person_who_changes_spec_need_not_wait() -> None:
    world = new_world(BROKEN, GOOD)
    world.run(timedelta(minutes=5))
    world.edit(retraining={"data": {"dataset": {"label": "delayed"}}})

    world.until(Stage.SERVING, timedelta(minutes=5))


def test_a_spec_that_changes_while_the_job_runs_begins_another_one() -> None:
    world = new_world(BROKEN, GOOD)
    world.run(timedelta(seconds=10))
    world.edit(retraining={"data": {"dataset": {"label": "delayed"}}})
    world.until(Stage.SERVING, timedelta(minutes=5))

    assert [name for kind, name in world.creates if kind == "Job"] == [
        "flights-retrain-1-6f1c2d3e",
        "flights-retrain-2-6f1c2d3e",
    ]
    assert world.status.retraining.attempts == ()


def test_a_stalled_first_training_begins_anew_when_it_is_reset_or_spec_changes() -> None:
    for mend in (
        lambda world: world.annotate(reset="1"),
        lambda world: world.edit(retraining={"data": {"dataset": {"label": "delayed"}}}),
    ):
        world = new_world(BROKEN, BROKEN, BROKEN, GOOD)
        world.until(Stage.STALLED)
        world.run(timedelta(hours=48))
        assert world.status.stage is Stage.STALLED
        mend(world)
        world.until(Stage.SERVING, timedelta(minutes=5))


def test_an_artifact_that_is_named_meanwhile_wins() -> None:
    installed = worlds.succeeded(1, uri="s3://models/flights/v0")
    for seconds in (10, 62, 70):
        world = new_world(GOOD, installed)
        world.run(timedelta(seconds=seconds))
        world.edit(model={"uri": "s3://models/flights/v0"})
        world.until(Stage.SERVING, timedelta(minutes=5))

        trigger = world.versions[world.status.stable.version].spec.trigger
        assert trigger is Trigger.INSTALL, f"named after {seconds} s"


def test_an_artifact_that_is_withdrawn_before_it_is_read_makes_room_for_the_first_training() -> None:
    world = modelworld.new_world(results=[worlds.succeeded(1), GOOD])
    world.run(timedelta(seconds=10))
    world.edit(**FROM_DATA | {"retraining": {"data": {"log": None, "dataset": DATASET}}})
    world.until(Stage.SERVING, timedelta(minutes=5))

    assert world.versions["flights-v1"].spec.trigger is Trigger.FIRST


def test_an_artifact_that_was_refused_makes_room_for_the_first_training() -> None:
    world = modelworld.new_world(results=[result.Failed(error="manifest.json is missing"), GOOD])
    world.until(Stage.STALLED, timedelta(minutes=5))
    world.edit(**FROM_DATA | {"retraining": {"data": {"log": None, "dataset": DATASET}}})

    world.until(Stage.SERVING, timedelta(minutes=5))


def test_what_serves_goes_on_when_its_uri_is_withdrawn() -> None:
    world = modelworld.serving_world()
    world.edit(**FROM_DATA | {"retraining": {"data": {"log": None, "dataset": DATASET}}})
    world.run(timedelta(hours=1))

    assert world.status.stage is Stage.SERVING
    assert world.made == 1


def test_a_person_aborts_and_it_rests_without_an_attempt() -> None:
    world = new_world(GOOD)
    world.run(timedelta(seconds=10))
    world.annotate(abort="retrain-1")
    world.run(timedelta(minutes=5))

    assert world.status.because.startswith(
        "nothing serves; retrain-1 was aborted by a person; tried again at "
    )
    assert world.status.retraining.attempts == ()
    assert world.condition("Ready").reason == "Installing"
    assert world.jobs == {}


def test_suspension_begins_nothing_and_ends_with_the_training() -> None:
    world = new_world(GOOD)
    world.run(timedelta(seconds=10))
    world.edit(suspend=True)
    world.run(timedelta(minutes=5))
    assert (world.status.stage, world.jobs) == (Stage.SUSPENDED, {})

    world.edit(suspend=False)
    world.until(Stage.SERVING, timedelta(minutes=5))


def test_a_going_back_to_nothing_is_refused_and_the_training_goes_on() -> None:
    world = new_world(GOOD)
    world.run(timedelta(seconds=10))
    world.annotate(rollback_to="flights-v7")
    world.run(timedelta(seconds=10))

    assert world.status.stage is Stage.INSTALLING
    assert world.condition("Stalled").message == "cannot roll back to flights-v7: nothing serves yet"
    world.until(Stage.SERVING, timedelta(minutes=5))


def test_a_record_that_is_deleted_before_it_serves_is_made_again() -> None:
    world = new_world(GOOD, GOOD.model_copy(update={"digest": worlds.digest(7)}))
    world.run(timedelta(minutes=5), lambda world: world.findings[-1] == "version_is_coming_up")
    world.versions.clear()
    world.until(Stage.SERVING, timedelta(minutes=5))

    assert world.status.stable.digest == worlds.digest(7)


def test_a_job_that_is_deleted_before_its_record_is_a_rest_without_an_attempt() -> None:
    candidate = worlds.candidate(1, Phase.EVALUATING, trigger=Trigger.FIRST, arm=worlds.SOLO)
    seen = worlds.with_status(NEW, stage=Stage.INSTALLING, candidate=candidate, last_version=1)
    seen = worlds.with_status(seen, handled=decide(NEW).status.handled)

    made = decide(seen)

    assert made.finding == "candidate_is_not_recorded"
    assert (made.status.stage, made.status.candidate) == (Stage.INSTALLING, None)
    assert made.status.retraining.attempts == ()


def test_a_first_artifact_that_was_rejected_before_is_not_asked_again() -> None:
    world = new_world(POOR, GOOD)
    world.run(timedelta(hours=2))

    assert world.status.because.startswith(
        "nothing serves; the retraining made an artifact that was rejected"
    )


def test_a_job_that_was_ordered_and_never_made_is_made_under_its_own_number() -> None:
    begun = worlds.with_status(NEW, **dict(decide(NEW).status))

    assert [action.sequence for action in worlds.actions(decide(begun), plan.LaunchRetraining)] == [1]
    ended = replace(begun, jobs=(worlds.job(JobKind.RETRAIN, 1, GOOD),))
    assert decide(ended).finding == "retraining_made_an_artifact"
