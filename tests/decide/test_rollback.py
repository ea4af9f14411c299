"""Giving traffic back: route first, then drain, then pods; and what follows from why."""

from dataclasses import replace
from datetime import timedelta

import pytest

from decide import worlds
from modelmend.api.status import Handled, Phase, Stage, Trigger
from modelmend.contract.arms import Arm
from modelmend.decide import decide, observed, plan
from modelmend.decide.reasons import Reason

ACTIVE = (Phase.SHADOW, Phase.CANARY, Phase.AWAITING_APPROVAL, Phase.PROMOTING, Phase.BAKING)
CHAMPION_ALONE = (observed.Backend("flights-v1", Arm.SOLO, 100),)


def going_back(
    reason: Reason = Reason.WORSE, trigger: Trigger = Trigger.BREACH, *, told: bool = True, **fields: object
) -> observed.Observed:
    """The route is back at the champion; version 2's pods are still there."""
    world = worlds.rolling(
        Phase.ROLLING_BACK, trigger=trigger, reason=reason.value, failure="it was worse", **fields
    )
    state = "RolledBack" if told else "Candidate"
    return replace(world, versions=(world.versions[0], worlds.version(2, state=state)))


def gone(world: observed.Observed) -> observed.Observed:
    """Its pods are gone."""
    return replace(world, servers=world.servers[:1])


# The order of things.


def test_pods_stay_until_their_traffic_has_left_and_drained() -> None:
    world = worlds.at_rest(going_back())
    carrying = replace(world, front=worlds.front((1, worlds.SOLO, 90), (2, worlds.CANARY, 10)))
    unaccepted = replace(world, front=replace(world.front, accepted=False, settled_since=None))
    draining = replace(world, front=replace(world.front, settled_since=worlds.NOW - timedelta(seconds=3)))
    unseen = replace(world, front=replace(world.front, settled_since=None))
    behind = replace(world, front=replace(world.front, service="flights-v2"))

    assert worlds.actions(decide(carrying)) == worlds.actions(decide(carrying), plan.ShiftTraffic)
    assert worlds.actions(decide(behind)) == worlds.actions(decide(behind), plan.ShiftTraffic)
    for waiting in (unaccepted, draining, unseen):
        assert worlds.actions(decide(waiting)) == []
    assert decide(draining).look_again_in == timedelta(seconds=2)
    assert [action.version for action in worlds.actions(decide(world))] == ["flights-v2"]


def test_a_rollback_is_over_when_the_pods_are_gone_and_the_story_is_told() -> None:
    untold = decide(gone(going_back(told=False)))
    assert untold.finding == "traffic_goes_back"
    (story,) = worlds.actions(untold)
    assert (story.state, story.because) == ("RolledBack", "it was worse")

    made = decide(gone(going_back()))
    assert (made.finding, made.status.stage) == ("traffic_is_back", Stage.COOLING_DOWN)
    assert made.status.candidate is None
    assert made.because == "it was worse"


def test_a_rollback_waits_for_the_gateway_and_quotes_it() -> None:
    world = gone(going_back())
    front = replace(world.front, accepted=False, message="listener is gone")

    assert decide(replace(world, front=front)).because == (
        "it was worse; the Gateway does not accept the route: listener is gone"
    )


def test_a_champion_without_pods_is_stood_in_for_by_the_candidates_pods_with_its_predictions() -> None:
    world = going_back()
    down = replace(
        world,
        servers=(replace(world.servers[0], ready=0, trouble="evicted"), world.servers[1]),
        front=worlds.front((1, worlds.SOLO, 90), (2, worlds.CANARY, 10)),
    )

    made = decide(down)

    (shift,) = worlds.actions(made)
    assert shift.backends == (observed.Backend("flights-v2", Arm.SHADOW, 100),)
    assert shift.service == "flights-v1", "in-cluster clients never get the candidate's own predictions"
    assert made.because == (
        "it was worse; flights-v1 has no ready pod; evicted, so the pods of flights-v2 answer with its predictions"
    )


def test_nothing_is_routed_to_nothing() -> None:
    world = going_back()
    servers = tuple(replace(server, ready=0) for server in world.servers)
    down = replace(world, servers=servers, front=worlds.front((1, worlds.SOLO, 90), (2, worlds.CANARY, 10)))

    assert worlds.actions(decide(down), plan.ShiftTraffic, plan.Retire) == []


