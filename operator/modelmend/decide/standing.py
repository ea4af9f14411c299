"""What a person must put right: the one sentence of the Stalled condition, while it is so.

Most of it is read from the world at each look, and goes away with its cause. What came of a rollout (RolloutRejected) or
of a Job (InvalidArtifact) stands in `status.refusal`.
"""

from dataclasses import dataclass

from modelmend.api.status import ModelDeploymentStatus
from modelmend.decide import commands, schedule
from modelmend.decide.observed import Observed
from modelmend.decide.upkeep import actions


@dataclass(frozen=True, slots=True)
class Trouble:
    """CamelCase reason, and one sentence. `halts`: nothing else can go on, so it is also the `because`."""

    reason: str
    message: str
    halts: bool = False


def trouble(status: ModelDeploymentStatus, observed: Observed) -> Trouble | None:
    """The first of what stands in the way."""
    return _world(observed) or _said(status) or _spec(observed)


def _world(observed: Observed) -> Trouble | None:
    if observed.blocked is not None:
        return Trouble("Blocked", observed.blocked, halts=True)
    for foreign in observed.foreign:
        message = (
            f"{foreign.kind} {foreign.name} belongs to {foreign.owner}: it is left alone; "
            "delete it, or give the ModelDeployment another name"
        )
        return Trouble("NameTaken", message, halts=True)
    return None


def _said(status: ModelDeploymentStatus) -> Trouble | None:
    if status.stalled is not None:
        return Trouble("Stalled", status.stalled)
    if status.refusal is not None:
        return Trouble(status.refusal.reason, status.refusal.message)
    return None


def _spec(observed: Observed) -> Trouble | None:
    spec = observed.deployment.spec
    gateway = spec.serving.gateway
    if gateway is not None and not actions.is_allowed(observed):
        namespace = gateway.parent_ref.namespace
        message = f"serving.gateway.parentRef.namespace {namespace} is not one that the operator's configuration allows"
        return Trouble("GatewayNotAllowed", message)
    line = spec.retraining.schedule
    if line is not None and not schedule.is_readable(line):
        return Trouble(
            "InvalidSchedule",
            f"retraining.schedule {line!r} is not a cron line of five fields that comes due",
        )
    pin, stable = spec.model.pin, observed.deployment.status.stable
    if pin is not None and stable is not None and observed.version(pin) is None:
        message = (
            f"spec.model.pin names {pin}, which is not known; known versions: {commands.known(observed)}"
        )
        return Trouble("UnknownVersion", message)
    return None
