"""When something comes due by time alone, so that nobody has to look before."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from modelmend.api.status import ModelDeploymentStatus, Phase
from modelmend.decide import conditions, judge, outcomes, rollout, schedule, situation
from modelmend.decide.case import Case
from modelmend.decide.upkeep import actions, servers


def next_look(case: Case, status: ModelDeploymentStatus) -> timedelta | None:
    """Time until the next moment that matters to this status."""
    after = case.with_status(status)
    ahead = [moment - case.now for moment in _moments(after) if moment is not None and moment > case.now]
    return min(ahead, default=None)


def _moments(case: Case) -> Iterator[datetime | None]:
    yield from judge.moments(case.observed)
    yield conditions.unknown_from(case.status, case.observed)
    yield from _healing(case)
    yield from _rollout(case)
    yield from _drain(case)


def _healing(case: Case) -> Iterator[datetime | None]:
    retraining, resolving, line = case.status.retraining, case.status.resolving, case.spec.retraining.schedule
    yield retraining.cooldown_until
    for job in (retraining.running, resolving):
        if job is not None:
            yield job.started_at + case.spec.retraining.trainer.deadline + outcomes.GRACE
    if line is not None and retraining.scheduled is not None:
        yield schedule.following(line, retraining.scheduled)


def _rollout(case: Case) -> Iterator[datetime | None]:
    if case.status.candidate is None:
        return
    yield situation.unready_until(case)
    if case.in_phase(Phase.SHADOW, Phase.CANARY):
        yield case.deadline
    if case.in_phase(Phase.BAKING):
        yield rollout.bake_end(case)


def _drain(case: Case) -> Iterator[datetime | None]:
    kept = servers.wanted(case.status, case.observed).kept
    for server in case.observed.servers:
        if server.version not in kept:
            yield actions.drained_at(server.version, case.observed)
