"""Annotations, suspend and pin."""

from dataclasses import replace
from datetime import timedelta

import pytest

from decide import worlds
from modelmend.api.status import Handled, Phase, Refusal, RetrainingStatus, Stage, Trigger
from modelmend.decide import decide, observed, plan
from modelmend.decide.observed import JobKind

BACK = {"modelmend.dev/rollback-to": "flights-v1"}


def with_annotations(world: observed.Observed, **annotations: str) -> observed.Observed:
    """The same world with these annotations of ours."""
    given = {f"modelmend.dev/{name.replace('_', '-')}": value for name, value in annotations.items()}
    metadata = world.deployment.metadata.model_copy(update={"annotations": given})
    return replace(world, deployment=world.deployment.model_copy(update={"metadata": metadata}))


# reset


@pytest.mark.parametrize("phase", [Phase.SHADOW, Phase.CANARY, Phase.ROLLING_BACK])
def test_a_reset_leaves_a_rollout_alone(phase: Phase) -> None:
    world = with_annotations(worlds.rolling(phase), reset="1")

    made = decide(world)

    assert made.finding == "reset_was_asked"
    assert made.status.stage is world.deployment.status.stage
    assert made.status.candidate is not None
    assert made.status.candidate.phase is phase


def test_a_reset_ends_the_rest_and_is_done_once() -> None:
    rest = RetrainingStatus(
        cooldown_until=worlds.NOW + timedelta(hours=1), failures=2, attempts=(worlds.NOW,)
    )
    world = with_annotations(worlds.serving(retraining=rest, stage=Stage.COOLING_DOWN), reset="1")

    made = decide(world)
    again = decide(worlds.with_status(world, **dict(made.status)))

    assert made.status.stage is Stage.SERVING
    assert made.status.retraining == RetrainingStatus()
    assert again.finding == "model_serves"


# abort


@pytest.mark.parametrize(
    ("world", "known"),
    [
        (worlds.serving(), "none"),
        (worlds.serving(retraining=worlds.running(), stage=Stage.RETRAINING), "retrain-11, flights-v2"),
        (worlds.rolling(Phase.CANARY), f"flights-v2, {worlds.digest(2)}"),
        (worlds.rolling(Phase.ROLLING_BACK), "none"),
    ],
    ids=["nothing", "a retraining", "a candidate", "a rollback"],
)
def test_an_abort_of_what_is_not_in_flight_is_answered(world: observed.Observed, known: str) -> None:
    world = replace(world, jobs=(worlds.job(JobKind.RETRAIN, 11),) if "retrain" in known else ())

    made = decide(with_annotations(world, abort="flights-v9"))

    assert made.finding == "abort_names_nothing"
    assert made.status.handled.abort == "flights-v9"
    assert made.status.stage is world.deployment.status.stage
    (event,) = [action for action in made.actions if isinstance(action, plan.Notify)]
    assert (event.reason, event.tone) == ("NothingToAbort", plan.Tone.WARNING)
    assert event.message == f"nothing to abort: flights-v9 is not in flight ({known})"


# rollback-to


@pytest.mark.parametrize(
    ("world", "why"),
    [
        (
            worlds.serving(3),
            "cannot roll back to flights-v9: known versions: flights-v1, flights-v2, flights-v3",
        ),
        (
            worlds.rolling(Phase.CANARY),
            "cannot roll back to flights-v9: known versions: flights-v1, flights-v2",
        ),
        (
            worlds.serving(
                spec=worlds.make_spec(model={"pin": "flights-v1"}), handled=Handled(uri=worlds.URI)
            ),
            "cannot roll back to flights-v9: spec.model.pin names flights-v1",
        ),
        (
            observed.Observed(now=worlds.NOW, deployment=worlds.deployment(), settings=worlds.SETTINGS),
            "cannot roll back to flights-v9: nothing serves yet",
        ),
    ],
    ids=["unknown", "in a rollout", "pinned", "nothing serves"],
)
def test_a_rollback_that_cannot_be_is_refused_with_the_versions_that_are_known(
    world: observed.Observed, why: str
) -> None:
    asked = with_annotations(world, rollback_to="flights-v9")
    made = decide(asked)

    assert made.finding == "rollback_target_is_unknown"
    assert made.status.refusal is not None
    assert made.status.refusal.message == why
    assert worlds.is_(made, "Stalled") == "True (UnknownVersion)"

    held = worlds.with_status(asked, **dict(made.status))
    assert decide(held).status.refusal is not None
    assert decide(with_annotations(held)).status.refusal is None, "it goes with the annotation"
    assert decide(with_annotations(held)).status.handled.rollback_to is None


