"""How things begin and end, as changes of the status: every counter, timer and number is set here."""

from datetime import datetime, timedelta
from typing import Final

from modelmend.api import names
from modelmend.api.status import (
    Candidate,
    ModelDeploymentStatus,
    Phase,
    Refusal,
    Resolving,
    RetrainingStatus,
    Running,
    Stable,
    Trigger,
)
from modelmend.contract.arms import Arm
from modelmend.contract.result import Succeeded
from modelmend.decide import reasons
from modelmend.decide.case import Case
from modelmend.decide.change import change
from modelmend.decide.reasons import Reason

GRACE: Final = timedelta(minutes=1)
"""Beyond its deadline a Job that has not ended never will: Kubernetes ends it at the deadline itself."""
REMEMBERED: Final = 100
"""Rejected digests that a status may hold."""


def resolve(case: Case, status: ModelDeploymentStatus, trigger: Trigger, uri: str) -> ModelDeploymentStatus:
    """Begin to read the artifact that spec names; whatever was in flight before it is forgotten."""
    metadata, sequence = case.observed.deployment.metadata, status.sequence + 1
    job = names.job(metadata.name, metadata.uid, "resolve", sequence)
    return change(
        status,
        sequence=sequence,
        resolving=Resolving(sequence=sequence, job=job, uri=uri, trigger=trigger, started_at=case.now),
        candidate=None,
        retraining=change(status.retraining, running=None, pending=None),
        handled=change(status.handled, uri=uri, uri_because=None),
    )


def retrain(
    case: Case, status: ModelDeploymentStatus, trigger: Trigger, because: str, sequence: int | None = None
) -> ModelDeploymentStatus:
    """Begin a retraining, under a number that was given before or a new one."""
    metadata, number = (
        case.observed.deployment.metadata,
        status.sequence + 1 if sequence is None else sequence,
    )
    log = case.spec.retraining.data.log
    running = Running(
        sequence=number,
        job=names.job(metadata.name, metadata.uid, "retrain", number),
        trigger=trigger,
        because=because,
        started_at=case.now,
        data_from=None if log is None else case.now - log.window,
        data_to=None if log is None else case.now,
    )
    return change(
        status,
        sequence=max(status.sequence, number),
        retraining=change(status.retraining, running=running, pending=None),
    )


def propose(case: Case, result: Succeeded, trigger: Trigger) -> ModelDeploymentStatus:
    """The artifact of a Job becomes the candidate. The Job stays until its result is recorded."""
    status, metadata = case.status, case.observed.deployment.metadata
    number, sequence = status.last_version + 1, status.sequence + 1
    direct = trigger in reasons.DIRECT
    stable = status.stable
    candidate = Candidate(
        version=names.version(metadata.name, number),
        digest=result.digest,
        uri=result.uri,
        rollout=names.rollout(metadata.uid, sequence),
        phase=Phase.PROMOTING if direct and trigger is not Trigger.FIRST else Phase.EVALUATING,
        trigger=trigger,
        arm=Arm.SOLO if direct else Arm.SHADOW if case.spec.serving.pairs else Arm.CANARY,
        since=case.now,
        started=case.now,
        champion=None if stable is None else stable.version,
        champion_rollout=None if stable is None else stable.rollout,
    )
    retraining = status.retraining
    if retraining.running is not None:
        # The trainer has deleted what it was told to delete.
        retraining = change(retraining, unreferenced=())
    return change(status, last_version=number, sequence=sequence, candidate=candidate, retraining=retraining)


def bring_back(
    case: Case, status: ModelDeploymentStatus, version: str, trigger: Trigger
) -> ModelDeploymentStatus:
    """A known version becomes the candidate by a person's word. Pods that still run are taken as they are."""
    known, present = case.observed.version(version), case.observed.server(version)
    assert known is not None, "only a known version is brought back"
    sequence = status.sequence if present is not None else status.sequence + 1
    rollout = names.rollout(case.observed.deployment.metadata.uid, sequence)
    candidate = Candidate(
        version=version,
        digest=known.spec.digest,
        uri=known.spec.uri,
        rollout=rollout if present is None else present.rollout,
        phase=Phase.PROMOTING,
        trigger=trigger,
        arm=Arm.SOLO,
        since=case.now,
        started=case.now,
        champion=case.stable.version,
        champion_rollout=case.stable.rollout,
    )
    return change(
        status,
        sequence=sequence,
        candidate=candidate,
        resolving=None,
        retraining=change(status.retraining, running=None, pending=None),
    )


def advance(case: Case, phase: Phase, *, step: int = 0) -> ModelDeploymentStatus:
    """The candidate enters a phase or a step."""
    candidate = change(
        case.candidate,
        phase=phase,
        step=step,
        since=case.now,
        pairs_at_step=case.judgements.pairs,
        unready_since=None,
    )
    if case.in_phase(Phase.EVALUATING) and case.status.stable is not None:
        # Its first traffic, and with it the comparison.
        candidate = change(
            candidate,
            started=case.now,
            champion=case.stable.version,
            champion_rollout=case.stable.rollout,
        )
    return change(case.status, candidate=candidate)


