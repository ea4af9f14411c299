"""Every way from stage to stage that the table names is taken once; what cannot be taken does not belong there."""

from dataclasses import replace
from datetime import timedelta

import pytest

from decide import worlds
from modelmend.api.spec import ModelDeploymentSpec
from modelmend.api.status import (
    Handled,
    ModelDeploymentStatus,
    PendingApproval,
    Phase,
    RetrainingStatus,
    Stage,
    Trigger,
)
from modelmend.contract import result
from modelmend.contract.result import Evaluation
from modelmend.decide import decide, observed, stages
from modelmend.decide.observed import JobKind

S = Stage
BACK, RESET = {"modelmend.dev/rollback-to": "flights-v1"}, {"modelmend.dev/reset": "1"}
ASK = {"modelmend.dev/retrain-requested-at": "now"}
OTHER = {"model": {"uri": "s3://models/other"}}
PIN_ONE, PIN_TWO = {"model": {"pin": "flights-v1"}}, {"model": {"pin": "flights-v2"}}
SUSPEND = {"suspend": True}
MANUAL = worlds.make_spec(retraining={"approval": "Manual"}, rollout={"approval": "Manual"})
PROMOTE = {"analysis": {"onInconclusive": "Promote", "deadline": "1m"}}
RESTING = RetrainingStatus(cooldown_until=worlds.NOW + timedelta(hours=1), cooldown_because="it failed")
SPENT = RetrainingStatus(attempts=(worlds.NOW,) * 3, cooldown_because="it failed")
PASSED = {"pairs": (50, 60, 1890), "pairs_at_step": 1700}


def stable(here: Stage, **fields: object) -> observed.Observed:
    """Version 2 serves, version 1 is known."""
    return worlds.serving(2, versions=2, stage=here, **fields)


def breached(here: Stage, **fields: object) -> observed.Observed:
    """The same, with a breach."""
    return stable(here, labels=worlds.BAD, **fields)


def pending(labels: dict[str, int] = worlds.BAD, **fields: object) -> observed.Observed:
    """A retraining waits for a person."""
    waits = PendingApproval(token="retrain-10", trigger=Trigger.BREACH, since=worlds.NOW, because="…")
    attempts = fields.pop("attempts", ())
    retraining = RetrainingStatus(pending=waits, attempts=attempts)
    return stable(S.AWAITING_APPROVAL, spec=MANUAL, labels=labels, retraining=retraining, **fields)


def running(reported: result.Succeeded | result.Failed | None = None, **fields: object) -> observed.Observed:
    """A retraining runs, or has ended."""
    world = stable(S.RETRAINING, sequence=11, retraining=worlds.running(), **fields)
    return replace(world, jobs=(worlds.job(JobKind.RETRAIN, 11, reported),))


def reading(reported: result.Succeeded | result.Failed | None = None, **fields: object) -> observed.Observed:
    """A person's artifact is read, or has been."""
    world = stable(S.EVALUATING, sequence=11, resolving=worlds.resolving(), **fields)
    return replace(world, jobs=(worlds.job(JobKind.RESOLVE, 11, reported),))


def evaluated(evaluation: Evaluation, spec: ModelDeploymentSpec | None = None) -> observed.Observed:
    """A candidate was compared on the holdout."""
    world = worlds.rolling(Phase.EVALUATING, spec=spec)
    return replace(world, versions=(world.versions[0], worlds.version(2, evaluation=evaluation)))


def rejected() -> observed.Observed:
    """A candidate failed the gate, and its story is told."""
    world = worlds.rolling(Phase.EVALUATING, failure="no better", reason="Gate")
    return replace(world, versions=(world.versions[0], worlds.version(2, state="Rejected")))


def rolled_back() -> observed.Observed:
    """Everything has gone back."""
    world = worlds.rolling(Phase.ROLLING_BACK, failure="worse", reason="Worse")
    told = worlds.version(2, state="RolledBack")
    return replace(world, versions=(world.versions[0], told), servers=world.servers[:1])


def brought_back(trigger: Trigger) -> observed.Observed:
    """A person's choice has all traffic."""
    back = worlds.candidate(1, Phase.PROMOTING, trigger=trigger, rollout=worlds.rollout(9), arm=worlds.SOLO)
    spec = worlds.make_spec(**PIN_ONE) if trigger is Trigger.PIN else None
    world = stable(S.PROMOTING, spec=spec, candidate=back)
    pods = (*world.servers, worlds.server(1, rollout=worlds.rollout(9)))
    return replace(world, servers=pods, front=worlds.front((1, worlds.SOLO, 100)))


