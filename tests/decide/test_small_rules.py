"""The small pure parts: terms, hashes, schedules, sentences, stages, changes, recordings."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from decide import modelworld, worlds
from modelmend.api.status import (
    Handled,
    ModelDeploymentStatus,
    PendingApproval,
    Phase,
    RetrainingStatus,
    Stage,
    Trigger,
)
from modelmend.decide import decide, decision, inputs, observed, plan, schedule, sentences, stages, terms
from modelmend.decide.change import change
from modelmend.evidence import ledger

ROOT = Path(__file__).resolve().parents[2]


# Terms.


def test_the_stable_version_is_asked_for_its_signals_since_the_evidence_began() -> None:
    reset = worlds.NOW - timedelta(hours=1)
    owner = worlds.serving(stable=worlds.stable(evidence_since=reset)).deployment

    asked = terms.of(owner, worlds.version(1, label_delay=worlds.DELAY), worlds.rollout(1))

    assert asked.evidence_since == reset.timestamp()
    assert asked.mature_at == (worlds.NOW - timedelta(days=1)).timestamp() + 600
    (signal,) = asked.signals
    assert signal.name == "accuracy"
    assert signal.asked is not None
    assert signal.asked.limit.share == pytest.approx(0.15)
    assert signal.asked.limit.alarm == pytest.approx(86_400), "720 h in polls of 30 s"
    assert signal.window == 6 * 3600
    assert asked.guarded == {}


def test_a_candidate_is_asked_for_its_guards_and_in_its_bake_for_both() -> None:
    spec = worlds.make_spec(rollout={"guards": {"errorRate": 0.02, "p99Latency": "180ms"}})
    tried, bakes = worlds.rolling(Phase.CANARY, spec=spec), worlds.rolling(Phase.BAKING, spec=spec)

    asked = terms.of(tried.deployment, worlds.version(2), worlds.rollout(2))
    both = terms.of(bakes.deployment, worlds.version(2), worlds.rollout(2))

    assert asked.signals == ()
    assert set(asked.guarded) == {ledger.ERRORS, ledger.SLOW}
    assert asked.guarded[ledger.ERRORS].limit.share == 0.02
    assert asked.guarded[ledger.ERRORS].limit.alarm == pytest.approx(2880 / 0.05)
    assert asked.guarded[ledger.SLOW].name == "share of requests over 200 ms"
    assert both.signals != ()
    assert both.guarded != {}


def test_the_old_champion_of_a_bake_is_only_counted() -> None:
    asked = terms.of(worlds.rolling(Phase.BAKING).deployment, worlds.version(1), worlds.rollout(1))

    assert (asked.signals, asked.guarded, asked.evidence_since) == ((), {}, 0.0)


def test_an_alarm_that_would_come_at_every_poll_is_held_to_every_other() -> None:
    spec = worlds.make_spec(
        monitoring={"interval": "1h", "signals": [{"name": "a", "minimum": 0.8, "falseAlarmEvery": "90m"}]}
    )
    owner = worlds.serving(spec=spec).deployment

    (signal,) = terms.of(owner, worlds.version(1), worlds.rollout(1)).signals

    assert signal.asked is not None
    assert signal.asked.limit.alarm == 2.0


def test_label_delay_is_zero_while_nobody_knows_it() -> None:
    assert terms.label_delay(None) == 0.0
    assert terms.label_delay(worlds.version(1)) == 0.0
    assert terms.label_delay(worlds.version(1, label_delay=worlds.DELAY), p99=True) == 3600


# Hashes.


def test_what_pods_are_made_from_changes_their_hash_and_nothing_else_does() -> None:
    base = worlds.deployment()

    def hashed(**parts: object) -> str:
        return inputs.of_server(worlds.deployment(worlds.make_spec(**parts)), worlds.version(1))

    same = inputs.of_server(base, worlds.version(1))
    assert hashed(serving={"replicas": 9}) == same
    assert hashed(monitoring={"interval": "10s"}) == same
    assert hashed(rollout={"bake": "1h"}) == same
    assert hashed(serving={"resources": {"memory": "2Gi"}}) != same
    assert hashed(storage={"credentialsSecretRef": {"name": "s3"}}) != same
    dataset = {"uri": "s3://d/f.parquet", "label": "y", "time": "t"}
    assert hashed(retraining={"data": {"dataset": dataset}}) != same, "without the log its volume goes"
    assert inputs.of_server(base, worlds.version(1, image="another")) != same
    assert inputs.of_server(base, worlds.version(2)) != same


def test_the_spec_of_a_person_is_told_apart_from_an_autoscalers() -> None:
    base = inputs.of_spec(worlds.deployment())

    assert inputs.of_spec(worlds.deployment(worlds.make_spec(serving={"replicas": 9}))) == base
    assert inputs.of_spec(worlds.deployment(worlds.make_spec(suspend=True))) != base
    assert inputs.of_spec(worlds.deployment(worlds.make_spec(suspend=False))) == base, (
        "a default says nothing"
    )


def test_the_front_is_made_from_its_gateway() -> None:
    base = inputs.of_front(worlds.deployment())

    assert inputs.of_front(worlds.deployment(worlds.make_spec(model={"uri": "s3://x/y"}))) == base
    other = worlds.make_spec(serving={"gateway": {"parentRef": {"sectionName": "https"}}})
    assert inputs.of_front(worlds.deployment(other)) != base


# Schedule.


@pytest.mark.parametrize(
    ("line", "due"),
    [
        ("0 3 * * *", datetime(2026, 3, 2, 3, tzinfo=UTC)),
        ("30 12 * * *", datetime(2026, 3, 1, 12, 30, tzinfo=UTC)),
        ("0 3 * * sun", datetime(2026, 3, 8, 3, tzinfo=UTC)),
        ("0 12 1 3 *", datetime(2027, 3, 1, 12, tzinfo=UTC)),
        ("0 0 31 2 *", None),
        ("* * * * * *", None),
        ("nonsense", None),
        ("99 * * * *", None),
    ],
)
def test_when_a_line_comes_due(line: str, due: datetime | None) -> None:
    assert schedule.following(line, worlds.NOW) == due
    assert schedule.is_readable(line) is (due is not None)


# Sentences.


@pytest.mark.parametrize(
    ("number", "said"), [(0, 0), (99, 99), (100, 100), (101, 100), (1234, 1200), (98_765, 99_000)]
)
def test_counts_are_rounded_to_two_digits_above_a_hundred(number: int, said: int) -> None:
    assert sentences.count(number) == said


@pytest.mark.parametrize(
    ("number", "needed", "said"),
    [
        (-5, 300, "0 of 300"),
        (59, 300, "30 of 300"),
        (300, 300, "300 of 300"),
        (9, 3, "3 of 3"),
        (1999, 2000, "1,800 of 2,000"),
    ],
)
def test_progress_is_said_in_tenths(number: int, needed: int, said: str) -> None:
    assert sentences.progress(number, needed) == said


def test_parts_of_a_sentence_are_joined_where_they_are_there() -> None:
    assert sentences.joined("a", None, "", "b") == "a; b"
    assert sentences.listed(()) == "none"
    assert sentences.share(None) is None
    assert sentences.moment(worlds.NOW.replace(microsecond=9)) == "2026-03-01T12:00:00Z"


# Changes.


def test_a_misspelt_field_is_an_error() -> None:
    with pytest.raises(KeyError, match="stabel"):
        change(ModelDeploymentStatus(), stabel=None)


# Stages.


@pytest.mark.parametrize(
    ("status", "stage"),
    [
        (ModelDeploymentStatus(), Stage.INSTALLING),
        (
            ModelDeploymentStatus(candidate=worlds.candidate(1, Phase.PROMOTING, trigger=Trigger.INSTALL)),
            Stage.INSTALLING,
        ),
        (ModelDeploymentStatus(stable=worlds.stable(), resolving=worlds.resolving()), Stage.EVALUATING),
        (ModelDeploymentStatus(stable=worlds.stable(), retraining=worlds.running()), Stage.RETRAINING),
        (ModelDeploymentStatus(stable=worlds.stable(), stalled="…"), Stage.STALLED),
        (
            ModelDeploymentStatus(
                stable=worlds.stable(),
                retraining=RetrainingStatus(
                    pending=PendingApproval(
                        token="retrain-1", trigger=Trigger.BREACH, since=worlds.NOW, because="…"
                    )
                ),
            ),
            Stage.AWAITING_APPROVAL,
        ),
        (
            ModelDeploymentStatus(
                stable=worlds.stable(), retraining=RetrainingStatus(cooldown_until=worlds.NOW)
            ),
            Stage.COOLING_DOWN,
        ),
        (ModelDeploymentStatus(stable=worlds.stable()), Stage.SERVING),
        *(
            (ModelDeploymentStatus(stable=worlds.stable(), candidate=worlds.candidate(2, phase)), stage)
            for phase, stage in (
                (Phase.EVALUATING, Stage.EVALUATING),
                (Phase.SHADOW, Stage.SHADOW),
                (Phase.CANARY, Stage.CANARY),
                (Phase.AWAITING_APPROVAL, Stage.AWAITING_APPROVAL),
                (Phase.PROMOTING, Stage.PROMOTING),
                (Phase.BAKING, Stage.PROMOTING),
                (Phase.ROLLING_BACK, Stage.ROLLING_BACK),
            )
        ),
    ],
)
def test_the_facts_of_a_status_amount_to_a_stage(status: ModelDeploymentStatus, stage: Stage) -> None:
    assert stages.natural(status) is stage


def test_a_new_model_may_begin_anywhere_and_every_model_may_stay() -> None:
    assert all(stages.leads(None, stage) and stages.leads(stage, stage) for stage in Stage)
    assert not stages.leads(Stage.SHADOW, Stage.SERVING)


def test_every_stage_can_be_reached_and_left() -> None:
    assert {here for here, _ in stages.EDGES} == set(Stage)
    assert {there for _, there in stages.EDGES} == set(Stage)
    assert all(here is not there for here, there in stages.EDGES)


def test_a_way_that_is_not_in_the_table_stalls_with_a_sentence_and_does_nothing() -> None:
    world = worlds.serving(labels=worlds.BAD, stage=Stage.SHADOW)

    made = decide(world)

    assert made.status.stage is Stage.STALLED
    assert made.because == (
        "a defect of Modelmend: no way leads from Shadow to Retraining (found retraining_is_due); nothing was done"
    )
    assert worlds.actions(made) == []
    assert made.status.retraining.running is None


def test_the_drawing_in_the_docs_is_what_the_table_says() -> None:
    checked = subprocess.run(
        [sys.executable, str(ROOT / "hack" / "stages.py"), "--check"], capture_output=True, text=True
    )

    assert checked.returncode == 0, checked.stderr


# The decision as a whole.


def test_a_finding_is_named_by_what_it_finds() -> None:
    names = [find.__name__ for find in decision.FINDINGS]

    assert len(names) == len(set(names))
    assert not [name for name in names if name.startswith(("check", "handle", "process", "do_"))]
    assert decide(worlds.serving()).finding == "model_serves"


def test_prescribe_of_diagnose_is_decide() -> None:
    world = worlds.serving(labels=worlds.BAD)

    assert decision.prescribe(decision.diagnose(world), world) == decide(world)


def test_more_to_do_is_done_at_once() -> None:
    world = worlds.serving()
    two = replace(
        world, front=replace(world.front, drifted=True), servers=(replace(world.servers[0], drifted=True),)
    )

    made = decide(worlds.at_rest(two))

    assert [type(action) for action in worlds.actions(made)] == [plan.ShiftTraffic]
    assert made.look_again_in == timedelta(0)


def test_a_world_without_moments_ahead_is_not_looked_at_again() -> None:
    world = worlds.serving(labels={})
    old = worlds.NOW - timedelta(days=30)
    stable = worlds.stable(since=old)
    silent = worlds.with_status(replace(world, poll=observed.Poll()), stable=stable)

    assert decide(worlds.at_rest(silent)).look_again_in is None


def test_a_handled_status_without_a_spec_is_taken_for_new() -> None:
    made = decide(worlds.with_status(worlds.serving(), handled=Handled(uri=worlds.URI)))

    assert made.status.handled.spec == inputs.of_spec(worlds.deployment())


# Recordings.


def test_a_recorded_life_decides_again_as_it_did() -> None:
    world = modelworld.new_world(spec=worlds.make_spec(rollout={"bake": "1m"}, retraining={"cooldown": "2m"}))
    world.behaviour["flights-v1"] = modelworld.Traffic(right=140, wrong=60)
    world.until(Stage.COOLING_DOWN)

    for seen, made in world.plans:
        seen_again = observed.load(json.loads(json.dumps(observed.dump(seen))))
        assert seen_again == seen
        assert plan.load(json.loads(json.dumps(plan.dump(made)))) == made
        assert decide(seen_again) == made


def test_a_plan_without_a_next_look_is_recorded_so() -> None:
    made = plan.Plan((), ModelDeploymentStatus(), "…", None)

    assert plan.load(json.loads(json.dumps(plan.dump(made)))) == made