def test_a_known_version_comes_up_again_under_a_new_life() -> None:
    made = decide(with_annotations(worlds.serving(3), rollback_to="flights-v1"))

    assert (made.finding, made.status.stage) == ("rollback_was_asked", Stage.PROMOTING)
    candidate = made.status.candidate
    assert candidate is not None
    assert (candidate.trigger, candidate.phase) == (Trigger.ROLLBACK_TO, Phase.PROMOTING)
    assert candidate.rollout == worlds.rollout(11)
    assert made.status.handled.rollback_to == "flights-v1"
    (pods, told) = worlds.actions(made)
    assert (pods.version, pods.replicas, pods.champion) == ("flights-v1", 2, None)
    assert (told.name, told.state) == ("flights-v1", "Candidate")


def test_pods_that_still_run_are_taken_as_they_are() -> None:
    world = worlds.serving(2)
    world = replace(world, servers=(*world.servers, worlds.server(1)))

    made = decide(with_annotations(world, rollback_to="flights-v1"))

    assert made.status.candidate is not None
    assert made.status.candidate.rollout == worlds.rollout(1)
    assert made.status.sequence == world.deployment.status.sequence
    (shift, _) = worlds.actions(made)
    assert shift.backends == (observed.Backend("flights-v1", worlds.SOLO, 100),)


def coming_back(trigger: Trigger = Trigger.ROLLBACK_TO, **fields: object) -> observed.Observed:
    """Version 1 comes up again beside version 2."""
    back = worlds.candidate(
        1,
        Phase.PROMOTING,
        trigger=trigger,
        rollout=worlds.rollout(11),
        arm=worlds.SOLO,
        champion="flights-v2",
        champion_rollout=worlds.rollout(2),
    )
    spec = worlds.make_spec(model={"pin": "flights-v1"}) if trigger is Trigger.PIN else None
    handled = Handled(uri=worlds.URI, rollback_to="flights-v1", pin="flights-v1")
    annotations = BACK if trigger is Trigger.ROLLBACK_TO else {}
    world = worlds.serving(
        2, spec=spec, candidate=back, handled=handled, stage=Stage.PROMOTING, annotations=annotations
    )
    server = worlds.server(1, rollout=worlds.rollout(11), **fields)
    return replace(
        world,
        versions=(worlds.version(1), worlds.version(2, state="Champion")),
        servers=(*world.servers, server),
    )


@pytest.mark.parametrize("trigger", [Trigger.ROLLBACK_TO, Trigger.PIN])
def test_a_persons_choice_takes_all_traffic_when_all_its_pods_are_ready(trigger: Trigger) -> None:
    waiting = decide(worlds.at_rest(coming_back(trigger, ready=1)))
    assert waiting.finding == "version_is_coming_up"
    assert worlds.actions(waiting) == []
    assert "1 of 2 pods of flights-v1 ready" in waiting.because

    made = decide(coming_back(trigger))
    (shift,) = worlds.actions(made)
    assert shift.backends == (observed.Backend("flights-v1", worlds.SOLO, 100),)
    assert worlds.is_(made, "Reconciling") == "True (Promoting)"


def test_a_persons_choice_takes_over_with_one_pod_where_nothing_else_answers() -> None:
    world = coming_back(ready=1)
    down = replace(world, servers=(replace(world.servers[0], ready=0), world.servers[1]))

    assert worlds.actions(decide(down), plan.ShiftTraffic)