def installing(
    reported: result.Failed | None = None, *, ready: bool = False, suspend: bool = False
) -> observed.Observed:
    """The first version is on its way."""
    first = worlds.candidate(1, Phase.PROMOTING, trigger=Trigger.INSTALL, arm=worlds.SOLO)
    status = ModelDeploymentStatus(
        stage=S.INSTALLING,
        sequence=11,
        candidate=first if ready else None,
        resolving=None if ready else worlds.resolving(11, Trigger.INSTALL),
        handled=Handled(uri=worlds.URI),
    )
    return observed.Observed(
        now=worlds.NOW,
        deployment=worlds.deployment(worlds.make_spec(suspend=suspend), status),
        settings=worlds.SETTINGS,
        versions=(worlds.version(1),) if ready else (),
        servers=(worlds.server(1),) if ready else (),
        front=worlds.front((1, worlds.SOLO, 100)) if ready else observed.Front(),
        jobs=() if ready else (worlds.job(JobKind.RESOLVE, 11, reported),),
    )


def nothing(here: Stage) -> observed.Observed:
    """Nothing serves yet."""
    status = ModelDeploymentStatus(stage=here)
    return observed.Observed(
        now=worlds.NOW, deployment=worlds.deployment(present=status), settings=worlds.SETTINGS
    )


def reset_in(phase: Phase) -> observed.Observed:
    """A person resets what a defect has stalled."""
    status = {"stalled": "a defect of Modelmend: …", "stage": S.STALLED}
    return worlds.rolling(phase, annotations=RESET, failure="f", reason="Worse", status_fields=status)


def waved_through(phase: Phase, **rollout: object) -> observed.Observed:
    """The deadline has come, and spec says Promote."""
    return worlds.rolling(phase, spec=worlds.make_spec(rollout=PROMOTE | rollout))


STALLED = {"stalled": "3 attempts failed", "retraining": SPENT}

