"""The Job in flight: made when the status says so, removed when nobody waits for it any more."""

from modelmend.api import names
from modelmend.api.status import ModelDeploymentStatus, Resolving, Running
from modelmend.decide.observed import JobKind, Observed
from modelmend.decide.plan import Champion, LaunchResolve, LaunchRetraining, RemoveJob
from modelmend.decide.upkeep import history


def missing(status: ModelDeploymentStatus, observed: Observed) -> LaunchResolve | LaunchRetraining | None:
    """The Job that the status waits for and nobody has seen yet. One that was seen and is gone is not made again."""
    resolving, running = status.resolving, status.retraining.running
    parent, version = champion(status), next_version(status, observed)
    if resolving is not None and _is_unseen(JobKind.RESOLVE, resolving, observed):
        return LaunchResolve(resolving.sequence, resolving.job, resolving.uri, version, parent)
    if running is not None and _is_unseen(JobKind.RETRAIN, running, observed):
        unreferenced = history.unreferenced(status, observed)
        return LaunchRetraining(running.sequence, running.job, version, parent, unreferenced)
    return None


def unwanted(status: ModelDeploymentStatus, observed: Observed) -> tuple[RemoveJob, ...]:
    """Jobs whose result is recorded, or that nobody waits for."""
    resolving, running = status.resolving, status.retraining.running
    awaited = set()
    if resolving is not None:
        awaited.add((JobKind.RESOLVE, resolving.sequence))
    if running is not None:
        awaited.add((JobKind.RETRAIN, running.sequence))
    return tuple(
        RemoveJob(job.name, job.uid) for job in observed.jobs if (job.kind, job.sequence) not in awaited
    )


def next_version(status: ModelDeploymentStatus, observed: Observed) -> str:
    """Name that the artifact of the Job in flight gets, if it becomes a version: no other is made meanwhile."""
    return names.version(observed.deployment.metadata.name, status.last_version + 1)


def champion(status: ModelDeploymentStatus) -> Champion | None:
    """The stable version, as a Job knows it."""
    stable = status.stable
    return None if stable is None else Champion(stable.version, stable.rollout, stable.uri, stable.digest)


def _is_unseen(kind: JobKind, awaited: Resolving | Running, observed: Observed) -> bool:
    return awaited.uid is None and observed.job(kind, awaited.sequence) is None
