"""Verdicts that start from a version's holdout: LabelShift, EstimatedAccuracy, ConceptDrift. Called by judge.

What a window counted is nothing by itself. What a model's scores are worth, and what it takes for what, is known from
its holdout alone; so a version without one, or without scores, gets Unknown and a remedy.
"""

from dataclasses import dataclass
from typing import Final

from modelmend.api.resources import ModelVersion
from modelmend.api.spec import Signal
from modelmend.api.status import ClassShare
from modelmend.contract import manifest
from modelmend.decide import moving, terms
from modelmend.evidence import confusion, estimated, labelshift, verdict, watch

MANY: Final = 1000
"""Classes of a model that has too many to be counted apart."""


@dataclass(frozen=True, slots=True)
class Found:
    """A judgement with what else the status shows. bound: the limit; None where nothing was judged."""

    judgement: verdict.Judgement
    bound: float | None = None
    shares: tuple[ClassShare, ...] = ()


def judged(
    signal: Signal, asked: watch.Terms, state: watch.State | None, version: ModelVersion | None
) -> Found:
    """The verdict of the last window."""
    if (refused := refusal(asked.kind, version)) is not None:
        return _unknown(refused)
    assert version is not None
    holdout = version.spec.holdout
    assert holdout is not None
    if state is None or state.terms != asked or state.counted is None:
        return Found(moving.awaited(asked, state))
    if asked.kind is watch.Kind.CLASSES:
        return _shift(signal, state.counted, version, holdout)
    if asked.kind is watch.Kind.SCORES:
        return _estimate(signal, state.counted, version, holdout)
    return _concept(signal, state.counted, holdout)


def refusal(kind: watch.Kind, version: ModelVersion | None) -> str | None:
    """Why this version cannot be judged, whatever a window counts, as a sentence; None if it can."""
    what = f"{moving.WATCHED[kind]} not judged"
    if version is not None and version.spec.task is manifest.Task.REGRESSION:
        return f"{what}: {version.metadata.name} predicts numbers, and this is of classes; FeatureDrift is of both"
    if version is None or version.spec.holdout is None:
        name = "the version" if version is None else version.metadata.name
        return (
            f"{what}: {name} has no record of its holdout, as artifacts without one or of older images have none; pack it "
            "anew with a holdout, or let the next retraining measure one"
        )
    name, holdout, classes = version.metadata.name, version.spec.holdout, len(version.spec.classes)
    if kind is watch.Kind.CLASSES and (not classes or len(holdout.confusion) != classes):
        return (
            f"{what}: {name} has no record of which class it takes for which, as is kept for up to {manifest.MATRIX_MAX} "
            "classes; PredictionDrift needs none"
        )
    if kind is not watch.Kind.CLASSES and holdout.expected is None:
        return (
            f"{what}: {name} gives no probabilities; pack a model with predict_proba (CalibratedClassifierCV gives one), or "
            "watch labels alone"
        )
    return None


def _shift(signal: Signal, counted: watch.Counted, version: ModelVersion, holdout: manifest.Holdout) -> Found:
    classes = version.spec.classes
    table = confusion.Confusion(
        {
            (predicted, actual): rows
            for predicted, row in zip(classes, holdout.confusion, strict=True)
            for actual, rows in zip(classes, row, strict=True)
        }
    )
    said = {name: counted.rows(name) for name in classes}
    effect = signal.effect or 0.0
    report = labelshift.judge(table, said, classes, effect, terms.alpha(signal))
    shares = tuple(
        ClassShare(
            name=share.name[: moving.SHOWN],
            before=round(share.before, 3),
            now=round(min(max(share.now, 0.0), 1.0), 3),
        )
        for share in report.shares
    )
    chance = report.judgement.bound
    return Found(report.judgement, None if chance is None else chance + effect, shares)


def _estimate(
    signal: Signal, counted: watch.Counted, version: ModelVersion, holdout: manifest.Holdout
) -> Found:
    rows = counted.rows(watch.ROWS)
    if rows and watch.SCORED not in counted.sums:
        return _unknown(
            "estimated accuracy unknown: the pods of this version do not count scores, as older runtime images do not; "
            "those of the next version count them"
        )
    scores = estimated.Scores(rows, counted.rows(watch.SCORED), counted.sums.get(watch.EXPECTED, 0.0))
    minimum = signal.minimum
    if minimum is None:
        accuracy, drop = holdout.right / max(holdout.rows, 1), signal.max_drop or 0.0
        if accuracy <= drop:
            return _unknown(
                f"estimated accuracy not judged: it was {accuracy:.3f} on the holdout, and maxDrop {drop:g} below that "
                "nothing is left, give minimum"
            )
        minimum = accuracy - drop
    judgement = estimated.judge(
        minimum,
        signal.min_rows or 0,
        scores,
        # Of more than are counted apart it is not known how many: the mean score may then be anything above 0.
        len(version.spec.classes) or MANY,
        _measured(holdout),
        terms.alpha(signal),
    )
    return Found(judgement, minimum)


def _concept(signal: Signal, counted: watch.Counted, holdout: manifest.Holdout) -> Found:
    if watch.ROWS not in counted.sums:
        return _unknown(
            "concept drift unknown: no pod of this version has counted labels beside scores, as none does whose runtime "
            "image is an older one; those of the next version count them"
        )
    rows, right = counted.rows(watch.ROWS), counted.rows(watch.RIGHT)
    labelled = estimated.Labelled(rows, min(right, rows), counted.sums.get(watch.EXPECTED, 0.0))
    judgement = estimated.concept_drift(
        labelled, _measured(holdout), signal.min_labels or 0, signal.effect or 0.0, terms.alpha(signal)
    )
    return Found(judgement, judgement.bound)


def _measured(holdout: manifest.Holdout) -> estimated.Holdout:
    return estimated.Holdout(holdout.rows, holdout.right, holdout.expected or 0.0)


def _unknown(because: str) -> Found:
    return Found(verdict.unknown(because))
