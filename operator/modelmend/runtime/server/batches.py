"""Requests as one call of a model sees them: put together column by column, and taken apart again."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from modelmend.contract.manifest import Datatype, Feature
from modelmend.runtime.server.tensors import Rows


@dataclass(frozen=True, slots=True)
class Scored:
    """What a model says of n rows."""

    answers: npt.NDArray[Any]
    """Class indices, or numbers of a regressor, of shape (n,)."""
    probabilities: npt.NDArray[np.float64] | None = None
    """Of shape (n, classes)."""
    confidences: npt.NDArray[np.float64] | None = None
    """The largest probability of each row, shape (n,): how likely the model thinks it is right. NaN where a probability
    is no number."""

    def part(self, rows: slice) -> "Scored":
        """The same of some of the rows."""
        return Scored(
            self.answers[rows],
            None if self.probabilities is None else self.probabilities[rows],
            None if self.confidences is None else self.confidences[rows],
        )


def scored(answers: npt.NDArray[Any], probabilities: npt.NDArray[np.float64] | None = None) -> Scored:
    """With confidences, if there are probabilities. Once a batch, since each call of numpy costs a request dearly."""
    if probabilities is None:
        return Scored(answers)
    confidences = probabilities.max(axis=1)
    return Scored(answers, probabilities, np.where(np.isfinite(confidences), confidences, np.nan).clip(0, 1))


@dataclass(slots=True, eq=False)
class Job:
    """One request on its way through a lane."""

    rows: Rows
    identifier: bytes
    time: float
    """Unix seconds of the request."""
    future: asyncio.Future[Scored]
    abandoned: bool = False
    """Answered with an error before the model came back: what it says then is neither counted nor logged."""


Columns = dict[str, Any]
"""One float64 array, or list of text, per feature."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Jobs that were answered by one call, and what was found."""

    jobs: Sequence[Job]
    columns: Columns
    scored: Scored


def merged(features: Sequence[Feature], requests: Sequence[Rows]) -> Columns:
    """The rows of several requests, column by column."""
    columns: Columns = {}
    for at, feature in enumerate(features):
        values = requests[0].columns[at]
        if len(requests) > 1:
            values = [value for rows in requests for value in rows.columns[at]]
        columns[feature.name] = values if feature.datatype is Datatype.BYTES else np.array(values, np.float64)
    return columns


def parted(
    jobs: list[Job], batches: list[Batch], failures: Mapping[Job, Exception]
) -> list[Scored | Exception]:
    """What became of each job, in their order: its part of a batch, or its own failure."""
    found: dict[Job, Scored | Exception] = dict(failures)
    for batch in batches:
        at = 0
        for job in batch.jobs:
            rows = slice(at, at + job.rows.count)
            at = rows.stop
            found[job] = batch.scored.part(rows)
    return [found[job] for job in jobs]
