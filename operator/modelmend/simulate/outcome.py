"""What a simulation comes to: accuracies, counts, and what each decision took. Read by report, picture and terminal."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from modelmend.api import fields, resources
from modelmend.simulate.control import Weekly
from modelmend.simulate.replayed import NO_LABEL, Requests
from modelmend.simulate.timeline import Moment, Span, Timeline

REJECTED = "rejected at the gate"
ROLLED_BACK = "rolled back"
PROMOTED = "promoted"
FAILED = "training failed"
OPEN = "still open at the end"


@dataclass(frozen=True)
class Attempt:
    """One retraining, from what asked for it to what became of it."""

    asked: datetime
    ended: datetime | None
    why: str
    candidate: str | None
    outcome: str
    labels: int | None
    """Labels of the champion's life until the breach; None when something else asked."""
    labels_since_fall: int | None
    """Of these, from where accuracy had been below the limit all along."""
    holdout: int | None
    pairs: int | None
    """Labelled pairs until that outcome."""
    because: str

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "asked": fields.format_instant(self.asked),
            "ended": None if self.ended is None else fields.format_instant(self.ended),
            "why": self.why,
            "candidate": self.candidate,
            "outcome": self.outcome,
            "labelsToBreach": self.labels,
            "labelsSinceFall": self.labels_since_fall,
            "holdoutRows": self.holdout,
            "pairs": self.pairs,
            "because": self.because,
        }


@dataclass(frozen=True)
class Outcome:
    """Everything that is reported."""

    deployment: resources.ModelDeployment
    """As it stands at the end."""
    place: str
    """The data's file."""
    requests: Requests
    answered: npt.NDArray[np.int16]
    frozen: npt.NDArray[np.int16]
    weekly: Weekly
    timeline: Timeline
    versions: tuple[resources.ModelVersion, ...]
    end: datetime
    warnings: tuple[str, ...]
    options: dict[str, str]
    """How it was run, for the report."""
    polls: int
    looks: int

    @property
    def begin(self) -> datetime:
        return datetime.fromtimestamp(float(self.requests.seconds[0]), UTC)

    @property
    def judged(self) -> npt.NDArray[np.bool_]:
        """Requests that have a label; shape (n,)."""
        return np.asarray(self.requests.labels != NO_LABEL)

    def right(self) -> dict[str, npt.NDArray[np.bool_]]:
        """By contender: whether each answer was right; shape (n,)."""
        contenders = {"healed": self.answered, "frozen": self.frozen, "weekly": self.weekly.answered}
        return {name: codes == self.requests.labels for name, codes in contenders.items()}

    def accuracy(self) -> dict[str, float]:
        """By contender, over every labelled request."""
        return {name: float(right[self.judged].mean()) for name, right in self.right().items()}

    def by_month(self) -> list[tuple[str, int, dict[str, float]]]:
        """(month, labelled requests, accuracy by contender)."""
        months = self.requests.seconds.astype("datetime64[s]").astype("datetime64[M]")
        found = []
        for month in np.unique(months):
            chosen = self.judged & (months == month)
            if chosen.any():
                shares = {name: float(right[chosen].mean()) for name, right in self.right().items()}
                found.append((str(month), int(chosen.sum()), shares))
        return found

    def spans(self) -> list[Span]:
        """The stages one after another."""
        return self.timeline.spans(self.end)

    def attempts(self) -> list[Attempt]:
        """Every retraining."""
        return list(_attempts(self.timeline.moments))

    def counted(self, outcome: str) -> int:
        """How many attempts ended so."""
        return sum(attempt.outcome == outcome for attempt in self.attempts())

    @property
    def breaches(self) -> int:
        return sum(moment.event == "SignalBreached" for moment in self.timeline.moments)

    @property
    def limits(self) -> dict[str, float]:
        """The lowest healthy accuracy of each signal, at the end."""
        return {
            signal.name: signal.bound for signal in self.deployment.status.signals if signal.bound is not None
        }


def _attempts(moments: list[Moment]) -> Iterator[Attempt]:
    begins = [place for place, moment in enumerate(moments) if moment.event == "Retraining"]
    for begin, end in pairwise((*begins, len(moments))):
        asked = moments[begin]
        yield _attempt(asked, moments[begin + 1 : end], _breach(moments[:begin]))


def _breach(before: list[Moment]) -> Moment | None:
    """The breach that asks; None when all is well, so that something else must have asked."""
    signals = (moment for moment in reversed(before) if moment.event.startswith("Signal"))
    last = next(signals, None)
    return last if last is not None and last.event == "SignalBreached" else None


def _attempt(asked: Moment, after: list[Moment], breach: Moment | None) -> Attempt:
    outcome, last = OPEN, asked
    for moment in after:
        if moment.event == "Rejected":
            outcome, last = REJECTED, moment
        elif moment.event == "RollingBack":
            outcome, last = ROLLED_BACK, moment
        elif moment.event == "Promoted":
            outcome, last = PROMOTED, moment
        elif moment.event in ("CoolingDown", "Stalled") and outcome == OPEN:
            outcome, last = FAILED, moment
    figures = {
        key: value for moment in after for key, value in moment.figures.items() if moment.at <= last.at
    }
    candidate = next((moment.candidate for moment in after if moment.candidate), None)
    labels = breach.figures if breach is not None else {}
    return Attempt(
        asked=asked.at,
        ended=None if outcome == OPEN else last.at,
        why=asked.because.partition(": ")[2] or asked.because,
        candidate=candidate,
        outcome=outcome,
        labels=_whole(labels.get("labels")),
        labels_since_fall=_whole(labels.get("labelsSinceFall")),
        holdout=_whole(figures.get("holdout")),
        pairs=_whole(figures.get("pairs")),
        because=last.because,
    )


def _whole(value: float | int | str | None) -> int | None:
    return None if value is None else int(value)
