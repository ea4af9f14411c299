"""Columns in, the table that a pipeline was fitted on out. Called by packing, training and every request.

scikit-learn pipelines look at pandas dtypes (`categorical_features="from_dtype"`, `make_column_selector`), so
the dtype of each training column is kept beside its datatype on the wire, and every later table is made with
the same ones. A pipeline that was fitted on a plain array gets a plain array.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from modelmend.contract import metrics
from modelmend.contract.manifest import Datatype, Feature
from modelmend.runtime.errors import DataError

Values = npt.NDArray[Any] | Sequence[Any]
"""One column of n values: numbers, or text with None (or NaN) where it is missing."""

CATEGORY: Final = "category"
TEXT_DTYPES: Final = frozenset({"object", "str", "string"})


class Layout(StrEnum):
    """What the pipeline was fitted on."""

    FRAME = "frame"
    ARRAY = "array"


@dataclass(frozen=True)
class Schema:
    """The input of one pipeline: its columns in order, and the pandas dtype of each."""

    features: tuple[Feature, ...]
    dtypes: Mapping[str, str]
    layout: Layout = Layout.FRAME
    _codes: dict[str, tuple[dict[str, int], pd.CategoricalDtype]] = field(
        default_factory=dict, init=False, repr=False
    )

    def __post_init__(self) -> None:
        for feature in self.features:
            if self.dtypes[feature.name] == CATEGORY:
                categories = feature.categories or ()
                self._codes[feature.name] = (
                    {category: code for code, category in enumerate(categories)},
                    pd.CategoricalDtype(list(categories)),
                )

    def frame(self, columns: Mapping[str, Values]) -> Any:
        """The table for the pipeline from one column of n values per feature.

        Returns a DataFrame of n rows, or an (n, features) float64 array. A category never seen is a missing
        value of a pandas categorical and itself in a text column. Raises DataError for a missing column and
        for values of another kind; whether missing values are welcome is the caller's to check.
        """
        for feature in self.features:
            if feature.name not in columns:
                raise DataError(f"column {feature.name!r} is missing: the model needs {self._names()}")
        if self.layout is Layout.ARRAY:
            return np.column_stack([_numbers(feature, columns[feature.name]) for feature in self.features])
        return pd.DataFrame(
            {feature.name: self._column(feature, columns[feature.name]) for feature in self.features},
            copy=False,
        )

    def _names(self) -> str:
        return ", ".join(feature.name for feature in self.features)

    def _column(self, feature: Feature, values: Values) -> Any:
        dtype = self.dtypes[feature.name]
        if dtype == CATEGORY:
            lookup, categorical = self._codes[feature.name]
            codes = np.fromiter(
                (lookup.get(value, -1) for value in values), dtype=np.int32, count=len(values)
            )
            # The codes come from the dtype's own categories: pandas need not check them again (20 µs each time).
            return pd.Categorical.from_codes(codes, dtype=categorical, validate=False)
        if dtype in TEXT_DTYPES:
            text = _text(values)
            # A bare array of text would become pandas' own `str`, whatever the pipeline was fitted on.
            return (
                pd.Series(text, dtype=object, copy=False)
                if dtype == "object"
                else pd.array(text, dtype=dtype)
            )
        numbers = _numbers(feature, values)
        if dtype.startswith(("int", "uint", "bool")) and np.isnan(numbers).any():
            return numbers
        return numbers.astype(dtype)


def infer(table: Any, names: Sequence[str] | None = None) -> Schema:
    """The schema of a training table: a DataFrame, or an (n, features) array of numbers.

    Raises DataError that names the column when it holds something that no request could carry.
    """
    if not isinstance(table, pd.DataFrame):
        array = np.asarray(table)
        if array.ndim != 2 or array.dtype.kind not in "fiub":
            raise DataError(
                "the training table must be a DataFrame or an array of numbers with two dimensions"
            )
        columns = list(names) if names else [f"x{index}" for index in range(array.shape[1])]
        if len(columns) != array.shape[1]:
            raise DataError(f"{len(columns)} feature names were given for {array.shape[1]} columns")
        missing = [
            bool(np.isnan(array[:, index].astype(np.float64)).any()) for index in range(array.shape[1])
        ]
        features = tuple(
            Feature(name=name, datatype=Datatype.FP64, missing=gap)
            for name, gap in zip(columns, missing, strict=True)
        )
        return Schema(features, dict.fromkeys(columns, "float64"), Layout.ARRAY)
    if table.shape[1] == 0:
        raise DataError("the training table has no columns: give at least one feature")
    for name in table.columns:
        if not isinstance(name, str) or not name:
            raise DataError(f"column {name!r} is not named by text: rename the columns before fitting")
        if name in (metrics.SCORE_FEATURE, metrics.CLASS_FEATURE):
            raise DataError(
                f"column {name!r} has a name that Modelmend's metrics need: rename it before fitting"
            )
    if not table.columns.is_unique:
        twice = table.columns[table.columns.duplicated()][0]
        raise DataError(f"column {twice!r} appears twice: every feature needs a name of its own")
    inferred = [_infer_column(name, table[name]) for name in table.columns]
    return Schema(
        tuple(feature for feature, _ in inferred),
        {feature.name: dtype for feature, dtype in inferred},
        Layout.FRAME,
    )


def refreshed(schema: Schema, columns: Mapping[str, npt.NDArray[Any]]) -> Schema:
    """A parent's schema over newer rows: the same columns and dtypes, categories as they are now."""
    features = []
    for feature in schema.features:
        values = columns[feature.name]
        if feature.datatype is Datatype.BYTES:
            present = [value for value in values if value is not None]
            gaps, categories = len(present) < len(values), tuple(sorted(set(present)))
        else:
            gaps, categories = bool(np.isnan(values).any()), None
        # Gaps are kept: a quiet window must not make the candidate refuse requests that the champion answers.
        missing = feature.missing or gaps
        features.append(feature.model_copy(update={"missing": missing, "categories": categories}))
    return replace(schema, features=tuple(features))


