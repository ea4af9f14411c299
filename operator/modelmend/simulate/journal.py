"""What a retraining Job finds to learn from at a moment: the prediction log with the labels that have come by then, or
the data set as somebody maintains it. Written below a folder of this machine, in the servers' own format.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from modelmend.contract import log
from modelmend.contract.manifest import Feature
from modelmend.runtime.server import parts
from modelmend.simulate.replayed import NO_LABEL, Requests
from modelmend.simulate.table import Table
from modelmend.simulate.traffic import NOBODY, Traffic

DATASET: Final = "dataset.parquet"
SERVERS: Final = "answered"
"""Version in the log. Trainers do not read it, and who answered is in the traffic's own arrays."""


class PredictionLog:
    """The servers' log; grows with each call."""

    def __init__(self, folder: Path, traffic: Traffic, features: tuple[Feature, ...]) -> None:
        self._folder = folder
        self._traffic = traffic
        self._features = features
        self._rows = 0
        self._labels = 0
        self._number = 0
        requests = traffic.requests
        self._labelled = np.flatnonzero(requests.labels != NO_LABEL)
        self._labels_at = requests.seconds[self._labelled] + requests.delay

    def write(self, now: float) -> None:
        """Everything up to `now` (seconds since the epoch) that is not written yet."""
        requests = self._traffic.requests
        end = int(np.searchsorted(requests.seconds, now, side="right"))
        rows = np.arange(self._rows, end)
        rows = rows[self._traffic.answered[self._rows : end] != NOBODY]
        for day, chosen in _by_day(rows, requests.seconds[rows]):
            self._part(day, log.PREDICTIONS, parts.predictions([self._predictions(requests, chosen)]))
        known = int(np.searchsorted(self._labels_at, now, side="right"))
        labelled = self._labelled[self._labels : known]
        moments = self._labels_at[self._labels : known]
        for day, places in _by_day(np.arange(len(labelled)), moments):
            self._part(day, log.LABELS, parts.labels(_labels(requests, labelled[places], moments[places])))
        self._rows, self._labels = end, known

    def _predictions(self, requests: Requests, rows: npt.NDArray[np.intp]) -> parts.Predictions:
        return parts.Predictions(
            version=SERVERS,
            features=self._features,
            columns={feature.name: requests.columns[feature.name][rows] for feature in self._features},
            identifiers=[_identifier(row) for row in rows.tolist()],
            times=requests.seconds[rows].tolist(),
            counts=[1] * len(rows),
            answers=self._traffic.answered[rows].astype(np.intp),
            class_keys=requests.classes,
        )

    def _part(self, day: str, kind: str, content: bytes) -> None:
        self._number += 1
        path = self._folder / day / f"{kind}-simulated-{self._number:06d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def write_dataset(folder: Path, table: Table, now: float, delay: float) -> str:
    """The labelled rows that are known by now, as one file; its URI."""
    moment = np.datetime64(datetime.fromtimestamp(now - delay, UTC).replace(tzinfo=None), "us")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / DATASET
    known: pd.DataFrame = table.frame[(table.time <= moment) & table.labelled]
    known.to_parquet(path, index=False)
    return path.as_uri()


def _by_day(
    rows: npt.NDArray[np.intp], moments: npt.NDArray[np.float64]
) -> list[tuple[str, npt.NDArray[np.intp]]]:
    """The rows of each day's folder, in order."""
    days = (moments // 86400).astype(np.int64)
    cuts = np.flatnonzero(np.diff(days)) + 1
    return [(parts.day(float(days[at]) * 86400), chosen) for at, chosen in _groups(rows, cuts)]


def _groups(rows: npt.NDArray[np.intp], cuts: npt.NDArray[np.intp]) -> list[tuple[int, npt.NDArray[np.intp]]]:
    begins = [0, *cuts.tolist()]
    return [
        (begin, chosen) for begin, chosen in zip(begins, np.split(rows, cuts), strict=True) if len(chosen)
    ]


def _labels(
    requests: Requests, rows: npt.NDArray[np.intp], moments: npt.NDArray[np.float64]
) -> list[parts.LabelRow]:
    return [
        parts.LabelRow(_identifier(row), 0, moment, requests.classes[code])
        for row, moment, code in zip(
            rows.tolist(), moments.tolist(), requests.labels[rows].tolist(), strict=True
        )
    ]


def _identifier(row: int) -> bytes:
    return row.to_bytes(8, "big")