def test_a_persons_choice_keeps_its_traffic_when_one_of_its_pods_restarts() -> None:
    world = replace(coming_back(ready=1), front=worlds.front((1, worlds.SOLO, 100), accepted=False))

    assert worlds.actions(decide(worlds.at_rest(world))) == []


def test_going_back_ends_with_the_version_left_behind_rejected_and_a_rest() -> None:
    made = decide(replace(coming_back(), front=worlds.front((1, worlds.SOLO, 100))))

    assert (made.finding, made.status.stage) == ("version_has_taken_over", Stage.COOLING_DOWN)
    stable = made.status.stable
    assert stable is not None
    assert (stable.version, stable.rollout) == ("flights-v1", worlds.rollout(11))
    assert made.status.rejected == (worlds.digest(2),)
    assert made.status.retraining.cooldown_until == worlds.NOW + timedelta(hours=6)
    retire, *told = worlds.actions(made)
    assert retire == plan.Retire("flights-v2")
    assert {(story.name, story.state) for story in told} == {
        ("flights-v1", "Champion"),
        ("flights-v2", "RolledBack"),
    }


def test_going_back_twice_remembers_a_digest_once() -> None:
    world = replace(coming_back(), front=worlds.front((1, worlds.SOLO, 100)))

    made = decide(worlds.with_status(world, rejected=(worlds.digest(2), worlds.digest(1))))

    assert made.status.rejected == (worlds.digest(2),)


def test_a_pinned_version_serves_and_nothing_is_rejected() -> None:
    made = decide(replace(coming_back(Trigger.PIN), front=worlds.front((1, worlds.SOLO, 100))))

    assert (made.status.stage, made.because) == (Stage.SERVING, "flights-v1 serves, pinned by spec.model.pin")
    assert made.status.rejected == ()
    assert made.status.retraining.cooldown_until is None


@pytest.mark.parametrize("trigger", [Trigger.ROLLBACK_TO, Trigger.PIN])
def test_a_persons_choice_that_cannot_start_is_refused_and_what_served_serves_on(trigger: Trigger) -> None:
    world = coming_back(trigger, ready=0, trouble="artifact is gone")
    candidate = world.deployment.status.candidate
    assert candidate is not None
    since = candidate.model_copy(update={"unready_since": worlds.NOW - timedelta(minutes=3)})
    late = worlds.with_status(world, candidate=since)

    made = decide(late)
    assert (made.finding, made.status.stage) == ("version_never_became_ready", Stage.ROLLING_BACK)
    back = worlds.with_status(late, **dict(made.status))
    assert [action.version for action in worlds.actions(decide(back), plan.Retire)] == ["flights-v1"]

    told = (worlds.version(1, state="RolledBack"), worlds.version(2, state="Champion"))
    done = decide(replace(back, servers=back.servers[:1], versions=told))
    assert done.finding == "traffic_is_back"
    assert done.status.refusal is not None
    assert "artifact is gone" in done.status.refusal.message
    assert done.status.refusal.token == ("flights-v1" if trigger is Trigger.ROLLBACK_TO else None)
    after = decide(
        worlds.at_rest(
            replace(worlds.with_status(back, **dict(done.status)), servers=back.servers[:1], versions=told)
        )
    )
    assert after.status.candidate is None, "it is not tried again until a person says so"
    assert worlds.is_(after, "Stalled") == "True (RolloutRejected)"


def test_going_back_while_the_old_champions_version_has_no_ready_pod_says_so() -> None:
    world = worlds.rolling(
        Phase.ROLLING_BACK, trigger=Trigger.PIN, champion_ready=0, failure="f", reason="Unready"
    )

    made = decide(replace(world, servers=world.servers[:1]))

    assert made.because == "f; flights-v1 has no ready pod"


def test_going_back_to_what_serves_is_answered_and_changes_nothing() -> None:
    made = decide(with_annotations(worlds.serving(), rollback_to="flights-v1"))

    assert made.because == "flights-v1 serves already"
    assert made.status.handled.rollback_to == "flights-v1"
    assert made.status.candidate is None


