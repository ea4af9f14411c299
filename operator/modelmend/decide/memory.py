"""What is noted in the status before anything is decided: facts that need no decision, and what they make void.

1. Another spec forgets what only stood until spec changes: Stalled (and what was spent), refusals; while nothing serves,
   what was tried for a first version.
2. A command's annotation that is gone may be given again.
3. A Job that was seen once has a uid; one whose artifact is recorded is no longer waited for.
4. Since when the candidate's pods are not ready, and how its comparison stands.
"""

from datetime import datetime
from typing import Final

from modelmend.api import names
from modelmend.api.status import Candidate, Handled, ModelDeploymentStatus, RetrainingStatus
from modelmend.decide import compared, inputs, judge
from modelmend.decide.change import change
from modelmend.decide.observed import Job, JobKind, Observed
from modelmend.decide.upkeep import servers

HANDLED: Final = {
    names.RETRAIN: "retrain",
    names.APPROVE: "approve",
    names.ABORT: "abort",
    names.ROLLBACK_TO: "rollback_to",
    names.RESET: "reset",
}
"""Annotation to the field of `status.handled` that remembers its token."""


def note(observed: Observed, judgements: judge.Judgements) -> ModelDeploymentStatus:
    """The present status with everything noted."""
    status = observed.deployment.status
    status = _spec(status, observed)
    status = _schedule(status, observed)
    status = _annotations(status, observed)
    status = _jobs(status, observed)
    if status.candidate is not None:
        status = change(status, candidate=_candidate(status.candidate, observed, judgements))
    return change(
        status, observed_generation=observed.deployment.metadata.generation, signals=judgements.signals
    )


def command(observed: Observed, status: ModelDeploymentStatus, annotation: str) -> str | None:
    """The value of a command's annotation while it was not acted on."""
    token = observed.deployment.metadata.annotations.get(annotation)
    return token if token and token != getattr(status.handled, HANDLED[annotation]) else None


def handled(status: ModelDeploymentStatus, annotation: str, token: str) -> ModelDeploymentStatus:
    """The status with this command acted on."""
    return change(status, handled=change(status.handled, **{HANDLED[annotation]: token}))


def _spec(status: ModelDeploymentStatus, observed: Observed) -> ModelDeploymentStatus:
    """A person's edit. A scaling is none: an autoscaler must not end Stalled."""
    present = inputs.of_spec(observed.deployment)
    if status.handled.spec == present:
        return status
    retraining = status.retraining
    if status.stalled is not None or status.stable is None:
        retraining = forgiven(retraining)
    if status.stable is None and status.candidate is None:
        # A first training that was told otherwise: what it makes is not what is asked for now.
        retraining = change(retraining, running=None)
    return change(
        status,
        handled=change(status.handled, spec=present),
        retraining=retraining,
        stalled=None,
        refusal=None,
    )


def forgiven(retraining: RetrainingStatus) -> RetrainingStatus:
    """A person has come: the budget is whole again and nothing cools down."""
    return change(retraining, attempts=(), failures=0, cooldown_until=None, cooldown_because=None)


def _schedule(status: ModelDeploymentStatus, observed: Observed) -> ModelDeploymentStatus:
    """A line counts from when it was first seen: it has missed nothing before."""
    line = observed.deployment.spec.retraining.schedule
    if line == status.retraining.schedule:
        return status
    scheduled = None if line is None else observed.now
    return change(status, retraining=change(status.retraining, schedule=line, scheduled=scheduled))


def _annotations(status: ModelDeploymentStatus, observed: Observed) -> ModelDeploymentStatus:
    present = observed.deployment.metadata.annotations
    gone = {
        field: None
        for annotation, field in HANDLED.items()
        if not present.get(annotation) and getattr(status.handled, field) is not None
    }
    if gone:
        kept: Handled = change(status.handled, **gone)
        status = change(status, handled=kept)
    refusal = status.refusal
    if refusal is not None and refusal.token is not None and present.get(names.ROLLBACK_TO) != refusal.token:
        status = change(status, refusal=None)
    return status


def _jobs(status: ModelDeploymentStatus, observed: Observed) -> ModelDeploymentStatus:
    candidate, resolving, running = status.candidate, status.resolving, status.retraining.running
    if candidate is not None and observed.version(candidate.version) is not None:
        if running is not None:
            status = change(status, retraining=change(status.retraining, running=None))
        return change(status, resolving=None)
    if resolving is not None and resolving.uid is None:
        job = observed.job(JobKind.RESOLVE, resolving.sequence)
        status = change(status, resolving=change(resolving, uid=_uid(job)))
    if running is not None and running.uid is None:
        job = observed.job(JobKind.RETRAIN, running.sequence)
        status = change(status, retraining=change(status.retraining, running=change(running, uid=_uid(job))))
    return status


def _uid(job: Job | None) -> str | None:
    return None if job is None else job.uid


def _candidate(candidate: Candidate, observed: Observed, judgements: judge.Judgements) -> Candidate:
    evidence = compared.evidence(candidate, observed, judgements.comparison)
    return change(candidate, evidence=evidence, unready_since=_unready_since(candidate, observed))


def _unready_since(candidate: Candidate, observed: Observed) -> datetime | None:
    """Since when fewer pods than its share are ready, while the champion has all of its own.

    Nobody waits for pods of a version that is not recorded yet. And where the champion lacks pods too, it is the
    cluster that is short (an autoscaler asked for more): a candidate with a ready pod is not blamed for it.
    """
    spec, server = observed.deployment.spec, observed.server(candidate.version)
    if candidate.phase not in compared.COMPARED or observed.version(candidate.version) is None:
        return None
    ready = 0 if server is None else server.ready
    champion = observed.server(candidate.champion or "")
    cluster_is_short = champion is not None and champion.ready < spec.serving.replicas
    if ready >= servers.share(candidate, spec) or (ready and cluster_is_short):
        return None
    return candidate.unready_since or observed.now
