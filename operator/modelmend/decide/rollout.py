"""Shadow, canary, promotion and bake: a candidate beside its champion.

Shadow --not worse--> Canary 10 % --new pairs, quiet guards--> Canary 50 % --> (approval) --> Promoting
  a server of the user's own: no shadow; the last canary step passes when the candidate is not worse
  every phase: worse, a broken guard, pods that are not ready   --> RollingBack
  Shadow, Canary: the deadline --> what analysis.onInconclusive says
  Promoting: all replicas ready --> Baking, on the canary arm with all traffic --> it serves alone
"""

from datetime import datetime

from modelmend.api import names
from modelmend.api.spec import Approval, Inconclusive
from modelmend.api.status import ModelDeploymentStatus, Phase, Stage
from modelmend.contract.arms import Arm
from modelmend.decide import compared, judge, memory, outcomes, sentences, situation
from modelmend.decide.case import Case, Finding
from modelmend.decide.change import change
from modelmend.decide.reasons import Reason
from modelmend.decide.upkeep import front, servers
from modelmend.evidence.verdict import Verdict

STAGES = {
    Phase.SHADOW: Stage.SHADOW,
    Phase.CANARY: Stage.CANARY,
    Phase.AWAITING_APPROVAL: Stage.AWAITING_APPROVAL,
    Phase.PROMOTING: Stage.PROMOTING,
    Phase.BAKING: Stage.PROMOTING,
}


def champion_is_lost(case: Case) -> Finding | None:
    """Somebody deleted the old champion's record during the bake: there is nothing to go back to."""
    if not case.in_phase(Phase.BAKING) or case.observed.version(case.candidate.champion or "") is not None:
        return None
    because = f"{case.candidate.version} serves; its bake ends early: {case.candidate.champion} was deleted"
    return _promoted(case, because)


def candidate_is_not_ready(case: Case) -> Finding | None:
    """Its pods had their time to become ready."""
    if not _is_compared(case) or not situation.is_unready_for_too_long(case):
        return None
    return _sent_back(case, Reason.UNREADY, situation.unready(case))


def candidate_is_worse(case: Case) -> Finding | None:
    """Proven by pairs, or by labels of divided requests."""
    if not _is_compared(case) or case.judgements.comparison.finding is not compared.Outcome.WORSE:
        return None
    return _sent_back(case, Reason.WORSE, case.judgements.comparison.because)


def candidate_breaks_a_guard(case: Case) -> Finding | None:
    """Errors or slowness, and the candidate is to blame."""
    if not _is_compared(case):
        return None
    broken = next((guard for guard in case.judgements.guards if guard.verdict is Verdict.BREACHED), None)
    return None if broken is None else _sent_back(case, Reason.GUARD, broken.because)


def time_is_up(case: Case) -> Finding | None:
    """The deadline has come and the evidence says neither."""
    if not _is_compared(case) or not case.in_phase(Phase.SHADOW, Phase.CANARY) or case.now < case.deadline:
        return None
    end = case.spec.rollout.analysis.on_inconclusive
    because = (
        f"no decision by the deadline {sentences.moment(case.deadline)}: {_lacking(case)}; "
        f"analysis.onInconclusive is {end.value}"
    )
    if end is Inconclusive.ROLLBACK:
        return _sent_back(case, Reason.DEADLINE, because)
    if not case.candidate_is_ready or situation.gateway_holds(case):
        return None
    return _chosen(case, because)


def candidate_is_not_worse(case: Case) -> Finding | None:
    """Shadow has proven it: it may answer its first requests."""
    if not _is_compared(case) or not case.in_phase(Phase.SHADOW) or _holds(case):
        return None
    if not _is_not_worse(case):
        return None
    because = f"{case.candidate.version} goes to canary: {case.judgements.comparison.because}"
    return Finding(Stage.CANARY, because, outcomes.advance(case, Phase.CANARY))


def step_is_passed(case: Case) -> Finding | None:
    """Enough new pairs since the step began, no evidence against the candidate, quiet guards."""
    if not _is_compared(case) or not case.in_phase(Phase.CANARY) or _holds(case):
        return None
    if _new_pairs(case) < case.spec.rollout.analysis.min_labels:
        return None
    steps, step = case.spec.rollout.steps, case.candidate.step
    if step + 1 >= len(steps) and not case.spec.serving.pairs and not _is_not_worse(case):
        # What a shadow has proven elsewhere.
        return None
    score = compared.score(case.candidate.evidence, case.recorded)
    if step + 1 < len(steps):
        because = f"{case.candidate.version} goes to {steps[step + 1].weight} %: {score}"
        return Finding(Stage.CANARY, because, outcomes.advance(case, Phase.CANARY, step=step + 1))
    return _chosen(case, f"it has passed every step: {score}")


def promotion_is_approved(case: Case) -> Finding | None:
    """A person wrote the digest."""
    if not _is_compared(case) or not case.in_phase(Phase.AWAITING_APPROVAL):
        return None
    candidate = case.candidate
    if case.command(names.APPROVE) != candidate.digest:
        return None
    status = memory.handled(
        outcomes.advance(case, Phase.PROMOTING, step=candidate.step), names.APPROVE, candidate.digest
    )
    return Finding(Stage.PROMOTING, f"{candidate.version} takes over: a person approved it", status)


def promotion_is_ready(case: Case) -> Finding | None:
    """As many pods as the champion has: it takes all traffic and is the stable version, on probation."""
    if not _is_compared(case) or not case.in_phase(Phase.PROMOTING) or not case.candidate_is_ready:
        return None
    if situation.gateway_holds(case):
        return None
    status = outcomes.become_stable(case, outcomes.advance(case, Phase.BAKING, step=case.candidate.step))
    return Finding(Stage.PROMOTING, _bakes(case, case.now), status)


