"""Accuracy estimated from scores is as certain as it says, and labels that contradict it are concept drift."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from modelmend.evidence import estimated, verdict
from modelmend.evidence.estimated import Holdout, Labelled, Scores
from modelmend.evidence.verdict import Verdict

ALPHA = 1 / 120
EXACT = Holdout(n=20_000, right=18_000, expected=18_000.0)
"""Scores that are worth what they say."""


def sums(scores: NDArray[np.float64]) -> Scores:
    return Scores(len(scores), len(scores), float(scores.sum()))


def some(rng: np.random.Generator, n: int, sharpness: float = 3.0) -> NDArray[np.float64]:
    """Scores of the class that was picked, of two classes."""
    return np.asarray(0.5 + rng.beta(sharpness, 1, size=n) / 2)


def test_the_estimate_is_the_mean_score_with_what_the_holdout_corrects() -> None:
    found = estimated.estimate(Scores(1000, 1000, 870.0), 2, Holdout(n=2000, right=1700, expected=1800.0))

    assert found.value == pytest.approx(0.82)
    assert found.error == pytest.approx(math.sqrt(0.37 * 0.13 / 1000 + 0.9 * 0.1 / 2000))


def test_errors_are_three_at_least_and_more_where_windows_are_many() -> None:
    assert estimated.wide(1 / 120) == 3.0
    assert estimated.wide(1e-6) == pytest.approx(4.7534, abs=1e-4)


@pytest.mark.parametrize("holdout_rows", [500, 4000])
def test_the_interval_holds_the_accuracy_as_often_as_three_standard_errors_should(holdout_rows: int) -> None:
    """600 worlds: overconfident scores, corrected by a holdout of the same kind; the true accuracy of the window's
    rows. [.997]"""
    rng = np.random.default_rng(122)
    held = []
    for _ in range(600):
        hold, live = some(rng, holdout_rows), some(rng, 3000)
        true = 0.06 + 0.86 * live  # what scores claim is not what they are worth
        right = int(rng.binomial(1, 0.06 + 0.86 * hold).sum())
        found = estimated.estimate(sums(live), 2, Holdout(holdout_rows, right, float(hold.sum())))
        held.append(abs(found.value - true.mean()) <= estimated.WIDE * found.error)

    assert np.mean(held) >= 0.99


@pytest.mark.parametrize(
    ("live", "found", "sentence"),
    [
        (
            Scores(4000, 4000, 3600.0),
            Verdict.OK,
            "estimated accuracy 0.900 over 4,000 predictions without labels is within the limit 0.850 "
            "(3 standard errors at least 0.889)",
        ),
        (
            Scores(4000, 4000, 3200.0),
            Verdict.BREACHED,
            "estimated accuracy 0.800 over 4,000 predictions without labels is below the limit 0.850 "
            "(3 standard errors at most 0.813)",
        ),
        (
            Scores(4000, 3990, 3192.0),
            Verdict.BREACHED,
            "estimated accuracy 0.800 over 3,990 predictions without labels is below the limit 0.850 "
            "(3 standard errors at most 0.813)",
        ),
        (
            Scores(20, 20, 16.0),
            Verdict.UNKNOWN,
            "too few predictions without labels for a verdict: 20 of 200 needed",
        ),
    ],
)
def test_the_verdict_on_an_estimate(live: Scores, found: Verdict, sentence: str) -> None:
    judgement = estimated.judge(0.85, 200, live, 2, EXACT, ALPHA)

    assert (judgement.verdict, judgement.because) == (found, sentence)


@pytest.mark.parametrize(
    ("live", "sentence"),
    [
        (Scores(), "no predictions in the window"),
        (Scores(10, 0), "10 of 10 predictions have no number for a score (NaN or infinite)"),
        (Scores(1000, 980, 900.0), "20 of 1,000 predictions have no number for a score (NaN or infinite)"),
        (Scores(10, 10, 80.0), "scores are no probabilities: their mean is 8.000 for 2 classes"),
        (Scores(10, 10, 3.0), "scores are no probabilities: their mean is 0.300 for 2 classes"),
    ],
)
def test_scores_that_are_none_are_unknown_with_the_reason(live: Scores, sentence: str) -> None:
    judgement = estimated.judge(0.85, 1, live, 2, EXACT, ALPHA)

    assert (judgement.verdict, judgement.because) == (
        Verdict.UNKNOWN,
        f"estimated accuracy unknown: {sentence}",
    )


@pytest.mark.parametrize("rows", [0, 6, 30])
def test_small_holdout_cannot_say_what_scores_are_worth(rows: int) -> None:
    small = Holdout(rows, rows, rows * 0.9)
    estimate = estimated.judge(0.85, 1, Scores(4000, 4000, 2400.0), 2, small, ALPHA)
    drift = estimated.concept_drift(Labelled(4000, 100, 3600.0), small, 1, 0.02, ALPHA)

    because = f"unknown: the holdout has {rows} rows, and 100 are needed to know what scores are worth"
    assert (estimate.verdict, estimate.because) == (Verdict.UNKNOWN, f"estimated accuracy {because}")
    assert (drift.verdict, drift.because) == (Verdict.UNKNOWN, f"concept drift {because}")


@pytest.mark.parametrize(
    ("labelled", "found", "sentence"),
    [
        (
            Labelled(1000, 860, 870.0),
            Verdict.OK,
            "no concept drift: accuracy 0.860 over 1,000 labels against 0.870 estimated from scores (chance explains 0.035)",
        ),
        (
            Labelled(1000, 760, 870.0),
            Verdict.BREACHED,
            "the rule from inputs to outcome has moved: accuracy 0.760 over 1,000 labels against 0.870 estimated from scores "
            "(chance explains 0.043)",
        ),
        (
            Labelled(1000, 980, 870.0),
            Verdict.OK,
            "no concept drift, but scores are too modest: accuracy 0.980 over 1,000 labels against 0.870 estimated from scores "
            "(chance explains 0.034)",
        ),
        (
            Labelled(100_000, 85_500, 87_000.0),
            Verdict.OK,
            "no concept drift that matters (effect 0.02): accuracy 0.855 over 100,000 labels against 0.870 estimated from "
            "scores (chance explains 0.009)",
        ),
        (
            Labelled(7, 0, 6.0),
            Verdict.UNKNOWN,
            "concept drift unknown: 7 of 100 labels of predictions with a score needed in a window",
        ),
        (
            Labelled(),
            Verdict.UNKNOWN,
            "concept drift unknown: 0 of 100 labels of predictions with a score needed in a window",
        ),
    ],
)
def test_labels_against_their_own_scores(labelled: Labelled, found: Verdict, sentence: str) -> None:
    judgement = estimated.concept_drift(labelled, EXACT, 100, 0.02, ALPHA)

    assert (judgement.verdict, judgement.because) == (found, sentence)


def test_data_drift_moves_the_estimate_and_concept_drift_the_labels_away_from_it() -> None:
    """400 windows of 3,000 rows and 600 labels: inputs that got harder lower the estimate and raise no concept drift, a
    rule that moved nearly always does and leaves the estimate as it is."""
    rng = np.random.default_rng(124)
    hold = some(rng, 20_000)
    holdout = Holdout(len(hold), int((rng.random(len(hold)) < hold).sum()), float(hold.sum()))
    low, drifted = {"harder": 0, "moved": 0}, {"harder": 0, "moved": 0}
    for _ in range(400):
        for world, sharpness, worse in (("harder", 1.0, 0.0), ("moved", 3.0, 0.15)):
            live = some(rng, 3000, sharpness)
            right = rng.random(3000) < live - worse
            labelled = Labelled(600, int(right[:600].sum()), float(live[:600].sum()))
            estimate = estimated.judge(0.82, 200, sums(live), 2, holdout, ALPHA)
            drift = estimated.concept_drift(labelled, holdout, 100, 0.02, ALPHA)
            low[world] += estimate.verdict is Verdict.BREACHED
            drifted[world] += drift.verdict is Verdict.BREACHED

    assert (low["harder"] / 400, low["moved"] / 400) == (pytest.approx(1.0, abs=0.01), 0.0)
    assert drifted["harder"] / 400 <= 0.01
    assert drifted["moved"] / 400 > 0.95


@settings(max_examples=60)
@given(
    st.integers(0, 5000),
    st.integers(0, 5000),
    st.floats(0, 5000),
    st.integers(2, 9),
    st.tuples(st.integers(0, 300), st.floats(0, 300)),
)
def test_every_world_gets_a_verdict_with_a_sentence(
    rows: int, n: int, total: float, classes: int, holdout: tuple[int, float]
) -> None:
    held = Holdout(holdout[0], holdout[0] // 2, holdout[1])
    estimate = estimated.judge(0.4, 0, Scores(rows, min(n, rows), total), classes, held, ALPHA)
    drift = estimated.concept_drift(Labelled(rows, min(n, rows), total), held, 0, 0.0, ALPHA)

    for judgement in (estimate, drift):
        assert judgement.because
        assert judgement.verdict in verdict.Verdict
    if estimate.bound is not None:
        assert 0 <= estimate.bound <= 1
