"""What a model is asked to predict, classes or numbers: how labels are read, refused, fitted on, measured and paired.

Called by packing, dataset, holdout, trainer and resolve, which do the same with both.

              labels of n rows      fitted on         a prediction is right when      of a pair is worse
    Classes   `class_key`s          `classes_`        it is the label                 who alone is wrong
    Numbers   float64               the label         it is within the tolerance      who is farther from the label
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from modelmend.contract.manifest import Feature, Holdout
from modelmend.contract.result import Evaluation
from modelmend.runtime import labels, scoring
from modelmend.runtime.errors import DataError, SentenceError, SettingsError
from modelmend.runtime.grading import Grading
from modelmend.runtime.loaded import LoadedModel

Labels = npt.NDArray[Any]
Predicted = npt.NDArray[Any]
"""What `Predictor.predict` returns first: class indices, or numbers."""
Probabilities = npt.NDArray[np.float64] | None
"""What it returns beside them."""


class OtherKindError(SentenceError):
    """A model of numbers beside one of classes."""


class Target(Protocol):
    """Classes, or numbers."""

    def read(self, column: Any, name: str) -> Labels:
        """The labels of a dataset or a training table. Raises DataError for missing ones, and for other kinds."""

    def logged(self, column: Any, name: str) -> Labels:
        """The labels of the log; those that cannot be one are not `known`."""

    def known(self, found: Labels) -> npt.NDArray[np.bool_]:
        """Which labels the model may be held to."""

    def refuse_unknown(self, found: Labels) -> None:
        """Raises DataError when a label is not `known`."""

    def refuse_sameness(self, found: Labels) -> None:
        """Raises DataError for labels that nothing can be learnt from."""

    def refuse_leaks(
        self, columns: Mapping[str, npt.NDArray[Any]], features: Sequence[Feature], found: Labels
    ) -> None:
        """Raises DataError when a feature is the label itself."""

    def fitted_on(self, found: Labels) -> Any:
        """What `fit` takes."""

    def metrics(self, found: Labels, predicted: Predicted) -> dict[str, float]:
        """How good predictions are."""

    def accuracy(self, found: Labels, predicted: Predicted) -> float:
        """The share that is right."""

    def holdout(self, found: Labels, predicted: Predicted, probabilities: Probabilities) -> Holdout | None:
        """What judging without labels needs; None where there is nothing to judge by."""

    def paired(
        self, found: Labels, champion: Predicted, candidate: Predicted, parts: Mapping[str, scoring.Mask]
    ) -> Evaluation:
        """The counts of the gate, and those within each of `parts`."""

    @property
    def what(self) -> str:
        """What a label should be, for sentences."""


@dataclass(frozen=True)
class Classes:
    """Of a classifier. values: as scikit-learn knows them; keys: `class_key`s, both in the order of its indices."""

    values: tuple[Any, ...]
    keys: tuple[str, ...]

    @property
    def what(self) -> str:
        return f"a class of the model ({', '.join(self.keys[:5])})"

    def read(self, column: Any, name: str) -> Labels:
        return labels.keys(column, name)

    def logged(self, column: Any, name: str) -> Labels:
        return labels.keys(column, name)

    def known(self, found: Labels) -> npt.NDArray[np.bool_]:
        return np.isin(found, np.asarray(self.keys, dtype=object))

    def refuse_unknown(self, found: Labels) -> None:
        labels.refuse_unknown(found, self.codes(found), self.keys)

    def refuse_sameness(self, found: Labels) -> None:
        occurs = np.bincount(self.codes(found), minlength=len(self.keys))
        if (occurs > 0).sum() == 1:
            raise DataError(
                f"only one class, {self.keys[int(occurs.argmax())]!r}, is in the {len(found):,} rows to fit on: widen the "
                "window until every class occurs"
            )
        if not occurs.all():
            raise DataError(
                f"class {self.keys[int(occurs.argmin())]!r} is in none of the {len(found):,} rows to fit on: a model that "
                "cannot answer it would be no successor; widen the window"
            )

    def refuse_leaks(
        self, columns: Mapping[str, npt.NDArray[Any]], features: Sequence[Feature], found: Labels
    ) -> None:
        labels.refuse_leaks(columns, features, self.codes(found))

    def codes(self, found: Labels) -> npt.NDArray[np.intp]:
        """The index of each label, -1 of unknown ones."""
        return labels.indices(found, self.keys)

    def fitted_on(self, found: Labels) -> Any:
        return np.asarray(self.values)[self.codes(found)]

    def metrics(self, found: Labels, predicted: Predicted) -> dict[str, float]:
        return scoring.metrics(self.codes(found), predicted, self.keys)

    def accuracy(self, found: Labels, predicted: Predicted) -> float:
        return float((predicted == self.codes(found)).mean())

    def holdout(self, found: Labels, predicted: Predicted, probabilities: Probabilities) -> Holdout | None:
        return scoring.holdout(self.codes(found), predicted, probabilities, len(self.keys))

    def paired(
        self, found: Labels, champion: Predicted, candidate: Predicted, parts: Mapping[str, scoring.Mask]
    ) -> Evaluation:
        return scoring.paired(self.codes(found), champion, candidate, parts)


@dataclass(frozen=True)
class Numbers:
    """Of a regressor. grading: None where nobody said what is right, which only packing needs not know."""

    grading: Grading | None = None

    @property
    def what(self) -> str:
        return "a finite number"

    def read(self, column: Any, name: str) -> Labels:
        return labels.numbers(column, name)

    def logged(self, column: Any, name: str) -> Labels:
        return np.asarray(pd.to_numeric(pd.Series(column), errors="coerce"), dtype=np.float64)

    def known(self, found: Labels) -> npt.NDArray[np.bool_]:
        return np.isfinite(found)

    def refuse_unknown(self, found: Labels) -> None:
        """`read` refuses what is no number."""

    def refuse_sameness(self, found: Labels) -> None:
        if len(np.unique(found)) == 1:
            raise DataError(
                f"all {len(found):,} rows to fit on have the same label, {found[0]:g}: widen the window until labels differ"
            )

    def refuse_leaks(
        self, columns: Mapping[str, npt.NDArray[Any]], features: Sequence[Feature], found: Labels
    ) -> None:
        labels.refuse_same_order(columns, features, found)

    def fitted_on(self, found: Labels) -> Any:
        return found

    def metrics(self, found: Labels, predicted: Predicted) -> dict[str, float]:
        errors = scoring.errors(found, predicted)
        return {
            **scoring.of_errors(errors),
            **({} if self.grading is None else self.grading.measures(errors)),
        }

    def accuracy(self, found: Labels, predicted: Predicted) -> float:
        return self._grading.share(scoring.errors(found, predicted))

    def holdout(self, found: Labels, predicted: Predicted, probabilities: Probabilities) -> Holdout | None:
        return None

    def paired(
        self, found: Labels, champion: Predicted, candidate: Predicted, parts: Mapping[str, scoring.Mask]
    ) -> Evaluation:
        mine, theirs = scoring.errors(found, candidate), scoring.errors(found, champion)
        same = self._grading.same
        return scoring.counted(mine > theirs + same, theirs > mine + same, parts)

    @property
    def _grading(self) -> Grading:
        if self.grading is None:
            raise SettingsError(
                "without a tolerance nobody knows which number is right: set spec.evaluation.tolerance"
            )
        return self.grading


def of(model: LoadedModel, grading: Grading | None) -> Target:
    """What this model predicts. Raises SettingsError when `grading` does not go with it."""
    if model.is_regressor:
        if grading is None:
            raise SettingsError(
                f"{model.manifest.version} predicts numbers, and nobody said how far from the truth is still right: set "
                "spec.evaluation.tolerance"
            )
        return Numbers(grading)
    if grading is not None:
        raise SettingsError(
            f"{model.manifest.version} predicts classes, of which spec.evaluation.tolerance says nothing: remove it, or name "
            "a model that predicts numbers"
        )
    return Classes(model.manifest.classes, model.class_keys)


def together(champion: LoadedModel, candidate: LoadedModel, grading: Grading | None) -> Target:
    """What both are compared on: all classes of either, or numbers. Raises OtherKindError where they do not
    compare."""
    if champion.is_regressor is not candidate.is_regressor:
        kinds = [
            f"{model.manifest.version} predicts {'numbers' if model.is_regressor else 'classes'}"
            for model in (champion, candidate)
        ]
        raise OtherKindError(
            f"{kinds[0]} and {kinds[1]}, which cannot be compared: give the other kind of model a ModelDeployment of its own"
        )
    if champion.is_regressor:
        return of(champion, grading)
    values: dict[str, Any] = {
        key: value
        for model in (champion, candidate)
        for key, value in zip(model.class_keys, model.manifest.classes, strict=True)
    }
    keys = tuple(sorted(values))
    return Classes(tuple(values[key] for key in keys), keys)


def recoded(predicted: Predicted, own: Sequence[str], target: Target) -> Predicted:
    """Indices into the classes of one model as those of `target`; numbers as they are."""
    if isinstance(target, Classes):
        return target.codes(np.asarray(own, dtype=object)[predicted])
    return predicted
