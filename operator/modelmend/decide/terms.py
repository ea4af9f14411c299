"""What the detectors of one rollout are asked: spec and status as terms of evidence.

Called by observe when it advances a ledger, and by judge, so that both mean the same limits.

    limit of a signal     minimum, or the version's accuracy on its holdout less maxDrop; None without a holdout
    c of a signal         falseAlarmEvery / interval: polls with labels between two false alarms
    alpha of drift        window / falseAlarmEvery: a false alarm in at most a share alpha of windows
    c of a guard          polls of a rollout / alpha: a false alarm in at most a share alpha of rollouts
"""

from typing import Final

from modelmend.api.resources import ModelDeployment, ModelVersion
from modelmend.api.spec import Signal, SignalType
from modelmend.contract import metrics
from modelmend.evidence import accuracy, detector, guards, ledger, watch

METRIC: Final = "accuracy"
"""Name under which a trainer reports the holdout's accuracy."""
SLOW_SHARE: Final = 0.01
"""p99: one request in a hundred may be slower."""
RAREST: Final = 2.0
"""Least number of polls between false alarms that a detector can be asked for."""


def of(deployment: ModelDeployment, version: ModelVersion | None, rollout: str) -> ledger.Terms:
    """Terms for a rollout of this version: signals while it is the stable one, guards while it is a candidate's."""
    stable, candidate = deployment.status.stable, deployment.status.candidate
    delay = label_delay(version)
    windows: tuple[watch.Terms, ...] = ()
    if stable is not None and stable.rollout == rollout:
        begun = stable.since.timestamp()
        since = (stable.evidence_since or stable.since).timestamp()
        signals = tuple(
            ledger.SignalTerms(signal.name, limit(deployment, signal, version), signal.window.total_seconds())
            for signal in deployment.spec.monitoring.signals
            if signal.type is SignalType.ACCURACY
        )
        windows = tuple(
            of_drift(signal, since)
            for signal in deployment.spec.monitoring.signals
            if signal.type is not SignalType.ACCURACY
        )
    elif candidate is not None and candidate.rollout == rollout:
        begun = since = candidate.started.timestamp()
        signals = ()
    else:
        begun = since = 0.0
        signals = ()
    is_candidate = candidate is not None and candidate.rollout == rollout
    return ledger.Terms(
        evidence_since=since,
        mature_at=begun + delay,
        signals=signals,
        guarded=of_guards(deployment) if is_candidate else {},
        drift=windows,
    )


def of_drift(signal: Signal, since: float) -> watch.Terms:
    """What a signal of drift asks of its windows, begun after `since`."""
    return watch.Terms(
        name=signal.name,
        of_predictions=signal.type is SignalType.PREDICTION_DRIFT,
        length=signal.window.total_seconds(),
        effect=signal.effect or 0.0,
        alpha=signal.window / signal.false_alarm_every,
        since=since,
    )


def label_delay(version: ModelVersion | None, *, p99: bool = False) -> float:
    """Seconds from prediction to label, the p90 or the p99; 0 while nobody knows."""
    if version is None or version.spec.label_delay is None:
        return 0.0
    return version.spec.label_delay.p99 if p99 else version.spec.label_delay.p90


def asked(
    deployment: ModelDeployment, signal: Signal, version: ModelVersion | None
) -> accuracy.Accuracy | None:
    """The signal as evidence knows it; None for a `maxDrop` below a holdout that was never measured."""
    least = signal.minimum
    if signal.max_drop is not None:
        holdout = None if version is None else version.spec.metrics.get(METRIC)
        known = holdout is not None and 0 <= holdout <= 1
        least = (
            accuracy.minimum_after_drop(holdout, signal.max_drop) if known and holdout is not None else None
        )
    if least is None:
        return None
    polls = signal.false_alarm_every / deployment.spec.monitoring.interval
    return accuracy.Accuracy(least, signal.min_labels or 1, max(polls, RAREST))


def limit(deployment: ModelDeployment, signal: Signal, version: ModelVersion | None) -> detector.Limit | None:
    """The detector's limit of a signal."""
    found = asked(deployment, signal, version)
    return None if found is None else found.limit


def of_guards(deployment: ModelDeployment) -> dict[str, guards.Guard]:
    """The guards of every rollout, by name."""
    wanted, analysis = deployment.spec.rollout.guards, deployment.spec.rollout.analysis
    polls = analysis.deadline / deployment.spec.monitoring.interval
    alarm = max(polls / analysis.alpha, RAREST)
    found = {
        ledger.ERRORS: guards.Guard("error rate", detector.Limit(wanted.error_rate, alarm), analysis.alpha)
    }
    if wanted.p99_latency is not None:
        bound = metrics.bucket_for(wanted.p99_latency.total_seconds())
        name = f"share of requests over {bound * 1000:g} ms"
        found[ledger.SLOW] = guards.Guard(name, detector.Limit(SLOW_SHARE, alarm), analysis.alpha)
    return found
