"""Every change of stage that there is. What is not in this table is a defect: Stalled, with a sentence.

A stage is what people are shown; decisions are made from facts. The comment of an edge is what the log prints, and
`docs/stages.md` is drawn from here (hack/stages.py).
"""

from typing import Final

from modelmend.api.status import ModelDeploymentStatus, Phase, Stage

_S = Stage

EDGES: Final[dict[tuple[Stage, Stage], str]] = {
    (_S.INSTALLING, _S.SERVING): "the first version is ready and reached",
    (_S.INSTALLING, _S.STALLED): "the artifact cannot be used, or the budget is spent",
    (_S.INSTALLING, _S.SUSPENDED): "a person suspended it",
    #
    (_S.SERVING, _S.RETRAINING): "a breach, the schedule, or a request",
    (_S.SERVING, _S.AWAITING_APPROVAL): "a retraining that a person must approve",
    (_S.SERVING, _S.EVALUATING): "a person named another artifact",
    (_S.SERVING, _S.PROMOTING): "a person pinned a version, or went back to one",
    (_S.SERVING, _S.COOLING_DOWN): "the rest goes on, after a pin or an artifact that changed nothing",
    (_S.SERVING, _S.STALLED): "the budget is spent",
    (_S.SERVING, _S.SUSPENDED): "a person suspended it",
    #
    (_S.AWAITING_APPROVAL, _S.RETRAINING): "a person approved the retraining",
    (
        _S.AWAITING_APPROVAL,
        _S.PROMOTING,
    ): "a person approved the promotion, pinned a version, or went back to one",
    (_S.AWAITING_APPROVAL, _S.COOLING_DOWN): "refused, or outdated",
    (_S.AWAITING_APPROVAL, _S.ROLLING_BACK): "the candidate fails, or is no longer wanted",
    (_S.AWAITING_APPROVAL, _S.EVALUATING): "a person named another artifact",
    (_S.AWAITING_APPROVAL, _S.SERVING): "a person pinned what serves",
    (_S.AWAITING_APPROVAL, _S.STALLED): "the budget is spent",
    (_S.AWAITING_APPROVAL, _S.SUSPENDED): "a person suspended it",
    #
    (_S.RETRAINING, _S.EVALUATING): "the Job made an artifact, or a person named one",
    (_S.RETRAINING, _S.COOLING_DOWN): "the Job failed, or a person aborted it",
    (_S.RETRAINING, _S.PROMOTING): "a person pinned a version, or went back to one",
    (_S.RETRAINING, _S.SERVING): "a person pinned what serves",
    (_S.RETRAINING, _S.SUSPENDED): "a person suspended it",
    #
    (_S.EVALUATING, _S.SHADOW): "the candidate passes the gate",
    (_S.EVALUATING, _S.CANARY): "the candidate passes the gate, and a server of the user's own has no shadow",
    (_S.EVALUATING, _S.COOLING_DOWN): "the candidate is rejected, or no longer wanted",
    (_S.EVALUATING, _S.SERVING): "nothing to do: invalid, an ancestor, the same, or pinned away",
    (_S.EVALUATING, _S.PROMOTING): "a person pinned a version, or went back to one",
    (_S.EVALUATING, _S.SUSPENDED): "a person suspended it",
    #
    (_S.SHADOW, _S.CANARY): "not worse, by evidence",
    (_S.SHADOW, _S.AWAITING_APPROVAL): "the deadline, and onInconclusive is Promote, after approval",
    (_S.SHADOW, _S.PROMOTING): "the deadline, and onInconclusive is Promote",
    (_S.SHADOW, _S.ROLLING_BACK): "worse, a broken guard, not ready, the deadline, or no longer wanted",
    #
    (_S.CANARY, _S.AWAITING_APPROVAL): "every step passed; a person must approve",
    (_S.CANARY, _S.PROMOTING): "every step passed",
    (_S.CANARY, _S.ROLLING_BACK): "worse, a broken guard, not ready, the deadline, or no longer wanted",
    #
    (_S.PROMOTING, _S.COOLING_DOWN): "the bake is over, or a person went back",
    (_S.PROMOTING, _S.SERVING): "the pinned version serves",
    (_S.PROMOTING, _S.ROLLING_BACK): "worse, a broken guard, not ready, or no longer wanted",
    #
    (_S.ROLLING_BACK, _S.COOLING_DOWN): "the champion has all traffic and the candidate's pods are gone",
    #
    (_S.COOLING_DOWN, _S.SERVING): "the rest is over, or a person pinned what serves",
    (_S.COOLING_DOWN, _S.STALLED): "the budget is spent",
    (_S.COOLING_DOWN, _S.RETRAINING): "a person asked for it",
    (_S.COOLING_DOWN, _S.AWAITING_APPROVAL): "a person asked for it, and a person must approve",
    (_S.COOLING_DOWN, _S.EVALUATING): "a person named another artifact",
    (_S.COOLING_DOWN, _S.PROMOTING): "a person pinned a version, or went back to one",
    (_S.COOLING_DOWN, _S.SUSPENDED): "a person suspended it",
    #
    (_S.STALLED, _S.INSTALLING): "a person changed spec, or reset it",
    (_S.STALLED, _S.SERVING): "a person changed spec, or reset it",
    (_S.STALLED, _S.COOLING_DOWN): "a person changed spec, or reset it",
    (_S.STALLED, _S.RETRAINING): "a person changed spec, or reset it",
    (_S.STALLED, _S.AWAITING_APPROVAL): "a person changed spec, or reset it",
    (_S.STALLED, _S.EVALUATING): "a person named another artifact, or reset it",
    (_S.STALLED, _S.PROMOTING): "a person pinned a version, went back to one, or reset it",
    (_S.STALLED, _S.SHADOW): "a person reset it in the middle of a rollout",
    (_S.STALLED, _S.CANARY): "a person reset it in the middle of a rollout",
    (_S.STALLED, _S.ROLLING_BACK): "a person reset it in the middle of a rollout",
    (_S.STALLED, _S.SUSPENDED): "a person suspended it",
    #
    (_S.SUSPENDED, _S.INSTALLING): "resumed",
    (_S.SUSPENDED, _S.SERVING): "resumed",
    (_S.SUSPENDED, _S.COOLING_DOWN): "resumed",
    (_S.SUSPENDED, _S.RETRAINING): "resumed",
    (_S.SUSPENDED, _S.AWAITING_APPROVAL): "resumed",
    (_S.SUSPENDED, _S.EVALUATING): "resumed",
    (_S.SUSPENDED, _S.PROMOTING): "resumed",
    (_S.SUSPENDED, _S.STALLED): "resumed, and the budget is spent",
}

