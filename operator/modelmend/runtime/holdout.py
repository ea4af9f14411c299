"""The holdout: the latest rows by time, that neither model was fitted on. Called by the trainer and `resolve`.

    time ────────────────────────────────────────────────►
    champion  ├── fitted on ──┤            ┊ unseen from its window's end on
    candidate          ├── fitted on ──────┤├── holdout ──┤

A champion that is younger than the cut has seen a part of the holdout; then only the rows after its window count.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from modelmend.contract.result import Evaluation
from modelmend.runtime import instants, targets
from modelmend.runtime.dataset import Rows
from modelmend.runtime.errors import DataError
from modelmend.runtime.loaded import LoadedModel
from modelmend.runtime.targets import Target

MINIMUM_ROWS: Final = 30
"""Rows below which a holdout says nothing, however clear it looks."""


@dataclass(frozen=True)
class Split:
    """The rows before the cut, and those of the holdout that count."""

    fit: Rows
    held: Rows
    cut: datetime
    warnings: tuple[str, ...]


def split(rows: Rows, fraction: float, seen_until: datetime | None) -> Split:
    """Holds out the latest `fraction` of the rows. Rows of one instant stay on one side.

    `seen_until` is the end of the champion's own window. Raises DataError when either side would be empty.
    """
    start = len(rows) - max(1, round(len(rows) * fraction))
    cut = rows.time[start]
    fit, held = rows.take(rows.time < cut), rows.take(rows.time >= cut)
    if not len(fit):
        raise DataError(
            f"all rows up to the holdout have the same time ({len(rows):,} rows): give rows of different times, or more of them"
        )
    warnings = []
    if seen_until is None or not rows.timed:
        warnings.append(
            "whether the champion has learnt from the holdout is unknown, which can only favour it"
        )
    else:
        later = held.take(held.time >= instants.moment(seen_until))
        seen = len(held) - len(later)
        if seen and len(later) >= MINIMUM_ROWS:
            warnings.append(
                f"the champion was fitted on {seen:,} of the {len(held):,} holdout rows: compared on the {len(later):,} later ones"
            )
            held = later
        elif seen:
            warnings.append(
                f"the champion was fitted on {seen:,} of the {len(held):,} holdout rows and only {len(later):,} are later: "
                "the comparison favours the champion"
            )
    return Split(fit, one_per_request(held), instants.instant(cut), tuple(warnings))


def unseen(rows: Rows, fraction: float, seen_until: Sequence[datetime]) -> Rows:
    """The latest `fraction` of the rows, without those before any of the instants; perhaps none."""
    start = len(rows) - max(1, round(len(rows) * fraction))
    held = rows.take(rows.time >= rows.time[start])
    for instant in seen_until:
        held = held.take(held.time >= instants.moment(instant))
    return one_per_request(held)


def one_per_request(rows: Rows) -> Rows:
    """One row of each request, chosen by a hash: rows of one request are correlated and must not count as many.

    Rows of a dataset are taken as independent.
    """
    if rows.requests is None or not len(rows):
        return rows
    position = pd.Series(rows.requests).groupby(rows.requests).cumcount().to_numpy()
    keys = np.array(
        [f"{request}:{at}" for request, at in zip(rows.requests, position, strict=True)], dtype=object
    )
    order = np.argsort(pd.util.hash_array(keys), kind="stable")
    _, first = np.unique(rows.requests[order].astype(str), return_index=True)
    return rows.take(np.sort(order[first]))


def compare(champion: LoadedModel, candidate: LoadedModel, target: Target, rows: Rows) -> Evaluation:
    """Both models on the same rows; a class is the same class when its `class_key` is. Raises DataError."""
    return target.paired(
        rows.labels,
        targets.recoded(predicted(champion, rows), champion.class_keys, target),
        targets.recoded(predicted(candidate, rows), candidate.class_keys, target),
        rows.parts,
    )


def predicted(model: LoadedModel, rows: Rows) -> npt.NDArray[Any]:
    """What the model predicts for each row. Raises DataError when it cannot."""
    try:
        found, _ = model.predict(model.frame(rows.columns))
    except MemoryError:
        raise
    except Exception as problem:
        raise DataError(
            f"{model.manifest.version} cannot predict the holdout ({type(problem).__name__}): its pipeline refuses values that "
            "it was not fitted on; set handle_unknown on its encoders"
        ) from problem
    return found
