"""A plan that breaks what must hold is found, and in production it becomes Stalled with a sentence."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from decide import worlds
from modelmend.api.resources import ModelVersionSpec
from modelmend.api.status import (
    ConditionStatus,
    ModelDeploymentStatus,
    PairedEvidence,
    PendingApproval,
    Phase,
    RetrainingStatus,
    Stage,
    Trigger,
)
from modelmend.contract.arms import Arm
from modelmend.decide import decide, decision, invariants, observed, plan
from modelmend.decide.observed import Backend

SERVING = worlds.at_rest(worlds.serving())
SHADOW = worlds.rolling(Phase.SHADOW, pairs=(40, 90, 1870))
CANARY = worlds.rolling(Phase.CANARY, pairs=(40, 90, 1870), pairs_at_step=1800, step=1)


def status(world: observed.Observed, **fields: object) -> ModelDeploymentStatus:
    """The world's status with other fields."""
    return world.deployment.status.model_copy(update=fields)


def planned(wanted: ModelDeploymentStatus, *actions: plan.Action) -> plan.Plan:
    """A plan made by hand."""
    return plan.Plan(actions, wanted, "…", None)


FIRST = worlds.with_status(
    replace(worlds.serving(), versions=(worlds.version(1, trigger=Trigger.FIRST),)),
    stable=None,
    candidate=worlds.candidate(1, Phase.EVALUATING, trigger=Trigger.FIRST),
)


def serve(version: str, replicas: int = 2) -> plan.EnsureServing:
    """Pods for a version."""
    return plan.EnsureServing(version, "r", "s3://a/b", worlds.digest(1), worlds.IMAGE, replicas, "i")


def shift(*backends: Backend) -> plan.ShiftTraffic:
    """Traffic."""
    return plan.ShiftTraffic(backends, "flights-v1", "i", "…")


def advanced(world: observed.Observed, phase: Phase, **fields: object) -> ModelDeploymentStatus:
    """The candidate in another phase."""
    candidate = world.deployment.status.candidate
    assert candidate is not None
    return status(world, candidate=candidate.model_copy(update={"phase": phase} | fields))


RECORD = plan.RecordVersion(
    "flights-v2",
    ModelVersionSpec(
        deployment="flights",
        number=2,
        uri="s3://a/b",
        digest=worlds.digest(2),
        trigger=Trigger.SPEC,
        because="…",
        created_at=worlds.NOW,
        image=worlds.IMAGE,
    ),
)
LAUNCH = plan.LaunchResolve(1, "j", "s3://a/b", "flights-v1", None)
SUSPENDED = worlds.edited(SERVING, suspend=True)
BREACH = RetrainingStatus(
    pending=PendingApproval(token="retrain-1", trigger=Trigger.BREACH, since=worlds.NOW, because="…")
)


def conditions(**statuses: ConditionStatus) -> ModelDeploymentStatus:
    """A status with these conditions and no others."""
    (ready, *_) = SERVING.deployment.status.conditions
    held = tuple(ready.model_copy(update={"type": kind, "status": said}) for kind, said in statuses.items())
    return status(SERVING, conditions=held)


YES, NO = ConditionStatus.TRUE, ConditionStatus.FALSE