def test_going_back_ends_stalled() -> None:
    stalled = worlds.serving(
        2,
        stalled="3 attempts failed",
        stage=Stage.STALLED,
        retraining=RetrainingStatus(attempts=(worlds.NOW,) * 3),
    )

    made = decide(with_annotations(stalled, rollback_to="flights-v1"))

    assert made.status.stage is Stage.PROMOTING
    assert made.status.stalled is None
    assert made.status.retraining.attempts == ()


# pin


@pytest.mark.parametrize("field", ["running", "pending", "resolving"])
def test_a_pin_drops_what_is_in_flight_and_costs_nothing(field: str) -> None:
    status: dict[str, object] = {"retraining": worlds.running(), "stage": Stage.RETRAINING}
    if field == "resolving":
        status = {"resolving": worlds.resolving(), "stage": Stage.EVALUATING}
    world = worlds.edited(worlds.serving(**status), model={"pin": "flights-v1"})

    made = decide(world)

    assert (made.finding, made.status.stage) == ("model_is_pinned", Stage.SERVING)
    assert made.status.retraining == RetrainingStatus()
    assert made.status.resolving is None
    assert made.status.handled.pin == "flights-v1"
    assert made.status.handled.uri == (None if field == "resolving" else worlds.URI)


def test_a_pinned_model_heals_nothing_and_reads_nothing() -> None:
    spec = worlds.make_spec(model={"pin": "flights-v1", "uri": "s3://models/flights/other"})
    world = worlds.serving(spec=spec, labels=worlds.BAD, handled=Handled(uri=worlds.URI, pin="flights-v1"))

    made = decide(worlds.at_rest(world))

    assert (made.finding, made.actions) == ("model_is_pinned", ())
    assert worlds.is_(made, "Healthy") == "False (Breached)"
    assert worlds.is_(made, "Ready") == "True (Serving)"


def test_a_request_to_retrain_a_pinned_model_is_answered() -> None:
    spec = worlds.make_spec(model={"pin": "flights-v1"})
    made = decide(with_annotations(worlds.serving(spec=spec), retrain_requested_at="now"))

    (event,) = [action for action in made.actions if isinstance(action, plan.Notify)]
    assert event.message == "not retrained: spec.model.pin names flights-v1"
    assert made.status.handled.retrain == "now"


def test_a_pin_of_a_known_version_brings_it_up() -> None:
    made = decide(worlds.edited(worlds.serving(3), model={"pin": "flights-v2"}))

    assert (made.finding, made.status.stage) == ("pin_was_asked", Stage.PROMOTING)
    assert [action.version for action in worlds.actions(made, plan.EnsureServing)] == ["flights-v2"]


def test_a_pin_of_an_unknown_version_is_refused_with_those_that_are_known() -> None:
    made = decide(worlds.edited(worlds.serving(2), model={"pin": "flights-v9"}))

    assert made.because == "flights-v2 serves; spec.model.pin names flights-v9, and nothing is healed"
    assert worlds.is_(made, "Stalled") == "True (UnknownVersion)"
    condition = worlds.condition(made, "Stalled")
    assert condition is not None
    assert "known versions: flights-v1, flights-v2" in condition.message


def test_the_first_version_is_installed_whatever_the_pin() -> None:
    spec = worlds.make_spec(model={"pin": "flights-v3"})
    world = observed.Observed(now=worlds.NOW, deployment=worlds.deployment(spec), settings=worlds.SETTINGS)

    assert worlds.actions(decide(world), plan.LaunchResolve)


@pytest.mark.parametrize("pin", [None, "flights-v2"])
def test_a_pin_that_changes_in_the_middle_ends_what_it_began(pin: str | None) -> None:
    made = decide(worlds.edited(coming_back(Trigger.PIN), model={"pin": pin}))

    assert made.finding == "candidate_is_unwanted"
    assert made.status.candidate is not None
    assert made.status.candidate.reason == "Superseded"