def columns_of(table: Any, schema: Schema) -> dict[str, npt.NDArray[Any]]:
    """The columns of a training table as a request would carry them: float64, or text with None for missing."""
    if schema.layout is Layout.ARRAY:
        array = np.asarray(table, dtype=np.float64)
        return {feature.name: array[:, index] for index, feature in enumerate(schema.features)}
    return {feature.name: wire_column(table[feature.name], feature) for feature in schema.features}


def wire_column(column: Any, feature: Feature) -> npt.NDArray[Any]:
    """One pandas column as a request would carry it. Raises DataError for values of another kind."""
    if feature.datatype is Datatype.BYTES:
        text = np.array(column.astype(object), dtype=object)
        text[column.isna().to_numpy()] = None
        if not all(value is None or isinstance(value, str) for value in text):
            raise DataError(
                f"column {feature.name!r} should hold text and holds {column.dtype} values: fix the column or retrain "
                "the model on its new kind"
            )
        return text
    try:
        return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
    except (ValueError, TypeError):
        raise DataError(
            f"column {feature.name!r} should hold numbers ({feature.datatype}) and holds {column.dtype} values "
            "that are not: fix the column or retrain the model on its new kind"
        ) from None


def _infer_column(name: str, column: Any) -> tuple[Feature, str]:
    missing = bool(column.isna().any())
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        if not all(isinstance(value, str) for value in dtype.categories):
            raise DataError(
                f"column {name!r} is a category of values that are not text: leave it a number, or use "
                f"X[{name!r}].astype(str).astype('category') before fitting"
            )
        feature = Feature(
            name=name, datatype=Datatype.BYTES, categories=tuple(dtype.categories), missing=missing
        )
        return feature, CATEGORY
    if str(dtype) in TEXT_DTYPES:
        values = column.dropna()
        if not all(isinstance(value, str) for value in values):
            raise DataError(
                f"column {name!r} mixes text with other values: make every value text or every value a number"
            )
        if dtype.kind == "O" and missing and any(value is None for value in column):
            raise DataError(
                f"column {name!r} holds None: use NaN for missing text (X.fillna(np.nan)) before fitting"
            )
        return Feature(
            name=name, datatype=Datatype.BYTES, categories=_categories(column), missing=missing
        ), str(dtype)
    if pd.api.types.is_bool_dtype(dtype):
        return Feature(name=name, datatype=Datatype.BOOL, missing=missing), _numpy_name(dtype, missing)
    if pd.api.types.is_integer_dtype(dtype):
        return Feature(name=name, datatype=Datatype.INT64, missing=missing), _numpy_name(dtype, missing)
    if pd.api.types.is_float_dtype(dtype):
        return Feature(name=name, datatype=Datatype.FP64, missing=missing), _numpy_name(dtype, missing)
    raise DataError(
        f"column {name!r} has dtype {dtype}, which no request can carry: turn it into numbers, text or booleans "
        "before fitting"
    )


def _categories(column: Any) -> tuple[str, ...]:
    return tuple(sorted(str(value) for value in column.dropna().unique()))


def _numpy_name(dtype: Any, missing: bool) -> str:
    """Nullable pandas dtypes (`Int64`, `boolean`) reach scikit-learn as numpy ones; so do ours."""
    if not isinstance(dtype, pd.api.extensions.ExtensionDtype):
        return str(dtype)
    return "float64" if missing else str(dtype).lower().replace("boolean", "bool")


def _numbers(feature: Feature, values: Values) -> npt.NDArray[np.float64]:
    try:
        return np.asarray(values, dtype=np.float64)
    except (ValueError, TypeError):
        raise DataError(f"column {feature.name!r} must hold numbers ({feature.datatype})") from None


def _text(values: Values) -> npt.NDArray[Any]:
    return np.fromiter(
        (np.nan if value is None else value for value in values), dtype=object, count=len(values)
    )
