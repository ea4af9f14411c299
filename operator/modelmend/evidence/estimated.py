"""Accuracy without labels, from the model's own scores; and whether labels, once there, agree with it.

Called by decide, once a window, for EstimatedAccuracy and ConceptDrift. A classifier whose scores are calibrated is right
on a row with the probability s that it gives to the class it picks, so the mean of s over unlabelled rows estimates
the accuracy (confidence-based performance estimation; Guillory et al. 2021). Scores are seldom calibrated, so the
estimate is compared with the truth on a holdout of M rows, and what it lacks there is added:

    estimate = mean s + (accuracy - mean s on the holdout),    SE^2 = var(s) / N + p (1 - p) / M

The second part, the calibration's own error, does not shrink with traffic. It sees shifts of the inputs that the
scores respond to; it cannot see a changed rule from inputs to outcome, because the scores do not know of it. Hence
a warning, never a reason to retrain by itself; and hence, over n labelled rows and the scores of these very rows,

    concept drift: accuracy - estimate beyond 3 standard errors,   SE^2 = p (1 - p) / M + p (1 - p) / n

Data drift moves the estimate; concept drift moves labels away from it. Both are looked at once per disjoint window:
3 standard errors are passed on one side by chance in 1 window of 740, and at every poll they would be within days.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

from modelmend.evidence import quality, verdict

WIDE: Final = 3.0
"""Standard errors of all bounds here, at least."""
HOLDOUT_ROWS: Final = 100
"""Rows of the holdout below which what scores are worth is not known: 3 standard errors are .1 and more."""
COARSE: Final = 1 / 510
"""How far the mean score of labelled rows may be off: prediction ids carry each in 255 grades."""
UNSCORED: Final = 0.01
"""Share of rows without a number for a score from which those with one no longer stand for all."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Of `rows` predictions, `n` had a score that is a number; total: sum of those, each of the class that was picked."""

    rows: int = 0
    n: int = 0
    total: float = 0.0


@dataclass(frozen=True, slots=True)
class Labelled:
    """n labelled rows that had a score, `right` of them predicted rightly, and the sum of their scores."""

    n: int = 0
    right: int = 0
    expected: float = 0.0


@dataclass(frozen=True, slots=True)
class Holdout:
    """The estimate beside the truth, on rows that the fit had not seen: n rows, `right` of them right, sum of s
    `expected`."""

    n: int
    right: int
    expected: float

    @property
    def gap(self) -> float:
        """What is to be added to a mean score."""
        return (self.right - self.expected) / self.n

    @property
    def variance(self) -> float:
        """Of that."""
        mean = min(max(self.expected / self.n, 0.0), 1.0)
        return mean * (1 - mean) / self.n


@dataclass(frozen=True, slots=True)
class Estimate:
    """value in [0, 1]; error: its standard error; n: rows."""

    value: float
    error: float
    n: int


def wide(alpha: float) -> float:
    """Standard errors that chance passes on one side in at most a share alpha of windows, and at least WIDE."""
    return max(WIDE, -NormalDist().inv_cdf(alpha))


def lack(holdout: Holdout) -> str | None:
    """Why this holdout tells too little, as a clause; None if it will do."""
    if holdout.n >= HOLDOUT_ROWS:
        return None
    return f"the holdout has {holdout.n:,} rows, and {HOLDOUT_ROWS} are needed to know what scores are worth"


def problem(scores: Scores, classes: int) -> str | None:
    """Why nothing can be estimated from these sums, as a clause; None if it can."""
    if not scores.rows:
        return "no predictions in the window"
    without = scores.rows - scores.n
    if without > UNSCORED * scores.rows:
        return f"{without:,} of {scores.rows:,} predictions have no number for a score (NaN or infinite)"
    mean = scores.total / scores.n
    if not 1 / classes - 1e-9 <= mean <= 1 + 1e-9:
        return f"scores are no probabilities: their mean is {mean:.3f} for {classes:,} classes"
    return None


def estimate(scores: Scores, classes: int, holdout: Holdout) -> Estimate:
    """The estimated accuracy; only if there is no `problem`, and the holdout has rows."""
    mean = min(max(scores.total / scores.n, 1 / classes), 1.0)
    variance = (mean - 1 / classes) * (1 - mean)  # the largest for this mean (Bhatia, Davis 2000)
    value = min(max(mean + holdout.gap, 0.0), 1.0)
    return Estimate(value, math.sqrt(variance / scores.n + holdout.variance), scores.n)


def judge(
    minimum: float, min_rows: int, scores: Scores, classes: int, holdout: Holdout, alpha: float
) -> verdict.Judgement:
    """The verdict on one window: Breached when the estimate is at or below the minimum by `wide` standard errors."""
    if (reason := lack(holdout) or problem(scores, classes)) is not None:
        return verdict.unknown(f"estimated accuracy unknown: {reason}", scores.rows)
    found, errors = estimate(scores, classes, holdout), wide(alpha)
    reach = errors * found.error
    asked = quality.Asked("estimated accuracy", minimum, min_rows, 2.0, rows="predictions without labels")
    figures = quality.Figures(
        found.n, found.value, max(found.value - reach, 0.0), min(found.value + reach, 1.0)
    )
    seen = quality.Seen(figures, None, verdict.Silence(0.0, 0.0))
    return quality.judge_by_threshold(asked, seen, f"{errors:.3g} standard errors")


def concept_drift(
    labelled: Labelled, holdout: Holdout, min_labels: int, effect: float, alpha: float
) -> verdict.Judgement:
    """Whether labels contradict the scores of the very rows that they are of.

    value: the accuracy less its estimate. bound: the value at or below which that is neither chance nor too little to
    matter. Breached only where the labels are worse: a model that is better than its scores say needs calibrating,
    not healing.
    """
    if (reason := lack(holdout)) is not None:
        return verdict.unknown(f"concept drift unknown: {reason}", labelled.n)
    needed = max(min_labels, 1)
    if labelled.n < needed:
        counted = f"{labelled.n:,} of {needed:,} labels of predictions with a score needed in a window"
        return verdict.unknown(f"concept drift unknown: {counted}", labelled.n)
    accuracy = labelled.right / labelled.n
    estimated = min(max(labelled.expected / labelled.n + holdout.gap, 0.0), 1.0)
    # Without drift the estimate is the probability of being right; the accuracy seen guards against an estimate of 1.
    spread = max(estimated * (1 - estimated), accuracy * (1 - accuracy))
    reach = wide(alpha) * math.sqrt(holdout.variance + spread / labelled.n) + COARSE
    apart, bound = accuracy - estimated, max(reach, effect)
    seen, expected, far = verdict.figures(accuracy, estimated, reach)
    told = f"accuracy {seen} over {labelled.n:,} labels against {expected} estimated from scores (chance explains {far})"
    found = verdict.Verdict.OK
    if apart < -bound:
        found, because = verdict.Verdict.BREACHED, f"the rule from inputs to outcome has moved: {told}"
    elif apart > bound:
        because = f"no concept drift, but scores are too modest: {told}"
    elif apart < -reach:
        because = f"no concept drift that matters (effect {effect:g}): {told}"
    else:
        because = f"no concept drift: {told}"
    return verdict.Judgement(found, apart, -bound, labelled.n, because)
