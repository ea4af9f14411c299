"""What must hold of every plan, whatever the world: checked after each decision, in production too.

A plan that breaks one is not carried out; the model is Stalled with a sentence instead (decision.decide).
"""

from collections.abc import Callable
from typing import Final

from modelmend.api.spec import Inconclusive
from modelmend.api.status import Candidate, ModelDeploymentStatus, Phase, Trigger, Verdict
from modelmend.decide import compared, judge, plan, reasons
from modelmend.decide.observed import Observed
from modelmend.decide.upkeep import front
from modelmend.evidence import paired

GROUPS: Final[dict[type, str]] = {
    plan.ShiftTraffic: "traffic",
    plan.EnsureKey: "servers",
    plan.EnsureServing: "servers",
    plan.Retire: "pods leave",
    plan.LaunchResolve: "job",
    plan.LaunchRetraining: "job",
}
"""World-changing actions. The rest are books and news."""
TRIED: Final = frozenset({Phase.SHADOW, Phase.CANARY})
CHOSEN: Final = frozenset({Phase.AWAITING_APPROVAL, Phase.PROMOTING})


def broken(observed: Observed, made: plan.Plan) -> tuple[str, ...]:
    """Sentences for what does not hold; empty for a sound plan."""
    return tuple(sentence for sentence, holds in RULES.items() if not holds(observed, made))


def _one_group(observed: Observed, made: plan.Plan) -> bool:
    groups = {GROUPS[type(action)] for action in made.actions if type(action) in GROUPS}
    return len(groups) <= 1


def _one_candidate(observed: Observed, made: plan.Plan) -> bool:
    stable, candidate = made.status.stable, made.status.candidate
    known = {None if stable is None else stable.version}
    if candidate is not None:
        known |= {candidate.version, candidate.champion}
    return all(action.version in known for action in made.actions if isinstance(action, plan.EnsureServing))


def _stable_in_full(observed: Observed, made: plan.Plan) -> bool:
    stable, least = made.status.stable, observed.deployment.spec.serving.replicas
    return all(
        action.replicas >= least
        for action in made.actions
        if isinstance(action, plan.EnsureServing) and stable is not None and action.version == stable.version
    )


def _whole_weights(observed: Observed, made: plan.Plan) -> bool:
    return all(
        sum(backend.weight for backend in action.backends) == 100
        and all(backend.weight > 0 for backend in action.backends)
        for action in made.actions
        if isinstance(action, plan.ShiftTraffic)
    )


def _ready_backends(observed: Observed, made: plan.Plan) -> bool:
    return all(
        front.answers(observed.server(backend.version))
        for action in made.actions
        if isinstance(action, plan.ShiftTraffic)
        for backend in action.backends
    )


def _traffic_leaves_first(observed: Observed, made: plan.Plan) -> bool:
    seen = observed.front
    return all(
        front.weight_of(action.version, seen.backends) == 0
        and seen.service != action.version
        and not seen.shared
        and (made.status.stable is None or made.status.stable.version != action.version)
        for action in made.actions
        if isinstance(action, plan.Retire)
    )


def _evidence_before_traffic(observed: Observed, made: plan.Plan) -> bool:
    """Into canary by "not worse"; on to promotion by pairs; by a deadline only where spec says so."""
    before, after = observed.deployment.status.candidate, made.status.candidate
    if before is None or after is None or before.version != after.version or before.trigger in reasons.DIRECT:
        return True
    if before.phase is Phase.SHADOW and after.phase is Phase.CANARY:
        return judge.is_fresh(observed) and after.evidence.verdict == paired.Finding.NOT_WORSE.value
    if before.phase in TRIED and after.phase in CHOSEN:
        return _has_passed(before, observed) or _is_waved_through(observed)
    return after.phase is not Phase.BAKING or before.phase in (Phase.PROMOTING, Phase.BAKING)


def _has_passed(candidate: Candidate, observed: Observed) -> bool:
    counted, wanted = observed.ledgers.get(candidate.rollout), observed.deployment.spec.rollout
    new = 0 if counted is None else counted.pairs.n - candidate.pairs_at_step
    last = candidate.phase is Phase.CANARY and candidate.step + 1 >= len(wanted.steps)
    if not observed.deployment.spec.serving.pairs:
        judged = judge.judge(observed)
        last = last and judged.comparison.finding is paired.Finding.NOT_WORSE
        new = judged.pairs - candidate.pairs_at_step
    return last and judge.is_fresh(observed) and new >= wanted.analysis.min_labels


