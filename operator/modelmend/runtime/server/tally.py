"""What this process has counted: one tally per life of a version and arm, and the ledger that holds them.

Counters only, never reset while the process lives: the boot id (`process`) tells one run from the next. Each cell
has a single writer, so that no request takes a lock:

    event loop            requests, durations, everything about labels
    the lane's thread     predictions, bins, scores of its own tally
    under the journal's lock     rows of the log
"""

import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from modelmend.contract import arms, log, metrics
from modelmend.runtime import reference
from modelmend.runtime.grading import Grading
from modelmend.runtime.server import binning
from modelmend.runtime.server.batches import Columns, Scored
from modelmend.runtime.server.settings import Life

CLASSES_MAX: Final = metrics.CLASSES_MAX
OTHER: Final = reference.OTHER
_ZEROED_CODES: Final = (200, 400, 413, 500, 503, 504)


class Histogram:
    """Counts below given bounds, and the sum."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Counts one value; a bound belongs to the bucket below it, as in Prometheus."""
        self.counts[bisect.bisect_left(self._bounds, value)] += 1
        self.total += value


class Served:
    """What one model did on one arm of this process."""

    def __init__(
        self, classes: Sequence[str], binner: binning.Binner | None, score: reference.Numeric | None
    ) -> None:
        """`classes`: class keys by index, none of a regressor. `binner`: given to the model that answers. `score`: if
        probabilities exist, or of a regressor."""
        self.classes = tuple(classes)
        self.requests = dict.fromkeys(_ZEROED_CODES, 0)
        self.duration = Histogram(metrics.LATENCY_BUCKETS)
        self.predictions: npt.NDArray[np.int64] = np.zeros(max(len(classes), 1), np.int64)
        """By class; of a regressor a single number."""
        self.binner = binner
        self.bins: npt.NDArray[np.int64] = np.zeros(binner.size if binner else 0, np.int64)
        self.scored_rows = 0
        self.expected_correct = 0.0
        self.score_names = score.bins if score else ()
        self.scores: npt.NDArray[np.int64] = np.zeros(len(self.score_names), np.int64)
        self._score = binning.numeric_index(score) if score else None

    @property
    def has_scores(self) -> bool:
        """Whether the model gives probabilities. A regressor's score is its number."""
        return bool(self.classes) and self._score is not None

    def answered(self, code: int, seconds: float) -> None:
        """One request; refusals (4xx and overload) say nothing about the model's speed and are not timed."""
        self.requests[code] = self.requests.get(code, 0) + 1
        if code == 200 or (code >= 500 and code != 503):
            self.duration.observe(seconds)

    def predicted(self, scored: Scored, columns: Columns) -> None:
        """The rows of one batch."""
        if self.classes:
            self.predictions += np.bincount(scored.answers, minlength=len(self.classes))
        else:
            self.predictions += len(scored.answers)
        if self.binner is not None:
            self.bins += self.binner.count(columns)
        if scored.confidences is not None:
            # A row without a number for a score is counted by its class alone: one NaN would stay in the sum for ever.
            known = ~np.isnan(scored.confidences)
            self.scored_rows += int(known.sum())
            self.expected_correct += float(scored.confidences.sum(where=known))
        if not self.classes and self._score is not None:
            self.scores += np.bincount(self._score(scored.answers), minlength=len(self.scores))
        if scored.probabilities is not None and self._score is not None:
            found = self._score(reference.scores(scored.probabilities))
            self.scores += np.bincount(found, minlength=len(self.scores))


class Errors:
    """How far a regressor's predictions were from the truth."""

    __slots__ = ("absolute", "counted", "grading", "squared")

    def __init__(self, grading: Grading) -> None:
        self.grading = grading
        self.absolute = Histogram([part * grading.tolerance for part in metrics.ERROR_BUCKETS])
        """Of every labelled row."""
        self.squared = 0.0
        """Of every labelled row."""
        self.counted = dict.fromkeys(metrics.Errors, 0)
        """Of one row a request."""

    def shown(self, error: float) -> None:
        """One labelled row, for people."""
        self.absolute.observe(error)
        self.squared += error * error

    def count(self, error: float) -> None:
        """One counted row of one request."""
        clipped, squared = self.grading.millionths(error)
        self.counted[metrics.Errors.ROWS] += 1
        self.counted[metrics.Errors.CLIPPED] += clipped
        self.counted[metrics.Errors.CLIPPED_SQUARED] += squared