def test_a_rollback_from_the_bake_makes_the_old_champion_stable_again_in_its_old_life() -> None:
    made = decide(worlds.rolling(Phase.BAKING, pairs=(90, 10, 900)))

    stable = made.status.stable
    assert stable is not None
    assert (stable.version, stable.rollout, stable.digest) == (
        "flights-v1",
        worlds.rollout(1),
        worlds.digest(1),
    )
    assert stable.evidence_since == worlds.NOW
    (shift, *told) = worlds.actions(made)
    assert (shift.backends, shift.service) == (CHAMPION_ALONE, "flights-v1")
    assert {(story.name, story.state) for story in told} == {
        ("flights-v1", "Champion"),
        ("flights-v2", "RolledBack"),
    }


# What follows.


@pytest.mark.parametrize("trigger", [Trigger.BREACH, Trigger.SCHEDULE, Trigger.REQUEST, Trigger.SPEC])
@pytest.mark.parametrize("reason", list(Reason))
def test_what_an_end_costs_depends_on_why_and_on_who_began_it(reason: Reason, trigger: Trigger) -> None:
    fault = reason in (Reason.WORSE, Reason.GUARD, Reason.UNREADY, Reason.DEADLINE)
    by_a_person = trigger is Trigger.SPEC
    gate_after_breach = reason is Reason.GATE and trigger is Trigger.BREACH

    status = decide(gone(going_back(reason, trigger))).status

    spent = (fault and not by_a_person) or gate_after_breach
    assert len(status.retraining.attempts) == status.retraining.failures == int(spent)
    remembered = fault or reason in (Reason.GATE, Reason.ABORTED, Reason.ROLLBACK_TO)
    assert status.rejected == ((worlds.digest(2),) if remembered else ())
    refused = by_a_person and (fault or reason in (Reason.GATE, Reason.ABORTED))
    assert (status.refusal is not None) is refused
    assert status.stable is not None
    assert (status.stable.evidence_since == worlds.NOW) is (remembered and not by_a_person)
    rest = timedelta(hours=6, minutes=1) if spent else timedelta(hours=6)
    assert status.retraining.cooldown_until == worlds.NOW + rest
    tried_again = by_a_person and (
        fault or reason in (Reason.GATE, Reason.SUSPENDED, Reason.PINNED, Reason.LOST)
    )
    assert (status.handled.uri is None) is tried_again


def test_a_rest_that_lasts_longer_is_not_cut_short() -> None:
    world = gone(going_back())
    until = worlds.NOW + timedelta(days=2)
    resting = world.deployment.status.retraining.model_copy(update={"cooldown_until": until})

    assert decide(worlds.with_status(world, retraining=resting)).status.retraining.cooldown_until == until


def test_a_refused_rollout_stalls_until_spec_changes_and_is_then_tried_again() -> None:
    world = gone(going_back(Reason.WORSE, Trigger.SPEC))
    refused = replace(
        worlds.with_status(world, **dict(decide(world).status)),
        versions=(worlds.version(1, state="Champion"), worlds.version(2, state="RolledBack")),
    )

    still = decide(worlds.at_rest(refused))
    edited = decide(worlds.edited(refused, rollout={"analysis": {"margin": 0.05}}))

    assert worlds.is_(still, "Stalled") == "True (RolloutRejected)"
    assert still.because.startswith("cooling down until")
    assert worlds.actions(still) == []
    assert worlds.is_(edited, "Stalled") is None
    assert worlds.actions(edited, plan.LaunchResolve)


# Who may say that a candidate is unwanted.


def unwanted(phase: Phase, **parts: object) -> observed.Observed:
    """After an edit of spec, in this phase."""
    return worlds.edited(worlds.rolling(phase), **parts)


