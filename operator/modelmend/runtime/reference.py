"""What the training data looked like: fixed bins, counts, and one typical row. `reference.json` of an artifact.

The bins are fixed once, when the artifact is made, so that counts of all pods and all times add up. The server
counts with `index`, the operator compares sums; nobody stores a row. The example is put together from medians
and most frequent values, so that no person's row travels in an artifact.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from modelmend.contract import log
from modelmend.contract.manifest import Datatype, Feature
from modelmend.evidence import psi
from modelmend.runtime.frames import Layout, Schema, Values

OTHER: Final = "__other__"
MISSING: Final = "__missing__"
NUMERIC_BINS: Final = 10
GRID: Final = 201
CATEGORIES: Final = 30
"""Most frequent categories that get a bin of their own: metrics need bounded labels."""

SCORE_EDGES: Final = (0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95)

BLOCK: Final = np.timedelta64(6, "h")
"""Least length of a block whose drift by chance is measured: a signal's window, where nobody chose another."""
BLOCK_ROWS: Final = 20 * NUMERIC_BINS
"""Least rows of a block; with fewer, its PSI would tell of its rows and not of its day."""
BLOCKS: Final = 100
"""Most blocks that the reference is cut into."""

Scalar = bool | int | float | str | None
Times = npt.NDArray[np.datetime64]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Numeric(_Frozen):
    """Counts of numbers: value <= edges[0], ..., value > edges[-1], and missing."""

    kind: Literal["numeric"] = "numeric"
    edges: tuple[float, ...]
    """Strictly rising; k edges make k + 1 bins and one for missing values."""
    counts: tuple[int, ...]
    blocks: psi.Blocks | None = None
    """How far contiguous blocks of these rows lie from the rest; None where that was not measured."""

    @property
    def bins(self) -> tuple[str, ...]:
        """Names in the order of `counts`, e.g. `..1.5`, `1.5..2`, `2..`, `__missing__`."""
        marks = [f"{edge:.12g}" for edge in self.edges]
        return (*(f"{low}..{high}" for low, high in zip(["", *marks], [*marks, ""], strict=True)), MISSING)

    def index(self, values: Values) -> npt.NDArray[np.intp]:
        """The bin of each of n values, shape (n,)."""
        numbers = np.asarray(values, dtype=np.float64)
        found = np.searchsorted(self.edges, numbers, side="left")
        return np.where(np.isnan(numbers), len(self.edges) + 1, found).astype(np.intp, copy=False)


class Categorical(_Frozen):
    """Counts of categories, then of every other value, then of missing ones."""

    kind: Literal["categorical"] = "categorical"
    categories: tuple[str, ...]
    counts: tuple[int, ...]
    blocks: psi.Blocks | None = None
    """As of numbers."""

    @property
    def bins(self) -> tuple[str, ...]:
        """Names in the order of `counts`."""
        return (*self.categories, OTHER, MISSING)

    def index(self, values: Values) -> npt.NDArray[np.intp]:
        """The bin of each of n values, shape (n,). None and NaN are missing; 1, 1.0 and `1` are the same."""
        other = len(self.categories)
        lookup: dict[Any, int] = {category: number for number, category in enumerate(self.categories)}
        if isinstance(values, np.ndarray) and values.dtype.kind != "O":
            values = values.tolist()
        return np.fromiter(
            (_category_bin(value, lookup, other) for value in values), dtype=np.intp, count=len(values)
        )


Histogram = Annotated[Numeric | Categorical, Field(discriminator="kind")]


class Reference(_Frozen):
    """The content of `reference.json`."""

    rows: int
    """Rows counted in each of `features`."""
    layout: Layout
    dtypes: dict[str, str]
    """pandas dtype of each training column (`frames.Schema`)."""
    features: dict[str, Histogram]
    score: Numeric | None
    """Of `scores`, on rows that the fit had not seen where there were any; None for a model without them. Of a
    regressor, of the numbers that it predicted."""
    classes: Categorical | None
    """Predicted classes as `class_key`, on the same rows as `score`; None of a regressor."""
    errors: tuple[float, ...] | None = None
    """Of a regressor: `error_grid` of its errors on the holdout. What share is within a tolerance is asked later."""
    example: dict[str, Scalar]
    """A typical row for the smoke inference."""


