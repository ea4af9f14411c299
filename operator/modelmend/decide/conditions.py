"""The conditions, as kstatus reads them. Never Reconciling and Stalled together, and both gone when over.

Stalled       a person is needed (standing.trouble): Ready=False, though the champion serves
Reconciling   the first version, or a person's change of spec, is being carried out: Ready=False
Ready         True while requests are answered and neither of the above holds; healing included
Progressing   something is under way
Healthy       what the signals say; Unknown for longer than `patience` is Unknown, and never True
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from modelmend.api.resources import ModelVersion
from modelmend.api.spec import SignalAction
from modelmend.api.status import (
    Candidate,
    Condition,
    ConditionStatus,
    ModelDeploymentStatus,
    SignalStatus,
    Stage,
    Trigger,
    Verdict,
)
from modelmend.decide import inputs, judge, meanings, standing, terms
from modelmend.decide.observed import Observed
from modelmend.decide.upkeep import front
from modelmend.evidence import watch

Type = Literal["Ready", "Reconciling", "Stalled", "Healthy", "Progressing"]

UNDER_WAY: Final = frozenset(
    {
        Stage.INSTALLING,
        Stage.RETRAINING,
        Stage.EVALUATING,
        Stage.SHADOW,
        Stage.CANARY,
        Stage.PROMOTING,
        Stage.ROLLING_BACK,
    }
)
PERSONAL: Final = frozenset({Trigger.SPEC, Trigger.PIN, Trigger.ROLLBACK_TO})
"""Triggers by which a person's own change is carried out."""


@dataclass(frozen=True, slots=True)
class _Said:
    """A condition without generation and date, which `_dated` sets for all alike."""

    type: Type
    status: ConditionStatus
    reason: str
    message: str


def conditions(status: ModelDeploymentStatus, observed: Observed) -> tuple[Condition, ...]:
    """All conditions of a status that has its stage and its `because`."""
    trouble = standing.trouble(status, observed)
    under_way = trouble is None and reconciling(status, observed)
    found = [_ready(status, observed, trouble, under_way), _healthy(status, observed), _progressing(status)]
    if under_way:
        found.append(_Said("Reconciling", ConditionStatus.TRUE, _stage(status), status.because or ""))
    if trouble is not None:
        found.append(_Said("Stalled", ConditionStatus.TRUE, trouble.reason, trouble.message))
    return tuple(_dated(said, observed) for said in found)


def reconciling(status: ModelDeploymentStatus, observed: Observed) -> bool:
    """A person's spec is being carried out. Scaling is not told apart from an autoscaler's, and does not count."""
    if status.stable is None:
        return not observed.deployment.spec.suspend
    if status.resolving is not None or _is_personal(status.candidate):
        return True
    version, server = observed.version(status.stable.version), observed.server(status.stable.version)
    seen = observed.front
    if (
        version is not None
        and server is not None
        and server.inputs != inputs.of_server(observed.deployment, version)
    ):
        return True
    if seen.inputs is not None and seen.inputs != inputs.of_front(observed.deployment):
        return True
    carried_out = server is not None and server.settled and server.ready > 0 and seen.accepted
    return present("Reconciling", observed) is not None and not carried_out


def is_answered(observed: Observed) -> bool:
    """Requests come in, and every version they are sent to has a ready pod.

    A Gateway that has not spoken about a new route yet goes on with the old one: what was Ready stays so.
    """
    seen, held = observed.front, present("Ready", observed)
    if not seen.backends or not all(
        front.answers(observed.server(backend.version)) for backend in seen.backends
    ):
        return False
    was_ready = held is not None and held.status is ConditionStatus.TRUE
    return seen.accepted or (seen.message is None and was_ready)


def patience(observed: Observed, version: ModelVersion | None, name: str) -> timedelta:
    """How long a signal may be Unknown before Healthy is: three polls, or the slowest labels; where it is judged once a
    window, as long as its first one may last, and where that waits for labels, as long as they take."""
    monitoring = observed.deployment.spec.monitoring
    found = next((signal for signal in monitoring.signals if signal.name == name), None)
    slowest = timedelta(seconds=terms.label_delay(version, p99=True))
    if found is not None and found.type.is_windowed:
        waited = slowest if terms.WINDOWS[found.type] is watch.Kind.LABELS else timedelta(0)
        return waited + (watch.STRETCH + 1) * found.window
    if found is not None and not found.type.is_measured:
        return 3 * monitoring.interval
    return max(3 * monitoring.interval, slowest)