def bake_is_over(case: Case) -> Finding | None:
    """It has held: the old champion may go. While nothing is known, it stays."""
    if not _is_compared(case) or not case.in_phase(Phase.BAKING):
        return None
    if case.pinned != case.stable.version and (case.now < bake_end(case) or _holds_bake(case)):
        return None
    because = f"{case.candidate.version} replaced {case.candidate.champion}: {compared.score(case.candidate.evidence, case.recorded)}"
    return _promoted(case, because)


def candidate_is_tried(case: Case) -> Finding | None:
    """The phase goes on."""
    if not _is_compared(case):
        return None
    return Finding(STAGES[case.candidate.phase], _progress(case), case.status)


def bake_end(case: Case) -> datetime:
    """When the probation of a promoted version ends."""
    return case.candidate.since + case.spec.rollout.bake


def _is_compared(case: Case) -> bool:
    return case.in_phase(*compared.COMPARED) and not case.candidate_is_direct


def _sent_back(case: Case, reason: Reason, because: str) -> Finding:
    return Finding(Stage.ROLLING_BACK, because, outcomes.send_back(case, reason, because))


def _chosen(case: Case, because: str) -> Finding:
    """Every step is behind it: a person is asked where spec says so."""
    candidate = case.candidate
    if case.spec.rollout.approval is Approval.MANUAL:
        status = outcomes.advance(case, Phase.AWAITING_APPROVAL, step=candidate.step)
        return Finding(Stage.AWAITING_APPROVAL, _asked(case, because), status)
    status = outcomes.advance(case, Phase.PROMOTING, step=candidate.step)
    return Finding(Stage.PROMOTING, f"{candidate.version} takes over: {because}", status)


def _promoted(case: Case, because: str) -> Finding:
    """The end of a success: no failures in a row any more, and a rest."""
    retraining = change(case.status.retraining, failures=0)
    rested = outcomes.cool_down(case, retraining, because, failed=False)
    status: ModelDeploymentStatus = change(case.status, candidate=None, retraining=rested)
    return Finding(Stage.COOLING_DOWN, because, status)


def _holds(case: Case) -> str | None:
    in_place = situation.share_holds(case, "carry its weight")
    return (
        situation.champion_holds(case) or situation.holding(case) or in_place or situation.numbers_hold(case)
    )


def _holds_bake(case: Case) -> str | None:
    """Errors that are not proven the candidate's own do not prolong the bake for ever; silence does."""
    in_place = situation.share_holds(case, "send it everything")
    silence = None if case.judgements.fresh else judge.silence_of_prometheus(case.observed)
    return situation.holding(case) or in_place or silence


def _is_not_worse(case: Case) -> bool:
    return case.judgements.comparison.finding is compared.Outcome.NOT_WORSE


def _lacking(case: Case) -> str:
    """The numbers that a decision would have needed beside those that there are, and what else stood in the way."""
    found = case.judgements.comparison.because
    if case.in_phase(Phase.CANARY):
        needed = case.spec.rollout.analysis.min_labels
        step = f"step {case.candidate.step + 1} of {len(case.spec.rollout.steps)}"
        score = compared.score(case.candidate.evidence, case.recorded)
        found = f"{step} had {_new_pairs(case):,} of {needed:,} {_unit(case)}, {score}"
    return sentences.joined(found, _holds(case))


def _new_pairs(case: Case) -> int:
    """Since the candidate has answered for itself at this step."""
    if case.in_phase(Phase.CANARY) and case.candidate.arm is Arm.SHADOW:
        return 0
    return case.judgements.pairs - case.candidate.pairs_at_step


def _unit(case: Case) -> str:
    return "new pairs" if case.spec.serving.pairs else "new labels of its own"


def _progress(case: Case) -> str:
    candidate, score = case.candidate, compared.score(case.candidate.evidence, case.recorded)
    carried = _carried(case)
    match candidate.phase:
        case Phase.SHADOW:
            doing = (
                f"{candidate.version} is scored beside {candidate.champion} on {carried} of requests: {score}"
            )
        case Phase.CANARY:
            step = f"step {candidate.step + 1} of {len(case.spec.rollout.steps)}"
            needed = sentences.progress(_new_pairs(case), case.spec.rollout.analysis.min_labels)
            having = f"{step} with {needed} {_unit(case)}"
            doing = f"{candidate.version} answers {carried} of requests, {having}: {score}"
        case Phase.AWAITING_APPROVAL:
            doing = _asked(case, score)
        case Phase.PROMOTING:
            doing = f"{candidate.version} takes over"
        case _:
            doing = _bakes(case, candidate.since)
    return sentences.joined(doing, _stands_in_the_way(case))


def _carried(case: Case) -> str:
    """Its share; where pods make it, also what they should make if that is something else."""
    found = front.weight_of(case.candidate.version, case.observed.front.backends)
    wanted = servers.weight(case.candidate, case.spec)
    if not servers.splits_by_pods(case.spec) or wanted in (None, found):
        return f"{found} %"
    return f"{found} % (in place of {wanted} %)"


def _stands_in_the_way(case: Case) -> str | None:
    if case.in_phase(Phase.AWAITING_APPROVAL, Phase.PROMOTING):
        return situation.holding(case)
    if case.in_phase(Phase.BAKING):
        return _holds_bake(case)
    return _holds(case)


def _asked(case: Case, because: str) -> str:
    digest = case.candidate.digest
    return f"{case.candidate.version} waits for a person: {because}; approve with the annotation {names.APPROVE}={digest}"


def _bakes(case: Case, since: datetime) -> str:
    until = sentences.moment(since + case.spec.rollout.bake)
    return f"{case.candidate.version} answers everybody; {case.candidate.champion} stands by until {until}"
