"""What the detectors of one rollout are asked: spec and status as terms of evidence.

Called by observe when it advances a ledger, and by judge, so that both mean the same limits.

    limit of a signal     minimum, or the version's own value on its holdout less maxDrop; Unknown without a holdout
    c of a signal         falseAlarmEvery / interval: polls with labels between two false alarms; with a block
                          falseAlarmEvery / block: blocks with labels
    alpha of a window     window / falseAlarmEvery: a false alarm in at most a share alpha of windows
    c of a guard          polls of a rollout / alpha: a false alarm in at most a share alpha of rollouts
"""

import math
from dataclasses import replace
from datetime import timedelta
from typing import Final

from modelmend.api.resources import ModelDeployment, ModelVersion
from modelmend.api.spec import ModelDeploymentSpec, Signal, SignalType
from modelmend.contract import metrics
from modelmend.contract.manifest import Task
from modelmend.decide import sentences
from modelmend.evidence import (
    detector,
    family,
    guards,
    labelshift,
    ledger,
    measures,
    query,
    regression,
    watch,
)

MEASURES: Final = {
    SignalType.ACCURACY: family.Metric.ACCURACY,
    SignalType.PRECISION: family.Metric.PRECISION,
    SignalType.RECALL: family.Metric.RECALL,
    SignalType.F1: family.Metric.F1,
    SignalType.BALANCED_ACCURACY: family.Metric.BALANCED_ACCURACY,
}
ERRORS: Final = {SignalType.MAE: regression.Metric.MAE, SignalType.RMSE: regression.Metric.RMSE}
WINDOWS: Final = {
    SignalType.FEATURE_DRIFT: watch.Kind.INPUTS,
    SignalType.PREDICTION_DRIFT: watch.Kind.PREDICTIONS,
    SignalType.LABEL_SHIFT: watch.Kind.CLASSES,
    SignalType.ESTIMATED_ACCURACY: watch.Kind.SCORES,
    SignalType.CONCEPT_DRIFT: watch.Kind.LABELS,
}
_UNTOLD: Final = 0.5
"""Stands in for the limit of a signal that is refused whatever its limit."""
SLOW_SHARE: Final = 0.01
"""p99: one request in a hundred may be slower."""
QUERY_STALE: Final = timedelta(minutes=5)
"""Age of a query's last answer from which nothing is known of it; at least three intervals."""
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
            ledger.SignalTerms(
                signal.name, _judged(asked(deployment, signal, version)), signal.window.total_seconds()
            )
            for signal in deployment.spec.monitoring.signals
            if signal.type.is_measured
        )
        windows = tuple(
            of_window(signal, version, since, begun + delay)
            for signal in deployment.spec.monitoring.signals
            if signal.type.is_windowed
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
        pairing=_pairing(deployment) if is_candidate else None,
        divides=is_candidate and not deployment.spec.serving.pairs,
        drift=windows,
    )


def of_window(signal: Signal, version: ModelVersion | None, since: float, mature_at: float) -> watch.Terms:
    """What a signal that is judged once a window asks of its windows, begun after `since`; those of labels not before
    the labels that come are typical."""
    kind = WINDOWS[signal.type]
    known = watch.Terms(signal.name, kind, signal.window.total_seconds(), since)
    if kind.is_binned:
        return replace(known, effect=signal.effect or 0.0, alpha=alpha(signal))
    if kind is watch.Kind.CLASSES:
        classes = 0 if version is None else len(version.spec.classes)
        return replace(known, needed=labelshift.ROWS_PER_CLASS * classes)
    if kind is watch.Kind.SCORES:
        return replace(known, needed=signal.min_rows or 0)
    return replace(known, needed=signal.min_labels or 0, not_before=mature_at)


def alpha(signal: Signal) -> float:
    """Share of windows that may alarm by chance."""
    return signal.window / signal.false_alarm_every


def of_query(deployment: ModelDeployment, signal: Signal) -> query.Asked:
    """What a signal of type Query asks, of the version that serves."""
    stable, interval = deployment.status.stable, deployment.spec.monitoring.interval
    assert stable is not None
    return query.Asked(
        name=signal.name,
        text=signal.query or "",
        above=signal.above,
        below=signal.below,
        for_=0.0 if signal.for_ is None else signal.for_.total_seconds(),
        on_missing=query.OnMissing(signal.on_missing or query.OnMissing.HOLD),
        stale=max(QUERY_STALE, 3 * interval).total_seconds(),
        since=(stable.evidence_since or stable.since).timestamp(),
    )


def need_classes(spec: ModelDeploymentSpec) -> bool:
    """Whether labels must be counted by class: otherwise that would only make Prometheus's answers long."""
    measures = (MEASURES.get(signal.type, family.Metric.ACCURACY) for signal in spec.monitoring.signals)
    return any(measure is not family.Metric.ACCURACY for measure in measures)


def label_delay(version: ModelVersion | None, *, p99: bool = False) -> float:
    """Seconds from prediction to label, the p90 or the p99; 0 while nobody knows."""
    if version is None or version.spec.label_delay is None:
        return 0.0
    return version.spec.label_delay.p99 if p99 else version.spec.label_delay.p90


def name(signal: Signal) -> str:
    """What a signal on labels measures."""
    return ERRORS[signal.type].value if signal.type.is_error else MEASURES[signal.type].value


