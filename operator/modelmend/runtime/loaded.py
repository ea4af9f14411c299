"""A model that was verified and can predict. Made by `artifact.load`; used by the server for every request."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import sklearn.base

from modelmend.contract import log, metrics
from modelmend.contract.manifest import Datatype, Manifest, Task
from modelmend.runtime import frames, reference
from modelmend.runtime.errors import ArtifactError

_ARGMAX_PREDICTS: Final = frozenset(
    {
        "HistGradientBoostingClassifier",
        "GradientBoostingClassifier",
        "RandomForestClassifier",
        "ExtraTreesClassifier",
        "DecisionTreeClassifier",
        "LogisticRegression",
        "MLPClassifier",
        "GaussianNB",
        "CalibratedClassifierCV",
    }
)
"""Classifiers whose `predict` is the largest of `predict_proba`, so that one pass gives both. Others are asked
twice: a support vector machine's probabilities may disagree with its predictions, a moved threshold does."""
_LONGEST_NAME: Final = 253
"""Characters of a class that the operator records."""


class Predictor:
    """A fitted classifier asked once for class indices and probabilities, or a fitted regressor for its numbers."""

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator
        self.has_probabilities = False
        self._one_pass = False
        self._index: dict[Any, int] | None = None
        if sklearn.base.is_regressor(estimator):
            return
        self._index = {value: index for index, value in enumerate(np.asarray(estimator.classes_).tolist())}
        self.has_probabilities = hasattr(estimator, "predict_proba")
        final = estimator
        while hasattr(final, "steps"):
            final = final.steps[-1][1]
        kind = type(final)
        self._one_pass = kind.__name__ in _ARGMAX_PREDICTS and kind.__module__.startswith("sklearn.")

    def predict(self, table: Any) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64] | None]:
        """Class indices of shape (n,), and probabilities of shape (n, classes) or None; of a regressor n float64.
        ValueError when one of these is not finite, or there are several for a row."""
        index = self._index
        if index is None:
            return _finite(self._estimator.predict(table)), None
        probabilities = self._estimator.predict_proba(table) if self.has_probabilities else None
        if probabilities is not None and self._one_pass:
            return np.argmax(probabilities, axis=1), probabilities
        labels = self._estimator.predict(table)
        return np.fromiter((index[label] for label in labels.tolist()), np.intp, len(labels)), probabilities


def _finite(predicted: Any) -> npt.NDArray[np.float64]:
    found = np.asarray(predicted, dtype=np.float64)
    if found.ndim == 2 and found.shape[1] == 1:  # It was fitted on a table of one column.
        found = found[:, 0]
    if found.ndim != 1:
        raise ValueError("it predicts several numbers for a row")
    if not np.isfinite(found).all():
        raise ValueError("it predicts a number that is not finite")
    return found


@dataclass(frozen=True)
class LoadedModel:
    """A verified model, ready to predict. Safe to share between threads.

    `columns` below means one array (or list) of n values per feature: numbers for BOOL, INT64 and FP64 with NaN
    for missing, `str` for BYTES with None for missing.
    """

    manifest: Manifest
    reference: reference.Reference
    digest: str
    estimator: Any
    schema: frames.Schema = field(repr=False)

    @property
    def is_regressor(self) -> bool:
        """Whether it predicts numbers, and has no classes."""
        return self.manifest.task is Task.REGRESSION

    @cached_property
    def class_keys(self) -> tuple[str, ...]:
        """`contract.log.class_key` of each class, in the order of the indices that `predict` returns."""
        return tuple(log.class_key(value) for value in self.manifest.classes)

    @property
    def counted_classes(self) -> tuple[str, ...]:
        """The classes that servers count apart, for signals on single ones; none when there are too many, or when a
        label of a series cannot hold one."""
        return counted(self.class_keys)

    def frame(self, columns: Mapping[str, frames.Values]) -> Any:
        """The input of `predict` (a DataFrame, or an array for a model fitted on one). Raises DataError that
        names the column."""
        return self.schema.frame(columns)

    def predict(self, table: Any) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64] | None]:
        """Class indices of shape (n,), and probabilities of shape (n, classes) if the model has them; of a regressor n
        numbers."""
        return self._predictor.predict(table)

    @property
    def has_probabilities(self) -> bool:
        """Whether `predict` returns probabilities (a hinge loss has none)."""
        return self._predictor.has_probabilities

    def bins(self, name: str, values: frames.Values) -> npt.NDArray[np.intp]:
        """The bin of each of n values of a feature: indices into `reference.features[name].bins`."""
        if self._datatypes[name] is Datatype.BOOL:
            values = reference.flag_keys(values)
        return self.reference.features[name].index(values)

    def scores(self, probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The watched score of each row of a classifier, to be counted in `reference.score`."""
        return reference.scores(probabilities)

    def smoke(self) -> None:
        """Predicts the example row. Raises ArtifactError when that fails or gives no probability."""
        try:
            indices, probabilities = self.predict(
                self.frame({k: [v] for k, v in self.reference.example.items()})
            )
            sane = len(indices) == 1 and (probabilities is None or abs(float(probabilities.sum()) - 1) < 1e-6)
        except Exception as problem:
            raise ArtifactError(
                f"the model cannot predict its own example row ({type(problem).__name__}): pack it again and try "
                "pipeline.predict on one row of the training frame"
            ) from problem
        if not sane:
            raise ArtifactError(
                "the model's probabilities for its own example row do not add up to 1: fit it again"
            )

    @cached_property
    def _predictor(self) -> "Predictor":
        return Predictor(self.estimator)

    @cached_property
    def _datatypes(self) -> dict[str, Datatype]:
        return {feature.name: feature.datatype for feature in self.manifest.features}


def counted(keys: tuple[str, ...]) -> tuple[str, ...]:
    """`LoadedModel.counted_classes` of a model with these `class_key`s."""
    fit = len(keys) <= metrics.CLASSES_MAX and all(0 < len(key) <= _LONGEST_NAME for key in keys)
    return keys if fit else ()