def unknown_from(status: ModelDeploymentStatus, observed: Observed) -> datetime | None:
    """When the patience with Unknown signals ends; None while there is none, or nothing to lose."""
    version = _stable_version(status, observed)
    unknown = [
        signal.since + patience(observed, version, signal.name)
        for signal in _judged(status, observed)
        if signal.verdict is Verdict.UNKNOWN
    ]
    held = present("Healthy", observed)
    if not unknown or held is None or held.status is ConditionStatus.UNKNOWN or not judge.is_fresh(observed):
        return None
    return min(unknown)


def present(kind: Type, observed: Observed) -> Condition | None:
    """The condition as it stands."""
    return next((held for held in observed.deployment.status.conditions if held.type == kind), None)


def _ready(
    status: ModelDeploymentStatus, observed: Observed, trouble: standing.Trouble | None, under_way: bool
) -> _Said:
    because = status.because or ""
    if trouble is not None:
        return _Said("Ready", ConditionStatus.FALSE, trouble.reason, trouble.message)
    if under_way:
        return _Said("Ready", ConditionStatus.FALSE, _stage(status), because)
    if not is_answered(observed):
        return _Said("Ready", ConditionStatus.FALSE, "NotServing", because)
    return _Said("Ready", ConditionStatus.TRUE, _stage(status), because)


def _progressing(status: ModelDeploymentStatus) -> _Said:
    under_way = ConditionStatus.TRUE if status.stage in UNDER_WAY else ConditionStatus.FALSE
    return _Said("Progressing", under_way, _stage(status), status.because or "")


def _healthy(status: ModelDeploymentStatus, observed: Observed) -> _Said:
    judged = _judged(status, observed)
    breached = [signal for signal in judged if signal.verdict is Verdict.BREACHED]
    if breached:
        # Harm before drift: a model that fails is worse than a world that moves.
        reason = meanings.of(min(breached, key=meanings.rank).type).reason
        return _Said("Healthy", ConditionStatus.FALSE, reason, meanings.told(breached))
    counted = [signal for signal in judged if not _is_awaited(signal, status, observed)] or judged
    unknown = next((signal for signal in counted if signal.verdict is Verdict.UNKNOWN), None)
    if unknown is not None:
        until, held = unknown_from(status, observed), present("Healthy", observed)
        if until is not None and observed.now < until and held is not None:
            return _Said("Healthy", held.status, held.reason, held.message)
        reason = "Unknown" if judge.is_fresh(observed) else "PrometheusSilent"
        return _Said("Healthy", ConditionStatus.UNKNOWN, reason, unknown.because)
    if not counted:
        return _Said("Healthy", ConditionStatus.UNKNOWN, "NothingJudged", "no signal is judged")
    return _Said("Healthy", ConditionStatus.TRUE, "OK", counted[0].because)


def _is_awaited(signal: SignalStatus, status: ModelDeploymentStatus, observed: Observed) -> bool:
    """A signal whose window still runs. Hours may pass until it ends, and a promoted version must not look as ill as
    the one before for so long, when its accuracy is known to be good."""
    is_unknown = signal.type.is_windowed and signal.verdict is Verdict.UNKNOWN
    patient = patience(observed, _stable_version(status, observed), signal.name)
    return is_unknown and observed.now < signal.since + patient


def _judged(status: ModelDeploymentStatus, observed: Observed) -> list[SignalStatus]:
    """Signals that may be unhealthy."""
    signals = observed.deployment.spec.monitoring.signals
    ignored = {signal.name for signal in signals if signal.action is SignalAction.IGNORE}
    return [signal for signal in status.signals if signal.name not in ignored]


def _is_personal(candidate: Candidate | None) -> bool:
    return candidate is not None and candidate.trigger in PERSONAL


def _stable_version(status: ModelDeploymentStatus, observed: Observed) -> ModelVersion | None:
    return None if status.stable is None else observed.version(status.stable.version)


def _stage(status: ModelDeploymentStatus) -> str:
    if status.stage is Stage.INSTALLING and status.retraining.cooldown_until and status.retraining.failures:
        return "FirstTrainingFailed"
    return (status.stage or Stage.INSTALLING).value


def _dated(said: _Said, observed: Observed) -> Condition:
    held = present(said.type, observed)
    stays = held is not None and held.status is said.status
    return Condition(
        type=said.type,
        status=said.status,
        reason=said.reason,
        message=said.message,
        observed_generation=observed.deployment.metadata.generation,
        last_transition_time=held.last_transition_time if held is not None and stays else observed.now,
    )