def _is_waved_through(observed: Observed) -> bool:
    return observed.deployment.spec.rollout.analysis.on_inconclusive is Inconclusive.PROMOTE


def _stable_by_promotion(observed: Observed, made: plan.Plan) -> bool:
    """Another version is stable only through the candidate: promoted, taken over, or sent back from its bake."""
    before, after, candidate = (
        observed.deployment.status.stable,
        made.status.stable,
        observed.deployment.status.candidate,
    )
    if after is None or (before is not None and before.version == after.version):
        return after is not None or before is None
    if candidate is None:
        return False
    returned = candidate.phase is Phase.BAKING and after.version == candidate.champion
    return returned or (candidate.phase is Phase.PROMOTING and after.version == candidate.version)


def _unknown_heals_nothing(observed: Observed, made: plan.Plan) -> bool:
    before, after = observed.deployment.status.retraining, made.status.retraining
    begun = [
        after.running if before.running is None else None,
        after.pending if before.pending is None else None,
    ]
    approved = before.pending is not None
    return approved or all(
        any(signal.verdict is Verdict.BREACHED for signal in made.status.signals)
        for begin in begun
        if begin is not None and begin.trigger is Trigger.BREACH
    )


def _rejected_stay_rejected(observed: Observed, made: plan.Plan) -> bool:
    before, after = observed.deployment.status, made.status
    if before.candidate is None or after.candidate is None or after.candidate.trigger not in reasons.HEALING:
        return True
    enters = before.candidate.phase is Phase.EVALUATING and after.candidate.phase in TRIED
    return not enters or after.candidate.digest not in before.rejected


def _first_is_worth_it(observed: Observed, made: plan.Plan) -> bool:
    """The first version that Modelmend trained gets pods only through its gate."""
    before, after = observed.deployment.status.candidate, made.status.candidate
    if before is None or after is None or after.trigger is not Trigger.FIRST:
        return True
    enters = before.phase is Phase.EVALUATING and after.phase is Phase.PROMOTING
    version = observed.version(after.version)
    return not enters or (version is not None and compared.gate(observed.deployment, version).passed)


def _numbers_grow(observed: Observed, made: plan.Plan) -> bool:
    before, after = observed.deployment.status, made.status
    return after.sequence >= before.sequence and after.last_version >= before.last_version


def _suspended_begins_nothing(observed: Observed, made: plan.Plan) -> bool:
    begun = (plan.LaunchResolve, plan.LaunchRetraining, plan.RecordVersion)
    if not observed.deployment.spec.suspend:
        return True
    return not any(isinstance(action, begun) and not _again(action, made.status) for action in made.actions)


def _again(action: plan.Action, status: ModelDeploymentStatus) -> bool:
    """The record of what serves, which somebody deleted."""
    stable = status.stable
    return isinstance(action, plan.RecordVersion) and stable is not None and action.name == stable.version


def _kstatus(observed: Observed, made: plan.Plan) -> bool:
    held = {condition.type: condition.status for condition in made.status.conditions}
    both = "Reconciling" in held and "Stalled" in held
    waits = "Reconciling" in held or "Stalled" in held
    return not both and not (waits and held.get("Ready") == "True")


RULES: Final[dict[str, Callable[[Observed, plan.Plan], bool]]] = {
    "a plan changes more than one thing of the world": _one_group,
    "pods are asked for a second candidate": _one_candidate,
    "the stable version is scaled below spec": _stable_in_full,
    "weights do not add up to 100": _whole_weights,
    "traffic goes to a version without a ready pod": _ready_backends,
    "pods go before their traffic": _traffic_leaves_first,
    "a candidate advances without evidence": _evidence_before_traffic,
    "a version becomes stable that was not promoted": _stable_by_promotion,
    "a retraining begins on no breach": _unknown_heals_nothing,
    "a rejected artifact returns by itself": _rejected_stay_rejected,
    "a first version is installed that is no better than a constant answer": _first_is_worth_it,
    "a number is given twice": _numbers_grow,
    "something is begun while suspended": _suspended_begins_nothing,
    "conditions contradict each other": _kstatus,
}
"""What is wrong when it does not hold, and how that is seen."""
