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
    """What a model says of one request: class indices (of a regressor numbers) of shape (n,), probabilities
    (n, classes) or None."""

    answers: npt.NDArray[Any]
    probabilities: npt.NDArray[np.float64] | None


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
            part = slice(at, at + job.rows.count)
            at = part.stop
            probabilities = batch.scored.probabilities
            found[job] = Scored(
                batch.scored.answers[part], probabilities[part] if probabilities is not None else None
            )
    return [found[job] for job in jobs]
