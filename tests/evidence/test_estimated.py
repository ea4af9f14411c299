"""Accuracy estimated from scores is as certain as it says, and labels that contradict it are concept drift."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from modelmend.evidence import counts, estimated, verdict
from modelmend.evidence.estimated import Estimate, Holdout, Scores
from modelmend.evidence.verdict import Verdict


def sums(scores: NDArray[np.float64]) -> Scores:
    return Scores(len(scores), float(scores.sum()), float((scores**2).sum()))


def some(rng: np.random.Generator, n: int, sharpness: float = 3.0) -> NDArray[np.float64]:
    """Scores of the class that was picked, of two classes."""
    return np.asarray(0.5 + rng.beta(sharpness, 1, size=n) / 2)


def test_the_estimate_is_the_mean_score_with_what_the_holdout_corrects() -> None:
    scores = Scores(1000, 870.0, 770.0)

    plain = estimated.estimate(scores, 2, None)
    corrected = estimated.estimate(scores, 2, Holdout(n=2000, right=1700, expected=1800.0))

    assert plain.value == pytest.approx(0.87)
    assert plain.error == pytest.approx(math.sqrt((0.77 - 0.87**2) / 1000))
    assert corrected.value == pytest.approx(0.82)
    assert corrected.error == pytest.approx(math.hypot(plain.error, math.sqrt(0.9 * 0.1 / 2000)))


def test_without_squares_the_error_is_the_largest_that_is_possible() -> None:
    rng = np.random.default_rng(121)
    scores = sums(some(rng, 1000))

    only_sums = Scores(scores.n, scores.total)

    assert estimated.estimate(only_sums, 2, None).error >= estimated.estimate(scores, 2, None).error
    assert (scores + only_sums).squares is None
    assert (scores + scores).squares == pytest.approx(2 * (scores.squares or 0))
    assert (scores + only_sums).n == 2000


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
        held.append(abs(found.value - true.mean()) <= found.reach)

    assert np.mean(held) >= 0.99


@pytest.mark.parametrize(
    ("live", "found", "sentence"),
    [
        (
            Scores(4000, 3600.0, 3260.0),
            Verdict.OK,
            "estimated accuracy 0.900 over 4,000 predictions without labels is within the limit 0.850 "
            "(3 standard errors at least 0.897)",
        ),
        (
            Scores(4000, 3200.0, 2600.0),
            Verdict.BREACHED,
            "estimated accuracy 0.800 over 4,000 predictions without labels is below the limit 0.850 "
            "(3 standard errors at most 0.805)",
        ),
        (
            Scores(20, 16.0, 13.0),
            Verdict.UNKNOWN,
            "too few predictions without labels for a verdict: 20 of 200 needed",
        ),
    ],
)
def test_the_verdict_on_an_estimate(live: Scores, found: Verdict, sentence: str) -> None:
    judgement = estimated.judge(0.85, 200, live, 2, None)

    assert (judgement.verdict, judgement.because) == (found, sentence)


@pytest.mark.parametrize(
    ("live", "sentence"),
    [
        (Scores(), "no scored predictions in the window"),
        (Scores(10, math.nan), "scores are not numbers (NaN or infinite)"),
        (Scores(10, 8.0, math.inf), "scores are not numbers (NaN or infinite)"),
        (Scores(10, 80.0), "scores are no probabilities: their mean is 8.000 for 2 classes"),
        (Scores(10, 3.0), "scores are no probabilities: their mean is 0.300 for 2 classes"),
    ],
)
def test_scores_that_are_none_are_unknown_with_the_reason(live: Scores, sentence: str) -> None:
    judgement = estimated.judge(0.85, 1, live, 2, None)

    assert (judgement.verdict, judgement.because) == (
        Verdict.UNKNOWN,
        f"estimated accuracy unknown: {sentence}",
    )


@pytest.mark.parametrize("classes", [2, 4])
def test_binned_scores_are_off_by_no_more_than_they_say(classes: int) -> None:
    rng = np.random.default_rng(123)
    if classes == 2:
        watched = rng.beta(0.7, 0.7, size=5000)
        picked = np.maximum(watched, 1 - watched)
    else:
        watched = picked = 0.25 + 0.75 * rng.beta(2, 1, size=5000)
    edges = tuple(float(edge) for edge in np.quantile(watched, np.linspace(0, 1, 11)[1:-1]))
    rows = np.bincount(np.searchsorted(edges, watched), minlength=10)

    found = estimated.from_bins(edges, tuple(int(count) for count in rows), classes)

    assert found.n == 5000
    assert abs(found.total / 5000 - picked.mean()) <= found.coarse
    assert estimated.estimate(found, classes, None).reach >= found.coarse


def test_bins_without_rows_or_beyond_probabilities_are_no_problem() -> None:
    assert estimated.from_bins((0.5,), (0, 0), 2) == Scores(0, 0.0, 0.0)
    assert estimated.from_bins((-1.0, 2.0), (1, 1, 1), 2).n == 3


ESTIMATE = Estimate(value=0.87, error=0.004, coarse=0.0, n=5000)


@pytest.mark.parametrize(
    ("realised", "found", "sentence"),
    [
        (
            counts.Tally(1000, 140),
            Verdict.OK,
            "no concept drift: accuracy 0.860 over 1,000 labels against 0.870 estimated from scores (chance explains 0.035)",
        ),
        (
            counts.Tally(1000, 240),
            Verdict.BREACHED,
            "the rule from inputs to outcome has moved: accuracy 0.760 over 1,000 labels against 0.870 estimated from scores "
            "(chance explains 0.042)",
        ),
        (
            counts.Tally(1000, 20),
            Verdict.OK,
            "no concept drift, but scores are too modest: accuracy 0.980 over 1,000 labels against 0.870 estimated from scores "
            "(chance explains 0.034)",
        ),
        (counts.Tally(7, 7), Verdict.UNKNOWN, "concept drift unknown: 7 of 100 labels needed"),
        (counts.Tally(), Verdict.UNKNOWN, "concept drift unknown: 0 of 100 labels needed"),
    ],
)
def test_labels_against_the_estimate(realised: counts.Tally, found: Verdict, sentence: str) -> None:
    judgement = estimated.concept_drift(realised, ESTIMATE, 100)

    assert (judgement.verdict, judgement.because) == (found, sentence)


def test_data_drift_moves_the_estimate_and_concept_drift_the_labels_away_from_it() -> None:
    """400 windows of 3,000 rows and 600 labels: inputs that got harder raise no concept drift, a rule that moved
    nearly always does."""
    rng = np.random.default_rng(124)
    harder = moved = 0
    for _ in range(400):
        live = some(rng, 3000, sharpness=1.0)
        found = estimated.estimate(sums(live), 2, None)
        labels = live[:600]
        wrong = int((rng.random(600) > labels).sum())
        broken = int((rng.random(600) > labels - 0.1).sum())
        harder += estimated.concept_drift(counts.Tally(600, wrong), found, 100).verdict is Verdict.BREACHED
        moved += estimated.concept_drift(counts.Tally(600, broken), found, 100).verdict is Verdict.BREACHED

    assert harder / 400 <= 0.01
    assert moved / 400 > 0.95


@settings(max_examples=40)
@given(
    st.integers(0, 5000),
    st.floats(0, 5000),
    st.none() | st.floats(0, 5000),
    st.integers(2, 9),
    st.none() | st.tuples(st.integers(0, 99), st.floats(0, 99)),
)
def test_every_world_gets_a_verdict_with_a_sentence(
    n: int, total: float, squares: float | None, classes: int, holdout: tuple[int, float] | None
) -> None:
    held = None if holdout is None else Holdout(holdout[0], holdout[0] // 2, holdout[1])
    judgement = estimated.judge(0.4, 0, Scores(n, total, squares), classes, held)

    assert judgement.because
    assert judgement.verdict in verdict.Verdict
    if judgement.bound is not None:
        assert 0 <= judgement.bound <= 1
