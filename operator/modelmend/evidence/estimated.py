"""Accuracy without labels, from the model's own scores; and whether labels, once there, agree with it.

Called by decide, once a window, for EstimatedAccuracy. A classifier whose scores are calibrated is right on a row
with the probability s that it gives to the class it picks, so the mean of s over unlabelled rows estimates the
accuracy (confidence-based performance estimation; Guillory et al. 2021). With a holdout of M rows, on which the
estimate can be compared with the truth,

    estimate = mean s + (accuracy - mean s on the holdout),    SE^2 = var(s) / N + p (1 - p) / M

The second part, the calibration's own error, does not shrink with traffic. It sees shifts of the inputs that the
scores respond to; it cannot see a changed rule from inputs to outcome, because the scores do not know of it. Hence
a warning, never a reason to retrain by itself; and hence

    concept drift: realised - estimated beyond 3 standard errors,   SE^2 + p (1 - p) / n labels

Data drift moves the estimate; concept drift moves labels away from it. Both are looked at once per disjoint window:
3 standard errors are passed by chance in 1 window of 370, and at every poll they would be within days.
"""

import math
from dataclasses import dataclass

from modelmend.evidence import counts, quality, verdict

WIDE = 3.0
"""Standard errors of all bounds here."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Sums over n rows of s, the score of the class that was picked. Adds over pods and time.

    squares: of s^2; None where only s is summed, which costs a wider error.
    coarse: how far `total / n` may be off because scores were binned.
    """

    n: int = 0
    total: float = 0.0
    squares: float | None = None
    coarse: float = 0.0

    def __add__(self, other: "Scores") -> "Scores":
        known = self.squares is not None and other.squares is not None
        return Scores(
            self.n + other.n,
            self.total + other.total,
            (self.squares or 0.0) + (other.squares or 0.0) if known else None,
            max(self.coarse, other.coarse),
        )


@dataclass(frozen=True, slots=True)
class Holdout:
    """The estimate beside the truth, on rows that the fit had not seen: n rows, `right` of them right, sum of s
    `expected`."""

    n: int
    right: int
    expected: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """value in [0, 1]; error: its standard error; coarse: its largest error from binning; n: rows."""

    value: float
    error: float
    coarse: float
    n: int

    @property
    def reach(self) -> float:
        """Half-width of its bounds."""
        return WIDE * self.error + self.coarse


def from_bins(edges: tuple[float, ...], rows: tuple[int, ...], classes: int) -> Scores:
    """From a histogram of scores: k rising edges and k + 1 counts, of the second class's probability where there
    are two classes, else of the largest one. Each row is taken to be in the middle of what its bin allows."""
    least = 1 / classes
    total = squares = off = 0.0
    for low, high, count in zip((0.0, *edges), (*edges, 1.0), rows, strict=True):
        low, high = min(max(low, 0.0), 1.0), min(max(high, 0.0), 1.0)
        if classes == 2:
            sides = (max(low, 1 - low), max(high, 1 - high))
            begin, end = (least if low < least < high else min(sides)), max(sides)
        else:
            begin, end = max(low, least), max(high, least)
        total += count * (begin + end) / 2
        squares += count * ((begin + end) / 2) ** 2
        off += count * (end - begin) / 2
    n = sum(rows)
    return Scores(n, total, squares, off / n if n else 0.0)


def problem(scores: Scores, classes: int) -> str | None:
    """Why nothing can be estimated from these sums, as a clause; None if it can."""
    if not scores.n:
        return "no scored predictions in the window"
    if not (math.isfinite(scores.total) and math.isfinite(scores.squares or 0.0)):
        return "scores are not numbers (NaN or infinite)"
    mean = scores.total / scores.n
    if not 1 / classes - 1e-9 <= mean <= 1 + 1e-9:
        return f"scores are no probabilities: their mean is {mean:.3f} for {classes:,} classes"
    return None


def estimate(scores: Scores, classes: int, holdout: Holdout | None) -> Estimate:
    """The estimated accuracy; only if there is no `problem`. Without a holdout the scores are taken at their word."""
    mean = min(max(scores.total / scores.n, 1 / classes), 1.0)
    if scores.squares is None:
        variance = (mean - 1 / classes) * (1 - mean)  # the largest for this mean (Bhatia, Davis 2000)
    else:
        variance = max(scores.squares / scores.n - mean**2, 0.0)
    gap, of_gap = 0.0, 0.0
    if holdout is not None and holdout.n:
        expected = min(max(holdout.expected / holdout.n, 0.0), 1.0)
        gap, of_gap = holdout.right / holdout.n - expected, expected * (1 - expected) / holdout.n
    value = min(max(mean + gap, 0.0), 1.0)
    return Estimate(value, math.sqrt(variance / scores.n + of_gap), scores.coarse, scores.n)


def judge(
    minimum: float, min_rows: int, scores: Scores, classes: int, holdout: Holdout | None
) -> verdict.Judgement:
    """The verdict on one window: Breached when the estimate is at or below the minimum by 3 standard errors."""
    if (reason := problem(scores, classes)) is not None:
        return verdict.unknown(f"estimated accuracy unknown: {reason}")
    found = estimate(scores, classes, holdout)
    asked = quality.Asked("estimated accuracy", minimum, min_rows, 2.0, rows="predictions without labels")
    figures = quality.Figures(
        found.n, found.value, max(found.value - found.reach, 0.0), min(found.value + found.reach, 1.0)
    )
    seen = quality.Seen(figures, None, verdict.Silence(0.0, 0.0))
    return quality.judge_by_threshold(asked, seen, "3 standard errors")


def concept_drift(realised: counts.Tally, estimated: Estimate, min_labels: int) -> verdict.Judgement:
    """Whether labels (wrong ones as bad) contradict the estimate for rows of the same time.

    value: realised less estimated. bound: how far apart chance alone may bring them. Breached only where the labels
    are worse: a model that is better than its scores say needs calibrating, not healing.
    """
    if realised.n < max(min_labels, 1):
        needed = f"{realised.n:,} of {max(min_labels, 1):,} labels needed"
        return verdict.unknown(f"concept drift unknown: {needed}", realised.n)
    accuracy = 1 - realised.share
    # Without drift the estimate is the probability of being right; the accuracy seen guards against an estimate of 1.
    spread = max(estimated.value * (1 - estimated.value), accuracy * (1 - accuracy))
    reach = WIDE * math.sqrt(estimated.error**2 + spread / realised.n) + estimated.coarse
    apart = accuracy - estimated.value
    seen, expected, far = verdict.figures(accuracy, estimated.value, reach)
    told = f"accuracy {seen} over {realised.n:,} labels against {expected} estimated from scores (chance explains {far})"
    if abs(apart) <= reach:
        return verdict.Judgement(verdict.Verdict.OK, apart, reach, realised.n, f"no concept drift: {told}")
    if apart > 0:
        because = f"no concept drift, but scores are too modest: {told}"
        return verdict.Judgement(verdict.Verdict.OK, apart, reach, realised.n, because)
    because = f"the rule from inputs to outcome has moved: {told}"
    return verdict.Judgement(verdict.Verdict.BREACHED, apart, reach, realised.n, because)