def asked(deployment: ModelDeployment, signal: Signal, version: ModelVersion | None) -> measures.Signal | str:
    """The signal as evidence knows it; or why it cannot be judged of this version, as a sentence. Of measures alone."""
    if (strange := _of_another_task(deployment, signal, version)) is not None:
        return strange
    if signal.type.is_error:
        return _asked_of_errors(deployment, signal, version)
    known = family.Signal(
        metric=MEASURES[signal.type],
        minimum=_UNTOLD if signal.minimum is None else signal.minimum,
        min_labels=signal.min_labels or 1,
        alarm=_alarm(deployment, signal),
        classes=() if version is None or signal.type is SignalType.ACCURACY else version.spec.classes,
        positive_class=signal.positive_class,
        block=None if signal.block is None else signal.block.length.total_seconds(),
        within=deployment.spec.evaluation.tolerance,
    )
    if (refusal := family.refusal(known)) is not None:
        return refusal
    if signal.max_drop is None:
        return known
    holdout = _holdout(known, version)
    if holdout is None:
        name = "the version" if version is None else version.metadata.name
        return (
            f"{family.title(known)} not judged: {name} has no {family.title(known)} on a holdout for maxDrop to start "
            "from, give minimum"
        )
    if holdout <= signal.max_drop:
        return (
            f"{family.title(known)} not judged: it was {holdout:.3f} on the holdout, and maxDrop {signal.max_drop:g} below "
            "that nothing is left, give minimum"
        )
    return replace(known, minimum=holdout - signal.max_drop)


def _asked_of_errors(
    deployment: ModelDeployment, signal: Signal, version: ModelVersion | None
) -> regression.Signal | str:
    wanted, metric = deployment.spec.evaluation, ERRORS[signal.type]
    assert wanted.tolerance is not None, "refused with the spec"
    maximum = signal.maximum
    if maximum is None:
        holdout = None if version is None else version.spec.metrics.get(metric.value.lower())
        if holdout is None or not 0 <= holdout < math.inf:
            whose = "the version" if version is None else version.metadata.name
            return (
                f"{metric.value} not judged: {whose} has no {metric.value} on a holdout for maxRise to start from, give "
                "maximum"
            )
        maximum = holdout + (signal.max_rise or 0.0)
    found = regression.Signal(
        metric=metric,
        maximum=maximum,
        min_labels=signal.min_labels or 1,
        alarm=_alarm(deployment, signal),
        bound=regression.bound(wanted.tolerance, wanted.error_bound),
        block=None if signal.block is None else signal.block.length.total_seconds(),
    )
    return regression.refusal(found) or found


def _of_another_task(deployment: ModelDeployment, signal: Signal, version: ModelVersion | None) -> str | None:
    """Why the signal is not about what the version predicts."""
    if version is None:
        return None
    whose, measure = version.metadata.name, name(signal)
    predicts_numbers, graded = (
        version.spec.task is Task.REGRESSION,
        deployment.spec.evaluation.tolerance is not None,
    )
    if predicts_numbers and not graded:
        return (
            f"{measure} not judged: {whose} predicts numbers, and spec.evaluation.tolerance does not say how far from the "
            "truth is still right: give it"
        )
    if predicts_numbers and signal.type is not SignalType.ACCURACY and not signal.type.is_error:
        return f"{measure} not judged: {whose} predicts numbers, which are of no class: watch Accuracy, MAE or RMSE"
    if graded and not predicts_numbers:
        return f"{measure} not judged: {whose} predicts classes, of which spec.evaluation.tolerance says nothing: remove it"
    return None


def _alarm(deployment: ModelDeployment, signal: Signal) -> float:
    every = deployment.spec.monitoring.interval if signal.block is None else signal.block.length
    return max(signal.false_alarm_every / every, RAREST)


def _holdout(known: family.Signal, version: ModelVersion | None) -> float | None:
    """The version's own value, by the names under which a trainer reports it; None where nobody measured it."""
    if version is None:
        return None
    measured, metric = version.spec.metrics, known.metric
    if known.within is not None and measured.get("tolerance") != sentences.figure(known.within):
        return None  # Measured with another tolerance, or not at all.
    names = [metric.value]
    if metric is family.Metric.BALANCED_ACCURACY:
        names = ["balanced_accuracy"]
    elif metric in family.OF_ONE_CLASS:
        # Of two classes, the plain name is that of the second one; of more it is a mean over all.
        plain = len(known.classes) == 2 and known.positive == known.classes[-1]
        names = [f"{metric.value}_of_{known.positive}", *([metric.value] if plain else [])]
    found = next((measured[name] for name in names if name in measured), None)
    return found if found is not None and 0 <= found <= 1 else None


def _judged(found: measures.Signal | str) -> measures.Signal | None:
    return None if isinstance(found, str) else found


def _pairing(deployment: ModelDeployment) -> ledger.Pairing | None:
    analysis = deployment.spec.rollout.analysis
    if analysis.block is None:
        return None
    return ledger.Pairing(analysis.margin, analysis.block.length.total_seconds())


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
        if not deployment.spec.serving.pairs:
            # Where its bounds lie, only the user's own histogram knows.
            name = f"share of requests over p99Latency {wanted.p99_latency.total_seconds() * 1000:g} ms"
        found[ledger.SLOW] = guards.Guard(name, detector.Limit(SLOW_SHARE, alarm), analysis.alpha)
    return found