@pytest.mark.parametrize("phase", ACTIVE)
@pytest.mark.parametrize(
    ("parts", "reason", "said"),
    [
        ({"suspend": True}, Reason.SUSPENDED, "spec.suspend was set"),
        ({"model": {"uri": "s3://models/other"}}, Reason.SUPERSEDED, "spec.model.uri names another artifact"),
        ({"model": {"pin": "flights-v1"}}, Reason.PINNED, "spec.model.pin names flights-v1"),
    ],
    ids=["suspended", "another artifact", "pinned"],
)
def test_a_person_ends_a_rollout_by_spec(
    phase: Phase, parts: dict[str, object], reason: Reason, said: str
) -> None:
    made = decide(unwanted(phase, **parts))

    assert (made.finding, made.status.stage) == ("candidate_is_unwanted", Stage.ROLLING_BACK)
    assert made.status.candidate is not None
    assert made.status.candidate.reason == reason.value
    assert said in made.because
    assert made.status.stable is not None
    assert made.status.stable.version == "flights-v1"
    (shift,) = worlds.actions(made, plan.ShiftTraffic)
    assert shift.backends == CHAMPION_ALONE


@pytest.mark.parametrize("phase", ACTIVE)
@pytest.mark.parametrize("word", ["flights-v2", worlds.digest(2)])
def test_a_person_aborts_by_version_or_digest(phase: Phase, word: str) -> None:
    made = decide(worlds.rolling(phase, annotations={"modelmend.dev/abort": word}))

    assert made.status.candidate is not None
    assert made.status.candidate.reason == "Aborted"
    assert made.status.handled.abort == word


@pytest.mark.parametrize("phase", ACTIVE)
def test_a_person_goes_back_in_the_middle_of_a_rollout(phase: Phase) -> None:
    made = decide(worlds.rolling(phase, annotations={"modelmend.dev/rollback-to": "flights-v1"}))

    assert made.status.candidate is not None
    assert made.status.candidate.reason == "RollbackTo"
    assert made.status.handled.rollback_to is None, "it is acted on when the traffic is back"


@pytest.mark.parametrize("phase", ACTIVE)
def test_a_candidate_whose_record_is_deleted_goes(phase: Phase) -> None:
    world = worlds.rolling(phase)

    made = decide(replace(world, versions=world.versions[:1]))

    assert made.status.candidate is not None
    assert made.status.candidate.reason == "Lost"


def test_an_unwanted_candidate_without_pods_simply_ends() -> None:
    made = decide(worlds.rolling(Phase.EVALUATING, annotations={"modelmend.dev/abort": "flights-v2"}))

    assert made.status.candidate is None
    assert made.status.stage is Stage.COOLING_DOWN
    assert made.status.rejected == (worlds.digest(2),)
    (told,) = worlds.actions(made)
    assert (told.name, told.state) == ("flights-v2", "RolledBack")


def test_a_pin_of_the_promoted_version_ends_its_bake_and_one_of_the_old_ends_the_promotion() -> None:
    promoted = worlds.edited(worlds.rolling(Phase.BAKING, since=worlds.NOW), model={"pin": "flights-v2"})
    old = worlds.edited(worlds.rolling(Phase.BAKING, since=worlds.NOW), model={"pin": "flights-v1"})

    assert decide(promoted).finding == "bake_is_over"
    assert decide(old).finding == "candidate_is_unwanted"


def test_going_back_to_the_promoted_version_during_its_bake_changes_nothing() -> None:
    world = worlds.rolling(
        Phase.BAKING, since=worlds.NOW, annotations={"modelmend.dev/rollback-to": "flights-v2"}
    )

    assert decide(world).finding == "candidate_is_tried"


def test_what_is_going_back_goes_back_whatever_a_person_says() -> None:
    world = worlds.edited(going_back(), suspend=True, model={"uri": "s3://models/other"})

    assert decide(world).finding == "traffic_goes_back"


def test_a_missing_reason_is_taken_for_superseded() -> None:
    world = gone(going_back())
    candidate = world.deployment.status.candidate
    assert candidate is not None
    nameless = worlds.with_status(
        world, candidate=candidate.model_copy(update={"reason": None, "failure": None})
    )

    made = decide(nameless)

    assert made.finding == "traffic_is_back"
    assert made.status.rejected == ()


def test_a_handled_uri_that_is_unknown_ends_no_rollout() -> None:
    world = worlds.rolling(Phase.CANARY)
    handled = Handled(spec=world.deployment.status.handled.spec)

    assert decide(worlds.with_status(world, handled=handled)).finding == "candidate_is_tried"
