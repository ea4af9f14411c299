"""Labelled rows for training and comparing: the prediction log joined with labels, or a Parquet/CSV dataset.

Called by the trainer and by `resolve`. Both sources give the same `Rows`, ordered by time, so that nothing after
this module knows where they came from.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.dataset

from modelmend.contract import environment, log, slices
from modelmend.contract.manifest import Datatype, Feature, LabelDelay
from modelmend.runtime import frames, instants, labels, predictionlog, store
from modelmend.runtime.errors import DataError, SettingsError, StoreError
from modelmend.runtime.grading import Grading
from modelmend.runtime.job import Data
from modelmend.runtime.targets import Classes, Numbers, Target

_log = logging.getLogger(__name__)

_NO_TIME: Final = "the dataset has no time column, so its rows are taken to be in order of time: name it in spec.retraining.data.dataset.time"
SUFFIXES: Final = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".csv.gz": "csv"}


@dataclass(frozen=True)
class Rows:
    """n labelled rows, ordered by time."""

    columns: dict[str, npt.NDArray[Any]]
    """As a request would carry them (`frames.columns_of`)."""
    labels: npt.NDArray[Any]
    """`class_key`s, or numbers; shape (n,)."""
    time: npt.NDArray[np.datetime64]
    """UTC, microseconds; shape (n,). Only an order when `timed` is false."""
    requests: npt.NDArray[Any] | None = None
    """The prediction id of each row: rows of one request are not independent. None for a dataset."""
    delay: LabelDelay | None = None
    warnings: tuple[str, ...] = ()
    timed: bool = True
    parts: dict[str, npt.NDArray[np.bool_]] = field(default_factory=dict)
    """Which rows are in each slice that was asked for, by its name; shape (n,)."""

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, chosen: npt.NDArray[Any]) -> "Rows":
        """The rows of a mask of shape (n,), or of row numbers in their order."""
        return Rows(
            {name: values[chosen] for name, values in self.columns.items()},
            self.labels[chosen],
            self.time[chosen],
            None if self.requests is None else self.requests[chosen],
            self.delay,
            self.warnings,
            self.timed,
            {name: within[chosen] for name, within in self.parts.items()},
        )


def read(data: Data, features: Sequence[Feature], target: Target) -> Rows:
    """The labelled rows that a Job was pointed to, with these features. `target`: what the model predicts.

    Raises DataError for missing columns, missing labels and values of another kind; SettingsError when no source
    is named; StoreError.
    """
    if data.uri is not None:
        return _read_dataset(data, features, target)
    if data.log_uri is None:
        raise SettingsError(
            f"neither {environment.DATA_URI} nor {environment.LOG_URI} is set: there are no rows to learn from"
        )
    _refuse_unknown_slices(data, features)
    logged = predictionlog.read(data.log_uri, data.start, data.end, [feature.name for feature in features])
    frame = logged.frame
    if not len(frame):
        raise DataError(
            f"the log at {store.shown(data.log_uri)} holds no labelled rows in the window ({logged.unlabelled:,} without a "
            "label): send labels to the feedback endpoint, or wait for them"
        )
    found = target.logged(frame[log.LABEL], log.LABEL)
    known = target.known(found)
    warnings = list(logged.warnings)
    if not known.all():
        # Labels of the log come from outside, one at a time: one wrong client must not stop all healing.
        strange = sorted(set(frame[log.LABEL][~known].astype(str).tolist()))[0]
        warnings.append(
            f"{int((~known).sum()):,} rows of the log have a label that is not {target.what}, e.g. {strange[:40]!r}: left out"
        )
    if not known.any():
        raise DataError(
            f"no label in the log at {store.shown(data.log_uri)} is {target.what}: send such labels to the feedback endpoint"
        )
    columns = {
        feature.name: frames.wire_column(frame[log.FEATURE_PREFIX + feature.name], feature)[known]
        for feature in features
    }
    return Rows(
        columns,
        found[known],
        instants.column(frame[log.TIME], log.TIME)[known],
        frame[log.PREDICTION_ID].to_numpy(dtype=object)[known],
        logged.delay,
        tuple(warnings),
        parts={
            part.name: _within_slice(frame[log.FEATURE_PREFIX + part.column], part, features)[known]
            for part in data.slices
        },
    )


def _read_dataset(data: Data, features: Sequence[Feature], target: Target) -> Rows:
    assert data.uri is not None
    place, label = store.shown(data.uri), data.label or ""
    names = [feature.name for feature in features]
    if label in names:
        raise DataError(
            f"the label {label!r} is one of the features: a model that reads its answer learns nothing; pack a model "
            "without this column"
        )
    found = _open(data.uri, {feature.name for feature in features if feature.datatype is Datatype.BYTES})
    sliced = [part.column for part in data.slices]
    needed = list(dict.fromkeys([*names, label, *([data.time] if data.time else []), *sliced]))
    _refuse_missing_columns(found.schema.names, needed, data)
    data = _since_the_latest(found, data)
    frame = _table(found, needed, data)
    _log.info("read the dataset: 100 %%, %s rows", f"{len(frame):,}")
    frame, time, warnings = _within(frame, data)
    if not len(frame):
        raise DataError(
            f"{place} holds no rows in the window: check the window, and that new rows arrive in the dataset"
        )
    rows = Rows(
        {feature.name: frames.wire_column(frame[feature.name], feature) for feature in features},
        target.read(frame[label], label),
        time,
        warnings=warnings,
        timed=data.time is not None,
        parts={part.name: _within_slice(frame[part.column], part, features) for part in data.slices},
    )
    return rows.take(np.argsort(time, kind="stable"))


@dataclass(frozen=True)
class New:
    """What a first version learns from: its rows, the table they make, and the classes as they stand in the dataset."""

    rows: Rows
    schema: frames.Schema
    target: Target


def read_new(data: Data, named: Sequence[str], grading: Grading | None) -> New:
    """The rows of a dataset that no model has been fitted on. `named`: its features; none: all columns but label and
    time. `grading`: set where the label is a number.

    Raises DataError for missing columns, missing labels and what no request could carry; SettingsError; StoreError.
    """
    if data.uri is None or data.label is None or data.time is None:
        raise SettingsError(
            f"{environment.DATA_URI}, {environment.DATA_LABEL} or {environment.DATA_TIME} is not set: a first version is "
            "trained on spec.retraining.data.dataset"
        )
    found = _open(data.uri, ())
    names = list(named) or [name for name in found.schema.names if name not in (data.label, data.time)]
    if not names:
        raise DataError(
            f"{store.shown(data.uri)} has no columns but {data.label!r} and {data.time!r}: add what is known when a prediction "
            "is asked for"
        )
    sliced = [part.column for part in data.slices]
    needed = list(dict.fromkeys([*names, data.label, data.time, *sliced]))
    _refuse_missing_columns(found.schema.names, needed, data, named)
    data = _since_the_latest(found, data)
    frame, time, _ = _within(_table(found, needed, data), data)
    if not len(frame):
        raise DataError(
            f"{store.shown(data.uri or '')} holds no rows in the window: check that rows arrive in it"
        )
    target = _classes(frame[data.label], data.label or "") if grading is None else Numbers(grading)
    table = pd.DataFrame({name: _plain(frame[name]) for name in names})
    schema = frames.infer(table)
    rows = Rows(
        frames.columns_of(table, schema),
        target.read(frame[data.label], data.label or ""),
        time,
        parts={part.name: _within_slice(frame[part.column], part, schema.features) for part in data.slices},
    )
    return New(rows.take(np.argsort(time, kind="stable")), schema, target)


def _classes(column: Any, name: str) -> Classes:
    """As the labels have them, and in the order in which scikit-learn will know them."""
    keys, values = labels.keys(column, name).tolist(), _plain(column).tolist()
    strange = next((value for value in values if not isinstance(value, bool | int | float | str)), None)
    if strange is not None:
        raise DataError(
            f"label {name!r} holds {type(strange).__name__} values: write classes as text, numbers or booleans"
        )
    by_key = dict(zip(keys, values, strict=True))
    ordered = np.unique(np.array(list(by_key.values()))).tolist()
    return Classes(tuple(ordered), tuple(log.class_key(value) for value in ordered))


def _plain(column: Any) -> Any:
    """Text as text, whatever way it was stored: a dictionary of values belongs to one file, and booleans with gaps and
    columns without any value come as objects."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    if column.isna().all():
        return pd.Series(np.nan, index=column.index, dtype="float64")
    if column.dtype == object:
        kinds = {type(value) for value in column.dropna()}
        if kinds == {bool}:
            return column.astype("boolean")
        if kinds == {str}:
            return column.astype("str")
    return column


