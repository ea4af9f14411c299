"""Reads the prediction log: parts by day, predictions joined with their labels. `contract.log` has the layout.

Everything here is safe to do twice and beside writers: a row that lies in two parts counts once, a label that
came twice counts by its first time, a damaged part is left out and named, and a part that compaction took away
between listing and reading makes the reader list again.
"""

import io
import logging
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from modelmend.contract import log, storage
from modelmend.contract.manifest import LabelDelay
from modelmend.runtime import store
from modelmend.runtime.errors import DataError, NotFoundError

_log = logging.getLogger(__name__)

KEY: Final = [log.PREDICTION_ID, log.ROW]
READERS: Final = 8
"""Parts read at once: object stores answer slowly and in parallel."""
_PART: Final = re.compile(r"dt=(\d{4}-\d{2}-\d{2})/(predictions|labels|compacted)-([A-Za-z0-9._-]+)\.parquet")


@dataclass(frozen=True)
class Part:
    """One file of the log."""

    day: date
    kind: str
    name: str
    """Path below the log's folder."""
    size: int


@dataclass(frozen=True)
class Logged:
    """Labelled predictions of a window, ordered by time, then by request and row."""

    frame: pd.DataFrame
    """Columns of `contract.log`, a feature under its prefixed name."""
    unlabelled: int
    delay: LabelDelay | None
    warnings: tuple[str, ...]


def parts(uri: str) -> list[Part]:
    """Every part of the log, sorted by name. Files of other names are none of ours."""
    found = []
    for entry in store.listing(uri):
        match = _PART.fullmatch(entry.name)
        if match:
            try:
                day = date.fromisoformat(match[1])
            except ValueError:
                continue
            found.append(Part(day, match[2], entry.name, entry.size))
    return found


def read(uri: str, start: datetime | None, end: datetime | None, features: Sequence[str]) -> Logged:
    """The labelled predictions with start <= time < end. Raises DataError when parts lack a feature in all rows.

    Reads what the log holds now; when compaction moves parts meanwhile, reads again.
    """
    for attempt in range(3):
        try:
            return _read(uri, start, end, features)
        except NotFoundError:
            if attempt == 2:
                raise
            _log.info("the log was compacted meanwhile: reading it again")
    raise AssertionError("unreachable")


def _read(uri: str, start: datetime | None, end: datetime | None, features: Sequence[str]) -> Logged:
    # A part lies in the folder of the day it was written: rows of an evening may lie in the next one, and labels
    # in any later one.
    first = None if start is None else start.astimezone(UTC).date()
    last = None if end is None else end.astimezone(UTC).date() + timedelta(days=1)
    listed = [part for part in parts(uri) if first is None or part.day >= first]
    rows = [part for part in listed if part.kind != log.LABELS and (last is None or part.day <= last)]
    reader = _Reader(uri, start, end, [log.FEATURE_PREFIX + name for name in features])
    predicted = reader.all(rows, reader.predictions)
    labelled = reader.all([part for part in listed if part.kind == log.LABELS], reader.labels)
    labelled += [table for table in map(_labels_of_compacted, predicted) if table is not None]
    if not predicted:
        missing = sorted(reader.lacking)
        if missing:
            raise DataError(
                f"column {missing[0].removeprefix(log.FEATURE_PREFIX)!r} is missing in every part of the log at "
                f"{store.shown(uri)}: the log was written for another model"
            )
        return Logged(pd.DataFrame(), 0, None, tuple(reader.warnings()))
    frame = _frame(predicted).drop(columns=[log.LABEL, log.LABEL_TIME], errors="ignore").drop_duplicates(KEY)
    total = len(frame)
    if labelled:
        # Only the first label by time counts, as it did for whoever counted it live.
        first_labels = _frame(labelled).sort_values(log.LABEL_TIME, kind="stable").drop_duplicates(KEY)
        frame = frame.merge(first_labels, on=KEY, how="inner")
    else:
        frame = frame.iloc[:0].assign(**{log.LABEL: [], log.LABEL_TIME: []})
    frame = frame.sort_values([log.TIME, *KEY], kind="stable", ignore_index=True)
    return Logged(frame, total - len(frame), label_delay(frame), tuple(reader.warnings()))


def label_delay(frame: pd.DataFrame) -> LabelDelay | None:
    """Quantiles of the seconds from prediction to label; None without labels."""
    if not len(frame):
        return None
    seconds = (frame[log.LABEL_TIME] - frame[log.TIME]).dt.total_seconds().clip(lower=0).to_numpy()
    p50, p90, p99 = (float(value) for value in np.quantile(seconds, [0.5, 0.9, 0.99]))
    return LabelDelay(p50=p50, p90=p90, p99=p99)


