"""The flights as live requests, and what the client saw of each."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

import traffic
from demo import flights


def questions(frame: pd.DataFrame) -> list[traffic.Question]:
    """One request per flight, one input per column; missing weather is null."""
    kinds = {
        name: "BYTES" if name in flights.CATEGORIES else "INT64" if frame[name].dtype == "int64" else "FP64"
        for name in flights.FEATURES
    }
    rows = zip(*(frame[name].tolist() for name in flights.FEATURES), strict=True)
    return [
        traffic.Question(
            traffic.body(
                {name: (kinds[name], value) for name, value in zip(flights.FEATURES, row, strict=True)}
            ),
            int(truth),
        )
        for row, truth in zip(rows, frame["fast"], strict=True)
    ]


@dataclass
class Record:
    """What happened to each flight, by its place in the replay; arrays of one length."""

    truth: np.ndarray[Any, Any]
    frozen_right: np.ndarray[Any, Any]
    """The first model, scored beside by this client, would have been right."""
    right: np.ndarray[Any, Any]
    """The answer was the truth."""
    sent: np.ndarray[Any, Any]
    """Seconds since the epoch; NaN before."""
    latency: np.ndarray[Any, Any]
    """Seconds; NaN where there was no answer."""
    at: int = 0
    """One more than the last flight that was answered or has failed."""
    errors: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, truth: np.ndarray[Any, Any], frozen_right: np.ndarray[Any, Any]) -> "Record":
        count = len(truth)
        return cls(truth, frozen_right, np.zeros(count, bool), np.full(count, np.nan), np.full(count, np.nan))

    def take(self, answer: traffic.Answer) -> None:
        """One answer, as it comes."""
        self.at = max(self.at, answer.place + 1)
        self.sent[answer.place] = answer.sent
        if answer.error:
            self.errors.append(answer.error)
            return
        self.latency[answer.place] = answer.latency
        self.right[answer.place] = answer.predicted == self.truth[answer.place]

    @property
    def answered(self) -> int:
        return int((~np.isnan(self.latency)).sum())

    def accuracy(self, last: int | None = None) -> tuple[float, float]:
        """(healed, frozen) over the answered flights, or over the last so many of them."""
        begin = 0 if last is None else max(self.at - last, 0)
        answered = ~np.isnan(self.latency[begin : self.at])
        if not answered.any():
            return float("nan"), float("nan")
        return (
            float(self.right[begin : self.at][answered].mean()),
            float(self.frozen_right[begin : self.at][answered].mean()),
        )
