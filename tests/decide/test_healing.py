"""Serving, what asks for a retraining, who must agree, and what failures cost."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from decide import worlds
from modelmend.api.status import (
    Handled,
    PendingApproval,
    Phase,
    RetrainingStatus,
    Stage,
    Trigger,
)
from modelmend.contract import result
from modelmend.decide import decide, observed, plan
from modelmend.decide.observed import JobKind

MANUAL = worlds.make_spec(retraining={"approval": "Manual"})


def signals(*bodies: dict[str, object]) -> dict[str, object]:
    """The monitoring part of a spec."""
    return {"monitoring": {"signals": list(bodies)}}


def retraining(
    reported: result.Succeeded | result.Failed | None = None, **fields: object
) -> observed.Observed:
    """Retraining 11 runs, or has ended with this."""
    world = worlds.serving(
        labels=worlds.BAD, stage=Stage.RETRAINING, sequence=11, retraining=worlds.running(**fields)
    )
    return replace(world, jobs=(worlds.job(JobKind.RETRAIN, 11, reported),))


# Serving.


def test_a_model_that_serves_well_is_left_alone() -> None:
    made = decide(worlds.at_rest(worlds.serving()))

    assert made.actions == ()
    assert made.finding == "model_serves"
    assert made.because == (
        "flights-v1 serves; accuracy 0.950 over 1,000 labels is within the limit 0.850 (99.9% sure at least 0.911)"
    )
    assert worlds.is_(made, "Healthy") == "True (OK)"
    assert made.look_again_in == timedelta(minutes=5) - timedelta(seconds=10), "when the poll is stale"


def test_a_few_more_labels_are_not_worth_a_write() -> None:
    world = worlds.at_rest(worlds.serving())
    more = replace(world, ledgers={"6f1c2d3e-1": worlds.counted(world.deployment, 1, right=1030, wrong=55)})
    many = replace(world, ledgers={"6f1c2d3e-1": worlds.counted(world.deployment, 1, right=1400, wrong=75)})
    fewer = replace(world, ledgers={"6f1c2d3e-1": worlds.counted(world.deployment, 1, right=935, wrong=65)})

    assert decide(more).status == world.deployment.status
    assert decide(many).status.signals[0].n == 1500
    assert decide(fewer).status.signals[0].value == 0.935


def test_a_champion_without_a_ready_pod_is_said() -> None:
    made = decide(worlds.serving(server_fields={"ready": 0, "trouble": "container server: OOMKilled"}))

    assert made.because == "flights-v1 has no ready pod; container server: OOMKilled"
    assert worlds.is_(made, "Ready") == "False (NotServing)"
    assert worlds.actions(made) == []


# Triggers.


def test_a_breach_starts_a_retraining_with_the_sentence_of_the_signal() -> None:
    world = worlds.serving(labels=worlds.BAD)

    made = decide(world)

    (launched,) = worlds.actions(made)
    assert isinstance(launched, plan.LaunchRetraining)
    assert launched.version == "flights-v2"
    assert launched.champion.digest == worlds.digest(1)
    running = made.status.retraining.running
    assert running is not None
    assert (running.sequence, running.trigger) == (11, Trigger.BREACH)
    assert running.because == made.status.signals[0].because
    assert (running.data_from, running.data_to) == (worlds.NOW - timedelta(hours=720), worlds.NOW)
    assert made.status.stage is Stage.RETRAINING
    assert worlds.is_(made, "Ready") == "True (Retraining)"
    assert worlds.is_(made, "Healthy") == "False (Breached)"
    assert worlds.is_(made, "Progressing") == "True (Retraining)"
    events = [(action.reason, action.tone) for action in made.actions if isinstance(action, plan.Notify)]
    assert ("SignalBreached", plan.Tone.WARNING) in events
    assert ("Retraining", plan.Tone.NORMAL) in events


def test_a_dataset_leaves_its_window_to_the_trainer() -> None:
    dataset = {"uri": "s3://data/flights.parquet", "label": "late", "time": "at"}
    spec = worlds.make_spec(retraining={"data": {"dataset": dataset}})

    running = decide(worlds.serving(spec=spec, labels=worlds.BAD)).status.retraining.running

    assert running is not None
    assert running.data_from is running.data_to is None


@pytest.mark.parametrize("action", ["Alert", "Ignore"])
def test_a_breach_that_shall_not_heal_starts_nothing(action: str) -> None:
    spec = worlds.make_spec(**signals({"name": "accuracy", "minimum": 0.85, "action": action}))

    made = decide(worlds.serving(spec=spec, labels=worlds.BAD))

    assert made.finding == "model_serves"
    assert worlds.actions(made) == []
    healthy = {"Alert": "False (Breached)", "Ignore": "Unknown (NothingJudged)"}
    assert worlds.is_(made, "Healthy") == healthy[action]


def test_unknown_never_retrains() -> None:
    world = worlds.serving(labels=worlds.BAD)
    silent = replace(
        world, poll=observed.Poll(at=worlds.NOW - timedelta(minutes=6), problem="connection refused")
    )
    early = worlds.serving(labels={"right": 10, "wrong": 90})

    for unknown in (silent, early, replace(world, poll=observed.Poll()), replace(world, ledgers={})):
        made = decide(unknown)
        assert made.status.signals[0].verdict == "Unknown"
        assert worlds.actions(made) == []


def test_no_retraining_while_it_cools_down() -> None:
    rest = RetrainingStatus(
        cooldown_until=worlds.NOW + timedelta(hours=1), cooldown_because="retraining 9 failed"
    )
    world = worlds.serving(labels=worlds.BAD, retraining=rest, stage=Stage.COOLING_DOWN)

    made = decide(world)

    assert made.finding == "model_cools_down"
    assert made.because == "cooling down until 2026-03-01T13:00:00Z: retraining 9 failed"
    assert worlds.actions(made) == []


def test_cooldown_ends_at_its_moment() -> None:
    rest = RetrainingStatus(cooldown_until=worlds.NOW)
    world = worlds.serving(labels=worlds.BAD, retraining=rest, stage=Stage.COOLING_DOWN)

    made = decide(world)
    then = decide(worlds.with_status(world, **dict(made.status)))

    assert (made.finding, made.status.stage) == ("cooldown_is_over", Stage.SERVING)
    assert made.look_again_in == timedelta(0)
    assert then.finding == "retraining_is_due"


def test_a_person_who_asks_does_not_wait_for_the_cooldown() -> None:
    rest = RetrainingStatus(cooldown_until=worlds.NOW + timedelta(hours=1))
    asked = {"modelmend.dev/retrain-requested-at": "now"}
    world = worlds.serving(annotations=asked, retraining=rest, stage=Stage.COOLING_DOWN)

    made = decide(world)

    assert made.status.retraining.running is not None
    assert made.status.retraining.running.trigger is Trigger.REQUEST
    assert made.status.handled.retrain == "now"
    assert "a person asked for it (now)" in made.because


def test_a_request_is_acted_on_once_and_may_be_made_again_when_it_was_taken_away() -> None:
    asked = {"modelmend.dev/retrain-requested-at": "now"}
    done = worlds.serving(annotations=asked, handled=Handled(retrain="now"))
    removed = worlds.serving(handled=Handled(retrain="now"))

    assert decide(done).finding == "model_serves"
    assert decide(removed).status.handled.retrain is None


def test_a_schedule_is_due_once_however_often_it_was_missed() -> None:
    spec = worlds.make_spec(retraining={"schedule": "0 3 * * *"})
    since = RetrainingStatus(schedule="0 3 * * *", scheduled=datetime(2026, 2, 20, tzinfo=UTC))
    world = worlds.serving(spec=spec, retraining=since)

    made = decide(world)
    assert made.status.retraining.running is not None
    assert made.status.retraining.running.trigger is Trigger.SCHEDULE
    assert "the schedule 0 3 * * * was due at 2026-02-20T03:00:00Z" in made.because
    assert made.status.retraining.scheduled == worlds.NOW

    ended = made.status.retraining.model_copy(update={"running": None})
    after = decide(worlds.at_rest(worlds.with_status(world, retraining=ended)))
    assert after.finding == "model_serves"


def test_a_schedule_counts_from_when_it_was_first_seen() -> None:
    world = worlds.edited(worlds.serving(), retraining={"schedule": "0 3 * * *"})

    made = decide(world)

    assert made.finding == "model_serves"
    assert made.status.retraining.scheduled == worlds.NOW
    gone = worlds.edited(worlds.with_status(world, **dict(made.status)), retraining={"schedule": None})
    assert decide(gone).status.retraining.scheduled is None


def test_the_next_tick_of_the_schedule_is_looked_at_in_time() -> None:
    spec = worlds.make_spec(retraining={"schedule": "2 12 * * *"})

    assert decide(worlds.at_rest(worlds.serving(spec=spec))).look_again_in == timedelta(minutes=2)


# Approval.


def test_a_manual_retraining_waits_for_a_person_with_a_token() -> None:
    made = decide(worlds.serving(spec=MANUAL, labels=worlds.BAD))

    assert made.status.stage is Stage.AWAITING_APPROVAL
    assert made.status.retraining.pending is not None
    assert made.status.retraining.pending.token == "retrain-11"
    assert made.status.sequence == 11
    assert "modelmend.dev/approve=retrain-11" in made.because
    assert worlds.actions(made) == []
    assert worlds.is_(made, "Ready") == "True (AwaitingApproval)"


def pending(labels: dict[str, int] = worlds.BAD, **fields: object) -> observed.Observed:
    """retrain-11 waits for a person."""
    trigger = fields.pop("trigger", Trigger.BREACH)
    waits = PendingApproval(token="retrain-11", trigger=trigger, since=worlds.NOW, because="accuracy fell")
    return worlds.serving(
        spec=MANUAL,
        labels=labels,
        stage=Stage.AWAITING_APPROVAL,
        sequence=11,
        retraining=RetrainingStatus(pending=waits),
        **fields,
    )


def test_an_approved_retraining_begins_under_the_number_that_was_approved() -> None:
    made = decide(pending(annotations={"modelmend.dev/approve": "retrain-11"}))

    assert [action.sequence for action in worlds.actions(made, plan.LaunchRetraining)] == [11]
    assert made.status.retraining.pending is None
    assert made.status.handled.approve == "retrain-11"
    assert made.status.stage is Stage.RETRAINING


@pytest.mark.parametrize("token", ["retrain-10", worlds.digest(2)])
def test_another_approval_approves_nothing(token: str) -> None:
    made = decide(pending(annotations={"modelmend.dev/approve": token}))

    assert made.finding == "retraining_awaits_approval"
    assert made.status.handled.approve is None, "it may be what is asked for later"


def test_a_breach_that_ended_makes_the_question_outdated() -> None:
    made = decide(pending(worlds.GOOD))

    assert (made.finding, made.status.stage) == ("retraining_is_outdated", Stage.COOLING_DOWN)
    assert made.status.retraining.pending is None
    assert made.status.retraining.attempts == ()


def test_not_knowing_makes_no_question_outdated_and_neither_does_health_on_request() -> None:
    assert decide(pending({"right": 5, "wrong": 0})).finding == "retraining_awaits_approval"
    assert decide(pending(worlds.GOOD, trigger=Trigger.REQUEST)).finding == "retraining_awaits_approval"


@pytest.mark.parametrize("token", ["retrain-11"])
def test_a_refused_retraining_cools_down_and_costs_nothing(token: str) -> None:
    made = decide(pending(annotations={"modelmend.dev/abort": token}))

    assert (made.finding, made.status.stage) == ("retraining_was_aborted", Stage.COOLING_DOWN)
    assert made.status.retraining.pending is None
    assert made.status.retraining.attempts == ()
    assert made.status.handled.abort == token


# The Job.


def test_one_job_at_a_time() -> None:
    made = decide(worlds.at_rest(retraining()))

    assert made.finding == "retraining_runs"
    assert made.actions == ()
    assert made.because == "retraining 11 runs: accuracy fell"


def test_a_job_that_was_ordered_and_never_made_is_made() -> None:
    world = replace(retraining(uid=None), jobs=())

    assert [action.job for action in worlds.actions(decide(world))] == ["flights-retrain-11-6f1c2d3e"]


def test_a_job_is_known_once_it_was_seen() -> None:
    running = decide(retraining(uid=None)).status.retraining.running

    assert running is not None
    assert running.uid == "job-11"


def test_a_job_that_cannot_start_says_why() -> None:
    world = replace(retraining(), jobs=(worlds.job(JobKind.RETRAIN, 11, trouble="PVC ml is missing"),))

    assert decide(world).because == "retraining 11 runs: accuracy fell; PVC ml is missing"


def test_a_result_becomes_the_candidate() -> None:
    made = decide(retraining(worlds.succeeded(2, warnings=("few rows",))))

    assert made.status.stage is Stage.EVALUATING
    assert made.status.candidate is not None
    assert made.status.candidate.phase is Phase.EVALUATING
    assert made.status.candidate.version == "flights-v2"
    assert made.because == "retraining 11 made flights-v2; few rows"
    (record,) = worlds.actions(made)
    assert record.spec.parent.version == "flights-v1"
    assert record.spec.because == "accuracy fell"


@pytest.mark.parametrize(
    ("world", "why"),
    [
        (retraining(result.Failed(error="one class only")), "one class only"),
        (replace(retraining(), jobs=()), "somebody deleted its Job before it ended"),
        (replace(retraining(), now=worlds.NOW + timedelta(hours=1)), "its Job did not end in time"),
        (
            replace(
                retraining(uid=None), jobs=(), now=worlds.NOW + timedelta(hours=1), blocked="quota exceeded"
            ),
            "its Job did not end in time; quota exceeded",
        ),
    ],
    ids=["it says so", "it was deleted", "it hangs", "it could not be made"],
)
def test_a_failed_retraining_spends_budget_and_rests(world: observed.Observed, why: str) -> None:
    made = decide(world)

    assert (made.finding, made.status.stage) == ("retraining_failed", Stage.COOLING_DOWN)
    retraining = made.status.retraining
    assert retraining.attempts == (world.now,)
    assert retraining.failures == 1
    assert retraining.cooldown_until == world.now + timedelta(hours=6, minutes=1)
    assert retraining.cooldown_because == f"retraining 11 failed: {why}"
    assert retraining.running is None
    assert all(isinstance(action, plan.RemoveJob) for action in worlds.actions(made))


def test_a_result_that_comes_late_is_still_a_result() -> None:
    world = replace(retraining(worlds.succeeded(2)), now=worlds.NOW + timedelta(hours=2))

    assert decide(world).finding == "retraining_made_an_artifact"


@pytest.mark.parametrize(
    ("failures", "extra"),
    [(0, 1), (1, 2), (2, 4), (8, 256), (9, 360), (99, 360)],
    ids=lambda value: str(value),
)
def test_rest_doubles_with_each_failure_in_a_row_up_to_a_limit(failures: int, extra: int) -> None:
    world = retraining(result.Failed(error="no"))
    spent = world.deployment.status.retraining.model_copy(update={"failures": failures})

    made = decide(worlds.with_status(world, retraining=spent))

    assert made.status.retraining.cooldown_until == worlds.NOW + timedelta(hours=6, minutes=extra)


def test_an_aborted_retraining_costs_a_rest_and_no_attempt() -> None:
    for word in ("retrain-11", "flights-v2"):
        owner = retraining()
        annotated = owner.deployment.metadata.model_copy(
            update={"annotations": {"modelmend.dev/abort": word}}
        )
        made = decide(replace(owner, deployment=owner.deployment.model_copy(update={"metadata": annotated})))

        assert (made.finding, made.status.stage) == ("retraining_was_aborted", Stage.COOLING_DOWN)
        assert made.status.retraining.attempts == ()
        assert [action.name for action in worlds.actions(made)] == ["flights-retrain-11-6f1c2d3e"]


# Budget.


def spent(*hours_ago: float, **fields: object) -> observed.Observed:
    """Failures so many hours ago."""
    attempts = tuple(worlds.NOW - timedelta(hours=hours) for hours in hours_ago)
    retraining = RetrainingStatus(
        attempts=attempts,
        failures=len(attempts),
        cooldown_until=worlds.NOW + timedelta(hours=1),
        cooldown_because="retraining 11 failed: no",
    )
    return worlds.serving(labels=worlds.BAD, stage=Stage.COOLING_DOWN, retraining=retraining, **fields)


def test_a_spent_budget_stalls_and_says_what_to_do() -> None:
    made = decide(spent(1, 5, 23))

    assert (made.finding, made.status.stage) == ("budget_is_spent", Stage.STALLED)
    assert made.status.stalled is not None
    assert "3 attempts to heal failed within 24 h, the last one: retraining 11 failed: no" in made.because
    assert "modelmend.dev/reset" in made.because
    assert worlds.is_(made, "Stalled") == "True (Stalled)"
    assert worlds.is_(made, "Ready") == "False (Stalled)"
    assert worlds.is_(made, "Healthy") == "False (Breached)", "signals are judged on"


def test_old_failures_no_longer_count() -> None:
    assert decide(spent(1, 5, 25)).finding == "model_cools_down"


def stalled(**fields: object) -> observed.Observed:
    """Stalled by a spent budget."""
    world = spent(1, 5, 23, **fields)
    return worlds.with_status(world, **dict(decide(world).status))


def test_stalled_stays_so_by_time_and_by_requests() -> None:
    made = decide(stalled())
    assert (made.finding, made.actions) == ("model_is_stalled", ())

    asked = stalled(annotations={"modelmend.dev/retrain-requested-at": "now"})
    assert decide(asked).finding == "model_is_stalled"
    assert decide(asked).status.handled.retrain is None, "it waits for the reset"


def test_a_changed_spec_ends_stalled_and_forgives_but_a_scaling_does_not() -> None:
    changed = decide(worlds.edited(stalled(), retraining={"budget": {"attempts": 4}}))
    scaled = decide(worlds.edited(stalled(), serving={"replicas": 5}))

    assert changed.status.stalled is None
    assert changed.status.retraining.attempts == ()
    assert changed.finding == "retraining_is_due"
    assert scaled.finding == "model_is_stalled"


def test_a_reset_ends_stalled_and_has_the_breach_proven_anew() -> None:
    made = decide(stalled(annotations={"modelmend.dev/reset": "1"}))

    assert made.status.stage is Stage.SERVING
    assert made.status.stalled is None
    assert made.status.stable is not None
    assert made.status.stable.evidence_since == worlds.NOW
    then = worlds.with_status(stalled(annotations={"modelmend.dev/reset": "1"}), **dict(made.status))
    assert decide(then).status.signals[0].verdict == "Unknown", "the detector begins anew"


def test_a_stalled_model_in_the_middle_of_something_is_a_defect_and_moves_nothing() -> None:
    world = worlds.rolling(
        Phase.CANARY, status_fields={"stalled": "a defect of Modelmend: …", "stage": Stage.STALLED}
    )

    made = decide(world)

    assert (made.finding, made.status.stage) == ("defect_is_held", Stage.STALLED)
    assert worlds.actions(made) == []


def test_only_rotten_history_is_unreferenced() -> None:
    digests = (worlds.digest(7), worlds.digest(1))
    world = worlds.serving(labels=worlds.BAD, retraining=RetrainingStatus(unreferenced=digests))

    (launched,) = worlds.actions(decide(world), plan.LaunchRetraining)

    assert launched.unreferenced == (worlds.digest(7),), "what a version still needs is not deleted"