@dataclass(slots=True)
class Labelled:
    """What labels said about one version's predictions on one arm, whichever replica made them."""

    evidence: dict[tuple[metrics.Evidence, str, str], int] = field(default_factory=dict)
    """(result, predicted, actual) -> requests; of a regressor both are empty."""
    scored: dict[metrics.Scored, float] | None = None
    """Of the counted rows whose answerer gave a score."""
    errors: Errors | None = None
    """Of a regressor."""
    paired: dict[metrics.Paired, int] | None = None
    outcomes: dict[tuple[str, str], int] = field(default_factory=dict)
    """(predicted, actual) -> rows."""
    feedback: dict[metrics.Feedback, int] | None = None
    delay: Histogram | None = None

    def count_evidence(self, predicted: str, actual: str, number: int = 1) -> None:
        """One counted row of one request. Its result is kept where the classes become `__other__`."""
        result = metrics.Evidence.RIGHT if predicted == actual else metrics.Evidence.WRONG
        cell = (result, predicted, actual)
        if cell not in self.evidence and len(self.evidence) >= CLASSES_MAX**2:
            cell = (result, OTHER, OTHER)
        self.evidence[cell] = self.evidence.get(cell, 0) + number

    def open_scored(self) -> dict[metrics.Scored, float]:
        """The figures of scored evidence, at zero before the first."""
        if self.scored is None:
            self.scored = dict.fromkeys(metrics.Scored, 0)
        return self.scored

    def count_scored(self, confidence: float, right: bool) -> None:
        """The counted row of one request, and how likely its answerer thought that it is right."""
        found = self.open_scored()
        found[metrics.Scored.ROWS] += 1
        found[metrics.Scored.RIGHT] += right
        found[metrics.Scored.EXPECTED] += confidence

    def count_error(self, error: float, grading: Grading, *, evidence: bool) -> None:
        """One labelled row of a regressor; `evidence`: it is the counted row of its request."""
        if self.errors is None:
            self.errors = Errors(grading)
        self.errors.shown(error)
        if evidence:
            self.errors.count(error)
            result = metrics.Evidence.RIGHT if grading.is_right(error) else metrics.Evidence.WRONG
            self.evidence[result, "", ""] = self.evidence.get((result, "", ""), 0) + 1

    def count_pair(self, result: metrics.Paired, number: int = 1) -> None:
        """One counted row of one request that both models scored."""
        if self.paired is None:
            self.paired = dict.fromkeys(metrics.Paired, 0)
        self.paired[result] += number

    def count_outcome(self, predicted: str, actual: str, number: int = 1) -> None:
        """One labelled row. Beyond a bounded number of cells both become `__other__`."""
        cell = (predicted, actual)
        if cell not in self.outcomes and len(self.outcomes) >= CLASSES_MAX**2:
            cell = (OTHER, OTHER)
        self.outcomes[cell] = self.outcomes.get(cell, 0) + number

    def count_feedback(self, result: metrics.Feedback, number: int = 1) -> None:
        """One item of a feedback request."""
        if self.feedback is None:
            self.feedback = dict.fromkeys(metrics.Feedback, 0)
        self.feedback[result] += number

    def observe_delay(self, seconds: float) -> None:
        """Time from a prediction to its label."""
        if self.delay is None:
            self.delay = Histogram(metrics.DELAY_BUCKETS)
        self.delay.observe(seconds)


class Logged:
    """Rows of the prediction log, by kind of part."""

    def __init__(self) -> None:
        self.written = {log.PREDICTIONS: 0, log.LABELS: 0}
        self.dropped = {log.PREDICTIONS: 0, log.LABELS: 0}
        self.failures = 0
        """Attempts to write a part that began with rows of this tally."""


class Tally:
    """All counters of one life of a version on one arm."""

    def __init__(self, life: Life, arm: arms.Arm) -> None:
        self.life = life
        self.arm = arm
        self.served: Served | None = None
        self.labelled = Labelled()
        self.logged: Logged | None = None


class Ledger:
    """Every tally of this process."""

    def __init__(self) -> None:
        self._tallies: dict[tuple[Life, arms.Arm], Tally] = {}

    def __iter__(self) -> Iterator[Tally]:
        return iter(self._tallies.values())

    def tally(self, life: Life, arm: arms.Arm) -> Tally:
        """The tally of a life and arm, opened when it is asked for first. Lives come from settings or from signed
        tokens, so their number is bounded by what this model ever served within the expiry of tokens."""
        found = self._tallies.get((life, arm))
        if found is None:
            found = self._tallies[life, arm] = Tally(life, arm)
        return found

    def open_answering(
        self, life: Life, arm: arms.Arm, served: Served, grading: Grading | None = None
    ) -> Tally:
        """A tally for a model that answers on an arm, all its series at zero: one first seen at 7 loses those 7."""
        tally = self.tally(life, arm)
        tally.served = served
        tally.logged = Logged()
        labelled = tally.labelled
        labelled.count_feedback(metrics.Feedback.MATCHED, 0)
        labelled.delay = labelled.delay or Histogram(metrics.DELAY_BUCKETS)
        if served.has_scores:
            labelled.open_scored()
        if not served.classes and grading is not None:
            labelled.errors = labelled.errors or Errors(grading)
            for result in metrics.Evidence:
                labelled.evidence.setdefault((result, "", ""), 0)
        if len(served.classes) ** 2 <= CLASSES_MAX:
            for predicted in served.classes:
                for actual in served.classes:
                    labelled.count_outcome(predicted, actual, 0)
                    labelled.count_evidence(predicted, actual, 0)
        for each in served.classes[:CLASSES_MAX]:
            labelled.count_evidence(each, each, 0)
        return tally

    def open_candidate(self, life: Life, arm: arms.Arm, served: Served | None = None) -> Tally:
        """A tally for a candidate that is compared on an arm; with `served` when it only scores there."""
        tally = self.tally(life, arm)
        tally.served = tally.served or served
        tally.labelled.count_pair(metrics.Paired.BOTH_RIGHT, 0)
        return tally
