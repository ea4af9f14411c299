"""Which ModelVersions are kept, and which artifacts nobody needs any more.

Beyond `history.limit` the oldest go, but never a version that serves or may have to: the stable one, the candidate, the
champion of a bake, the last champion, and whatever a server's pods load beside their own model, since a pod that is
scheduled again must find it.
"""

from modelmend.api.resources import ModelVersion
from modelmend.api.status import ModelDeploymentStatus
from modelmend.decide.change import change
from modelmend.decide.observed import Observed
from modelmend.decide.upkeep import records

REMEMBERED = 100
"""Digests that a status may hold."""


def prunable(status: ModelDeploymentStatus, observed: Observed) -> tuple[ModelVersion, ...]:
    """Versions to forget now, oldest first; none while a Job is in flight, which was told what to delete."""
    excess = len(observed.versions) - observed.deployment.spec.history.limit
    if excess <= 0 or status.retraining.running is not None:
        return ()
    needed = _needed(status, observed)
    spare = [version for version in observed.versions if version.metadata.name not in needed]
    return tuple(sorted(spare, key=lambda version: version.spec.number)[:excess])


def forget(status: ModelDeploymentStatus, observed: Observed) -> ModelDeploymentStatus:
    """The status that remembers which artifacts the pruned versions leave behind."""
    pruned = prunable(status, observed)
    names = {version.metadata.name for version in pruned}
    kept = {version.spec.digest for version in observed.versions if version.metadata.name not in names}
    listed = status.retraining.unreferenced
    left = tuple(
        version.spec.digest
        for version in pruned
        if records.below_storage(version.spec.uri, observed)
        and version.spec.digest not in kept
        and version.spec.digest not in listed
    )
    if not left:
        return status
    retraining = change(status.retraining, unreferenced=(*listed, *left)[-REMEMBERED:])
    return change(status, retraining=retraining)


def unreferenced(status: ModelDeploymentStatus, observed: Observed) -> tuple[str, ...]:
    """Digests that the next retraining may delete: listed, and of no version that exists."""
    kept = {version.spec.digest for version in observed.versions}
    return tuple(digest for digest in status.retraining.unreferenced if digest not in kept)


def _needed(status: ModelDeploymentStatus, observed: Observed) -> set[str | None]:
    needed: set[str | None] = {server.champion for server in observed.servers}
    needed |= {server.version for server in observed.servers}
    if status.stable is not None:
        needed.add(status.stable.version)
    if status.candidate is not None:
        needed |= {status.candidate.version, status.candidate.champion}
    former = [
        v for v in observed.versions if v.status.state == records.RETIRED and v.status.since is not None
    ]
    former.sort(key=lambda version: (version.status.since, version.spec.number))
    needed |= {version.metadata.name for version in former[-1:]}
    return needed