def _table(found: Any, columns: Sequence[str], data: Data) -> Any:
    try:
        return found.to_table(columns=list(columns), filter=_filter(found.schema, data)).to_pandas()
    except (pa.ArrowException, OSError, ValueError) as problem:
        raise _unreadable(store.shown(data.uri or ""), problem) from problem


def _since_the_latest(found: Any, data: Data) -> Data:
    """With a start, where there is a window: its column of times is read first, so that old rows are never held."""
    if data.window is None or not data.time:
        return data
    _, time, _ = _within(_table(found, [data.time], data), data)
    if not len(time):
        return data
    start = instants.instant(time.max()) - data.window
    return replace(data, start=start if data.start is None else max(start, data.start))


def _refuse_missing_columns(
    present: Sequence[str], needed: Sequence[str], data: Data, named: Sequence[str] = ()
) -> None:
    missing = [name for name in needed if name not in present]
    if missing:
        role = {data.label: "label ", data.time: "time "}.get(missing[0], "")
        cure = "spec.retraining.data.dataset"
        if missing[0] in named:
            cure = "spec.retraining.trainer.pipeline.features"
        elif missing[0] in {part.column for part in data.slices}:
            cure = "spec.evaluation.slices"
        raise DataError(
            f"{role}column {missing[0]!r} is missing in {store.shown(data.uri or '')}, which has "
            f"{', '.join(present[:12])}: add it, or correct {cure}"
        )