_OF_PHASE: Final = {
    Phase.EVALUATING: _S.EVALUATING,
    Phase.SHADOW: _S.SHADOW,
    Phase.CANARY: _S.CANARY,
    Phase.AWAITING_APPROVAL: _S.AWAITING_APPROVAL,
    Phase.PROMOTING: _S.PROMOTING,
    Phase.BAKING: _S.PROMOTING,
    Phase.ROLLING_BACK: _S.ROLLING_BACK,
}


def leads(present: Stage | None, following: Stage) -> bool:
    """The table has this edge; a new object may begin anywhere, and staying is always allowed."""
    return present is None or present is following or (present, following) in EDGES


def shown(stage: Stage, status: ModelDeploymentStatus) -> Stage:
    """What people are shown of a finding's stage: while nothing serves, a Job, its gate and a rest are all the way to
    the first version."""
    on_the_way = stage in (_S.RETRAINING, _S.EVALUATING, _S.COOLING_DOWN)
    return _S.INSTALLING if on_the_way and status.stable is None else stage


def natural(status: ModelDeploymentStatus) -> Stage:
    """The stage that the facts of a status amount to."""
    candidate, resolving, retraining = status.candidate, status.resolving, status.retraining
    if status.stable is None:
        return _S.INSTALLING
    if candidate is not None:
        return _OF_PHASE[candidate.phase]
    if resolving is not None:
        return _S.EVALUATING
    if retraining.running is not None:
        return _S.RETRAINING
    if status.stalled is not None:
        return _S.STALLED
    if retraining.pending is not None:
        return _S.AWAITING_APPROVAL
    return _S.SERVING if retraining.cooldown_until is None else _S.COOLING_DOWN
