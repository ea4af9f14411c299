"""A person names an artifact: a Job reads it, since the operator opens none itself.

nothing serves yet          -> it is installed
the same artifact serves    -> nothing starts
an ancestor of what serves  -> nothing starts: a revert in Git is no rollback (rollback-to and pin are)
anything else               -> a candidate like any other, through gate, shadow and canary
"""

from modelmend.api.status import Refusal, Resolving, Stage, Trigger
from modelmend.contract.result import Failed, Succeeded
from modelmend.decide import outcomes
from modelmend.decide.case import Case, Finding
from modelmend.decide.change import change
from modelmend.decide.observed import Job, JobKind
from modelmend.decide.upkeep import jobs


def artifact_is_named(case: Case) -> Finding | None:
    """spec.model.uri is not what was last acted on; or nothing serves and nothing is on its way.

    What was refused waits until spec changes: then it is tried again, since the change may be its cure.
    """
    uri, status = case.spec.model.uri, case.status
    if uri is None:
        return None
    if status.handled.uri == uri and (
        status.stable or status.candidate or status.resolving or status.refusal
    ):
        return None
    if status.handled.uri is None and status.refusal is not None and status.refusal.token is None:
        return None
    if status.stable is None:
        begun = outcomes.resolve(case, status, Trigger.INSTALL, uri)
        return Finding(Stage.INSTALLING, f"reading the artifact at {uri}", begun)
    if case.pinned is not None or status.candidate is not None:
        return None
    begun = outcomes.resolve(case, status, Trigger.SPEC, uri)
    because = f"spec.model.uri names {uri}: it is read, and compared with {case.stable.version}"
    return Finding(Stage.EVALUATING, because, begun)


def artifact_is_invalid(case: Case) -> Finding | None:
    """The Job says so, or has not ended in its time."""
    resolving, job = _in_flight(case)
    if resolving is None:
        return None
    error = None
    if job is not None and isinstance(job.result, Failed):
        error = job.result.error
    elif case.now >= resolving.started_at + case.spec.retraining.trainer.deadline + outcomes.GRACE:
        error = _why_late(case, job)
    if error is None:
        return None
    because = f"spec.model.uri names {resolving.uri}, which cannot be used: {error}"
    generation = case.observed.deployment.metadata.generation
    refusal = Refusal(generation=generation, reason="InvalidArtifact", message=because)
    handled = change(case.status.handled, uri=None)
    status = change(case.status, resolving=None, refusal=refusal, handled=handled)
    return Finding(_stage_after(case, Stage.STALLED), because, status)


def reading_was_interrupted(case: Case) -> Finding | None:
    """Somebody deleted the Job before it ended: it is read again, under another number."""
    resolving, job = _in_flight(case)
    if resolving is None or resolving.uid is None or job is not None:
        return None
    status = outcomes.resolve(case, case.status, resolving.trigger, resolving.uri)
    because = (
        f"Job {resolving.job} was deleted before it ended: the artifact at {resolving.uri} is read again"
    )
    return Finding(_stage_of(resolving), because, status)


def artifact_serves_already(case: Case) -> Finding | None:
    """Same digest as the stable version, or an ancestor of it."""
    resolving, job = _in_flight(case)
    found = None if job is None else job.result
    if resolving is None or not isinstance(found, Succeeded) or case.status.stable is None:
        return None
    if found.digest == case.stable.digest:
        because = f"spec.model.uri names the artifact of {case.stable.version}, which serves"
    elif found.digest in ancestors(case):
        because = (
            f"spec.model.uri names an ancestor of {case.stable.version}, which serves on: "
            "to go back, use the annotation rollback-to or spec.model.pin"
        )
    else:
        return None
    handled = change(case.status.handled, uri_because=because)
    return Finding(Stage.SERVING, because, change(case.status, resolving=None, handled=handled))


def artifact_is_read(case: Case) -> Finding | None:
    """It is a candidate; the first one of all is installed."""
    resolving, job = _in_flight(case)
    found = None if job is None else job.result
    if resolving is None or not isinstance(found, Succeeded):
        return None
    version = jobs.next_version(case.status, case.observed)
    status = outcomes.propose(case, found, resolving.trigger)
    return Finding(_stage_of(resolving), f"the artifact at {resolving.uri} becomes {version}", status)


def artifact_is_being_read(case: Case) -> Finding | None:
    """The Job has not ended."""
    resolving, job = _in_flight(case)
    if resolving is None:
        return None
    because = f"reading the artifact at {resolving.uri}"
    if job is not None and job.trouble:
        because = f"{because}: {job.trouble}"
    return Finding(_stage_of(resolving), because, case.status)


def nothing_can_be_installed(case: Case) -> Finding | None:
    """Nothing serves, and what spec names was refused."""
    if case.status.stable is not None or case.status.refusal is None or case.spec.model.uri is None:
        return None
    return Finding(Stage.STALLED, case.status.refusal.message, case.status)


def ancestors(case: Case) -> set[str]:
    """Digests that the stable version descends from, as far as the records reach."""
    parents = {
        v.spec.digest: v.spec.parent.digest for v in case.observed.versions if v.spec.parent is not None
    }
    found: set[str] = set()
    digest: str | None = case.stable.digest
    while (digest := parents.get(digest or "")) is not None and digest not in found:
        found.add(digest)
    return found


def _in_flight(case: Case) -> tuple[Resolving | None, Job | None]:
    resolving = case.status.resolving
    return resolving, None if resolving is None else case.observed.job(JobKind.RESOLVE, resolving.sequence)


def _why_late(case: Case, job: Job | None) -> str:
    if job is None:
        return f"its Job could not be made in time{': ' + case.observed.blocked if case.observed.blocked else ''}"
    return f"its Job did not end in time{': ' + job.trouble if job.trouble else ''}"


def _stage_of(resolving: Resolving) -> Stage:
    return Stage.INSTALLING if resolving.trigger is Trigger.INSTALL else Stage.EVALUATING


def _stage_after(case: Case, without_stable: Stage) -> Stage:
    return without_stable if case.status.stable is None else Stage.SERVING
