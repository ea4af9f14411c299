"""Refuses worlds that cannot be, so that a property is only asked of those that can.

What stands in a status was written by `decide`; so a status with two things in flight, or a bake whose candidate is not
the stable version, is not a hard case but no case at all. The cluster's own objects may be in any state.
"""

from modelmend.api.status import Phase, Trigger
from modelmend.decide import observed, stages
from modelmend.decide.observed import JobState


def contradictions(world: observed.Observed) -> list[str]:
    """Sentences for what cannot be; empty for a possible world."""
    return [*_in_flight(world), *_candidate(world), *_children(world)]


def _in_flight(world: observed.Observed) -> list[str]:
    status, found = world.deployment.status, []
    retraining = status.retraining
    if status.resolving is not None and (retraining.running is not None or retraining.pending is not None):
        found.append("an artifact is read while a retraining runs or waits")
    if retraining.running is not None and retraining.pending is not None:
        found.append("a retraining runs while another waits")
    if status.candidate is not None and retraining.pending is not None:
        found.append("a retraining waits beside a candidate")
    busy = status.resolving is not None or retraining.running is not None
    if status.candidate is not None and busy and world.version(status.candidate.version) is not None:
        found.append("a Job is waited for whose result is recorded")
    if (
        status.candidate is not None
        and busy
        and status.candidate.phase not in (Phase.EVALUATING, Phase.PROMOTING)
    ):
        found.append("a Job is waited for beside a rollout")
    if status.stalled is not None and (status.candidate is not None or busy):
        found.append("stalled in the middle of something")
    if (
        status.stage is not None
        and status.stage is not stages.natural(status)
        and not world.deployment.spec.suspend
    ):
        found.append(f"{status.stage} is shown, and the facts amount to {stages.natural(status)}")
    return found


def _candidate(world: observed.Observed) -> list[str]:
    status, found = world.deployment.status, []
    candidate, stable = status.candidate, status.stable
    if candidate is None:
        return found
    if stable is None and candidate.trigger is not Trigger.INSTALL:
        found.append("a candidate without a champion")
    if stable is not None:
        bakes = candidate.phase is Phase.BAKING
        if bakes != (candidate.version == stable.version):
            found.append("only in its bake is the candidate the stable version")
        if not bakes and candidate.digest in {stable.digest} and candidate.phase is not Phase.EVALUATING:
            found.append("the candidate is the very artifact that serves")
    if (candidate.failure is None) != (candidate.reason is None):
        found.append("a failure without a reason, or the other way round")
    return found


def _children(world: observed.Observed) -> list[str]:
    backends = world.front.backends
    found = [
        f"more pods of {server.version} are ready than there are"
        for server in world.servers
        if server.ready > server.replicas
    ]
    if backends is not None and sum(backend.weight for backend in backends) != 100:
        found.append("weights that do not add up")
    if any((job.result is not None) != (job.state is JobState.ENDED) for job in world.jobs):
        found.append("a result of a Job that has not ended")
    if backends is None and world.front.accepted:
        found.append("a Gateway that accepts no route")
    return found