WAYS: dict[tuple[Stage, Stage], observed.Observed] = {
    (S.INSTALLING, S.SERVING): installing(ready=True),
    (S.INSTALLING, S.STALLED): installing(result.Failed(error="no manifest")),
    (S.INSTALLING, S.SUSPENDED): installing(suspend=True),
    #
    (S.SERVING, S.RETRAINING): breached(S.SERVING),
    (S.SERVING, S.AWAITING_APPROVAL): breached(S.SERVING, spec=MANUAL),
    (S.SERVING, S.EVALUATING): worlds.edited(stable(S.SERVING), **OTHER),
    (S.SERVING, S.PROMOTING): worlds.edited(stable(S.SERVING), **PIN_ONE),
    (S.SERVING, S.COOLING_DOWN): stable(S.SERVING, retraining=RESTING),
    (S.SERVING, S.STALLED): worlds.edited(
        stable(S.SERVING, retraining=SPENT), retraining={"budget": {"attempts": 2}}
    ),
    (S.SERVING, S.SUSPENDED): worlds.edited(stable(S.SERVING), **SUSPEND),
    #
    (S.AWAITING_APPROVAL, S.RETRAINING): pending(annotations={"modelmend.dev/approve": "retrain-10"}),
    (S.AWAITING_APPROVAL, S.PROMOTING): worlds.rolling(
        Phase.AWAITING_APPROVAL, spec=MANUAL, annotations={"modelmend.dev/approve": worlds.digest(2)}
    ),
    (S.AWAITING_APPROVAL, S.COOLING_DOWN): pending(worlds.GOOD),
    (S.AWAITING_APPROVAL, S.ROLLING_BACK): worlds.rolling(Phase.AWAITING_APPROVAL, pairs=(90, 10, 900)),
    (S.AWAITING_APPROVAL, S.EVALUATING): worlds.edited(pending(), **OTHER),
    (S.AWAITING_APPROVAL, S.SERVING): worlds.edited(pending(), **PIN_TWO),
    (S.AWAITING_APPROVAL, S.STALLED): pending(attempts=(worlds.NOW,) * 3),
    (S.AWAITING_APPROVAL, S.SUSPENDED): worlds.edited(pending(), **SUSPEND),
    #
    (S.RETRAINING, S.EVALUATING): running(worlds.succeeded(3)),
    (S.RETRAINING, S.COOLING_DOWN): running(result.Failed(error="one class")),
    (S.RETRAINING, S.PROMOTING): running(annotations=BACK),
    (S.RETRAINING, S.SERVING): worlds.edited(running(), **PIN_TWO),
    (S.RETRAINING, S.SUSPENDED): worlds.edited(running(), **SUSPEND),
    #
    (S.EVALUATING, S.SHADOW): evaluated(Evaluation(a=10, b=60, c=930)),
    (S.EVALUATING, S.COOLING_DOWN): rejected(),
    (S.EVALUATING, S.SERVING): reading(result.Failed(error="no manifest")),
    (S.EVALUATING, S.PROMOTING): reading(annotations=BACK),
    (S.EVALUATING, S.SUSPENDED): worlds.edited(reading(), **SUSPEND),
    #
    (S.SHADOW, S.CANARY): worlds.rolling(Phase.SHADOW, pairs=(40, 90, 1870)),
    (S.SHADOW, S.AWAITING_APPROVAL): waved_through(Phase.SHADOW, approval="Manual"),
    (S.SHADOW, S.PROMOTING): waved_through(Phase.SHADOW),
    (S.SHADOW, S.ROLLING_BACK): worlds.rolling(Phase.SHADOW, pairs=(90, 10, 900)),
    #
    (S.CANARY, S.AWAITING_APPROVAL): worlds.rolling(Phase.CANARY, spec=MANUAL, step=1, **PASSED),
    (S.CANARY, S.PROMOTING): worlds.rolling(Phase.CANARY, step=1, **PASSED),
    (S.CANARY, S.ROLLING_BACK): worlds.rolling(Phase.CANARY, pairs=(90, 10, 900)),
    #
    (S.PROMOTING, S.COOLING_DOWN): worlds.rolling(Phase.BAKING),
    (S.PROMOTING, S.SERVING): brought_back(Trigger.PIN),
    (S.PROMOTING, S.ROLLING_BACK): worlds.rolling(Phase.PROMOTING, pairs=(90, 10, 900)),
    #
    (S.ROLLING_BACK, S.COOLING_DOWN): rolled_back(),
    #
    (S.EVALUATING, S.CANARY): evaluated(Evaluation(a=10, b=60, c=930), worlds.own_spec()),
    (S.COOLING_DOWN, S.SERVING): stable(
        S.COOLING_DOWN, retraining=RESTING.model_copy(update={"cooldown_until": worlds.NOW})
    ),
    (S.COOLING_DOWN, S.STALLED): stable(S.COOLING_DOWN, retraining=SPENT),
    (S.COOLING_DOWN, S.RETRAINING): stable(S.COOLING_DOWN, retraining=RESTING, annotations=ASK),
    (S.COOLING_DOWN, S.AWAITING_APPROVAL): stable(
        S.COOLING_DOWN, retraining=RESTING, annotations=ASK, spec=MANUAL
    ),
    (S.COOLING_DOWN, S.EVALUATING): worlds.edited(stable(S.COOLING_DOWN, retraining=RESTING), **OTHER),
    (S.COOLING_DOWN, S.PROMOTING): stable(S.COOLING_DOWN, retraining=RESTING, annotations=BACK),
    (S.COOLING_DOWN, S.SUSPENDED): worlds.edited(stable(S.COOLING_DOWN, retraining=RESTING), **SUSPEND),
    #
    (S.STALLED, S.INSTALLING): nothing(S.STALLED),
    (S.STALLED, S.SERVING): stable(S.STALLED, annotations=RESET, **STALLED),
    (S.STALLED, S.COOLING_DOWN): stable(S.STALLED, retraining=RESTING),
    (S.STALLED, S.RETRAINING): worlds.edited(breached(S.STALLED, **STALLED), history={"limit": 5}),
    (S.STALLED, S.AWAITING_APPROVAL): worlds.edited(
        breached(S.STALLED, spec=MANUAL, **STALLED), history={"limit": 5}
    ),
    (S.STALLED, S.EVALUATING): worlds.edited(stable(S.STALLED, **STALLED), **OTHER),
    (S.STALLED, S.PROMOTING): stable(S.STALLED, annotations=BACK, **STALLED),
    (S.STALLED, S.SHADOW): reset_in(Phase.SHADOW),
    (S.STALLED, S.CANARY): reset_in(Phase.CANARY),
    (S.STALLED, S.ROLLING_BACK): reset_in(Phase.ROLLING_BACK),
    (S.STALLED, S.SUSPENDED): worlds.edited(stable(S.STALLED, **STALLED), **SUSPEND),
    #
    (S.SUSPENDED, S.INSTALLING): nothing(S.SUSPENDED),
    (S.SUSPENDED, S.SERVING): stable(S.SUSPENDED),
    (S.SUSPENDED, S.COOLING_DOWN): stable(S.SUSPENDED, retraining=RESTING),
    (S.SUSPENDED, S.RETRAINING): breached(S.SUSPENDED),
    (S.SUSPENDED, S.AWAITING_APPROVAL): breached(S.SUSPENDED, spec=MANUAL),
    (S.SUSPENDED, S.EVALUATING): worlds.edited(stable(S.SUSPENDED), **OTHER),
    (S.SUSPENDED, S.PROMOTING): stable(S.SUSPENDED, annotations=BACK),
    (S.SUSPENDED, S.STALLED): stable(S.SUSPENDED, retraining=SPENT),
}


def test_every_way_of_the_table_is_taken_here() -> None:
    assert set(WAYS) == set(stages.EDGES)


@pytest.mark.parametrize(("here", "there"), list(WAYS), ids=str)
def test_a_way_from_stage_to_stage(here: Stage, there: Stage) -> None:
    world = WAYS[here, there]
    assert world.deployment.status.stage is here

    assert decide(world).status.stage is there
