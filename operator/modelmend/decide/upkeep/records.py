"""ModelVersions: each artifact is recorded before it gets a pod, and its story is told when it changes.

A record is written again from the same facts until it is seen: the Job's result, and moments of the status.
"""

from typing import Final

from modelmend.api import names
from modelmend.api.resources import DataWindow, ModelVersion, ModelVersionSpec, VersionReference
from modelmend.api.status import Candidate, ModelDeploymentStatus, PairedEvidence, Phase, Stable, Trigger
from modelmend.contract import metrics, storage
from modelmend.contract.manifest import Task
from modelmend.contract.result import Succeeded
from modelmend.decide import sentences
from modelmend.decide.observed import JobKind, Observed
from modelmend.decide.plan import DescribeVersion, RecordVersion
from modelmend.decide.reasons import HEALING

CANDIDATE: Final = "Candidate"
CHAMPION: Final = "Champion"
STANDBY: Final = "Standby"
RETIRED: Final = "Retired"
REJECTED: Final = "Rejected"
ROLLED_BACK: Final = "RolledBack"


def result_of(status: ModelDeploymentStatus, observed: Observed) -> Succeeded | None:
    """What the Job in flight has made or read, once it has."""
    job = None
    if status.retraining.running is not None:
        job = observed.job(JobKind.RETRAIN, status.retraining.running.sequence)
    elif status.resolving is not None:
        job = observed.job(JobKind.RESOLVE, status.resolving.sequence)
    return job.result if job is not None and isinstance(job.result, Succeeded) else None


def missing(status: ModelDeploymentStatus, observed: Observed) -> RecordVersion | None:
    """The record that must be created: the candidate's; or the stable version's, which somebody deleted."""
    stable, candidate = status.stable, status.candidate
    if candidate is not None and observed.version(candidate.version) is None:
        result = result_of(status, observed)
        return None if result is None else _of_result(status, candidate, result, observed)
    if stable is not None and observed.version(stable.version) is None:
        return _again(status, stable, observed)
    return None


def untold(status: ModelDeploymentStatus, observed: Observed) -> tuple[DescribeVersion, ...]:
    """Versions whose story has gone on."""
    told = ((version, _story(status, version)) for version in observed.versions)
    return tuple(story for version, story in told if version.status.state != story.state)


def is_told(version: ModelVersion | None, state: str) -> bool:
    """Nothing is lost when the status forgets this version now."""
    return version is None or version.status.state == state


def _story(status: ModelDeploymentStatus, version: ModelVersion) -> DescribeVersion:
    name, present, candidate = version.metadata.name, version.status.state, status.candidate
    if status.stable is not None and status.stable.version == name:
        if candidate is not None and candidate.phase is Phase.BAKING:
            return _told(name, CHAMPION, f"promoted over {candidate.champion}", candidate.evidence)
        return _told(name, CHAMPION, f"serves since {sentences.moment(status.stable.since)}", None)
    if candidate is not None and candidate.version == name:
        state = CANDIDATE
        if candidate.phase is Phase.ROLLING_BACK:
            state = ROLLED_BACK
        elif candidate.failure is not None:
            state = REJECTED
        return _told(name, state, candidate.failure or version.spec.because, candidate.evidence)
    successor = None if status.stable is None else status.stable.version
    if candidate is not None and candidate.champion == name and candidate.phase is Phase.BAKING:
        return _told(name, STANDBY, f"ready to return while {successor} bakes", None)
    if present in (REJECTED, ROLLED_BACK, RETIRED):
        return _told(name, present, "", None)
    if version.spec.digest in status.rejected:
        return _told(name, ROLLED_BACK, f"a person went back to {successor}", None)
    return _told(name, RETIRED, f"{successor} serves" if successor else "replaced before it served", None)


def _told(name: str, state: str, because: str, evidence: PairedEvidence | None) -> DescribeVersion:
    compared = evidence if evidence is not None and (evidence.pairs or evidence.split) else None
    return DescribeVersion(name, state, because, compared)


def _of_result(
    status: ModelDeploymentStatus, candidate: Candidate, result: Succeeded, observed: Observed
) -> RecordVersion:
    window = result.window
    spec = ModelVersionSpec(
        deployment=observed.deployment.metadata.name,
        number=status.last_version,
        uri=result.uri,
        digest=result.digest,
        parent=_parent(status, candidate, result, observed),
        trigger=candidate.trigger,
        because=_because(status, candidate),
        created_at=candidate.started,
        rows=result.rows,
        window=None if window is None else DataWindow(start=window.start, end=window.end),
        # As people read them: a column of kubectl cannot round.
        metrics={name: sentences.figure(value) for name, value in result.metrics.items()},
        task=result.task,
        classes=result.classes[: metrics.CLASSES_MAX],
        label_delay=result.label_delay,
        holdout=result.holdout,
        evaluation=result.evaluation,
        image=observed.settings.runtime_image,
    )
    return RecordVersion(candidate.version, spec)


def _parent(
    status: ModelDeploymentStatus, candidate: Candidate, result: Succeeded, observed: Observed
) -> VersionReference | None:
    """What it was refitted from: for a retraining the champion, for a person's artifact what its manifest says."""
    if candidate.trigger in HEALING and status.stable is not None:
        return VersionReference(version=status.stable.version, digest=status.stable.digest)
    if result.parent is None:
        return None
    known = (v.metadata.name for v in observed.versions if v.spec.digest == result.parent)
    return VersionReference(version=next(known, None), digest=result.parent)


def _because(status: ModelDeploymentStatus, candidate: Candidate) -> str:
    if status.retraining.running is not None:
        return status.retraining.running.because
    if candidate.trigger is Trigger.INSTALL:
        return f"the first version, from {candidate.uri}"
    return f"spec.model.uri names {candidate.uri}"


def _again(status: ModelDeploymentStatus, stable: Stable, observed: Observed) -> RecordVersion:
    """From what the status knows of it. Its pods take the operator's present image."""
    name = observed.deployment.metadata.name
    numbers = range(status.last_version, 0, -1)
    number = next((n for n in numbers if names.version(name, n) == stable.version), status.last_version)
    is_regression = observed.deployment.spec.evaluation.tolerance is not None
    spec = ModelVersionSpec(
        deployment=name,
        number=number,
        uri=stable.uri,
        digest=stable.digest,
        trigger=Trigger.INSTALL,
        because="recorded again: somebody deleted the ModelVersion that serves",
        created_at=stable.since,
        # Else no artifact of it would have been accepted.
        task=Task.REGRESSION if is_regression else Task.CLASSIFICATION,
        image=observed.settings.runtime_image,
    )
    return RecordVersion(stable.version, spec)


def below_storage(uri: str, observed: Observed) -> bool:
    """The artifact lies where Modelmend wrote it, and may delete it."""
    return uri.startswith(storage.join(observed.deployment.spec.storage.uri, storage.ARTIFACTS) + "/")
