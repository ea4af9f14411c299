"""Labels as class indices, and the labels that no model may learn from. Called by packing, training, resolving."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from modelmend.contract import log
from modelmend.contract.manifest import Datatype, Feature
from modelmend.runtime.errors import DataError
from modelmend.runtime.scoring import UNKNOWN_CLASS, Indices

SHOWN: Final = 5
LEAST_ORDERED: Final = 20
"""Different labels, below which two columns may rise together by chance."""


def keys(target: Any, name: str) -> npt.NDArray[Any]:
    """The n labels as `class_key`s, shape (n,). Raises DataError when any is missing."""
    series = target if isinstance(target, pd.Series) else pd.Series(np.asarray(target).tolist())
    gaps = int(series.isna().sum())
    if gaps:
        raise _missing(name, gaps, len(series))
    return np.array([log.class_key(value) for value in series.tolist()], dtype=object)


def numbers(target: Any, name: str) -> npt.NDArray[np.float64]:
    """The n labels of a regressor, shape (n,). Raises DataError when any is missing, no number or infinite."""
    series = target if isinstance(target, pd.Series) else pd.Series(np.asarray(target).tolist())
    gaps = int(series.isna().sum())
    if gaps:
        raise _missing(name, gaps, len(series))
    try:
        found = np.asarray(series, dtype=np.float64)
    except (ValueError, TypeError):
        raise DataError(
            f"label {name!r} holds {series.dtype} values and the model predicts numbers: give numbers"
        ) from None
    infinite = int((~np.isfinite(found)).sum())
    if infinite:
        raise DataError(
            f"label {name!r} is infinite in {infinite:,} of {len(series):,} rows: leave these rows out, or correct them"
        )
    return found


def _missing(name: str, gaps: int, rows: int) -> DataError:
    return DataError(
        f"label {name!r} is missing (NaN or null) in {gaps:,} of {rows:,} rows: leave these rows out, or give "
        "them their label"
    )


def indices(found: npt.NDArray[Any], classes: Sequence[str]) -> Indices:
    """The index of each label among the classes of a model, UNKNOWN_CLASS for others; shape (n,)."""
    lookup = {key: index for index, key in enumerate(classes)}
    return np.fromiter((lookup.get(key, UNKNOWN_CLASS) for key in found), np.intp, len(found))


def refuse_unknown(found: npt.NDArray[Any], actual: Indices, classes: Sequence[str]) -> None:
    """Raises DataError when a label is none of the classes."""
    strange = sorted(set(found[actual == UNKNOWN_CLASS].tolist()))
    if strange:
        raise DataError(
            f"labels that are no class of the model: {_few(strange)} in {int((actual == UNKNOWN_CLASS).sum()):,} of "
            f"{len(found):,} rows; the model knows {_few(classes)}: fix these labels, or pack a model that knows them"
        )


def refuse_leaks(
    columns: Mapping[str, npt.NDArray[Any]], features: Sequence[Feature], actual: Indices
) -> None:
    """Raises DataError when a feature is the label under another name: each of its values goes with one class and
    each class with one value. Such a column is known only after the outcome."""
    classes = np.unique(actual)
    if len(classes) < 2:
        return
    for feature in features:
        codes, values = pd.factorize(columns[feature.name], use_na_sentinel=False)
        # The cheap half first: few features have as many values as there are classes.
        if len(values) == len(classes) and len(
            np.unique(codes * len(classes) + np.searchsorted(classes, actual))
        ) == len(classes):
            raise DataError(
                f"feature {feature.name!r} is the label itself (each value goes with one class in all {len(actual):,} rows): "
                "remove it from the features; at prediction time nobody knows it"
            )


def refuse_same_order(
    columns: Mapping[str, npt.NDArray[Any]], features: Sequence[Feature], found: npt.NDArray[np.float64]
) -> None:
    """The same of numbers: a feature that rises (or falls) with the label in every single row."""
    values, places = np.unique(found, return_inverse=True)
    if len(values) < LEAST_ORDERED:
        return
    for feature in features:
        if feature.datatype is Datatype.BYTES:
            continue
        own, ranks = np.unique(columns[feature.name], return_inverse=True)
        if len(own) == len(values) and (
            np.array_equal(ranks, places) or np.array_equal(len(own) - 1 - ranks, places)
        ):
            raise DataError(
                f"feature {feature.name!r} is the label itself (both rise and fall together in all {len(found):,} rows): "
                "remove it from the features; at prediction time nobody knows it"
            )


def _few(values: Sequence[str]) -> str:
    shown = ", ".join(repr(value[:40]) for value in values[:SHOWN])
    return f"{shown} and {len(values) - SHOWN} more" if len(values) > SHOWN else shown