_Counted = TypeVar("_Counted", Numeric, Categorical)


def counted(histogram: _Counted, values: Values, times: Times | None = None) -> _Counted:
    """The histogram with the counts of these values; with the times of their rows, its blocks too."""
    index = histogram.index(values)
    counts = np.bincount(index, minlength=len(histogram.bins))
    return histogram.model_copy(
        update={
            "counts": tuple(int(count) for count in counts),
            "blocks": None if times is None else _blocks(histogram.bins, index, times),
        }
    )


def _blocks(bins: tuple[str, ...], index: npt.NDArray[np.intp], times: Times) -> psi.Blocks | None:
    """How far contiguous blocks lie from the rest: rows that follow each other are alike, and that is no drift.

    A block ends when it is long enough and has rows enough. Blocks shorter than a window differ more than windows
    do, so a signal with a longer window is judged too mildly, and never alarms too often.
    """
    if not len(times):
        return None
    order = np.argsort(times, kind="stable")
    at = times[order]
    least = max(BLOCK, (at[-1] - at[0]) / BLOCKS)
    found, begin = [], 0
    while begin < len(at):
        end = max(int(np.searchsorted(at, at[begin] + least, side="left")), begin + BLOCK_ROWS)
        if end <= len(at):  # What is left at the end is too little for a block.
            counts = np.bincount(index[order[begin:end]], minlength=len(bins)).tolist()
            found.append(dict(zip(bins, counts, strict=True)))
        begin = end
    return psi.calibrate(found)


def numeric(values: Values, times: Times | None = None) -> Numeric:
    """Bins at the deciles of the values; a feature of a few distinct values gets a bin for each.

    A constant has an edge on each side, a little off it: in a single bin no change could ever be seen.
    """
    numbers = np.asarray(values, dtype=np.float64)
    finite = numbers[np.isfinite(numbers)]
    distinct = np.unique(finite)
    if len(distinct) == 1:
        value = float(distinct[0])
        aside = max(abs(value) * 1e-6, 1e-9)
        edges = np.array([value - aside, value + aside])
    elif len(distinct) <= NUMERIC_BINS:
        edges = distinct[:-1]
    else:
        # An edge is a value of the data, so that a value which many rows share never straddles two bins.
        edges = np.unique(np.quantile(finite, np.linspace(0, 1, NUMERIC_BINS + 1)[1:-1], method="lower"))
    return counted(Numeric(edges=tuple(float(edge) for edge in edges), counts=()), numbers, times)


def graded(scores: npt.NDArray[np.float64], times: Times | None = None) -> Numeric:
    """Scores in fixed grades, finer at both ends. They may be those of a clone that was fitted on fewer rows; where
    trees give few scores, the model's own lie a little beside them, beyond edges that were drawn at the clone's."""
    return counted(Numeric(edges=SCORE_EDGES, counts=()), scores, times)


def spread(numbers: npt.NDArray[np.float64], times: Times | None = None) -> Numeric | None:
    """Predicted numbers in tenths of them; None when all are the same. Edges lie between two of the numbers: a tree has
    few of them, and those of the next clone lie a little beside."""
    distinct = np.unique(numbers)
    if len(distinct) < 2:
        return None
    if len(distinct) <= NUMERIC_BINS:
        edges = (distinct[1:] + distinct[:-1]) / 2
    else:
        edges = np.unique(np.quantile(numbers, np.linspace(0, 1, NUMERIC_BINS + 1)[1:-1], method="linear"))
    return counted(Numeric(edges=tuple(float(edge) for edge in edges), counts=()), numbers, times)


def error_grid(errors: npt.NDArray[np.float64]) -> tuple[float, ...]:
    """Quantiles of n errors, from the smallest to the largest."""
    return tuple(float(each) for each in np.quantile(errors, np.linspace(0, 1, GRID)))


def within(grid: tuple[float, ...], tolerance: float) -> float:
    """The share of the errors behind a grid that is at most `tolerance`."""
    return float(np.interp(tolerance, grid, np.linspace(0, 1, len(grid)), left=0.0, right=1.0))


