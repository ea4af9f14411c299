"""The rows that are replayed, as a server would see them: columns on the wire, codes of classes, moments.

Called once, when the first model is known. A class is known by its code, an index into `classes`; a label that is no
class of the model is refused by a server, and so no label here.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelmend.contract.manifest import Datatype
from modelmend.runtime import frames
from modelmend.runtime.errors import DataError, SentenceError
from modelmend.runtime.loaded import LoadedModel
from modelmend.simulate.table import Table, written

NO_LABEL: Final = -1


@dataclass(frozen=True)
class Requests:
    """n requests of one row each, in order of time."""

    columns: dict[str, npt.NDArray[Any]]
    """As a request carries them (`frames.columns_of`)."""
    seconds: npt.NDArray[np.float64]
    """When each came, since the epoch; shape (n,)."""
    labels: npt.NDArray[np.int16]
    """Codes, NO_LABEL where none will come; shape (n,)."""
    classes: tuple[str, ...]
    """`class_key`s by code: the classes of the first model, and so of every refit."""
    delay: float
    """Seconds from a request to its label."""
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.seconds)

    def row_at(self, seconds: float) -> int:
        """The first row at or after a moment."""
        return int(np.searchsorted(self.seconds, seconds, side="left"))


def of(
    table: Table, model: LoadedModel, begin: np.datetime64, end: np.datetime64 | None, delay: float
) -> Requests:
    """The rows with begin <= time < end that this model's server would answer. Raises DataError."""
    inside = table.time >= begin
    if end is not None:
        inside &= table.time < end
    chosen = table.take(inside)
    if not len(chosen):
        raise DataError(
            f"{table.place} has no rows from {written(begin)} on{'' if end is None else f' and before {written(end)}'}: nothing is left to replay; "
            "move --train-until or --until"
        )
    features = [feature.name for feature in model.manifest.features]
    try:
        columns = frames.columns_of(chosen.frame[features], model.schema)
    except (SentenceError, ValueError, TypeError) as problem:
        raise DataError(f"{table.place}: {problem}") from None
    answered, warnings = _answered(columns, model, len(chosen))
    kept = chosen.take(answered)
    if not len(kept):
        raise DataError(f"{table.place}: {warnings[0]}; that leaves no request")
    code = {key: number for number, key in enumerate(model.class_keys)}
    labels = np.fromiter((code.get(key, NO_LABEL) for key in kept.labels), np.int16, len(kept))
    if not (labels != NO_LABEL).any():
        raise DataError(
            f"{table.place}: no replayed row has a label that is a class of the model ({', '.join(model.class_keys[:5])}): "
            "nothing can be judged; correct --label, --train-until, or the model"
        )
    strange = int((kept.labelled & (labels == NO_LABEL)).sum())
    if strange:
        warnings.append(
            f"{strange:,} labels are no class of the first model: its server refuses such feedback, so these rows stay without label"
        )
    return Requests(
        {name: values[answered] for name, values in columns.items()},
        kept.time.astype(np.int64) / 1e6,
        labels,
        model.class_keys,
        delay,
        tuple(warnings),
    )


def _answered(
    columns: dict[str, npt.NDArray[Any]], model: LoadedModel, rows: int
) -> tuple[npt.NDArray[np.bool_], list[str]]:
    """Which requests a server answers, and warnings: values that the schema does not allow are refused."""
    answered = np.ones(rows, dtype=bool)
    warnings = []
    for feature in model.manifest.features:
        values = columns[feature.name]
        if feature.datatype is Datatype.BYTES:
            gaps, endless = np.array([value is None for value in values], dtype=bool), None
        else:
            gaps, endless = np.isnan(values), np.isinf(values)
        if not feature.missing and gaps.any():
            answered &= ~gaps
            warnings.append(
                f"{int(gaps.sum()):,} rows have no {feature.name!r}, and the first model has never seen that: its server refuses such requests"
            )
        if endless is not None and endless.any():
            answered &= ~endless
            warnings.append(
                f"{int(endless.sum()):,} rows have an infinite {feature.name!r}: servers refuse such requests"
            )
    return answered, warnings