UNSOUND: dict[str, list[tuple[observed.Observed, plan.Plan]]] = {
    "a plan changes more than one thing of the world": [
        (SERVING, planned(status(SERVING), serve("flights-v1"), LAUNCH)),
        (SERVING, planned(status(SERVING), plan.EnsureKey(), shift(Backend("flights-v1", Arm.SOLO, 100)))),
    ],
    "pods are asked for a second candidate": [
        (SERVING, planned(status(SERVING), serve("flights-v7"))),
        (CANARY, planned(status(CANARY), serve("flights-v7"))),
    ],
    "the stable version is scaled below spec": [(SERVING, planned(status(SERVING), serve("flights-v1", 1)))],
    "weights do not add up to 100": [
        (SERVING, planned(status(SERVING), shift(Backend("flights-v1", Arm.SOLO, 90)))),
        (
            SERVING,
            planned(
                status(SERVING),
                shift(Backend("flights-v1", Arm.SOLO, 100), Backend("flights-v1", Arm.CANARY, 0)),
            ),
        ),
    ],
    "traffic goes to a version without a ready pod": [
        (SERVING, planned(status(SERVING), shift(Backend("flights-v2", Arm.SOLO, 100)))),
    ],
    "pods go before their traffic": [
        (SERVING, planned(status(SERVING, stable=worlds.stable(9)), plan.Retire("flights-v1"))),
        (
            replace(SERVING, front=worlds.front((9, Arm.SOLO, 100), service="flights-v1")),
            planned(status(SERVING, stable=worlds.stable(9)), plan.Retire("flights-v1")),
        ),
        (
            replace(SERVING, front=worlds.front((9, Arm.SOLO, 100))),
            planned(status(SERVING), plan.Retire("flights-v1")),
        ),
    ],
    "a candidate advances without evidence": [
        (SHADOW, planned(advanced(SHADOW, Phase.CANARY))),
        (
            replace(SHADOW, poll=observed.Poll()),
            planned(advanced(SHADOW, Phase.CANARY, evidence=PairedEvidence(verdict="NotWorse"))),
        ),
        (SHADOW, planned(advanced(SHADOW, Phase.PROMOTING))),
        (CANARY, planned(advanced(CANARY, Phase.AWAITING_APPROVAL))),
        (replace(CANARY, ledgers={}), planned(advanced(CANARY, Phase.PROMOTING))),
        (CANARY, planned(advanced(CANARY, Phase.BAKING))),
    ],
    "a version becomes stable that was not promoted": [
        (SERVING, planned(status(SERVING, stable=worlds.stable(2)))),
        (SERVING, planned(status(SERVING, stable=None))),
        (CANARY, planned(advanced(CANARY, Phase.CANARY).model_copy(update={"stable": worlds.stable(2)}))),
    ],
    "a retraining begins on no breach": [
        (SERVING, planned(status(SERVING, retraining=worlds.running()))),
        (SERVING, planned(status(SERVING, retraining=BREACH))),
    ],
    "a rejected artifact returns by itself": [
        (
            worlds.rolling(Phase.EVALUATING, status_fields={"rejected": (worlds.digest(2),)}),
            planned(advanced(worlds.rolling(Phase.EVALUATING), Phase.SHADOW)),
        ),
    ],
    "a number is given twice": [
        (SERVING, planned(status(SERVING, sequence=3))),
        (SERVING, planned(status(SERVING, last_version=0))),
    ],
    "a first version is installed that is no better than a constant answer": [
        (FIRST, planned(advanced(FIRST, Phase.PROMOTING))),
        (replace(FIRST, versions=()), planned(advanced(FIRST, Phase.PROMOTING))),
    ],
    "something is begun while suspended": [
        (SUSPENDED, planned(status(SUSPENDED), LAUNCH)),
        (SUSPENDED, planned(status(SUSPENDED), RECORD)),
    ],
    "conditions contradict each other": [
        (SERVING, planned(conditions(Ready=NO, Reconciling=YES, Stalled=YES))),
        (SERVING, planned(conditions(Ready=YES, Reconciling=YES))),
        (SERVING, planned(conditions(Ready=YES, Stalled=YES))),
    ],
}


@pytest.mark.parametrize("rule", invariants.RULES)
def test_what_must_hold_is_found_when_it_does_not(rule: str) -> None:
    for world, made in UNSOUND[rule]:
        assert rule in invariants.broken(world, made)


@pytest.mark.parametrize(
    ("world", "made"),
    [
        (CANARY, decide(CANARY)),
        (SHADOW, decide(SHADOW)),
        (SERVING, decide(SERVING)),
        (
            worlds.rolling(
                Phase.SHADOW, spec=worlds.make_spec(rollout={"analysis": {"onInconclusive": "Promote"}})
            ),
            planned(advanced(SHADOW, Phase.PROMOTING)),
        ),
        (SUSPENDED, planned(status(SUSPENDED), replace(RECORD, name="flights-v1"))),
        (FIRST, planned(advanced(FIRST, Phase.EVALUATING))),
        (
            worlds.with_status(SERVING, retraining=BREACH),
            planned(status(SERVING, retraining=worlds.running())),
        ),
        (
            worlds.rolling(
                Phase.EVALUATING, trigger=Trigger.SPEC, status_fields={"rejected": (worlds.digest(2),)}
            ),
            planned(advanced(worlds.rolling(Phase.EVALUATING, trigger=Trigger.SPEC), Phase.SHADOW)),
        ),
        (
            observed.Observed(now=worlds.NOW, deployment=worlds.deployment(), settings=worlds.SETTINGS),
            planned(ModelDeploymentStatus(), plan.EnsureKey()),
        ),
        (
            observed.Observed(now=worlds.NOW, deployment=worlds.deployment(), settings=worlds.SETTINGS),
            planned(ModelDeploymentStatus(), plan.Retire("flights-v3")),
        ),
    ],
)
def test_sound_plans_are_not_suspected(world: observed.Observed, made: plan.Plan) -> None:
    assert invariants.broken(world, made) == ()


def test_an_unsound_plan_is_not_carried_out_and_the_model_is_stalled_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(world: observed.Observed, made: plan.Plan) -> bool:
        return False

    monkeypatch.setattr(invariants, "RULES", {"two and two are five": never})
    world = worlds.serving(labels=worlds.BAD)

    made = decide(world)

    assert worlds.actions(made) == []
    assert made.status.stage is Stage.STALLED
    assert (
        made.because
        == "a defect of Modelmend: two and two are five (found retraining_is_due); nothing was done"
    )
    assert worlds.is_(made, "Stalled") == "True (Stalled)"
    assert made.status.retraining.running is None
    assert made.look_again_in is None
    again = decide(worlds.with_status(world, **dict(made.status)))
    assert again.status.stage is Stage.STALLED


def test_a_list_of_findings_that_ends_in_nothing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    empty: tuple[Callable[..., None], ...] = ()
    monkeypatch.setattr(decision, "FINDINGS", empty)

    with pytest.raises(AssertionError, match="the last finding always applies"):
        decide(SERVING)


def test_a_quiet_world_gives_an_empty_plan() -> None:
    made = decide(replace(SERVING, now=worlds.NOW + timedelta(minutes=1)))

    assert made.actions == ()
    assert made.status == SERVING.deployment.status