def test_healing_goes_on_when_the_pin_is_gone() -> None:
    spec = worlds.make_spec(model={"pin": "flights-v1"})
    world = worlds.edited(worlds.serving(spec=spec, labels=worlds.BAD), model={"pin": None})

    assert decide(world).finding == "retraining_is_due"


# suspend


@pytest.mark.parametrize(
    ("fields", "uri"),
    [
        ({}, worlds.URI),
        ({"retraining": worlds.running(), "stage": Stage.RETRAINING}, worlds.URI),
        ({"resolving": worlds.resolving(), "stage": Stage.EVALUATING}, None),
    ],
    ids=["nothing", "a retraining", "a reading"],
)
def test_a_suspended_model_only_observes(fields: dict[str, object], uri: str | None) -> None:
    world = worlds.edited(worlds.serving(labels=worlds.BAD, **fields), suspend=True)
    world = replace(world, jobs=(worlds.job(JobKind.RETRAIN, 11),) if "retraining" in fields else ())

    made = decide(world)

    assert (made.finding, made.status.stage) == ("model_is_suspended", Stage.SUSPENDED)
    assert made.status.retraining == RetrainingStatus()
    assert made.status.handled.uri == uri
    assert all(isinstance(action, plan.RemoveJob) for action in worlds.actions(made))
    assert worlds.is_(made, "Ready") == "True (Suspended)"
    assert worlds.is_(made, "Healthy") == "False (Breached)"


def test_a_suspended_model_is_served_as_spec_says() -> None:
    world = worlds.edited(worlds.serving(), suspend=True, serving={"replicas": 5})

    assert [(action.version, action.replicas) for action in worlds.actions(decide(world))] == [
        ("flights-v1", 5)
    ]


@pytest.mark.parametrize("annotation", ["retrain-requested-at", "rollback-to"])
def test_a_command_waits_for_the_end_of_the_suspension(annotation: str) -> None:
    world = with_annotations(
        worlds.edited(worlds.serving(2), suspend=True), **{annotation.replace("-", "_"): "flights-v1"}
    )
    made = decide(world)

    assert made.because.endswith(f"the annotation modelmend.dev/{annotation} waits")
    assert made.status.handled == decide(worlds.edited(worlds.serving(2), suspend=True)).status.handled


def test_an_abort_in_a_suspension_waits_too() -> None:
    world = with_annotations(worlds.edited(worlds.serving(), suspend=True), abort="flights-v9")

    assert decide(world).status.handled.abort is None


def test_an_install_that_is_suspended_begins_again_afterwards() -> None:
    new = observed.Observed(now=worlds.NOW, deployment=worlds.deployment(), settings=worlds.SETTINGS)
    begun = worlds.with_status(new, **dict(decide(new).status))
    world = worlds.edited(begun, suspend=True)

    made = decide(world)
    assert made.status.stage is Stage.SUSPENDED
    assert worlds.actions(made) == []
    assert made.because == "suspended by spec.suspend: nothing serves yet and nothing is begun"
    assert worlds.is_(made, "Reconciling") is None
    resumed = worlds.edited(worlds.with_status(world, **dict(made.status)), suspend=False)
    assert worlds.actions(decide(resumed), plan.LaunchResolve)


def test_going_back_that_was_suspended_is_asked_for_again_afterwards() -> None:
    world = worlds.edited(coming_back(), suspend=True)
    back = worlds.with_status(world, **dict(decide(world).status))
    assert back.deployment.status.stage is Stage.ROLLING_BACK

    told = (worlds.version(1, state="RolledBack"), worlds.version(2, state="Champion"))
    made = decide(replace(back, servers=back.servers[:1], versions=told))

    assert made.status.handled.rollback_to is None
    assert made.status.refusal is None


def test_a_refusal_of_a_command_does_not_stop_the_next_artifact() -> None:
    refusal = Refusal(generation=1, reason="UnknownVersion", message="…", token="flights-v9")
    world = worlds.serving(refusal=refusal, handled=Handled(uri="s3://old", rollback_to="flights-v9"))

    made = decide(with_annotations(world, rollback_to="flights-v9"))

    assert worlds.actions(made, plan.LaunchResolve)
