"""Evaluating: the candidate's artifact is recorded and compared with the champion on a holdout, before any traffic."""

from modelmend.api.status import Phase, Stage, Trigger
from modelmend.decide import compared, outcomes
from modelmend.decide.case import Case, Finding
from modelmend.decide.change import change
from modelmend.decide.reasons import TRAINED, Reason
from modelmend.decide.upkeep import records


def candidate_is_not_recorded(case: Case) -> Finding | None:
    """Its ModelVersion is being written; it cannot be when somebody deleted the Job before."""
    if not case.in_phase(Phase.EVALUATING) or case.recorded is not None:
        return None
    if records.result_of(case.status, case.observed) is not None:
        return Finding(Stage.EVALUATING, f"{case.candidate.version} is being recorded", case.status)
    because = f"the Job that made {case.candidate.version} was deleted before its result was recorded"
    return Finding(Stage.COOLING_DOWN, because, outcomes.end(case, Reason.LOST, because))


def candidate_was_rejected(case: Case) -> Finding | None:
    """It has failed the gate, and its record says so."""
    if not case.in_phase(Phase.EVALUATING) or case.candidate.failure is None:
        return None
    because = case.candidate.failure
    if not records.is_told(case.recorded, records.REJECTED):
        return Finding(Stage.EVALUATING, because, case.status)
    return Finding(Stage.COOLING_DOWN, because, outcomes.end(case, Reason.GATE, because))


def candidate_fails_the_gate(case: Case) -> Finding | None:
    """Not better than the champion (or worse, for a person's artifact; no better than a constant answer, for the first
    version), or rejected once before."""
    if not case.in_phase(Phase.EVALUATING) or case.recorded is None:
        return None
    because = _fault(case)
    if because is None:
        return None
    candidate = change(case.candidate, failure=because, reason=Reason.GATE.value)
    return Finding(Stage.EVALUATING, because, change(case.status, candidate=candidate))


def candidate_passes_the_gate(case: Case) -> Finding | None:
    """It may be tried in shadow; a server of the user's own knows no shadow and goes to the first canary step; the first
    version, with nobody beside it, is installed."""
    if not case.in_phase(Phase.EVALUATING) or case.recorded is None:
        return None
    gate = compared.gate(case.observed.deployment, case.recorded)
    if case.candidate.trigger is Trigger.FIRST:
        because = f"{case.candidate.version} comes up, the first version: {gate.because}"
        return Finding(Stage.INSTALLING, because, outcomes.advance(case, Phase.PROMOTING))
    if not case.spec.serving.pairs:
        weight = case.spec.rollout.steps[0].weight
        because = f"{case.candidate.version} goes to {weight} % without a shadow: {gate.because}"
        return Finding(Stage.CANARY, because, outcomes.advance(case, Phase.CANARY))
    because = f"{case.candidate.version} goes to shadow: {gate.because}"
    return Finding(Stage.SHADOW, because, outcomes.advance(case, Phase.SHADOW))


def _fault(case: Case) -> str | None:
    candidate = case.candidate
    assert case.recorded is not None
    if candidate.trigger in TRAINED and candidate.digest in case.status.rejected:
        return "the retraining made an artifact that was rejected before"
    if case.status.stable is not None and candidate.digest == case.stable.digest:
        return "the retraining made the very artifact that serves"
    gate = compared.gate(case.observed.deployment, case.recorded)
    return None if gate.passed else gate.because
