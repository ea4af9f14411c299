"""The data set as requests in order of time, each with the label that will come for it.

Whatever would make a simulation meaningless is refused here, in one sentence that names the file and the column.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from modelmend.contract.log import class_key
from modelmend.runtime import instants
from modelmend.runtime.errors import DataError, SentenceError

SHOWN: Final = 12
READERS: Final = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".csv.gz": "csv"}


@dataclass(frozen=True)
class Table:
    """n rows, ordered by time."""

    place: str
    """The file, for sentences."""
    frame: pd.DataFrame
    """Every column of the file, label and time included."""
    label: str
    time_column: str
    features: tuple[str, ...]
    time: npt.NDArray[np.datetime64]
    """UTC, microseconds; shape (n,)."""
    labels: npt.NDArray[Any]
    """`class_key`s, None where there is no label; shape (n,)."""

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, chosen: npt.NDArray[Any]) -> "Table":
        """The rows of a mask of shape (n,)."""
        return replace(
            self,
            frame=self.frame[chosen].reset_index(drop=True),
            time=self.time[chosen],
            labels=self.labels[chosen],
        )

    @property
    def labelled(self) -> npt.NDArray[np.bool_]:
        """Which rows have a label; shape (n,)."""
        return np.asarray(pd.notna(self.labels), dtype=bool)


def read(path: Path, label: str, time: str, dropped: Collection[str] = ()) -> Table:
    """The rows of a Parquet or CSV file, sorted by time. `dropped` columns are no features.

    Raises DataError.
    """
    place = str(path)
    frame = _frame(path)
    if frame.columns.duplicated().any():
        twice = frame.columns[frame.columns.duplicated()][0]
        raise DataError(f"{place}: column {twice!r} stands twice: give every column a name of its own")
    frame.columns = [str(name) for name in frame.columns]
    if label == time:
        raise DataError(f"--label and --time both name {label!r}: name two columns of {place}")
    for option, name in (("--label", label), ("--time", time), *(("--drop", name) for name in dropped)):
        if name not in frame:
            raise DataError(
                f"{place} has no column {name!r}, which {option} names; it has {_few(list(frame.columns))}"
            )
    if not len(frame):
        raise DataError(f"{place} holds no rows: give a data set with rows")
    features = tuple(name for name in frame.columns if name not in (label, time, *dropped))
    if not features:
        raise DataError(f"{place} has no column left for a feature: it has {_few(list(frame.columns))}")
    try:
        moments = instants.column(frame[time], time)
    except SentenceError as problem:
        raise DataError(f"{place}: {problem}") from None
    labels = _labels(frame[label])
    _refuse_labels(place, label, labels)
    order = np.argsort(moments, kind="stable")
    frame = _gaps_as_nan(frame).iloc[order].reset_index(drop=True)
    return Table(place, frame, label, time, features, moments[order], labels[order])


def written(moment: np.datetime64) -> str:
    """2013-02-15, or 2013-02-15T06:30:00."""
    return str(moment.astype("datetime64[s]")).removesuffix("T00:00:00")


def _frame(path: Path) -> pd.DataFrame:
    if path.is_dir():
        kind: str | None = "parquet"
    else:
        kind = next((kind for suffix, kind in READERS.items() if path.name.lower().endswith(suffix)), None)
    if not path.exists():
        raise DataError(f"{path} does not exist: give a Parquet or CSV file with --data")
    if kind is None:
        raise DataError(f"{path} is neither .parquet nor .csv: give --data one of these")
    try:
        return pd.read_csv(path) if kind == "csv" else pd.read_parquet(path)
    except pd.errors.EmptyDataError:
        raise DataError(f"{path} is empty: give a data set with rows") from None
    except (ValueError, OSError) as problem:
        raise DataError(
            f"{path} cannot be read as a table ({type(problem).__name__}): it is damaged, or no {kind} file"
        ) from None


def _labels(column: Any) -> npt.NDArray[Any]:
    codes, values = pd.factorize(column, use_na_sentinel=True)
    keys = np.array([*(class_key(value) for value in values.tolist()), None], dtype=object)
    return np.asarray(keys[codes])


def _refuse_labels(place: str, label: str, labels: npt.NDArray[Any]) -> None:
    found = sorted(set(labels[pd.notna(labels)].tolist()))
    if not found:
        raise DataError(
            f"{place}: the label column {label!r} is empty in all {len(labels):,} rows: without labels nothing can be judged"
        )
    if len(found) == 1:
        raise DataError(
            f"{place}: the label column {label!r} holds only {found[0]!r}: there is nothing to predict; give rows of two classes or more"
        )


def _gaps_as_nan(frame: pd.DataFrame) -> pd.DataFrame:
    """Parquet's missing text is None, a pipeline's is NaN."""
    text = [name for name in frame.columns if frame[name].dtype == object]
    return frame.assign(**{name: frame[name].where(frame[name].notna(), np.nan) for name in text})


def _few(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