def categorical(values: Values, times: Times | None = None) -> Categorical:
    """A bin for each of the most frequent values (as `class_key`), sorted by name."""
    seen: dict[str, int] = {}
    for value in np.asarray(values, dtype=object):
        if not _is_missing(value):
            key = log.class_key(value)
            seen[key] = seen.get(key, 0) + 1
    frequent = sorted(seen, key=lambda key: (-seen[key], key))[:CATEGORIES]
    return counted(Categorical(categories=tuple(sorted(frequent)), counts=()), values, times)


@dataclass(frozen=True)
class Predictions:
    """What a model predicted for m rows, best unseen ones. answers: class indices, or numbers. times: of those rows,
    where they are known. errors: of a regressor, where truth is known of rows that it had not seen."""

    answers: npt.NDArray[Any]
    scores: npt.NDArray[np.float64] | None
    times: Times | None = None
    errors: npt.NDArray[np.float64] | None = None


def describe(
    schema: Schema,
    columns: Mapping[str, npt.NDArray[Any]],
    classes: tuple[Any, ...],
    predicted: Predictions,
    times: Times | None = None,
) -> Reference:
    """The reference of a model fitted on `columns` (n values each) at `times`, where those are known. `classes`: none
    of a regressor."""
    keys = tuple(log.class_key(value) for value in classes)
    score, outcome = None, None
    if not keys:
        score = spread(predicted.answers, predicted.times)
    else:
        empty = Categorical(categories=keys, counts=())
        outcome = counted(empty, np.asarray(keys, dtype=object)[predicted.answers], predicted.times)
        if predicted.scores is not None:
            score = graded(predicted.scores, predicted.times)
    return Reference(
        rows=len(next(iter(columns.values()))),
        layout=schema.layout,
        dtypes=dict(schema.dtypes),
        features={
            feature.name: _histogram(feature, columns[feature.name], times) for feature in schema.features
        },
        score=score,
        classes=outcome,
        errors=None if predicted.errors is None else error_grid(predicted.errors),
        example={feature.name: _typical(feature, columns[feature.name]) for feature in schema.features},
    )


def scores(probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The score whose distribution is watched, from (n, classes) probabilities: that of the second class when
    there are two, else the largest. Shape (n,)."""
    return probabilities[:, 1] if probabilities.shape[1] == 2 else probabilities.max(axis=1)


def _histogram(feature: Feature, values: npt.NDArray[Any], times: Times | None) -> Numeric | Categorical:
    if feature.datatype is Datatype.BYTES:
        return categorical(values, times)
    if feature.datatype is Datatype.BOOL:
        flags = Categorical(categories=("false", "true"), counts=())
        return counted(flags, flag_keys(values), times)
    return numeric(values, times)


def flag_keys(values: Values) -> npt.NDArray[Any]:
    """`true`, `false` and None for a BOOL column of numbers or booleans; NaN is None."""
    numbers = np.asarray(values, dtype=np.float64)
    flags: npt.NDArray[Any] = np.array(["false", "true"], dtype=object)[(numbers != 0).astype(np.intp)]
    flags[np.isnan(numbers)] = None
    return flags


def _typical(feature: Feature, values: npt.NDArray[Any]) -> Scalar:
    if feature.datatype is Datatype.BYTES:
        present = [value for value in values if not _is_missing(value)]
        kinds, counts = np.unique(np.asarray(present, dtype=str), return_counts=True)
        return str(kinds[counts.argmax()]) if len(kinds) else None
    numbers = values[~np.isnan(values)]
    if not len(numbers):
        return None
    if feature.datatype is Datatype.BOOL:
        return bool(numbers.mean() >= 0.5)
    middle = float(np.quantile(numbers, 0.5, method="lower"))
    return int(middle) if feature.datatype is Datatype.INT64 else middle


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and value != value)


def _category_bin(value: object, lookup: Mapping[Any, int], other: int) -> int:
    if isinstance(value, str):
        return lookup.get(value, other)
    return other + 1 if _is_missing(value) else lookup.get(log.class_key(value), other)
