"""How good predictions were: metrics of one model, and the paired counts of two. Pure arithmetic on indices."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelmend.contract.manifest import MATRIX_MAX, Holdout
from modelmend.contract.result import OF_CLASS, Evaluation, SliceCounts

Indices = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]
UNKNOWN_CLASS: Final = -1
"""The index of a true class that a model does not know: every prediction for it is wrong."""
SHARES: Final = ("accuracy", "balanced_accuracy", "precision", "recall", "f1")
NAMED_MAX: Final = 10
"""Classes that have metrics of their own: a Job's report has little room."""
_LONGEST_NAME: Final = 40
"""Characters of such a class, for the same reason."""


def metrics(actual: Indices, predicted: Indices, keys: Sequence[str]) -> dict[str, float]:
    """accuracy, balanced_accuracy, precision, recall and f1 of n predictions, as fractions, and n itself as
    `holdout_rows`. `keys` are the classes by index.

    With two classes precision, recall and f1 are those of the second one; with more they are the plain mean over
    the classes that occur. A ratio without a denominator counts as 0. Of each class, where they are few, as
    `recall_of_late` and so on, what has a denominator: signals on a class measure a drop from there.
    """
    classes = len(keys)
    confusion = np.zeros((classes, classes), dtype=np.int64)
    known = actual != UNKNOWN_CLASS
    np.add.at(confusion, (actual[known], predicted[known]), 1)
    right = np.diag(confusion)
    occurring = confusion.sum(axis=1) > 0
    truly, said = confusion.sum(axis=1), confusion.sum(axis=0)
    wholes = {"precision": (right, said), "recall": (right, truly), "f1": (2 * right, truly + said)}
    precisions, recalls, f1s = (_ratio(part, whole) for part, whole in wholes.values())
    watched = np.array([False, True]) if classes == 2 else occurring
    of_each = {
        f"{name}{OF_CLASS}{key}": float(part[index] / whole[index])
        for name, (part, whole) in wholes.items()
        for index, key in enumerate(keys[:NAMED_MAX] if classes <= NAMED_MAX else ())
        if whole[index] and len(key) <= _LONGEST_NAME
    }
    return {
        "accuracy": float(right.sum() / len(actual)),
        "balanced_accuracy": float(recalls[occurring].mean()) if occurring.any() else 0.0,
        "precision": float(precisions[watched].mean()),
        "recall": float(recalls[watched].mean()),
        "f1": float(f1s[watched].mean()),
        "holdout_rows": float(len(actual)),
        **of_each,
    }


def holdout(
    actual: Indices, predicted: Indices, probabilities: npt.NDArray[np.float64] | None, classes: int
) -> Holdout:
    """What judging without labels needs, of n predictions for rows that the fit had not seen."""
    expected = None
    if probabilities is not None and len(probabilities) and np.isfinite(probabilities).all():
        # Some estimators' probabilities add up to a hair more than 1.
        expected = min(float(probabilities.max(axis=1).clip(0, 1).sum()), float(len(actual)))
    confusion = np.zeros((classes, classes), dtype=np.int64)
    known = actual != UNKNOWN_CLASS
    np.add.at(confusion, (predicted[known], actual[known]), 1)
    return Holdout(
        rows=len(actual),
        right=int((actual == predicted).sum()),
        expected=expected,
        confusion=tuple(map(tuple, confusion.tolist())) if classes <= MATRIX_MAX else (),
    )


def paired(
    actual: Indices, champion: Indices, candidate: Indices, parts: Mapping[str, Mask] | None = None
) -> Evaluation:
    """What the paired tests count, over n rows that both predicted: a candidate alone wrong, b champion alone wrong,
    c the rest. The same within each of `parts`: masks of shape (n,) by name."""
    candidate_wrong, champion_wrong = candidate != actual, champion != actual
    return counted(candidate_wrong & ~champion_wrong, champion_wrong & ~candidate_wrong, parts)


def counted(only_candidate: Mask, only_champion: Mask, parts: Mapping[str, Mask] | None = None) -> Evaluation:
    """The counts of n pairs, from who lost each; and within each of `parts`."""

    def within(part: Mask) -> tuple[int, int, int]:
        a, b = int((only_candidate & part).sum()), int((only_champion & part).sum())
        return a, b, int(part.sum()) - a - b

    a, b, c = within(np.ones(len(only_candidate), dtype=np.bool_))
    within_parts = tuple(
        SliceCounts(name=name, a=a, b=b, c=c)
        for name, (a, b, c) in ((name, within(part)) for name, part in (parts or {}).items())
    )
    return Evaluation(a=a, b=b, c=c, slices=within_parts)


def errors(actual: npt.NDArray[np.float64], predicted: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How far n numbers are from the truth."""
    return np.asarray(np.abs(predicted - actual))


def of_errors(found: npt.NDArray[np.float64]) -> dict[str, float]:
    """mae and rmse, in the unit of the target, and the number of rows as `holdout_rows`."""
    return {
        "mae": float(found.mean()),
        "rmse": float(np.sqrt(np.square(found).mean())),
        "holdout_rows": float(len(found)),
    }


def _ratio(part: Any, whole: Any) -> npt.NDArray[np.float64]:
    return np.asarray(np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0))
