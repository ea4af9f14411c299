"""Rows of the prediction log to Parquet, as `contract.log` lays them out. Called by the journal's thread only."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from modelmend.contract import log
from modelmend.contract.manifest import Datatype, Feature

_TIME = pa.timestamp("us", tz="UTC")
_TYPES = {
    Datatype.FP64: pa.float64(),
    Datatype.INT64: pa.int64(),
    Datatype.BOOL: pa.bool_(),
    Datatype.BYTES: pa.string(),
}


@dataclass(frozen=True, slots=True)
class Predictions:
    """The rows of one batch: requests one after another, each with its id, time and number of rows."""

    version: str
    features: tuple[Feature, ...]
    columns: dict[str, Any]
    """One float64 array, or list of text, per feature."""
    identifiers: list[bytes]
    times: list[float]
    counts: list[int]
    answers: npt.NDArray[Any]
    """Indices into `class_keys`; numbers where there are none."""
    class_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One label of one row."""

    identifier: bytes
    row: int
    time: float
    label: str


def day(time: float) -> str:
    """The folder of a row of that time."""
    return f"dt={datetime.fromtimestamp(time, UTC):%Y-%m-%d}"


def predictions(chunks: Sequence[Predictions]) -> bytes:
    """One part of prediction rows; all chunks have the same features."""
    counts = [count for chunk in chunks for count in chunk.counts]
    identifiers = [identifier.hex() for chunk in chunks for identifier in chunk.identifiers]
    times = [time for chunk in chunks for time in chunk.times]
    rows = [len(chunk.answers) for chunk in chunks]
    first = np.cumsum([0, *counts[:-1]])
    table: dict[str, Any] = {
        log.PREDICTION_ID: _repeated(pa.array(identifiers, pa.string()), counts),
        log.ROW: pa.array(np.arange(sum(counts)) - np.repeat(first, counts), pa.int32()),
        log.TIME: _instants(np.repeat(np.asarray(times, np.float64), counts)),
        log.VERSION: _repeated(pa.array([chunk.version for chunk in chunks], pa.string()), rows),
        log.PREDICTION: pa.chunked_array([_texts(chunk) for chunk in chunks], pa.string()),
    }
    for feature in chunks[0].features:
        column = [_values(feature, chunk.columns[feature.name]) for chunk in chunks]
        table[log.FEATURE_PREFIX + feature.name] = pa.chunked_array(column, _TYPES[feature.datatype])
    return _parquet(pa.table(table))


def labels(rows: Sequence[LabelRow]) -> bytes:
    """One part of label rows."""
    table = {
        log.PREDICTION_ID: pa.array([row.identifier.hex() for row in rows], pa.string()),
        log.ROW: pa.array([row.row for row in rows], pa.int32()),
        log.TIME: _instants(np.asarray([row.time for row in rows], np.float64)),
        log.LABEL: pa.array([row.label for row in rows], pa.string()),
    }
    return _parquet(pa.table(table))


def _texts(chunk: Predictions) -> Any:
    if chunk.class_keys:
        return pa.array(chunk.class_keys, pa.string()).take(pa.array(chunk.answers))
    return pa.array([log.number_text(value) for value in chunk.answers.tolist()], pa.string())


def _values(feature: Feature, values: Any) -> Any:
    if feature.datatype is Datatype.BYTES:
        return pa.array(values, pa.string())
    numbers = pa.array(values, pa.float64(), from_pandas=True)
    # A whole number that was sent as 3.0 is one; the tensors' check lets no other through.
    return numbers if feature.datatype is Datatype.FP64 else numbers.cast(_TYPES[feature.datatype])


def _repeated(values: Any, counts: Sequence[int]) -> Any:
    return values.take(pa.array(np.repeat(np.arange(len(values)), counts)))


def _instants(seconds: npt.NDArray[np.float64]) -> Any:
    return pa.array((seconds * 1e6).round().astype(np.int64), pa.int64()).cast(_TIME)


def _parquet(table: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", compression_level=1)
    return buffer.getvalue()