def _refuse_unknown_slices(data: Data, features: Sequence[Feature]) -> None:
    names = [feature.name for feature in features]
    strange = next((part.column for part in data.slices if part.column not in names), None)
    if strange is not None:
        raise DataError(
            f"column {strange!r} of a slice is no feature of the model, which has {', '.join(names[:12])}, and the log holds "
            "no other columns: correct spec.evaluation.slices, or retrain from a dataset that has it"
        )


def _within_slice(column: Any, part: slices.Slice, features: Sequence[Feature]) -> npt.NDArray[np.bool_]:
    """Which rows have the slice's value; a missing value is in no slice."""
    try:
        codes, values = pd.factorize(column)
    except TypeError:
        raise DataError(
            f"column {part.column!r} of a slice holds lists or objects: name a column of texts, numbers or booleans in "
            "spec.evaluation.slices"
        ) from None
    flags = any(feature.name == part.column and feature.datatype is Datatype.BOOL for feature in features)
    meant = [
        code
        for code, value in enumerate(values.tolist())
        if log.class_key(bool(value) if flags else value) == part.value
    ]
    return np.isin(codes, meant)


def _within(frame: Any, data: Data) -> tuple[Any, npt.NDArray[np.datetime64], tuple[str, ...]]:
    """The rows of the window, their instants, and a warning when these had to be made up."""
    if not data.time:
        order = np.arange(len(frame)).astype("datetime64[us]")
        return frame, order, (_NO_TIME,)
    time = instants.column(frame[data.time], data.time)
    inside = np.ones(len(frame), dtype=bool)
    if data.start is not None:
        inside &= time >= instants.moment(data.start)
    if data.end is not None:
        inside &= time < instants.moment(data.end)
    return frame[inside], time[inside], ()


def _open(uri: str, text: Iterable[str]) -> Any:
    """The dataset of one file, or of all files of one kind below a folder."""
    kind = _kind(uri)
    names = [""] if kind else [entry.name for entry in store.listing(uri) if _kind(entry.name)]
    kinds = {_kind(name) or kind for name in names}
    if len(kinds) != 1:
        problem = "no .parquet or .csv files" if not kinds else "both .parquet and .csv files"
        raise StoreError(
            f"{store.shown(uri)} holds {problem}: point spec.retraining.data.dataset.uri to a file or folder of one kind"
        )
    system, path = store.filesystem(uri)
    form: Any = kinds.pop()
    if form == "csv":
        # A code such as 01 is text, whatever it looks like.
        options = pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(text, pa.string()), strings_can_be_null=True
        )
        form = pyarrow.dataset.CsvFileFormat(convert_options=options)
    if names == [""] and not store.exists(uri):
        store.read(uri)  # raises the sentence for what is wrong with it
    try:
        paths = [f"{path}/{name}" if name else path for name in names]
        return pyarrow.dataset.dataset(paths, format=form, filesystem=system)
    except (pa.ArrowException, OSError, ValueError) as problem:
        raise _unreadable(store.shown(uri), problem) from problem


def _kind(name: str) -> str | None:
    bare = name.partition("?")[0].lower()
    return next((kind for suffix, kind in SUFFIXES.items() if bare.endswith(suffix)), None)


def _filter(schema: Any, data: Data) -> Any:
    """Lets Parquet skip row groups outside of the window; the exact bounds are checked again afterwards."""
    if not data.time or not pa.types.is_timestamp(kind := schema.field(data.time).type):
        return None
    chosen = None
    for bound, holds in ((data.start, pc.Expression.__ge__), (data.end, pc.Expression.__lt__)):
        if bound is not None:
            moment = bound if kind.tz else bound.replace(tzinfo=None) - (bound.utcoffset() or pd.Timedelta(0))
            condition = holds(pc.field(data.time), pa.scalar(moment, type=pa.timestamp("us", kind.tz)))
            chosen = condition if chosen is None else chosen & condition
    return chosen


def _unreadable(place: str, problem: Exception) -> DataError:
    if isinstance(problem, FileNotFoundError):
        return DataError(f"{place} does not exist: check spec.retraining.data.dataset.uri")
    return DataError(
        f"{place} cannot be read as a table ({type(problem).__name__}): it is damaged, or its files differ in their columns"
    )