def read_part(uri: str, part: Part) -> pa.Table | None:
    """The table of one part with plain columns; None when it is damaged. Raises NotFoundError, StoreError."""
    content = store.read(storage.join(uri, part.name))
    try:
        table = pq.read_table(io.BytesIO(content))
    except (pa.ArrowException, OSError, ValueError):
        return None
    for index, column in enumerate(table.schema):
        if pa.types.is_dictionary(column.type):
            table = table.set_column(index, column.name, pc.cast(table.column(index), column.type.value_type))
    return table


class _Reader:
    """Reads many parts side by side, keeps what is needed of each and remembers what it had to leave out."""

    def __init__(self, uri: str, start: datetime | None, end: datetime | None, features: list[str]) -> None:
        self._uri = uri
        self._start, self._end = start, end
        self._features = features
        self._damaged: list[str] = []
        self._lacking_rows = 0
        self.lacking: set[str] = set()

    def all(
        self, listed: Sequence[Part], keep: Callable[[Part, pa.Table], pa.Table | None]
    ) -> list[pa.Table]:
        """What `keep` keeps of each part, in the order of the parts."""
        tables, rows, told = [], 0, 0
        with ThreadPoolExecutor(READERS) as readers:
            read = readers.map(lambda part: (part, read_part(self._uri, part)), listed)
            for number, (part, table) in enumerate(read, 1):
                kept = self._kept(part, table, keep)
                if kept is not None and kept.num_rows:
                    tables.append(kept)
                    rows += kept.num_rows
                percent = 100 * number // len(listed)
                if percent >= told + 10:
                    told = percent
                    _log.info("read %s of the log: %d %%, %s rows", part.kind, percent, f"{rows:,}")
        return tables

    def predictions(self, part: Part, table: pa.Table) -> pa.Table | None:
        """Predictions within the window, with the features."""
        missing = set(self._features) - set(table.column_names)
        table = self._within(table)
        if missing and table.num_rows:
            self.lacking |= missing
            self._lacking_rows += table.num_rows
            return None
        kept = [log.PREDICTION_ID, log.ROW, log.TIME, log.VERSION, log.PREDICTION, *self._features]
        if part.kind == log.COMPACTED:
            kept += [log.LABEL, log.LABEL_TIME]
        return table.select(kept)

    def labels(self, part: Part, table: pa.Table) -> pa.Table | None:
        """Labels, with their time under its own name."""
        kept = table.select([log.PREDICTION_ID, log.ROW, log.LABEL, log.TIME])
        return kept.rename_columns([log.PREDICTION_ID, log.ROW, log.LABEL, log.LABEL_TIME])

    def warnings(self) -> Iterable[str]:
        """What had to be left out."""
        if self._damaged:
            yield f"{len(self._damaged)} damaged part(s) of the log were left out, e.g. {self._damaged[0]}"
        if self.lacking and self._lacking_rows:
            names = ", ".join(sorted(name.removeprefix(log.FEATURE_PREFIX) for name in self.lacking)[:3])
            yield f"{self._lacking_rows:,} rows of the log were left out: they were written for a model without {names}"

    def _kept(
        self, part: Part, table: pa.Table | None, keep: Callable[[Part, pa.Table], pa.Table | None]
    ) -> pa.Table | None:
        if table is not None:
            try:
                return keep(part, table)
            except (KeyError, pa.ArrowException):
                # Not a table of ours: a column is missing or of a strange type.
                pass
        self._damaged.append(part.name)
        return None

    def _within(self, table: pa.Table) -> pa.Table:
        time = table.column(log.TIME)
        kept = None
        for bound, compare in ((self._start, pc.greater_equal), (self._end, pc.less)):
            if bound is not None:
                mask = compare(time, pa.scalar(bound, type=time.type))
                kept = mask if kept is None else pc.and_(kept, mask)
        return table if kept is None else table.filter(kept)


def _labels_of_compacted(table: pa.Table) -> pa.Table | None:
    if log.LABEL not in table.column_names:
        return None
    return table.select([*KEY, log.LABEL, log.LABEL_TIME]).filter(pc.is_valid(table.column(log.LABEL)))


def _frame(tables: Sequence[pa.Table]) -> Any:
    return pa.concat_tables(tables, promote_options="permissive").to_pandas()