def become_stable(case: Case, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    """The candidate is the version that serves; its artifact is no longer a rejected one."""
    candidate = case.candidate
    stable = Stable(
        version=candidate.version,
        digest=candidate.digest,
        uri=candidate.uri,
        rollout=candidate.rollout,
        since=case.now,
        evidence_since=case.now,
    )
    rejected = tuple(digest for digest in status.rejected if digest != candidate.digest)
    handled = change(status.handled, uri_because=None)
    return change(status, stable=stable, rejected=rejected, handled=handled)


def send_back(case: Case, reason: Reason, because: str) -> ModelDeploymentStatus:
    """The candidate's traffic goes back to the champion, then its pods go. After a promotion the champion returns."""
    status, candidate = case.status, case.candidate
    if candidate.phase is Phase.BAKING:
        champion = case.observed.version(candidate.champion or "")
        assert champion is not None, "a bake whose champion is lost has ended"
        stable = Stable(
            version=champion.metadata.name,
            digest=champion.spec.digest,
            uri=champion.spec.uri,
            rollout=candidate.champion_rollout or "",
            since=case.now,
            evidence_since=case.now,
        )
        status = change(status, stable=stable)
    return change(
        status,
        candidate=change(
            candidate,
            phase=Phase.ROLLING_BACK,
            since=case.now,
            unready_since=None,
            failure=because,
            reason=reason.value,
        ),
    )


def end(case: Case, reason: Reason, because: str) -> ModelDeploymentStatus:
    """The candidate is gone: what it cost, what is remembered of it, and when healing may go on."""
    status, candidate = case.status, case.candidate
    spends = reasons.spends_budget(candidate.trigger, reason)
    rejected = status.rejected
    stable = status.stable
    if reason in reasons.REMEMBERED and (stable is None or candidate.digest != stable.digest):
        rejected = (*(digest for digest in rejected if digest != candidate.digest), candidate.digest)
    if stable is not None and reason in reasons.REMEMBERED and candidate.trigger in reasons.HEALING:
        stable = change(stable, evidence_since=case.now)
    handled = status.handled
    if reason in reasons.TRIED_AGAIN | reasons.REFUSED and candidate.trigger is Trigger.SPEC:
        handled = change(handled, uri=None)
    if reason is Reason.SUSPENDED and candidate.trigger is Trigger.ROLLBACK_TO:
        handled = change(handled, rollback_to=None)
    return change(
        status,
        candidate=None,
        resolving=None,
        stable=stable,
        rejected=rejected[-REMEMBERED:],
        retraining=cool_down(case, change(status.retraining, running=None), because, failed=spends),
        refusal=_refusal(case, reason, because) or status.refusal,
        handled=handled,
    )


def _refusal(case: Case, reason: Reason, because: str) -> Refusal | None:
    """What the author of a spec, or of a command, is told when it came to nothing."""
    generation, trigger = case.observed.deployment.metadata.generation, case.candidate.trigger
    if case.status.stable is None:
        return None
    message = f"{case.candidate.version} rejected: {because}; {case.stable.version} serves on"
    if trigger is Trigger.SPEC and reason in reasons.REFUSED | {Reason.ABORTED}:
        return Refusal(generation=generation, reason="RolloutRejected", message=message)
    if trigger is Trigger.PIN and reason in reasons.FAULTS:
        return Refusal(generation=generation, reason="RolloutRejected", message=message)
    if trigger is Trigger.ROLLBACK_TO and reason in reasons.FAULTS:
        token = case.status.handled.rollback_to
        return Refusal(generation=generation, reason="RolloutRejected", message=message, token=token)
    return None


def cool_down(case: Case, retraining: RetrainingStatus, because: str, *, failed: bool) -> RetrainingStatus:
    """Rest after an end; longer after each failure in a row. A rest that lasts longer already is not cut short."""
    rest, attempts, failures = case.spec.retraining.cooldown, retraining.attempts, retraining.failures
    if failed:
        failures += 1
        rest += backoff(case, failures)
        attempts = (*within_budget(case, retraining), case.now)
    until = case.now + rest
    if retraining.cooldown_until is not None:
        until = max(until, retraining.cooldown_until)
    return change(
        retraining, cooldown_until=until, cooldown_because=because, failures=failures, attempts=attempts
    )


def backoff(case: Case, failures: int) -> timedelta:
    """Doubles with each failure in a row, up to the operator's limit."""
    settings = case.observed.settings
    # Far beyond any limit already, and a much larger power would overflow.
    doublings: int = min(failures - 1, 20)
    return min(settings.backoff * (1 << doublings), settings.backoff_limit)


def within_budget(case: Case, retraining: RetrainingStatus) -> tuple[datetime, ...]:
    """Failures that still count."""
    begin = case.now - case.spec.retraining.budget.per
    return tuple(attempt for attempt in retraining.attempts if attempt > begin)
